//! The system call instruction, per architecture, for calls that rustix has no function for.
//!
//! What can go wrong: a pointer argument that the kernel writes through must point to memory of ours that is large
//! enough; each caller in this room says why its arguments are right.
#![allow(unsafe_code)]

use super::descriptor::OwnedFd;
use super::fault::Outcome;
use core::num::NonZeroU32;
use linux_raw_sys::errno as n;
use rustix::io::Errno;

/// What the kernel returned.
#[derive(Clone, Copy)]
#[must_use]
pub struct Returned(isize);

impl Returned {
    /// The number, or the errno.
    ///
    /// # Errors
    /// As the call.
    #[inline(always)]
    pub fn value(self) -> Result<usize, Errno> {
        match self.failed() {
            Some(errno) => Err(errno),
            None => Ok(self.0 as usize),
        }
    }

    /// Whether the call succeeded.
    ///
    /// # Errors
    /// As the call.
    #[inline(never)]
    pub fn done(self) -> Outcome<()> {
        match self.failed() {
            Some(errno) => Err(errno.into()),
            None => Ok(()),
        }
    }

    /// The new descriptor.
    ///
    /// # Safety
    /// The call makes a descriptor for this process alone.
    ///
    /// # Errors
    /// As the call.
    #[inline(never)]
    pub unsafe fn descriptor(self) -> Outcome<OwnedFd> {
        match self.failed() {
            Some(errno) => Err(errno.into()),
            // SAFETY: the caller vouches for it.
            None => Ok(unsafe { OwnedFd::new(self.0 as i32) }),
        }
    }

    fn failed(self) -> Option<Errno> {
        // SAFETY: rustix keeps an errno as its negated number in 16 bits; the kernel gives numbers from 1 to 4095. The
        // version of rustix is pinned, and a test compares.
        (-4095..0).contains(&self.0).then(|| unsafe { core::mem::transmute::<u16, Errno>(self.0 as u16) })
    }
}

/// One system call with up to three arguments.
///
/// # Safety
/// As [`syscall6`].
#[inline(never)]
pub unsafe fn syscall3(number: u32, a: usize, b: usize, c: usize) -> Returned {
    // SAFETY: the caller vouches for the arguments.
    unsafe { syscall6(number, a, b, c, 0, 0, 0) }
}

/// The same, for a call that gives nothing but success.
///
/// # Safety
/// As [`syscall6`].
///
/// # Errors
/// As the call.
#[inline(never)]
pub unsafe fn done3(number: u32, a: usize, b: usize, c: usize) -> Outcome<()> {
    // SAFETY: the caller vouches for the arguments.
    unsafe { syscall6(number, a, b, c, 0, 0, 0) }.done()
}

/// The same, for a call that makes a descriptor.
///
/// # Safety
/// As [`syscall6`] and [`Returned::descriptor`].
///
/// # Errors
/// As the call.
#[inline(never)]
pub unsafe fn descriptor3(number: u32, a: usize, b: usize, c: usize) -> Outcome<OwnedFd> {
    // SAFETY: the caller vouches for the arguments.
    unsafe { syscall6(number, a, b, c, 0, 0, 0).descriptor() }
}

/// One system call with up to five arguments.
///
/// # Safety
/// As [`syscall6`].
#[inline(never)]
pub unsafe fn syscall5(number: u32, a: usize, b: usize, c: usize, d: usize, e: usize) -> Returned {
    // SAFETY: the caller vouches for the arguments.
    unsafe { syscall6(number, a, b, c, d, e, 0) }
}

/// One system call with six arguments. The shorter forms exist for the size of their callers.
///
/// # Safety
/// The arguments must be right for call `number`: see its man page.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub unsafe fn syscall6(number: u32, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> Returned {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the registers are those of syscall(2).
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") number as usize as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("svc 0", in("x8") number as usize, inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f, options(nostack));
    }
    // SAFETY: as above. r7 may be the frame pointer, which asm! can't name, so it is saved by hand.
    #[cfg(target_arch = "arm")]
    unsafe {
        core::arch::asm!("mov {save}, r7", "mov r7, {number}", "svc 0", "mov r7, {save}",
            number = in(reg) number, save = out(reg) _, inlateout("r0") a as isize => result,
            in("r1") b, in("r2") c, in("r3") d, in("r4") e, in("r5") f);
    }
    // SAFETY: as above.
    #[cfg(target_arch = "riscv64")]
    unsafe {
        core::arch::asm!("ecall", in("a7") number as usize, inlateout("a0") a as isize => result,
            in("a1") b, in("a2") c, in("a3") d, in("a4") e, in("a5") f, options(nostack));
    }
    Returned(result)
}

/// The errno of a number from 1 to 4095, as it came from the kernel or from a message of ours; anything else is EIO.
///
/// rustix asserts the range, and an assertion is a panic path.
pub fn errno(code: i32) -> Errno {
    let code = if (1..4096).contains(&code) { code } else { n::EIO as i32 };
    // SAFETY: rustix keeps an errno as its negated number in 16 bits, the range of which was just checked; the version
    // of rustix is pinned, and a test compares.
    unsafe { core::mem::transmute::<u16, Errno>((code as u16).wrapping_neg()) }
}

/// An errno and a byte as a number that is not zero, for [`from_code`].
pub const fn code(errno: Errno, byte: u8) -> NonZeroU32 {
    // SAFETY: see [`errno`]; a negated number from 1 to 4095 is not zero in 16 bits.
    unsafe {
        let low = core::mem::transmute::<Errno, u16>(errno) as u32;
        NonZeroU32::new_unchecked(low | (byte as u32) << 16)
    }
}

/// The same errno with another byte.
pub const fn noted(code: NonZeroU32, byte: u8) -> NonZeroU32 {
    // SAFETY: the low half, which stays, is never zero.
    unsafe { NonZeroU32::new_unchecked(code.get() & 0xffff | (byte as u32) << 16) }
}

/// The errno in the low half of a number that [`code`] gave.
pub fn from_code(code: NonZeroU32) -> Errno {
    // SAFETY: the layout is that of 16 bits without a forbidden value.
    unsafe { core::mem::transmute::<u16, Errno>(code.get() as u16) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errnos_are_laid_out_as_rustix_has_them() {
        for code in [1, 2, 13, 38, 133, 4095] {
            assert_eq!(errno(code), Errno::from_raw_os_error(code));
            assert_eq!(errno(code).raw_os_error(), code);
            assert_eq!(from_code(super::code(errno(code), 3)), errno(code));
        }
        assert_eq!([errno(0), errno(-1), errno(4096)], [Errno::IO; 3]);
    }
}
