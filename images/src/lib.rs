//! Images for hull to boot from. So far: an initramfs out of files, directories, links and device nodes.
//!
//! Invariant: the same input gives the same bytes. Times are zero, owners are root, entries are sorted by path, inodes
//! are counted. What the host's umask or clock says never gets in.

pub mod cpio;
pub mod tree;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};

pub use tree::Tree;

/// How an initramfs is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
}

/// Packs `tree` as an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst) into `output`, which
/// appears complete or not at all. Returns the size of the file.
///
/// The kernel opens /dev/console for its first process before that process runs, so this node is always in.
pub fn initramfs(mut tree: Tree, output: &Path, packing: Packing) -> Result<u64> {
    if !tree.contains("dev/console") {
        tree.device("dev/console", 0o600, tree::Device::Character(5, 1))?;
    }
    let mut partial = output.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let size = write(&tree, &partial, packing)
        .and_then(|size| Ok(std::fs::rename(&partial, output).map(|()| size)?))
        .with_context(|| format!("write {}", output.display()));
    if size.is_err() {
        // Nothing better can be done about a file that may never have been made.
        let _ = std::fs::remove_file(&partial);
    }
    size
}

fn write(tree: &Tree, path: &Path, packing: Packing) -> Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    match packing {
        Packing::Plain => cpio::write(tree, &mut file)?,
        Packing::Gzip => {
            let mut gzip = GzBuilder::new().mtime(0).write(&mut file, Compression::best());
            cpio::write(tree, &mut gzip)?;
            gzip.finish()?;
        }
    }
    file.flush()?;
    Ok(file.get_ref().metadata()?.len())
}
