//! What hull's binary is made of: the bytes of each room, and of each crate below it.
//!
//! A copy of the release binary is built with its symbols and relocations kept (the code is the same). A function or
//! static counts for the module in its name; inlined code counts for the function that it was inlined into, a generic
//! one of a crate for that crate. Data without a name (texts, tables) counts for whoever refers to it.

use crate::elf::Image;
use crate::text::Grid;
use crate::{repository, target_dir};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[derive(Args)]
pub struct Options {
    /// A binary with symbols and relocations, instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Also list the largest functions and statics
    #[arg(long, value_name = "N", default_value_t = 0)]
    top: usize,
    /// Only list those whose name holds this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Print tables as Markdown
    #[arg(long)]
    markdown: bool,
    /// Write the bytes of each part there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Bytes of one part.
#[derive(Clone, Copy, Default)]
struct Bytes {
    code: u64,
    data: u64,
    /// Memory that takes no room in the file.
    zero: u64,
}

impl Bytes {
    fn file(self) -> u64 {
        self.code + self.data
    }
}

pub fn run(options: &Options) -> Result<()> {
    let path = options.binary.clone().map_or_else(build, Ok)?;
    let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let image = Image::read(&bytes)?;
    let parts = parts(&image);
    println!("{}", grid(&parts, image.file_bytes).render(options.markdown));
    if options.top > 0 {
        println!("{}", largest(&image, options).render(options.markdown));
    }
    if let Some(file) = &options.json {
        let value = json_of(&parts, image.file_bytes);
        fs::write(file, format!("{value:#}\n")).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// Builds the copy in a folder of its own, so that the release binary stays as it is.
fn build() -> Result<PathBuf> {
    let target = std::path::absolute(target_dir())?.join("bench-size");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["rustc", "--quiet", "--release", "--bin", "hull", "--manifest-path"])
        .arg(repository().join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "-C", "link-arg=-Wl,--emit-relocs"])
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .status()
        .context("start cargo")?;
    if !status.success() {
        bail!("the build with symbols failed");
    }
    Ok(target.join("release/hull"))
}

fn parts(image: &Image) -> BTreeMap<String, Bytes> {
    let mut parts: BTreeMap<String, Bytes> = BTreeMap::new();
    for item in &image.items {
        let part = parts.entry(part_of(&item.name)).or_default();
        match item.kind {
            crate::elf::Kind::Code => part.code += item.size,
            crate::elf::Kind::Data => part.data += item.size,
            crate::elf::Kind::Zero => part.zero += item.size,
        }
    }
    parts
}

/// `hull::room`, another crate's name, or what the name says where it is no Rust path.
fn part_of(name: &str) -> String {
    let Some(path) = path_of(name) else { return "names without a path (memcpy, _start, ...)".into() };
    let mut segments = path.split("::");
    match (segments.next(), segments.next()) {
        (Some("hull"), Some(room)) if path.matches("::").count() > 1 => format!("hull::{room}"),
        (Some("hull"), _) => "hull, its root".into(),
        (Some(other), _) => other.to_owned(),
        (None, _) => name.to_owned(),
    }
}

/// The first Rust path in a demangled name: `<&mut a::B as c::D>::e` is of `a::B`, `<T as c::D>::e` of `c::D`.
fn path_of(name: &str) -> Option<&str> {
    if name.starts_with('(') && name.ends_with(')') {
        return Some(name);
    }
    let is_path =
        |word: &&str| word.contains("::") && word.starts_with(|first: char| first.is_ascii_lowercase());
    let words =
        name.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'));
    words.map(|word| word.trim_matches(':')).find(is_path)
}

fn grid(parts: &BTreeMap<String, Bytes>, file: u64) -> Grid {
    let mut rows: Vec<(&String, &Bytes)> = parts.iter().collect();
    rows.sort_by_key(|(name, bytes)| (!name.starts_with("hull"), std::cmp::Reverse(bytes.file())));
    let mut grid = Grid::new(1, &["part", "code", "data", "together", "share", "zeroed memory"]);
    let mut push = |name: &str, bytes: Bytes| {
        grid.push(vec![
            name.to_owned(),
            bytes.code.to_string(),
            bytes.data.to_string(),
            bytes.file().to_string(),
            format!("{:.1}%", bytes.file() as f64 * 100.0 / file as f64),
            bytes.zero.to_string(),
        ]);
    };
    for (name, bytes) in &rows {
        push(name, **bytes);
    }
    let known: u64 = parts.values().map(|bytes| bytes.file()).sum();
    push("headers, padding", Bytes { data: file.saturating_sub(known), ..Bytes::default() });
    let rooms = rows.iter().filter(|(name, _)| name.starts_with("hull"));
    push("all rooms of hull", rooms.fold(Bytes::default(), |sum, (_, bytes)| add(sum, **bytes)));
    let all = parts.values().fold(Bytes::default(), |sum, bytes| add(sum, *bytes));
    push("the file", Bytes { data: file.saturating_sub(all.code), ..all });
    grid
}

fn largest(image: &Image, options: &Options) -> Grid {
    let mut items: Vec<_> = image.items.iter().filter(|item| item.name.contains(&options.only)).collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.size));
    let mut grid = Grid::new(2, &["", "name", "bytes"]);
    for item in items.into_iter().take(options.top) {
        let kind = match item.kind {
            crate::elf::Kind::Code => "code",
            crate::elf::Kind::Data => "data",
            crate::elf::Kind::Zero => "zero",
        };
        grid.push(vec![kind.into(), item.name.clone(), item.size.to_string()]);
    }
    grid
}

fn json_of(parts: &BTreeMap<String, Bytes>, file: u64) -> Value {
    let part = |(name, bytes): (&String, &Bytes)| {
        (name.clone(), json!({ "code": bytes.code, "data": bytes.data, "zero": bytes.zero }))
    };
    json!({ "file": file, "parts": parts.iter().map(part).collect::<Map<_, _>>() })
}

fn add(a: Bytes, b: Bytes) -> Bytes {
    Bytes { code: a.code + b.code, data: a.data + b.data, zero: a.zero + b.zero }
}

#[cfg(test)]
mod tests {
    use super::part_of;

    #[test]
    fn a_name_counts_for_the_module_that_its_first_path_names() {
        for (name, part) in [
            ("hull::json::scan::Scanner::next", "hull::json"),
            ("<hull::config::View as core::fmt::Debug>::fmt", "hull::config"),
            (
                "<&mut serde_json_core::de::Deserializer as serde::de::Deserializer>::deserialize_any",
                "serde_json_core",
            ),
            ("<T as core::convert::TryFrom<U>>::try_from", "core"),
            ("core::ptr::drop_in_place<hull::rt::Arena>", "core"),
            ("hull::main", "hull, its root"),
            ("memcpy", "names without a path (memcpy, _start, ...)"),
            ("(section .eh_frame)", "(section .eh_frame)"),
        ] {
            assert_eq!(part_of(name), part, "{name}");
        }
    }
}
