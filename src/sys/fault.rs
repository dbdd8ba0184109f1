//! Why a call failed, in one register.

use super::raw;
use core::num::NonZeroU32;
use rustix::io::Errno;

/// What the kernel said, and a byte of the caller's beside it (`effect::Hint`).
///
/// One number that is never zero, so that an [`Outcome`] without a value is one register: the low half is the errno as
/// `sys::raw` codes it, the high half the byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault(NonZeroU32);

/// What an operation returns.
pub type Outcome<T> = core::result::Result<T, Fault>;

impl Fault {
    /// An errno with a byte.
    pub const fn with(errno: Errno, byte: u8) -> Fault {
        Fault(raw::code(errno, byte))
    }

    /// What the kernel said.
    pub fn errno(self) -> Errno {
        raw::from_code(self.0)
    }

    /// The same errno with another byte.
    pub const fn noted(self, byte: u8) -> Fault {
        Fault(raw::noted(self.0, byte))
    }

    /// Whether the kernel said `errno`.
    pub fn is(self, errno: Errno) -> bool {
        self.errno() == errno
    }

    /// The byte beside it.
    pub fn byte(self) -> u8 {
        (self.0.get() >> 16) as u8
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        Fault::with(errno, 0)
    }
}

impl From<crate::rt::arena::Full> for Fault {
    fn from(_: crate::rt::arena::Full) -> Fault {
        Fault::with(Errno::NOMEM, 0)
    }
}

impl From<Fault> for Errno {
    fn from(fault: Fault) -> Errno {
        fault.errno()
    }
}
