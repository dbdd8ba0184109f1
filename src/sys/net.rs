//! Network interfaces: SIOCSIFFLAGS (netdevice(7)), which rustix lacks.
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::{descriptor3, syscall3};
use linux_raw_sys::general as n;
use rustix::fd::AsRawFd;

const AF_INET: usize = 2;
const SOCK_DGRAM: usize = 2;
const SIOCSIFFLAGS: usize = 0x8914;
const IFF_UP: i16 = 1;
const IFF_RUNNING: i16 = 0x40;

/// `struct ifreq` with the flags member of its union.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// Brings the loopback device of this network namespace up.
///
/// # Errors
/// As socket(2) and netdevice(7).
pub fn loopback_up() -> Outcome<()> {
    // SAFETY: plain numbers; the new descriptor is owned by nobody yet.
    let socket = unsafe { descriptor3(n::__NR_socket, AF_INET, SOCK_DGRAM | n::O_CLOEXEC as usize, 0)? };
    let mut name = [0; 16];
    let [first, second, ..] = &mut name;
    (*first, *second) = (b'l', b'o');
    let request = Request { name, flags: IFF_UP | IFF_RUNNING, rest: [0; 22] };
    // SAFETY: `request` is as large as the kernel's `struct ifreq` and outlives the call.
    unsafe { syscall3(n::__NR_ioctl, socket.as_raw_fd() as usize, SIOCSIFFLAGS, &raw const request as usize) }
        .done()
}
