//! `hull wait`: until a container's first process has ended.

use super::container::Container;
use super::{Log, print};
use crate::cli::Options;
use crate::compose;
use crate::effect::process::{FOREVER, ready_within};
use crate::error::{Result, borrowed};
use crate::fail;
use crate::message;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::state::record::Status;
use crate::sys::descriptor::leave_open;

/// The exit code for "the container has ended, and nobody knows how".
const UNKNOWN: u8 = 253;

/// Waits, prints the exit code (or 128 + the signal) and returns it; [`UNKNOWN`] where no monitor saw it.
///
/// # Errors
/// A container that is only being made.
#[inline(never)]
pub fn wait<'a>(
    arena: &Arena<'a>,
    start: &Start,
    options: &Options<'a>,
    log: &Log<'_, 'a>,
) -> Result<'a, u8> {
    let container = Container::named(arena, start, options, false);
    let container = borrowed(&container)?;
    let Some(record) = container.record.filter(|_| container.status != Status::Creating) else {
        return Err(fail!(arena, "cannot wait for a container in the creating state"));
    };
    let word = |fault: crate::effect::Fault| message!({fault.told} (arena) "wait for the container's end");
    // opened before the wait: whoever deletes the container as soon as it has ended takes the file away
    let exit = container.state.exit();
    if let Some(monitor) = container.state.monitor().map(leave_open) {
        ready_within([monitor; 2], FOREVER).map_err(word)?;
    }
    if let Some(code) = container.exit(exit) {
        return print(arena, &compose!(arena, code, "\n")).map(|_| code);
    }
    if let Some(process) = &container.process {
        process.ended_within(record.started(), FOREVER).map_err(word)?;
    }
    log.error(
        arena,
        &fail!(arena, "the container has ended, its exit code is unknown: no monitor has seen it"),
    );
    Ok(UNKNOWN)
}
