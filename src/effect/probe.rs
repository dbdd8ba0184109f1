//! What the planner wants to know of the host, asked with as few calls as can be.
//!
//! A pure cgroup v2 host is one statfs; hull's own cgroup is read only where the config's path is relative. On cgroup v1
//! and hybrid hosts mountinfo tells the hierarchies.

use super::Outcome;
use super::procfs::{self, Proc};
use super::root::unescape;
use crate::base::parts::{line_after, lines, parts};
use crate::base::path;
use crate::base::text::after;
use crate::base::words;
use crate::c_join;
use crate::config::{List, Namespace};
use crate::plan::host::{Hierarchy, Host, Version, Wants};
use crate::rt::arena::Arena;
use core::ffi::CStr;
use rustix::fs::{self, CWD};

/// CGROUP2_SUPER_MAGIC (linux/magic.h).
const CGROUP2: u64 = 0x6367_7270;
/// Where every distribution mounts the tree.
const ROOT: &CStr = c"/sys/fs/cgroup";
/// Bytes of mountinfo and cgroup that are read.
const LIMIT: usize = 1 << 20;

/// Probes the host for a config's wants.
///
/// # Errors
/// As read(2) of procfs files; a host without any cgroup tree is no error.
#[inline(never)]
pub fn host<'a>(arena: &Arena<'a>, wants: Wants<'a>) -> Outcome<Host<'a>> {
    let own = own_namespaces(arena, wants.namespaces)?;
    let resctrl = if wants.resctrl { resctrl(arena)? } else { None };
    if fs::statfs(ROOT).is_ok_and(|s| s.f_type as u64 == CGROUP2) {
        let mut only = Hierarchy { version: Version::V2, mount: ROOT, controllers: c"", own: c"/" };
        if wants.own_cgroup
            && let Some(text) = own_file(arena, c"self/cgroup", false)?
        {
            only.own = arena.c_str(line_after(text, b"0::").unwrap_or(b"/"))?;
        }
        return Ok(Host { cgroups: core::slice::from_ref(arena.one(only)?), own, resctrl });
    }
    let cgroups = match (own_file(arena, c"self/mountinfo", true)?, own_file(arena, c"self/cgroup", true)?) {
        (Some(mounts), Some(own)) => hierarchies(arena, mounts, own)?,
        _ => &[],
    };
    Ok(Host { cgroups, own, resctrl })
}

/// CLONE_NEW* of those that are joined by path and are the caller's own. What can't be looked at can't be joined either, and
/// the child will say why.
fn own_namespaces<'a>(arena: &Arena<'a>, namespaces: List<'a, Namespace<'a>>) -> Outcome<u64> {
    let mut own = 0;
    let mut n = 0;
    while let Some(namespace) = namespaces.get(n) {
        n += 1;
        let Some(path) = namespace.path().filter(|path| !path.is_empty()) else { continue };
        let ours = c_join!(arena, "/proc/self/ns/", namespace.kind().file())?;
        // all namespaces are files of one file system
        let inode = inode_of(path);
        if inode.is_some() && inode == inode_of(ours) {
            own |= namespace.kind().clone_flag();
        }
    }
    Ok(own)
}

// the field has another width on 32 bits
#[allow(clippy::unnecessary_cast)]
#[inline(never)]
fn inode_of(path: &CStr) -> Option<u64> {
    fs::stat(path).ok().map(|stat| stat.st_ino as u64)
}

/// Whether hull is no root of the host, but an ordinary user or the root of a user namespace. Asked only where something
/// was refused: it takes a look at /proc/self/uid_map. Where there is no procfs the answer is no.
pub fn is_rootless(arena: &Arena<'_>) -> bool {
    if !rustix::process::geteuid().is_root() {
        return true;
    }
    // all ids but the last are mapped in the first user namespace (user_namespaces(7))
    match procfs::read_small(arena, CWD, c"/proc/self/uid_map") {
        Ok(map) => !map.trim_ascii().ends_with(b" 4294967295"),
        Err(_) => false,
    }
}

/// A file of the host's own /proc; `None` where there is no procfs to be had (an initramfs). It is asked without a check:
/// nobody but the host's root could have put anything else there. `whole`: it may be longer than one call gives.
#[inline(never)]
fn own_file<'a>(arena: &Arena<'a>, path: &CStr, whole: bool) -> Outcome<Option<&'a [u8]>> {
    let place = c_join!(arena, "/proc/", path)?;
    if let Ok(text) = procfs::read_path(arena, CWD, place, LIMIT, whole) {
        return Ok(Some(text));
    }
    match Proc::open() {
        Ok(proc) => proc.read(arena, path, LIMIT).map(Some),
        Err(_) => Ok(None),
    }
}

fn hierarchies<'a>(arena: &Arena<'a>, mounts: &[u8], own: &[u8]) -> Outcome<&'a [Hierarchy<'a>]> {
    let mut list = arena.list::<Hierarchy<'a>>(lines(mounts).filter_map(cgroup_mount).count())?;
    for mount in lines(mounts).filter_map(cgroup_mount) {
        let controllers = mount_controllers(arena, &mount)?;
        // a hierarchy may be mounted twice; the first is the one that everybody uses
        let seen = |h: &Hierarchy<'a>| h.version == mount.version && h.controllers == controllers;
        if list.items().iter().any(seen) {
            continue;
        }
        let own = own_in(own, mount.version, controllers.to_bytes(), mount.root);
        list.push(Hierarchy {
            version: mount.version,
            mount: unescape(arena, mount.place)?,
            controllers,
            own: arena.c_str(own)?,
        })?;
    }
    Ok(list.done())
}

/// One cgroup mount of mountinfo.
struct CgroupMount<'l> {
    version: Version,
    root: &'l [u8],
    place: &'l [u8],
    options: &'l [u8],
}

fn cgroup_mount(line: &[u8]) -> Option<CgroupMount<'_>> {
    let mount = mounted(line)?;
    let version = match mount.kind {
        b"cgroup" => Version::V1,
        b"cgroup2" => Version::V2,
        _ => return None,
    };
    let Mount { root, place, options, .. } = mount;
    path::is_within(place, ROOT.to_bytes()).then_some(CgroupMount { version, root, place, options })
}

/// One mount of mountinfo (proc_pid_mountinfo(5)).
struct Mount<'l> {
    root: &'l [u8],
    place: &'l [u8],
    kind: &'l [u8],
    options: &'l [u8],
}

#[inline(never)]
fn mounted(line: &[u8]) -> Option<Mount<'_>> {
    let mut fields = parts(line, b' ');
    let (root, place) = (fields.skip_to(3)?, fields.next()?);
    // optional fields end with a lone hyphen; then type, source, super options
    fields.find(|field| *field == b"-")?;
    Some(Mount { root, place, kind: fields.next()?, options: fields.skip_to(1)? })
}

/// Where the first resctrl is mounted.
#[cold]
#[inline(never)]
fn resctrl<'a>(arena: &Arena<'a>) -> Outcome<Option<&'a CStr>> {
    let mounts = own_file(arena, c"self/mountinfo", true)?.unwrap_or(&[]);
    let place = lines(mounts).filter_map(mounted).find(|mount| mount.kind == b"resctrl");
    Ok(match place {
        Some(mount) => Some(unescape(arena, mount.place)?),
        None => None,
    })
}

/// Super options that are no controllers.
const OTHERS: &str = "rw ro xattr noprefix clone_children cpuset_v2_mode ";

fn mount_controllers<'a>(arena: &Arena<'a>, mount: &CgroupMount<'_>) -> Outcome<&'a CStr> {
    if mount.version == Version::V2 {
        return Ok(c"");
    }
    let mut text = arena.list::<u8>(mount.options.len().saturating_add(1))?;
    for option in parts(mount.options, b',') {
        if words::position(OTHERS, option).is_some() || after(option, b"release_agent=").is_some() {
            continue;
        }
        if !text.items().is_empty() {
            text.push(b',')?;
        }
        for &byte in option {
            text.push(byte)?;
        }
    }
    Ok(arena.c_str(text.items())?)
}

/// hull's own cgroup in a hierarchy, relative to what is mounted of it (cgroups(7), /proc/[pid]/cgroup).
fn own_in<'t>(text: &'t [u8], version: Version, controllers: &[u8], root: &[u8]) -> &'t [u8] {
    for line in lines(text) {
        let mut fields = parts(line, b':');
        let (Some(number), Some(names), Some(own)) = (fields.next(), fields.next(), fields.rest()) else {
            continue;
        };
        let same = match version {
            Version::V2 => number == b"0" && names.is_empty(),
            Version::V1 => !names.is_empty() && names == controllers,
        };
        if same {
            let below = after(own, root).filter(|_| root != b"/").unwrap_or(own);
            return if below.is_empty() { b"/" } else { below };
        }
    }
    b"/"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_mountinfo() {
        let line = b"33 26 0:28 /docker/x /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let mount = cgroup_mount(line).unwrap();
        assert_eq!((mount.version, mount.place), (Version::V1, &b"/sys/fs/cgroup/cpu,cpuacct"[..]));
        let arena = crate::error::test_arena(16384);
        assert_eq!(mount_controllers(&arena, &mount).unwrap(), c"cpu,cpuacct");
        let own = b"4:cpu,cpuacct:/docker/x/a\n1:name=systemd:/\n0::/u\n";
        assert_eq!(own_in(own, Version::V1, b"cpu,cpuacct", mount.root), b"/a");
        assert_eq!(own_in(own, Version::V1, b"name=systemd", b"/"), b"/");
        assert_eq!(own_in(own, Version::V2, b"", b"/"), b"/u");
        assert!(cgroup_mount(b"1 2 0:1 / /proc rw - proc proc rw").is_none());
        assert!(cgroup_mount(b"").is_none());
    }
}
