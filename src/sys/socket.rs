//! Sockets with a path, and messages with a descriptor: sendmsg(2) and recvmsg(2) with SCM_RIGHTS (unix(7)), for exactly one.
//!
//! rustix has both, with ancillary buffers of any shape; their bounds checks are panic paths, and panics are what this
//! binary does without.
#![allow(unsafe_code)]

use super::descriptor::OwnedFd;
use super::fault::Outcome;
use super::raw::{descriptor3, done3, syscall3, syscall5};
use crate::base::text::copy;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;

const AF_UNIX: usize = 1;
const SOCK_SEQPACKET: u32 = 5;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;

/// `struct msghdr`
#[repr(C)]
struct Header {
    name: usize,
    name_len: u32,
    vector: usize,
    vector_len: usize,
    control: usize,
    control_len: usize,
    flags: i32,
}

/// `struct cmsghdr` with room for one descriptor, padded as CMSG_SPACE has it.
#[repr(C)]
struct Control {
    len: usize,
    level: i32,
    kind: i32,
    descriptor: i32,
    padding: i32,
}

/// CMSG_LEN of one descriptor.
const CONTROL_LEN: usize = size_of::<usize>() + 12;

/// Two ends of a channel that keeps messages apart, close-on-exec.
///
/// # Errors
/// As socketpair(2).
pub fn pair() -> Outcome<(OwnedFd, OwnedFd)> {
    let kind = SOCK_SEQPACKET | n::O_CLOEXEC;
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two new descriptors into `ends`, owned by nobody yet.
    unsafe {
        syscall5(n::__NR_socketpair, AF_UNIX, kind as usize, 0, ends.as_mut_ptr() as usize, 0).done()?;
        let [one, other] = ends;
        Ok((OwnedFd::new(one), OwnedFd::new(other)))
    }
}

/// A socket of a kind: SOCK_STREAM or SOCK_SEQPACKET.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Of engines: console and pidfd sockets.
    Stream = 1,
    /// hull's own, which keep messages apart.
    Packets = SOCK_SEQPACKET as isize,
}

fn socket(kind: Kind) -> Outcome<OwnedFd> {
    // SAFETY: plain numbers; the new descriptor is owned by nobody yet.
    unsafe { descriptor3(n::__NR_socket, AF_UNIX, kind as usize | n::O_CLOEXEC as usize, 0) }
}

/// `struct sockaddr_un`
#[repr(C)]
struct Address {
    family: u16,
    path: [u8; 108],
}

/// bind(2) or connect(2) with the address of `path`.
fn with_address(call: u32, socket: &OwnedFd, path: &CStr) -> Outcome<()> {
    let bytes = path.to_bytes_with_nul();
    let mut address = Address { family: AF_UNIX as u16, path: [0; 108] };
    copy(&mut address.path, bytes).ok_or(Errno::NAMETOOLONG)?;
    let len = bytes.len().saturating_add(size_of::<u16>());
    // SAFETY: the address outlives the call, which reads `len` bytes of it.
    unsafe { done3(call, socket.as_raw_fd() as usize, &raw const address as usize, len) }
}

/// A socket that listens at `name` in `directory`, which becomes the working directory: a socket's address holds 107
/// bytes, and the whole path may have more.
///
/// # Errors
/// As bind(2).
pub fn listen(directory: BorrowedFd<'_>, name: &CStr) -> Outcome<OwnedFd> {
    rustix::process::fchdir(directory)?;
    let listener = socket(Kind::Packets)?;
    with_address(n::__NR_bind, &listener, name)?;
    // SAFETY: plain numbers.
    unsafe { done3(n::__NR_listen, listener.as_raw_fd() as usize, 1, 0)? };
    Ok(listener)
}

/// A connection to the socket at `path`.
///
/// # Errors
/// As connect(2): ECONNREFUSED where nobody listens any more; ENAMETOOLONG for a path of more than 107 bytes.
pub fn connect(path: &CStr, kind: Kind) -> Outcome<OwnedFd> {
    let connection = socket(kind)?;
    with_address(n::__NR_connect, &connection, path)?;
    Ok(connection)
}

/// Sends `bytes` and `descriptor` to the one who listens at `path`.
///
/// # Errors
/// As [`connect`], sendmsg(2).
#[inline(never)]
pub fn hand_over(path: &CStr, bytes: &[u8], descriptor: BorrowedFd<'_>) -> Outcome<()> {
    let connection = connect(path, Kind::Stream)?;
    send(connection.as_fd(), bytes, descriptor)
}

/// The next connection to a listening socket.
///
/// # Errors
/// As accept(2).
pub fn accept(listener: BorrowedFd<'_>) -> Outcome<OwnedFd> {
    let flags = n::O_CLOEXEC as usize;
    // SAFETY: no address is asked for; the new descriptor is owned by nobody yet.
    unsafe { syscall5(n::__NR_accept4, listener.as_raw_fd() as usize, 0, 0, flags, 0).descriptor() }
}

/// Sends `bytes`, and with them `descriptor`; never raises SIGPIPE.
///
/// # Errors
/// As sendmsg(2).
pub fn send(channel: BorrowedFd<'_>, bytes: &[u8], descriptor: BorrowedFd<'_>) -> Outcome<()> {
    let vector = [bytes.as_ptr() as usize, bytes.len()];
    let control = Control {
        len: CONTROL_LEN,
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        descriptor: descriptor.as_raw_fd(),
        padding: 0,
    };
    let header = Header {
        name: 0,
        name_len: 0,
        vector: &raw const vector as usize,
        vector_len: 1,
        control: &raw const control as usize,
        control_len: size_of::<Control>(),
        flags: 0,
    };
    // SAFETY: everything that the header points to outlives the call.
    unsafe {
        syscall3(n::__NR_sendmsg, channel.as_raw_fd() as usize, &raw const header as usize, MSG_NOSIGNAL)
    }
    .done()
}

/// Receives a message of at most `bytes.len()` bytes and the descriptor that came with it.
///
/// # Errors
/// As recvmsg(2).
pub fn receive(channel: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let vector = [bytes.as_mut_ptr() as usize, bytes.len()];
    let mut control = Control { len: 0, level: 0, kind: 0, descriptor: -1, padding: 0 };
    let mut header = Header {
        name: 0,
        name_len: 0,
        vector: &raw const vector as usize,
        vector_len: 1,
        control: &raw mut control as usize,
        control_len: size_of::<Control>(),
        flags: 0,
    };
    // SAFETY: the kernel writes at most `bytes.len()` bytes into `bytes` and one control message into `control`, both of
    // which outlive the call.
    let len = unsafe {
        syscall3(n::__NR_recvmsg, channel.as_raw_fd() as usize, &raw mut header as usize, MSG_CMSG_CLOEXEC)
            .value()?
    };
    let came = header.control_len >= CONTROL_LEN && control.level == SOL_SOCKET && control.kind == SCM_RIGHTS;
    // SAFETY: the kernel made the descriptor for this process alone.
    Ok((len, came.then(|| unsafe { OwnedFd::new(control.descriptor) })))
}
