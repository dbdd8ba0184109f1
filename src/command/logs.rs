//! `hull logs`: the output that a container's monitor kept, and with `--follow` what still comes.
//!
//! The monitor renames a full log, so two files are read, the older one first. A name tells nothing for long: whether a file
//! is the newest is asked after its end was read.

use super::container::Container;
use crate::c_join;
use crate::cli::Options;
use crate::effect::process::{FOREVER, ready_within};
use crate::effect::{Outcome, call};
use crate::error::{Result, borrowed};
use crate::fail;
use crate::message;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::sys::descriptor;
use crate::sys::open;
use crate::sys::stdio::{self, standard};
use core::ffi::CStr;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

/// Prints the output.
///
/// # Errors
/// A container without a monitor; a file that can't be read; standard output that can't be written.
#[inline(never)]
pub fn logs<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, u8> {
    let container = Container::named(arena, start, options, false);
    let container = borrowed(&container)?;
    let Some(path) = container.record.and_then(|record| record.log()) else {
        return Err(fail!(arena, "no output was kept: the container was made without --monitor"));
    };
    let monitor = if options.follow { container.state.monitor().map(descriptor::leave_open) } else { None };
    let older = c_join!(arena, path, ".1")?;
    show(path, older, monitor)
        .map_err(|fault| message!({fault.told} (arena) "print the container's output"))?;
    Ok(0)
}

fn show(path: &CStr, older: &CStr, monitor: Option<BorrowedFd<'static>>) -> Outcome<()> {
    // each file of the two names stays open until the command ends, or the next is there
    let read = |path| open::open(CWD, path, OFlags::RDONLY);
    let older = read(older);
    let mut file = read(path)?;
    if let Ok(older) = older {
        copy(older.as_fd())?;
    }
    let events = if monitor.is_some() { Some(descriptor::leave_open(open::events()?)) } else { None };
    loop {
        let mut follow = None;
        if let (Some(events), Some(monitor)) = (events, monitor) {
            // before anything is read: what comes from here on is told
            if !ready_within([monitor; 2], 0)? {
                follow = Some([events, monitor]);
            }
            match open::watch(events, path) {
                // just renamed, and the new one is not there yet; or somebody took it away
                Err(fault) if fault.is(Errno::NOENT) => {}
                other => other?,
            }
        }
        copy(file.as_fd())?;
        let mut patience = 1;
        if let Ok(newest) = read(path) {
            if call::inode(newest.as_fd())? != call::inode(file.as_fd())? {
                file = newest;
                continue;
            }
            patience = FOREVER;
        }
        let Some(both) = follow else { return Ok(()) };
        ready_within(both, patience)?;
        let [events, _] = both;
        if rustix::io::read(events, &mut [0u8; 1024][..]).is_err() {
            // there are none: the monitor is gone
        }
    }
}

/// What is left of a file goes to standard output.
fn copy(file: BorrowedFd<'_>) -> Outcome<()> {
    let mut room = [0u8; 4096];
    loop {
        let len = rustix::io::read(file, &mut room[..])?;
        if len == 0 {
            return Ok(());
        }
        if !stdio::write_all(standard(stdio::OUT), room.get(..len).unwrap_or(&[])) {
            return Err(Errno::IO.into());
        }
    }
}
