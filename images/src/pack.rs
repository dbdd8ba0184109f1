//! A tree into a file: an initramfs. The file appears complete or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use crate::tree::{Device, Tree};
use crate::{blob, cpio};

/// How an initramfs is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    Plain,
    Gzip,
    /// Smaller, and unpacked faster; the kernel needs CONFIG_RD_ZSTD.
    Zstd,
}

impl Packing {
    pub fn name(self) -> &'static str {
        match self {
            Packing::Plain => "not compressed",
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        }
    }
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub path: PathBuf,
    pub size: u64,
    pub sha256: String,
}

/// The one time that everything in an image has: SOURCE_DATE_EPOCH of the environment (reproducible-builds.org), else 0.
pub fn epoch() -> Result<u32> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Err(std::env::VarError::NotPresent) => Ok(0),
        Ok(text) => {
            text.parse().with_context(|| format!("SOURCE_DATE_EPOCH=\"{text}\" is no time in seconds"))
        }
        Err(error) => Err(error).context("SOURCE_DATE_EPOCH"),
    }
}

/// Packs `tree` as an initramfs (Documentation/driver-api/early-userspace/buffer-format.rst) into `output`, which
/// appears complete or not at all. Returns the size of the file.
///
/// The kernel opens /dev/console for its first process before that process runs, so this node is always in.
pub fn initramfs(tree: Tree, output: &Path, packing: Packing) -> Result<u64> {
    Ok(write_initramfs(tree, output, packing, &|_| {})?.size)
}

/// [`initramfs`]; `progress` hears of every unpacked byte.
pub fn write_initramfs(
    mut tree: Tree,
    output: &Path,
    packing: Packing,
    progress: &dyn Fn(u64),
) -> Result<Written> {
    if !tree.contains("dev/console") {
        tree.device("dev/console", 0o600, Device::Character(5, 1))?;
    }
    let mtime = epoch()?;
    complete(output, |path| {
        let mut file = BufWriter::new(File::create(path)?);
        let counted = |output: &mut dyn Write| {
            let mut output = Counted { output, progress };
            cpio::write(&tree, mtime, &mut output)
        };
        match packing {
            Packing::Plain => counted(&mut file)?,
            Packing::Gzip => {
                let mut gzip = GzBuilder::new().mtime(0).write(&mut file, Compression::best());
                counted(&mut gzip)?;
                gzip.finish()?;
            }
            Packing::Zstd => {
                let mut zstd = zstd::stream::write::Encoder::new(&mut file, 19)?;
                // The kernel's reader takes it as a sign that the whole file is there.
                zstd.include_checksum(true)?;
                counted(&mut zstd)?;
                zstd.finish()?;
            }
        }
        Ok(file.flush()?)
    })
}

/// Has `write` make the file at a path beside `output`, then puts it in its place.
pub fn complete(output: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<Written> {
    let mut partial = output.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let done = write(&partial)
        .and_then(|()| {
            let mut hash = Sha256::new();
            let size = std::io::copy(&mut File::open(&partial)?, &mut hash)?;
            std::fs::rename(&partial, output)?;
            Ok(Written { path: output.to_owned(), size, sha256: blob::hex(&hash.finalize()) })
        })
        .with_context(|| format!("write {}", output.display()));
    if done.is_err() {
        // Nothing better can be done about a file that may never have been made.
        let _ = std::fs::remove_file(&partial);
    }
    done
}

struct Counted<'a> {
    output: &'a mut dyn Write,
    progress: &'a dyn Fn(u64),
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.output.write(bytes)?;
        (self.progress)(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}
