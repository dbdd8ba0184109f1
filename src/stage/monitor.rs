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
use crate::c_join;
use crate::effect::{Fault, Hint, Outcome, call};
use crate::put;
use crate::rt::arena::Arena;
use crate::rt::c_string;
use crate::sys::descriptor::{self, OwnedFd};
use crate::sys::process::{self, Cloned};
use crate::sys::stdio::{self, Line};
use crate::sys::{open, socket};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{self, CWD, FallocateFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

/// Bytes at which a log is renamed where nobody says otherwise: twice as many at most are kept, usually in memory.
const LOG_SIZE: u32 = 64 << 10;

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

/// What a monitor has, open until its end, under numbers of [`descriptor::high`].
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
    /// Makes what a monitor needs in the container's directory `state`, and opens its log `name` in `directory`, behind what is
    /// in it already. `stdio` gets what the program's output goes to; without, a terminal will be the source.
    ///
    /// # Errors
    /// As open(2), mknod(2), pipe(2); ENAMETOOLONG where `.1` does not fit behind the name; EINVAL with a hint for a log that
    /// is no regular file and might make the container wait.
    pub fn new(
        arena: &Arena<'_>,
        state: BorrowedFd<'_>,
        directory: OwnedFd,
        name: &CStr,
        most: u32,
        stdio: Option<&mut [BorrowedFd<'static>; 3]>,
    ) -> Outcome<Monitor> {
        let mut copied = [0; 256];
        copy(copied.get_mut(..253).unwrap_or(&mut []), name.to_bytes()).ok_or(Errno::NAMETOOLONG)?;
        let log = open_log(directory.as_fd(), &copied, OFlags::empty())?;
        let about = fs::fstat(log)?;
        if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
            return Err(Fault::new(Errno::INVAL, Hint::NotAFile));
        }
        let exit = high(state, crate::state::EXIT, OFlags::WRONLY | OFlags::CREATE)?;
        call::make_node(state, crate::state::MONITOR, n::S_IFIFO | 0o600, 0)?;
        let fifo = high(state, crate::state::MONITOR, OFlags::RDWR)?;
        let mut source = fifo;
        if let Some(stdio) = stdio {
            let (ours, theirs) = open::pipe()?;
            source = descriptor::high(ours.as_fd())?;
            // who runs in the container may open it again, as /dev/stdout
            fs::fchmod(&theirs, Mode::from_raw_mode(0o622))?;
            let theirs = descriptor::leave_open(theirs);
            let again = c_join!(arena, "/proc/self/fd/", theirs.as_raw_fd())?;
            // its own reader: without the monitor it goes on, instead of ending by SIGPIPE
            let theirs = open::open(CWD, again, OFlags::RDWR).map_or(theirs, descriptor::leave_open);
            *stdio = [high(CWD, c"/dev/null", OFlags::RDONLY)?, theirs, theirs];
        }
        let directory = descriptor::leave_open(directory);
        let most = if most == 0 { LOG_SIZE } else { most };
        if fs::fallocate(exit, FallocateFlags::KEEP_SIZE, 0, 3).is_err() {
            // only where this is possible, a disk that gets full can't take the exit status
        }
        Ok(Monitor {
            pid: None,
            source,
            directory,
            name: copied,
            log,
            len: about.st_size as u64,
            most,
            lost: 0,
            exit,
            fifo,
        })
    }

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

/// Opens a file under a number of [`descriptor::high`].
fn high(at: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> Outcome<BorrowedFd<'static>> {
    // a FIFO in its place must make nobody wait
    let file = open::create(at, name, flags | OFlags::NOCTTY | OFlags::NONBLOCK, 0o600)?;
    descriptor::high(file.as_fd())
}

fn text(name: &Name) -> &CStr {
    c_string::until_nul(name).unwrap_or(c"")
}

/// Opens the log, to append to it.
///
/// # Errors
/// As open(2); ENAMETOOLONG where the name of the one before has no room.
#[inline(never)]
fn open_log(at: BorrowedFd<'_>, name: &Name, flags: OFlags) -> Outcome<BorrowedFd<'static>> {
    high(at, text(name), flags | OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)
}

/// The rest of the monitor's life. What fails here can be told to nobody.
pub fn main(mut monitor: Monitor) -> ! {
    let Monitor { pid, source, directory, log, exit, fifo, .. } = monitor;
    if let Ok(null) = open::open(CWD, c"/dev/null", OFlags::RDWR).map(descriptor::leave_open)
        && rustix::process::fchdir(directory).is_ok()
        && stdio::replace(&[null, null, null, source, log, exit, fifo]).is_ok()
    {
        // of the caller's nothing is held any more, and the lock on the container is among what is closed
        descriptor::close_from(7);
        [monitor.source, monitor.log, monitor.exit] = [3, 4, 5].map(descriptor::borrow);
    }
    let code =
        pid.map(|pid| foreground::copy(pid, monitor.source, None, false, &mut |bytes| monitor.keep(bytes)));
    if monitor.lost > 0 {
        monitor.keep(&[]);
    }
    if let Some(Ok(code)) = code {
        let mut text = Line::new();
        put!(&mut text, code);
        if rustix::io::write(monitor.exit, text.bytes()).is_err() {
            // see `new`
        }
    }
    process::exit(0)
}
