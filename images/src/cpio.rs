//! The `newc` archive format, as the kernel unpacks it into its first root
//! (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! Own code, since names are bytes here and the crates at hand take text.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use crate::tree::{Device, Entry, Kind, PATH_MAX, Tree};

/// An archive ends at a multiple of this, as cpio(1) leaves it.
const BLOCK: u64 = 512;

pub const DIRECTORY: u32 = 0o040_000;
pub const FILE: u32 = 0o100_000;
pub const SYMLINK: u32 = 0o120_000;
pub const CHARACTER: u32 = 0o020_000;
pub const BLOCK_DEVICE: u32 = 0o060_000;
pub const FIFO: u32 = 0o010_000;

pub const TRAILER: &[u8] = b"TRAILER!!!";

/// Writes the archive of `tree`, every time in it `mtime`. Extended attributes have no place in this format.
pub fn write(tree: &Tree, mtime: u32, output: &mut impl Write) -> Result<()> {
    let mut archive = Archive { output, written: 0, mtime };
    // Of each entry with several names: its number, how many there are, and how many are still to come.
    let mut links: HashMap<*const Entry, (u32, u32, u32)> = HashMap::new();
    for (_, entry) in tree.entries() {
        let seen = links.entry(Arc::as_ptr(entry)).or_default();
        (seen.1, seen.2) = (seen.1 + 1, seen.2 + 1);
    }
    let mut numbers = 1u32..;
    for (name, entry) in tree.entries() {
        let link = links.get_mut(&Arc::as_ptr(entry)).context("an entry that was not counted")?;
        if link.0 == 0 {
            link.0 = numbers.next().context("too many entries")?;
        }
        link.2 -= 1;
        let (number, names, left) = *link;
        let context = || crate::tree::Shown(name).to_string();
        // The kernel passes over longer names without a word (init/initramfs.c).
        ensure!(name.len() + 1 < PATH_MAX, "{}: longer than the kernel unpacks", context());
        archive.entry(number, names, left == 0, name, entry).with_context(context)?;
    }
    let nothing = Header { number: 0, mode: 0, owner: (0, 0), links: 1, time: 0, size: 0, device: (0, 0) };
    archive.header(&nothing, TRAILER)?;
    archive.pad(BLOCK)
}

/// The fields of a header that differ between entries; the device that an entry came from is zero.
struct Header {
    number: u32,
    mode: u32,
    owner: (u32, u32),
    links: u32,
    time: u32,
    size: u32,
    device: (u32, u32),
}

struct Archive<W> {
    output: W,
    written: u64,
    mtime: u32,
}

impl<W: Write> Archive<W> {
    /// `names` is how many names the entry has; its contents go with the last one, as cpio(1) does it.
    fn entry(&mut self, number: u32, names: u32, last: bool, name: &[u8], entry: &Entry) -> Result<()> {
        let owner = (entry.uid, entry.gid);
        let mut header = Header {
            number,
            mode: entry.mode,
            owner,
            links: names,
            time: self.mtime,
            size: 0,
            device: (0, 0),
        };
        match &entry.kind {
            Kind::Directory => {
                header.mode |= DIRECTORY;
                header.links = 2;
            }
            Kind::File(content) => {
                header.mode |= FILE;
                if last {
                    header.size = u32::try_from(content.size()).context("larger than 4 GiB")?;
                    self.header(&header, name)?;
                    content.copy(&mut self.output)?;
                    self.written += content.size();
                    return self.pad(4);
                }
            }
            Kind::Symlink(target) => {
                header.mode |= SYMLINK;
                // Links to links would need their target each time: the kernel makes of each a link of its own.
                header.links = 1;
                header.size = u32::try_from(target.len())?;
                self.header(&header, name)?;
                return self.data(target);
            }
            Kind::Device(device) => {
                let (kind, major, minor) = match *device {
                    Device::Character(major, minor) => (CHARACTER, major, minor),
                    Device::Block(major, minor) => (BLOCK_DEVICE, major, minor),
                };
                header.mode |= kind;
                header.device = (major, minor);
            }
            Kind::Fifo => header.mode |= FIFO,
        }
        self.header(&header, name)
    }

    fn header(&mut self, header: &Header, name: &[u8]) -> Result<()> {
        let Header { number, mode, owner, links, time, size, device } = header;
        let length = u32::try_from(name.len() + 1)?;
        let fields =
            [*number, *mode, owner.0, owner.1, *links, *time, *size, 0, 0, device.0, device.1, length, 0];
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
