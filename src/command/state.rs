//! `hull state`: a container's state as JSON (runtime.md, "Query State"), with runc's fields beside the spec's.

use super::container::Container;
use super::{print, state_root};
use crate::base::text::{Put, Sink};
use crate::cli::Options;
use crate::config::Map;
use crate::error::Result;
use crate::fail;
use crate::json::schema::Kind;
use crate::json::view::Value;
use crate::json::write::Writer;
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

    /// Writes it as an object.
    pub fn write(&self, json: &mut Writer<'_>) {
        json.object();
        json.key("ociVersion").string(self.oci_version.to_bytes());
        json.key("id").string(self.id.to_bytes());
        json.key("pid").number(&self.pid);
        json.key("status").string(self.status.as_bytes());
        json.key("bundle").string(self.bundle.to_bytes());
        json.key("rootfs").string(self.rootfs.to_bytes());
        json.key("created").string(self.created.to_bytes());
        if !self.annotations.is_empty() {
            json.key("annotations").slot(&self.annotations.into_slot(), &Kind::Map(<&CStr as Value<'_>>::AT));
        }
        json.key("owner").string(self.owner.to_bytes());
        json.end_object();
    }
}

impl Put for Told<'_> {
    fn put(&self, to: &mut dyn Sink) {
        self.write(&mut Writer::indented(to, "  "));
        to.push(b"\n");
    }
}

/// Prints the state.
///
/// # Errors
/// `container does not exist`.
pub fn state<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, u8> {
    let Some(id) = options.id else { return Err(fail!(arena, "the container's id is missing")) };
    let container = Container::open(arena, state_root(arena, start, options)?, id, false)?;
    print(arena, &Told::of(&container, id)?)
}
