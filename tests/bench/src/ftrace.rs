//! The kernel's own trace of a run: which call each process was in, and for how long it had a CPU there.
//!
//! ptrace and strace make a call of one microsecond take thirty; the tracepoints cost a fraction of one. An instance of
//! our own is used (its own buffer, events and filter), in a tracefs mounted in the private mount namespace, and removed
//! on drop: the machine's tracing is not touched.

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use syscalls::Sysno;

/// A tracing instance. It sees all tasks of the machine while it is on (a filter by process would lose what a process
/// does after it has begun to exit); the walk through the events keeps to the descendants of the one that was started.
pub struct Recorder {
    instance: PathBuf,
}

/// One run.
#[derive(Default)]
pub struct Record {
    /// From the start of the first process's program to its end, in microseconds of the clock.
    pub wall: f64,
    /// What each process did, in order of time.
    pub steps: Vec<Step>,
}

/// A stretch of a process's life: one system call, or its own code between two.
pub struct Step {
    pub place: Place,
    /// Microseconds since the start of the run.
    pub start: f64,
    /// Microseconds on a CPU.
    pub micros: f64,
    /// Microseconds off it: waiting, or another process was running there.
    pub off: f64,
    /// Page faults of its own code; always 0 where the kernel has no such event.
    pub faults: u64,
}

/// Who did what.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// "parent" (the first process), "child" (all others), "payload" (after the last execve).
    pub who: &'static str,
    /// A system call's name, or `OWN_CODE`.
    pub what: &'static str,
}

/// What a program does itself, page faults among it.
pub const OWN_CODE: &str = "(own code)";

impl Recorder {
    /// Needs a private mount namespace, and a folder to mount tracefs in.
    pub fn new(folder: &Path) -> Result<Recorder> {
        let tracefs = folder.join("tracefs");
        fs::create_dir_all(&tracefs).context("make a folder for tracefs")?;
        let none: Option<&str> = None;
        mount(Some("tracefs"), &tracefs, Some("tracefs"), MsFlags::empty(), none)
            .context("mount tracefs (the kernel needs CONFIG_FTRACE_SYSCALLS)")?;
        let instance = tracefs.join("instances").join(format!("hull-bench-{}", std::process::id()));
        fs::create_dir(&instance).context("make a tracing instance")?;
        let recorder = Recorder { instance };
        recorder.set("trace_clock", "mono")?;
        recorder.set("buffer_size_kb", "4096")?;
        recorder.set("options/record-tgid", "1")?;
        for event in [
            "raw_syscalls/sys_enter",
            "raw_syscalls/sys_exit",
            "sched/sched_switch",
            "sched/sched_process_exec",
            "sched/sched_process_fork",
        ] {
            recorder.set(&format!("events/{event}/enable"), "1")?;
        }
        // Only some architectures have it, and it only adds a column.
        let _ = recorder.set("events/exceptions/page_fault_user/enable", "1");
        Ok(recorder)
    }

    /// Runs a command to its end and says where its processes' time went.
    pub fn run(&self, command: &mut Command) -> Result<Record> {
        self.set("trace", "")?;
        self.set("tracing_on", "1")?;
        let mut child =
            command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
        let first = child.id();
        child.wait().context("wait for the runtime")?;
        self.set("tracing_on", "0")?;
        let text = fs::read_to_string(self.instance.join("trace")).context("read the trace")?;
        let events: Vec<Event> = text.lines().filter_map(parse).collect();
        Ok(account(&events, first))
    }

    fn set(&self, file: &str, value: &str) -> Result<()> {
        fs::write(self.instance.join(file), value)
            .with_context(|| format!("write {value:?} to tracefs's {file}"))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.instance) {
            eprintln!("hull-bench: can't remove {}: {error}", self.instance.display());
        }
        // The mount goes away with the namespace.
        if let Some(tracefs) = self.instance.ancestors().nth(2) {
            let _ = nix::mount::umount2(tracefs, nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

/// One line of the trace.
struct Event {
    thread: u32,
    process: u32,
    /// Microseconds.
    time: f64,
    kind: Kind,
}

enum Kind {
    Enter(usize),
    Leave,
    Fault,
    /// The thread leaves the CPU to `next`.
    Switch {
        next: u32,
    },
    Exec,
    Fork {
        child: u32,
    },
}

/// `  comm-THREAD (PROCESS) [CPU] flags SECONDS: EVENT: DETAILS`; comm may hold anything, so the line is read around the
/// first ") [".
fn parse(line: &str) -> Option<Event> {
    let bracket = line.find(") [").filter(|_| !line.starts_with('#'))?;
    let (task, rest) = line.split_at(bracket);
    let (task, process) = task.rsplit_once('(')?;
    let thread = task.trim_end().rsplit('-').next()?.parse().ok()?;
    // A thread that the kernel has not noted yet shows dashes.
    let process = process.trim().parse().unwrap_or(thread);
    let mut words = rest.split_whitespace().skip(3);
    let time: f64 = words.next()?.trim_end_matches(':').parse().ok()?;
    let kind = match words.next()? {
        "sys_enter:" => Kind::Enter(words.nth(1)?.parse().ok()?),
        "sys_exit:" => Kind::Leave,
        "page_fault_user:" => Kind::Fault,
        "sched_process_exec:" => Kind::Exec,
        "sched_process_fork:" => {
            let child = rest.split("child_pid=").nth(1)?.split_whitespace().next()?;
            Kind::Fork { child: child.parse().ok()? }
        }
        "sched_switch:" => {
            let next = rest.split("next_pid=").nth(1)?.split_whitespace().next()?;
            Kind::Switch { next: next.parse().ok()? }
        }
        _ => return None,
    };
    Some(Event { process, thread, time: time * 1e6, kind })
}

/// What is known of a thread while its events are walked through.
struct Thread {
    who: &'static str,
    /// The call it is in; `None` is its own code, page faults among it.
    call: Option<usize>,
    since: f64,
    off: f64,
    faults: u64,
    left_cpu: Option<f64>,
}

/// Walks through one run's events.
struct Walk {
    first: u32,
    /// The first process and its descendants; only threads in here are looked at.
    threads: HashMap<u32, Thread>,
    /// The execve that starts the payload: thread and time.
    payload: Option<(u32, f64)>,
    begin: f64,
    record: Record,
}

/// The last execve of the first process and its descendants.
fn last_exec(events: &[Event], first: u32) -> Option<(u32, f64)> {
    let mut family = HashSet::from([first]);
    let mut last = None;
    for event in events {
        match event.kind {
            _ if !family.contains(&event.thread) => {}
            Kind::Fork { child } => drop(family.insert(child)),
            Kind::Exec => last = Some((event.thread, event.time)),
            _ => {}
        }
    }
    last
}

fn account(events: &[Event], first: u32) -> Record {
    let payload = last_exec(events, first);
    let mut walk = Walk { first, threads: HashMap::new(), payload, begin: 0.0, record: Record::default() };
    let begin = events.iter().position(|event| event.thread == first && matches!(event.kind, Kind::Exec));
    let Some(events) = begin.and_then(|begin| events.get(begin..)) else { return walk.record };
    let start = events.first().map_or(0.0, |event| event.time);
    walk.begin = start;
    walk.threads.insert(first, Thread::born("parent", start));
    for event in events {
        walk.step(event);
    }
    let end = events.iter().rfind(|event| event.process == first).map_or(start, |event| event.time);
    walk.finish(end - start)
}

impl Walk {
    fn step(&mut self, event: &Event) {
        if let Kind::Switch { next } = event.kind
            && let Some(thread) = self.threads.get_mut(&next)
            && let Some(left) = thread.left_cpu.take()
        {
            thread.off += event.time - left;
        }
        let who = if event.process == self.first { "parent" } else { "child" };
        let Some(thread) = self.threads.get_mut(&event.thread) else { return };
        match event.kind {
            Kind::Switch { .. } => thread.left_cpu = Some(event.time),
            Kind::Fork { child } => {
                // Off the CPU until the scheduler first turns to it.
                let left_cpu = Some(event.time);
                self.threads.insert(child, Thread { left_cpu, ..Thread::born("child", event.time) });
            }
            Kind::Enter(call) => {
                thread.close(event.time, &mut self.record);
                thread.who = if thread.who == "payload" { "payload" } else { who };
                thread.call = Some(call);
            }
            Kind::Leave => {
                thread.close(event.time, &mut self.record);
                thread.call = None;
            }
            Kind::Exec if self.payload == Some((event.thread, event.time)) => {
                thread.close(event.time, &mut self.record);
                thread.who = "payload";
            }
            Kind::Exec => {}
            Kind::Fault => thread.faults += 1,
        }
    }

    fn finish(mut self, wall: f64) -> Record {
        for thread in self.threads.values_mut() {
            // A thread's last event is the switch away from it, inside exit_group.
            let end = thread.left_cpu.take().unwrap_or(thread.since);
            thread.close(end, &mut self.record);
        }
        self.record.wall = wall;
        self.record.steps.iter_mut().for_each(|step| step.start -= self.begin);
        self.record.steps.sort_by(|a, b| a.start.total_cmp(&b.start));
        self.record
    }
}

impl Thread {
    fn born(who: &'static str, now: f64) -> Thread {
        Thread { who, call: None, since: now, off: 0.0, faults: 0, left_cpu: None }
    }

    /// Books the time since the last event under what the thread was doing, and starts anew.
    fn close(&mut self, now: f64, record: &mut Record) {
        let what = match self.call {
            Some(call) => Sysno::new(call).map_or("(unknown call)", |call| call.name()),
            None => OWN_CODE,
        };
        record.steps.push(Step {
            place: Place { who: self.who, what },
            start: self.since,
            micros: (now - self.since - self.off).max(0.0),
            off: self.off,
            faults: self.faults,
        });
        self.faults = 0;
        self.since = now;
        self.off = 0.0;
    }
}

#[cfg(all(test, target_arch = "x86_64"))] // the numbers of its system calls
mod tests {
    use super::{OWN_CODE, account, parse};

    const RUN: &str = "\
# tracer: nop
            make-7       (      7) [001] .....  1.000000: sys_enter: NR 59 (0, 0, 0, 0, 0, 0)
            hull-8       (      8) [000] .....  2.000000: sched_process_exec: filename=/hull pid=8 old_pid=8
            hull-8       (      8) [000] .....  2.000005: sys_exit: NR 59 = 0
            hull-8       (      8) [000] d....  2.000006: page_fault_user: address=0x1 ip=0x1 error_code=0x4
            hull-8       (      8) [000] .....  2.000010: sys_enter: NR 56 (0, 0, 0, 0, 0, 0)
            hull-8       (      8) [000] .....  2.000020: sched_process_fork: comm=hull pid=8 child_comm=hull child_pid=9
            hull-8       (      8) [000] .....  2.000030: sys_exit: NR 56 = 9
            hull-8       (      8) [000] .....  2.000031: sys_enter: NR 61 (0, 0, 0, 0, 0, 0)
            hull-8       (      8) [000] d....  2.000040: sched_switch: prev_comm=hull prev_pid=8 prev_prio=1 prev_state=S ==> next_comm=hull next_pid=9 next_prio=1
            hull-9       (-------) [000] .....  2.000050: sys_exit: NR 56 = 0
            hull-9       (-------) [000] .....  2.000051: sys_enter: NR 59 (0, 0, 0, 0, 0, 0)
            a [b-9       (      9) [000] .....  2.000061: sched_process_exec: filename=/x pid=9 old_pid=9
            a [b-9       (      9) [000] .....  2.000062: sys_exit: NR 59 = 0
            a [b-9       (      9) [000] .....  2.000070: sys_enter: NR 231 (0, 0, 0, 0, 0, 0)
            a [b-9       (      9) [000] d....  2.000080: sched_switch: prev_comm=a [b prev_pid=9 prev_prio=1 prev_state=Z ==> next_comm=hull next_pid=8 next_prio=1
            hull-8       (      8) [000] .....  2.000090: sys_exit: NR 61 = 9
";

    #[test]
    fn time_is_booked_on_who_had_the_cpu_and_waiting_apart() {
        let events: Vec<_> = RUN.lines().filter_map(parse).collect();
        assert_eq!(events.len(), 16);
        let record = account(&events, 8);
        assert_eq!(record.wall.round(), 90.0);
        let find = |who, what| {
            let mut steps =
                record.steps.iter().filter(|step| step.place.who == who && step.place.what == what);
            steps.next().map(|step| (step.micros.round(), step.off.round(), step.faults))
        };
        assert_eq!(find("parent", "wait4"), Some((19.0, 40.0, 0)));
        assert_eq!(find("parent", "clone"), Some((20.0, 0.0, 0)));
        assert_eq!(find("child", "execve"), Some((10.0, 0.0, 0)));
        assert_eq!(find("payload", "exit_group"), Some((10.0, 0.0, 0)));
        let faults: u64 = record.steps.iter().map(|step| step.faults).sum();
        assert_eq!(faults, 1);
        assert!(record.steps.iter().any(|step| step.place.what == OWN_CODE && step.faults == 1));
    }
}
