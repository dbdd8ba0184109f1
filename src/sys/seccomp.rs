//! Loading a system call filter, and fetching a descriptor from another process.
//!
//! | call | why | oldest kernel | fallback |
//! |---|---|---|---|
//! | seccomp | no function | 3.17 | none: the error names CONFIG_SECCOMP_FILTER |
//! | pidfd_getfd | the listener of a filter, from the process that loaded it | 5.6 | none |
#![allow(unsafe_code)]

use super::descriptor::OwnedFd;
use super::fault::Outcome;
use super::process::descriptor_of;
use super::raw::{descriptor3, done3, syscall3};
use crate::base::bpf::Classic;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, RawFd};
use rustix::process::Pid;

/// linux/seccomp.h
const SECCOMP_SET_MODE_FILTER: usize = 1;
const SECCOMP_GET_ACTION_AVAIL: usize = 2;

/// `struct sock_fprog` (linux/filter.h)
#[repr(C)]
struct Program {
    len: u16,
    filter: *const Classic,
}

/// Loads `program` as a filter of this process for good; `flags` are SECCOMP_FILTER_FLAG_*. Gives the listener's descriptor,
/// close-on-exec, where the flags ask for one, else 0.
///
/// # Errors
/// As seccomp(2): EACCES with neither no_new_privs nor CAP_SYS_ADMIN, EINVAL for a flag that the kernel lacks.
pub fn set_filter(flags: u32, program: &[Classic]) -> Outcome<RawFd> {
    let program = Program { len: program.len() as u16, filter: program.as_ptr() };
    let at = &raw const program as usize;
    // SAFETY: the program outlives the call, which copies it.
    let number = unsafe { syscall3(n::__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags as usize, at).value()? };
    Ok(number as RawFd)
}

/// Whether the kernel knows an action, SECCOMP_RET_*.
///
/// # Errors
/// EOPNOTSUPP where it does not; EINVAL before Linux 4.14, where this can't be asked.
pub fn has_action(action: u32) -> Outcome<()> {
    // SAFETY: the number outlives the call, which reads it.
    unsafe { done3(n::__NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &raw const action as usize) }
}

/// A copy of descriptor `number` of another process.
///
/// # Errors
/// As pidfd_open(2), pidfd_getfd(2): EPERM where that process may not be traced.
pub fn descriptor_from(process: Pid, number: RawFd) -> Outcome<OwnedFd> {
    let process = descriptor_of(process)?;
    // SAFETY: plain numbers; the new descriptor is owned by nobody yet.
    unsafe { descriptor3(n::__NR_pidfd_getfd, process.as_raw_fd() as usize, number as usize, 0) }
}
