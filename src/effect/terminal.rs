//! The container's terminal: a pty from its own devpts, bound to /dev/console, its master sent to the parent.
//!
//! Everything goes by descriptors of a checked devpts, so that an image can't redirect any step (CVE-2025-52565).

use super::bind::{self, Look, Source, Target};
use super::inside::Inside;
use super::resolve::{self, Create};
use super::{Fault, Hint, Outcome};
use crate::sys::{socket, stdio, terminal};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, FileType, OFlags};
use rustix::io::Errno;

/// DEVPTS_SUPER_MAGIC (linux/magic.h).
const DEVPTS: u64 = 0x1cd1;

/// Opens a pty pair, makes its slave the process's terminal and standard descriptors, and hands the master over.
///
/// # Errors
/// ENODEV with a hint where the container has no devpts on /dev/pts.
pub fn open(inside: &mut Inside<'_, '_>, size: Option<(u16, u16)>) -> Outcome<()> {
    let none = |errno| Fault::new(errno, Hint::NoPts);
    let master =
        resolve::open(inside.root, c"dev/pts/ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW)
            .map_err(|fault| none(fault.errno()))?;
    let stat = fs::fstat(&master)?;
    let multiplexer = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev as u64 == fs::makedev(5, 2) as u64;
    if !multiplexer || fs::fstatfs(&master)?.f_type as u64 != DEVPTS {
        return Err(none(Errno::NODEV));
    }
    let slave = terminal::slave(master.as_fd())?;
    if let Some((rows, columns)) = size {
        terminal::set_size(slave.as_fd(), [rows, columns, 0, 0])?;
    }
    console(inside, slave.as_fd())?;
    socket::send(inside.channel, &[crate::stage::wire::TERMINAL], master.as_fd())?;
    stdio::replace(slave.as_fd())?;
    Ok(terminal::control(slave.as_fd())?)
}

fn console(inside: &mut Inside<'_, '_>, slave: BorrowedFd<'_>) -> Outcome<()> {
    let target = match resolve::open(inside.root, c"dev/console", OFlags::PATH | OFlags::NOFOLLOW) {
        Err(fault) if fault.errno() == Errno::NOENT => {
            resolve::walk(inside.root, c"dev/console", OFlags::PATH, Create::File)?
        }
        other => other?,
    };
    let source = Source::Descriptor(slave);
    let tree = bind::tree(inside, source, &Look::default())?;
    bind::bind(inside, tree, source, Target::Descriptor(target.as_fd()), false).map(|_| ())
}
