//! The hooks of the host's side that no plan holds: after the start, and after the end (runtime.md, "Lifecycle").

use super::Log;
use crate::compose;
use crate::config::{self, Hooks};
use crate::effect::hook;
use crate::error::Result;
use crate::json::schema::Slot;
use crate::json::write::Value;
use crate::message;
use crate::plan::op::Hook;
use crate::rt::arena::{Arena, Full};
use crate::state::record::{RECORD, RECORDS, Slots, Status};

/// The state that a hook is told, from the slots of a record.
pub fn state<'a>(arena: &Arena<'a>, mut slots: Slots<'a>, pid: u32, status: Status) -> &'a [u8] {
    let [_, _, own_pid, own_status, _, _, _, _, private @ ..] = &mut slots;
    *own_pid = Slot::Signed(pid.into());
    *own_status = Slot::Word(status as usize);
    *private = [Slot::Absent; 8];
    compose!(arena, Value(&Slot::Object(&slots), &RECORDS, RECORD, 0))
}

#[cold]
fn made<'a>(
    arena: &Arena<'a>,
    kind: &'static str,
    hook: config::Hook<'a>,
) -> core::result::Result<Hook<'a>, Full> {
    let copy = |items: config::List<'a, &'a core::ffi::CStr>| {
        let mut list = arena.list(items.len().max(1))?;
        items.iter().try_for_each(|item| list.push(item))?;
        Ok::<_, Full>(list)
    };
    let mut args = copy(hook.args())?;
    if args.items().is_empty() {
        args.push(hook.path())?;
    }
    Ok(Hook {
        kind,
        path: hook.path(),
        args: args.done(),
        env: copy(hook.env())?.done(),
        timeout: hook.timeout(),
    })
}

/// Runs the poststart hooks in order.
///
/// # Errors
/// The first that fails, as in runc: the container is stopped then.
pub fn poststart<'a>(arena: &Arena<'a>, hooks: Hooks<'a>, state: &[u8]) -> Result<'a, ()> {
    for one in hooks.poststart().iter() {
        let one = made(arena, "poststart", one)?;
        hook::run(arena, &one, state).map_err(|fault| message!({fault.told} (arena) one))?;
    }
    Ok(())
}

/// Runs the poststop hooks in order. One that fails is a warning, and the others still run (runtime.md, "Lifecycle").
#[cold]
pub fn poststop<'a>(arena: &Arena<'a>, hooks: Hooks<'a>, slots: Slots<'a>, log: &Log<'_, 'a>) {
    let state = state(arena, slots, 0, Status::Stopped);
    for one in hooks.poststop().iter() {
        let told = match made(arena, "poststop", one) {
            Ok(one) => hook::run(arena, &one, state).map_err(|fault| message!({fault.told} (arena) one)),
            Err(full) => Err(full.into()),
        };
        if let Err(error) = told {
            log.warning(arena, &error);
        }
    }
}
