//! Properties of the process beside identity: scheduling, I/O priority, personality, memory policy, and what a security
//! module makes of it. All cold: hardly a bundle asks for one.

use super::Builder;
use super::op::{Attribute, HostOp, Op};
use crate::base::knob::{Knob, Scheduling};
use crate::base::number::{MOST_IN_LIST, mask};
use crate::c_join;
use crate::config::MemoryPolicy;
use core::ffi::CStr;

/// The mode of set_mempolicy(2) for each word of the config, in that order.
const MODES: [u32; 7] = [0, 2, 3, 6, 1, 5, 4];
/// MPOL_F_NUMA_BALANCING, which the other flags follow.
const FIRST_FLAG: u32 = 1 << 13;

fn asked(text: Option<&CStr>) -> Option<&CStr> {
    text.filter(|text| !text.is_empty())
}

impl<'a> Builder<'a, '_> {
    fn apparmor(&self) -> Option<&'a CStr> {
        asked(self.process.apparmor_profile())
    }

    fn selinux(&self) -> Option<&'a CStr> {
        asked(self.process.selinux_label())
    }

    /// The procfs that tells the security modules: what the container sees in its place could be anything.
    pub(super) fn before_modules(&mut self) {
        if self.apparmor().is_some() || self.selinux().is_some() {
            self.op(Op::OpenProcfs);
        }
    }

    /// The label of a keyring that is about to be made.
    pub(super) fn key_label(&mut self) {
        if let Some(value) = self.selinux() {
            self.op(Op::Attribute { of: Attribute::KeyCreate, value });
        }
    }

    /// What is set while the process has the rights of the container's root, and before the exec.
    #[inline(never)]
    pub(super) fn knobs(&mut self) {
        if let Some(profile) = self.apparmor() {
            let value = c_join!(self, "exec ", profile);
            self.op(Op::Attribute { of: Attribute::AppArmorExec, value });
        }
        if let Some(value) = self.selinux() {
            self.op(Op::Attribute { of: Attribute::Exec, value });
        }
        if !self.has_users() {
            self.priorities();
        }
        if let Some(policy) = self.linux.memory_policy() {
            self.memory_policy(&policy);
        }
        if let Some(personality) = self.linux.personality() {
            // PER_LINUX and PER_LINUX32 (linux/personality.h)
            self.op(Op::Knob(Knob::Personality(personality.domain() as u32 * 8)));
        }
    }

    /// Scheduling and I/O priority. A user namespace gives no right to them: there the parent sets them.
    #[inline(never)]
    pub(super) fn priorities(&mut self) {
        if let Some(scheduler) = self.process.scheduler() {
            let [_, nice, priority, _, runtime, deadline, period] = scheduler.numbers();
            let scheduling = Scheduling {
                size: size_of::<Scheduling>() as u32,
                policy: scheduler.policy() as u32,
                flags: scheduler.flags().iter().fold(0, |all, flag| all | 1 << flag as u32),
                nice: nice as i32,
                priority: priority as u32,
                deadline: [runtime, deadline, period],
                clamp: [0; 2],
            };
            if let Some(scheduling) = self.noted(self.arena.one(scheduling)) {
                self.knob(Knob::Scheduler(scheduling));
            }
        }
        if let Some(wanted) = self.process.io_priority() {
            // IOPRIO_PRIO_VALUE of ioprio_set(2); the classes count from 1
            self.knob(Knob::IoPriority((wanted.class() as u32 + 1) << 13 | wanted.priority().unwrap_or(0)));
        }
    }

    fn memory_policy(&mut self, policy: &MemoryPolicy<'a>) {
        let mode = MODES.get(policy.mode() as usize).copied().unwrap_or(0);
        let mode = policy.flags().iter().fold(mode, |all, flag| all | FIRST_FLAG << flag as u32);
        let nodes = policy.nodes().unwrap_or(c"").to_bytes();
        let mut bits = &mut [][..];
        if !nodes.is_empty() {
            bits = self.noted(self.arena.slice(MOST_IN_LIST / usize::BITS as usize, 0)).unwrap_or(bits);
            // the reader has seen that it is a list; the kernel says what is too large for it
            mask(nodes, bits);
        }
        self.op(Op::Knob(Knob::MemoryPolicy(mode, bits)));
    }

    #[inline(never)]
    fn knob(&mut self, knob: Knob<'a>) {
        if self.has_users() {
            self.then(HostOp::Knob(knob));
        } else {
            self.op(Op::Knob(knob));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{IoClass, MemoryPolicyFlag, MemoryPolicyMode, SchedulerFlag, SchedulerPolicy};
    use linux_raw_sys::general as n;

    #[test]
    fn words_stand_at_the_kernels_numbers() {
        for (policy, number) in [
            (SchedulerPolicy::Other, n::SCHED_NORMAL),
            (SchedulerPolicy::Fifo, n::SCHED_FIFO),
            (SchedulerPolicy::RoundRobin, n::SCHED_RR),
            (SchedulerPolicy::Batch, n::SCHED_BATCH),
            (SchedulerPolicy::Idle, n::SCHED_IDLE),
            (SchedulerPolicy::Deadline, n::SCHED_DEADLINE),
        ] {
            assert_eq!(policy as u32, number);
        }
        for (flag, number) in [
            (SchedulerFlag::ResetOnFork, n::SCHED_FLAG_RESET_ON_FORK),
            (SchedulerFlag::Reclaim, n::SCHED_FLAG_RECLAIM),
            (SchedulerFlag::DeadlineOverrun, n::SCHED_FLAG_DL_OVERRUN),
            (SchedulerFlag::KeepPolicy, n::SCHED_FLAG_KEEP_POLICY),
            (SchedulerFlag::KeepParams, n::SCHED_FLAG_KEEP_PARAMS),
            (SchedulerFlag::ClampMin, n::SCHED_FLAG_UTIL_CLAMP_MIN),
            (SchedulerFlag::ClampMax, n::SCHED_FLAG_UTIL_CLAMP_MAX),
        ] {
            assert_eq!(1 << flag as u32, number);
        }
        // ioprio_set(2) and linux/mempolicy.h
        assert_eq!([IoClass::RealTime, IoClass::BestEffort, IoClass::Idle].map(|c| c as u32 + 1), [1, 2, 3]);
        for (mode, number) in [
            (MemoryPolicyMode::Default, 0),
            (MemoryPolicyMode::Preferred, 1),
            (MemoryPolicyMode::Bind, 2),
            (MemoryPolicyMode::Interleave, 3),
            (MemoryPolicyMode::Local, 4),
            (MemoryPolicyMode::PreferredMany, 5),
            (MemoryPolicyMode::WeightedInterleave, 6),
        ] {
            assert_eq!(MODES[mode as usize], number);
        }
        let flags =
            [MemoryPolicyFlag::NumaBalancing, MemoryPolicyFlag::RelativeNodes, MemoryPolicyFlag::StaticNodes];
        assert_eq!(flags.map(|flag| FIRST_FLAG << flag as u32), [1 << 13, 1 << 14, 1 << 15]);
    }
}
