//! `process`: what runs, as whom, with which limits (config.md, "Process").

use super::rules;
use crate::base::words;
use crate::json::schema::{Kind, Range, Slot};
use crate::json::view::{List, Value, object, word_values};
use core::ffi::CStr;

object! {
    /// The container's process.
    Process {
        /// Whether it gets a terminal.
        terminal "terminal": plain bool;
        /// The terminal's size.
        console_size "consoleSize": optional ConsoleSize<'a>;
        /// The working directory, absolute.
        cwd "cwd": required &'a CStr = Kind::Text(rules::ABSOLUTE);
        /// `NAME=value` entries.
        env "env": plain List<'a, &'a CStr> = Kind::List(&Kind::Text(rules::ENVIRONMENT));
        /// The program and its arguments; not empty once validated.
        args "args": plain List<'a, &'a CStr>;
        /// The command line for Windows.
        command_line "commandLine": optional &'a CStr;
        /// User and groups.
        user "user": optional User<'a>;
        /// The five capability sets; absent means none at all.
        capabilities "capabilities": optional Capabilities<'a>;
        /// Resource limits (setrlimit(2)).
        rlimits "rlimits": plain List<'a, Rlimit<'a>>;
        /// PR_SET_NO_NEW_PRIVS (prctl(2)).
        no_new_privileges "noNewPrivileges": plain bool;
        /// The AppArmor profile.
        apparmor_profile "apparmorProfile": optional &'a CStr;
        /// oom_score_adj, from -1000 to 1000.
        oom_score_adj "oomScoreAdj": optional i32 = Kind::Number(&rules::OOM_SCORE);
        /// The SELinux label.
        selinux_label "selinuxLabel": optional &'a CStr;
        /// ioprio_set(2).
        io_priority "ioPriority": optional IoPriority<'a>;
        /// sched_setattr(2).
        scheduler "scheduler": optional Scheduler<'a>;
        /// CPUs of a process that `exec` starts.
        exec_cpu_affinity "execCPUAffinity": optional ExecCpuAffinity<'a>;
    }
}

object! {
    /// Size of a terminal.
    ConsoleSize {
        /// Rows.
        height "height": required u64;
        /// Columns.
        width "width": required u64;
    }
}

object! {
    /// User and groups of the process; ids are those inside the container.
    User {
        /// User id; absent is 0.
        uid "uid": optional u32;
        /// Group id; absent is 0.
        gid "gid": optional u32;
        /// File mode creation mask, at most 0777.
        umask "umask": optional u32 = Kind::Number(&rules::UMASK);
        /// Supplementary groups.
        additional_gids "additionalGids": plain List<'a, u32>;
        /// The user's name, for Windows.
        username "username": optional &'a CStr;
    }
}

object! {
    /// Capability sets (capabilities(7)), as names that may be unknown.
    Capabilities {
        /// What can ever be gained.
        bounding "bounding": plain List<'a, &'a CStr>;
        /// What may be made effective.
        permitted "permitted": plain List<'a, &'a CStr>;
        /// What counts now.
        effective "effective": plain List<'a, &'a CStr>;
        /// What an execve(2) keeps, with file capabilities.
        inheritable "inheritable": plain List<'a, &'a CStr>;
        /// What an execve(2) keeps, without.
        ambient "ambient": plain List<'a, &'a CStr>;
    }
}

impl<'a> Capabilities<'a> {
    /// The set at place `n` of the schema with its name; `None` past the fifth.
    pub(super) fn set(&self, n: usize) -> Option<(&'static str, List<'a, &'a CStr>)> {
        let set = List::from_slot(*self.slots.get(n)?).unwrap_or(List::ABSENT);
        Some((words::nth(Self::SCHEMA.names, n), set))
    }
}

object! {
    /// One resource limit.
    Rlimit {
        /// `RLIMIT_` and a name; one of `names::rlimits` once validated.
        kind "type": required &'a CStr = Kind::Text(rules::RLIMIT);
        /// What is enforced.
        soft "soft": required u64;
        /// Up to where the process may raise it.
        hard "hard": required u64;
    }
}

/// Eight levels (ioprio_set(2)).
const LEVEL: Range = Range { low: 0, high: 7 };

object! {
    /// I/O priority.
    IoPriority {
        /// The class.
        class "class": required IoClass;
        /// From 0, the highest, to 7; absent is 0.
        priority "priority": optional u32 = Kind::Number(&LEVEL);
    }
}

crate::words! {
    /// Class of I/O priority (ioprio_set(2)).
    IoClass "IOPRIO_CLASS_" {
        /// Served first.
        RealTime = "RT",
        /// The usual one.
        BestEffort = "BE",
        /// Served when nobody else asks.
        Idle = "IDLE",
    }
}

object! {
    /// Scheduling (sched_setattr(2)).
    Scheduler {
        /// The policy.
        policy "policy": required SchedulerPolicy;
        /// Of SCHED_OTHER and SCHED_BATCH.
        nice "nice": optional i32 = Kind::Number(&rules::NICE);
        /// Of SCHED_FIFO and SCHED_RR.
        priority "priority": optional i32;
        /// Flags.
        flags "flags": plain List<'a, SchedulerFlag>;
        /// Of SCHED_DEADLINE, in nanoseconds.
        runtime "runtime": optional u64;
        /// Of SCHED_DEADLINE, in nanoseconds.
        deadline "deadline": optional u64;
        /// Of SCHED_DEADLINE, in nanoseconds.
        period "period": optional u64;
    }
}

impl Scheduler<'_> {
    /// The numbers of all fields, in their order; 0 for one that is absent or no number.
    #[inline(never)]
    pub fn numbers(&self) -> [u64; 7] {
        let mut numbers = [0; 7];
        for (number, slot) in numbers.iter_mut().zip(self.slots) {
            match *slot {
                Slot::Signed(value) => *number = value.cast_unsigned(),
                Slot::Unsigned(value) => *number = value,
                _ => {}
            }
        }
        numbers
    }
}

crate::words! {
    /// Scheduling policy (sched(7)).
    SchedulerPolicy "SCHED_" {
        /// Time sharing.
        Other = "OTHER",
        /// First in, first out.
        Fifo = "FIFO",
        /// Round robin.
        RoundRobin = "RR",
        /// Throughput.
        Batch = "BATCH",
        /// Reserved in the kernel, never implemented.
        Iso = "ISO",
        /// Very low priority.
        Idle = "IDLE",
        /// Earliest deadline first.
        Deadline = "DEADLINE",
    }
}

crate::words! {
    /// SCHED_FLAG_* (sched_setattr(2)).
    SchedulerFlag "SCHED_FLAG_" {
        /// Children start with the default policy.
        ResetOnFork = "RESET_ON_FORK",
        /// SCHED_DEADLINE takes unused time.
        Reclaim = "RECLAIM",
        /// A signal on overrun.
        DeadlineOverrun = "DL_OVERRUN",
        /// The policy stays.
        KeepPolicy = "KEEP_POLICY",
        /// The parameters stay.
        KeepParams = "KEEP_PARAMS",
        /// A lower bound of utilisation.
        ClampMin = "UTIL_CLAMP_MIN",
        /// An upper bound of utilisation.
        ClampMax = "UTIL_CLAMP_MAX",
    }
}

word_values!(IoClass, SchedulerPolicy, SchedulerFlag);

object! {
    /// CPUs of a process that `exec` starts.
    ExecCpuAffinity {
        /// Before it joins the container's cgroup.
        initial "initial": optional &'a CStr = Kind::Text(rules::CPU_LIST);
        /// After.
        r#final "final": optional &'a CStr = Kind::Text(rules::CPU_LIST);
    }
}
