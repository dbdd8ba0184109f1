//! Images for hull to boot from: container images and a recipe in, an initramfs or a root image out.
//!
//! Data flows one way: `recipe` (through `reader`) → `assemble` (through `oci`, `layer`, `archive`, `host`, `convert`,
//! `modules`) → `tree` → `pack` or `root` → a file. Nothing but that file is written: what strangers made is unpacked into
//! a tree in memory, with its contents in a file without a name.
//!
//! Invariant: the same input gives the same bytes. All times are one, entries are sorted by path, inodes are counted,
//! owners are those of the input or root. What the host's umask, clock or ids say never gets in.

pub mod archive;
pub mod assemble;
pub mod blob;
pub mod boot;
pub mod content;
pub mod convert;
pub mod cpio;
pub mod cpio_read;
pub mod erofs;
pub mod host;
pub mod inspect;
pub mod layer;
pub mod limits;
pub mod modules;
pub mod oci;
pub mod pack;
pub mod progress;
pub mod reader;
pub mod recipe;
pub mod report;
pub mod root;
pub mod tree;
pub mod users;

pub use pack::{Packing, initramfs};
pub use tree::Tree;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::pack::Written;
use crate::progress::Progress;
use crate::recipe::Recipe;

/// What a build left behind.
pub struct Built {
    pub initramfs: PathBuf,
    pub root: Option<PathBuf>,
    /// The table for people.
    pub table: String,
    pub warnings: Vec<String>,
}

/// Builds the image of `recipe`.
pub fn build(recipe: &Recipe) -> Result<Built> {
    let progress = Progress::new();
    let made = assemble::assemble(recipe, &progress)?;
    let mut written: Vec<(Written, String)> = Vec::new();
    let mut warnings = made.warnings;
    let bytes = |tree: &Tree| tree.entries().map(|(_, entry)| entry.size()).sum();
    let mut root_path = None;
    if let (Some(tree), Some(root)) = (&made.root, &recipe.root) {
        progress.step("root image");
        progress.expect(bytes(tree));
        let path = with_ending(&recipe.output, root.format.name());
        let done = root::write(tree, &path, root.format, &|bytes| progress.advance(bytes))?;
        written.push((done, format!("{}, {}", root.format.name(), root.format.compression())));
        root_path = Some(path);
    }
    progress.step("initramfs");
    progress.expect(bytes(&made.initramfs));
    warnings.extend(report::lost_warning(&made.initramfs));
    let path = with_ending(&recipe.output, "initramfs");
    let tree = made.initramfs.clone();
    let done = pack::write_initramfs(tree, &path, recipe.packing, &|bytes| progress.advance(bytes))?;
    if let Some(memory) = recipe.memory {
        warnings.extend(report::memory_warning(&made.initramfs, done.size, memory));
    }
    written.push((done, format!("initramfs, {}", recipe.packing.name())));
    progress.end();
    let table = report::table(&made.parts, &written);
    Ok(Built { initramfs: path, root: root_path, table, warnings })
}

/// `output.ending`; what looks like an ending of its own stays.
fn with_ending(output: &Path, ending: &str) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}
