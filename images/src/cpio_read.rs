//! Reads what the kernel would unpack: `newc` archives, one behind the other, each plain or compressed
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result, bail, ensure};

use crate::blob::Bounded;
use crate::cpio;
use crate::tree::PATH_MAX;

/// One entry as its header has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: Vec<u8>,
    /// With the file's type.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub inode: u32,
    pub size: u64,
    /// Of a device node.
    pub device: (u32, u32),
}

/// What was found around the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Of the archives, in order.
    pub compressions: Vec<&'static str>,
    pub unpacked: u64,
}

/// Calls `each` with every entry and its contents. Unpacks at most `limit` bytes.
pub fn read(
    input: impl Read,
    limit: u64,
    each: &mut dyn FnMut(Member, &mut dyn Read) -> Result<()>,
) -> Result<Found> {
    let mut found = Found::default();
    let mut input: Box<dyn BufRead> = Box::new(BufReader::new(input));
    let mut left = limit;
    loop {
        skip_zeros(&mut input)?;
        let start = input.fill_buf()?;
        let kind = match start {
            [] => break,
            [b'0', ..] => "not compressed",
            [0x1f, 0x8b, ..] => "gzip",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstd",
            [0xfd, b'7', b'z', b'X', ..] => "xz",
            _ => bail!("neither an archive nor a compression that is known here"),
        };
        found.compressions.push(kind);
        if kind == "not compressed" {
            let before = left;
            archive(&mut Bounded { input: &mut input, left: &mut left }, each)?;
            found.unpacked += before - left;
            continue;
        }
        // What is compressed reaches to the end.
        let unpacking: Box<dyn Read> = match kind {
            "gzip" => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            "zstd" => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
            _ => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(input)),
        };
        let mut unpacked = BufReader::new(unpacking);
        loop {
            skip_zeros(&mut unpacked)?;
            if unpacked.fill_buf()?.is_empty() {
                break;
            }
            let before = left;
            archive(&mut Bounded { input: &mut unpacked, left: &mut left }, each)?;
            found.unpacked += before - left;
        }
        break;
    }
    ensure!(!found.compressions.is_empty(), "the file is empty");
    Ok(found)
}

fn skip_zeros(input: &mut impl BufRead) -> Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let all = zeros == bytes.len() && zeros > 0;
        input.consume(zeros);
        if !all {
            return Ok(());
        }
    }
}

fn archive(input: &mut impl Read, each: &mut dyn FnMut(Member, &mut dyn Read) -> Result<()>) -> Result<()> {
    loop {
        let mut header = [0; 110];
        input.read_exact(&mut header).context("the archive ends without its end mark")?;
        let magic = header.get(..6);
        ensure!(magic == Some(b"070701") || magic == Some(b"070702"), "a header of another format than newc");
        let mut fields = [0; 13];
        for (field, text) in fields.iter_mut().zip(header[6..].chunks(8)) {
            let text = std::str::from_utf8(text).ok();
            *field = text.and_then(|text| u32::from_str_radix(text, 16).ok()).context("a broken header")?;
        }
        let [inode, mode, uid, gid, links, _, size, _, _, major, minor, length, _] = fields;
        ensure!((1..=PATH_MAX as u32).contains(&length), "a name of {length} bytes");
        let mut name = vec![0; length as usize];
        input.read_exact(&mut name).context("the archive ends in a name")?;
        name.pop();
        skip(input, (110 + u64::from(length)).next_multiple_of(4) - 110 - u64::from(length))?;
        if name == cpio::TRAILER {
            return Ok(());
        }
        let size = u64::from(size);
        let member = Member { name, mode, uid, gid, links, inode, size, device: (major, minor) };
        let mut data = input.by_ref().take(size);
        each(member, &mut data)?;
        let rest = data.limit();
        let skipped = std::io::copy(&mut data, &mut std::io::sink())?;
        ensure!(skipped == rest, "the archive ends in a file");
        skip(input, size.next_multiple_of(4) - size)?;
    }
}

fn skip(input: &mut impl Read, bytes: u64) -> Result<()> {
    let skipped = std::io::copy(&mut input.by_ref().take(bytes), &mut std::io::sink())?;
    ensure!(skipped == bytes, "the archive ends in the middle");
    Ok(())
}
