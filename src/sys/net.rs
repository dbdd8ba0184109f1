//! Network interfaces: SIOCSIFFLAGS and SIOCGIFINDEX (netdevice(7)), and requests over rtnetlink(7), which rustix lacks.
#![allow(unsafe_code)]

use super::descriptor::leave_open;
use super::fault::Outcome;
use super::raw::{descriptor3, syscall3, syscall6};
use crate::base::text::copy;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

const AF_INET: usize = 2;
const SOCK_DGRAM: usize = 2;
const SIOCSIFFLAGS: usize = 0x8914;
const SIOCGIFINDEX: usize = 0x8933;
const AF_NETLINK: usize = 16;
const SOCK_RAW: usize = 3;
const IFF_UP: i16 = 1;
const IFF_RUNNING: i16 = 0x40;

/// `struct ifreq` with the flags member of its union.
#[repr(C)]
struct Flags {
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
    let request = Flags { name, flags: IFF_UP | IFF_RUNNING, rest: [0; 22] };
    // SAFETY: `request` is as large as the kernel's `struct ifreq` and outlives the call.
    unsafe { syscall3(n::__NR_ioctl, socket.as_raw_fd() as usize, SIOCSIFFLAGS, &raw const request as usize) }
        .done()
}

/// `struct ifreq` with the index member of its union.
#[repr(C)]
struct Index {
    name: [u8; 16],
    index: u32,
    rest: [u8; 20],
}

/// A name as the kernel keeps it.
///
/// # Errors
/// ENAMETOOLONG past 15 bytes.
fn fixed(name: &CStr) -> Result<[u8; 16], Errno> {
    let mut room = [0; 16];
    copy(&mut room, name.to_bytes_with_nul()).ok_or(Errno::NAMETOOLONG)?;
    Ok(room)
}

/// The index of the device `name` in the network namespace of a socket.
///
/// # Errors
/// ENODEV where there is none.
#[cold]
#[inline(never)]
pub fn index(socket: BorrowedFd<'_>, name: &CStr) -> Outcome<u32> {
    let mut request = Index { name: fixed(name)?, index: 0, rest: [0; 20] };
    // SAFETY: `request` is as large as the kernel's `struct ifreq`, which is written to, and outlives the call.
    unsafe {
        syscall3(n::__NR_ioctl, socket.as_raw_fd() as usize, SIOCGIFINDEX, &raw mut request as usize)
            .done()?;
    }
    Ok(request.index)
}

/// A socket of rtnetlink(7) in this network namespace, open until it is closed by its number.
///
/// # Errors
/// As socket(2).
pub fn rtnetlink() -> Outcome<BorrowedFd<'static>> {
    // SAFETY: plain numbers (0 is NETLINK_ROUTE); the new descriptor is owned by nobody yet.
    unsafe { descriptor3(n::__NR_socket, AF_NETLINK, SOCK_RAW | n::O_CLOEXEC as usize, 0) }.map(leave_open)
}

/// RTM_NEWLINK, RTM_NEWADDR and RTM_GETADDR.
const NEW_LINK: u16 = 16;
/// See [`NEW_LINK`].
pub const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
/// Flags of a request for something new.
pub const CREATE: u16 = REQUEST | ACKNOWLEDGE | 0x600;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;

/// `struct nlmsghdr` and `struct ifinfomsg`, then a name and a namespace as attributes (netlink(7), rtnetlink(7)). What a
/// request does not need stands at its end and is cut off.
#[repr(C)]
#[derive(Default)]
pub struct Request {
    len: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    family: u32,
    index: u32,
    state: u32,
    changed: u32,
    name: [u16; 2],
    name_text: [u8; 16],
    namespace: [u16; 2],
    namespace_file: i32,
}

impl Request {
    /// Every address of every device.
    pub fn addresses() -> Request {
        // as long as `struct ifaddrmsg` behind the header
        Request { len: 24, kind: GET_ADDRESS, flags: REQUEST | DUMP, ..Request::default() }
    }

    /// The device comes up.
    pub fn up(&mut self, index: u32) {
        self.len = 32;
        self.index = index;
        self.state = IFF_UP as u32;
        self.changed = IFF_UP as u32;
    }

    /// The device goes to another network namespace, under a name that is free there. To be called before [`Request::up`].
    ///
    /// # Errors
    /// ENAMETOOLONG.
    pub fn leave(&mut self, index: u32, name: &CStr, namespace: BorrowedFd<'_>) -> Result<(), Errno> {
        self.len = size_of::<Request>() as u32;
        self.kind = NEW_LINK;
        self.flags = REQUEST | ACKNOWLEDGE;
        self.index = index;
        self.name = [20, IFLA_IFNAME];
        self.name_text = fixed(name)?;
        self.namespace = [8, IFLA_NET_NS_FD];
        self.namespace_file = namespace.as_raw_fd();
        Ok(())
    }

    /// Sends it.
    ///
    /// # Errors
    /// As send(2).
    #[cold]
    #[inline(never)]
    pub fn send(&self, socket: BorrowedFd<'_>) -> Outcome<()> {
        let (socket, len) = (socket.as_raw_fd() as usize, self.len as usize);
        // SAFETY: `len` is at most the size of what is read; without an address a netlink message goes to the kernel.
        unsafe { syscall6(n::__NR_sendto, socket, core::ptr::from_ref(self) as usize, len, 0, 0, 0) }.done()
    }
}
