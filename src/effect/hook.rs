//! Hooks (config.md, "POSIX-platform Hooks"): one program each, with the container's state on its standard input.
//!
//! Invariant: when [`run`] returns the program has ended and was reaped. What it prints goes to standard error.

use super::{Fault, Hint, Outcome};
use crate::plan::op::Hook;
use crate::rt::arena::Arena;
use crate::sys::process::{self, Cloned};
use crate::sys::{descriptor, open, stdio};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::fs::{self, MemfdFlags, Mode, SeekFrom};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

/// Runs a hook to its end.
///
/// # Errors
/// As execve(2); ECANCELED with a hint where it ended with a failure; ETIMEDOUT where it was killed for its time limit.
pub fn run<'a>(arena: &Arena<'a>, hook: &Hook<'a>, state: &[u8]) -> Outcome<()> {
    fs::access(hook.path, fs::Access::EXEC_OK)?;
    let argv = process::Vector::new(arena, hook.args.len(), hook.args.iter().copied())?;
    let envp = process::Vector::new(arena, hook.env.len(), hook.env.iter().copied())?;
    // not a pipe: a hook need not read it, and the state may be longer than a pipe holds
    let input = open::memory(c"state", MemfdFlags::CLOEXEC)?;
    super::call::write(input.as_fd(), state)?;
    fs::seek(&input, SeekFrom::Start(0))?;
    let pid = match process::clone(0)? {
        Cloned::Parent(pid) => pid,
        Cloned::Child => {
            // SIGKILL by the timeout reaches it whatever is blocked; 127 is what a shell says of a program it can't execute
            if ready(input.as_fd(), hook.kind.is_empty()).is_ok() {
                process::execve(hook.path, &argv, &envp);
            }
            process::exit(127)
        }
    };
    let late = hook.timeout.is_some_and(|seconds| !ends_within(pid, seconds));
    if late {
        process::kill(pid, linux_raw_sys::general::SIGKILL as i32)?;
    }
    let ended = loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    match ended.and_then(|(_, status)| status.exit_status()) {
        _ if late => Err(Fault::new(Errno::TIMEDOUT, Hint::HookLate)),
        Some(0) => Ok(()),
        _ => Err(Fault::new(Errno::CANCELED, Hint::HookFailed)),
    }
}

/// The child's descriptors and signals, as a program of the runtime's own has them.
fn ready(input: rustix::fd::BorrowedFd<'_>, silent: bool) -> Outcome<()> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::stdio::dup2_stdin(input)?;
    if silent {
        // hull says in its own words what came of it
        rustix::stdio::dup2_stderr(input)?;
    }
    rustix::stdio::dup2_stdout(stdio::standard(stdio::ERR))?;
    match descriptor::close_on_exec_from(3) {
        Err(fault) if fault.is_missing() => super::exec::close_each(3)?,
        other => other?,
    }
    process::unblock_signals()
}

/// Waits for the end of the child `pid`, but no longer than `seconds`; whether it came.
fn ends_within(pid: Pid, seconds: u32) -> bool {
    let time = |tv_sec: i64, tv_nsec: i64| Timespec { tv_sec: tv_sec as _, tv_nsec: tv_nsec as _ };
    if let Ok(descriptor) = process::descriptor_of(pid) {
        return poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&time(seconds.into(), 0))) != Ok(0);
    }
    // before Linux 5.3 nothing tells of one child's end with a time limit: look a hundred times a second
    for _ in 0..u64::from(seconds) * 100 {
        let ended = rustix::process::waitid(
            rustix::process::WaitId::Pid(pid),
            rustix::process::WaitIdOptions::EXITED
                | rustix::process::WaitIdOptions::NOHANG
                | rustix::process::WaitIdOptions::NOWAIT,
        );
        if !matches!(ended, Ok(None)) {
            return true;
        }
        if poll(&mut [], Some(&time(0, 10_000_000))).is_err() {
            // an interrupted pause is only a shorter one
        }
    }
    false
}
