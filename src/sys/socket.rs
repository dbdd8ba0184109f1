//! Messages with a descriptor: sendmsg(2) and recvmsg(2) with SCM_RIGHTS (unix(7)), for exactly one.
//!
//! rustix has both, with ancillary buffers of any shape; their bounds checks are panic paths, and panics are what this
//! binary does without.
#![allow(unsafe_code)]

use super::descriptor::OwnedFd;
use super::fault::Outcome;
use super::raw::{syscall3, syscall5};
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};
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
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let kind = SOCK_SEQPACKET | n::O_CLOEXEC;
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two new descriptors into `ends`, owned by nobody yet.
    unsafe {
        syscall5(n::__NR_socketpair, AF_UNIX, kind as usize, 0, ends.as_mut_ptr() as usize, 0).value()?;
        let [one, other] = ends;
        Ok((OwnedFd::new(one), OwnedFd::new(other)))
    }
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
