//! Properties of a process: sched_setattr(2), ioprio_set(2), personality(2), set_mempolicy(2), which rustix lacks. Oldest
//! kernels: 3.14, 2.6.13, any, 2.6.7. Without CONFIG_BLOCK or CONFIG_NUMA the second and the last give ENOSYS.
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::done3;
use crate::base::knob::Knob;
use linux_raw_sys::general as n;

const IOPRIO_WHO_PROCESS: usize = 1;

/// Sets one of the process `pid`; 0 is this one, and for the last two the only one.
///
/// # Errors
/// As the calls.
pub fn set(pid: u32, knob: &Knob<'_>) -> Outcome<()> {
    let pid = pid as usize;
    let (number, a, b, c) = match *knob {
        Knob::Scheduler(scheduling) => {
            (n::__NR_sched_setattr, pid, core::ptr::from_ref(scheduling) as usize, 0)
        }
        Knob::IoPriority(value) => (n::__NR_ioprio_set, IOPRIO_WHO_PROCESS, pid, value as usize),
        Knob::Personality(domain) => (n::__NR_personality, domain as usize, 0, 0),
        // the kernel takes one bit less than it is told
        Knob::MemoryPolicy(mode, nodes) => {
            (n::__NR_set_mempolicy, mode as usize, nodes.as_ptr() as usize, size_of_val(nodes) * 8 + 1)
        }
    };
    // SAFETY: the kernel reads a structure that tells its own size, or a mask with the bits that are given.
    unsafe { done3(number, a, b, c) }
}
