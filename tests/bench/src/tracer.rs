//! A ptrace launcher: counts system calls, and reads memory at the last moment that a process is itself.
//!
//! Calls are counted as `strace -f -c` does: those that return, the first execve among them, so the two agree. Memory is
//! Rss of smaps_rollup, read while the parent stands at the entry of its exit_group, and the child at the entry of the
//! execve that turned it into the payload (the last one of the run that succeeded).

use anyhow::{Context, Result, bail};
use hull_trace::{self as ptrace, Stop};
use nix::errno::Errno;
use nix::libc::{SIGSTOP, SIGTRAP, pid_t};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use syscalls::Sysno;

/// What one traced run showed.
#[derive(Default)]
pub struct Traced {
    /// Exit code of the first process; 128 + signal if one killed it.
    pub exit_code: i32,
    /// Calls that returned, of all processes, the payload's among them.
    pub calls: u64,
    /// The payload's: the execve that starts it, and what it does then.
    pub payload_calls: u64,
    /// The first process's.
    pub parent: Memory,
    /// That of the process that becomes the payload.
    pub child: Memory,
    /// Shared libraries that the first process had mapped at its end.
    pub libraries: BTreeSet<PathBuf>,
}

/// Memory of one process, in KiB, as smaps_rollup has it.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    /// Rss: all pages that are mapped in.
    pub resident: u64,
    /// Those of them that are no file's.
    pub anonymous: u64,
}

/// Runs a command under ptrace to the end of all its processes. This process must have no other children.
pub fn run(mut command: Command) -> Result<Traced> {
    ptrace::trace_me(&mut command);
    let child = command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
    let first = pid_t::try_from(child.id())?;
    match ptrace::wait(first).context("wait for the first stop")? {
        (_, Stop::Signal(SIGTRAP)) => {}
        _ => bail!("the runtime did not start"),
    }
    let mut tracer = Tracer::new(first);
    let result = ptrace::follow(first)
        .and_then(|()| ptrace::resume(first, 0))
        .context("trace the runtime")
        .and_then(|()| tracer.follow_all());
    if result.is_err() {
        tracer.kill_all();
    }
    result.map(|()| tracer.result())
}

struct Tracer {
    first: pid_t,
    seen: BTreeSet<pid_t>,
    /// Threads that are in a system call; for execve, the memory that they had before.
    inside: HashMap<pid_t, Memory>,
    /// Calls of each thread since its last successful execve, that one among them.
    since_exec: HashMap<pid_t, u64>,
    payload: Option<pid_t>,
    traced: Traced,
}

impl Tracer {
    fn new(first: pid_t) -> Tracer {
        Tracer {
            first,
            seen: BTreeSet::from([first]),
            inside: HashMap::new(),
            // The execve that started it, over before the tracer's first stop.
            since_exec: HashMap::from([(first, 1)]),
            payload: None,
            traced: Traced { calls: 1, ..Traced::default() },
        }
    }

    fn follow_all(&mut self) -> Result<()> {
        loop {
            match ptrace::wait(-1) {
                Ok((thread, stop)) => self.event(thread, stop)?,
                Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("wait for a traced process"),
            }
        }
    }

    fn event(&mut self, thread: pid_t, stop: Stop) -> Result<()> {
        let mut deliver = 0;
        match stop {
            Stop::SystemCall => self.system_call(thread)?,
            Stop::Exec => self.executed(thread)?,
            Stop::Cloned | Stop::Other => {}
            // A new thread's first stop is ptrace's own, no signal of the runtime.
            Stop::Signal(SIGSTOP) if self.seen.insert(thread) => {}
            Stop::Signal(signal) => deliver = signal,
            Stop::Ended(code) => {
                self.inside.remove(&thread);
                if thread == self.first {
                    self.traced.exit_code = code;
                }
                return Ok(());
            }
        }
        ptrace::resume(thread, deliver).context("resume a traced process")
    }

    fn system_call(&mut self, thread: pid_t) -> Result<()> {
        let entered = match ptrace::entered(thread) {
            Err(Errno::ESRCH) => return Ok(()),
            other => other.context("ask which system call it is")?,
        };
        if let Some(call) = entered {
            let is = |name: Sysno| call == name.id() as u64;
            let before =
                if is(Sysno::execve) || is(Sysno::execveat) { memory(thread) } else { Memory::default() };
            self.inside.insert(thread, before);
            if is(Sysno::exit_group) && process_of(thread) == Some(self.first) {
                self.traced.parent = memory(thread);
                self.traced.libraries = libraries(thread);
            }
        } else if self.inside.remove(&thread).is_some() {
            self.traced.calls += 1;
            *self.since_exec.entry(thread).or_default() += 1;
        }
        Ok(())
    }

    /// After a successful execve: the thread that called it has the process's id now.
    fn executed(&mut self, process: pid_t) -> Result<()> {
        let former = ptrace::message(process).context("ask who called execve")?;
        let Some(before) = self.inside.remove(&former) else { return Ok(()) };
        self.inside.insert(process, before);
        self.since_exec.insert(process, 0);
        self.payload = Some(process);
        self.traced.child = before;
        Ok(())
    }

    fn kill_all(&self) {
        self.seen.iter().for_each(|&thread| ptrace::kill(thread));
        while ptrace::wait(-1).is_ok() {}
    }

    fn result(mut self) -> Traced {
        let payload = self.payload.and_then(|process| self.since_exec.get(&process));
        self.traced.payload_calls = payload.copied().unwrap_or(0);
        self.traced
    }
}

fn memory(thread: pid_t) -> Memory {
    let text = fs::read_to_string(format!("/proc/{thread}/smaps_rollup")).unwrap_or_default();
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    Memory { resident: figure("Rss:"), anonymous: figure("Anonymous:") }
}

fn process_of(thread: pid_t) -> Option<pid_t> {
    let text = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

fn libraries(thread: pid_t) -> BTreeSet<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{thread}/maps")).unwrap_or_default();
    let paths = text.lines().filter_map(|line| line.find('/').and_then(|start| line.get(start..)));
    paths.filter(|path| path.contains(".so")).map(PathBuf::from).collect()
}
