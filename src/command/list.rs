//! `hull list`: every container below the state root, as runc's table, as JSON, or ids alone.

use super::container::Container;
use super::state::Line;
use super::{Log, print, state_root};
use crate::base::sort::sort;
use crate::base::text::{Put, Sink, quoted};
use crate::base::words;
use crate::cli::{self, ListFormat, Options};
use crate::error::{Result, borrowed};
use crate::fail;
use crate::json::schema::Slot;
use crate::json::write::Value;
use crate::put;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::state::record::{LIST, RECORDS, Status};
use crate::sys::{directory, open};
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

/// Prints the containers.
///
/// # Errors
/// A state root that can't be read; one that is not there holds no containers.
#[inline(never)]
pub fn list<'a>(
    arena: &Arena<'a>,
    start: &Start,
    options: &Options<'a>,
    log: &Log<'_, 'a>,
) -> Result<'a, u8> {
    let root = state_root(arena, start, options)?;
    let ids = ids(arena, root)?;
    let mut rows = arena.list(ids.len())?;
    for id in ids {
        let container = Container::open(arena, root, id, false);
        let told = borrowed(&container).and_then(|container| container.told());
        if let Ok(container) = &container {
            container.close();
        }
        match told {
            Ok(told) => rows.push(Slot::Object(told))?,
            // deleted meanwhile, or damaged: the others are still to be listed
            Err(error) => log.warning(arena, &error),
        }
    }
    let rows: &[Slot<'a>] = rows.done();
    match options.format {
        _ if options.quiet => print(arena, &Table { columns: COLUMNS.get(..1).unwrap_or(&[]), rows }),
        ListFormat::Table => print(arena, &Table { columns: &COLUMNS, rows }),
        // as Go prints a list that was never made
        ListFormat::Json if rows.is_empty() => print(arena, &"null\n"),
        ListFormat::Json => print(arena, &Line(Value(&Slot::List(rows), &RECORDS, LIST, 0))),
    }
}

/// The names below the state root, in order.
fn ids<'a>(arena: &Arena<'a>, root: &CStr) -> Result<'a, &'a [&'a CStr]> {
    let word = |errno| fail!(arena, errno => "read the state root ", quoted(root));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = match open::open(CWD, root, flags) {
        Ok(directory) => directory,
        Err(fault) if fault.is(Errno::NOENT) => return Ok(&[]),
        Err(fault) => return Err(word(fault.errno())),
    };
    // a name takes at least 24 bytes of a directory entry; what does not fit is left for the second read of the loop
    let mut names = arena.list::<&'a CStr>(MOST)?;
    let mut room = [0u8; 4096];
    loop {
        let entries = directory::read_entries(directory.as_fd(), &mut room).map_err(word)?;
        if entries.is_empty() {
            break;
        }
        for name in entries.filter(|name| cli::is_id(name.to_bytes())) {
            names.push(arena.c_str(name.to_bytes())?)?;
        }
    }
    let names: &[&CStr] = names.done();
    let order = arena.slice(names.len(), 0usize)?;
    for (n, place) in order.iter_mut().enumerate() {
        *place = n;
    }
    sort(order, &|a, b| names.get(a) < names.get(b));
    let mut sorted = arena.list(names.len())?;
    for name in order.iter().filter_map(|n| names.get(*n)) {
        sorted.push(*name)?;
    }
    Ok(sorted.done())
}

/// Containers at most: their names have to fit into the arena of the command line.
const MOST: usize = 1024;

/// Each with its place in a record.
static COLUMNS: [(&CStr, u8); 6] =
    [(c"ID", 1), (c"PID", 2), (c"STATUS", 3), (c"BUNDLE", 4), (c"CREATED", 6), (c"OWNER", 8)];

/// Columns as Go's tabwriter has them for runc: at least 12 wide, three blanks apart. The ids alone have no title.
struct Table<'r, 'a> {
    columns: &'static [(&'static CStr, u8)],
    rows: &'r [Slot<'a>],
}

impl Table<'_, '_> {
    /// One cell of a row, or of the titles.
    fn cell(row: Option<&Slot<'_>>, (title, place): (&CStr, u8), to: &mut dyn Sink) {
        match row {
            None => put!(to, title),
            Some(Slot::Object(slots)) => match slots.get(usize::from(place)) {
                Some(Slot::Text(text)) => put!(to, *text),
                Some(Slot::Word(n)) => put!(to, words::nth(Status::WORDS, *n)),
                Some(Slot::Signed(number)) => put!(to, number),
                _ => {}
            },
            _ => {}
        }
    }
}

struct Width(usize);

impl Sink for Width {
    fn push(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.iter().filter(|b| **b & 0xc0 != 0x80).count());
    }
}

impl Put for Table<'_, '_> {
    fn put(&self, to: &mut dyn Sink) {
        let mut widths = [12usize; COLUMNS.len()];
        let titles = usize::from(self.columns.len() > 1);
        for printed in [false, true] {
            for n in 1usize.saturating_sub(titles)..=self.rows.len() {
                let row = n.checked_sub(1).and_then(|n| self.rows.get(n));
                let mut gap = 0usize;
                for (column, most) in self.columns.iter().zip(&mut widths) {
                    let mut width = Width(3);
                    Self::cell(row, *column, &mut width);
                    if printed {
                        (0..gap).for_each(|_| to.push(b" "));
                        Self::cell(row, *column, to);
                        gap = most.saturating_add(3).saturating_sub(width.0);
                    }
                    *most = width.0.max(*most);
                }
                if printed {
                    to.push(b"\n");
                }
            }
        }
    }
}
