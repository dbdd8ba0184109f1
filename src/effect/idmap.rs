//! Mounts with mapped ids: a user namespace lends its maps to a detached mount (mount_setattr(2), Linux 5.12).

use super::namespace;
use super::procfs::Proc;
use super::{Fault, Hint, Outcome};
use crate::c_join;
use crate::plan::op::IdMap;
use crate::rt::arena::Arena;
use crate::sys::descriptor;
use crate::sys::process::{self, Cloned};
use crate::sys::{mount, open, socket};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

/// Maps the ids of a detached tree.
///
/// # Errors
/// As open(2), clone(2), mount_setattr(2), with hints.
#[cold]
#[inline(never)]
pub fn map(arena: &Arena<'_>, tree: BorrowedFd<'_>, map: &IdMap<'_>) -> Outcome<()> {
    let namespace = match map.path {
        Some(path) => opened(CWD, path)?,
        None => with_maps(arena, map)?,
    };
    let mapped = mount::map_ids(tree, map.recursive, namespace).map_err(unmappable);
    descriptor::close(namespace.as_raw_fd());
    mapped
}

/// A FIFO in its place must not hold hull up.
fn opened(at: BorrowedFd<'_>, path: &CStr) -> Outcome<BorrowedFd<'static>> {
    open::open(at, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map(descriptor::leave_open)
}

/// What a kernel or a file system without such mounts says.
pub fn unmappable(fault: Fault) -> Fault {
    if fault.is_missing() { fault.hinted(Hint::NoIdMap) } else { fault }
}

/// A user namespace with the maps, made by a process that lives as long as it takes to open it.
fn with_maps(arena: &Arena<'_>, map: &IdMap<'_>) -> Outcome<BorrowedFd<'static>> {
    let (ours, theirs) = socket::pair()?;
    let (ours, theirs) = (descriptor::leave_open(ours), descriptor::leave_open(theirs));
    let pid = match namespace::clone(n::CLONE_NEWUSER.into(), None)?.0 {
        Cloned::Parent(pid) => pid,
        Cloned::Child => {
            // nothing is ever sent: the end comes with the parent's copy, or with the parent
            descriptor::close(ours.as_raw_fd());
            while let Err(Errno::INTR) = rustix::io::read(theirs, &mut [0u8][..]) {}
            process::exit(0)
        }
    };
    let namespace = mapped(arena, map, pid);
    for end in [ours, theirs] {
        descriptor::close(end.as_raw_fd());
    }
    while let Err(Errno::INTR) = waitpid(Some(pid), WaitOptions::empty()) {}
    namespace
}

fn mapped(arena: &Arena<'_>, map: &IdMap<'_>, pid: Pid) -> Outcome<BorrowedFd<'static>> {
    let proc = Proc::open()?;
    let pid = pid.as_raw_nonzero().get();
    for (file, text) in [c"uid_map", c"gid_map"].into_iter().zip(map.maps) {
        proc.write(c_join!(arena, pid, "/", file)?, text).map_err(super::identity::privileged)?;
    }
    // a link of the kernel's own, which `Proc::file` would not follow
    let namespace = opened(proc.root(), c_join!(arena, pid, "/ns/user")?);
    descriptor::close(proc.root().as_raw_fd());
    namespace
}
