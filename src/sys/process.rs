//! Processes: clone3 with its fallback, exec, exit, waiting for signals, dumpability.
//!
//! | call | why not rustix | oldest kernel | fallback |
//! |---|---|---|---|
//! | clone3 | no function | 5.3 (CLONE_INTO_CGROUP 5.7) | clone, then the parent writes cgroup.procs |
//! | clone | no function | any | - |
//! | execveat, rt_sigprocmask, rt_sigtimedwait | unstable module `runtime`, re-exported here and nowhere else | any | - |
//!
//! What can go wrong: the child of a clone shares nothing but copies of memory and descriptors, so it must leave by
//! exec or exit and never return into the parent's code.
#![allow(unsafe_code)]

use super::descriptor::OwnedFd;
use super::fault::Outcome;
use super::raw::{descriptor3, done3, syscall3, syscall5};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::runtime_448b8ad740e2a26f as unstable;
pub use unstable::{KernelSigSet, Signal};

/// exit_group(2)
pub fn exit(code: u8) -> ! {
    unstable::exit_group(i32::from(code))
}

/// getpid(2)
pub fn own_pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// What a clone returned.
pub enum Cloned {
    /// In the parent: the child's pid in the parent's pid namespace.
    Parent(Pid),
    /// In the child.
    Child,
}

/// clone3(2) without CLONE_VM: a fork into the namespaces of `flags` (CLONE_NEW*), and with `cgroup` also into that
/// cgroup v2 directory.
///
/// # Errors
/// As in the man page; ENOSYS (or EPERM, EINVAL under filters and on old kernels) calls for [`clone`].
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Outcome<Cloned> {
    let mut args = n::clone_args {
        flags,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        // a sibling has that of its maker; the kernel refuses one beside CLONE_PARENT
        exit_signal: if flags & u64::from(n::CLONE_PARENT) == 0 { n::SIGCHLD.into() } else { 0 },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(directory) = cgroup {
        args.flags |= n::CLONE_INTO_CGROUP;
        args.cgroup = directory.as_raw_fd() as u64;
    }
    // SAFETY: `args` outlives the call; without CLONE_VM and with no stack the child runs on a copy of this one.
    let pid =
        unsafe { syscall3(n::__NR_clone3, &raw const args as usize, size_of::<n::clone_args>(), 0).value()? };
    Ok(Pid::from_raw(pid as i32).map_or(Cloned::Child, Cloned::Parent))
}

/// clone(2) as a fork into the namespaces of `flags`; CLONE_NEWTIME can't be given here (it is among the signal bits).
///
/// # Errors
/// As in the man page.
pub fn clone(flags: u32) -> Outcome<Cloned> {
    // SAFETY: as for clone3; the argument order differs per architecture only behind the second argument, all zero.
    let pid = unsafe { syscall3(n::__NR_clone, (flags | n::SIGCHLD) as usize, 0, 0).value()? };
    Ok(Pid::from_raw(pid as i32).map_or(Cloned::Child, Cloned::Parent))
}

/// Pointers for execve(2): a NULL-terminated vector that refers to C strings.
#[derive(Clone, Copy)]
pub struct Vector<'a> {
    slots: &'a [*const u8],
}

impl<'a> Vector<'a> {
    /// The vector of `texts`, in memory of the arena.
    ///
    /// # Errors
    /// `Full` where the arena has no room.
    pub fn new(
        arena: &crate::rt::arena::Arena<'a>,
        count: usize,
        texts: impl Iterator<Item = &'a CStr>,
    ) -> Result<Self, crate::rt::arena::Full> {
        let mut slots = arena.list::<*const u8>(count.saturating_add(1))?;
        for text in texts {
            slots.push(text.as_ptr().cast())?;
        }
        slots.push(core::ptr::null())?;
        Ok(Vector { slots: slots.done() })
    }
}

/// execve(2); returns only on failure.
pub fn execve(path: &CStr, argv: &Vector<'_>, envp: &Vector<'_>) -> Errno {
    // SAFETY: both vectors end with NULL and their strings live in the arena.
    unsafe { unstable::execve(path, argv.slots.as_ptr(), envp.slots.as_ptr()) }
}

/// execveat(2) of the descriptor itself, or of what lies at `path` seen from it, with this process's own arguments; returns
/// only on failure.
pub fn execute_again(file: impl AsFd, path: &CStr, start: &crate::rt::start::Start) -> Errno {
    // SAFETY: argv and envp are the kernel's own vectors, see `Start`.
    unsafe { unstable::execveat(file, path, start.argv(), start.envp(), rustix::fs::AtFlags::EMPTY_PATH) }
}

/// Blocks every signal.
pub fn block_signals() -> Outcome<()> {
    let all = every_signal();
    // SAFETY: no handler of ours exists that could depend on the mask.
    Ok(unsafe { unstable::kernel_sigprocmask(unstable::How::BLOCK, Some(&all)) }.map(|_| ())?)
}

/// Unblocks every signal.
pub fn unblock_signals() -> Outcome<()> {
    // SAFETY: no handler of ours exists.
    Ok(unsafe { unstable::kernel_sigprocmask(unstable::How::SETMASK, Some(&KernelSigSet::empty())) }
        .map(|_| ())?)
}

/// rt_sigtimedwait(2) without a time limit on every blocked signal: the number of the next one.
///
/// # Errors
/// EINTR after a stop and continue.
pub fn next_signal() -> Result<i32, Errno> {
    let all = every_signal();
    // SAFETY: the caller blocked the signals; the kernel fills no memory but the return value's.
    let signal = unsafe { unstable::kernel_sigwait(&all)? };
    Ok(signal.as_raw())
}

fn every_signal() -> KernelSigSet {
    // SAFETY: a signal set is a plain bit mask on Linux; all bits set is a valid one.
    unsafe { core::mem::transmute([u8::MAX; size_of::<KernelSigSet>()]) }
}

/// signalfd4(2) for every signal.
///
/// # Errors
/// As in the man page.
pub fn signal_descriptor() -> Outcome<OwnedFd> {
    let all = every_signal();
    // SAFETY: the mask outlives the call, its size is the kernel's; the new descriptor is owned by nobody yet.
    unsafe {
        let (mask, size) = (&raw const all as usize, size_of::<KernelSigSet>());
        syscall5(n::__NR_signalfd4, usize::MAX, mask, size, n::O_CLOEXEC as usize, 0).descriptor()
    }
}

/// kill(2) with a raw signal number, so that real-time signals pass.
///
/// # Errors
/// ESRCH where the process is gone.
pub fn kill(pid: Pid, signal: i32) -> Outcome<()> {
    // SAFETY: plain numbers.
    unsafe { done3(n::__NR_kill, pid.as_raw_nonzero().get() as usize, signal as usize, 0) }
}

/// Makes a process group of the caller (setpgid(2)).
///
/// # Errors
/// EPERM of a session's leader.
pub fn lead_group() -> Outcome<()> {
    // SAFETY: plain numbers.
    unsafe { done3(n::__NR_setpgid, 0, 0, 0) }
}

/// The same for every process of the group of `leader`.
///
/// # Errors
/// ESRCH where it has none.
pub fn kill_group(leader: Pid, signal: i32) -> Outcome<()> {
    // SAFETY: plain numbers.
    unsafe { done3(n::__NR_kill, group(leader), signal as usize, 0) }
}

/// Reaps one child of the group of `leader` (wait4(2)).
///
/// # Errors
/// ECHILD where none is left.
pub fn reap_of_group(leader: Pid) -> Outcome<()> {
    // SAFETY: plain numbers, no status and no usage are asked for.
    unsafe { syscall5(n::__NR_wait4, group(leader), 0, 0, 0, 0).done() }
}

fn group(leader: Pid) -> usize {
    leader.as_raw_nonzero().get().wrapping_neg() as usize
}

/// Waits until a child has ended, and leaves it a zombie (waitid(2), WNOWAIT).
///
/// # Errors
/// EINTR; ECHILD where it is none.
pub fn ended(pid: Pid) -> Outcome<()> {
    let how = (n::WEXITED | n::WNOWAIT) as usize;
    // SAFETY: plain numbers, no siginfo and no usage are asked for.
    unsafe {
        syscall5(n::__NR_waitid, n::P_PID as usize, pid.as_raw_nonzero().get() as usize, 0, how, 0).done()
    }
}

/// pidfd_open(2).
///
/// # Errors
/// ESRCH where there is no such process, ENOSYS before Linux 5.3.
pub fn descriptor_of(pid: Pid) -> Outcome<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor is owned by nobody yet.
    unsafe { descriptor3(n::__NR_pidfd_open, pid.as_raw_nonzero().get() as usize, 0, 0) }
}

/// pidfd_send_signal(2) with a raw signal number.
///
/// # Errors
/// ESRCH where the process is gone, ENOSYS before Linux 5.1.
pub fn signal_descriptor_of(process: BorrowedFd<'_>, signal: i32) -> Outcome<()> {
    // SAFETY: plain numbers; no siginfo is given.
    unsafe { syscall5(n::__NR_pidfd_send_signal, process.as_raw_fd() as usize, signal as usize, 0, 0, 0) }
        .done()
}

/// As PID 1 after a crash: what is written reaches the disk, then the machine restarts.
pub fn sync_and_reboot() {
    rustix::fs::sync();
    if rustix::system::reboot(rustix::system::RebootCommand::Restart).is_err() {
        super::stdio::write_error(b"hull: reboot failed\n");
    }
}

/// Signals that Linux has (signal(7)); 1 is the first.
pub const SIGNALS: u32 = 64;

/// One signal back to its default.
///
/// # Errors
/// EINVAL for SIGKILL, SIGSTOP and numbers that are none.
pub fn default_signal(number: u32) -> Outcome<()> {
    // larger than the kernel's sigaction on any architecture; all zero is SIG_DFL without flags
    let action = [0usize; 6];
    // SAFETY: `action` outlives the call, the old action is not asked for; no handler of ours is replaced.
    unsafe {
        syscall5(
            n::__NR_rt_sigaction,
            number as usize,
            &raw const action as usize,
            0,
            size_of::<KernelSigSet>(),
            0,
        )
    }
    .done()
}

/// unshare(2) of namespaces that leave memory and descriptors alone (CLONE_NEWCGROUP, CLONE_NEWTIME).
///
/// # Errors
/// EINVAL where the kernel lacks the kind, EPERM without CAP_SYS_ADMIN.
pub fn unshare_namespace(flag: u32) -> Outcome<()> {
    // SAFETY: no flag that splits memory or the descriptor table is ever passed.
    unsafe { done3(n::__NR_unshare, flag as usize, 0, 0) }
}

/// setns(2): joins the namespace of the kind `flag` (CLONE_NEW*) that `file` of nsfs stands for.
///
/// # Errors
/// EINVAL where it is none of that kind, EPERM without the rights in it.
pub fn join_namespace(file: BorrowedFd<'_>, flag: u32) -> Outcome<()> {
    // SAFETY: plain numbers; of what threads share only the kinds of namespaces above are split.
    unsafe { done3(n::__NR_setns, file.as_raw_fd() as usize, flag as usize, 0) }
}

/// setgroups(2): exactly these groups; rustix would have a copy of the list in a type of its own.
///
/// # Errors
/// EINVAL for more than NGROUPS_MAX (65536) or one that the user namespace does not map, EPERM without CAP_SETGID.
pub fn set_groups(groups: &[u32]) -> Outcome<()> {
    #[cfg(target_arch = "arm")]
    const SETGROUPS: u32 = n::__NR_setgroups32;
    #[cfg(not(target_arch = "arm"))]
    const SETGROUPS: u32 = n::__NR_setgroups;
    // SAFETY: the kernel reads `groups.len()` numbers of 32 bits.
    unsafe { done3(SETGROUPS, groups.len(), groups.as_ptr() as usize, 0) }
}
