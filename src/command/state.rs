//! `hull state`: a container's state as JSON (runtime.md, "Query State"), with runc's fields beside the spec's.

use super::container::Container;
use super::{print, state_root};
use crate::base::text::{Put, Sink};
use crate::cli::Options;
use crate::config::Map;
use crate::error::Result;
use crate::fail;
use crate::json::view::Value;
use crate::json::write::Text;
use crate::put;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use core::ffi::CStr;

/// What is told of a container; by `state`, by `list`, and to hooks.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    pub oci_version: &'a CStr,
    pub id: &'a CStr,
    pub pid: u32,
    pub status: &'static str,
    pub bundle: &'a CStr,
    pub rootfs: &'a CStr,
    pub created: &'a CStr,
    pub owner: &'a CStr,
    pub annotations: Map<'a, &'a CStr>,
}

impl<'a> Told<'a> {
    /// Of a container that is there; one without a record has nothing but its id.
    ///
    /// # Errors
    /// Of a full arena.
    pub fn of(container: &Container<'a>, id: &'a CStr) -> Result<'a, Told<'a>> {
        let record = container.record;
        let text = |value: Option<&'a CStr>| value.unwrap_or(c"");
        Ok(Told {
            oci_version: record.map_or(c"1.3.0", |r| r.oci_version()),
            id,
            pid: container.pid(),
            status: container.status.word(),
            bundle: text(record.map(|r| r.bundle())),
            rootfs: text(record.map(|r| r.rootfs())),
            created: text(record.map(|r| r.created())),
            owner: container.owner()?,
            annotations: record.map_or(Map::ABSENT, |r| r.annotations()),
        })
    }
}

/// One line; with `.1` as runc prints it, a line a member.
pub struct Shown<'r, 'a>(pub &'r Told<'a>, pub bool);

impl Put for Shown<'_, '_> {
    fn put(&self, to: &mut dyn Sink) {
        let told = self.0;
        // what stands before a member, and between a key and its value
        let (line, blank) = if self.1 { ("\n  ", " ") } else { ("", "") };
        let mut comma = "{";
        for (key, value) in [
            ("ociVersion", told.oci_version),
            ("id", told.id),
            ("pid", c""),
            ("status", c""),
            ("bundle", told.bundle),
            ("rootfs", told.rootfs),
            ("created", told.created),
            ("annotations", c""),
            ("owner", told.owner),
        ] {
            if key == "annotations" && told.annotations.is_empty() {
                continue;
            }
            put!(to, comma, line, "\"", key, "\":", blank);
            match key {
                "pid" => put!(to, told.pid),
                "status" => put!(to, "\"", told.status, "\""),
                "annotations" => annotations(told.annotations, line, blank, to),
                _ => Text(value.to_bytes()).put(to),
            }
            comma = ",";
        }
        put!(to, if self.1 { "\n}\n" } else { "}" });
    }
}

fn annotations(map: Map<'_, &CStr>, line: &str, blank: &str, to: &mut dyn Sink) {
    let mut comma = "{";
    let deeper = if line.is_empty() { "" } else { "  " };
    for (key, value) in map {
        put!(to, comma, line, deeper, Text(key.to_bytes()), ":", blank, Text(value.to_bytes()));
        comma = ",";
    }
    put!(to, line, "}");
}

/// Prints the state.
///
/// # Errors
/// `container does not exist`.
#[inline(never)]
pub fn state<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, u8> {
    let Some(id) = options.id else { return Err(fail!(arena, "the container's id is missing")) };
    let container = Container::open(arena, state_root(arena, start, options)?, id, false)?;
    print(arena, &Shown(&Told::of(&container, id)?, true))
}
