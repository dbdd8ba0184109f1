//! The three standard descriptors and lines written to them.
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::done3;
use crate::base::text::Sink;
use heapless::Vec;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};

/// Standard input.
pub const IN: i32 = 0;
/// Standard output.
pub const OUT: i32 = 1;
/// Standard error.
pub const ERR: i32 = 2;

/// One of the standard descriptors. hull makes sure at its start that all three are open.
pub fn standard(number: i32) -> BorrowedFd<'static> {
    super::descriptor::borrow(number)
}

/// Puts `files` in the place of the three, in that order,, and a program executed later has them there.
///
/// # Errors
/// As dup3(2).
#[inline(never)]
pub fn replace(files: &[BorrowedFd<'_>]) -> Outcome<()> {
    for (number, file) in files.iter().enumerate() {
        // SAFETY: nobody owns these three, and whoever uses them means what is there now.
        unsafe { done3(n::__NR_dup3, file.as_raw_fd() as usize, number, 0)? };
    }
    Ok(())
}

/// Text that leaves in one write; what does not fit is cut, and the cut is marked.
pub struct Line {
    text: Vec<u8, 2048>,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Self {
        Line { text: Vec::new() }
    }

    /// What has been put so far.
    pub fn bytes(&self) -> &[u8] {
        &self.text
    }
}

impl Default for Line {
    fn default() -> Self {
        Line::new()
    }
}

impl Sink for Line {
    fn push(&mut self, bytes: &[u8]) {
        if self.text.extend_from_slice(bytes).is_err() {
            let room = self.text.capacity().saturating_sub(self.text.len());
            if let Some(part) = bytes.get(..room)
                && self.text.extend_from_slice(part).is_ok()
                && let Some(last) = self.text.last_mut()
            {
                *last = b'\n';
            }
        }
    }
}

/// Writes all of `bytes`; `false` where the other side is gone or full.
pub fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(n) if n > 0 => bytes = bytes.get(n..).unwrap_or(&[]),
            Err(rustix::io::Errno::INTR) => {}
            _ => return false,
        }
    }
    true
}

/// Writes to standard error. There is nowhere left to report a failure of that.
pub fn write_error(bytes: &[u8]) {
    write_all(standard(ERR), bytes);
}

/// Buffered text for a descriptor.
pub struct Writer<'f> {
    to: BorrowedFd<'f>,
    text: Vec<u8, 4096>,
    failed: bool,
}

impl<'f> Writer<'f> {
    /// A writer with an empty buffer.
    pub const fn new(to: BorrowedFd<'f>) -> Self {
        Writer { to, text: Vec::new(), failed: false }
    }

    /// Writes what is left; `false` where any write failed.
    pub fn finish(mut self) -> bool {
        self.flush();
        !self.failed
    }

    fn flush(&mut self) {
        if !self.failed && !write_all(self.to, &self.text) {
            self.failed = true;
        }
        self.text.clear();
    }
}

impl Sink for Writer<'_> {
    fn push(&mut self, bytes: &[u8]) {
        if self.text.extend_from_slice(bytes).is_err() {
            self.flush();
            if self.text.extend_from_slice(bytes).is_err() && !write_all(self.to, bytes) {
                self.failed = true;
            }
        }
    }
}

/// Makes sure that descriptors 0, 1 and 2 are open: a file opened into one of their places would become the container's
/// standard input or output. Closed ones become /dev/null.
///
/// # Errors
/// As poll(2), open(2).
pub fn ensure_open() -> Outcome<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let borrowed = [IN, OUT, ERR].map(standard);
    let mut fds = borrowed.each_ref().map(|fd| PollFd::new(fd, PollFlags::empty()));
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    for fd in &fds {
        // open(2) takes the lowest free number, which is this one: the others below are open
        if fd.revents().contains(PollFlags::NVAL) {
            let null = super::open::open_for_all(c"/dev/null", rustix::fs::OFlags::RDWR)?;
            super::descriptor::leave_open(null);
        }
    }
    Ok(())
}
