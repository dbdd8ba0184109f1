//! The monitor of a detached container (`run --detach --monitor`): a hull process that outlives the command, as the parent
//! of the container's process.
//!
//! It keeps what the container prints in a log file of limited size, reaps its process, and writes the exit status where
//! `state` and `wait` find it. Invariant: the container never waits for the log and never fails by it; what can't be written
//! is dropped, counted, and noted in the log. Beside the log the monitor holds one descriptor of each: the container's
//! output, the file for the status, and the FIFO that tells others that it lives.

use super::foreground;
use super::wire;
use crate::base::text::copy;
use crate::effect::Outcome;
use crate::put;
use crate::rt::arena::Arena;
use crate::rt::c_string;
use crate::sys::descriptor;
use crate::sys::process::{self, Cloned};
use crate::sys::stdio::{self, Line};
use crate::sys::{open, socket};
use core::ffi::CStr;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{self, CWD, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

/// Bytes at which a log is renamed where nobody says otherwise: twice as many at most are kept, usually in memory.
pub const LOG_SIZE: u32 = 64 << 10;

/// Which side of the split this process is.
pub enum Side {
    /// The caller's: the other has made the container, or has failed with this exit code and its own words.
    Caller(u8),
    /// The monitor to be, which makes the container, and a channel to the caller.
    Monitor(BorrowedFd<'static>),
}

/// Splits hull in two. The monitor must be the parent of the container's process, so it makes the container; the caller
/// waits until it is there. A caller that is killed takes the monitor to be with it.
///
/// # Errors
/// As clone(2), socketpair(2).
#[inline(never)]
pub fn split(arena: &Arena<'_>) -> Outcome<Side> {
    process::block_signals()?;
    // a child's end would get lost otherwise
    foreground::default_signals(arena)?;
    let (ours, theirs) = socket::pair()?;
    let caller = rustix::process::getpid();
    match process::clone(0)? {
        Cloned::Child => {
            drop(ours);
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(caller) {
                process::exit(crate::error::EXIT_FAILURE);
            }
            Ok(Side::Monitor(descriptor::leave_open(theirs)))
        }
        Cloned::Parent(pid) => {
            drop(theirs);
            match wire::await_go(ours.as_fd()) {
                Ok(()) => Ok(Side::Caller(0)),
                Err(_) => foreground::wait_for(pid).map(Side::Caller),
            }
        }
    }
}

/// The container is there: from here on the monitor is on its own.
///
/// # Errors
/// EPIPE where the caller has been killed.
pub fn detach(caller: BorrowedFd<'_>) -> Outcome<()> {
    rustix::process::setsid()?;
    rustix::process::set_parent_process_death_signal(None)?;
    wire::tell(caller, &[wire::GO])
}

/// A file name with its NUL.
type Name = [u8; 256];

/// What a monitor has. All of it stays open until its end.
#[derive(Clone, Copy)]
pub struct Monitor {
    /// The container's process; `None` before it is there.
    pub pid: Option<Pid>,
    /// The master of its terminal, or the reading end of its output.
    pub source: BorrowedFd<'static>,
    /// The directory of the log.
    pub directory: BorrowedFd<'static>,
    /// The log's name; the one before it has `.1` behind the same name.
    pub name: Name,
    /// The log.
    pub log: BorrowedFd<'static>,
    /// Its length.
    pub len: u64,
    /// Its length at most.
    pub most: u32,
    /// Bytes dropped since the last note.
    pub lost: u64,
    /// Takes the exit status.
    pub exit: BorrowedFd<'static>,
    /// Open as long as the monitor lives.
    pub fifo: BorrowedFd<'static>,
}

impl Monitor {
    /// Appends bytes to the log, or counts them where that is impossible.
    fn keep(&mut self, bytes: &[u8]) {
        let mut note = Line::new();
        if self.lost > 0 {
            put!(&mut note, "\nhull: ", self.lost, " bytes of output were lost here\n");
        }
        let mut left = bytes.len();
        if self.room(left.saturating_add(note.bytes().len())) && self.write(note.bytes()) == 0 {
            self.lost = 0;
            left = self.write(bytes);
        }
        self.lost = self.lost.saturating_add(left as u64);
    }

    /// How many bytes could not be written.
    #[inline(never)]
    fn write(&mut self, bytes: &[u8]) -> usize {
        let written = rustix::io::write(self.log, bytes).unwrap_or(0);
        self.len = self.len.saturating_add(written as u64);
        bytes.len().saturating_sub(written)
    }

    /// Makes room for `new` bytes: the file becomes the one before.
    fn room(&mut self, new: usize) -> bool {
        if self.len.saturating_add(new as u64) <= self.most.into() {
            return true;
        }
        let mut older = self.name;
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(0);
        if let Some(rest) = older.get_mut(end..)
            && copy(rest, b".1").is_some()
            && fs::renameat(CWD, text(&self.name), CWD, text(&older)).is_err()
        {
            // somebody took it away, or it may not be moved: then what is in it goes
        }
        // the old file is closed after the new one is there: who follows wakes up at that
        let Ok(file) = open_log(CWD, &self.name, OFlags::TRUNC) else { return false };
        descriptor::close(self.log.as_raw_fd());
        (self.log, self.len) = (file, 0);
        true
    }
}

fn text(name: &Name) -> &CStr {
    c_string::until_nul(name).unwrap_or(c"")
}

/// Opens the log, to append to it.
///
/// # Errors
/// As open(2); ENAMETOOLONG where the name of the one before has no room.
#[inline(never)]
pub fn open_log(at: BorrowedFd<'_>, name: &Name, flags: OFlags) -> Result<BorrowedFd<'static>, Errno> {
    // no FIFO must make the monitor wait
    let kind = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOCTTY | OFlags::NONBLOCK;
    open::create(at, text(name), flags | kind, 0o600).map(descriptor::leave_open)
}

/// The rest of the monitor's life. What fails here can be told to nobody.
pub fn main(mut monitor: Monitor) -> ! {
    let Monitor { pid, source, directory, log, exit, fifo, .. } = monitor;
    if let Ok(null) = open::open(CWD, c"/dev/null", OFlags::RDWR)
        && stdio::replace(&[null.as_fd(); 3]).is_ok()
        && rustix::process::fchdir(directory).is_ok()
    {
        // nothing of the caller's is held any more but what is closed now
    }
    let mut first = 3;
    // the lock on the container is among the others
    while let Some(next) = [source, log, exit, fifo]
        .map(|file| file.as_raw_fd().cast_unsigned())
        .into_iter()
        .filter(|number| *number >= first)
        .min()
    {
        descriptor::close_between(first, next);
        first = next.saturating_add(1);
    }
    descriptor::close_between(first, u32::MAX);
    let code = pid.map(|pid| foreground::copy(pid, source, None, false, &mut |bytes| monitor.keep(bytes)));
    if monitor.lost > 0 {
        monitor.keep(&[]);
    }
    if let Some(Ok(code)) = code {
        let mut text = Line::new();
        put!(&mut text, code);
        if rustix::io::write(exit, text.bytes()).is_err() {
            // a file system without room for three bytes
        }
    }
    process::exit(0)
}
