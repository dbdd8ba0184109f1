//! Binding one thing onto another by descriptors: a detached clone (open_tree, Linux 5.2), its looks set while nobody
//! can see it (mount_setattr, 5.12), then attached (move_mount).
//!
//! Fallback on older kernels: mount(2) through `self/fd/N` of the trusted procfs, and a remount of each mount whose looks
//! change. The flags of the source stay; only what the config names is set or cleared, and what can't be is an error.

use super::inside::Inside;
use super::procfs::read_small;
use super::{Fault, Hint, Outcome, call, resolve, root};
use crate::base::number::decimal;
use crate::base::parts::{line_after, lines, parts};
use crate::base::text::after;
use crate::c_join;
use crate::names::mount_options;
use crate::rt::arena::Arena;
use crate::rt::region;
use crate::sys::descriptor::OwnedFd;
use crate::sys::mount::{self, mount_setattr};
use crate::sys::open;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{self, CWD, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};

/// Bytes of mountinfo that are expected at most; there is room for sixteen times as many.
const MOUNTINFO: usize = 256 << 10;

/// What the bind is to look like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// The submounts too.
    pub recursive: bool,
    /// MOUNT_ATTR_* to set and clear on the mount itself.
    pub attributes: (u32, u32),
    /// MOUNT_ATTR_* to set and clear on the whole tree.
    pub tree: (u32, u32),
}

/// The source of a bind.
#[derive(Clone, Copy)]
pub enum Source<'s> {
    /// A path of the host, before the root is entered.
    Path(&'s CStr),
    /// A descriptor in this mount namespace.
    Descriptor(BorrowedFd<'s>),
}

/// Where the bind goes.
#[derive(Clone, Copy)]
pub enum Target<'t> {
    /// A descriptor.
    Descriptor(BorrowedFd<'t>),
    /// A name in a directory that only we fill; a symlink there is not followed.
    Name(BorrowedFd<'t>, &'t CStr),
}

/// A detached clone of a source.
#[derive(Clone, Copy)]
pub struct Tree {
    /// Its descriptor, left open until exec or the next sweep.
    pub fd: BorrowedFd<'static>,
    /// Its looks are set; where not, they follow once it is attached.
    pub dressed: bool,
    /// Its mounts are still peers of the host's.
    pub foreign: bool,
}

/// A detached clone of `source`.
///
/// # Errors
/// As open_tree(2), which Linux has since 5.2.
#[inline(never)]
pub fn detached(source: Source<'_>, recursive: bool) -> Outcome<OwnedFd> {
    let flags = if recursive { OpenTreeFlags::AT_RECURSIVE } else { OpenTreeFlags::empty() };
    let (at, path) = match source {
        Source::Path(path) => (CWD, path),
        Source::Descriptor(fd) => (fd, c""),
    };
    open::open_tree(at, path, flags | OpenTreeFlags::AT_EMPTY_PATH)
}

/// Sets the looks of a mount that `fd` refers to in one go; `false` where the kernel can't or won't.
///
/// # Errors
/// As mount_setattr(2), but for a kernel that lacks it.
#[inline(never)]
pub fn set(fd: BorrowedFd<'_>, look: &Look) -> Outcome<bool> {
    for (recursive, (set, clear)) in [(true, look.tree), (false, look.attributes)] {
        if (set, clear) == (0, 0) {
            continue;
        }
        match mount_setattr(fd, recursive, set, clear, 0) {
            Err(fault) if fault.is_missing() => return Ok(false),
            other => other?,
        }
    }
    Ok(true)
}

/// A clone for [`bind`]; `None` where the kernel has none to give.
///
/// # Errors
/// As [`detached`] and [`set`].
pub fn tree(inside: &mut Inside<'_, '_>, source: Source<'_>, look: &Look) -> Outcome<Option<Tree>> {
    match detached(source, look.recursive) {
        Ok(tree) => {
            let fd = inside.hold(tree);
            Ok(Some(Tree { fd, dressed: set(fd, look)?, foreign: false }))
        }
        Err(fault) if fault.is_missing() => Ok(None),
        Err(other) => Err(other),
    }
}

/// Attaches a detached tree.
///
/// # Errors
/// As move_mount(2): ENOTDIR where one is a directory and the other is not.
#[inline(never)]
pub fn attach(tree: BorrowedFd<'_>, target: Target<'_>) -> Outcome<()> {
    let (at, name) = match target {
        Target::Descriptor(fd) => (fd, c""),
        Target::Name(directory, name) => (directory, name),
    };
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(tree, c"", at, name, flags)?)
}

/// Binds `source`, of which `tree` is a clone where there is one, onto `target`. Where the result is `false`, nobody has
/// set the looks: that is for [`dress`], on what is found at the place now.
///
/// # Errors
/// As move_mount(2) or mount(2).
#[inline(never)]
pub fn bind(
    inside: &mut Inside<'_, '_>,
    tree: Option<Tree>,
    source: Source<'_>,
    target: Target<'_>,
    look: &Look,
) -> Outcome<bool> {
    if let Some(tree) = tree {
        match attach(tree.fd, target) {
            Ok(()) => {
                leave_peers(inside, tree)?;
                if !tree.dressed {
                    dress(inside, tree.fd, look)?;
                }
                return Ok(true);
            }
            Err(fault) if fault.is_missing() => {}
            Err(other) => return Err(other),
        }
    }
    let onto = match target {
        Target::Descriptor(fd) => fd,
        Target::Name(directory, name) => {
            let opened = open::open(directory, name, OFlags::PATH | OFlags::NOFOLLOW)?;
            inside.hold(opened)
        }
    };
    let to = inside.by_descriptor(onto)?;
    let from = match source {
        Source::Path(path) => path,
        Source::Descriptor(fd) => inside.by_descriptor(fd)?,
    };
    call::mount(from, to, c"", n::MS_BIND | if look.recursive { n::MS_REC } else { 0 }, None)?;
    Ok(false)
}

/// Makes an attached tree that the parent could only open a slave of the host's mounts.
///
/// # Errors
/// As mount(2).
pub fn leave_peers(inside: &mut Inside<'_, '_>, tree: Tree) -> Outcome<()> {
    if tree.foreign {
        call::change_mount(inside.path_of(tree.fd)?, n::MS_SLAVE | n::MS_REC)?;
    }
    Ok(())
}

/// Sets the looks of the mount that `top` refers to, wherever it is attached.
///
/// # Errors
/// As mount_setattr(2) or mount(2); EOPNOTSUPP for an option that this kernel does not know; EBUSY with a hint where a
/// mount of the tree can't be reached.
#[inline(never)]
pub fn dress(inside: &mut Inside<'_, '_>, top: BorrowedFd<'_>, look: &Look) -> Outcome<()> {
    if set(top, look)? {
        return Ok(());
    }
    if look.tree != (0, 0) {
        below(inside, top, look.tree)?;
        remount(inside, top, look.tree)?;
    }
    if look.attributes != (0, 0) {
        remount(inside, top, look.attributes)?;
    }
    Ok(())
}

/// Remounts every mount below `top`. They are told by their ids: a path alone may lead to the host's mount of that name,
/// or to one that hides the one that is meant, and a mount left out would stay writable.
fn below(inside: &mut Inside<'_, '_>, top: BorrowedFd<'_>, change: (u32, u32)) -> Outcome<()> {
    // not from the child's own arena: a busy host has thousands of mounts, and a config may ask for this many times
    let scratch = region::sized(MOUNTINFO)?;
    let text = inside.proc()?.read(&scratch, c"self/mountinfo", scratch.capacity())?;
    let lines = || lines(text).filter_map(Line::read);
    let mut known = scratch.list::<u64>(lines().count())?;
    let own = mount_id(inside, &scratch, top)?;
    let hidden = Fault::new(Errno::BUSY, Hint::NeedsSetattr);
    let start = lines().find(|line| line.id == own).ok_or(hidden)?.place;
    known.push(own)?;
    // the list has no order to rely on: a mount may come before the one that it lies on
    loop {
        let so_far = known.items().len();
        for line in lines() {
            if known.items().contains(&line.id) || !known.items().contains(&line.parent) {
                continue;
            }
            let relative = after(line.place, start).ok_or(hidden)?;
            let place = root::unescape(&scratch, relative)?;
            let found = resolve::open(top, place, OFlags::PATH).map_err(|_| hidden)?;
            if mount_id(inside, &scratch, found.as_fd())? != line.id {
                return Err(hidden);
            }
            remount(inside, found.as_fd(), change)?;
            known.push(line.id)?;
        }
        if known.items().len() == so_far {
            return Ok(());
        }
    }
}

/// What matters here of a line of mountinfo (proc_pid_mountinfo(5)).
struct Line<'l> {
    id: u64,
    parent: u64,
    place: &'l [u8],
}

impl<'l> Line<'l> {
    fn read(line: &'l [u8]) -> Option<Line<'l>> {
        let mut fields = parts(line, b' ');
        let id = decimal(fields.next()?, u64::MAX)?;
        let parent = decimal(fields.next()?, u64::MAX)?;
        Some(Line { id, parent, place: fields.skip_to(2)? })
    }
}

/// The id of the mount that `fd` lies on, as mountinfo has it: by statx(2) since Linux 5.8, else from fdinfo.
fn mount_id(inside: &mut Inside<'_, '_>, scratch: &Arena<'_>, fd: BorrowedFd<'_>) -> Outcome<u64> {
    if let Some(id) = mount::mount_id(fd) {
        return Ok(id);
    }
    let path = c_join!(scratch, "self/fdinfo/", fd.as_raw_fd())?;
    let text = read_small(scratch, inside.proc()?.root(), path)?;
    line_after(text, b"mnt_id:\t").and_then(|id| decimal(id, u64::MAX)).ok_or(Errno::PROTO.into())
}

fn remount(inside: &mut Inside<'_, '_>, top: BorrowedFd<'_>, change: (u32, u32)) -> Outcome<()> {
    let path = inside.path_of(top)?;
    remount_at(path, top, change)
}

/// The remount of kernels before 5.12: every flag is given, those that stay as well. `path` leads to `top`.
///
/// # Errors
/// As mount(2); EOPNOTSUPP for an option that this kernel does not know.
pub fn remount_at(path: &CStr, top: BorrowedFd<'_>, (set, clear): (u32, u32)) -> Outcome<()> {
    let wanted = attributes(top)? & !clear | set;
    call::change_mount(path, n::MS_REMOUNT | n::MS_BIND | mount_options::flags(wanted))?;
    // mount(2) drops what it does not know without a word (MS_NOSYMFOLLOW before Linux 5.10)
    let missing = wanted & !attributes(top)? & !n::MOUNT_ATTR__ATIME;
    if missing == 0 { Ok(()) } else { Err(Errno::OPNOTSUPP.into()) }
}

/// The MOUNT_ATTR_* bits of the mount that `fd` lies on.
///
/// # Errors
/// As fstatfs(2).
// the field has other widths on 32 bits
#[allow(clippy::unnecessary_cast)]
pub fn attributes(fd: BorrowedFd<'_>) -> Outcome<u32> {
    Ok(mount_options::shown(fs::fstatfs(fd)?.f_flags as u32))
}
