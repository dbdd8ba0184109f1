//! `hull start`: the process of a created container goes on to its program (runtime.md, "Start").

use super::container::Container;
use super::hooks;
use crate::cli::Options;
use crate::effect::Fault;
use crate::error::{Error, Result, borrowed};
use crate::fail;
use crate::message;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::stage::wire;
use crate::state::record::Status;
use crate::state::{self, State};
use crate::sys::{directory, socket};
use crate::text;
use linux_raw_sys::general as n;
use rustix::fd::AsFd;
use rustix::io::Errno;

/// Starts the container; returns once its program runs.
///
/// # Errors
/// A container that is not in the created state; the program that can't be executed.
#[inline(never)]
pub fn start<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, u8> {
    let container = Container::named(arena, start, options, true);
    let container = borrowed(&container)?;
    let why = match container.status {
        Status::Created => {
            go(arena, &container.state)?;
            return poststart(container).map(|()| 0);
        }
        Status::Stopped => return Err(stopped(arena)),
        Status::Running | Status::Paused => text!("cannot start an already running container"),
        Status::Creating => text!("cannot start a container in the creating state"),
    };
    Err(fail!(arena, why))
}

/// The hooks that follow; one that fails ends the container.
fn poststart<'a>(container: &Container<'a>) -> Result<'a, ()> {
    let (Some(record), Some(process)) = (container.record, &container.process) else { return Ok(()) };
    let Some(hooks) = record.hooks() else { return Ok(()) };
    let pid = process.pid().as_raw_nonzero().get().unsigned_abs();
    let state = hooks::state(&container.arena, record.all(), pid, Status::Running);
    hooks::poststart(&container.arena, hooks, state).inspect_err(|_| {
        if process.signal(n::SIGKILL as u8).is_err() {
            // it has ended by itself
        }
    })
}

fn stopped<'a>(arena: &Arena<'a>) -> Error<'a> {
    fail!(arena, "cannot start a container that has stopped")
}

/// Tells the process to go on, and hears how it went.
fn go<'a>(arena: &Arena<'a>, state: &State<'a>) -> Result<'a, ()> {
    let word = |fault: Fault| message!({fault.told} (arena) "speak to the container's process");
    rustix::process::fchdir(state.directory()).map_err(|errno| word(errno.into()))?;
    let channel = match socket::connect(state::START, socket::Kind::Packets) {
        Err(fault) if fault.is(Errno::CONNREFUSED) => return Err(stopped(arena)),
        other => other.map_err(word)?,
    };
    state.started().map_err(|errno| word(errno.into()))?;
    wire::tell(channel.as_fd(), &[wire::GO]).map_err(word)?;
    let text = arena
        .fill(wire::WORDED, &mut |room| {
            loop {
                match directory::read(channel.as_fd(), room) {
                    Err(Errno::INTR) => {}
                    other => return other,
                }
            }
        })
        .map_err(|errno| word(errno.into()))?;
    // the end of the stream is the exec
    if text.is_empty() { Ok(()) } else { Err(fail!(arena, &*text)) }
}
