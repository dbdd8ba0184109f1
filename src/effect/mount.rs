//! The mounts of a container: new file systems and binds onto places inside its root.

use super::bind::{self, Look, Source, Target};
use super::inside::{Inside, make_directory};
use super::resolve::{self, Create};
use super::{Fault, Hint, Outcome, copy};
use crate::base::text::Octal;
use crate::plan::op::{Form, Mount, Place, Source as Host};
use crate::sys::descriptor::OwnedFd;
use crate::sys::open;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::BorrowedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{self as kernel, MountFlags, MountPropagationFlags};

/// Carries one mount of the plan out.
///
/// # Errors
/// As mount(2), openat2(2), mount_setattr(2); hints for the causes that can be told apart.
pub fn mount<'a>(inside: &mut Inside<'a, '_>, mount: &Mount<'a>) -> Outcome<()> {
    match mount.form {
        Form::New { kind, source, data } => new(inside, mount, kind, source, data)?,
        Form::Bind { source, recursive } => bound(inside, mount, &source, recursive)?,
        Form::Cgroup2 { host, bind } => cgroup2(inside, mount, host, bind)?,
    }
    inside.covered(mount.place);
    propagate(inside, mount)
}

fn new<'a>(
    inside: &mut Inside<'a, '_>,
    mount: &Mount<'a>,
    kind: &CStr,
    source: &CStr,
    data: Option<&CStr>,
) -> Outcome<()> {
    let flags = MountFlags::from_bits_retain(mount.flags);
    let place = mount.place;
    if place.ours && !mount.copy_up && (!mount.inherit_mode || place.fresh) {
        inside.enter_making(place)?;
        if place.fresh {
            make_directory(place.name)?;
        }
        match kernel::mount(source, place.name, kind, flags, data) {
            Err(Errno::NOENT) => {
                make_directory(place.name)?;
                kernel::mount(source, place.name, kind, flags, data)?;
            }
            other => other?,
        }
    } else {
        let target = match mount.ordinary {
            true => ordinary(inside, place)?,
            false => inside.target(place, Create::Directory)?,
        };
        let data = if mount.inherit_mode { mode_of(inside, target, data)? } else { data };
        let below = if mount.copy_up { Some(readable(inside, place)?) } else { None };
        rustix::process::fchdir(target)?;
        inside.moved();
        kernel::mount(source, c".", kind, flags, data)?;
        if let Some(below) = below {
            copy::directory(below, readable(inside, place)?)?;
        }
    }
    if mount.recursive != (0, 0) {
        let top = inside.look(place, OFlags::PATH)?;
        bind::dress(inside, top, &Look { tree: mount.recursive, ..Look::default() })?;
    }
    Ok(())
}

/// Mount data with the mode of the directory that is covered in front.
fn mode_of<'a>(
    inside: &Inside<'a, '_>,
    target: BorrowedFd<'_>,
    data: Option<&CStr>,
) -> Outcome<Option<&'a CStr>> {
    let mode = Octal(rustix::fs::fstat(target)?.st_mode & 0o7777);
    let comma = if data.is_some() { "," } else { "" };
    Ok(Some(crate::c_join!(inside.arena, "mode=", mode, comma, data)?))
}

fn readable<'a>(inside: &Inside<'a, '_>, place: &Place<'a>) -> Outcome<OwnedFd> {
    resolve::open(inside.root, place.path, OFlags::RDONLY | OFlags::DIRECTORY)
}

/// The target of procfs and sysfs: a real directory, with no symlink anywhere on the way.
fn ordinary<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>) -> Outcome<BorrowedFd<'static>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let mut opened = resolve::open_without_symlinks(inside.root, place.path, flags);
    if opened.as_ref().is_err_and(|fault| fault.errno() == Errno::NOENT) {
        inside.target(place, Create::Directory)?;
        opened = resolve::open_without_symlinks(inside.root, place.path, flags);
    }
    match opened {
        Ok(fd) => Ok(inside.hold(fd)),
        Err(fault) => Err(match fault.errno() {
            errno @ (Errno::LOOP | Errno::NOTDIR) => Fault::new(errno, Hint::NotOrdinary),
            _ => fault,
        }),
    }
}

fn bound<'a>(
    inside: &mut Inside<'a, '_>,
    mount: &Mount<'a>,
    host: &Host<'a>,
    recursive: bool,
) -> Outcome<()> {
    let source = host.path;
    let look = Look { recursive, attributes: mount.attributes, tree: mount.recursive };
    let tree = match inside.opened(host.slot) {
        None => bind::tree(inside, Source::Path(source), &look)?,
        opened => opened,
    };
    let from = match tree {
        Some(tree) => tree.fd,
        None => {
            let from = open::open(rustix::fs::CWD, source, OFlags::PATH)?;
            inside.hold(from)
        }
    };
    let target = match inside.look(mount.place, OFlags::PATH) {
        Err(fault) if fault.errno() == Errno::NOENT => {
            let create = if resolve::is_directory(from)? { Create::Directory } else { Create::File };
            inside.target(mount.place, create)?
        }
        other => other?,
    };
    match bind::bind(inside, tree, Source::Path(source), Target::Descriptor(target), recursive) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let top = inside.look(mount.place, OFlags::PATH)?;
            bind::dress(inside, top, &look)
        }
        // move_mount(2) calls it invalid, as it does much else
        Err(_) if resolve::is_directory(from)? != resolve::is_directory(target)? => Err(Errno::NOTDIR.into()),
        Err(other) => Err(other),
    }
}

/// The cgroup v2 tree: mounted anew, or bound from the host's where the kernel won't (as runc does on EPERM and EBUSY).
fn cgroup2<'a>(
    inside: &mut Inside<'a, '_>,
    mount: &Mount<'a>,
    host: Option<&'a CStr>,
    bind: bool,
) -> Outcome<()> {
    if !bind {
        match new(inside, mount, c"cgroup2", c"cgroup", None) {
            Err(fault)
                if matches!(fault.errno(), Errno::PERM | Errno::BUSY | Errno::NODEV) && host.is_some() => {}
            other => return other,
        }
    }
    bound(inside, mount, &Host { path: host.unwrap_or(c"/sys/fs/cgroup"), slot: None }, false)
}

/// Propagation of the mount just made; several words are applied one after the other (`unbindable` after `rprivate`).
fn propagate<'a>(inside: &mut Inside<'a, '_>, mount: &Mount<'a>) -> Outcome<()> {
    for flags in mount.propagation {
        if flags == 0 {
            continue;
        }
        let top = inside.look(mount.place, OFlags::PATH)?;
        set_propagation(inside, top, flags)?;
    }
    Ok(())
}

fn set_propagation(inside: &mut Inside<'_, '_>, top: BorrowedFd<'_>, flags: u32) -> Outcome<()> {
    let recursive = flags & n::MS_REC != 0;
    match crate::sys::mount::mount_setattr(top, recursive, 0, 0, u64::from(flags & !n::MS_REC)) {
        Err(missing) if super::is_missing(missing) => {}
        other => return Ok(other?),
    }
    kernel::mount_change(inside.path_of(top)?, MountPropagationFlags::from_bits_retain(flags))?;
    Ok(())
}

/// One mount, and not what lies below it.
pub const READ_ONLY: Look = Look { recursive: false, attributes: (n::MOUNT_ATTR_RDONLY, 0), tree: (0, 0) };

/// Makes a mount read-only after everything was made in it.
///
/// # Errors
/// As mount_setattr(2) or mount(2).
pub fn read_only_mount<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>) -> Outcome<()> {
    let top = inside.look(place, OFlags::PATH)?;
    bind::dress(inside, top, &READ_ONLY)
}

/// Makes a path read-only by a bind onto itself; a path that does not exist is left out.
///
/// # Errors
/// As mount(2).
pub fn read_only_path<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>, keep: u32) -> Outcome<()> {
    if place.ours {
        match inside.enter(place) {
            Err(fault) if matches!(fault.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        }
        match kernel::mount(place.name, place.name, c"", MountFlags::BIND | MountFlags::REC, None) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        }
        let flags = MountFlags::from_bits_retain(keep) | MountFlags::BIND | MountFlags::RDONLY;
        match kernel::mount_remount(place.name, flags, c"") {
            // flags that the host locked (user namespaces) must stay: the general way keeps them all
            Err(Errno::PERM) => {}
            other => return Ok(other?),
        }
        let top = inside.look(place, OFlags::PATH)?;
        return bind::dress(inside, top, &READ_ONLY);
    }
    let target = match inside.look(place, OFlags::PATH) {
        Err(fault) if matches!(fault.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other?,
    };
    let look = Look { recursive: true, ..READ_ONLY };
    let source = Source::Descriptor(target);
    let tree = bind::tree(inside, source, &look)?;
    let dressed = bind::bind(inside, tree, source, Target::Descriptor(target), true)?;
    inside.covered(place);
    if dressed {
        return Ok(());
    }
    let top = inside.look(place, OFlags::PATH)?;
    bind::dress(inside, top, &look)
}

/// Hides a path: a directory under an empty read-only tmpfs, anything else under the null device. A path that does not
/// exist is left out. `file`: it is known to be a file where it exists, so that is tried first.
///
/// # Errors
/// As mount(2); see [`Inside::null`].
pub fn mask<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>, file: bool) -> Outcome<()> {
    if place.ours {
        match inside.enter(place) {
            Err(fault) if matches!(fault.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other?,
        }
        let here = Target::Name(rustix::fs::CWD, place.name);
        if file {
            match hide_file(inside, here) {
                Err(fault) if fault.errno() == Errno::NOENT => return Ok(()),
                Err(fault) if fault.errno() == Errno::NOTDIR => {}
                other => return other,
            }
        }
        match kernel::mount(c"tmpfs", place.name, c"tmpfs", MountFlags::RDONLY, None) {
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTDIR) => {}
            other => return Ok(other?),
        }
        return hide_file(inside, here);
    }
    let target = match inside.look(place, OFlags::PATH) {
        Err(fault) if matches!(fault.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        other => other?,
    };
    if resolve::is_directory(target)? {
        rustix::process::fchdir(target)?;
        inside.moved();
        kernel::mount(c"tmpfs", c".", c"tmpfs", MountFlags::RDONLY, None)?;
    } else {
        hide_file(inside, Target::Descriptor(target))?;
    }
    inside.covered(place);
    Ok(())
}

fn hide_file(inside: &mut Inside<'_, '_>, target: Target<'_>) -> Outcome<()> {
    let null = Source::Descriptor(inside.null()?);
    let tree = match inside.spare.take() {
        None => bind::tree(inside, null, &Look::default())?,
        spare => spare,
    };
    let bound = bind::bind(inside, tree, null, target, false);
    if bound.is_err() {
        inside.spare = tree;
    }
    bound.map(|_| ())
}
