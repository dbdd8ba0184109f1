//! What goes into an image: a map from path to entry, gathered from the host or made up, before anything is written.
//!
//! Invariant: every path is relative, without empty, `.` or `..` components, and all its parents are directories.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{major, minor};

/// Where a regular file's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    /// Read when the image is written.
    Host(PathBuf),
}

/// A device by its major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Character(u32, u32),
    Block(u32, u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File(Content),
    Symlink(Vec<u8>),
    Device(Device),
    Fifo,
}

/// One entry: what it is, and its permission bits (with setuid, setgid and sticky).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub mode: u32,
}

/// The contents of an image.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    entries: BTreeMap<Vec<u8>, Entry>,
}

impl Tree {
    pub fn new() -> Tree {
        Tree::default()
    }

    /// Paths and entries, sorted by the bytes of the path: a directory comes before what is in it.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_slice(), entry))
    }

    pub fn contains(&self, path: impl AsRef<Path>) -> bool {
        normal(path.as_ref()).is_ok_and(|path| self.entries.contains_key(&path))
    }

    pub fn directory(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        self.insert(path.as_ref(), Entry { kind: Kind::Directory, mode })
    }

    pub fn file(&mut self, path: impl AsRef<Path>, mode: u32, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(path.as_ref(), Entry { kind: Kind::File(Content::Bytes(bytes.into())), mode })
    }

    /// A copy of the host's `source`, links followed; 0755 if anyone may execute it there, else 0644.
    pub fn copy(&mut self, path: impl AsRef<Path>, source: &Path) -> Result<()> {
        let metadata = source.metadata().with_context(|| format!("read {}", source.display()))?;
        ensure!(metadata.is_file(), "{} is not a regular file", source.display());
        let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        self.insert(path.as_ref(), Entry { kind: Kind::File(Content::Host(source.to_owned())), mode })
    }

    pub fn symlink(&mut self, path: impl AsRef<Path>, target: impl AsRef<OsStr>) -> Result<()> {
        let target = target.as_ref().as_bytes().to_vec();
        self.insert(path.as_ref(), Entry { kind: Kind::Symlink(target), mode: 0o777 })
    }

    pub fn device(&mut self, path: impl AsRef<Path>, mode: u32, device: Device) -> Result<()> {
        self.insert(path.as_ref(), Entry { kind: Kind::Device(device), mode })
    }

    /// All that lies below the host's directory `source`, with its modes, put below `path`. Links are copied as links.
    pub fn copy_tree(&mut self, path: impl AsRef<Path>, source: &Path) -> Result<()> {
        let path = path.as_ref();
        let listing = source.read_dir().with_context(|| format!("read {}", source.display()))?;
        for entry in listing {
            let entry = entry.with_context(|| format!("read {}", source.display()))?;
            let (from, to) = (entry.path(), path.join(entry.file_name()));
            let metadata = entry.metadata().with_context(|| format!("read {}", from.display()))?;
            let kind = kind_of(&from, &metadata)?;
            let descend = kind == Kind::Directory;
            let mode = if metadata.is_symlink() { 0o777 } else { metadata.permissions().mode() & 0o7777 };
            self.insert(&to, Entry { kind, mode })?;
            if descend {
                self.copy_tree(&to, &from)?;
            }
        }
        Ok(())
    }

    /// A later entry replaces an earlier one at the same path, as when two trees are laid over each other; but a
    /// directory only by a directory, since what is below it would lose its parent.
    fn insert(&mut self, path: &Path, entry: Entry) -> Result<()> {
        let path = normal(path)?;
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let parent = path[..at].to_vec();
            let name = String::from_utf8_lossy(&parent).into_owned();
            let parent = self.entries.entry(parent).or_insert(Entry { kind: Kind::Directory, mode: 0o755 });
            ensure!(parent.kind == Kind::Directory, "/{name} is not a directory");
        }
        if let Some(earlier) = self.entries.get(&path) {
            let agree = (earlier.kind == Kind::Directory) == (entry.kind == Kind::Directory);
            ensure!(agree, "/{} is a directory and something else", String::from_utf8_lossy(&path));
        }
        self.entries.insert(path, entry);
        Ok(())
    }
}

/// `path` as the archive stores it: from the root, without a leading slash.
fn normal(path: &Path) -> Result<Vec<u8>> {
    let mut relative = PathBuf::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => relative.push(name),
            _ => bail!("{} leads out of the image", path.display()),
        }
    }
    ensure!(!relative.as_os_str().is_empty(), "\"{}\" names nothing in the image", path.display());
    Ok(relative.into_os_string().into_vec())
}

fn kind_of(path: &Path, metadata: &Metadata) -> Result<Kind> {
    let kind = metadata.file_type();
    let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
    Ok(if kind.is_dir() {
        Kind::Directory
    } else if kind.is_file() {
        Kind::File(Content::Host(path.to_owned()))
    } else if kind.is_symlink() {
        let target = fs::read_link(path).with_context(|| format!("read {}", path.display()))?;
        Kind::Symlink(target.into_os_string().into_vec())
    } else if kind.is_char_device() {
        Kind::Device(Device::Character(major, minor))
    } else if kind.is_block_device() {
        Kind::Device(Device::Block(major, minor))
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        bail!("{} is a socket, which no image can hold", path.display())
    })
}
