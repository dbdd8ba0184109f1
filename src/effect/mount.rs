//! The mounts of a container: new file systems and binds onto places inside its root.

use super::bind::{self, Look, Source, Target};
use super::inside::Inside;
use super::resolve::{self, Create};
use super::{Fault, Hint, Outcome, call, copy, identity};
use crate::base::text::Octal;
use crate::names::mount_options;
use crate::plan::op::{Form, Mount, Place, Source as Host};
use crate::sys::open;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::BorrowedFd;
use rustix::fs::{self, CWD, OFlags, XattrFlags};
use rustix::io::Errno;

/// Carries one mount of the plan out.
///
/// # Errors
/// As mount(2), openat2(2), mount_setattr(2); hints for the causes that can be told apart.
pub fn mount<'a>(inside: &mut Inside<'a, '_>, mount: &Mount<'a>) -> Outcome<()> {
    match mount.form {
        Form::New { kind, source, data } => {
            new(inside, mount, kind, source, data).map_err(|fault| labelled(fault, data))?
        }
        Form::Bind { source, recursive } => bound(inside, mount, &source, recursive)?,
        Form::Change { bind, data } => change(inside, mount, bind, data)?,
        Form::Cgroup2 { host, bind } => cgroup2(inside, mount, host, bind)?,
    }
    if mount.flags & mount_options::MS_NOSYMFOLLOW != 0 {
        follows_none(inside, mount.place)?;
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
    let place = mount.place;
    if place.ours && !mount.copy_up && (!mount.inherit_mode || place.fresh) {
        inside.enter(place, Create::Directory)?;
        let mut missing = place.fresh;
        loop {
            if missing {
                make_directory(place.name)?;
            }
            match call::mount(source, place.name, kind, mount.flags, data) {
                Err(fault) if fault.is(Errno::NOENT) && !missing => missing = true,
                other => break other?,
            }
        }
    } else {
        let target = match mount.ordinary {
            true => ordinary(inside, place)?,
            false => inside.at(place.path, OFlags::PATH, Create::Directory)?,
        };
        let data = if mount.inherit_mode { mode_of(inside, target, data)? } else { data };
        let below = if mount.copy_up { Some(readable(inside, place)?) } else { None };
        inside.move_to(target)?;
        call::mount(source, c".", kind, mount.flags, data)?;
        if let Some(below) = below {
            copy::directory(below, readable(inside, place)?)?;
        }
    }
    if mount.recursive != (0, 0) {
        let top = inside.look(place)?;
        bind::dress(inside, top, &Look { tree: mount.recursive, ..Look::default() })?;
    }
    Ok(())
}

/// mount(2) before Linux 5.10 takes the flag and forgets it.
#[cold]
#[inline(never)]
fn follows_none<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>) -> Outcome<()> {
    let top = inside.look(place)?;
    match bind::attributes(top)? & n::MOUNT_ATTR_NOSYMFOLLOW {
        0 => Err(Errno::OPNOTSUPP.into()),
        _ => Ok(()),
    }
}

/// Changes what is mounted on a place. The mount alone keeps what the config does not name; with its file system it gets
/// exactly the flags that are given (mount(2), "Remounting an existing mount").
#[cold]
#[inline(never)]
fn change<'a>(
    inside: &mut Inside<'a, '_>,
    mount: &Mount<'a>,
    bind: bool,
    data: Option<&CStr>,
) -> Outcome<()> {
    let top = inside.look(mount.place)?;
    let mut look = Look { tree: mount.recursive, ..Look::default() };
    if bind {
        look.attributes = mount.attributes;
    } else {
        let path = inside.path_of(top)?;
        call::mount(c"none", path, c"", mount.flags | n::MS_REMOUNT, data)?;
    }
    bind::dress(inside, top, &look)
}

/// Without SELinux no file system knows the option of a label.
#[cold]
#[inline(never)]
fn labelled(fault: Fault, data: Option<&CStr>) -> Fault {
    match data {
        Some(data) if data.to_bytes().windows(8).any(|part| part == b"context=") => {
            identity::unknown_to_module(fault)
        }
        _ => fault,
    }
}

/// Sets the SELinux label of what is mounted on a place.
///
/// # Errors
/// As setxattr(2), with a hint.
#[cold]
#[inline(never)]
pub fn label<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>, label: &CStr) -> Outcome<()> {
    let top = inside.look(place)?;
    let path = inside.path_of(top)?;
    fs::setxattr(path, c"security.selinux", label.to_bytes(), XattrFlags::empty())
        .map_err(|errno| identity::unknown_to_module(errno.into()))
}

/// A directory in the working directory; one that is there already is fine.
fn make_directory(name: &CStr) -> Outcome<()> {
    match call::make_directory(CWD, name, 0o755) {
        Err(fault) if fault.is(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Mount data with the mode of the directory that is covered in front.
fn mode_of<'a>(
    inside: &Inside<'a, '_>,
    target: BorrowedFd<'_>,
    data: Option<&CStr>,
) -> Outcome<Option<&'a CStr>> {
    let mode = Octal(call::mode(target)? & 0o7777);
    let comma = if data.is_some() { "," } else { "" };
    Ok(Some(crate::c_join!(inside.arena, "mode=", mode, comma, data)?))
}

fn readable<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>) -> Outcome<BorrowedFd<'static>> {
    inside.at(place.path, OFlags::RDONLY | OFlags::DIRECTORY, Create::Nothing)
}

/// The target of procfs and sysfs: a real directory, with no symlink anywhere on the way.
fn ordinary<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>) -> Outcome<BorrowedFd<'static>> {
    let mut made = false;
    loop {
        match resolve::open_without_symlinks(inside.root, place.path, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(fd) => return Ok(inside.hold(fd)),
            Err(fault) if fault.is(Errno::NOENT) && !made => {
                inside.at(place.path, OFlags::PATH, Create::Directory)?;
                made = true;
            }
            Err(fault) if matches!(fault.errno(), Errno::LOOP | Errno::NOTDIR) => {
                return Err(fault.hinted(Hint::NotOrdinary));
            }
            Err(fault) => return Err(fault),
        }
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
        None => inside.hold(open::open(CWD, source, OFlags::PATH)?),
    };
    let target = match inside.look(mount.place) {
        Err(fault) if fault.is(Errno::NOENT) => {
            let create = if resolve::is_directory(from)? { Create::Directory } else { Create::File };
            inside.at(mount.place.path, OFlags::PATH, create)?
        }
        other => other?,
    };
    match bind::bind(inside, tree, Source::Path(source), Target::Descriptor(target), &look) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let top = inside.look(mount.place)?;
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
    match bound(inside, mount, &Host { path: host.unwrap_or(c"/sys/fs/cgroup"), slot: None }, false) {
        // an ordinary user's container went without a cgroup: it must not see the host's, which may lie there
        // already by a bind of /sys (runc's rule)
        Err(fault) if fault.is(Errno::NOENT) => mask(inside, mount.place, false),
        other => other,
    }
}

/// Propagation of the mount just made; several words are applied one after the other (`unbindable` after `rprivate`).
fn propagate<'a>(inside: &mut Inside<'a, '_>, mount: &Mount<'a>) -> Outcome<()> {
    for flags in mount.propagation {
        if flags == 0 {
            continue;
        }
        let top = inside.look(mount.place)?;
        set_propagation(inside, top, flags)?;
    }
    Ok(())
}

fn set_propagation(inside: &mut Inside<'_, '_>, top: BorrowedFd<'_>, flags: u32) -> Outcome<()> {
    let recursive = flags & n::MS_REC != 0;
    match crate::sys::mount::mount_setattr(top, recursive, 0, 0, flags & !n::MS_REC) {
        Err(fault) if fault.is_missing() => call::change_mount(inside.path_of(top)?, flags),
        other => other,
    }
}

/// One mount, and not what lies below it.
pub const READ_ONLY: Look = Look { recursive: false, attributes: (n::MOUNT_ATTR_RDONLY, 0), tree: (0, 0) };

/// Makes a mount read-only after everything was made in it.
///
/// # Errors
/// As mount_setattr(2) or mount(2).
pub fn read_only_mount<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>) -> Outcome<()> {
    let top = inside.look(place)?;
    bind::dress(inside, top, &READ_ONLY)
}

/// Makes a path read-only by a bind onto itself; a path that does not exist is left out.
///
/// # Errors
/// As mount(2).
#[inline(never)]
pub fn read_only_path<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>, keep: u32) -> Outcome<()> {
    let done = if place.ours {
        match inside.enter(place, Create::Nothing) {
            Err(fault) if is_absent(fault) => return Ok(()),
            other => other?,
        }
        match call::mount(place.name, place.name, c"", n::MS_BIND | n::MS_REC, None) {
            Err(fault) if fault.is(Errno::NOENT) => return Ok(()),
            other => other?,
        }
        match call::change_mount(place.name, keep | n::MS_REMOUNT | n::MS_BIND | n::MS_RDONLY) {
            // flags that the host locked (user namespaces) must stay: the general way keeps them all
            Err(fault) if fault.is(Errno::PERM) => false,
            other => return other,
        }
    } else {
        let target = match inside.look(place) {
            Err(fault) if is_absent(fault) => return Ok(()),
            other => other?,
        };
        let source = Source::Descriptor(target);
        let look = Look { recursive: true, ..READ_ONLY };
        let tree = bind::tree(inside, source, &look)?;
        let done = bind::bind(inside, tree, source, Target::Descriptor(target), &look)?;
        inside.covered(place);
        done
    };
    if done {
        return Ok(());
    }
    let top = inside.look(place)?;
    bind::dress(inside, top, &READ_ONLY)
}

/// Whether a path does not exist.
fn is_absent(fault: Fault) -> bool {
    fault.is(Errno::NOENT) || fault.is(Errno::NOTDIR)
}

/// Hides a path: a directory under an empty read-only tmpfs, anything else under the null device. A path that does not
/// exist is left out. `file`: it is known to be a file where it exists, so that is tried first.
///
/// # Errors
/// As mount(2); see [`Inside::null`].
#[inline(never)]
pub fn mask<'a>(inside: &mut Inside<'a, '_>, place: &Place<'a>, file: bool) -> Outcome<()> {
    if place.ours {
        match inside.enter(place, Create::Nothing) {
            Err(fault) if is_absent(fault) => return Ok(()),
            other => other?,
        }
        let here = Target::Name(CWD, place.name);
        if file {
            match hide_file(inside, here) {
                Err(fault) if fault.is(Errno::NOENT) => return Ok(()),
                Err(fault) if fault.is(Errno::NOTDIR) => {}
                other => return other,
            }
        }
        return match hide_directory(place.name) {
            Err(fault) if fault.is(Errno::NOENT) => Ok(()),
            Err(fault) if fault.is(Errno::NOTDIR) => hide_file(inside, here),
            other => other,
        };
    }
    let target = match inside.look(place) {
        Err(fault) if is_absent(fault) => return Ok(()),
        other => other?,
    };
    inside.covered(place);
    if !resolve::is_directory(target)? {
        return hide_file(inside, Target::Descriptor(target));
    }
    inside.move_to(target)?;
    hide_directory(c".")
}

fn hide_directory(name: &CStr) -> Outcome<()> {
    call::mount(c"tmpfs", name, c"tmpfs", n::MS_RDONLY, None)
}

fn hide_file(inside: &mut Inside<'_, '_>, target: Target<'_>) -> Outcome<()> {
    let null = Source::Descriptor(inside.null()?);
    let tree = match inside.spare.take() {
        None => bind::tree(inside, null, &Look::default())?,
        spare => spare,
    };
    let bound = bind::bind(inside, tree, null, target, &Look::default());
    if bound.is_err() {
        inside.spare = tree;
    }
    bound.map(|_| ())
}
