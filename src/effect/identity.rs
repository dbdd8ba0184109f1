//! Who the process is: user, groups, capabilities, limits, keyring, session.

use super::inside::Inside;
use super::{Fault, Hint, Outcome, call, hook};
use crate::base::knob::Knob;
use crate::base::parts::parts;
use crate::c_join;
use crate::plan::op::{Attribute, Capabilities, Hook};
use crate::rt::arena::Arena;
use crate::sys::{capability, key, limit, process};
use core::ffi::CStr;
use rustix::fs::{self, Gid, Uid};
use rustix::io::Errno;
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

/// Something that hull may not do gets a hint.
pub fn privileged(fault: Fault) -> Fault {
    if fault.is(Errno::PERM) { fault.hinted(Hint::NotPrivileged) } else { fault }
}

fn mapped(fault: Fault) -> Fault {
    if fault.is(Errno::INVAL) { fault.hinted(Hint::NotMapped) } else { privileged(fault) }
}

/// setresgid(2), then setresuid(2).
#[inline(never)]
fn become_user(uid: u32, gid: u32) -> Outcome<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_res_gid(gid, gid, gid)
        .and_then(|()| set_thread_res_uid(uid, uid, uid))
        .map_err(|errno| mapped(errno.into()))
}

/// uid and gid 0 of a user namespace whose maps are written.
///
/// # Errors
/// EINVAL where 0 is not mapped.
pub fn assume_root() -> Outcome<()> {
    become_user(0, 0)
}

/// A new session keyring; a kernel without keyrings has none to protect.
///
/// # Errors
/// As keyctl(2).
pub fn keyring(name: &CStr) -> Outcome<()> {
    match key::join_session_keyring(name) {
        Err(fault) if fault.is(Errno::NOSYS) => Ok(()),
        other => other,
    }
}

/// One property of the process `pid`; 0 is this one.
///
/// # Errors
/// As the calls of [`crate::sys::knob`], with hints.
#[cold]
#[inline(never)]
pub fn knob(pid: u32, knob: &Knob<'_>) -> Outcome<()> {
    crate::sys::knob::set(pid, knob).map_err(|fault| match fault.errno() {
        Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP => fault.hinted(Hint::NoKnob),
        Errno::PERM => fault.hinted(Hint::NoPriority),
        _ => fault,
    })
}

/// Tells the security module by its file of procfs what to do.
///
/// # Errors
/// EINVAL or ENOENT with a hint where the module is not there, or does not know what it is told.
#[cold]
#[inline(never)]
pub fn attribute(inside: &mut Inside<'_, '_>, of: Attribute, value: &CStr) -> Outcome<()> {
    let proc = inside.proc()?;
    let file = match of {
        Attribute::AppArmorExec => c"thread-self/attr/apparmor/exec",
        Attribute::Exec => c"thread-self/attr/exec",
        Attribute::KeyCreate => c"thread-self/attr/keycreate",
    };
    let written = match proc.write(file, value) {
        // the modules share their files where AppArmor has none of its own
        Err(fault) if fault.is(Errno::NOENT) => proc.write(c"thread-self/attr/exec", value),
        other => other,
    };
    written.map_err(unknown_to_module)
}

/// An error of a security module that is not there.
#[cold]
#[inline(never)]
pub fn unknown_to_module(fault: Fault) -> Fault {
    match fault.errno() {
        Errno::INVAL | Errno::NOENT | Errno::OPNOTSUPP => fault.hinted(Hint::NoModule),
        _ => fault,
    }
}

/// One resource limit of this process.
///
/// # Errors
/// EPERM with a hint where a hard limit would rise.
pub fn rlimit(resource: u32, soft: u64, hard: u64) -> Outcome<()> {
    limit::set_limit(0, resource, soft, hard).map_err(privileged)
}

/// Drops everything but `keep` from the bounding set, up to the last capability that the kernel has.
///
/// # Errors
/// EPERM with a hint without CAP_SETPCAP.
pub fn bounding_set(keep: u64) -> Outcome<()> {
    for number in 0..64u32 {
        if keep >> number & 1 == 0 && !capability::drop_from_bounding_set(number).map_err(privileged)? {
            break;
        }
    }
    Ok(())
}

/// Becomes `uid`, `gid` with exactly `groups`.
///
/// # Errors
/// EPERM, EINVAL with hints.
pub fn user(
    inside: &mut Inside<'_, '_>,
    uid: u32,
    gid: u32,
    groups: Option<&[u32]>,
    keep: bool,
) -> Outcome<()> {
    if uid != 0 {
        own_standard_descriptors(uid)?;
    }
    if keep {
        capability::keep_across_setuid(true).map_err(privileged)?;
    }
    if let Some(groups) = groups {
        match process::set_groups(groups) {
            Err(fault) if fault.is(Errno::PERM) && groups_are_denied(inside) => {
                // they stay what they are (user_namespaces(7))
                if !groups.is_empty() {
                    return Err(fault.hinted(Hint::NoGroups));
                }
            }
            other => other.map_err(mapped)?,
        }
    }
    become_user(uid, gid)
}

/// Whether setgroups(2) was given up for the user namespace that this process is in.
fn groups_are_denied(inside: &mut Inside<'_, '_>) -> bool {
    let arena = inside.arena;
    let text = inside.proc().and_then(|proc| proc.read(arena, c"self/setgroups", 64));
    text.is_ok_and(|text| text.trim_ascii() == b"deny")
}

/// Has `name` (newuidmap, newgidmap), found in the directories of `path`, write the map of the process `pid`: `text` as in
/// user_namespaces(7).
///
/// # Errors
/// EPERM with a hint where there is none, or it refuses.
pub fn map_by<'a>(arena: &Arena<'a>, name: &'a CStr, path: &CStr, pid: u32, text: &CStr) -> Outcome<()> {
    let mut args = arena.list::<&CStr>(text.to_bytes().len())?;
    args.push(name)?;
    args.push(c_join!(arena, pid)?)?;
    for number in super::namespace::numbers(text.to_bytes()) {
        args.push(arena.c_str(number)?)?;
    }
    let args = args.done();
    for directory in parts(path.to_bytes(), b':') {
        let tool =
            Hook { kind: "", path: c_join!(arena, directory, "/", name)?, args, env: &[], timeout: None };
        match hook::run(arena, &tool, &[]) {
            Err(fault) if fault.hint() == Hint::None => {}
            other => return other.map_err(|_| Fault::new(Errno::PERM, Hint::NoMapper)),
        }
    }
    Err(Fault::new(Errno::PERM, Hint::NoMapper))
}

/// Pipes and terminals handed over as standard descriptors become the user's, so that /dev/stderr can be opened anew
/// (as runc does). What can't be changed stays: read-only file systems, ids that are not mapped.
fn own_standard_descriptors(uid: u32) -> Outcome<()> {
    for number in 0..3 {
        let fd = crate::sys::stdio::standard(number);
        let stat = fs::fstat(fd)?;
        let null = stat.st_rdev as u64 == fs::makedev(1, 3) as u64;
        if stat.st_uid == uid || null {
            continue;
        }
        match call::own(fd, c"", uid, None) {
            Err(fault) if !matches!(fault.errno(), Errno::PERM | Errno::INVAL | Errno::ROFS) => {
                return Err(fault);
            }
            _ => {}
        }
    }
    Ok(())
}

/// The capability sets of the program; nothing is added to the inheritable set by hull itself (CVE-2022-29162).
///
/// # Errors
/// EPERM with a hint where hull does not have a capability that the config asks for.
pub fn capability_sets(sets: &Capabilities) -> Outcome<()> {
    capability::set_capabilities(sets.effective, sets.permitted, sets.inheritable).map_err(privileged)?;
    // an ambient capability must be inheritable, so with an empty inheritable set there is none to clear
    if sets.inheritable != 0 {
        match capability::clear_ambient() {
            Err(fault) if fault.is(Errno::INVAL) && sets.ambient == 0 => {}
            other => other?,
        }
    }
    // runc: a capability that can't be ambient (not permitted or not inheritable) is left out
    let ambient = sets.ambient & sets.permitted & sets.inheritable;
    for number in 0..64 {
        if ambient >> number & 1 == 1 {
            match capability::raise_ambient(number) {
                // the kernel has no such capability
                Err(fault) if !fault.is(Errno::INVAL) => return Err(fault),
                _ => {}
            }
        }
    }
    Ok(())
}
