//! The root: bound onto itself, entered, and the host's left behind.

use super::bind::{self, Target, Tree};
use super::inside::Inside;
use super::mount::READ_ONLY;
use super::{Fault, Hint, Outcome, call, resolve};
use crate::base::parts::parts;
use crate::base::{number, path};
use crate::plan::op::Source;
use crate::sys::{descriptor, open};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::process::{chdir, chroot, pivot_root};

/// Propagation of the whole inherited tree.
///
/// # Errors
/// As mount(2).
pub fn propagation(flags: u32) -> Outcome<()> {
    call::change_mount(c"/", flags)
}

/// Makes the mount that the root is put on private.
///
/// # Errors
/// As mount(2).
pub fn parent_private() -> Outcome<()> {
    propagation(n::MS_PRIVATE)
}

/// Makes the root a mount of its own, so that pivot_root(2) takes it and read-only flags stay inside: a clone of its mount
/// is put on top of "/", where nothing of the host's tree has to be reachable or changed. The process's own root is still
/// the one below, so host paths keep their meaning until [`enter`].
///
/// Fallback before Linux 5.2: a bind onto itself.
///
/// # Errors
/// ENOENT and ENOTDIR with a hint where the root is missing.
pub fn bind_root<'a>(inside: &mut Inside<'a, '_>, root: &Source<'a>) -> Outcome<()> {
    inside.root_path = root.path;
    let tree = match inside.opened(root.slot) {
        Some(tree) => Some(tree),
        None => match bind::detached(bind::Source::Path(root.path), true) {
            Ok(tree) => Some(Tree { fd: descriptor::leave_open(tree), dressed: true, foreign: false }),
            Err(fault) if fault.is_missing() => None,
            Err(other) => return Err(missing_root(other)),
        },
    };
    if let Some(tree) = tree {
        if !resolve::is_directory(tree.fd)? {
            return Err(missing_root(Errno::NOTDIR.into()));
        }
        match bind::attach(tree.fd, Target::Name(CWD, c"/")) {
            Ok(()) => {
                inside.root = tree.fd;
                inside.on_top = true;
                return bind::leave_peers(inside, tree);
            }
            Err(fault) if fault.is_missing() => {}
            Err(other) => return Err(other),
        }
    }
    onto_itself(inside, root.path)
}

/// The way before Linux 5.2.
fn onto_itself(inside: &mut Inside<'_, '_>, path: &CStr) -> Outcome<()> {
    // what follows goes through procfs on such a kernel, and behind the root there may be none; whoever needs it will
    // say that it is missing
    match inside.proc() {
        Ok(_) | Err(_) => {}
    }
    // as the clone on "/" has it: pivot_root(2) and MS_MOVE refuse a mount on a shared one, and the mount that the path
    // lies on is the first above that this works on
    let mut above = path;
    while call::change_mount(above, n::MS_PRIVATE).is_err_and(|fault| fault.is(Errno::INVAL)) {
        let text = above.to_bytes();
        let end = text.iter().rposition(|&b| b == b'/').unwrap_or(0).max(1);
        if text.len() <= end {
            break;
        }
        above = inside.arena.c_str(text.get(..end).unwrap_or(text))?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    call::mount(path, path, c"", n::MS_BIND | n::MS_REC, None).map_err(missing_root)?;
    inside.root = descriptor::leave_open(open::open(CWD, path, flags)?);
    Ok(())
}

/// A root that is not there gets a hint.
pub fn missing_root(fault: Fault) -> Fault {
    match fault.errno() {
        Errno::NOENT | Errno::NOTDIR => fault.hinted(Hint::NoRoot),
        _ => fault,
    }
}

/// Enters the root and lets go of the host's: by pivot_root(2), or where the host's root is the kernel's own rootfs
/// (EINVAL: it can't be pivoted away) or the user asked, by moving the mount over it.
///
/// # Errors
/// As the calls.
#[inline(never)]
pub fn enter(inside: &mut Inside<'_, '_>, pivot: bool, shared: bool) -> Outcome<()> {
    inside.move_to(inside.root)?;
    if pivot {
        match pivot_root(c".", c".") {
            Ok(()) => {
                if shared {
                    // the unmount below must not reach the host's mounts, which share ours
                    call::change_mount(c".", n::MS_SLAVE | n::MS_REC)?;
                }
                call::detach(c".")?;
                return Ok(chdir(c"/")?);
            }
            Err(Errno::INVAL) => {}
            Err(other) => return Err(other.into()),
        }
    }
    detach_others(inside)?;
    inside.move_to(inside.root)?;
    if !inside.on_top {
        call::mount(c".", c"/", c"", n::MS_MOVE, None)?;
    }
    chroot(c".")?;
    Ok(chdir(c"/")?)
}

/// Detaches every mount of the host that is neither above nor below the root. After MS_MOVE they would still lie in
/// the container's mount namespace, where a process that gets out of the chroot finds the host's /proc and /sys, and
/// where a nested user namespace may mount proc anew because one is fully visible.
fn detach_others(inside: &mut Inside<'_, '_>) -> Outcome<()> {
    let arena = inside.arena;
    let root = inside.root_path.to_bytes();
    let list = match inside.proc() {
        Ok(proc) => proc.read(arena, c"self/mountinfo", 1 << 20),
        Err(fault) => Err(fault),
    };
    let mut rest = list.map_err(|fault| fault.hinted(Hint::NoPivot))?;
    // the last mount first: it may lie on one before it
    while !rest.is_empty() {
        let start = rest.iter().rposition(|&b| b == b'\n').unwrap_or(0);
        let (before, line) = rest.split_at_checked(start).unwrap_or_default();
        rest = before;
        let Some(field) = parts(line, b' ').skip_to(4) else { continue };
        let place = unescape(arena, field)?;
        let bytes = place.to_bytes();
        if path::is_within(bytes, root) || path::is_within(root, bytes) {
            continue;
        }
        match call::detach(place) {
            // gone with another, or locked together with what lies above it
            Err(fault) if !(fault.is(Errno::INVAL) || fault.is(Errno::NOENT)) => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

/// A path of mountinfo: space, tab, newline and backslash stand there as `\040` and so on (proc_pid_mountinfo(5)).
#[inline(never)]
pub fn unescape<'a>(arena: &crate::rt::arena::Arena<'a>, field: &[u8]) -> Outcome<&'a CStr> {
    let mut text = arena.list::<u8>(field.len())?;
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code =
            if byte == b'\\' { after.get(..3).and_then(|digits| number::octal(digits, 255)) } else { None };
        match code {
            Some(code) => {
                text.push(code as u8)?;
                rest = after.get(3..).unwrap_or(&[]);
            }
            None => {
                text.push(byte)?;
                rest = after;
            }
        }
    }
    Ok(arena.c_str(text.items())?)
}

/// Propagation of the container's root.
///
/// # Errors
/// As mount(2).
pub fn own_propagation(flags: u32) -> Outcome<()> {
    propagation(flags)
}

/// Makes the container's root mount read-only, and only that one.
///
/// # Errors
/// As mount_setattr(2), mount(2).
pub fn read_only(inside: &mut Inside<'_, '_>) -> Outcome<()> {
    if bind::set(inside.root, &READ_ONLY)? {
        return Ok(());
    }
    // not by a way that changes the working directory, which is the program's by now
    bind::remount_at(c"/", inside.root, READ_ONLY.attributes)
}
