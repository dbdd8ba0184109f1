//! The names in an EROFS image, read from its own structures (Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h):
//! the distribution has no tool that lists one without unpacking it.
//!
//! Only what is needed for a listing: superblock, inodes, directories and link targets, which are never compressed.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, bail, ensure};

/// An entry of the listing, the root left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub path: Vec<u8>,
    /// With the file's type.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// Of a symbolic link.
    pub target: Vec<u8>,
    /// Of a device node.
    pub device: (u32, u32),
}

pub const MAGIC: u32 = 0xe0f5_e1e2;
pub const SUPERBLOCK: u64 = 1024;

/// A hostile image could otherwise keep us busy without end.
const ENTRIES_MAX: usize = 4_000_000;
const DEPTH_MAX: usize = 4096;
/// Of one directory or link target.
const DATA_MAX: u64 = 64 << 20;

struct Image<'a> {
    file: &'a File,
    block: u64,
    inodes: u64,
}

struct Inode {
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    /// First block, device number or format of chunks.
    word: u32,
    layout: u16,
    /// Where what follows the inode begins.
    tail: u64,
}

/// Lists the image in `file`, sorted by path, and reads the file at `wanted` if it is there and not compressed, as small
/// ones are.
pub fn list(file: &File, wanted: &[u8]) -> Result<(Vec<Member>, Option<Vec<u8>>)> {
    let mut superblock = [0; 128];
    file.read_exact_at(&mut superblock, SUPERBLOCK).context("too short for a superblock")?;
    let word = |at: usize| Some(u32::from_le_bytes(superblock.get(at..at + 4)?.try_into().ok()?));
    ensure!(word(0) == Some(MAGIC), "no EROFS image");
    let bits = superblock[12];
    ensure!((9..=16).contains(&bits), "blocks of 2^{bits} bytes");
    let root = u64::from(u16::from_le_bytes([superblock[14], superblock[15]]));
    let block = 1 << bits;
    let image = Image { file, block, inodes: u64::from(word(40).unwrap_or(0)) * block };
    let mut found = Vec::new();
    image.directory(root, &[], 0, &mut found)?;
    let at = found.iter().find(|(member, _)| member.path == wanted && member.mode & 0o170_000 == 0o100_000);
    let inode = at.map(|(_, number)| image.inode(*number)).transpose()?;
    let read =
        inode.filter(|inode| matches!(inode.layout, 0 | 2)).map(|inode| image.data(&inode)).transpose()?;
    let mut found: Vec<Member> = found.into_iter().map(|(member, _)| member).collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok((found, read))
}

impl Image<'_> {
    fn inode(&self, number: u64) -> Result<Inode> {
        let at =
            number.checked_mul(32).and_then(|at| at.checked_add(self.inodes)).context("an inode's number")?;
        let mut bytes = [0; 64];
        self.file.read_exact_at(&mut bytes[..32], at).context("an inode past the end")?;
        let half = |bytes: &[u8; 64], at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |bytes: &[u8; 64], at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let format = half(&bytes, 0);
        let extended = format & 1 == 1;
        let attributes = u64::from(half(&bytes, 2));
        // xattr ibody header of 12 bytes, then words.
        let attributes = if attributes == 0 { 0 } else { 12 + (attributes - 1) * 4 };
        let mode = u32::from(half(&bytes, 4));
        let layout = format >> 1 & 7;
        let inode = if extended {
            self.file.read_exact_at(&mut bytes, at).context("an inode past the end")?;
            let size = u64::from(word(&bytes, 8)) | u64::from(word(&bytes, 12)) << 32;
            let (uid, gid) = (word(&bytes, 24), word(&bytes, 28));
            Inode { mode, uid, gid, size, word: word(&bytes, 16), layout, tail: at + 64 + attributes }
        } else {
            let (uid, gid) = (half(&bytes, 24).into(), half(&bytes, 26).into());
            let size = word(&bytes, 8).into();
            Inode { mode, uid, gid, size, word: word(&bytes, 16), layout, tail: at + 32 + attributes }
        };
        Ok(inode)
    }

    /// The contents of something that is never compressed.
    fn data(&self, inode: &Inode) -> Result<Vec<u8>> {
        ensure!(inode.size <= DATA_MAX, "a directory or link of {} bytes", inode.size);
        let mut bytes = vec![0; usize::try_from(inode.size)?];
        let start = u64::from(inode.word) * self.block;
        match inode.layout {
            // Plain: all in blocks.
            0 => self.file.read_exact_at(&mut bytes, start).context("data past the end")?,
            // Inline: the last part behind the inode.
            2 => {
                let whole = usize::try_from(inode.size / self.block * self.block)?;
                let (blocks, rest) = bytes.split_at_mut(whole);
                self.file.read_exact_at(blocks, start).context("data past the end")?;
                self.file.read_exact_at(rest, inode.tail).context("data past the end")?;
            }
            other => bail!("a directory or link of the layout {other}"),
        }
        Ok(bytes)
    }

    fn directory(
        &self,
        number: u64,
        path: &[u8],
        depth: usize,
        found: &mut Vec<(Member, u64)>,
    ) -> Result<()> {
        ensure!(depth < DEPTH_MAX, "directories too deep inside each other");
        let inode = self.inode(number)?;
        ensure!(inode.mode & 0o170_000 == 0o040_000, "a directory that is none");
        for block in self.data(&inode)?.chunks(usize::try_from(self.block)?) {
            for (name, number) in names(block)? {
                if name == b"." || name == b".." {
                    continue;
                }
                ensure!(found.len() < ENTRIES_MAX, "more than {ENTRIES_MAX} entries");
                let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
                let inode = self.inode(number)?;
                let kind = inode.mode & 0o170_000;
                let target = if kind == 0o120_000 { self.data(&inode)? } else { Vec::new() };
                // new_encode_dev() of the kernel.
                let device = (inode.word >> 8 & 0xfff, inode.word & 0xff | inode.word >> 12 & 0xf_ff00);
                let device = if matches!(kind, 0o020_000 | 0o060_000) { device } else { (0, 0) };
                let Inode { mode, uid, gid, size, .. } = inode;
                // A directory's own size is that of this format's tables.
                let size = if kind == 0o040_000 { 0 } else { size };
                found.push((Member { path: path.clone(), mode, uid, gid, size, target, device }, number));
                if kind == 0o040_000 {
                    self.directory(number, &path, depth + 1, found)?;
                }
            }
        }
        Ok(())
    }
}

/// The names of one block of a directory, with their inodes: fixed records first, then the names they point to.
fn names(block: &[u8]) -> Result<Vec<(&[u8], u64)>> {
    let offset = |at: usize| {
        let bytes = block.get(at * 12 + 8..at * 12 + 10)?;
        Some(usize::from(u16::from_le_bytes(bytes.try_into().ok()?)))
    };
    let parse = |at: usize, count: usize| {
        let number = u64::from_le_bytes(block.get(at * 12..at * 12 + 8)?.try_into().ok()?);
        let end = if at + 1 < count { offset(at + 1)? } else { block.len() };
        let name = block.get(offset(at)?..end)?;
        // The last one may be padded.
        Some((name.split(|byte| *byte == 0).next()?, number))
    };
    let first = offset(0).context("a broken directory")?;
    ensure!(first > 0 && first % 12 == 0, "a broken directory");
    let count = first / 12;
    (0..count).map(|at| parse(at, count).context("a broken directory")).collect()
}
