//! Device nodes and the links beside them.

use super::Outcome;
use super::bind::{self, Look, Source, Target};
use super::inside::Inside;
use crate::plan::op::{Device, Place, Source as Host};
use core::ffi::CStr;
use rustix::fd::BorrowedFd;
use rustix::fs::{self, CWD, FileType, Gid, Mode, Uid};
use rustix::io::Errno;

/// The directory of a place: the working directory where only we fill it, else a descriptor.
fn parent<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>) -> Outcome<BorrowedFd<'static>> {
    if place.ours {
        inside.enter_making(place)?;
        return Ok(CWD);
    }
    let directory = inside.directory(place)?;
    Ok(inside.hold(directory))
}

/// Makes a node, or binds the host's where the plan says so or mknod is refused (as runc does). One that is there stays.
///
/// # Errors
/// As mknodat(2), move_mount(2).
pub fn device<'a>(inside: &mut Inside<'a, '_>, device: &Device<'a>) -> Outcome<()> {
    let at = parent(inside, device.place)?;
    if device.host.slot.is_some() {
        return from_host(inside, at, device.place.name, &device.host);
    }
    let kind = FileType::from_raw_mode(device.mode);
    let number = fs::makedev(device.number.0, device.number.1);
    match fs::mknodat(at, device.place.name, kind, Mode::from_raw_mode(device.mode & 0o7777), number) {
        Err(Errno::EXIST) => return same(at, device),
        Err(Errno::PERM) => return from_host(inside, at, device.place.name, &device.host),
        other => other?,
    }
    if device.owner != (0, 0) {
        let (uid, gid) = (Uid::from_raw(device.owner.0), Gid::from_raw(device.owner.1));
        fs::chownat(at, device.place.name, Some(uid), Some(gid), super::resolve::NO_FOLLOW)?;
    }
    Ok(())
}

/// Whether what stands in the way is the very device; anything else is refused rather than used in its place.
fn same(at: BorrowedFd<'_>, device: &Device<'_>) -> Outcome<()> {
    let stat = fs::statat(at, device.place.name, super::resolve::NO_FOLLOW)?;
    let kind = FileType::from_raw_mode(device.mode);
    let number = fs::makedev(device.number.0, device.number.1);
    let same = FileType::from_raw_mode(stat.st_mode) == kind
        && (kind == FileType::Fifo || stat.st_rdev as u64 == number as u64);
    if same { Ok(()) } else { Err(Errno::EXIST.into()) }
}

fn from_host(inside: &mut Inside<'_, '_>, at: BorrowedFd<'_>, name: &CStr, host: &Host<'_>) -> Outcome<()> {
    match fs::mknodat(at, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(other) => return Err(other.into()),
    }
    let source = Source::Path(host.path);
    let tree = match inside.opened(host.slot) {
        None => bind::tree(inside, source, &Look::default())?,
        opened => opened,
    };
    bind::bind(inside, tree, source, Target::Name(at, name), false).map(|_| ())
}

/// Makes a symlink; one that is there stays.
///
/// # Errors
/// As symlinkat(2).
pub fn link<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>, to: &CStr) -> Outcome<()> {
    let at = parent(inside, place)?;
    match fs::symlinkat(to, at, place.name) {
        Err(Errno::EXIST) => Ok(()),
        other => Ok(other?),
    }
}
