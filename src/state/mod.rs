//! The container's directory on the host: `<root>/<id>/state.json` (runtime.md, "State").
//!
//! The directory is the lock on the id: mkdir(2) lets exactly one of two creates win. The file is written beside its
//! name and renamed, so a reader never sees half of it.

use crate::c_join;
use crate::compose;
use crate::error::Result;
use crate::fail;
use crate::json::write::Text;
use crate::rt::arena::Arena;
use crate::sys::descriptor::OwnedFd;
use crate::sys::open;
use crate::text;
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

/// The directory of one container.
pub struct State<'a> {
    path: &'a CStr,
    directory: OwnedFd,
}

/// What state.json tells.
pub struct Facts<'a> {
    /// The container's id.
    pub id: &'a CStr,
    /// `creating`, `created`, `running` or `stopped`.
    pub status: &'static str,
    /// Its first process, as hull's pid namespace sees it; 0 for none.
    pub pid: u32,
    /// The bundle's absolute path.
    pub bundle: &'a CStr,
}

impl<'a> State<'a> {
    /// Makes the directory of container `id` below `root`, which is made too where it is missing.
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
            fail!(arena, errno, hint => "make the state directory ", crate::base::text::quoted(path))
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
        let directory = open::open(CWD, path, OFlags::PATH | OFlags::DIRECTORY);
        match directory {
            Ok(directory) => Ok(State { path, directory }),
            Err(errno) => {
                // nothing is in it yet
                let error = word(errno);
                match fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(_) => Err(error),
                }
            }
        }
    }

    /// Writes state.json.
    ///
    /// # Errors
    /// As openat(2), write(2), renameat(2).
    pub fn write(&self, arena: &Arena<'a>, facts: &Facts<'a>) -> Result<'a, ()> {
        let text = compose!(
            arena,
            "{\"ociVersion\":\"",
            crate::names::SPEC_VERSION,
            "\",\"id\":",
            Text(facts.id.to_bytes()),
            ",\"status\":\"",
            facts.status,
            "\",\"pid\":",
            facts.pid,
            ",\"bundle\":",
            Text(facts.bundle.to_bytes()),
            "}"
        );
        self.put(c"state.json", c".state.json", text, Mode::from_raw_mode(0o600))
            .map_err(|errno| fail!(arena, errno => "write the container's state.json"))
    }

    fn put(&self, name: &CStr, beside: &CStr, text: &[u8], mode: Mode) -> core::result::Result<(), Errno> {
        write_renamed(self.directory.as_fd(), name, beside, text, mode)
    }

    /// Removes the directory with all that hull put into it.
    ///
    /// # Errors
    /// As unlinkat(2), rmdir(2), after a second try: a fault of the moment must not leave the id in use.
    pub fn remove(self) -> core::result::Result<(), Errno> {
        self.try_to_remove().or_else(|_| self.try_to_remove())
    }

    fn try_to_remove(&self) -> core::result::Result<(), Errno> {
        for name in [c"state.json", c".state.json"] {
            match fs::unlinkat(&self.directory, name, AtFlags::empty()) {
                // only one of the two is there, or none
                Ok(()) => break,
                Err(Errno::NOENT) => {}
                Err(other) => return Err(other),
            }
        }
        fs::unlinkat(CWD, self.path, AtFlags::REMOVEDIR)
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
    directory: rustix::fd::BorrowedFd<'_>,
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
