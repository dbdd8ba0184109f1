//! state.json: what hull remembers of a container (runtime.md, "State", and what `start`, `kill` and `delete` need).
//!
//! Facts only: no copy of the config. The status in it is `creating` until the process is there and waits, then `created`;
//! whether it runs or has stopped is asked of the kernel each time. Must not do: look at the host.

use crate::base::text::{Put, Sink};
use crate::config::{Hooks, List, Map};
use crate::error::Result;
use crate::json::locate::Source;
use crate::json::read::read;
use crate::json::schema::{Kind, Slot};
use crate::json::view::{Value, fields, object, word_values};
use crate::json::write::{self as json, Text};
use crate::put;
use crate::rt::arena::Arena;
use core::ffi::CStr;

/// Bytes of the longest state.json: annotations and hooks of a config.json, and little beside.
pub const MAX_RECORD: usize = crate::config::MAX_CONFIG;

crate::words! {
    /// How far a creation has come.
    Progress {
        /// The creator is at work, or died at it.
        Creating = "creating",
        /// The process waits for `start`, or has been started.
        Created = "created",
    }
}
word_values!(Progress);

object! {
    /// A cgroup that was made for the container.
    Cgroup {
        /// Its directory on the host.
        path "path": required &'a CStr;
        /// How many bytes of the path were there before.
        existed "existed": required u32;
    }
}

/// A state.json that was read.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    slots: &'a [Slot<'a>],
}

fields! {
    Record {
        /// The bundle's `ociVersion`.
        oci_version "ociVersion": required &'a CStr;
        /// The container's id.
        id "id": required &'a CStr;
        /// How far its creation has come.
        progress "status": required Progress;
        /// Its first process, in the pid namespace of the hull that made it; 0 before there is one.
        pid "pid": required i32;
        /// When that process started, in clock ticks since boot (proc_pid_stat(5)): no other has this pid and this time.
        started "started": required u64;
        /// The bundle's absolute path.
        bundle "bundle": required &'a CStr;
        /// The root filesystem's absolute path.
        rootfs "rootfs": required &'a CStr;
        /// RFC 3339, with nanoseconds.
        created "created": required &'a CStr;
        /// The container shares the pid namespace of its maker or joined one: its processes don't end with the first.
        shares_pids "sharesPids": plain bool;
        /// Every cgroup of the container, in the order they were made.
        cgroups "cgroups": plain List<'a, Cgroup<'a>>;
        /// What is to run after start and after the end.
        hooks "hooks": optional Hooks<'a>;
        /// The config's.
        annotations "annotations": plain Map<'a, &'a CStr>;
    }
}

impl<'a> Record<'a> {
    /// Reads the text of a state.json.
    ///
    /// # Errors
    /// A file that hull did not write.
    pub fn read(arena: &Arena<'a>, text: &'a [u8]) -> Result<'a, Record<'a>> {
        let source = Source { file: "state.json", text };
        Ok(Record { slots: read(arena, source, &Record::SCHEMA)? })
    }
}

/// A state.json to be written.
#[derive(Clone, Copy)]
pub struct Draft<'a> {
    /// See [`Record`] for each.
    pub oci_version: &'a CStr,
    pub id: &'a CStr,
    pub progress: Progress,
    pub pid: u32,
    pub started: u64,
    pub bundle: &'a CStr,
    pub rootfs: &'a CStr,
    pub created: &'a CStr,
    pub shares_pids: bool,
    /// Path and how much of it was there before.
    pub cgroups: &'a [(&'a CStr, u32)],
    pub hooks: Option<Hooks<'a>>,
    pub annotations: Map<'a, &'a CStr>,
}

impl Put for Draft<'_> {
    fn put(&self, to: &mut dyn Sink) {
        put!(
            to,
            "{\"ociVersion\":",
            Text(self.oci_version.to_bytes()),
            ",\"id\":",
            Text(self.id.to_bytes()),
            ",\"status\":\"",
            self.progress.word(),
            "\",\"pid\":",
            self.pid,
            ",\"started\":",
            self.started,
            ",\"bundle\":",
            Text(self.bundle.to_bytes()),
            ",\"rootfs\":",
            Text(self.rootfs.to_bytes()),
            ",\"created\":",
            Text(self.created.to_bytes())
        );
        put!(to, ",\"sharesPids\":", if self.shares_pids { "true" } else { "false" }, ",\"cgroups\":[");
        let mut comma = "";
        for (path, existed) in self.cgroups {
            put!(to, comma, "{\"path\":", Text(path.to_bytes()), ",\"existed\":", *existed, "}");
            comma = ",";
        }
        put!(to, "]");
        if let Some(hooks) = self.hooks {
            put!(to, ",\"hooks\":", json::Value(&hooks.into_slot(), &Hooks::KIND));
        }
        if self.annotations.is_present() {
            put!(to, ",\"annotations\":", json::Value(&self.annotations.into_slot(), &ANNOTATIONS));
        }
        put!(to, "}");
    }
}

/// The kind of the config's annotations.
pub static ANNOTATIONS: Kind = Kind::Map(<&CStr as Value<'_>>::AT);
