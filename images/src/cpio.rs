//! The `newc` archive format, as the kernel unpacks it into its first root
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Own code, since names are bytes here and the crates at hand take text.

use std::fs::File;
use std::io::{self, Read, Write};

use anyhow::{Context, Result, ensure};

use crate::tree::{Content, Device, Entry, Kind, Tree};

/// An archive ends at a multiple of this, as cpio(1) leaves it.
const BLOCK: u64 = 512;

/// Writes the archive of `tree`.
pub fn write(tree: &Tree, output: &mut impl Write) -> Result<()> {
    let mut archive = Archive { output, written: 0 };
    for (number, (name, entry)) in (1u32..).zip(tree.entries()) {
        archive.entry(number, name, entry).with_context(|| format!("/{}", String::from_utf8_lossy(name)))?;
    }
    let nothing = Header { number: 0, mode: 0, links: 1, size: 0, device: (0, 0) };
    archive.header(&nothing, b"TRAILER!!!")?;
    archive.pad(BLOCK)
}

/// The fields of a header that differ between entries; owner and time are zero, as is the device it came from.
struct Header {
    number: u32,
    mode: u32,
    links: u32,
    size: u32,
    device: (u32, u32),
}

struct Archive<W> {
    output: W,
    written: u64,
}

impl<W: Write> Archive<W> {
    fn entry(&mut self, number: u32, name: &[u8], entry: &Entry) -> Result<()> {
        let mut header = Header { number, mode: entry.mode, links: 1, size: 0, device: (0, 0) };
        match &entry.kind {
            Kind::Directory => {
                header.mode |= 0o040_000;
                header.links = 2;
                self.header(&header, name)
            }
            Kind::File(content) => {
                header.mode |= 0o100_000;
                self.file(header, name, content)
            }
            Kind::Symlink(target) => {
                header.mode |= 0o120_000;
                header.size = u32::try_from(target.len())?;
                self.header(&header, name)?;
                self.data(target)
            }
            Kind::Device(device) => {
                let (kind, major, minor) = match *device {
                    Device::Character(major, minor) => (0o020_000, major, minor),
                    Device::Block(major, minor) => (0o060_000, major, minor),
                };
                header.mode |= kind;
                header.device = (major, minor);
                self.header(&header, name)
            }
            Kind::Fifo => {
                header.mode |= 0o010_000;
                self.header(&header, name)
            }
        }
    }

    fn file(&mut self, mut header: Header, name: &[u8], content: &Content) -> Result<()> {
        match content {
            Content::Bytes(bytes) => {
                header.size = u32::try_from(bytes.len()).context("larger than 4 GiB")?;
                self.header(&header, name)?;
                self.data(bytes)
            }
            Content::Host(path) => {
                let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
                header.size = u32::try_from(file.metadata()?.len()).context("larger than 4 GiB")?;
                self.header(&header, name)?;
                let copied = io::copy(&mut file.take(header.size.into()), &mut self.output)?;
                ensure!(copied == u64::from(header.size), "{} shrank while it was read", path.display());
                self.written += copied;
                self.pad(4)
            }
        }
    }

    fn header(&mut self, header: &Header, name: &[u8]) -> Result<()> {
        let Header { number, mode, links, size, device } = header;
        let length = u32::try_from(name.len() + 1)?;
        let (owner, group, time, check) = (0, 0, 0, 0);
        let fields =
            [*number, *mode, owner, group, *links, time, *size, 0, 0, device.0, device.1, length, check];
        let mut text = String::from("070701");
        text.extend(fields.iter().map(|field| format!("{field:08X}")));
        self.put(text.as_bytes())?;
        self.put(name)?;
        self.put(b"\0")?;
        self.pad(4)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.put(bytes)?;
        self.pad(4)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, unit: u64) -> Result<()> {
        let missing = self.written.next_multiple_of(unit) - self.written;
        io::copy(&mut io::repeat(0).take(missing), &mut self.output)?;
        self.written += missing;
        Ok(())
    }
}
