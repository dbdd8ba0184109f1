//! The container's terminal: a pty from its own devpts, bound to /dev/console, its master sent to the parent.
//!
//! Everything goes by descriptors of a checked devpts, so that an image can't redirect any step (CVE-2025-52565).

use super::bind::{self, Look, Source, Target};
use super::inside::Inside;
use super::resolve::Create;
use super::{Fault, Hint, Outcome, call};
use crate::sys::{socket, stdio, terminal};
use rustix::fd::BorrowedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// DEVPTS_SUPER_MAGIC (linux/magic.h).
const DEVPTS: u32 = 0x1cd1;

/// Opens a pty pair, makes its slave the process's terminal and standard descriptors, and hands the master over.
///
/// # Errors
/// ENODEV with a hint where the container has no devpts on /dev/pts.
#[inline(never)]
pub fn open(inside: &mut Inside<'_, '_>, size: Option<(u16, u16)>) -> Outcome<()> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW;
    let master =
        inside.at(c"dev/pts/ptmx", flags, Create::Nothing).map_err(|fault| fault.hinted(Hint::NoPts))?;
    if !call::is_device(master, 5, 2)? || call::magic(master)? != DEVPTS {
        return Err(Fault::new(Errno::NODEV, Hint::NoPts));
    }
    let slave = inside.hold(terminal::slave(master)?);
    if let Some((rows, columns)) = size {
        terminal::set_size(slave, [rows, columns, 0, 0])?;
    }
    console(inside, slave)?;
    socket::send(inside.channel, &[crate::stage::wire::TERMINAL], master)?;
    stdio::replace(&[slave; 3])?;
    terminal::control(slave)
}

fn console(inside: &mut Inside<'_, '_>, slave: BorrowedFd<'_>) -> Outcome<()> {
    let target = inside.at(c"dev/console", OFlags::PATH | OFlags::NOFOLLOW, Create::File)?;
    let source = Source::Descriptor(slave);
    let tree = bind::tree(inside, source, &Look::default())?;
    bind::bind(inside, tree, source, Target::Descriptor(target), &Look::default()).map(|_| ())
}
