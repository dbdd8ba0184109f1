//! Device nodes and the links beside them.

use super::bind::{self, Look, Source, Target};
use super::inside::Inside;
use super::resolve::Create;
use super::{Outcome, call};
use crate::plan::op::{Device, Place, Source as Host};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::BorrowedFd;
use rustix::fs::{self, AtFlags, CWD, OFlags};
use rustix::io::Errno;

/// The directory of a place: the working directory where only we fill it, else a descriptor.
fn parent<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>) -> Outcome<BorrowedFd<'static>> {
    if place.ours {
        inside.enter(place, Create::Directory)?;
        return Ok(CWD);
    }
    inside.at(place.parent, OFlags::PATH | OFlags::DIRECTORY, Create::Directory)
}

/// Makes a node, or binds the host's where the plan says so or mknod is refused (as runc does). One that is there stays.
///
/// # Errors
/// As mknodat(2), move_mount(2).
#[inline(never)]
pub fn device<'a>(inside: &mut Inside<'a, '_>, device: &Device<'a>) -> Outcome<()> {
    let at = parent(inside, device.place)?;
    if device.host.slot.is_some() {
        return from_host(inside, at, device.place.name, &device.host);
    }
    let number = fs::makedev(device.number.0, device.number.1);
    match call::make_node(at, device.place.name, device.mode, number) {
        Err(fault) if fault.is(Errno::EXIST) => return same(at, device, number),
        Err(fault) if fault.is(Errno::PERM) => {
            return from_host(inside, at, device.place.name, &device.host);
        }
        other => other?,
    }
    if device.owner == (0, 0) {
        return Ok(());
    }
    call::own(at, device.place.name, device.owner.0, Some(device.owner.1))
}

/// Whether what stands in the way is the very device; anything else is refused rather than used in its place.
// the field has another width on 32 bits
#[allow(clippy::unnecessary_cast)]
fn same(at: BorrowedFd<'_>, device: &Device<'_>, number: u64) -> Outcome<()> {
    let stat = fs::statat(at, device.place.name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = device.mode & n::S_IFMT;
    let same = stat.st_mode & n::S_IFMT == kind && (kind == n::S_IFIFO || stat.st_rdev as u64 == number);
    if same { Ok(()) } else { Err(Errno::EXIST.into()) }
}

fn from_host(inside: &mut Inside<'_, '_>, at: BorrowedFd<'_>, name: &CStr, host: &Host<'_>) -> Outcome<()> {
    match call::make_node(at, name, n::S_IFREG | 0o644, 0) {
        Err(fault) if fault.is(Errno::EXIST) => {}
        other => other?,
    }
    let source = Source::Path(host.path);
    let tree = match inside.opened(host.slot) {
        None => bind::tree(inside, source, &Look::default())?,
        opened => opened,
    };
    bind::bind(inside, tree, source, Target::Name(at, name), &Look::default()).map(|_| ())
}

/// Makes a symlink; one that is there stays.
///
/// # Errors
/// As symlinkat(2).
pub fn link<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>, to: &CStr) -> Outcome<()> {
    let at = parent(inside, place)?;
    match call::make_link(to, at, place.name) {
        Err(fault) if fault.is(Errno::EXIST) => Ok(()),
        other => other,
    }
}
