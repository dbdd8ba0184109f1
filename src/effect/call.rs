//! System calls as the operations make them: each out of line, once, with its result in a register. What rustix returns
//! takes a dozen instructions to unpack at every use.

use super::Outcome;
use core::ffi::CStr;
use rustix::fd::BorrowedFd;
use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use rustix::mount::{self, MountFlags, UnmountFlags};

/// fchdir(2)
#[inline(never)]
pub fn change_directory(to: BorrowedFd<'_>) -> Outcome<()> {
    Ok(rustix::process::fchdir(to)?)
}

/// mkdirat(2) with exactly `mode`; the process's umask is zero by then, or the host's business.
#[inline(never)]
pub fn make_directory(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> Outcome<()> {
    Ok(fs::mkdirat(at, name, Mode::from_raw_mode(mode))?)
}

/// mknodat(2); `mode` holds the kind of file as well.
#[inline(never)]
pub fn make_node(at: BorrowedFd<'_>, name: &CStr, mode: u32, device: u64) -> Outcome<()> {
    let permissions = Mode::from_raw_mode(mode & 0o7777);
    Ok(fs::mknodat(at, name, FileType::from_raw_mode(mode), permissions, device)?)
}

/// symlinkat(2)
#[inline(never)]
pub fn make_link(target: &CStr, at: BorrowedFd<'_>, name: &CStr) -> Outcome<()> {
    Ok(fs::symlinkat(target, at, name)?)
}

/// unlinkat(2) of an empty directory.
#[inline(never)]
pub fn remove_directory(at: BorrowedFd<'_>, name: &CStr) -> Outcome<()> {
    Ok(fs::unlinkat(at, name, AtFlags::REMOVEDIR)?)
}

/// fchownat(2) of what `name` is itself, not what it leads to; of `at` where it is empty.
#[inline(never)]
pub fn own(at: BorrowedFd<'_>, name: &CStr, uid: u32, gid: Option<u32>) -> Outcome<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    Ok(fs::chownat(at, name, Some(Uid::from_raw(uid)), gid.map(Gid::from_raw), flags)?)
}

/// write(2) of the whole value at once.
///
/// # Errors
/// EIO for a short write.
#[inline(never)]
pub fn write(file: BorrowedFd<'_>, value: &[u8]) -> Outcome<()> {
    if rustix::io::write(file, value)? == value.len() { Ok(()) } else { Err(Errno::IO.into()) }
}

/// sendfile(2) of all that is left of `from`.
#[inline(never)]
pub fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<()> {
    while fs::sendfile(to, from, None, 1 << 30)? > 0 {}
    Ok(())
}

/// The kind of file and the permissions of an open file.
#[inline(never)]
pub fn mode(fd: BorrowedFd<'_>) -> Outcome<u32> {
    Ok(fs::fstat(fd)?.st_mode)
}

/// The inode of an open file, by which one is told from others of its file system.
#[inline(never)]
pub fn inode(fd: BorrowedFd<'_>) -> Outcome<u64> {
    Ok(fs::fstat(fd)?.st_ino as u64)
}

/// Whether an open file is the character device `major`:`minor`.
// the field has another width on 32 bits
#[allow(clippy::unnecessary_cast)]
#[inline(never)]
pub fn is_device(fd: BorrowedFd<'_>, major: u32, minor: u32) -> Outcome<bool> {
    let stat = fs::fstat(fd)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev as u64 == fs::makedev(major, minor))
}

/// The magic number of the file system that an open file lies on (linux/magic.h).
#[inline(never)]
pub fn magic(fd: BorrowedFd<'_>) -> Outcome<u32> {
    Ok(fs::fstatfs(fd)?.f_type as u32)
}

/// mount(2); `flags` are MS_*.
#[inline(never)]
pub fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: u32, data: Option<&CStr>) -> Outcome<()> {
    Ok(mount::mount(source, target, kind, MountFlags::from_bits_retain(flags), data)?)
}

/// mount(2) on what is mounted at `target` already: MS_REMOUNT or a propagation among `flags`.
pub fn change_mount(target: &CStr, flags: u32) -> Outcome<()> {
    mount(c"none", target, c"", flags, None)
}

/// umount2(2) that detaches.
#[inline(never)]
pub fn detach(target: &CStr) -> Outcome<()> {
    Ok(mount::unmount(target, UnmountFlags::DETACH)?)
}
