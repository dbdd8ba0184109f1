//! `hull delete`: everything that a container left on the host goes (runtime.md, "Delete").

use super::container::{Container, remove};
use super::{Log, state_root};
use crate::cli::Options;
use crate::effect::cgroup::Cgroups;
use crate::error::{Result, borrowed};
use crate::fail;
use crate::json::schema::Slot;
use crate::message;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::state::record::Status;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::io::Errno;

/// How long a killed process may take to be gone, in seconds: as in runc.
const PATIENCE: u32 = 10;

/// Deletes each container that is named; the others still are where one can't be.
///
/// # Errors
/// Of the state root; what goes wrong with a container is logged, and told by the exit code.
#[inline(never)]
pub fn delete<'a>(
    arena: &Arena<'a>,
    start: &Start,
    options: &Options<'a>,
    log: &Log<'_, 'a>,
) -> Result<'a, u8> {
    let root = state_root(arena, start, options)?;
    let mut code = 0;
    for id in options.ids.iter().copied() {
        if let Err(error) = one(arena, root, id, options.force, log) {
            log.failure(arena, id, &error);
            code = crate::error::EXIT_FAILURE;
        }
    }
    Ok(code)
}

fn one<'a>(
    arena: &Arena<'a>,
    root: &'a CStr,
    id: &'a CStr,
    force: bool,
    log: &Log<'_, 'a>,
) -> Result<'a, ()> {
    let container = Container::open(arena, root, id, true);
    let container = match borrowed(&container) {
        // what is gone already is what --force wants
        Err(error) if force && error.text() == b"container does not exist" => return Ok(()),
        other => other?,
    };
    match container.status {
        Status::Stopped => {}
        // as in runc: nothing has run in it yet
        Status::Created => end(arena, container)?,
        _ if force => end(arena, container)?,
        status => {
            return Err(fail!(
                arena,
                "cannot delete container ",
                id,
                " that is not stopped: ",
                status.word()
            ));
        }
    }
    let record = container.record;
    let mut cgroups = Cgroups::new(&container.arena);
    if let Some(record) = record {
        for group in record.cgroups() {
            cgroups
                .take(group.path(), group.existed() as usize)
                .map_err(|full| message!({full.told} (arena) "list the container's cgroups"))?;
        }
    }
    let groups = record.map_or(Slot::Absent, |record| record.resctrl().into_slot());
    let gone = remove(arena, &mut cgroups, true, &container.state, groups);
    if let Some(record) = record
        && let Some(hooks) = record.hooks()
    {
        super::hooks::poststop(&container.arena, hooks, record.all(), log);
    }
    gone
}

/// Kills the first process and waits for its end.
fn end<'a>(arena: &Arena<'a>, container: &Container<'a>) -> Result<'a, ()> {
    let (Some(process), Some(record)) = (&container.process, container.record) else { return Ok(()) };
    match process.signal(n::SIGKILL as u8) {
        Err(fault) if !fault.is(Errno::SRCH) => {
            return Err(message!({fault.told} (arena) "kill the container's process"));
        }
        _ => {}
    }
    for group in record.cgroups() {
        // a frozen process of v1 dies only once it is thawed
        crate::effect::cgroup::thaw(&container.arena, group.path());
    }
    match process.ended_within(record.started(), PATIENCE) {
        Ok(true) => Ok(()),
        Ok(false) => Err(fail!(arena, "container init still running")),
        Err(fault) => Err(message!({fault.told} (arena) "wait for the container's process")),
    }
}
