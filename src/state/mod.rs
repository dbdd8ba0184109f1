//! The container's directory on the host: `<root>/<id>` with `state.json` (runtime.md, "State").
//!
//! mkdir(2) lets exactly one of two creates of an id win. Whoever changes a container holds the directory's flock(2); a
//! creator holds it from mkdir to its end, so a record that says `creating` under a free lock is what a killed one left.
//! Files are written beside their name and renamed: a reader never sees half of one.

pub mod record;

use crate::base::text::quoted;
use crate::c_join;
use crate::compose;
use crate::error::Result;
use crate::fail;
use crate::rt::arena::Arena;
use crate::sys::descriptor::{OwnedFd, leave_open};
use crate::sys::{directory, open};
use crate::text;
use core::ffi::CStr;
use record::{Draft, MAX_RECORD, Record};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// The socket that a created process listens on for `start`. It is there from before the process until the start.
pub const START: &CStr = c"start";

/// The FIFO that a monitor holds open as long as it lives.
pub const MONITOR: &CStr = c"monitor";
/// What a monitor writes when the container ends: the exit code in decimal. Empty until then; absent without a monitor.
pub const EXIT: &CStr = c"exit";

/// Everything that hull puts into a container's directory.
const FILES: [&CStr; 7] = [c"state.json", c".state.json", START, MONITOR, EXIT, c"log", c"log.1"];

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The directory of one container. It stays open: hull works on one, and ends; `list` closes each.
pub struct State<'a> {
    path: &'a CStr,
    directory: BorrowedFd<'static>,
}

impl<'a> State<'a> {
    /// Makes the directory of container `id` below `root`, which is made too where it is missing, and locks it.
    ///
    /// # Errors
    /// `container with given ID already exists`; else as mkdir(2).
    pub fn create(arena: &Arena<'a>, root: &'a CStr, id: &'a CStr) -> Result<'a, State<'a>> {
        let path = c_join!(arena, root, "/", id)?;
        let private = Mode::from_raw_mode(0o711);
        let word = |errno: Errno| {
            let hint = if errno == Errno::ROFS {
                text!("--root DIR moves it to a writable place")
            } else {
                text!("")
            };
            fail!(arena, errno, hint => "make the state directory ", quoted(path))
        };
        let mut made = fs::mkdirat(CWD, path, private);
        if made == Err(Errno::NOENT) {
            make_root(arena, root).map_err(word)?;
            made = fs::mkdirat(CWD, path, private);
        }
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(fail!(arena, "container with given ID already exists")),
            Err(errno) => return Err(word(errno)),
        }
        let opened = open::open(CWD, path, DIRECTORY).and_then(|directory| {
            fs::flock(&directory, FlockOperation::LockExclusive)?;
            Ok(directory)
        });
        match opened {
            Ok(directory) => Ok(State { path, directory: leave_open(directory) }),
            Err(fault) => {
                // nothing is in it yet
                let error = word(fault.errno());
                match fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(_) => Err(error),
                }
            }
        }
    }

    /// The directory of a container that is there.
    ///
    /// # Errors
    /// `container does not exist`; else as open(2).
    pub fn open(arena: &Arena<'a>, root: &'a CStr, id: &'a CStr) -> Result<'a, State<'a>> {
        let path = c_join!(arena, root, "/", id)?;
        match open::open(CWD, path, DIRECTORY) {
            Ok(directory) => Ok(State { path, directory: leave_open(directory) }),
            Err(fault) if fault.is(Errno::NOENT) || fault.is(Errno::NOTDIR) => {
                Err(fail!(arena, "container does not exist"))
            }
            Err(fault) => Err(fail!(arena, fault.errno() => "open the state directory ", quoted(path))),
        }
    }

    /// Waits until nobody else changes the container.
    ///
    /// # Errors
    /// `container does not exist` where it was deleted meanwhile.
    pub fn lock(&self, arena: &Arena<'a>) -> Result<'a, ()> {
        let locked = loop {
            match fs::flock(self.directory, FlockOperation::LockExclusive) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        let gone = locked.and_then(|()| fs::fstat(self.directory)).map(|about| about.st_nlink == 0);
        match gone {
            Ok(false) => Ok(()),
            Ok(true) => Err(fail!(arena, "container does not exist")),
            Err(errno) => Err(fail!(arena, errno => "lock the state directory ", quoted(self.path))),
        }
    }

    /// Whether nobody changes the container right now; asks for the lock and gives it back.
    pub fn is_idle(&self) -> bool {
        fs::flock(self.directory, FlockOperation::NonBlockingLockShared)
            .and_then(|()| fs::flock(self.directory, FlockOperation::Unlock))
            .is_ok()
    }

    /// The directory, for the start socket.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory
    }

    /// Writes state.json.
    ///
    /// # Errors
    /// As openat(2), write(2), renameat(2).
    pub fn write(&self, arena: &Arena<'a>, draft: &Draft<'a>) -> Result<'a, ()> {
        let text = compose!(arena, draft);
        write_renamed(self.directory, c"state.json", c".state.json", text, Mode::from_raw_mode(0o600))
            .map_err(|errno| fail!(arena, errno => "write the container's state.json"))
    }

    /// Reads state.json, which has about `size` bytes.
    ///
    /// # Errors
    /// `container does not exist` where there is none (the creator died before it); a damaged one by line and column.
    pub fn read(&self, arena: &Arena<'a>, size: usize) -> Result<'a, Option<Record<'a>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match open::open(self.directory, c"state.json", flags) {
            Ok(file) => file,
            Err(fault) if fault.is(Errno::NOENT) => return Ok(None),
            Err(fault) => return Err(fail!(arena, fault.errno() => "open the container's state.json")),
        };
        let most = size.min(MAX_RECORD).saturating_add(4096);
        let text = arena
            .fill(most, &mut |room| directory::read(file.as_fd(), room))
            .map_err(|errno| fail!(arena, errno => "read the container's state.json"))?;
        Ok(Some(Record::read(arena, text)?))
    }

    /// The monitor while it lives: polled, it hangs up when the monitor is gone, however it went.
    pub fn monitor(&self) -> Option<OwnedFd> {
        let fifo = open::open(self.directory, MONITOR, OFlags::RDONLY | OFlags::NONBLOCK).ok()?;
        // without a writer a FIFO is at its end; it never hangs up on who came later
        let living = rustix::io::read(&fifo, &mut [0u8][..]) == Err(Errno::AGAIN);
        living.then_some(fifo)
    }

    /// The file for the exit status, if there is a monitor or was one. Held open it can be read after a deletion.
    pub fn exit(&self) -> Option<OwnedFd> {
        open::open(self.directory, EXIT, OFlags::RDONLY | OFlags::NOFOLLOW).ok()
    }

    /// Bytes of state.json, 0 where there is none; a file that is replaced meanwhile may be longer.
    pub fn record_size(&self) -> usize {
        fs::statat(self.directory, c"state.json", AtFlags::SYMLINK_NOFOLLOW)
            .map_or(0, |about| usize::try_from(about.st_size).unwrap_or(0))
    }

    /// The uid that the directory belongs to; root's where it can't be asked.
    pub fn owner(&self) -> u32 {
        fs::fstat(self.directory).map_or(0, |about| about.st_uid)
    }

    /// Whether the process still waits for `start`.
    pub fn waits(&self) -> bool {
        fs::accessat(self.directory, START, fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// Takes the start socket's name away: from now on the container counts as started.
    ///
    /// # Errors
    /// As unlinkat(2).
    pub fn started(&self) -> core::result::Result<(), Errno> {
        fs::unlinkat(self.directory, START, AtFlags::empty())
    }

    /// Removes the directory with all that hull put into it.
    ///
    /// # Errors
    /// As unlinkat(2), rmdir(2), after a second try: a fault of the moment must not leave the id in use.
    pub fn remove(&self) -> core::result::Result<(), Errno> {
        self.try_to_remove().or_else(|_| self.try_to_remove())
    }

    fn try_to_remove(&self) -> core::result::Result<(), Errno> {
        for name in FILES {
            match fs::unlinkat(self.directory, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(other) => return Err(other),
            }
            // usually the first file was the only one
            match fs::unlinkat(CWD, self.path, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => {}
                other => return other,
            }
        }
        Err(Errno::NOTEMPTY)
    }
}

/// Writes a file that appears whole. It is made without a name, so that a writer that is killed leaves nothing; on a file
/// system that has no such files (O_TMPFILE), or for a user who may not name them, beside its name and renamed.
///
/// # Errors
/// As the calls; EIO for a short write. Nothing is left behind.
pub fn write_whole(
    directory: rustix::fd::BorrowedFd<'_>,
    name: &CStr,
    beside: &CStr,
    text: &[u8],
    mode: Mode,
) -> core::result::Result<(), Errno> {
    if write_unnamed(directory, name, text, mode).is_ok() {
        return Ok(());
    }
    write_renamed(directory, name, beside, text, mode)
}

fn write_unnamed(
    directory: rustix::fd::BorrowedFd<'_>,
    name: &CStr,
    text: &[u8],
    mode: Mode,
) -> core::result::Result<(), Errno> {
    let file = open::create(directory, c".", OFlags::WRONLY | OFlags::TMPFILE, mode.bits())?;
    if rustix::io::write(&file, text)? != text.len() {
        return Err(Errno::IO);
    }
    let link = || fs::linkat(&file, c"", directory, name, AtFlags::EMPTY_PATH);
    match link() {
        // one of an earlier container makes way
        Err(Errno::EXIST) => fs::unlinkat(directory, name, AtFlags::empty()).and_then(|()| link()),
        other => other,
    }
}

/// Writes a file beside its name and renames it.
///
/// # Errors
/// As the calls; EIO for a short write. Nothing is left behind.
pub fn write_renamed(
    directory: BorrowedFd<'_>,
    name: &CStr,
    beside: &CStr,
    text: &[u8],
    mode: Mode,
) -> core::result::Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
    let file = open::create(directory, beside, flags, mode.bits())?;
    let written = match rustix::io::write(&file, text) {
        Ok(len) if len == text.len() => fs::renameat(directory, beside, directory, name),
        Ok(_) => Err(Errno::IO),
        Err(errno) => Err(errno),
    };
    if written.is_err() && fs::unlinkat(directory, beside, AtFlags::empty()).is_err() {
        // the first error is the one to tell
    }
    written
}

/// Every directory on the way to `root`, where it is missing. What can't be made, or not seen, shows when the last one is
/// used.
fn make_root(arena: &Arena<'_>, root: &CStr) -> core::result::Result<(), Errno> {
    let bytes = root.to_bytes();
    for end in 1..=bytes.len() {
        if !matches!(bytes.get(end), None | Some(b'/')) {
            continue;
        }
        let part = arena.c_str(bytes.get(..end).unwrap_or(bytes)).map_err(|_| Errno::NOMEM)?;
        match fs::mkdirat(CWD, part, Mode::from_raw_mode(0o711)) {
            Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS | Errno::PERM) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}
