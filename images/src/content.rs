//! Where a regular file's bytes come from: memory, a file of the host, or the spool that layers are unpacked into.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

/// The bytes of one file.
#[derive(Clone, Debug)]
pub enum Content {
    Bytes(Arc<[u8]>),
    /// Read when the image is written; an error if it has another size then.
    Host {
        path: PathBuf,
        size: u64,
    },
    Spooled {
        file: Arc<File>,
        offset: u64,
        size: u64,
    },
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Content::Bytes(bytes.into())
    }
}

impl Content {
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Host { size, .. } | Content::Spooled { size, .. } => *size,
        }
    }

    /// Writes exactly [`Content::size`] bytes, or fails.
    pub fn copy(&self, output: &mut impl Write) -> Result<()> {
        let (copied, name) = match self {
            Content::Bytes(bytes) => {
                output.write_all(bytes)?;
                return Ok(());
            }
            Content::Host { path, size } => {
                let name = || path.display().to_string();
                let file = open(path).with_context(|| format!("open {}", name()))?;
                let actual = file.metadata()?.len();
                ensure!(actual == *size, "{} changed while the image was made", name());
                (io::copy(&mut file.take(*size), output)?, name())
            }
            Content::Spooled { file, offset, size } => {
                let mut part = Part { file, offset: *offset };
                (io::copy(&mut part.by_ref().take(*size), output)?, "the spool file".to_owned())
            }
        };
        ensure!(copied == self.size(), "{name} shrank while it was read");
        Ok(())
    }
}

/// A regular file and nothing else: a link put in its place later is not followed, a FIFO does not block.
fn open(path: &Path) -> Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    ensure!(file.metadata()?.is_file(), "not a regular file");
    Ok(file)
}

/// Reads from a place of a file without moving its position, which others share.
struct Part<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// A file without a name that holds the contents of everything unpacked, one behind the other. It is gone when the last
/// tree with a part of it is, also after a kill.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    end: u64,
}

impl Spool {
    /// In `folder`, which should be where the image will be: the room is needed there anyway.
    pub fn new(folder: &Path) -> Result<Spool> {
        let file = tempfile::tempfile_in(folder)
            .with_context(|| format!("make a temporary file in {}", folder.display()))?;
        Ok(Spool { file: Arc::new(file), end: 0 })
    }

    /// Takes the next `size` bytes of `input`, which has to have them.
    pub fn take(&mut self, input: &mut (impl Read + ?Sized), size: u64) -> Result<Content> {
        let offset = self.end;
        // The position is where the last call left it, or past a part that failed.
        io::Seek::seek(&mut &*self.file, io::SeekFrom::Start(offset))?;
        let copied = io::copy(&mut input.take(size), &mut &*self.file)?;
        ensure!(copied == size, "ends after {copied} of {size} bytes");
        self.end += size;
        Ok(Content::Spooled { file: Arc::clone(&self.file), offset, size })
    }
}
