//! `hull list`: every container below the state root, as runc's table, as JSON, or ids alone.

use super::container::Container;
use super::state::{Shown, Told};
use super::{Log, print, state_root};
use crate::base::sort::sort;
use crate::base::text::{Put, Sink, Word, quoted};
use crate::cli::{self, ListFormat, Options};
use crate::error::Result;
use crate::fail;
use crate::put;
use crate::rt::arena::Arena;
use crate::rt::region;
use crate::rt::start::Start;
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
    let own = region::fresh(ids.len().saturating_mul(size_of::<Told<'a>>()))
        .map_err(|errno| fail!(arena, errno => "map memory for the list"))?;
    let mut rows = own.list::<Told<'a>>(ids.len())?;
    for id in ids {
        let told = Container::open(arena, root, id, false).and_then(|container| Told::of(&container, id));
        match told {
            Ok(told) => rows.push(told)?,
            // deleted meanwhile, or damaged: the others are still to be listed
            Err(error) => log.warning(arena, &error),
        }
    }
    let rows: &[Told<'a>] = rows.done();
    match options.format {
        _ if options.quiet => print(arena, &Ids(rows)),
        ListFormat::Table => print(arena, &Table(rows)),
        ListFormat::Json => print(arena, &Json(rows)),
    }
}

/// The names below the state root, in order.
fn ids<'a>(arena: &Arena<'a>, root: &CStr) -> Result<'a, &'a [&'a CStr]> {
    let word = |errno| fail!(arena, errno => "read the state root ", quoted(root));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = match open::open(CWD, root, flags) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(&[]),
        Err(errno) => return Err(word(errno)),
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

struct Ids<'r, 'a>(&'r [Told<'a>]);

impl Put for Ids<'_, '_> {
    fn put(&self, to: &mut dyn Sink) {
        for told in self.0 {
            put!(to, told.id, "\n");
        }
    }
}

struct Json<'r, 'a>(&'r [Told<'a>]);

impl Put for Json<'_, '_> {
    fn put(&self, to: &mut dyn Sink) {
        // as Go prints a list that was never made
        if self.0.is_empty() {
            return put!(to, "null\n");
        }
        let mut comma = "[";
        for told in self.0 {
            put!(to, comma, Shown(told, false));
            comma = ",";
        }
        put!(to, "]\n");
    }
}

const COLUMNS: usize = 6;

/// Columns as Go's tabwriter has them for runc: at least 12 wide, three blanks apart.
struct Table<'r, 'a>(&'r [Told<'a>]);

impl Table<'_, '_> {
    fn rows(&self, each: &mut dyn FnMut([Word<'_>; COLUMNS])) {
        let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
        each(head.map(|name| Word::text(name.as_bytes())));
        for told in self.0 {
            each([
                Word::c_text(told.id),
                Word::number(u64::from(told.pid)),
                Word::text(told.status.as_bytes()),
                Word::c_text(told.bundle),
                Word::c_text(told.created),
                Word::c_text(told.owner),
            ]);
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
        let mut widths = [12usize; COLUMNS];
        self.rows(&mut |row| {
            for (width, word) in widths.iter_mut().zip(&row) {
                *width = (*width).max(width_of(word).saturating_add(3));
            }
        });
        self.rows(&mut |row| {
            for (n, (width, word)) in widths.iter().zip(&row).enumerate() {
                put!(to, word);
                let blanks = if n + 1 < COLUMNS { width.saturating_sub(width_of(word)) } else { 0 };
                for _ in 0..blanks {
                    put!(to, " ");
                }
            }
            put!(to, "\n");
        });
    }
}

fn width_of(word: &Word<'_>) -> usize {
    let mut width = Width(0);
    put!(&mut width, word);
    width.0
}
