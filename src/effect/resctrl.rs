//! Classes of service and monitoring groups of resctrl (Intel RDT; Documentation/filesystems/resctrl.rst in Linux).

use super::{Fault, Hint, Outcome, call, procfs};
use crate::base::parts::{lines, parts};
use crate::c_join;
use crate::plan::op::Resctrl;
use crate::rt::arena::Arena;
use crate::sys::open;
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

/// Bytes of a schemata file that are read: a line for each resource, an entry for each cache.
const LIMIT: usize = 64 << 10;

/// Makes the class where it is missing, and its monitoring group, and writes its schemata.
///
/// # Errors
/// ENOENT for a class that should have been there; EINVAL with a hint where it has other schemata, or the kernel takes none
/// of these; ENOSPC where the hardware has no more classes.
#[cold]
#[inline(never)]
pub fn prepare(arena: &Arena<'_>, class: &Resctrl<'_>) -> Outcome<()> {
    let schemata = c_join!(arena, class.path, "/schemata")?;
    if class.named && class.schemata.is_empty() {
        open::open(CWD, class.path, OFlags::PATH | OFlags::DIRECTORY)?;
    } else if there_already(class.path)? && class.named && class.compared > 0 {
        let text = procfs::read_path(arena, CWD, schemata, LIMIT, true)?;
        let wanted = class.schemata.to_bytes();
        if !lines(wanted.get(..class.compared).unwrap_or(wanted))
            .all(|line| line.is_empty() || has(text, line))
        {
            return Err(Fault::new(Errno::INVAL, Hint::OtherSchemata));
        }
    }
    if !class.schemata.is_empty() {
        write(schemata, class.schemata.to_bytes())?;
    }
    if let Some(monitor) = class.monitor {
        there_already(monitor)?;
    }
    Ok(())
}

/// Makes a directory, or finds it.
fn there_already(path: &CStr) -> Outcome<bool> {
    match call::make_directory(CWD, path, 0o755) {
        Err(fault) if fault.is(Errno::EXIST) => Ok(true),
        other => other.map(|()| false),
    }
}

/// Puts a process into the class and its monitoring group.
///
/// # Errors
/// As write(2).
#[cold]
#[inline(never)]
pub fn enter(arena: &Arena<'_>, class: &Resctrl<'_>, pid: Pid) -> Outcome<()> {
    let pid = c_join!(arena, pid.as_raw_nonzero().get())?;
    for group in [Some(class.path), class.monitor].into_iter().flatten() {
        write(c_join!(arena, group, "/tasks")?, pid.to_bytes())?;
    }
    Ok(())
}

fn write(file: &CStr, text: &[u8]) -> Outcome<()> {
    let file = open::create(CWD, file, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, 0o600)?;
    call::write(file.as_fd(), text)
}

/// Whether a schemata file gives every cache of `line` the value that it has there: `L3:0=7f0;1=01f`. The kernel writes
/// blanks and leading zeros of its own, and caches that `line` does not name.
fn has(text: &[u8], line: &[u8]) -> bool {
    let (name, wanted) = cut(line, b':');
    for line in lines(text) {
        let (other, there) = cut(line, b':');
        if other == name {
            return parts(wanted, b';').all(|item| parts(there, b';').any(|other| same(item, other)));
        }
    }
    false
}

fn same(item: &[u8], other: &[u8]) -> bool {
    let ((cache, mut value), (other, mut there)) = (cut(item, b'='), cut(other, b'='));
    for text in [&mut value, &mut there] {
        while let [b'0', rest @ ..] = *text {
            *text = rest;
        }
    }
    // hexadecimal digits of either case
    let alike = |(one, other): (&u8, &u8)| one | 0x20 == other | 0x20;
    cache == other && value.len() == there.len() && value.iter().zip(there).all(alike)
}

/// What stands before a byte and behind it, without blanks around.
#[inline(never)]
fn cut(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    let mut halves = parts(text, at);
    (halves.next().unwrap_or(&[]).trim_ascii(), halves.rest().unwrap_or(&[]).trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::has;

    #[test]
    fn schemata_are_compared_by_value() {
        let text = b"    MB:0=100;1= 70\n    L3:0=007f0;1=00001f\n";
        for same in [&b"L3:0=7f0;1=1f"[..], b"L3:1=1F", b"MB:0=100", b"MB: 1=070 ;0=100"] {
            assert!(has(text, same));
        }
        for other in [&b"L3:0=7f0;1=1e"[..], b"L3:2=1f", b"MB:0=10", b"L2:0=1", b"L3", b"L3:0=7f0;"] {
            assert!(!has(text, other), "{other:?}");
        }
    }
}
