//! A container that is there already: its record, its process, its status (runtime.md, "State").

use super::state_root;
use crate::base::number;
use crate::base::text::quoted;
use crate::c_join;
use crate::cli::Options;
use crate::config::{List, Value};
use crate::effect::call;
use crate::effect::cgroup::{self, Cgroups};
use crate::effect::exec;
use crate::effect::process::{self, Handle};
use crate::effect::procfs;
use crate::error::Result;
use crate::fail;
use crate::json::schema::Slot;
use crate::message;
use crate::rt::arena::Arena;
use crate::rt::region;
use crate::rt::start::Start;
use crate::state::State;
use crate::state::record::{self, Record, Status};
use crate::sys::descriptor::{self, OwnedFd};
use core::ffi::CStr;
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::CWD;
use rustix::io::Errno;

/// A container.
pub struct Container<'a> {
    /// Memory for what belongs to it.
    pub arena: Arena<'a>,
    /// Its id.
    pub id: &'a CStr,
    /// Its directory.
    pub state: State<'a>,
    /// `None` where its creator died before there was one, or is about to write it.
    pub record: Option<Record<'a>>,
    /// Its first process while it lives.
    pub process: Option<Handle>,
    /// When it was looked at.
    pub status: Status,
}

impl<'a> Container<'a> {
    /// Looks at the container that the command line names.
    ///
    /// # Errors
    /// As [`Container::open`].
    #[inline(never)]
    pub fn named(
        arena: &Arena<'a>,
        start: &Start,
        options: &Options<'a>,
        lock: bool,
    ) -> Result<'a, Container<'a>> {
        Container::open(arena, state_root(arena, start, options)?, options.id.unwrap_or(c""), lock)
    }

    /// Looks at container `id` below `root`; with `lock` nobody changes it until this command ends.
    ///
    /// # Errors
    /// `container does not exist`; a state.json that can't be read.
    #[inline(never)]
    pub fn open(arena: &Arena<'a>, root: &'a CStr, id: &'a CStr, lock: bool) -> Result<'a, Container<'a>> {
        let state = State::open(arena, root, id)?;
        if lock {
            state.lock(arena)?;
        }
        let size = state.record_size();
        let own = region::fresh(size).map_err(|errno| fail!(arena, errno => "map memory for state.json"))?;
        let record = state.read(&own, size)?;
        let process = match record {
            Some(record) => process::find(&own, record.pid(), record.started())
                .map_err(|fault| message!({fault.told} (arena) "look for the container's process"))?,
            None => None,
        };
        let mut container = Container { arena: own, id, state, record, process, status: Status::Stopped };
        container.status = container.look(lock);
        Ok(container)
    }

    fn look(&self, locked: bool) -> Status {
        let made = self.record.is_some_and(|record| record.status() == Status::Created);
        if !made {
            // under a free lock this is what a creator left that was killed
            return if locked || self.state.is_idle() { Status::Stopped } else { Status::Creating };
        }
        match &self.process {
            None => Status::Stopped,
            Some(_) if self.state.waits() => Status::Created,
            Some(_) if self.is_frozen() => Status::Paused,
            Some(_) => Status::Running,
        }
    }

    fn is_frozen(&self) -> bool {
        self.record
            .is_some_and(|r| r.cgroups().iter().any(|group| cgroup::is_frozen(&self.arena, group.path())))
    }

    /// The pid of a process that lives, else 0.
    fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.pid().as_raw_nonzero().get().unsigned_abs())
    }

    /// The user that the container's directory belongs to, by the host's /etc/passwd, or `#uid`.
    fn owner(&self) -> Result<'a, &'a CStr> {
        let uid = self.state.owner();
        let text = exec::passwd(&self.arena).unwrap_or(&[]);
        match exec::field_of(uid, 0, text) {
            Some(name) => Ok(self.arena.c_str(name)?),
            None => Ok(c_join!(self.arena, "#", uid)?),
        }
    }

    /// How its first process ended, if a monitor saw it.
    #[inline(never)]
    pub fn exit(&self, file: Option<OwnedFd>) -> Option<u8> {
        let text = procfs::read_all(&self.arena, file?.as_fd(), 16).ok()?;
        number::decimal(text, u8::MAX.into()).map(|code| code as u8)
    }

    /// Closes what was opened to look at it. Most commands end soon and leave that to the kernel.
    pub fn close(&self) {
        descriptor::close(self.state.directory().as_raw_fd());
        if let Some(process) = &self.process {
            process.close();
        }
    }

    /// What is told of it, as the slots of a record.
    ///
    /// # Errors
    /// Of a full arena.
    #[inline(never)]
    pub fn told(&self) -> Result<'a, &'a [Slot<'a>]> {
        let exit = self.exit(self.state.exit());
        Ok(record::told(&self.arena, self.record, self.id, self.pid(), self.status, self.owner()?, exit)?)
    }
}

/// Removes what a container leaves on the host: its cgroups and its state directory. `processes` as in
/// [`Cgroups::remove`].
///
/// # Errors
/// The first of the two; the second is tried as well.
#[inline(never)]
pub fn remove<'a>(
    arena: &Arena<'a>,
    cgroups: &mut Cgroups<'a, '_>,
    processes: bool,
    state: &State<'a>,
    groups: Slot<'a>,
) -> Result<'a, ()> {
    let mut removed = cgroups
        .remove(processes)
        .map_err(|fault| fail!(arena, fault.errno() => "remove the container's cgroup"));
    for group in List::<&CStr>::from_slot(groups).unwrap_or(List::ABSENT) {
        match call::remove_directory(CWD, group) {
            Err(fault) if !fault.is(Errno::NOENT) => {
                removed = removed.and(Err(message!({fault.told} (arena) "remove ", quoted(group))));
            }
            _ => {}
        }
    }
    let gone =
        state.remove().map_err(|errno| fail!(arena, errno => "remove the container's state directory"));
    removed.and(gone)
}
