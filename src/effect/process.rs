//! A container's first process as the host sees it: whether it is still that process, and signals to it alone.
//!
//! A pid alone proves nothing: once its process is gone the kernel gives it to another. The time of its start tells them
//! apart, and a descriptor of it (pidfd_open(2)) keeps it from being given away between the look and the signal.

use super::Outcome;
use super::procfs::{self, Proc};
use crate::base::number;
use crate::c_join;
use crate::rt::arena::{Arena, RESERVE};
use crate::rt::c_string;
use crate::sys::descriptor;
use crate::sys::process;
use core::mem::MaybeUninit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::process::Pid;

/// A process at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it started, in clock ticks since boot.
    pub started: u64,
    /// Whether it has ended and only waits for its parent to hear of it.
    pub ended: bool,
}

/// The start of a process on a host without any procfs, neither mounted nor to be made (fsopen, Linux 5.2): there a pid
/// is taken for what it says.
pub const UNKNOWN: u64 = 0;

/// The process `pid`; `None` where there is none.
///
/// # Errors
/// As read(2).
pub fn look(arena: &Arena<'_>, pid: Pid) -> Outcome<Option<Seen>> {
    let file = c_join!(arena, "/proc/", pid.as_raw_nonzero().get(), "/stat")?;
    let mut text = procfs::read_small(arena, rustix::fs::CWD, file);
    if text.as_ref().is_err_and(|fault| fault.errno() == Errno::NOENT) {
        let below = file.to_bytes_with_nul().get(6..).and_then(c_string::whole).unwrap_or(file);
        match Proc::open() {
            Ok(proc) => text = procfs::read_small(arena, proc.root(), below),
            // nothing tells when it started, or that it has ended but for its parent: see `UNKNOWN`
            Err(_) => {
                let there = rustix::process::test_kill_process(pid) != Err(Errno::SRCH);
                return Ok(there.then_some(Seen { started: UNKNOWN, ended: false }));
            }
        }
    }
    match text {
        Err(fault) if matches!(fault.errno(), Errno::NOENT | Errno::SRCH) => Ok(None),
        other => Ok(seen(other?)),
    }
}

/// proc_pid_stat(5): the program's name may hold anything, a closing parenthesis too, so what counts follows the last one.
fn seen(stat: &[u8]) -> Option<Seen> {
    let end = stat.iter().rposition(|&b| b == b')')?;
    let mut fields = stat.get(end..)?.split(|&b| b == b' ').skip(1);
    let state = fields.next()?.first()?;
    let started = number::decimal(fields.nth(18)?, u64::MAX)?;
    Some(Seen { started, ended: matches!(state, b'Z' | b'X' | b'x') })
}

/// A process that is known to be the container's first.
pub struct Handle {
    pid: Pid,
    /// `None` before Linux 5.3.
    descriptor: Option<BorrowedFd<'static>>,
}

/// The process `pid` if it is the one that started at `started` and has not ended.
///
/// # Errors
/// As [`look`], pidfd_open(2).
pub fn find(arena: &Arena<'_>, pid: i32, started: u64) -> Outcome<Option<Handle>> {
    let Some(pid) = Pid::from_raw(pid).filter(|pid| pid.as_raw_nonzero().get() > 0) else { return Ok(None) };
    let descriptor = match process::descriptor_of(pid) {
        Ok(descriptor) => Some(descriptor::leave_open(descriptor)),
        Err(fault) if fault.is(Errno::SRCH) => return Ok(None),
        Err(fault) if fault.is_missing() => None,
        Err(fault) => return Err(fault),
    };
    // after the descriptor: what is seen now is what it stands for
    let either = |one, other| one == other || one == UNKNOWN || other == UNKNOWN;
    let same = look(arena, pid)?.is_some_and(|seen| either(seen.started, started) && !seen.ended);
    Ok(same.then_some(Handle { pid, descriptor }))
}

impl Handle {
    /// Its pid.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Closes its descriptor; it is used no more.
    pub fn close(&self) {
        if let Some(descriptor) = self.descriptor {
            descriptor::close(descriptor.as_raw_fd());
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// ESRCH where it has ended; EPERM.
    pub fn signal(&self, number: u8) -> Outcome<()> {
        match &self.descriptor {
            Some(descriptor) => match process::signal_descriptor_of(*descriptor, i32::from(number)) {
                Err(fault) if fault.is(Errno::NOSYS) => process::kill(self.pid, i32::from(number)),
                other => other,
            },
            None => process::kill(self.pid, i32::from(number)),
        }
    }

    /// Waits until it has ended, at most `seconds`; whether it has.
    ///
    /// # Errors
    /// As poll(2).
    #[inline(never)]
    #[cold]
    pub fn ended_within(&self, started: u64, seconds: u32) -> Outcome<bool> {
        if let Some(descriptor) = self.descriptor {
            return ready_within([descriptor; 2], seconds);
        }
        for _ in 0..u64::from(seconds) * 100 {
            // each look has the same memory
            let mut room = [MaybeUninit::uninit(); RESERVE + 8192];
            if look(&Arena::new(&mut room), self.pid)?
                .is_none_or(|seen| seen.started != started || seen.ended)
            {
                return Ok(true);
            }
            if poll(&mut [], Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 })).is_err() {
                // an interrupted pause is only a shorter one
            }
        }
        Ok(false)
    }
}

/// Seconds that nobody sees the end of.
pub const FOREVER: u32 = u32::MAX;

/// Waits until there is something to read from one of two, or it hangs up, at most `seconds`; whether it has.
///
/// # Errors
/// As poll(2).
#[inline(never)]
#[cold]
pub fn ready_within(either: [BorrowedFd<'_>; 2], seconds: u32) -> Outcome<bool> {
    let [one, other] = &either;
    let mut fds = [PollFd::new(one, PollFlags::IN), PollFd::new(other, PollFlags::IN)];
    Ok(poll(&mut fds, Some(&Timespec { tv_sec: seconds.into(), tv_nsec: 0 }))? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_stat_of_a_process_with_any_name() {
        let line = b"42 (a) Z (b)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2\n";
        assert_eq!(seen(line), Some(Seen { started: 98765, ended: false }));
        let line = b"42 (x) Z 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 7 1 2\n";
        assert_eq!(seen(line), Some(Seen { started: 7, ended: true }));
        assert_eq!(seen(b"42 (x"), None);
    }

    #[test]
    fn tells_this_process_from_one_that_never_was() {
        let arena = crate::error::test_arena(1 << 16);
        let own = std::process::id() as i32;
        let started = look(&arena, Pid::from_raw(own).unwrap()).unwrap().unwrap().started;
        assert!(find(&arena, own, started).unwrap().is_some());
        assert!(find(&arena, own, started + 1).unwrap().is_none());
        assert!(find(&arena, 0, 0).unwrap().is_none());
        assert!(find(&arena, i32::MAX, 0).unwrap().is_none());
    }
}
