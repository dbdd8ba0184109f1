//! `hull state`: a container's state as JSON (runtime.md, "Query State"), with runc's fields beside the spec's.

use super::container::Container;
use super::print;
use crate::base::text::{Put, Sink};
use crate::cli::Options;
use crate::error::{Result, borrowed};
use crate::json::schema::Slot;
use crate::json::write::Value;
use crate::put;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::state::record::{RECORD, RECORDS};

/// A JSON document and the end of its line.
pub struct Line<'v>(pub Value<'v>);

impl Put for Line<'_> {
    fn put(&self, to: &mut dyn Sink) {
        put!(to, self.0, "\n");
    }
}

/// Prints the state.
///
/// # Errors
/// `container does not exist`.
#[inline(never)]
pub fn state<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, u8> {
    let container = Container::named(arena, start, options, false);
    let container = borrowed(&container)?;
    print(arena, &Line(Value(&Slot::Object(container.told()?), &RECORDS, RECORD, 1)))
}
