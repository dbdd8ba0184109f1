//! state.json: what hull remembers of a container (runtime.md, "State", and what `start`, `kill` and `delete` need).
//!
//! Facts only: no copy of the config. The status in it is `creating` until the process is there and waits, then `created`;
//! whether it runs or has stopped is asked of the kernel each time. Must not do: look at the host.

use crate::base::text::{Put, Sink};
use crate::config::{Hooks, List, Map, RULES};
use crate::error::Result;
use crate::json::locate::Source;
use crate::json::read::read;
use crate::json::schema::Slot;
use crate::json::tables::document;
use crate::json::view::{Value, object, word_values};
use crate::json::write;
use crate::rt::arena::{Arena, Full};
use core::ffi::CStr;

/// Bytes of the longest state.json: annotations and hooks of a config.json, and little beside.
pub const MAX_RECORD: usize = crate::config::MAX_CONFIG;

crate::words! {
    /// A container's status; a record has one of the first two.
    Status {
        /// It is being made, or its creator died at it.
        Creating = "creating",
        /// Its process waits for `start`; in a record: waits, or has been started.
        Created = "created",
        /// Its program runs.
        Running = "running",
        /// Its cgroup is frozen.
        Paused = "paused",
        /// Its first process has ended, or was never there.
        Stopped = "stopped",
    }
}
word_values!(Status);

object! {
    /// A cgroup that was made for the container.
    Cgroup {
        /// Its directory on the host.
        path "path": required &'a CStr;
        /// How many bytes of the path were there before.
        existed "existed": required u32;
    }
}

object! {
    /// A state.json. The first ten are also what is told of a container: by `state`, by `list`, and to hooks.
    Record {
        /// The bundle's `ociVersion`.
        oci_version "ociVersion": required &'a CStr;
        /// The container's id.
        id "id": required &'a CStr;
        /// Its first process, in the pid namespace of the hull that made it; 0 before there is one.
        pid "pid": required i32;
        /// How far its creation has come.
        status "status": required Status;
        /// The bundle's absolute path.
        bundle "bundle": required &'a CStr;
        /// The root filesystem's absolute path.
        rootfs "rootfs": required &'a CStr;
        /// RFC 3339, with nanoseconds.
        created "created": required &'a CStr;
        /// The config's.
        annotations "annotations": plain Map<'a, &'a CStr>;
        /// The user that it belongs to, where it is told; runc's field.
        owner "owner": optional &'a CStr;
        /// How its first process ended, where it is told and a monitor saw it: the exit code, or 128 + the signal.
        exit_status "exitStatus": optional u32;
        /// The file in which a monitor keeps its output; absent where there is no monitor.
        log "log": optional &'a CStr;
        /// When that process started, in clock ticks since boot (proc_pid_stat(5)): no other has this pid and this time.
        started "started": required u64;
        /// The container shares the pid namespace of its maker or joined one: its processes don't end with the first.
        shares_pids "sharesPids": plain bool;
        /// Every cgroup of the container, in the order they were made.
        cgroups "cgroups": plain List<'a, Cgroup<'a>>;
        /// What is to run after start and after the end.
        hooks "hooks": optional Hooks<'a>;
        /// Directories of resctrl that go with the container, in the order of their going.
        resctrl "resctrl": plain List<'a, &'a CStr>;
    }
}

const FIELDS: usize = 16;

/// A slot for each field of a [`Record`], in that order.
pub type Slots<'a> = [Slot<'a>; FIELDS];

impl<'a> Record<'a> {
    /// A slot for each field.
    pub fn all(&self) -> Slots<'a> {
        *self.slots
    }

    /// Reads the text of a state.json.
    ///
    /// # Errors
    /// A file that hull did not write.
    pub fn read(arena: &Arena<'a>, text: &'a [u8]) -> Result<'a, Record<'a>> {
        let source = Source { file: "state.json", text };
        let slots = read(arena, source, &RECORDS, RECORD)?.first_chunk().ok_or(Full)?;
        Ok(Record { slots })
    }
}

/// What is told of container `id`; of one without a record nothing but that.
///
/// # Errors
/// Of a full arena.
pub fn told<'a>(
    arena: &Arena<'a>,
    record: Option<Record<'a>>,
    id: &'a CStr,
    pid: u32,
    status: Status,
    owner: &'a CStr,
    exit: Option<u8>,
) -> core::result::Result<&'a [Slot<'a>], Full> {
    let slots = arena.slice(FIELDS, Slot::Absent)?;
    for (n, slot) in slots.iter_mut().enumerate() {
        let known = record.and_then(|record| record.slots.get(n).copied());
        *slot = match n {
            1 => Slot::Text(id),
            2 => Slot::Signed(pid.into()),
            3 => Slot::Word(status as usize),
            8 => Slot::Text(owner),
            9 => exit.map_or(Slot::Absent, |code| Slot::Unsigned(code.into())),
            0 => known.unwrap_or(Slot::Text(c"1.3.0")),
            4..=6 => known.unwrap_or(Slot::Text(c"")),
            7 if !matches!(known, Some(Slot::Map([]))) => known.unwrap_or(Slot::Absent),
            _ => Slot::Absent,
        };
    }
    Ok(slots)
}

/// A state.json to be written.
pub struct Draft<'a>(pub Slots<'a>);

impl Draft<'_> {
    /// The process is there.
    pub fn created(&mut self, pid: u32, started: u64) {
        let [_, _, own_pid, status, _, _, _, _, _, _, _, own_started, ..] = &mut self.0;
        *own_pid = Slot::Signed(pid.into());
        *status = Slot::Word(Status::Created as usize);
        *own_started = Slot::Unsigned(started);
    }
}

impl Put for Draft<'_> {
    fn put(&self, to: &mut dyn Sink) {
        write::Value(&Slot::Object(&self.0), &RECORDS, RECORD, 0).put(to);
    }
}

document! {
    /// Records.
    pub RECORDS: List::<Record<'_>>::KIND, &RULES;
    /// A list of them.
    pub LIST: List::<Record<'_>>::KIND;
    /// One.
    pub RECORD: Record::KIND
}
