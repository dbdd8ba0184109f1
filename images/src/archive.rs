//! A tar archive as a stream of entries whose names, sizes and kinds were checked. Nothing is written here.
//!
//! The extension headers (ustar, GNU, PAX) are put together by ourselves: so their size is bounded, and what two readers
//! could understand differently is refused instead of read in one of the ways.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use tar::{Archive, EntryType, Header};

/// Archives are made of these (tar(5)).
const BLOCK: u64 = 512;

/// The most that the extension headers of one entry may have.
const EXTENSION_MAX: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub enum What {
    File,
    /// To this name, from the root of the archive.
    HardLink(Vec<u8>),
    Symlink(Vec<u8>),
    Directory,
    Character(u32, u32),
    Block(u32, u32),
    Fifo,
}

/// One entry.
#[derive(Debug)]
pub struct Member {
    /// As the archive has it.
    pub path: Vec<u8>,
    pub what: What,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Of a file; zero for all else.
    pub size: u64,
}

/// Calls `each` with every entry of the archive, and its contents to be read or not. The blocks at the end may be missing, and
/// so may the filling behind the last contents: `umoci insert` writes neither, and Go's readers never ask for them.
///
/// # Errors
/// What is no archive, one that ends within an entry, or what `each` says.
pub fn read(input: impl Read, mut each: impl FnMut(Member, &mut dyn Read) -> Result<()>) -> Result<()> {
    let real = Cell::new(0);
    let mut archive = Archive::new(Filled { input, real: &real, given: 0 });
    let mut extensions = Extensions::default();
    let mut last = (0, String::new());
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry.context("read the archive")?;
        let header = entry.header().clone();
        if extensions.take(&header, &mut entry)? {
            continue;
        }
        let member = std::mem::take(&mut extensions)
            .member(&header)
            .with_context(|| format!("entry \"{}\"", shown(&header.path_bytes())))?;
        let name = shown(&member.path);
        let end = entry.raw_file_position().saturating_add(member.size);
        each(member, &mut entry).with_context(|| format!("entry \"{name}\""))?;
        last = (end, name);
    }
    let (end, name) = last;
    ensure!(end <= real.get(), "the archive ends within the entry \"{name}\"");
    Ok(())
}

/// An archive with its last block filled up with zeros.
struct Filled<'c, R> {
    input: R,
    /// How many bytes the archive has in truth.
    real: &'c Cell<u64>,
    given: u64,
}

impl<R: Read> Read for Filled<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut read = self.input.read(buffer)?;
        self.real.set(self.real.get() + read as u64);
        if read == 0 {
            let missing = self.given.next_multiple_of(BLOCK) - self.given;
            read = buffer.len().min(usize::try_from(missing).unwrap_or(0));
            buffer.iter_mut().take(read).for_each(|byte| *byte = 0);
        }
        self.given += read as u64;
        Ok(read)
    }
}

/// What was said about the next entry before its own header.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Vec<u8>,
}

impl Extensions {
    /// Whether this is an extension header, which is then read.
    fn take(&mut self, header: &Header, entry: &mut impl Read) -> Result<bool> {
        let kind = header.entry_type();
        let known = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        if !known {
            return Ok(false);
        }
        let size = header.entry_size()?;
        ensure!(
            size <= EXTENSION_MAX,
            "an extended header of {size} bytes (at most {EXTENSION_MAX} are taken)"
        );
        let mut bytes = Vec::new();
        entry.take(EXTENSION_MAX).read_to_end(&mut bytes)?;
        let ended = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        if kind.is_gnu_longname() {
            bytes.truncate(ended);
            self.path = Some(bytes);
        } else if kind.is_gnu_longlink() {
            bytes.truncate(ended);
            self.link = Some(bytes);
        } else if kind.is_pax_local_extensions() {
            self.pax = bytes;
        } else {
            // Written by git-archive and the like for comments. Layers have none that matters, so one that would
            // change what every following entry means is refused.
            for record in Records(&bytes) {
                let (key, _) = record.context("a global header")?;
                let harmless = matches!(key, b"comment" | b"charset" | b"mtime" | b"atime" | b"ctime");
                ensure!(harmless, "a global header that sets \"{}\"", shown(key));
            }
        }
        Ok(true)
    }

    fn member(self, header: &Header) -> Result<Member> {
        let size = header.entry_size().context("its size")?;
        let mut member = Member {
            path: self.path.unwrap_or_else(|| header.path_bytes().into_owned()),
            what: What::File,
            mode: header.mode().context("its mode")? & 0o7777,
            uid: id(header.uid().context("its owner")?)?,
            gid: id(header.gid().context("its group")?)?,
            xattrs: BTreeMap::new(),
            size,
        };
        let mut link =
            self.link.or_else(|| header.link_name_bytes().map(Cow::into_owned)).unwrap_or_default();
        for record in Records(&self.pax) {
            let (key, value) = record.context("its extended header")?;
            match key {
                b"path" => member.path = value.to_vec(),
                b"linkpath" => link = value.to_vec(),
                b"uid" => member.uid = id(number(value)?)?,
                b"gid" => member.gid = id(number(value)?)?,
                // A reader that takes the other one finds other entries behind this one.
                b"size" => ensure!(number(value)? == size, "its two headers give it two sizes"),
                _ if key.starts_with(b"GNU.sparse.") => bail!("{SPARSE}"),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        ensure!(!name.is_empty(), "an attribute without a name");
                        member.xattrs.insert(name.to_vec(), value.to_vec());
                    }
                }
            }
        }
        member.what = what(header, link)?;
        if member.what != What::File {
            ensure!(size == 0, "data behind an entry that has none");
        }
        Ok(member)
    }
}

/// The records of an extended header: `LENGTH KEY=VALUE\n` each, where the length counts the whole record, so a value
/// may have any byte in it (pax(1), "pax Extended Header").
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let parse = || {
            let blank = self.0.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(self.0.get(..blank)?).ok()?.parse().ok()?;
            let record = self.0.get(blank + 1..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            Some((record.get(..equals)?, record.get(equals + 1..)?, self.0.get(length..)?))
        };
        let Some((key, value, rest)) = parse() else {
            self.0 = &[];
            return Some(Err(anyhow::anyhow!("malformed")));
        };
        self.0 = rest;
        Some(Ok((key, value)))
    }
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}

const SPARSE: &str = "a sparse file, which is not supported (pack it without --sparse)";

fn what(header: &Header, link: Vec<u8>) -> Result<What> {
    let device = || -> Result<(u32, u32)> {
        let number = |found: std::io::Result<Option<u32>>| found.ok().flatten().context("its device number");
        Ok((number(header.device_major())?, number(header.device_minor())?))
    };
    Ok(match header.entry_type() {
        // Before POSIX a directory was a file whose name ends so.
        EntryType::Regular if header.path_bytes().ends_with(b"/") => What::Directory,
        EntryType::Regular | EntryType::Continuous => What::File,
        EntryType::Link | EntryType::Symlink if link.is_empty() => bail!("a link to nothing"),
        EntryType::Link => What::HardLink(link),
        EntryType::Symlink => What::Symlink(link),
        EntryType::Directory => What::Directory,
        EntryType::Char => device().map(|(major, minor)| What::Character(major, minor))?,
        EntryType::Block => device().map(|(major, minor)| What::Block(major, minor))?,
        EntryType::Fifo => What::Fifo,
        EntryType::GNUSparse => bail!("{SPARSE}"),
        other => bail!("a type of entry that is not known: {:?}", char::from(other.as_byte())),
    })
}

fn id(number: u64) -> Result<u32> {
    // The largest one means "no change" to chown(2).
    u32::try_from(number).ok().filter(|id| *id != u32::MAX).with_context(|| format!("the owner {number}"))
}

fn number(text: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok()).context("a number of its extended header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_have_any_byte_in_it() {
        let header = b"12 a=x\ny\0=z\n5 b=\n";
        let records: Vec<_> = Records(header).map(Result::unwrap).collect();
        assert_eq!(records, [(&b"a"[..], &b"x\ny\0=z"[..]), (b"b", b"")]);
    }

    #[test]
    fn a_malformed_record_ends_the_header_with_an_error() {
        for bad in [
            &b"x"[..],
            b"9 a=b\n",
            b"0 a=b\n",
            b"6 a=b",
            b"6 abc\n",
            b"18446744073709551615 a=b\n",
            b"-1 a=b\n",
        ] {
            let records: Vec<_> = Records(bad).collect();
            assert!(matches!(&records[..], [Err(_)]), "{bad:?}: {records:?}");
        }
    }
}
