//! `tmpcopyup`: the content of a directory is copied into the tmpfs that covers it, with types, modes, owners and times.
//!
//! Works on descriptors on both sides and follows no symlink; the source is what lies below the mount, the target a
//! file system that nobody else can reach yet.

use super::{Outcome, call};
use crate::rt::c_string;
use crate::sys::{directory, open};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

/// Directories nested deeper than this are refused: each level holds two descriptors and a frame.
const MAX_DEPTH: u32 = 64;

/// Copies everything in `from` into `to`, and `from`'s own mode, owner and times onto `to`.
///
/// # Errors
/// As the calls; ELOOP where directories nest deeper than 64.
#[inline(never)]
pub fn directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
    let stat = fs::statat(from, c".", AtFlags::SYMLINK_NOFOLLOW)?;
    entries(from, to, MAX_DEPTH)?;
    finish(to, c".", &stat)
}

fn entries(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Outcome<()> {
    let Some(depth) = depth.checked_sub(1) else { return Err(Errno::LOOP.into()) };
    let mut room = [0u8; 2048];
    loop {
        let names = directory::read_entries(from, &mut room)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            one(from, to, name, depth)?;
        }
    }
}

#[inline(never)]
fn one(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: u32) -> Outcome<()> {
    let stat = fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match stat.st_mode & n::S_IFMT {
        n::S_IFDIR => {
            call::make_directory(to, name, 0o700)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let from = open::open(from, name, flags)?;
            let to = open::open(to, name, flags)?;
            entries(from.as_fd(), to.as_fd(), depth)?;
        }
        n::S_IFREG => file(from, to, name)?,
        n::S_IFLNK => link(from, to, name)?,
        _ => call::make_node(to, name, stat.st_mode, stat.st_rdev as _)?,
    }
    finish(to, name, &stat)
}

// apart, for its room: directories nest
#[inline(never)]
fn link(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Outcome<()> {
    let mut room = [0u8; 4096];
    // a byte is left over and still zero, so a NUL follows the text
    directory::read_link(from, name, room.get_mut(..4095).unwrap_or(&mut []))?;
    call::make_link(c_string::until_nul(&room).ok_or(Errno::INVAL)?, to, name)
}

#[inline(never)]
fn file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Outcome<()> {
    let source = open::open(from, name, OFlags::RDONLY | OFlags::NOFOLLOW)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let target = open::create(to, name, flags, 0o600)?;
    call::copy(source.as_fd(), target.as_fd())
}

/// Owner first: a change of owner clears set-id bits, which the mode then sets again.
// the fields of stat have other widths on 32 bits
#[allow(clippy::unnecessary_cast)]
fn finish(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Outcome<()> {
    match call::own(to, name, stat.st_uid, Some(stat.st_gid)) {
        // an owner that the user namespace does not map can't be kept
        Err(fault) if fault.is(Errno::INVAL) || fault.is(Errno::PERM) => {}
        other => other?,
    }
    if stat.st_mode & n::S_IFMT != n::S_IFLNK {
        fs::chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    let time = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds as _, tv_nsec: nanoseconds as _ };
    let times = Timestamps {
        last_access: time(stat.st_atime as i64, stat.st_atime_nsec as u64),
        last_modification: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
    };
    Ok(fs::utimensat(to, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
