//! The ptrace requests that the benchmark's tracer and the fault driver need, and the wait that goes with them.
//!
//! A tracer is a thread: what it started and what it follows is heard by its own waits alone, so several threads of one
//! process may each trace something.
//!
//! Not nix's: its signals know no real-time ones (glibc's own 33 stops a traced runc), and its syscall_info passes no
//! size. What can go wrong here is a wrong request or a pointer of the wrong type; both stay inside these functions.

use nix::errno::Errno;
use nix::libc::{self, c_int, pid_t};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Why a thread stands still, or that it has ended.
pub enum Stop {
    /// About to make a system call, or back from one.
    SystemCall,
    /// After a successful execve.
    Exec,
    /// A clone or fork has made a process, which is followed; see [`message`].
    Cloned,
    /// An event that only has to be resumed.
    Other,
    Signal(c_int),
    /// Exit code; 128 + signal if one killed it.
    Ended(i32),
}

/// Lets the command be traced by this process: it stops after its execve.
pub fn trace_me(command: &mut Command) {
    let trace_me = || {
        // SAFETY: PTRACE_TRACEME takes no pointers.
        let done = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        Errno::result(done).map(drop).map_err(std::io::Error::from)
    };
    // SAFETY: between fork and exec the closure makes one system call, and touches no lock and no heap.
    unsafe { command.pre_exec(trace_me) };
}

/// Follows all descendants, tells calls from signals, and kills them all if this process dies.
pub fn follow(process: pid_t) -> nix::Result<()> {
    let options = libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACESYSGOOD
        | libc::PTRACE_O_EXITKILL;
    // SAFETY: the options are passed by value.
    let done = unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, process, 0, options) };
    Errno::result(done).map(drop)
}

/// Waits for a thread (-1: any that this one started or follows) to stop or end.
pub fn wait(thread: pid_t) -> nix::Result<(pid_t, Stop)> {
    Ok(wait_with(thread, 0)?.expect("a wait that blocks"))
}

/// The same without blocking: `None` where nothing has happened.
pub fn look(thread: pid_t) -> nix::Result<Option<(pid_t, Stop)>> {
    wait_with(thread, libc::WNOHANG)
}

fn wait_with(thread: pid_t, flags: c_int) -> nix::Result<Option<(pid_t, Stop)>> {
    let mut status = 0;
    let flags = flags | libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: the kernel writes one integer, which lives through the call.
    let thread = Errno::result(unsafe { libc::waitpid(thread, &raw mut status, flags) })?;
    if thread == 0 {
        return Ok(None);
    }
    let stop = if libc::WIFEXITED(status) {
        Stop::Ended(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Stop::Ended(128 + libc::WTERMSIG(status))
    } else {
        match (libc::WSTOPSIG(status), status >> 16) {
            (_, libc::PTRACE_EVENT_EXEC) => Stop::Exec,
            (_, libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) => {
                Stop::Cloned
            }
            (signal, _) if signal == libc::SIGTRAP | 0x80 => Stop::SystemCall,
            (signal, 0) => Stop::Signal(signal),
            _ => Stop::Other,
        }
    };
    Ok(Some((thread, stop)))
}

/// Lets a thread run to its next stop, with a signal (0: none). One that was killed meanwhile is no failure.
pub fn resume(thread: pid_t, signal: c_int) -> nix::Result<()> {
    go_on(libc::PTRACE_SYSCALL, thread, signal)
}

/// The same without a stop at system calls.
pub fn release(thread: pid_t, signal: c_int) -> nix::Result<()> {
    go_on(libc::PTRACE_CONT, thread, signal)
}

fn go_on(how: libc::c_uint, thread: pid_t, signal: c_int) -> nix::Result<()> {
    // SAFETY: the signal is passed by value.
    match Errno::result(unsafe { libc::ptrace(how, thread, 0, signal) }) {
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// At a system-call stop: the number of the call that the thread is about to make; `None` where it comes back.
pub fn entered(thread: pid_t) -> nix::Result<Option<u64>> {
    // SAFETY: all zeroes is a valid value of this plain structure.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the size given into a structure that lives through the call.
    let filled =
        unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, thread, size_of_val(&info), &raw mut info) };
    Errno::result(filled)?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(None);
    }
    // SAFETY: `op` says which member of the union the kernel has filled.
    Ok(Some(unsafe { info.u.entry.nr }))
}

/// What an event tells: after an execve the id that the thread had which called it, after a clone the new process's.
pub fn message(process: pid_t) -> nix::Result<pid_t> {
    let mut id: libc::c_ulong = 0;
    // SAFETY: the kernel writes one long, which lives through the call.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, process, 0, &raw mut id) })?;
    Ok(id as pid_t)
}

/// At the entry of a system call: the kernel will not make it. Where it comes back, [`answer`] says what came of it.
///
/// # Errors
/// ENOSYS on architectures other than x86_64.
pub fn skip(thread: pid_t) -> nix::Result<()> {
    set_register(thread, Register::Call, -1)
}

/// At the exit of a system call: it failed with this errno.
///
/// # Errors
/// ENOSYS on architectures other than x86_64.
pub fn answer(thread: pid_t, errno: c_int) -> nix::Result<()> {
    set_register(thread, Register::Result, -i64::from(errno))
}

enum Register {
    Call,
    Result,
}

#[cfg(target_arch = "x86_64")]
fn set_register(thread: pid_t, register: Register, value: i64) -> nix::Result<()> {
    let place = match register {
        Register::Call => std::mem::offset_of!(libc::user_regs_struct, orig_rax),
        Register::Result => std::mem::offset_of!(libc::user_regs_struct, rax),
    };
    // SAFETY: offset and value are passed by value; `struct user` begins with the registers.
    Errno::result(unsafe { libc::ptrace(libc::PTRACE_POKEUSER, thread, place, value) }).map(drop)
}

#[cfg(not(target_arch = "x86_64"))]
fn set_register(_: pid_t, _: Register, _: i64) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

/// Ends a traced process.
pub fn kill(process: pid_t) {
    // SAFETY: no pointers; a process that is gone already is what is wanted.
    unsafe { libc::kill(process, libc::SIGKILL) };
}
