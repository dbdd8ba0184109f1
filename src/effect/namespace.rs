//! Namespaces of others: opened by path, joined in an order that needs no more rights than there are, and left with a clone.

use super::inside::Inside;
use super::{Fault, Hint, Outcome};
use crate::plan::op::Joined;
use crate::sys::process::{self, Cloned};
use crate::sys::{descriptor, open};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::BorrowedFd;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

/// Opens the file of a namespace.
///
/// # Errors
/// As open(2).
pub fn open<'a>(inside: &mut Inside<'a, '_>, joined: &Joined<'a>) -> Outcome<()> {
    if joined.kind.clone_flag() & u64::from(n::CLONE_NEWNS | n::CLONE_NEWUSER) != 0 {
        // what /proc shows behind them may be of a pid namespace that this process is not in
        inside.proc()?;
    }
    // a FIFO in its place must not hold hull up
    let file = open::open(CWD, joined.path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    if let Some(slot) = inside.joined.get_mut(usize::from(joined.slot)) {
        *slot = Some(descriptor::leave_open(file));
    }
    Ok(())
}

/// Joins a namespace, once; `early`: where the rights don't suffice yet, that is left to the next try.
///
/// # Errors
/// As setns(2), with a hint.
pub fn join<'a>(inside: &mut Inside<'a, '_>, joined: &Joined<'a>, early: bool) -> Outcome<()> {
    let Some(slot) = inside.joined.get_mut(usize::from(joined.slot)) else { return Ok(()) };
    let Some(file) = *slot else { return Ok(()) };
    match process::join_namespace(file, joined.kind.clone_flag() as u32) {
        Err(fault) if early && fault.is(Errno::PERM) => return Ok(()),
        Err(fault) if fault.is(Errno::INVAL) => return Err(fault.hinted(Hint::NotNamespace)),
        other => other.map_err(super::identity::privileged)?,
    }
    *slot = None;
    inside.moved();
    Ok(())
}

/// Whether the joined user namespace maps what the config says, as far as its maker's view goes.
///
/// # Errors
/// EINVAL with a hint where it does not.
pub fn same_map<'a>(inside: &mut Inside<'a, '_>, file: &CStr, text: &CStr) -> Outcome<()> {
    let path = crate::c_join!(inside.arena, "self/", file)?;
    let map = inside.proc()?.read(inside.arena, path, 1 << 16)?;
    let same = numbers(map).eq(numbers(text.to_bytes()));
    if same { Ok(()) } else { Err(Fault::new(Errno::INVAL, Hint::OtherMap)) }
}

/// The numbers of a map (user_namespaces(7)).
pub fn numbers(map: &[u8]) -> impl Iterator<Item = &[u8]> {
    map.split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty())
}

/// clone3 into the namespaces of `flags`, and the cgroup `directory`; where the kernel or a filter has no clone3 (or no
/// CLONE_INTO_CGROUP), clone without the cgroup. Tells whether the cgroup is left to the caller.
///
/// # Errors
/// As clone(2), with a hint.
pub fn clone(flags: u64, directory: Option<BorrowedFd<'_>>) -> Outcome<(Cloned, bool)> {
    let mut outside = false;
    let cloned = match process::clone3(flags, directory) {
        Err(fault) if fault.is_missing() || fault.is(Errno::TOOBIG) => {
            outside = directory.is_some();
            match process::clone3(flags, None) {
                Err(fault) if fault.is_missing() && flags & u64::from(n::CLONE_NEWTIME) == 0 => {
                    process::clone(flags as u32)
                }
                other => other,
            }
        }
        other => other,
    };
    let cloned = cloned.map_err(|fault| match fault.errno() {
        Errno::INVAL | Errno::NOSPC | Errno::USERS | Errno::PERM => fault.hinted(Hint::NoNamespace),
        // pid_namespaces(7): the first process of a joined pid namespace has ended
        Errno::NOMEM => fault.hinted(Hint::NoInit),
        _ => fault,
    })?;
    Ok((cloned, outside))
}
