//! Mount calls that rustix lacks.
//!
//! | call | why | oldest kernel | fallback |
//! |---|---|---|---|
//! | mount_setattr | changes flags of a detached tree, recursively, with no window | 5.12 | remounts after attaching, one for each mount |
#![allow(unsafe_code)]

use super::raw::syscall5;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// mount_setattr(2) on the mount that `fd` refers to: attributes to set and to clear (MOUNT_ATTR_*), a propagation
/// (MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0), for the whole tree below it where `recursive`.
///
/// # Errors
/// As in the man page; ENOSYS before Linux 5.12.
pub fn mount_setattr(
    fd: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    clear: u64,
    propagation: u64,
) -> Result<(), Errno> {
    let attributes = n::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    let flags = n::AT_EMPTY_PATH | if recursive { n::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string and `attributes` outlives the call; its size is given.
    unsafe {
        syscall5(
            n::__NR_mount_setattr,
            fd.as_raw_fd() as usize,
            c"".as_ptr() as usize,
            flags as usize,
            &raw const attributes as usize,
            size_of::<n::mount_attr>(),
        )
    }
    .map(|_| ())
}
