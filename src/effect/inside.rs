//! What the child holds while it carries the plan out: the root, a procfs, and where its working directory is.
//!
//! Invariant: `here` is `Some(path)` only while the working directory is that directory of the container, with nothing
//! mounted on it since. Two neighbouring operations in one directory then share one resolution.

use super::bind::Tree;
use super::procfs::Proc;
use super::resolve::{self, Create};
use super::{Fault, Hint, Outcome, call};
use crate::base::path;
use crate::c_join;
use crate::plan::op::Place;
use crate::rt::arena::Arena;
use crate::sys::descriptor;
use crate::sys::descriptor::OwnedFd;
use crate::sys::process::Vector;
use core::ffi::CStr;
use heapless::Vec;
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

/// The child's state.
pub struct Inside<'a, 'b> {
    /// The child's copy of the arena.
    pub arena: &'b Arena<'a>,
    /// The socket to the parent.
    pub channel: BorrowedFd<'b>,
    /// `start` is at the other end of the channel.
    pub started: bool,
    /// The parent's word that the world knows of the container was heard already.
    pub announced: bool,
    /// The path of the program, once it was looked for.
    pub program: Option<&'a CStr>,
    /// What it gets, once all is ready for it: argv and environment.
    pub vectors: Option<[Vector<'a>; 2]>,
    /// Namespaces that are open and not joined yet.
    pub joined: [Option<BorrowedFd<'static>>; 8],
    /// The root's path on the host, for leaving an initramfs.
    pub root_path: &'a CStr,
    /// Clones of host paths that the parent opened, by slot; -1 where it could not, [`UNDRESSED`] added where neither
    /// the looks are set nor the peers on the host left.
    pub sources: &'b [RawFd],
    /// The root mount lies on top of "/" already.
    pub on_top: bool,
    /// The container's root mount, once it is there.
    pub root: BorrowedFd<'static>,
    proc: Option<Proc>,
    null: Option<BorrowedFd<'static>>,
    /// A detached clone of /dev/null that found no path to hide.
    pub spare: Option<Tree>,
    here: Option<&'a CStr>,
    held: Vec<RawFd, HELD>,
}

/// A bit that no descriptor has: fs.nr_open ends far below.
pub const UNDRESSED: RawFd = 1 << 30;

/// Descriptors that are left open between two sweeps; one operation opens a handful.
const HELD: usize = 64;

impl<'a, 'b> Inside<'a, 'b> {
    /// The state right after the clone.
    pub fn new(arena: &'b Arena<'a>, channel: BorrowedFd<'b>, sources: &'b [RawFd]) -> Self {
        Inside {
            arena,
            channel,
            started: false,
            announced: false,
            program: None,
            vectors: None,
            joined: [None; 8],
            root_path: c"/",
            sources,
            on_top: false,
            root: CWD,
            proc: None,
            null: None,
            spare: None,
            here: None,
            held: Vec::new(),
        }
    }

    /// The clone that the parent left in `slot`.
    pub fn opened(&self, slot: Option<u16>) -> Option<Tree> {
        let number = *self.sources.get(usize::from(slot?))?;
        let fd = descriptor::borrow(number & !UNDRESSED);
        let dressed = number & UNDRESSED == 0;
        (number >= 0).then_some(Tree { fd, dressed, foreign: !dressed })
    }

    /// Keeps a descriptor open for the rest of the operation, or until exec closes it: most containers need so few that
    /// closing each would be the larger part of the work.
    #[inline(never)]
    pub fn hold(&mut self, fd: OwnedFd) -> BorrowedFd<'static> {
        if self.held.push(fd.as_raw_fd()).is_err() {
            // an operation with that many descriptors does not exist; the rest stays open until exec
        }
        descriptor::leave_open(fd)
    }

    /// Between operations: closes what is held, once it is much.
    pub fn sweep(&mut self) {
        if self.held.len() < HELD / 2 {
            return;
        }
        for number in &self.held {
            descriptor::close(*number);
        }
        self.held.clear();
        self.null = None;
        self.spare = None;
    }

    /// The trusted procfs; opened at the first call, which must come before the root is entered.
    ///
    /// # Errors
    /// As [`Proc::open`].
    #[inline(never)]
    pub fn proc(&mut self) -> Outcome<Proc> {
        if let Some(proc) = self.proc {
            return Ok(proc);
        }
        let proc = Proc::open()?;
        self.proc = Some(proc);
        Ok(proc)
    }

    /// The container's /dev/null, checked (CVE-2025-31133: in an image it may be a symlink to anything).
    ///
    /// # Errors
    /// ENODEV with a hint where it is something else.
    pub fn null(&mut self) -> Outcome<BorrowedFd<'static>> {
        if let Some(null) = self.null {
            return Ok(null);
        }
        match self.at(c"dev/null", OFlags::PATH | OFlags::NOFOLLOW, Create::Nothing) {
            Ok(null) if call::is_device(null, 1, 3)? => {
                self.null = Some(null);
                Ok(null)
            }
            Err(fault) if !fault.is(Errno::NOENT) => Err(fault),
            // never ENOENT: that would be taken for a path that needs no mask
            _ => Err(Fault::new(Errno::NODEV, Hint::NotNull)),
        }
    }

    /// Makes `parent` of a place of our own the working directory, so that its name alone is a path; `create`: missing
    /// directories are made.
    ///
    /// # Errors
    /// As [`Inside::at`].
    #[inline(never)]
    pub fn enter(&mut self, place: &Place<'a>, create: Create) -> Outcome<()> {
        if self.here == Some(place.parent) {
            return Ok(());
        }
        let directory = self.at(place.parent, OFlags::PATH | OFlags::DIRECTORY, create)?;
        call::change_directory(directory)?;
        self.here = Some(place.parent);
        Ok(())
    }

    /// Opens `path` below the root as it is now, with what is mounted on it; where it is missing, it is made as `create`
    /// says.
    ///
    /// # Errors
    /// As openat2(2), mkdirat(2); EROFS with a hint where the root is read-only and the target missing.
    #[inline(never)]
    pub fn at(&mut self, path: &CStr, flags: OFlags, create: Create) -> Outcome<BorrowedFd<'static>> {
        let fd = match resolve::open(self.root, path, flags) {
            Err(fault) if fault.is(Errno::NOENT) && create != Create::Nothing => {
                match resolve::walk(self.root, path, flags, create) {
                    Err(fault) if fault.is(Errno::ROFS) => return Err(fault.hinted(Hint::MissingTarget)),
                    other => other?,
                }
            }
            other => other?,
        };
        Ok(self.hold(fd))
    }

    /// Opens a place for mounting on it, or for looking at what is mounted on it.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn look(&mut self, place: &Place<'a>) -> Outcome<BorrowedFd<'static>> {
        self.at(place.path, OFlags::PATH, Create::Nothing)
    }

    /// To be called after anything is mounted on `place`, or the working directory was changed otherwise.
    pub fn covered(&mut self, place: &Place<'a>) {
        if self.here.is_some_and(|here| path::is_within(here.to_bytes(), place.path.to_bytes())) {
            self.here = None;
        }
    }

    /// The working directory is no known place any more.
    pub fn moved(&mut self) {
        self.here = None;
    }

    /// A path for a call that takes no descriptor: `self/fd/N`, relative to the working directory, which becomes the
    /// trusted procfs.
    ///
    /// # Errors
    /// As [`Inside::proc`].
    #[inline(never)]
    pub fn by_descriptor(&mut self, fd: BorrowedFd<'_>) -> Outcome<&'a CStr> {
        let proc = self.proc()?;
        self.move_to(proc.root())?;
        Ok(c_join!(self.arena, "self/fd/", fd.as_raw_fd())?)
    }

    /// The same for the mount itself that `fd` lies on: its directory becomes the working directory, a file goes by
    /// procfs.
    ///
    /// # Errors
    /// As fchdir(2), [`Inside::proc`].
    pub fn path_of(&mut self, fd: BorrowedFd<'_>) -> Outcome<&'a CStr> {
        if !resolve::is_directory(fd)? {
            return self.by_descriptor(fd);
        }
        self.move_to(fd)?;
        Ok(c".")
    }

    /// Makes a directory that is no known place the working directory.
    ///
    /// # Errors
    /// As fchdir(2).
    pub fn move_to(&mut self, directory: BorrowedFd<'_>) -> Outcome<()> {
        self.moved();
        call::change_directory(directory)
    }
}
