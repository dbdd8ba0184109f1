//! Calls that make descriptors. rustix has them, but what it returns asserts at every use that it is not -1, and an
//! assertion is a panic path; see [`OwnedFd`].
//!
//! | call | oldest kernel | fallback |
//! |---|---|---|
//! | openat2 | 5.6 | a walk without following symlinks (`effect::resolve`) |
//! | open_tree | 5.2 | mount(2) with MS_BIND |
//! | fsopen, fsmount | 5.2 | error |
//! | memfd_create | 3.17 | a read-only clone of the mount |
#![allow(unsafe_code)]

use super::descriptor::OwnedFd;
use super::fault::Outcome;
use super::raw::{descriptor3, syscall3, syscall5};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{CWD, MemfdFlags, OFlags, ResolveFlags};
use rustix::mount::OpenTreeFlags;

/// Opens what is there, close-on-exec.
///
/// # Errors
/// As openat(2).
#[inline(never)]
pub fn open(at: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Outcome<OwnedFd> {
    create(at, path, flags, 0)
}

/// Opens a file, close-on-exec, made with `mode` where `flags` has O_CREAT.
///
/// # Errors
/// As openat(2).
#[inline(never)]
pub fn create(at: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: u32) -> Outcome<OwnedFd> {
    openat(at, path, large(flags | OFlags::CLOEXEC), mode)
}

/// Opens what is there, and a program executed later has it too.
///
/// # Errors
/// As open(2).
pub fn open_for_all(path: &CStr, flags: OFlags) -> Outcome<OwnedFd> {
    openat(CWD, path, large(flags), 0)
}

fn openat(at: BorrowedFd<'_>, path: &CStr, flags: OFlags, mode: u32) -> Outcome<OwnedFd> {
    // SAFETY: the path is a C string; the new descriptor is owned by nobody yet.
    unsafe {
        let (at, path) = (at.as_raw_fd() as usize, path.as_ptr() as usize);
        syscall5(n::__NR_openat, at, path, flags.bits() as usize, mode as usize, 0).descriptor()
    }
}

/// Files over 2 GiB can be opened on 32 bits too. openat2(2) refuses the flag beside O_PATH.
fn large(flags: OFlags) -> OFlags {
    if cfg!(target_pointer_width = "64") || flags.contains(OFlags::PATH) {
        return flags;
    }
    flags | OFlags::from_bits_retain(n::O_LARGEFILE)
}

/// Opens what is there by the rules of `resolve`, close-on-exec.
///
/// # Errors
/// As openat2(2); ENOSYS before Linux 5.6.
#[inline(never)]
pub fn open_by(at: BorrowedFd<'_>, path: &CStr, flags: OFlags, resolve: ResolveFlags) -> Outcome<OwnedFd> {
    let how = n::open_how {
        flags: u64::from(large(flags | OFlags::CLOEXEC).bits()),
        mode: 0,
        resolve: resolve.bits(),
    };
    // SAFETY: the path is a C string and `how` outlives the call; the new descriptor is owned by nobody yet.
    unsafe {
        let (at, path) = (at.as_raw_fd() as usize, path.as_ptr() as usize);
        let size = size_of::<n::open_how>();
        syscall5(n::__NR_openat2, at, path, &raw const how as usize, size, 0).descriptor()
    }
}

/// A detached clone of the mount that `path` names, close-on-exec; of `at` itself with AT_EMPTY_PATH.
///
/// # Errors
/// As open_tree(2); ENOSYS before Linux 5.2.
pub fn open_tree(at: BorrowedFd<'_>, path: &CStr, flags: OpenTreeFlags) -> Outcome<OwnedFd> {
    let flags = flags | OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    // SAFETY: the path is a C string; the new descriptor is owned by nobody yet.
    unsafe {
        let (at, path) = (at.as_raw_fd() as usize, path.as_ptr() as usize);
        descriptor3(n::__NR_open_tree, at, path, flags.bits() as usize)
    }
}

/// The reading and the writing end of a pipe, close-on-exec.
///
/// # Errors
/// As pipe2(2).
pub fn pipe() -> Outcome<(OwnedFd, OwnedFd)> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two new descriptors into `ends`, owned by nobody yet.
    unsafe {
        syscall3(n::__NR_pipe2, ends.as_mut_ptr() as usize, n::O_CLOEXEC as usize, 0).value()?;
        let [read, write] = ends;
        Ok((OwnedFd::new(read), OwnedFd::new(write)))
    }
}

/// Somewhere events of files come from (inotify(7)), close-on-exec; reading does not wait.
///
/// # Errors
/// As inotify_init1(2); ENOSYS without CONFIG_INOTIFY_USER.
pub fn events() -> Outcome<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor is owned by nobody yet.
    unsafe { descriptor3(n::__NR_inotify_init1, (n::O_CLOEXEC | n::O_NONBLOCK) as usize, 0, 0) }
}

/// From now on `events` tells when the file at `path` is written to or closed by a writer. Once more for a file that is
/// watched already changes nothing.
///
/// # Errors
/// As inotify_add_watch(2).
pub fn watch(events: BorrowedFd<'_>, path: &CStr) -> Outcome<()> {
    let mask = n::IN_MODIFY | n::IN_CLOSE_WRITE;
    // SAFETY: the path is a C string.
    unsafe {
        let events = events.as_raw_fd() as usize;
        syscall3(n::__NR_inotify_add_watch, events, path.as_ptr() as usize, mask as usize)
    }
    .done()
}

/// An empty file in memory.
///
/// # Errors
/// As memfd_create(2); EINVAL for flags that the kernel does not know.
pub fn memory(name: &CStr, flags: MemfdFlags) -> Outcome<OwnedFd> {
    // SAFETY: the name is a C string; the new descriptor is owned by nobody yet.
    unsafe {
        let (name, flags) = (name.as_ptr() as usize, flags.bits() as usize);
        descriptor3(n::__NR_memfd_create, name, flags, 0)
    }
}

/// A file system of type `kind` that is mounted nowhere, without data; `attributes` are MOUNT_ATTR_*.
///
/// # Errors
/// As fsopen(2), fsconfig(2), fsmount(2); ENOSYS before Linux 5.2.
pub fn file_system(kind: &CStr, attributes: u32) -> Outcome<OwnedFd> {
    // SAFETY: the name is a C string; each new descriptor is owned by nobody yet; FSCONFIG_CMD_CREATE takes neither key
    // nor value.
    unsafe {
        let (name, flags) = (kind.as_ptr() as usize, n::FSOPEN_CLOEXEC as usize);
        let context = descriptor3(n::__NR_fsopen, name, flags, 0)?;
        let number = context.as_raw_fd() as usize;
        syscall5(n::__NR_fsconfig, number, n::fsconfig_command::FSCONFIG_CMD_CREATE as usize, 0, 0, 0)
            .value()?;
        descriptor3(n::__NR_fsmount, number, n::FSMOUNT_CLOEXEC as usize, attributes as usize)
    }
}
