//! `hull start`: the process of a created container goes on to its program (runtime.md, "Start").

use super::container::{Container, Status};
use super::state_root;
use crate::cli::Options;
use crate::effect::Fault;
use crate::error::Result;
use crate::fail;
use crate::message;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::stage::wire;
use crate::state::{self, State};
use crate::sys::{directory, socket};
use rustix::fd::AsFd;
use rustix::io::Errno;

/// Starts the container; returns once its program runs.
///
/// # Errors
/// A container that is not in the created state; the program that can't be executed.
#[inline(never)]
pub fn start<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, u8> {
    let Some(id) = options.id else { return Err(fail!(arena, "the container's id is missing")) };
    let container = Container::open(arena, state_root(arena, start, options)?, id, true)?;
    match container.status {
        Status::Created => {}
        Status::Stopped => return Err(fail!(arena, "cannot start a container that has stopped")),
        Status::Running | Status::Paused => {
            return Err(fail!(arena, "cannot start an already running container"));
        }
        Status::Creating => return container.refuse(arena, "start", id),
    }
    go(arena, &container.state)?;
    Ok(0)
}

/// Tells the process to go on, and hears how it went.
fn go<'a>(arena: &Arena<'a>, state: &State<'a>) -> Result<'a, ()> {
    let word = |fault: Fault| message!({fault.told} (arena) "speak to the container's process");
    rustix::process::fchdir(state.directory()).map_err(|errno| word(errno.into()))?;
    let channel = match socket::connect(state::START, socket::Kind::Packets) {
        Err(fault) if fault.is(Errno::CONNREFUSED) => {
            return Err(fail!(arena, "cannot start a container that has stopped"));
        }
        other => other.map_err(word)?,
    };
    state.started().map_err(|errno| word(errno.into()))?;
    wire::tell(channel.as_fd(), &[wire::GO]).map_err(word)?;
    let text = arena.fill::<crate::error::Error<'a>>(wire::WORDED, |room| {
        loop {
            match directory::read(channel.as_fd(), room) {
                Err(Errno::INTR) => {}
                other => return other.map_err(|errno| word(errno.into())),
            }
        }
    })?;
    // the end of the stream is the exec
    if text.is_empty() { Ok(()) } else { Err(fail!(arena, &*text)) }
}
