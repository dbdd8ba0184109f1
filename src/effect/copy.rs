//! `tmpcopyup`: the content of a directory is copied into the tmpfs that covers it, with types, modes, owners and times.
//!
//! Works on descriptors on both sides and follows no symlink; the source is what lies below the mount, the target a
//! file system that nobody else can reach yet.

use super::Outcome;
use crate::rt::c_string;
use crate::sys::descriptor::OwnedFd;
use crate::sys::directory;
use crate::sys::open;
use core::ffi::CStr;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

/// Directories nested deeper than this are refused: each level holds two descriptors and a frame.
const MAX_DEPTH: u32 = 64;

/// Copies everything in `from` into `to`, and `from`'s own mode, owner and times onto `to`.
///
/// # Errors
/// As the calls; ELOOP where directories nest deeper than 64.
pub fn directory(from: OwnedFd, to: OwnedFd) -> Outcome<()> {
    let stat = fs::fstat(&from)?;
    entries(&from, &to, MAX_DEPTH)?;
    finish(to.as_fd(), c"", &stat)
}

fn entries(from: &OwnedFd, to: &OwnedFd, depth: u32) -> Outcome<()> {
    let Some(depth) = depth.checked_sub(1) else { return Err(Errno::LOOP.into()) };
    let mut room = [0u8; 2048];
    loop {
        let names = directory::read_entries(from.as_fd(), &mut room)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names.filter(|name| *name != c"." && *name != c"..") {
            one(from.as_fd(), to.as_fd(), name, depth)?;
        }
    }
}

fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Outcome<()> {
    let stat = fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let inner_from = open::open(from, name, flags)?;
            let inner_to = open::open(to, name, flags)?;
            entries(&inner_from, &inner_to, depth)?;
        }
        FileType::RegularFile => file(from, to, name)?,
        FileType::Symlink => {
            let mut room = [0u8; 4096];
            let len = directory::read_link(from, name, room.get_mut(..4095).unwrap_or(&mut []))?.len();
            // the rest is still zero, so a NUL follows the text
            let target = c_string::until_nul(room.get(..=len).unwrap_or(&[0])).ok_or(Errno::INVAL)?;
            fs::symlinkat(target, to, name)?;
        }
        kind => fs::mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode), stat.st_rdev as _)?,
    }
    finish(to, name, &stat)
}

fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Outcome<()> {
    let source = open::open(from, name, OFlags::RDONLY | OFlags::NOFOLLOW)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let target = open::create(to, name, flags, 0o600)?;
    while fs::sendfile(&target, &source, None, 1 << 30)? > 0 {}
    Ok(())
}

/// Owner first: a change of owner clears set-id bits, which the mode then sets again.
// the fields of stat have other widths on 32 bits
#[allow(clippy::unnecessary_cast)]
fn finish(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Outcome<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    let at = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    match fs::chownat(to, name, Some(uid), Some(gid), at) {
        // an owner that the user namespace does not map can't be kept
        Err(Errno::INVAL | Errno::PERM) => {}
        other => other?,
    }
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        if name.is_empty() {
            fs::fchmod(to, mode)?
        } else {
            fs::chmodat(to, name, mode, AtFlags::empty())?
        };
    }
    let time = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds as _, tv_nsec: nanoseconds as _ };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    if name.is_empty() {
        fs::futimens(to, &times)?
    } else {
        fs::utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?
    };
    Ok(())
}
