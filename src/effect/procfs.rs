//! A procfs that can be trusted: the host's /proc, checked by magic and root inode, or a private one that nobody can
//! reach by a path (CVE-2019-16884, CVE-2025-52881).
//!
//! Opened while the host's mounts are still in place. Where the host has none mounted, fsopen makes a detached one
//! (Linux 5.2).

use super::{Hint, Outcome, call};
use crate::rt::arena::Arena;
use crate::sys::descriptor::{self, OwnedFd};
use crate::sys::{directory, open};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, CWD, OFlags, ResolveFlags};
use rustix::io::Errno;

/// PROC_SUPER_MAGIC (linux/magic.h).
const MAGIC: u32 = 0x9fa0;
/// PROC_ROOT_INO: anything else is a directory inside a procfs, bound there by somebody.
const ROOT_INODE: u64 = 1;

/// A directory descriptor of a procfs root, open until exec or exit.
#[derive(Clone, Copy)]
pub struct Proc(BorrowedFd<'static>);

impl Proc {
    /// The host's /proc, or a detached one.
    ///
    /// # Errors
    /// ENOENT with a hint where there is neither.
    pub fn open() -> Outcome<Proc> {
        if let Ok(root) = open::open(CWD, c"/proc", OFlags::PATH | OFlags::DIRECTORY)
            && genuine(root.as_fd())?
        {
            return Ok(Proc(descriptor::leave_open(root)));
        }
        let attributes = n::MOUNT_ATTR_NOSUID | n::MOUNT_ATTR_NODEV | n::MOUNT_ATTR_NOEXEC;
        match open::file_system(c"proc", attributes) {
            Ok(root) => Ok(Proc(descriptor::leave_open(root))),
            Err(fault) => Err(fault.hinted(Hint::NoProc)),
        }
    }

    /// The descriptor of the root.
    pub fn root(self) -> BorrowedFd<'static> {
        self.0
    }

    /// Opens a file below the root; no symlink but the kernel's own `self` is followed.
    ///
    /// # Errors
    /// As openat2(2).
    pub fn file(self, path: &CStr, flags: OFlags) -> Outcome<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match open::open_by(self.0, path, flags, resolve) {
            // the root is a genuine procfs, in which only the kernel makes names: a plain open is as good
            Err(missing) if missing.is_missing() => open::open(self.0, path, flags),
            other => other,
        }
    }

    /// Writes `value` to a file below the root, in one write.
    ///
    /// # Errors
    /// As openat2(2) and write(2); EIO for a short write.
    pub fn write(self, path: &CStr, value: &CStr) -> Outcome<()> {
        let file = self.file(path, OFlags::WRONLY)?;
        call::write(file.as_fd(), value.to_bytes())
    }

    /// Reads a whole file below the root into the arena, at most `limit` bytes.
    ///
    /// # Errors
    /// As openat2(2) and read(2); EFBIG past the limit.
    pub fn read<'a>(self, arena: &Arena<'a>, path: &CStr, limit: usize) -> Outcome<&'a [u8]> {
        let file = self.file(path, OFlags::RDONLY)?;
        read_all(arena, file.as_fd(), limit)
    }
}

/// Reads what is left of `file` into the arena, at most `limit` bytes. The end is where nothing more comes.
///
/// # Errors
/// As read(2); EFBIG past the limit, ENOMEM where the arena is full.
pub fn read_all<'a>(arena: &Arena<'a>, file: BorrowedFd<'_>, limit: usize) -> Outcome<&'a [u8]> {
    read(arena, file, limit, true)
}

/// `whole`: up to the end of the file, else what one call gives.
#[inline(never)]
fn read<'a>(arena: &Arena<'a>, file: BorrowedFd<'_>, limit: usize, whole: bool) -> Outcome<&'a [u8]> {
    let text = arena.fill(limit, &mut |room| {
        let mut len = 0usize;
        loop {
            let Some(free) = room.get_mut(len..).filter(|free| !free.is_empty()) else {
                return Err(Errno::FBIG);
            };
            match directory::read(file, free) {
                Ok(new) => {
                    len = len.saturating_add(new);
                    if new == 0 || !whole {
                        return Ok(len);
                    }
                }
                Err(Errno::INTR) => {}
                Err(other) => return Err(other),
            }
        }
    })?;
    Ok(text)
}

/// Opens and reads a file, at most `limit` bytes; `whole`: to its end, else what one call gives, which is all of a small
/// file of /proc or a cgroup tree.
///
/// # Errors
/// As open(2) and [`read_all`].
#[inline(never)]
pub fn read_path<'a>(
    arena: &Arena<'a>,
    at: BorrowedFd<'_>,
    path: &CStr,
    limit: usize,
    whole: bool,
) -> Outcome<&'a [u8]> {
    let file = open::open(at, path, OFlags::RDONLY)?;
    read(arena, file.as_fd(), limit, whole)
}

/// Reads a small file of the host's own /proc or cgroup tree: one that the kernel gives whole in one read.
///
/// # Errors
/// As open(2), read(2).
pub fn read_small<'a>(arena: &Arena<'a>, at: BorrowedFd<'_>, path: &CStr) -> Outcome<&'a [u8]> {
    read_path(arena, at, path, 4096, false)
}

/// Whether `root` is the root of a procfs.
fn genuine(root: BorrowedFd<'_>) -> Outcome<bool> {
    Ok(call::magic(root)? == MAGIC && fs::fstat(root)?.st_ino as u64 == ROOT_INODE)
}
