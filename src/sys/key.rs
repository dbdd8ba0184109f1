//! Session keyrings: keyctl(2), which rustix lacks. Oldest kernel: any with CONFIG_KEYS; without it, ENOSYS.
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::{done3, syscall3};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::io::Errno;

const JOIN_SESSION_KEYRING: usize = 1;
const SETPERM: usize = 5;

/// All a possessor may do but set attributes, and view, read and search for the same user: what a new session keyring
/// has, plus search, so that processes that join the container later find keys in it (as runc does).
const PERMISSIONS: usize = 0x1f0b_0000;

/// Joins a new session keyring called `name`, and lets the same user search it. Where one of that name is still there (a
/// container of that id that has just ended), the kernel joins that one: it shows in that its attributes can't be set any
/// more, and then a new keyring without a name is joined, so that no container ever finds another's keys.
///
/// # Errors
/// ENOSYS without CONFIG_KEYS, EDQUOT where the user has too many keys.
pub fn join_session_keyring(name: &CStr) -> Outcome<()> {
    match join(name.as_ptr() as usize) {
        Err(fault) if matches!(fault.errno(), Errno::ACCESS | Errno::PERM) => join(0),
        other => other,
    }
}

/// `name`: the address of a C string, or 0.
fn join(name: usize) -> Outcome<()> {
    // SAFETY: the name is a C string or absent; the rest are numbers.
    unsafe {
        let ring = syscall3(n::__NR_keyctl, JOIN_SESSION_KEYRING, name, 0).value()?;
        done3(n::__NR_keyctl, SETPERM, ring, PERMISSIONS)
    }
}
