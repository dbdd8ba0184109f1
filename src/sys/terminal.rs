//! Terminals: their ioctls (ioctl_tty(2)), all but one older than Linux 4.9.
//!
//! | call | why | oldest kernel | fallback |
//! |---|---|---|---|
//! | TIOCGPTPEER | the slave of a master by descriptor; rustix's form can panic | 4.13 | error |
//! | TCGETS, TCSETS | rustix decodes every mode and speed, which takes kilobytes | any | |
//! | the others | beside these | any | |
#![allow(unsafe_code)]

use super::descriptor::OwnedFd;
use super::fault::Outcome;
use super::raw::{Returned, syscall3};
use linux_raw_sys::{general as n, ioctl as i};
use rustix::fd::{AsRawFd, BorrowedFd};

/// ioctl(2) with a number as its argument.
fn ask(terminal: BorrowedFd<'_>, request: u32, number: u32) -> Returned {
    // SAFETY: callers pass requests whose argument is a number.
    unsafe { syscall3(n::__NR_ioctl, terminal.as_raw_fd() as usize, request as usize, number as usize) }
}

/// ioctl(2) on memory of ours.
fn exchange<T>(terminal: BorrowedFd<'_>, request: u32, memory: &mut T) -> Outcome<()> {
    // SAFETY: callers pair each request with the type that the kernel reads or writes for it.
    unsafe {
        let at = &raw mut *memory as usize;
        syscall3(n::__NR_ioctl, terminal.as_raw_fd() as usize, request as usize, at)
    }
    .done()
}

/// The slave of a pty's master, unlocked, close-on-exec, not yet anybody's controlling terminal.
///
/// # Errors
/// EIO and kin where `master` is none; ENOTTY before Linux 4.13.
pub fn slave(master: BorrowedFd<'_>) -> Outcome<OwnedFd> {
    exchange(master, i::TIOCSPTLCK, &mut 0i32)?;
    // SAFETY: the call makes a descriptor for this process.
    Ok(unsafe { ask(master, i::TIOCGPTPEER, n::O_RDWR | n::O_NOCTTY | n::O_CLOEXEC).descriptor()? })
}

/// Makes `terminal` the controlling terminal of this session.
///
/// # Errors
/// EPERM where the process leads no session or has a terminal already.
pub fn control(terminal: BorrowedFd<'_>) -> Outcome<()> {
    ask(terminal, i::TIOCSCTTY, 0).done()
}

/// Rows, columns, and their sizes in pixels, which nothing uses: `struct winsize`.
pub type Size = [u16; 4];

/// The size of a terminal.
///
/// # Errors
/// ENOTTY where it is none.
pub fn size(terminal: BorrowedFd<'_>) -> Outcome<Size> {
    let mut size = [0; 4];
    exchange(terminal, i::TIOCGWINSZ, &mut size)?;
    Ok(size)
}

/// Sets the size of a terminal.
///
/// # Errors
/// EIO where it is gone.
pub fn set_size(terminal: BorrowedFd<'_>, mut size: Size) -> Outcome<()> {
    exchange(terminal, i::TIOCSWINSZ, &mut size)
}

/// How a terminal treats what passes: `struct termios`.
pub struct Modes(n::termios);

impl Modes {
    /// Makes `terminal` pass every byte on as it comes (cfmakeraw(3)); returns the modes that it had.
    ///
    /// # Errors
    /// ENOTTY where it is no terminal.
    pub fn make_raw(terminal: BorrowedFd<'_>) -> Outcome<Modes> {
        let none = n::termios { c_iflag: 0, c_oflag: 0, c_cflag: 0, c_lflag: 0, c_line: 0, c_cc: [0; 19] };
        let mut before = Modes(none);
        exchange(terminal, i::TCGETS, &mut before.0)?;
        let mut raw = Modes(before.0);
        let modes = &mut raw.0;
        modes.c_iflag &=
            !(n::IGNBRK | n::BRKINT | n::PARMRK | n::ISTRIP | n::INLCR | n::IGNCR | n::ICRNL | n::IXON);
        modes.c_oflag &= !n::OPOST;
        modes.c_lflag &= !(n::ECHO | n::ECHONL | n::ICANON | n::ISIG | n::IEXTEN);
        modes.c_cflag = modes.c_cflag & !(n::CSIZE | n::PARENB) | n::CS8;
        // a read returns with one byte, and waits for it
        const { assert!(n::VTIME == 5 && n::VMIN == 6) };
        let [_, _, _, _, _, time, least, ..] = &mut modes.c_cc;
        (*time, *least) = (0, 1);
        raw.set(terminal)?;
        Ok(before)
    }

    /// Makes these the modes of a terminal, at once. A speed beyond the old names is none of them and stays.
    ///
    /// # Errors
    /// EIO where it is gone.
    pub fn set(&mut self, terminal: BorrowedFd<'_>) -> Outcome<()> {
        exchange(terminal, i::TCSETS, &mut self.0)
    }
}
