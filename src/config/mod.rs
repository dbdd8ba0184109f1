//! The bundle's config.json (OCI runtime-spec 1.3.0): schema tables, typed views, validation.
//!
//! Every field of the Linux and POSIX parts is here; unknown ones and those of other systems are read past. Invariant:
//! what [`parse`] gives has every value of the type and range that the spec says, and no required one missing; what
//! [`validate`] has passed also makes sense together. Must not do: look at the host, or decide what a value leads to.

mod hooks;
mod linux;
mod mounts;
mod process;
mod resources;
mod rules;
mod seccomp;
pub mod sysctl;
mod validate;
mod version;

#[cfg(test)]
mod tests;

pub use crate::json::view::{Items, List, Map, Members, Value};
pub use crate::names::namespaces::NamespaceKind;
pub use hooks::{Hook, Hooks};
pub use linux::{
    Device, IntelRdt, Linux, MemoryPolicy, MemoryPolicyFlag, MemoryPolicyMode, Namespace, NetDevice,
    Personality, PersonalityDomain, RootfsPropagation, TimeOffset, TimeOffsets,
};
pub use mounts::{IdMapping, Mount, Root};
pub use process::{
    Capabilities, ConsoleSize, ExecCpuAffinity, IoClass, IoPriority, Process, Rlimit, Scheduler,
    SchedulerFlag, SchedulerPolicy, User,
};
pub use resources::{
    BlockIo, BlockIoThrottle, BlockIoWeight, Cpu, DeviceRule, HugepageLimit, Memory, Network,
    NetworkPriority, Pids, Rdma, Resources,
};
pub use rules::RULES;
pub use seccomp::{
    Seccomp, SeccompAction, SeccompArch, SeccompArg, SeccompFlag, SeccompOperator, SeccompSyscall,
};
pub use validate::validate;

use crate::base::words;
use crate::error::Result;
use crate::json::locate::Source;
use crate::json::read::read;
use crate::json::schema::{Kind, Shape, Slot};
use crate::json::tables::{Code, document};
use crate::json::view::fields;
use crate::rt::arena::{Arena, Full};
use core::ffi::CStr;

/// The largest config.json that is read, in bytes.
pub const MAX_CONFIG: usize = 4 << 20;

/// The error text for a larger one; the reader of the file puts its name before it.
pub const TOO_LARGE: &str = "larger than 4194304 bytes (4 MiB), the most that hull reads";

/// A whole config.json.
#[derive(Clone, Copy)]
pub struct Config<'a> {
    slots: &'a [Slot<'a>; 9],
    source: Source<'a>,
}

fields! {
    Config {
        /// The version of runtime-spec that the bundle follows.
        oci_version "ociVersion": required &'a CStr;
        /// The root filesystem.
        root "root": optional Root<'a>;
        /// Mounts beside it, in order.
        mounts "mounts": plain List<'a, Mount<'a>>;
        /// What runs.
        process "process": optional Process<'a>;
        /// The host name inside.
        hostname "hostname": optional &'a CStr = Kind::Text(rules::NODE_NAME);
        /// The NIS domain name inside.
        domainname "domainname": optional &'a CStr = Kind::Text(rules::NODE_NAME);
        /// Programs at points of the lifecycle.
        hooks "hooks": optional Hooks<'a>;
        /// What only Linux has.
        linux "linux": optional Linux<'a>;
        /// Free text by name; `hull.*` are hull's own settings.
        annotations "annotations": plain Map<'a, &'a CStr>;
    }
}

document! {
    /// What a config.json may hold.
    CONFIG: Kind::Object(&Config::SCHEMA), &RULES;
    ROOT: Kind::Object(&Config::SCHEMA);
    RESOURCES: Resources::KIND
}

/// Reads a config.json; `file_name` stands before line and column in messages.
///
/// # Errors
/// Text that is not strict JSON, a value of another type or out of its range, a required one missing: each with its place
/// and path. More text than the arena holds.
pub fn parse<'a>(arena: &Arena<'a>, file_name: &str, text: &'a [u8]) -> Result<'a, Config<'a>> {
    let file = arena.c_str(file_name.as_bytes())?.to_str().unwrap_or("config.json");
    let source = Source { file, text };
    let slots = read(arena, source, &CONFIG, ROOT)?.first_chunk().ok_or(Full)?;
    Ok(Config { slots, source })
}

impl<'a> Config<'a> {
    /// Whether the document asks for anything at `path` (such as `linux.resources.cpu.burst`): whether there is a value,
    /// neither zero nor false nor empty.
    pub fn asks(&self, path: &str) -> bool {
        asks(find(self.slots, ROOT, path))
    }

    /// Whether `path` leads to a field of the schema.
    #[cfg(test)]
    pub fn knows(path: &str) -> bool {
        let mut kind = Some(ROOT);
        path.split('.').all(|name| {
            let Some(Shape::Object(fields)) = kind.map(|kind| CONFIG.shape(kind)) else { return false };
            kind = words::position(fields.names, name.as_bytes()).and_then(|n| fields.kind(n));
            kind.is_some()
        })
    }
}

/// The words that the field at `path` takes, or the names of its fields; lists stand for their items. Empty for any other.
pub fn table(path: &str) -> &'static str {
    let mut names = path.as_bytes().split(|byte| *byte == b'.');
    let mut kind = ROOT;
    loop {
        let fields = match CONFIG.shape(kind) {
            Shape::List(item) => {
                kind = item;
                continue;
            }
            Shape::Object(fields) => fields,
            Shape::Word(words) => return words,
            _ => return "",
        };
        let Some(name) = names.next() else { return fields.names };
        match words::position(fields.names, name).and_then(|place| fields.kind(place)) {
            Some(known) => kind = known,
            None => return "",
        }
    }
}

/// The slot at `path` below an object.
fn find<'a>(mut slots: &'a [Slot<'a>], mut kind: Code, path: &str) -> Slot<'a> {
    for name in path.as_bytes().split(|byte| *byte == b'.') {
        let Shape::Object(fields) = CONFIG.shape(kind) else { return Slot::Absent };
        let place = words::position(fields.names, name).unwrap_or(usize::MAX);
        match (slots.get(place), fields.kind(place)) {
            (Some(Slot::Object(inner)), Some(known)) => (slots, kind) = (inner, known),
            (Some(slot), _) => return *slot,
            _ => return Slot::Absent,
        }
    }
    Slot::Object(slots)
}

fn asks(slot: Slot<'_>) -> bool {
    match slot {
        Slot::Absent => false,
        Slot::Bool(value) => value,
        Slot::Signed(value) => value != 0,
        Slot::Unsigned(value) => value != 0,
        Slot::Text(text) => !text.is_empty(),
        Slot::List(items) => !items.is_empty(),
        Slot::Map(members) => !members.is_empty(),
        Slot::Word(_) | Slot::Object(_) => true,
    }
}
