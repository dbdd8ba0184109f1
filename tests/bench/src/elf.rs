//! An ELF file as a list of named byte ranges that fill its sections.
//!
//! Ranges with a symbol carry its name. The rest of a data section is cut where relocations point into it, and each cut
//! carries the name of what points there: a function, a static, or (through tables) the owner of another cut.

use anyhow::{Context, Result};
use object::read::elf::ElfFile64;
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, RelocationKind, RelocationTarget, SectionFlags,
    SectionKind, elf::SHF_ALLOC,
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Code,
    Data,
    /// Takes memory, but no bytes of the file.
    Zero,
}

/// A named range.
pub struct Item {
    pub name: String,
    pub kind: Kind,
    pub size: u64,
}

/// All ranges of the file that are loaded.
pub struct Image {
    pub items: Vec<Item>,
    /// Bytes of the file once symbols and relocations are stripped.
    pub file_bytes: u64,
}

type File<'data> = ElfFile64<'data, Endianness>;

/// A range while owners are looked for.
struct Range {
    end: u64,
    kind: Kind,
    /// Demangled; empty until known.
    name: String,
}

impl Image {
    pub fn read(bytes: &[u8]) -> Result<Image> {
        let file = File::parse(bytes).context("parse the binary (64-bit ELF only)")?;
        let mut ranges = named(&file);
        let references = references(&file);
        cut_the_rest(&file, &mut ranges, &references);
        name_by_references(&mut ranges, &references);
        let items = ranges.into_iter().map(|(start, range)| Item {
            name: if range.name.is_empty() { "(data that nothing points to)".into() } else { range.name },
            kind: range.kind,
            size: range.end - start,
        });
        Ok(Image { items: items.collect(), file_bytes: stripped_size(&file) })
    }
}

/// Symbols with a size, by address; of two that overlap, the first.
fn named(file: &File) -> BTreeMap<u64, Range> {
    let mut symbols: Vec<_> = file.symbols().filter(|symbol| symbol.size() > 0).collect();
    symbols.sort_by_key(|symbol| (symbol.address(), std::cmp::Reverse(symbol.size())));
    let mut ranges = BTreeMap::new();
    let mut covered = 0;
    for symbol in symbols {
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        let Some(kind) = section.and_then(|section| kind_of(&section)) else { continue };
        let end = symbol.address() + symbol.size();
        let start = symbol.address().max(covered);
        if start < end {
            // The compiler's own labels (".Lanon.HASH.N") name nobody.
            let name = symbol.name().ok().filter(|name| !name.starts_with(".L")).unwrap_or_default();
            let name =
                rustc_demangle::try_demangle(name).map_or_else(|_| name.into(), |name| format!("{name:#}"));
            ranges.insert(start, Range { end, kind, name });
            covered = end;
        }
    }
    ranges
}

fn kind_of<'data>(section: &impl ObjectSection<'data>) -> Option<Kind> {
    let SectionFlags::Elf { sh_flags } = section.flags() else { return None };
    if sh_flags & u64::from(SHF_ALLOC) == 0 {
        return None;
    }
    match section.kind() {
        SectionKind::Text => Some(Kind::Code),
        SectionKind::UninitializedData | SectionKind::UninitializedTls => Some(Kind::Zero),
        _ => Some(Kind::Data),
    }
}

/// Every place that refers to another: (from, to).
fn references(file: &File) -> Vec<(u64, u64)> {
    let mut references = Vec::new();
    for section in file.sections().filter(|section| kind_of(section).is_some()) {
        for (from, relocation) in section.relocations() {
            let base = match relocation.target() {
                RelocationTarget::Symbol(index) => file.symbol_by_index(index).map(|symbol| symbol.address()),
                RelocationTarget::Section(index) => {
                    file.section_by_index(index).map(|section| section.address())
                }
                _ => continue,
            };
            let Ok(base) = base else { continue };
            // A relative field counts from its own end: four bytes on.
            let shift = if relocation.kind() == RelocationKind::Absolute { 0 } else { 4 };
            references.push((from, base.wrapping_add_signed(relocation.addend()) + shift));
        }
    }
    references
}

/// Adds ranges without a name, so that each section is filled.
fn cut_the_rest(file: &File, ranges: &mut BTreeMap<u64, Range>, references: &[(u64, u64)]) {
    let targets: BTreeSet<u64> = references.iter().map(|(_, to)| *to).collect();
    for section in file.sections() {
        let Some(kind) = kind_of(&section) else { continue };
        let end = section.address() + section.size();
        let name = match section.name() {
            Ok(name) if kind != Kind::Data || !name.contains("data") => format!("(section {name})"),
            _ => String::new(),
        };
        let mut position = section.address();
        while position < end {
            if let Some((_, range)) = ranges.range(..=position).next_back()
                && range.end > position
            {
                position = range.end;
                continue;
            }
            let next_name = ranges.range(position..end).next().map(|(&start, _)| start);
            let next_target = targets.range(position + 1..end).next().copied();
            let stop = [next_name, next_target].into_iter().flatten().min().unwrap_or(end);
            ranges.insert(position, Range { end: stop, kind, name: name.clone() });
            position = stop;
        }
    }
}

/// Hands the name of whoever points to a nameless range down to it, until nothing changes.
fn name_by_references(ranges: &mut BTreeMap<u64, Range>, references: &[(u64, u64)]) {
    let holder = |ranges: &BTreeMap<u64, Range>, address: u64| {
        let (&start, range) = ranges.range(..=address).next_back()?;
        (address < range.end).then_some(start)
    };
    loop {
        let mut changed = false;
        for &(from, to) in references {
            let (Some(from), Some(to)) = (holder(ranges, from), holder(ranges, to)) else { continue };
            let name = ranges.get(&from).map_or("", |range| range.name.as_str()).to_owned();
            if let Some(range) = ranges.get_mut(&to)
                && range.name.is_empty()
                && !name.is_empty()
            {
                range.name = name;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// The end of the last loaded byte: what `strip` leaves, but for its section table.
fn stripped_size(file: &File) -> u64 {
    let loaded = file.sections().filter(|section| matches!(kind_of(section), Some(Kind::Code | Kind::Data)));
    loaded.filter_map(|section| section.file_range()).map(|(start, size)| start + size).max().unwrap_or(0)
}
