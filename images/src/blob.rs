//! Blobs of an OCI layout: found by digest, and read through a hash, so that what was parsed is what was named.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256, Sha512};

/// The most that an index, a manifest or a config may have; registries take no larger ones.
const DOCUMENT_MAX: u64 = 4 << 20;

/// A digest whose form was checked (OCI image-spec, descriptor.md, "Digests"): nothing in it can lead out of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Digest {
    pub fn parse(text: &str) -> Result<Digest> {
        let form = || format!("\"{}\" is not a digest", text.escape_debug());
        let (name, hex) = text.split_once(':').with_context(form)?;
        let (algorithm, length) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha512" => (Algorithm::Sha512, 128),
            _ => bail!("{}: its algorithm is neither sha256 nor sha512", form()),
        };
        let valid = hex.len() == length && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        ensure!(valid, "{}", form());
        Ok(Digest { algorithm, hex: hex.to_owned() })
    }

    fn name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// For messages: enough to find it again.
    pub fn short(&self) -> String {
        format!("{}:{}", self.name(), self.hex.get(..12).unwrap_or(&self.hex))
    }

    fn path(&self, layout: &Path) -> PathBuf {
        layout.join("blobs").join(self.name()).join(&self.hex)
    }
}

/// A running hash of what is read.
pub struct Hashing<R> {
    input: R,
    hash: Hash,
    pub length: u64,
}

enum Hash {
    Sha256(Box<Sha256>),
    Sha512(Box<Sha512>),
}

impl<R: Read> Hashing<R> {
    /// For a comparison with `digest` at the end.
    pub fn new(input: R, digest: &Digest) -> Hashing<R> {
        let hash = match digest.algorithm {
            Algorithm::Sha256 => Hash::Sha256(Box::default()),
            Algorithm::Sha512 => Hash::Sha512(Box::default()),
        };
        Hashing { input, hash, length: 0 }
    }

    /// Reads what is left, and compares.
    pub fn finish(mut self, digest: &Digest) -> Result<()> {
        io::copy(&mut self, &mut io::sink())?;
        let found = match self.hash {
            Hash::Sha256(hash) => hex(&hash.finalize()),
            Hash::Sha512(hash) => hex(&hash.finalize()),
        };
        ensure!(found == digest.hex, "its contents have another digest, {}:{found}", digest.name());
        Ok(())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(bytes),
            Hash::Sha512(hash) => hash.update(bytes),
        }
        self.length += read as u64;
        Ok(read)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An open blob of the size that its descriptor says, to be read once. Nothing of it counts until [`Blob::finish`].
pub struct Blob {
    digest: Digest,
    input: Hashing<File>,
}

impl Blob {
    /// The blob of a layout that a descriptor names.
    pub fn open(layout: &Path, digest: &Digest, size: u64) -> Result<Blob> {
        let path = digest.path(layout);
        let file = regular(&path).with_context(|| format!("open the blob {}", path.display()))?;
        let actual = file.metadata()?.len();
        ensure!(actual == size, "the blob {} has {actual} bytes, not the {size} promised", digest.short());
        Ok(Blob { input: Hashing::new(file, digest), digest: digest.clone() })
    }

    /// Fails unless the whole of it, read or not, is what its digest says.
    pub fn finish(self) -> Result<()> {
        let short = self.digest.short();
        self.input.finish(&self.digest).with_context(|| format!("the blob {short}"))
    }

    /// All of a document.
    pub fn document(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.by_ref().take(DOCUMENT_MAX + 1).read_to_end(&mut bytes)?;
        ensure!(read as u64 <= DOCUMENT_MAX, "{}: more than {DOCUMENT_MAX} bytes", self.digest.short());
        self.finish()?;
        Ok(bytes)
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

/// A regular file; a FIFO in its place does not block, a device is not read.
pub fn regular(path: &Path) -> Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    ensure!(file.metadata()?.is_file(), "not a regular file");
    Ok(file)
}

/// A document that no digest names: index.json, oci-layout.
pub fn document(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = regular(path).with_context(|| format!("open {}", path.display()))?;
    let read = file.take(DOCUMENT_MAX + 1).read_to_end(&mut bytes)?;
    ensure!(read as u64 <= DOCUMENT_MAX, "{} has more than {DOCUMENT_MAX} bytes", path.display());
    Ok(bytes)
}

/// The bytes behind `input`, unpacked if they begin like gzip or zstd: what a layer's media type says about it is wrong
/// often enough that the engines look, too, and the digest of the unpacked bytes tells in the end.
pub fn unpacked<'a>(input: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    let mut input = BufReader::with_capacity(128 << 10, input);
    let start = input.fill_buf().context("read")?;
    Ok(if start.starts_with(&[0x1f, 0x8b]) {
        // Several members in a row are usual: they make layers that can be read in parts.
        Box::new(flate2::bufread::MultiGzDecoder::new(input))
    } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_skippable(start) {
        Box::new(zstd::stream::read::Decoder::with_buffer(input)?)
    } else {
        Box::new(input)
    })
}

/// A skippable frame of zstd (RFC 8878, 3.1.2), as zstd:chunked layers may begin with.
fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Fails once more than `left` bytes were read: a small archive must not unpack without end.
pub struct Bounded<'a, R> {
    pub input: R,
    pub left: &'a mut u64,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        *self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("unpacks to more than limits.total allows"))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_hexadecimal_and_of_its_length() {
        let good = format!("sha256:{}", "a1".repeat(32));
        assert_eq!(
            Digest::parse(&good).unwrap().path(Path::new("l")),
            Path::new("l/blobs/sha256").join("a1".repeat(32))
        );
        for bad in [
            "sha256:../../../../../../../../etc/passwd".to_owned(),
            format!("sha256:{}", "A1".repeat(32)),
            format!("sha256:{}/", "a1".repeat(31)),
            format!("sha256:{}", "a1".repeat(31)),
            format!("../sha256:{}", "a1".repeat(32)),
            format!("md5:{}", "a1".repeat(16)),
            String::new(),
        ] {
            assert!(Digest::parse(&bad).is_err(), "{bad}");
        }
    }
}
