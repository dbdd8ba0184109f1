//! Network devices of the host that go into the container's network namespace (config-linux.md, "Network Devices").
//!
//! What keeps a device from going is found out before it goes: its new name must be free there. The kernel takes its
//! addresses on the way, so they are asked for before and given back after. At the end the kernel takes it back to the
//! initial network namespace, or ends it: nothing is left for hull to do (network_namespaces(7)).

use super::procfs::Proc;
use super::{Fault, Hint, Outcome, identity};
use crate::base::text::after;
use crate::c_join;
use crate::plan::op::NetDevice;
use crate::rt::arena::Arena;
use crate::sys::net::{self, CREATE, NEW_ADDRESS, Request};
use crate::sys::{descriptor, open, process, raw};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

/// Bytes of one answer at most; the kernel makes them no longer than a page or 8 KiB.
const ANSWER: usize = 16 << 10;
/// Bytes of all addresses of the host at most: some thousands.
const ADDRESSES: usize = 256 << 10;

/// Of the kernel's answers: the result of a request, and the end of a list.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Moves one device to the namespace of `pid`, or the one that the plan names, and brings it up there.
///
/// # Errors
/// ENODEV where there is no such device; EEXIST where its name is taken inside; EINVAL for one that can't leave; EPERM.
#[cold]
#[inline(never)]
pub fn enter(arena: &Arena<'_>, pid: u32, device: &NetDevice<'_>) -> Outcome<()> {
    let proc = Proc::open()?.root();
    let theirs = match device.namespace {
        Some(path) => file(CWD, path)?,
        None => file(proc, c_join!(arena, pid, "/ns/net")?)?,
    };
    let ours = file(proc, c"self/ns/net")?;
    let outside = net::rtnetlink()?;
    let old = net::index(outside, device.name)?;
    let mut request = Request::addresses();
    request.send(outside)?;
    let mut rest = addresses(arena, outside)?;
    // a socket belongs to the namespace that it is made in
    join(theirs)?;
    let inside = net::rtnetlink();
    join(ours)?;
    let inside = inside?;
    let name = free(arena, inside, device.new)?;
    request.leave(old, name, theirs)?;
    request.send(outside)?;
    answered(outside).map_err(identity::privileged)?;
    let index = net::index(inside, name)?;
    while let Some((address, others)) = message(rest) {
        if stays(address, old) {
            give_back(inside, index, address)?;
        }
        rest = others;
    }
    request.up(index);
    request.send(inside)?;
    answered(inside)?;
    // they hold the namespace; where something failed hull ends, and they with it
    for file in [proc, theirs, ours, outside, inside] {
        descriptor::close(file.as_raw_fd());
    }
    Ok(())
}

/// A file of nsfs; a FIFO in its place must not hold hull up.
#[inline(never)]
fn file(at: BorrowedFd<'_>, path: &CStr) -> Outcome<BorrowedFd<'static>> {
    open::open(at, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map(descriptor::leave_open)
}

#[inline(never)]
fn join(namespace: BorrowedFd<'_>) -> Outcome<()> {
    process::join_namespace(namespace, n::CLONE_NEWNET).map_err(|fault| match fault.errno() {
        Errno::INVAL => fault.hinted(Hint::NotNamespace),
        _ => identity::privileged(fault),
    })
}

/// The name that the device gets: `%d` stands for the first number whose name is free.
fn free<'a>(arena: &Arena<'a>, inside: BorrowedFd<'_>, wanted: &'a CStr) -> Outcome<&'a CStr> {
    let bytes = wanted.to_bytes();
    let place = bytes.windows(2).position(|two| two == b"%d");
    let (front, end) = bytes.split_at_checked(place.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
    // as many as the kernel tries: a bit for each in a page
    for number in 0..1u32 << 15 {
        let name = match after(end, b"%d") {
            Some(end) => c_join!(arena, front, number, end)?,
            None => wanted,
        };
        match net::index(inside, name) {
            Err(fault) if fault.is(Errno::NODEV) => return Ok(name),
            Err(fault) => return Err(fault),
            Ok(_) if place.is_none() => break,
            Ok(_) => {}
        }
    }
    Err(Errno::EXIST.into())
}

/// The first of some netlink messages, and the rest.
#[inline(never)]
fn message(bytes: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    let len = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let (message, rest) = bytes.split_at_mut_checked(len.max(16))?;
    let padding = len.wrapping_neg() & 3;
    Some((message, rest.get_mut(padding..).unwrap_or_default()))
}

#[inline(never)]
fn kind(message: &[u8]) -> u16 {
    message.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |kind| u16::from_ne_bytes(*kind))
}

/// The kernel's answers to the question for all addresses, one message after the other.
fn addresses<'a>(arena: &Arena<'a>, outside: BorrowedFd<'_>) -> Outcome<&'a mut [u8]> {
    let room = arena.bytes(ADDRESSES)?;
    let mut used = 0;
    loop {
        let free = room.get_mut(used..).filter(|free| free.len() >= ANSWER).ok_or(Errno::NOBUFS)?;
        let (len, _) = recv(outside, &mut free[..], RecvFlags::empty())?;
        let mut part = free.get_mut(..len).unwrap_or_default();
        used += len;
        while let Some((message, others)) = message(part) {
            match kind(message) {
                DONE => return Ok(room.get_mut(..used).unwrap_or_default()),
                ERROR => result(message)?,
                _ => {}
            }
            part = others;
        }
    }
}

/// Whether a message is an address of the device, permanent (IFA_F_PERMANENT) and global (RT_SCOPE_UNIVERSE).
fn stays(message: &[u8], index: u32) -> bool {
    // struct ifaddrmsg: family, prefix, flags, scope, index
    match message.get(18..).and_then(<[u8]>::first_chunk::<6>) {
        Some([flags, scope, device @ ..]) => {
            kind(message) == NEW_ADDRESS && flags & 0x80 != 0 && *scope == 0 && *device == index.to_ne_bytes()
        }
        None => false,
    }
}

/// Asks the kernel for an address with all that it told of it, but for the device and its label, which holds the old name.
fn give_back(inside: BorrowedFd<'_>, index: u32, address: &mut [u8]) -> Outcome<()> {
    const IFA_LABEL: [u8; 2] = 3u16.to_ne_bytes();
    put(address, 6, &CREATE.to_ne_bytes());
    put(address, 20, &index.to_ne_bytes());
    let mut place = 24;
    while let Some(&[one, other, kind @ ..]) = address.get(place..).and_then(<[u8]>::first_chunk::<4>) {
        if kind == IFA_LABEL {
            // 0 is an attribute that nobody reads
            put(address, place + 2, &[0; 2]);
        }
        place += (usize::from(u16::from_ne_bytes([one, other])).max(4) + 3) & !3;
    }
    send(inside, address, SendFlags::empty())?;
    answered(inside)
}

#[inline(never)]
fn put(message: &mut [u8], place: usize, bytes: &[u8]) {
    for (byte, new) in message.iter_mut().skip(place).zip(bytes) {
        *byte = *new;
    }
}

/// Waits for the result of a request.
#[inline(never)]
fn answered(socket: BorrowedFd<'_>) -> Outcome<()> {
    let mut answer = [0; 64];
    recv(socket, &mut answer[..], RecvFlags::empty())?;
    result(&answer)
}

/// The result that an answer tells: `struct nlmsgerr`.
#[inline(never)]
fn result(message: &[u8]) -> Outcome<()> {
    match message.get(16..).and_then(<[u8]>::first_chunk).map_or(0, |errno| i32::from_ne_bytes(*errno)) {
        0 => Ok(()),
        number => Err(Fault::from(raw::errno(number.wrapping_neg()))),
    }
}
