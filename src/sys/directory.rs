//! Directories and reading: getcwd(2), which rustix gives only with an allocator, and getdents64(2),
//! readlinkat(2) and read(2) into fresh memory, whose forms in rustix have panic paths.
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::{syscall3, syscall5};
use crate::rt::arena::Arena;
use crate::rt::c_string;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// The path of the working directory. A directory outside the root comes as `(unreachable)/...`.
///
/// # Errors
/// ENOENT where it was removed, ERANGE where it is longer than PATH_MAX.
pub fn current<'a>(arena: &Arena<'a>) -> Outcome<&'a CStr> {
    let mut room = [0u8; 4096];
    // SAFETY: the kernel writes at most `room.len()` bytes into `room`.
    unsafe { syscall3(n::__NR_getcwd, room.as_mut_ptr() as usize, room.len(), 0) }.value()?;
    Ok(arena.c_str(c_string::until_nul(&room).unwrap_or(c"").to_bytes())?)
}

/// The text of the symlink that `link` itself is (an O_PATH descriptor, opened without following), in `room`.
///
/// # Errors
/// ENOENT or EINVAL where it is something else.
pub fn symlink_text<'r>(link: BorrowedFd<'_>, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
    read_link(link, c"", room)
}

/// The text of the symlink at `path` below `directory`, in `room`; longer ones are cut.
///
/// # Errors
/// As readlinkat(2).
pub fn read_link<'r>(directory: BorrowedFd<'_>, path: &CStr, room: &'r mut [u8]) -> Result<&'r [u8], Errno> {
    // SAFETY: the path is a C string, and the kernel writes at most `room.len()` bytes into `room`.
    let len = unsafe {
        let at = directory.as_raw_fd() as usize;
        syscall5(n::__NR_readlinkat, at, path.as_ptr() as usize, room.as_mut_ptr() as usize, room.len(), 0)
            .value()?
    };
    Ok(room.get(..len).unwrap_or(&[]))
}

/// read(2) into memory that need not be written before; returns how many bytes of it are now.
///
/// # Errors
/// As read(2).
#[inline(always)]
pub fn read(file: BorrowedFd<'_>, room: &mut [MaybeUninit<u8>]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `room.len()` bytes into `room`.
    unsafe { syscall3(n::__NR_read, file.as_raw_fd() as usize, room.as_mut_ptr() as usize, room.len()) }
        .value()
}

/// Reads the next entries of a directory into `room`; none are left where it returns an empty slice.
///
/// # Errors
/// As getdents64(2).
pub fn read_entries<'r>(directory: BorrowedFd<'_>, room: &'r mut [u8]) -> Result<Entries<'r>, Errno> {
    // SAFETY: the kernel writes at most `room.len()` bytes into `room`.
    let len = unsafe {
        syscall3(n::__NR_getdents64, directory.as_raw_fd() as usize, room.as_mut_ptr() as usize, room.len())
            .value()?
    };
    Ok(Entries(room.get(..len).unwrap_or(&[])))
}

/// The names in a buffer of `struct linux_dirent64`, without `.` and `..`.
pub struct Entries<'r>(&'r [u8]);

impl Entries<'_> {
    /// Whether the directory has ended.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'r> Iterator for Entries<'r> {
    type Item = &'r CStr;
    fn next(&mut self) -> Option<&'r CStr> {
        loop {
            // inode and offset of 8 bytes each, length of 2, type of 1, then the name with its NUL
            let (low, high) = (self.0.get(16)?, self.0.get(17)?);
            let (entry, rest) = self.0.split_at_checked(usize::from(u16::from_ne_bytes([*low, *high])))?;
            self.0 = rest;
            let name = c_string::until_nul(entry.get(19..)?)?;
            if !matches!(name.to_bytes(), b"." | b"..") {
                return Some(name);
            }
        }
    }
}
