//! `hull kill`: a signal to the container's first process, or to all of its processes (runtime.md, "Kill").

use super::container::{Container, Status};
use super::state_root;
use crate::base::text::quoted;
use crate::cli::Options;
use crate::effect::cgroup;
use crate::error::Result;
use crate::fail;
use crate::message;
use crate::names::signals;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::io::Errno;

/// Sends the signal.
///
/// # Errors
/// `container not running` for one that has stopped or is still being made; an unknown signal.
#[inline(never)]
pub fn kill<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, u8> {
    let Some(id) = options.id else { return Err(fail!(arena, "the container's id is missing")) };
    let text = options.signal.unwrap_or(c"TERM");
    let Some(signal) = signals::number(text.to_bytes()) else {
        return Err(fail!(
            arena,
            "unknown signal ",
            quoted(text),
            " (a name such as TERM or SIGTERM, or a number from 1 to 64)"
        ));
    };
    let container = Container::open(arena, state_root(arena, start, options)?, id, false)?;
    let shares_pids = container.record.is_some_and(|record| record.shares_pids());
    let word = |fault: crate::effect::Fault| message!({fault.told} (arena) "send the signal ", quoted(text));
    match (container.status, &container.process) {
        (Status::Created | Status::Running | Status::Paused, Some(process)) => {
            // without a pid namespace of its own the others would outlive the first, as in runc
            if options.all || (shares_pids && u32::from(signal) == n::SIGKILL) {
                return everyone(arena, &container, signal);
            }
            match process.signal(signal) {
                Ok(()) => Ok(0),
                Err(fault) if fault.is(Errno::SRCH) => Err(fail!(arena, "container not running")),
                Err(fault) => Err(word(fault)),
            }
        }
        // the first has ended, and others may go on
        (Status::Stopped, _) if options.all => everyone(arena, &container, signal),
        _ => Err(fail!(arena, "container not running")),
    }
}

/// Signals every process in the container's cgroups.
fn everyone<'a>(arena: &Arena<'a>, container: &Container<'a>, signal: u8) -> Result<'a, u8> {
    let Some(record) = container.record else { return Ok(0) };
    let groups = record.cgroups();
    if groups.is_empty() {
        return Err(fail!(arena, "--all: the container has no cgroup that tells its processes"));
    }
    // every hierarchy holds all of them: the first that can be read tells
    let path: &CStr = groups.get(0).map_or(c"", |group| group.path());
    cgroup::signal_all(&container.arena, path, signal)
        .map_err(|fault| fail!(arena, fault.errno(), fault.hint().text() => "signal the processes of the cgroup ", quoted(path)))?;
    Ok(0)
}
