//! Descriptors by number.
//!
//! | call | why | oldest kernel | fallback |
//! |---|---|---|---|
//! | close_range | marks every descriptor of others close-on-exec in one call | 5.9 (CLOSE_RANGE_CLOEXEC 5.11) | one fcntl each |
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::{descriptor3, done3, syscall3};
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;

/// A descriptor that is closed when this goes.
///
/// rustix has such a type, which asserts in each of its methods that the number is not -1: panic paths wherever the
/// optimiser can't see where the number came from.
#[repr(transparent)]
pub struct OwnedFd(BorrowedFd<'static>);

impl OwnedFd {
    /// Takes a descriptor over.
    ///
    /// # Safety
    /// Nobody else closes `number`.
    pub const unsafe fn new(number: RawFd) -> OwnedFd {
        OwnedFd(borrow(number))
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        close(self.as_raw_fd());
    }
}

/// `linux/close_range.h`
const CLOSE_RANGE_CLOEXEC: usize = 4;

/// Marks every descriptor from `first` up close-on-exec. They are not closed: ours among them are still in use.
///
/// # Errors
/// ENOSYS, EINVAL before 5.11; see [`close_on_exec_each`].
pub fn close_on_exec_from(first: u32) -> Outcome<()> {
    // SAFETY: plain numbers; nothing is closed now.
    unsafe { done3(n::__NR_close_range, first as usize, u32::MAX as usize, CLOSE_RANGE_CLOEXEC) }
}

/// A copy of a descriptor with a number that is not among the first 16, open until exec or exit.
///
/// # Errors
/// As fcntl(2).
#[inline(never)]
pub fn high(file: BorrowedFd<'_>) -> Outcome<BorrowedFd<'static>> {
    // SAFETY: plain numbers; the new descriptor is owned by nobody yet.
    unsafe { descriptor3(FCNTL, file.as_raw_fd() as usize, n::F_DUPFD_CLOEXEC as usize, 16) }.map(leave_open)
}

/// Closes every descriptor from `first` up; before Linux 5.9, when there is no call for that, one by one.
pub fn close_from(first: u32) {
    // SAFETY: whoever calls this uses none of them any more.
    if unsafe { done3(n::__NR_close_range, first as usize, u32::MAX as usize, 0) }.is_err() {
        // usually there are no more; to try them all would take seconds
        for number in first..1 << 16 {
            close(number as RawFd);
        }
    }
}

/// The same with one fcntl for each number below `limit`.
pub fn close_on_exec_each(first: u32, limit: u32) -> Outcome<()> {
    for number in first..limit {
        // SAFETY: F_SETFD on a number that is not open is EBADF and changes nothing.
        let result = unsafe { syscall3(FCNTL, number as usize, n::F_SETFD as usize, n::FD_CLOEXEC as usize) };
        match result.done() {
            Err(fault) if !fault.is(Errno::BADF) => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

/// Clears close-on-exec of descriptor `number`.
///
/// # Errors
/// EBADF where it is not open.
pub fn keep_on_exec(number: RawFd) -> Outcome<()> {
    // SAFETY: plain numbers.
    unsafe { done3(FCNTL, number as usize, n::F_SETFD as usize, 0) }
}

/// Whether descriptor `number` is open.
pub fn is_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD changes nothing.
    unsafe { done3(FCNTL, number as usize, n::F_GETFD as usize, 0) }.is_ok()
}

#[cfg(target_pointer_width = "32")]
const FCNTL: u32 = n::__NR_fcntl64;
#[cfg(target_pointer_width = "64")]
const FCNTL: u32 = n::__NR_fcntl;

/// A borrowed view of descriptor `number`, which some other part of the program keeps open.
pub const fn borrow<'f>(number: RawFd) -> BorrowedFd<'f> {
    // SAFETY: callers pass numbers that the kernel or the caller of hull handed over and that nobody closes; none is -1,
    // and `BorrowedFd` is documented to have the representation of the number. rustix's own way asserts that, and an
    // assertion is a panic path.
    unsafe { core::mem::transmute::<i32, BorrowedFd<'f>>(number) }
}

/// Gives up ownership: the descriptor stays open until exec or exit, and costs no close call.
pub fn leave_open(fd: OwnedFd) -> BorrowedFd<'static> {
    let borrowed = fd.0;
    core::mem::forget(fd);
    borrowed
}

/// Closes a descriptor that nobody owns.
#[inline(never)]
pub fn close(number: RawFd) {
    // SAFETY: the caller got the number from outside (a re-exec) and uses it no more.
    unsafe { rustix::io::close(number) }
}
