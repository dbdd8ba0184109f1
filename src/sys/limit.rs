//! Resource limits by number (prlimit(2)): rustix names only the limits it knows and reads 32-bit values differently.
//! Oldest kernel: 2.6.36.
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::{done3, syscall5};
use linux_raw_sys::general as n;

/// Sets the limits of process `pid` (0: this one); u64::MAX is RLIM_INFINITY.
///
/// # Errors
/// EPERM where the hard limit would rise without CAP_SYS_RESOURCE in the initial user namespace, EINVAL where soft is
/// above hard.
pub fn set_limit(pid: u32, resource: u32, soft: u64, hard: u64) -> Outcome<()> {
    let limit = [soft, hard];
    // SAFETY: `struct rlimit64` is two u64; the old limits are not asked for.
    unsafe { done3(n::__NR_prlimit64, pid as usize, resource as usize, &raw const limit as usize) }
}

/// The soft limit on open files of this process.
///
/// # Errors
/// As prlimit(2).
pub fn open_files() -> Outcome<u64> {
    let mut limit = [0u64; 2];
    // SAFETY: the kernel writes a `struct rlimit64`, two u64, into `limit`.
    unsafe { syscall5(n::__NR_prlimit64, 0, n::RLIMIT_NOFILE as usize, 0, &raw mut limit as usize, 0) }
        .done()?;
    let [soft, _] = limit;
    Ok(soft)
}
