//! The one re-exec: hull moves into a copy of its binary that no container can ever write (CVE-2019-5736).
//!
//! A container whose program is /proc/self/exe, or who shares a pid namespace, can reach the file that hull runs from.
//! So before any config is read, `run` goes on in a sealed memfd; where memfds may not be executed
//! (vm.memfd_noexec), in a detached read-only clone of the mount. A binary on a file system that can never be written
//! stays where it is.
//!
//! Recognised by the descriptor alone: execveat(2) on a descriptor sets AT_EXECFN to `/dev/fd/N`, and descriptor N
//! must carry the seals or the read-only mount. Names, environment and arguments prove nothing.

use crate::base::number;
use crate::base::text::{Template, after};
use crate::effect::mount::READ_ONLY;
use crate::effect::{Fault, Outcome, bind, call};
use crate::error::Result;
use crate::fail;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::sys::descriptor::OwnedFd;
use crate::sys::{descriptor, open, process};
use crate::{c_join, text};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{self, CWD, MemfdFlags, OFlags, SealFlags};
use rustix::io::Errno;

/// File systems without a write path (linux/magic.h): squashfs, erofs, iso9660, cramfs, romfs.
const NEVER_WRITTEN: [u32; 5] = [0x7371_7368, 0xe0f5_e1e2, 0x9660, 0x28cd_3d45, 0x7275];

/// `MFD_EXEC` (Linux 6.3): without it, newer kernels warn and may refuse.
const MFD_EXEC: u32 = 0x10;

const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// Returns once this process runs from a protected copy; before that, it re-executes itself once.
///
/// # Errors
/// The binary can't be found, copied or executed; the text says which.
pub fn ensure<'a>(arena: &Arena<'a>, start: &Start) -> Result<'a, ()> {
    if let Some(own) = start.executable().and_then(descriptor_of)
        && descriptor::is_open(own)
    {
        let file = descriptor::borrow(own);
        if sealed(file) || read_only(file) {
            descriptor::close(own);
            return Ok(());
        }
    }
    go_on(arena, start).map_err(|(text, fault)| fail!(arena, fault.errno() => text))
}

/// Executes a protected copy; returns where none is needed, or with what went wrong.
fn go_on(arena: &Arena<'_>, start: &Start) -> core::result::Result<(), (Template, Fault)> {
    let file = own_binary(start).map_err(|fault| {
        (text!("find hull's own binary through /proc/self/exe or the path it was started by"), fault)
    })?;
    let file = file.as_fd();
    let magic = call::magic(file).map_err(|fault| (text!("look at hull's own binary"), fault))?;
    if NEVER_WRITTEN.contains(&magic) {
        return Ok(());
    }
    let refused = match copy(file) {
        Ok(memory) => execute(arena, &memory, start).into(),
        Err(fault) => fault,
    };
    Err(match clone(file) {
        Ok(tree) => {
            (text!("execute a read-only clone of hull's own binary"), execute(arena, &tree, start).into())
        }
        Err(_) => (text!("execute a sealed copy of hull's own binary (memfd; see vm.memfd_noexec)"), refused),
    })
}

/// Executes the descriptor; returns only on failure.
#[inline(never)]
fn execute(arena: &Arena<'_>, file: &OwnedFd, start: &Start) -> Errno {
    match process::execute_again(file, c"", start) {
        // TOMOYO wants a path, until Linux 6.12 the one of AT_EXECFN: not every /dev has `fd`
        Errno::NOENT => c_join!(arena, "/proc/self/fd/", file.as_raw_fd())
            .map_or(Errno::NOENT, |path| process::execute_again(CWD, path, start)),
        errno => errno,
    }
}

/// N of `/dev/fd/N` or `/proc/self/fd/N`.
fn descriptor_of(path: &CStr) -> Option<i32> {
    // a path of the caller's own that ends in a number must not make any sealed file pass for hull's copy
    let path = path.to_bytes();
    let digits = after(path, b"/dev/fd/").or_else(|| after(path, b"/proc/self/fd/"))?;
    number::decimal(digits, i32::MAX as u64).map(|n| n as i32)
}

fn sealed(file: BorrowedFd<'_>) -> bool {
    fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS))
}

fn read_only(file: BorrowedFd<'_>) -> bool {
    bind::attributes(file).is_ok_and(|attributes| attributes & n::MOUNT_ATTR_RDONLY != 0)
}

fn own_binary(start: &Start) -> Outcome<OwnedFd> {
    match open::open(CWD, c"/proc/self/exe", OFlags::RDONLY) {
        // no /proc: the path that the kernel executed, as long as the working directory is still the same
        Err(fault) if fault.is(Errno::NOENT) => {
            open::open(CWD, start.executable().unwrap_or(c""), OFlags::RDONLY)
        }
        other => other,
    }
}

/// A sealed copy. Not close-on-exec: the copy recognises itself by this descriptor, and closes it.
fn copy(file: BorrowedFd<'_>) -> Outcome<OwnedFd> {
    let flags = MemfdFlags::ALLOW_SEALING;
    let memory = match open::memory(c"hull", flags | MemfdFlags::from_bits_retain(MFD_EXEC)) {
        Err(fault) if fault.is(Errno::INVAL) => open::memory(c"hull", flags),
        other => other,
    }?;
    call::copy(file, memory.as_fd())?;
    fs::fcntl_add_seals(&memory, SEALS)?;
    Ok(memory)
}

/// A detached clone of the binary's mount, read-only: it has no path, so nobody can remount or write it.
fn clone(file: BorrowedFd<'_>) -> Outcome<OwnedFd> {
    let tree = bind::detached(bind::Source::Descriptor(file), false)?;
    if !bind::set(tree.as_fd(), &READ_ONLY)? {
        return Err(Errno::NOSYS.into());
    }
    descriptor::keep_on_exec(tree.as_raw_fd())?;
    Ok(tree)
}
