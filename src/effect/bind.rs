//! Binding one thing onto another by descriptors: a detached clone (open_tree, Linux 5.2), its flags set while nobody
//! can see it (mount_setattr, 5.12), then attached (move_mount).
//!
//! Fallback on older kernels: mount(2) through `self/fd/N` of the trusted procfs, then a remount. The flags of the
//! source stay; only what the config names is set or cleared.

use super::inside::Inside;
use super::{Fault, Hint, Outcome, is_missing};
use crate::c_join;
use crate::names::mount_options::MS_NOSYMFOLLOW;
use crate::sys::directory;
use crate::sys::mount::mount_setattr;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, CWD, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{self, MountFlags, MoveMountFlags, OpenTreeFlags};

/// What the clone is to look like.
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
    /// A path of the host, symlinks followed.
    Path(&'t CStr),
}

/// A detached clone of `source` with its looks.
///
/// # Errors
/// ENOSYS and kin before Linux 5.2 (open_tree) or 5.12 (mount_setattr, only where looks are asked for).
pub fn detached(source: Source<'_>, look: &Look) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if look.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = match source {
        Source::Path(path) => mount::open_tree(CWD, path, flags)?,
        Source::Descriptor(fd) => mount::open_tree(fd, c"", flags | OpenTreeFlags::AT_EMPTY_PATH)?,
    };
    dress(tree.as_fd(), look)?;
    Ok(tree)
}

/// Sets the looks of a mount that `fd` refers to.
///
/// # Errors
/// As mount_setattr(2).
pub fn dress(fd: BorrowedFd<'_>, look: &Look) -> Result<(), Errno> {
    if look.tree != (0, 0) {
        mount_setattr(fd, true, u64::from(look.tree.0), u64::from(look.tree.1), 0)?;
    }
    if look.attributes != (0, 0) {
        mount_setattr(fd, false, u64::from(look.attributes.0), u64::from(look.attributes.1), 0)?;
    }
    Ok(())
}

/// Attaches a detached tree.
///
/// # Errors
/// As move_mount(2): ENOTDIR where one is a directory and the other is not.
pub fn attach(tree: BorrowedFd<'_>, target: Target<'_>) -> Result<(), Errno> {
    let from = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    match target {
        Target::Descriptor(fd) => {
            mount::move_mount(tree, c"", fd, c"", from | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH)
        }
        Target::Name(directory, name) => mount::move_mount(tree, c"", directory, name, from),
        Target::Path(path) => {
            mount::move_mount(tree, c"", CWD, path, from | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS)
        }
    }
}

/// Binds `source` onto `target`, by the new calls or the old.
///
/// # Errors
/// ENOSYS with a hint where looks of the whole tree need a newer kernel; else as the calls.
pub fn bind(inside: &mut Inside<'_, '_>, source: Source<'_>, target: Target<'_>, look: &Look) -> Outcome<()> {
    match detached(source, look) {
        Ok(tree) => match attach(inside.hold(tree), target) {
            Err(missing) if is_missing(missing) => {}
            other => return Ok(other?),
        },
        Err(missing) if is_missing(missing) => {}
        Err(other) => return Err(other.into()),
    }
    bind_by_path(inside, source, target, look)
}

/// The way of kernels before 5.2 (or 5.12, for looks).
fn bind_by_path(
    inside: &mut Inside<'_, '_>,
    source: Source<'_>,
    target: Target<'_>,
    look: &Look,
) -> Outcome<()> {
    if look.tree != (0, 0) {
        return Err(Fault::new(Errno::NOSYS, Hint::NeedsSetattr));
    }
    let onto = match target {
        Target::Descriptor(fd) => fd,
        Target::Name(directory, name) => {
            let opened = open_no_follow(directory, name)?;
            inside.hold(opened)
        }
        Target::Path(path) => {
            let flags = fs::OFlags::PATH | fs::OFlags::CLOEXEC;
            let opened = super::resolve::open_here(rustix::fs::CWD, path, flags)?;
            inside.hold(opened)
        }
    };
    let to = inside.by_descriptor(onto)?;
    let from = match source {
        Source::Path(path) => path,
        Source::Descriptor(fd) => inside.by_descriptor(fd)?,
    };
    let recursion = if look.recursive { MountFlags::REC } else { MountFlags::empty() };
    mount::mount(from, to, c"", MountFlags::BIND | recursion, None)?;
    if look.attributes == (0, 0) {
        return Ok(());
    }
    // the descriptor still names what lies below the new mount; reopening through its parent gives the mount itself
    let top = reopen(inside, onto)?;
    let top = inside.hold(top);
    remount(inside, top, look.attributes)
}

fn open_no_follow(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    use fs::OFlags;
    fs::openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, fs::Mode::empty())
}

/// The topmost mount at the place that `fd` names: a path through procfs crosses what is mounted there.
fn reopen(inside: &mut Inside<'_, '_>, fd: BorrowedFd<'_>) -> Outcome<OwnedFd> {
    use fs::OFlags;
    let path = inside.by_descriptor(fd)?;
    if super::resolve::is_directory(fd)? {
        let path = c_join!(inside.arena, path, "/.")?;
        return super::resolve::open_here(
            rustix::fs::CWD,
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        );
    }
    let target = read_link(inside, path)?;
    super::resolve::open_here(rustix::fs::CWD, target, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC)
}

fn read_link<'a>(inside: &Inside<'a, '_>, path: &CStr) -> Outcome<&'a CStr> {
    let mut room = [0u8; 4096];
    Ok(inside.arena.c_str(directory::read_link(CWD, path, &mut room)?)?)
}

/// Changes the flags of the mount that `top` refers to, by mount_setattr or by a remount that keeps the others.
///
/// # Errors
/// As mount(2).
pub fn remount(inside: &mut Inside<'_, '_>, top: BorrowedFd<'_>, attributes: (u32, u32)) -> Outcome<()> {
    match mount_setattr(top, false, u64::from(attributes.0), u64::from(attributes.1), 0) {
        Err(missing) if is_missing(missing) => {}
        other => return Ok(other?),
    }
    let now = fs::fstatvfs(top)?.f_flag;
    let mut flags = MountFlags::empty();
    for (vfs, attribute, flag) in [
        (StatVfsMountFlags::RDONLY, n::MOUNT_ATTR_RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOSUID, n::MOUNT_ATTR_NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, n::MOUNT_ATTR_NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, n::MOUNT_ATTR_NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NODIRATIME, n::MOUNT_ATTR_NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::empty(), n::MOUNT_ATTR_NOSYMFOLLOW, MountFlags::from_bits_retain(MS_NOSYMFOLLOW)),
    ] {
        let kept = !vfs.is_empty() && now.contains(vfs) && attributes.1 & attribute == 0;
        if kept || attributes.0 & attribute != 0 {
            flags |= flag;
        }
    }
    flags |= match (attributes.0 & n::MOUNT_ATTR__ATIME, attributes.1 & n::MOUNT_ATTR__ATIME != 0) {
        (n::MOUNT_ATTR_NOATIME, _) => MountFlags::NOATIME,
        (n::MOUNT_ATTR_STRICTATIME, _) => MountFlags::STRICTATIME,
        (_, true) => MountFlags::RELATIME,
        _ if now.contains(StatVfsMountFlags::NOATIME) => MountFlags::NOATIME,
        _ => MountFlags::empty(),
    };
    let path = if super::resolve::is_directory(top)? {
        rustix::process::fchdir(top)?;
        inside.moved();
        c"."
    } else {
        inside.by_descriptor(top)?
    };
    mount::mount_remount(path, MountFlags::BIND | flags, c"")?;
    Ok(())
}
