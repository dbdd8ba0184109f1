//! Properties of a process that one system call sets, as plain data: worked out in `plan`, set by `sys::knob`.

/// `struct sched_attr` (sched_setattr(2)), as Linux has it since 5.3; older kernels take it too while its end is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Scheduling {
    /// Bytes of the structure.
    pub size: u32,
    /// SCHED_*.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// Of SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// Of SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// Runtime, deadline and period of SCHED_DEADLINE, in nanoseconds.
    pub deadline: [u64; 3],
    /// Bounds of utilisation, which the config has no field for.
    pub clamp: [u32; 2],
}

/// One property.
#[derive(Clone, Copy, Debug)]
pub enum Knob<'a> {
    /// sched_setattr(2).
    Scheduler(&'a Scheduling),
    /// ioprio_set(2): class and level.
    IoPriority(u32),
    /// personality(2).
    Personality(u32),
    /// set_mempolicy(2): MPOL_* with its flags, and a bit for each node.
    MemoryPolicy(u32, &'a [usize]),
}
