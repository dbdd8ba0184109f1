//! Capabilities by number: prctl(2) and capset(2) for capabilities that this build may not know by name.
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::{done3, syscall5};
use linux_raw_sys::general as n;
use rustix::io::Errno;

const PR_SET_KEEPCAPS: usize = 8;
const PR_CAPBSET_DROP: usize = 24;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_RAISE: usize = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;

fn prctl(args: [usize; 5]) -> Outcome<()> {
    let [a, b, c, d, e] = args;
    // SAFETY: the options used in this file take plain numbers.
    unsafe { syscall5(n::__NR_prctl, a, b, c, d, e) }.done()
}

/// Drops capability `number` from the bounding set; `Ok(false)` where the kernel has no such capability.
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub fn drop_from_bounding_set(number: u32) -> Outcome<bool> {
    match prctl([PR_CAPBSET_DROP, number as usize, 0, 0, 0]) {
        Ok(()) => Ok(true),
        Err(fault) if fault.is(Errno::INVAL) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Keeps (or not) the permitted set across a change from uid 0 to another.
///
/// # Errors
/// EPERM where securebits lock it.
pub fn keep_across_setuid(keep: bool) -> Outcome<()> {
    prctl([PR_SET_KEEPCAPS, usize::from(keep), 0, 0, 0])
}

/// Empties the ambient set.
///
/// # Errors
/// EINVAL before Linux 4.3.
pub fn clear_ambient() -> Outcome<()> {
    prctl([PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0])
}

/// Raises capability `number` in the ambient set.
///
/// # Errors
/// EPERM where it is not both permitted and inheritable.
pub fn raise_ambient(number: u32) -> Outcome<()> {
    prctl([PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number as usize, 0, 0])
}

/// capset(2): the effective, permitted and inheritable sets of this process, bit n for capability n.
///
/// # Errors
/// EPERM where a capability is not permitted.
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Outcome<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`
    const VERSION: u32 = 0x2008_0522;
    let head = [VERSION, 0];
    // `struct __user_cap_data_struct` twice: the low halves of the three, then the high ones
    let halves = |set: u64| [set as u32, (set >> 32) as u32];
    let ([e, f], [p, q], [i, j]) = (halves(effective), halves(permitted), halves(inheritable));
    let data = [e, p, i, f, q, j];
    // SAFETY: header and data are as large as version 3 of the interface says and outlive the call.
    unsafe { done3(n::__NR_capset, &raw const head as usize, &raw const data as usize, 0) }
}
