//! Cgroups on the host's side: made, filled, entered, emptied and removed.
//!
//! Invariant: what is removed at the end is the leaf, also one that was there and empty (runc's rule), and of what lies above
//! it only what was made here; processes are killed only in a cgroup that was empty or new when the container took it.

use super::probe::is_rootless;
use super::procfs::{self, read_small};
use super::{Fault, Hint, Outcome, call};
use crate::base::number;
use crate::base::parts::{lines, parts};
use crate::c_join;
use crate::plan::op::{HostOp, How};
use crate::rt::arena::{Arena, Full};
use crate::sys::descriptor::{self, OwnedFd};
use crate::sys::{directory, open};
use core::cell::Cell;
use core::ffi::CStr;
use heapless::Vec;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

/// Hierarchies at most: Linux has 14 controllers, and named hierarchies are few.
const MAX_TREES: usize = 32;
/// `rmdir` is tried this often, with a growing pause (about 10 s in all): dead processes leave a cgroup a little after
/// they are reaped.
const REMOVE_TRIES: u32 = 100;

/// Any other trouble is tried to get past this often: a fault of the moment must not leave a cgroup behind.
const FAULT_TRIES: u32 = 3;

/// Cgroups that a container nested deeper than this are left to the administrator: each level costs a frame.
const MAX_NESTED: u32 = 32;

const KILL: i32 = linux_raw_sys::general::SIGKILL as i32;

struct Tree<'a> {
    number: u8,
    path: &'a CStr,
    optional: bool,
    /// Where the leaf's path ends below each directory that was made for it: the length of the part that existed.
    existed: usize,
    /// Opened where it is asked for, and left open: on v1 it hardly ever is.
    directory: Cell<Option<BorrowedFd<'static>>>,
}

impl Tree<'_> {
    #[inline(never)]
    fn directory(&self) -> Outcome<BorrowedFd<'static>> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let directory = descriptor::leave_open(open_directory(self.path)?);
        self.directory.set(Some(directory));
        Ok(directory)
    }
}

/// The container's cgroups.
pub struct Cgroups<'a, 'b> {
    arena: &'b Arena<'a>,
    trees: Vec<Tree<'a>, MAX_TREES>,
    /// The file written last stays open: device rules of v1 are many lines into one.
    last: Option<(u8, &'a CStr, OwnedFd)>,
    /// The limits of which a first write was refused, bit by row.
    refused: u64,
}

/// What to make: see `HostOp::MakeCgroup`.
#[derive(Clone, Copy)]
pub struct Make<'a> {
    /// The number of the hierarchy.
    pub tree: u8,
    /// Its mount point.
    pub mount: &'a CStr,
    /// The path below it.
    pub path: &'a CStr,
    /// Controllers are handed down (v2).
    pub controllers: bool,
    /// cpus and mems are filled (v1).
    pub cpuset: bool,
    /// An ordinary user may go without.
    pub optional: bool,
}

impl<'a, 'b> Cgroups<'a, 'b> {
    /// None yet.
    pub const fn new(arena: &'b Arena<'a>) -> Self {
        Cgroups { arena, trees: Vec::new(), last: None, refused: 0 }
    }

    /// The arena that paths are made in.
    pub const fn arena(&self) -> &'b Arena<'a> {
        self.arena
    }

    /// Makes one cgroup with its parents.
    ///
    /// # Errors
    /// As mkdir(2) and the kernel's cgroup files; EBUSY with a hint where it exists and is not empty.
    pub fn make(&mut self, make: &Make<'a>) -> Outcome<()> {
        let path = c_join!(self.arena, make.mount, make.path)?;
        let whole = path.to_bytes().len();
        let made = match make.controllers || make.cpuset {
            false => call::make_directory(CWD, path, 0o755),
            true => Err(Errno::NOENT.into()),
        };
        let existed = match made {
            Ok(()) => parent_len(path),
            Err(fault) if fault.is(Errno::EXIST) => whole,
            Err(fault) if fault.is(Errno::NOENT) => match self.make_each(path, make) {
                Err(fault) if make.optional && self.may_not(fault) => return Ok(()),
                other => other?,
            },
            Err(fault) if make.optional && self.may_not(fault) => return Ok(()),
            Err(other) => return Err(other),
        };
        let tree =
            Tree { number: make.tree, directory: Cell::new(None), path, optional: make.optional, existed };
        if existed == whole {
            if !members(self.arena, tree.directory()?)?.is_empty() {
                return Err(Fault::new(Errno::BUSY, Hint::CgroupBusy));
            }
            if is_frozen(self.arena, path) {
                return Err(Fault::new(Errno::BUSY, Hint::CgroupFrozen));
            }
        }
        self.trees.push(tree).map_err(|_| Errno::NOSPC)?;
        Ok(())
    }

    /// Whether an ordinary user was refused.
    fn may_not(&self, fault: Fault) -> bool {
        matches!(fault.errno(), Errno::ACCESS | Errno::PERM | Errno::ROFS) && is_rootless(self.arena)
    }

    /// Whether the container has a cgroup in hierarchy `tree`.
    pub fn has(&self, tree: u8) -> bool {
        self.trees.iter().any(|t| t.number == tree)
    }

    /// Whether the one in hierarchy `tree` is there only because nothing spoke against it, and hull is no root of the host.
    pub fn goes_without(&self, tree: Option<u8>) -> bool {
        self.trees.iter().any(|t| Some(t.number) == tree && t.optional) && is_rootless(self.arena)
    }

    /// Gives the cgroup of hierarchy `tree` to `uid`: the directory and what the kernel says makes it manageable
    /// (cgroups(7), "Cgroups delegation"; the list is there since Linux 4.15).
    ///
    /// # Errors
    /// As chown(2).
    pub fn own(&self, tree: u8, uid: u32) -> Outcome<()> {
        if !self.has(tree) {
            return Ok(());
        }
        let directory = self.directory(tree)?;
        call::own(directory, c"", uid, None)?;
        let files = procfs::read_small(self.arena, CWD, c"/sys/kernel/cgroup/delegate");
        for file in lines(files.unwrap_or(b"cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n")) {
            match call::own(directory, self.arena.c_str(file)?, uid, None) {
                // of a controller that is off
                Err(fault) if !fault.is(Errno::NOENT) => return Err(fault),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes each component below the mount point; returns how much of the path was there before.
    fn make_each(&self, path: &CStr, make: &Make<'a>) -> Outcome<usize> {
        let mut existed = make.mount.to_bytes().len();
        let mut deepest = make.mount;
        let made = self.make_down(path.to_bytes(), make, &mut existed, &mut deepest);
        if made.is_err() && remove_chain(self.arena, deepest, existed).is_err() {
            // the first fault is the one to tell
        }
        made.map(|()| existed)
    }

    fn make_down(
        &self,
        path: &[u8],
        make: &Make<'a>,
        existed: &mut usize,
        deepest: &mut &'a CStr,
    ) -> Outcome<()> {
        loop {
            let parent = *deepest;
            let behind = parent.to_bytes().len().saturating_add(1);
            if behind > path.len() {
                return Ok(());
            }
            let next = path.iter().skip(behind).position(|&b| b == b'/');
            let end = next.map_or(path.len(), |len| behind.saturating_add(len));
            if make.controllers {
                hand_down(self.arena, parent)?;
            }
            let here = self.arena.c_str(path.get(..end).unwrap_or(path))?;
            let made = match call::make_directory(CWD, here, 0o755) {
                Err(fault) if fault.is(Errno::EXIST) => {
                    *existed = end;
                    false
                }
                other => other.map(|()| true)?,
            };
            *deepest = here;
            if make.cpuset {
                fill_cpuset(self.arena, parent, here, made)?;
            }
        }
    }

    fn tree(&self, number: u8) -> Outcome<&Tree<'a>> {
        self.trees.iter().find(|t| t.number == number).ok_or(Errno::NOENT.into())
    }

    /// The directory of hierarchy `tree`, for clone3 and eBPF.
    ///
    /// # Errors
    /// ENOENT where none was made.
    pub fn directory(&self, tree: u8) -> Outcome<BorrowedFd<'static>> {
        self.tree(tree)?.directory()
    }

    /// Carries out a `HostOp::CgroupFile`: a value into a file of the cgroup, in one write.
    ///
    /// # Errors
    /// ENOENT with a hint where the controller is off; EBUSY where more is in use than the value; else as write(2).
    #[inline(never)]
    #[cold]
    pub fn set(&mut self, op: &HostOp<'a>) -> Outcome<()> {
        let HostOp::CgroupFile { tree, file, value, row, how } = *op else {
            return Err(Errno::INVAL.into());
        };
        let refused = 1u64.wrapping_shl(row.into());
        let written = match how {
            How::Again if self.refused & refused == 0 => return Ok(()),
            How::Below => return self.below(tree, file, value),
            _ => self.write(tree, file, value),
        };
        self.refused &= !refused;
        match written {
            Err(fault) if how == How::Optional && fault.is(Errno::NOENT) => Ok(()),
            Err(fault) if how == How::First && (fault.is(Errno::NOENT) || fault.is(Errno::INVAL)) => {
                self.refused |= refused;
                Ok(())
            }
            other => other,
        }
    }

    /// Whether the number in a file is less than `limit`; as in runc there may be none.
    fn below(&self, tree: u8, file: &CStr, limit: &CStr) -> Outcome<()> {
        let path = c_join!(self.arena, self.tree(tree)?.path, "/", file)?;
        let Ok(text) = read_small(self.arena, CWD, path) else { return Ok(()) };
        let number = |text| number::decimal(text, u64::MAX);
        let fits = number(limit.to_bytes())
            .is_none_or(|limit| number(text.trim_ascii()).is_some_and(|used| used < limit));
        if fits { Ok(()) } else { Err(Fault::new(Errno::BUSY, Hint::InUse)) }
    }

    fn write(&mut self, tree: u8, file: &'a CStr, value: &CStr) -> Outcome<()> {
        let opened = match &self.last {
            Some((number, name, file_of_last)) if *number == tree && *name == file => file_of_last,
            _ => {
                let path = c_join!(self.arena, self.tree(tree)?.path, "/", file)?;
                let opened = open::open(CWD, path, OFlags::WRONLY).map_err(|fault| {
                    if fault.is(Errno::NOENT) { fault.hinted(Hint::NoController) } else { fault }
                })?;
                &self.last.insert((tree, file, opened)).2
            }
        };
        call::write(opened.as_fd(), value.to_bytes())
    }

    /// Puts a process into the cgroup of hierarchy `tree`.
    ///
    /// # Errors
    /// As write(2).
    pub fn enter(&self, tree: u8, pid: Pid) -> Outcome<()> {
        if !self.has(tree) {
            return Ok(());
        }
        let path = c_join!(self.arena, self.tree(tree)?.path, "/cgroup.procs")?;
        let text = c_join!(self.arena, pid.as_raw_nonzero().get())?;
        // left open until hull's end: one for each hierarchy, and a call less
        let enter = || {
            let file = open::open(CWD, path, OFlags::WRONLY)?;
            call::write(descriptor::leave_open(file), text.to_bytes())
        };
        match enter() {
            // below a cgroup that has processes and hands down a controller, or is threaded itself
            Err(fault) if fault.is(Errno::OPNOTSUPP) => {
                join_threads(self.arena, self.tree(tree)?.path)?;
                enter()
            }
            Err(fault) if self.may_not(fault) && self.goes_without(Some(tree)) => Ok(()),
            other => other,
        }
    }

    /// Takes a cgroup over that an earlier hull made, of whose path `existed` bytes were there before.
    ///
    /// # Errors
    /// ENOSPC past 32.
    pub fn take(&mut self, path: &'a CStr, existed: usize) -> Outcome<()> {
        let tree = Tree { number: 0, directory: Cell::new(None), path, optional: false, existed };
        self.trees.push(tree).map_err(|_| Errno::NOSPC)?;
        Ok(())
    }

    /// Kills what is left in the cgroups and removes them. `processes`: others than the container's first may be there
    /// (no pid namespace of its own).
    ///
    /// # Errors
    /// EBUSY where something in it can't be killed.
    #[inline(never)]
    pub fn remove(&mut self, processes: bool) -> Outcome<()> {
        let mut result = Ok(());
        while let Some(tree) = self.trees.pop() {
            if let Err(fault) = self.remove_one(&tree, processes) {
                result = Err(fault);
            }
        }
        result
    }

    fn remove_one(&self, tree: &Tree<'a>, processes: bool) -> Outcome<()> {
        for attempt in 0..REMOVE_TRIES {
            match self.try_to_remove(tree, processes) {
                Err(fault) if fault.is(Errno::BUSY) || attempt < FAULT_TRIES => {}
                other => return other,
            }
            // orphans that came to hull keep their cgroup until they are reaped
            while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
            let pause = 200_000i64 << attempt.min(9);
            rest(pause);
        }
        Err(Errno::BUSY.into())
    }

    fn try_to_remove(&self, tree: &Tree<'a>, processes: bool) -> Outcome<()> {
        if processes {
            match tree.directory() {
                // never made, or gone already: so are its processes
                Err(fault) if fault.errno() == Errno::NOENT => {}
                directory => kill_all(self.arena, directory?)?,
            }
        }
        match call::remove_directory(CWD, tree.path) {
            Err(fault) if fault.is(Errno::BUSY) => {
                walk(self.arena, tree.directory()?, MAX_NESTED, KILL, true)?;
                return Err(fault);
            }
            Err(fault) if !fault.is(Errno::NOENT) => return Err(fault),
            _ => {}
        }
        remove_chain(self.arena, parent(self.arena, tree.path)?, tree.existed)
    }
}

/// The path of a cgroup that is about to be made, and how many bytes of it are there already.
///
/// # Errors
/// Of a full arena.
pub fn ahead<'a>(arena: &Arena<'a>, mount: &CStr, path: &CStr) -> Result<(&'a CStr, u32), Full> {
    let whole = c_join!(arena, mount, path)?;
    let bytes = whole.to_bytes();
    let least = mount.to_bytes().len();
    let mut existed = bytes.iter().rposition(|&b| b == b'/').unwrap_or(0);
    while existed > least
        && rustix::fs::access(arena.c_str(bytes.get(..existed).unwrap_or(bytes))?, rustix::fs::Access::EXISTS)
            .is_err()
    {
        existed = bytes.get(..existed).and_then(|part| part.iter().rposition(|&b| b == b'/')).unwrap_or(0);
    }
    Ok((whole, existed.max(least) as u32))
}

/// Whether the cgroup at `path` is frozen: by cgroup.events of v2, freezer.state of v1. A hierarchy without either is
/// not.
#[cold]
pub fn is_frozen(arena: &Arena<'_>, path: &CStr) -> bool {
    [(c"/cgroup.events", &b"frozen 1"[..]), (c"/freezer.state", b"FROZEN")].iter().any(|(file, sign)| {
        c_join!(arena, path, *file)
            .ok()
            .and_then(|file| read_small(arena, CWD, file).ok())
            .is_some_and(|text| text.split(|&b| b == b'\n').any(|line| line == *sign))
    })
}

/// Thaws the cgroup at `path` as far as it can be frozen.
pub fn thaw(arena: &Arena<'_>, path: &CStr) {
    for (file, value) in [(c"/cgroup.freeze", &b"0"[..]), (c"/freezer.state", b"THAWED")] {
        let written =
            c_join!(arena, path, file).map_err(Fault::from).and_then(|file| write_file(CWD, file, value));
        if written.is_err() {
            // this hierarchy has no such file; where the process stays frozen, the wait for its end will tell
        }
    }
}

/// Sends a signal to every process in the cgroup at `path` and in those below it.
///
/// # Errors
/// As open(2), kill(2); a process that ended meanwhile is no error.
pub fn signal_all(arena: &Arena<'_>, path: &CStr, signal: u8) -> Outcome<()> {
    walk(arena, open_directory(path)?.as_fd(), MAX_NESTED, signal.into(), false)
}

/// Signals the processes of a cgroup and of each below it. With `remove` those below are removed, as far as they let
/// themselves be: the caller tries again.
#[cold]
fn walk(arena: &Arena<'_>, directory: BorrowedFd<'_>, depth: u32, signal: i32, remove: bool) -> Outcome<()> {
    if remove { kill_all(arena, directory) } else { signal_each(arena, directory, signal) }?;
    let Some(depth) = depth.checked_sub(1) else { return Err(Errno::LOOP.into()) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let list = open::open(directory, c".", flags)?;
    let mut room = [0u8; 1024];
    loop {
        let names = directory::read_entries(list.as_fd(), &mut room)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names.filter(|name| *name != c"." && *name != c"..") {
            // everything but a directory is a file of the kernel's
            let Ok(nested) = open::open(directory, name, flags) else { continue };
            walk(arena, nested.as_fd(), depth, signal, remove)?;
            if !remove {
                continue;
            }
            match call::remove_directory(directory, name) {
                Err(fault) if !(fault.is(Errno::BUSY) || fault.is(Errno::NOENT)) => return Err(fault),
                _ => {}
            }
        }
    }
}

/// A pause, or a shorter one.
pub fn rest(nanoseconds: i64) {
    let time = rustix::fs::Timespec { tv_sec: 0, tv_nsec: nanoseconds as _ };
    // an interrupted pause is only a shorter one
    if rustix::event::poll(&mut [], Some(&time)).is_err() {}
}

/// Bytes of a path without its last component.
fn parent_len(path: &CStr) -> usize {
    path.to_bytes().iter().rposition(|&b| b == b'/').unwrap_or(0)
}

#[inline(never)]
fn parent<'a>(arena: &Arena<'a>, path: &CStr) -> core::result::Result<&'a CStr, Full> {
    arena.c_str(path.to_bytes().get(..parent_len(path)).unwrap_or(&[]))
}

/// Removes the directories that were made above the leaf, as far as they are empty.
#[inline(never)]
fn remove_chain<'a>(arena: &Arena<'a>, mut path: &'a CStr, existed: usize) -> Outcome<()> {
    while path.to_bytes().len() > existed {
        match call::remove_directory(CWD, path) {
            // used by another container by now
            Err(fault) if fault.is(Errno::BUSY) || fault.is(Errno::NOTEMPTY) => return Ok(()),
            Err(fault) if !fault.is(Errno::NOENT) => return Err(fault),
            _ => path = parent(arena, path)?,
        }
    }
    Ok(())
}

#[inline(never)]
fn write_file(directory: BorrowedFd<'_>, file: &CStr, value: &[u8]) -> Outcome<()> {
    let file = open::open(directory, file, OFlags::WRONLY)?;
    call::write(file.as_fd(), value)
}

fn read_file<'a>(arena: &Arena<'a>, directory: BorrowedFd<'_>, file: &CStr) -> Outcome<&'a [u8]> {
    procfs::read_path(arena, directory, file, 1 << 20, true)
}

/// The processes of a cgroup, one a line; of a threaded one their threads, which serve as well.
fn members<'a>(arena: &Arena<'a>, directory: BorrowedFd<'_>) -> Outcome<&'a [u8]> {
    match read_file(arena, directory, c"cgroup.procs") {
        Err(fault) if fault.is(Errno::OPNOTSUPP) => read_file(arena, directory, c"cgroup.threads"),
        other => other,
    }
}

fn open_directory(path: &CStr) -> Outcome<OwnedFd> {
    open::open(CWD, path, OFlags::PATH | OFlags::DIRECTORY)
}

/// Makes a cgroup threaded that can be nothing else, as can those above it that lead there, and holds nothing as long as it
/// is not (cgroups(7), "Thread mode").
#[cold]
#[inline(never)]
fn join_threads(arena: &Arena<'_>, path: &CStr) -> Outcome<()> {
    let kind = c_join!(arena, path, "/cgroup.type")?;
    if !read_small(arena, CWD, kind).is_ok_and(|text| text == b"domain invalid\n") {
        return Ok(());
    }
    join_threads(arena, parent(arena, path)?)?;
    write_file(CWD, kind, b"threaded")
}

/// Hands every controller of a v2 directory down to its children. All at once where the kernel takes it; else one by
/// one, so that a controller that can't be had (cpu beside realtime processes) does not cost the others.
#[inline(never)]
#[cold]
fn hand_down(arena: &Arena<'_>, path: &CStr) -> Outcome<()> {
    let directory = open_directory(path)?;
    let controllers = read_file(arena, directory.as_fd(), c"cgroup.controllers")?.trim_ascii();
    if controllers.is_empty() {
        return Ok(());
    }
    let words = parts(controllers, b' ');
    let mut all = Vec::<u8, 512>::new();
    for word in words.clone() {
        let fits = all.extend_from_slice(b"+").and_then(|()| all.extend_from_slice(word));
        fits.and_then(|()| all.extend_from_slice(b" ")).map_err(|_| Errno::NOSPC)?;
    }
    match write_file(directory.as_fd(), c"cgroup.subtree_control", &all) {
        Ok(()) => return Ok(()),
        Err(fault) if fault.is(Errno::OPNOTSUPP) => join_threads(arena, path)?,
        Err(_) => {}
    }
    for word in words {
        let one = c_join!(arena, "+", word)?;
        match write_file(directory.as_fd(), c"cgroup.subtree_control", one.to_bytes()) {
            // the limit that needs it will say so, by name
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// A new v1 cpuset has no CPUs and no memory nodes, and takes no process until it has: it gets its parent's. BSP kernels
/// mount the controller with `noprefix`, where the files are called `cpus` and `mems`. One that others use already
/// keeps what it has.
#[inline(never)]
#[cold]
fn fill_cpuset(arena: &Arena<'_>, parent: &CStr, child: &CStr, new: bool) -> Outcome<()> {
    for [long, short] in [[c"cpuset.cpus", c"cpus"], [c"cpuset.mems", c"mems"]] {
        let read = |directory: &CStr, name: &CStr| {
            let path = c_join!(arena, directory, "/", name)?;
            Ok::<_, Fault>(read_small(arena, CWD, path)?.trim_ascii())
        };
        let (name, value) = match read(parent, long) {
            Ok(value) => (long, value),
            Err(_) => (short, read(parent, short)?),
        };
        if new || read(child, name)?.is_empty() {
            write_file(CWD, c_join!(arena, child, "/", name)?, value)?;
        }
    }
    Ok(())
}

/// Kills every process of a cgroup: by cgroup.kill (v2, Linux 5.14), else one by one.
#[inline(never)]
fn kill_all(arena: &Arena<'_>, directory: BorrowedFd<'_>) -> Outcome<()> {
    if write_file(directory, c"cgroup.kill", b"1").is_ok() {
        return Ok(());
    }
    signal_each(arena, directory, KILL)
}

#[cold]
fn signal_each(arena: &Arena<'_>, directory: BorrowedFd<'_>, signal: i32) -> Outcome<()> {
    let list = match members(arena, directory) {
        Err(fault) if fault.is(Errno::NODEV) || fault.is(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    for line in lines(list) {
        let Some(pid) = number::decimal(line, i32::MAX as u64).and_then(|n| Pid::from_raw(n as i32)) else {
            continue;
        };
        match crate::sys::process::kill(pid, signal) {
            Err(fault) if !fault.is(Errno::SRCH) => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}
