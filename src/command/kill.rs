//! `hull kill`: a signal to the container's first process, or to all of its processes (runtime.md, "Kill").

use super::container::Container;
use crate::base::text::quoted;
use crate::cli::Options;
use crate::effect::cgroup;
use crate::error::{Result, borrowed};
use crate::fail;
use crate::message;
use crate::names::signals;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::state::record::Status;
use linux_raw_sys::general as n;
use rustix::io::Errno;

/// Sends the signal.
///
/// # Errors
/// `container not running` for one that has stopped or is still being made; an unknown signal.
#[inline(never)]
pub fn kill<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, u8> {
    let text = options.signal.unwrap_or(c"TERM");
    let Some(signal) = signals::number(text.to_bytes()) else {
        return Err(fail!(
            arena,
            "unknown signal ",
            quoted(text),
            " (a name such as TERM or SIGTERM, or a number from 1 to 64)"
        ));
    };
    let container = Container::named(arena, start, options, false);
    let container = borrowed(&container)?;
    let record = container.record;
    let word = |fault: crate::effect::Fault| message!({fault.told} (arena) "send the signal ", quoted(text));
    let all = match (container.status, &container.process) {
        (Status::Created | Status::Running | Status::Paused, Some(process)) => {
            // without a pid namespace of its own the others would outlive the first, as in runc
            let shared = record.is_some_and(|record| record.shares_pids()) && u32::from(signal) == n::SIGKILL;
            if !options.all && !shared {
                match process.signal(signal) {
                    Ok(()) => return Ok(0),
                    Err(fault) if fault.is(Errno::SRCH) => {}
                    Err(fault) => return Err(word(fault)),
                }
            }
            options.all || shared
        }
        // the first has ended, and others may go on
        (status, _) => status == Status::Stopped && options.all,
    };
    if !all {
        return Err(fail!(arena, "container not running"));
    }
    let Some(record) = record else { return Ok(0) };
    // every hierarchy holds all of them: the first that is there tells; an ordinary user may have gone without some
    for group in record.cgroups().iter() {
        let path = group.path();
        match cgroup::signal_all(&container.arena, path, signal) {
            Err(fault) if fault.is(Errno::NOENT) => {}
            other => {
                return other.map(|()| 0).map_err(
                    |fault| message!({fault.told} (arena) "signal the processes of the cgroup ", quoted(path)),
                );
            }
        }
    }
    // the first process of a pid namespace takes all others with it; else what was asked for is the first alone
    match &container.process {
        Some(process) if !options.all || u32::from(signal) == n::SIGKILL && !record.shares_pids() => {
            process.signal(signal).map(|()| 0).map_err(word)
        }
        _ => Err(fail!(arena, "--all: the container has no cgroup that tells its processes")),
    }
}
