//! Mount calls that rustix lacks.
//!
//! | call | why | oldest kernel | fallback |
//! |---|---|---|---|
//! | mount_setattr | changes flags of a detached tree, recursively, with no window | 5.12 | remounts after attaching, one for each mount |
//! | statx with STATX_MNT_ID | rustix asks for statx in two more ways first | 5.8 | fdinfo |
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::syscall5;
use core::mem::MaybeUninit;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};

/// mount_setattr(2) on the mount that `fd` refers to: attributes to set and to clear (MOUNT_ATTR_*), a propagation
/// (MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0), for the whole tree below it where `recursive`.
///
/// # Errors
/// As in the man page; ENOSYS before Linux 5.12.
pub fn mount_setattr(
    fd: BorrowedFd<'_>,
    recursive: bool,
    set: u32,
    clear: u32,
    propagation: u32,
) -> Outcome<()> {
    let [attr_set, attr_clr, propagation] = [set, clear, propagation].map(u64::from);
    change(fd, recursive, &n::mount_attr { attr_set, attr_clr, propagation, userns_fd: 0 })
}

/// mount_setattr(2) that maps the ids of a detached mount by a user namespace (MOUNT_ATTR_IDMAP).
///
/// # Errors
/// EINVAL where the file system does not take part, EPERM without CAP_SYS_ADMIN in its user namespace; ENOSYS.
#[cold]
pub fn map_ids(fd: BorrowedFd<'_>, recursive: bool, namespace: BorrowedFd<'_>) -> Outcome<()> {
    let (attr_set, userns_fd) = (n::MOUNT_ATTR_IDMAP.into(), namespace.as_raw_fd() as u64);
    change(fd, recursive, &n::mount_attr { attr_set, attr_clr: 0, propagation: 0, userns_fd })
}

fn change(fd: BorrowedFd<'_>, recursive: bool, attributes: &n::mount_attr) -> Outcome<()> {
    let flags = n::AT_EMPTY_PATH | if recursive { n::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string and `attributes` outlives the call; its size is given.
    unsafe {
        let (fd, path) = (fd.as_raw_fd() as usize, c"".as_ptr() as usize);
        let (attributes, size) = (core::ptr::from_ref(attributes) as usize, size_of::<n::mount_attr>());
        syscall5(n::__NR_mount_setattr, fd, path, flags as usize, attributes, size)
    }
    .done()
}

/// The id of the mount that `fd` lies on, as mountinfo has it; `None` where the kernel does not tell (before Linux 5.8).
pub fn mount_id(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut about = MaybeUninit::<n::statx>::zeroed();
    let (fd, path) = (fd.as_raw_fd() as usize, c"".as_ptr() as usize);
    let (flags, mask) = (n::AT_EMPTY_PATH as usize, n::STATX_MNT_ID as usize);
    // SAFETY: the path is an empty C string, and the kernel writes a `struct statx` into `about`, for which all zero is
    // valid as well.
    let about = unsafe {
        syscall5(n::__NR_statx, fd, path, flags, mask, about.as_mut_ptr() as usize).done().ok()?;
        about.assume_init()
    };
    (about.stx_mask & n::STATX_MNT_ID != 0).then_some(about.stx_mnt_id)
}
