//! A container that is there already: its record, its process, its status (runtime.md, "State").

use crate::base::number;
use crate::base::text::quoted;
use crate::c_join;
use crate::effect::cgroup;
use crate::effect::process::{self, Handle};
use crate::error::Result;
use crate::fail;
use crate::rt::arena::Arena;
use crate::rt::region;
use crate::state::State;
use crate::state::record::{Progress, Record};
use crate::sys::open;
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{CWD, OFlags};

crate::words! {
    /// A container's status.
    Status {
        /// It is being made.
        Creating = "creating",
        /// Its process waits for `start`.
        Created = "created",
        /// Its program runs.
        Running = "running",
        /// Its cgroup is frozen.
        Paused = "paused",
        /// Its first process has ended, or was never there.
        Stopped = "stopped",
    }
}

/// A container.
pub struct Container<'a> {
    /// Memory for what belongs to it.
    pub arena: Arena<'a>,
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
    /// Looks at container `id` below `root`; with `lock` nobody changes it until this command ends.
    ///
    /// # Errors
    /// `container does not exist`; a state.json that can't be read.
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
                .map_err(|fault| fail!(arena, fault.errno(), fault.hint().text() => "look for the container's process"))?,
            None => None,
        };
        let mut container = Container { arena: own, state, record, process, status: Status::Stopped };
        container.status = container.look(lock);
        Ok(container)
    }

    fn look(&self, locked: bool) -> Status {
        let made = self.record.is_some_and(|record| record.progress() == Progress::Created);
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
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, |process| process.pid().as_raw_nonzero().get().unsigned_abs())
    }

    /// The user that the container's directory belongs to, by the host's /etc/passwd, or `#uid`.
    ///
    /// # Errors
    /// Of a full arena.
    pub fn owner(&self) -> Result<'a, &'a CStr> {
        let uid = self.state.owner();
        let text = open::open(CWD, c"/etc/passwd", OFlags::RDONLY)
            .ok()
            .and_then(|file| crate::effect::procfs::read_all(&self.arena, file.as_fd(), 1 << 18).ok())
            .unwrap_or(&[]);
        for line in text.split(|&b| b == b'\n') {
            let mut fields = line.split(|&b| b == b':');
            let name = fields.next().unwrap_or(&[]);
            let id = fields.nth(1).and_then(|field| number::decimal(field, u64::from(u32::MAX)));
            if id == Some(u64::from(uid)) && !name.is_empty() {
                return Ok(self.arena.c_str(name)?);
            }
        }
        Ok(c_join!(self.arena, "#", uid)?)
    }

    /// Refuses what can't be done to a container of this status.
    ///
    /// # Errors
    /// Always: `cannot WHAT a container in the STATUS state`.
    pub fn refuse<T>(&self, arena: &Arena<'a>, what: &'static str, id: &CStr) -> Result<'a, T> {
        Err(fail!(
            arena,
            "cannot ",
            what,
            " container ",
            quoted(id),
            " in the ",
            self.status.word(),
            " state"
        ))
    }
}
