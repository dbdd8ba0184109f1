//! Files and directories of the host into a tree. Owners are root's unless they are asked for: whose files they are on
//! this machine is no business of the image.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{lgetxattr, llistxattr, major, minor};

use crate::content::Content;
use crate::limits::Budget;
use crate::tree::{Device, Entry, Kind, Tree};

/// What of the host's view of its files is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owners {
    #[default]
    Root,
    Keep,
}

impl Tree {
    /// A copy of the host's `source`, links followed; 0755 if anyone may execute it there, else 0644.
    pub fn copy(&mut self, path: impl AsRef<Path>, source: &Path) -> Result<()> {
        let shown = || format!("read {}", source.display());
        let source = source.canonicalize().with_context(shown)?;
        let metadata = source.metadata().with_context(shown)?;
        ensure!(metadata.is_file(), "{} is not a regular file", source.display());
        let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        let kind = Kind::File(Content::Host { path: source, size: metadata.len() });
        self.insert(path.as_ref(), Entry::new(kind, mode))
    }

    /// All that lies below the host's directory `source`, with its modes, put below `path`. Links are copied as links,
    /// hard links stay such, and the directory itself is the one at `path`.
    pub fn copy_tree(&mut self, path: impl AsRef<Path>, source: &Path) -> Result<()> {
        let tree = from_directory(source, Owners::Root, &mut Budget::unlimited())?;
        for (below, entry) in tree.entries() {
            self.insert_shared(&path.as_ref().join(OsStr::from_bytes(below)), Arc::clone(entry))?;
        }
        Ok(())
    }
}

/// The tree that lies in the host's directory `source`.
pub fn from_directory(source: &Path, owners: Owners, budget: &mut Budget) -> Result<Tree> {
    let mut tree = Tree::new();
    let metadata = source.metadata().with_context(|| format!("read {}", source.display()))?;
    ensure!(metadata.is_dir(), "{} is not a directory", source.display());
    tree.set_root(entry(source, Kind::Directory, &metadata, owners)?)?;
    let mut walk = Walk { tree, owners, budget, links: HashMap::new() };
    walk.directory(Path::new(""), source)?;
    Ok(walk.tree)
}

struct Walk<'a> {
    tree: Tree,
    owners: Owners,
    budget: &'a mut Budget,
    /// Files with several names, by device and inode.
    links: HashMap<(u64, u64), Arc<Entry>>,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, source: &Path) -> Result<()> {
        let listing = source.read_dir().with_context(|| format!("read {}", source.display()))?;
        for found in listing {
            let found = found.with_context(|| format!("read {}", source.display()))?;
            let (from, to) = (found.path(), path.join(found.file_name()));
            let metadata = found.metadata().with_context(|| format!("read {}", from.display()))?;
            let identity = (metadata.dev(), metadata.ino());
            if let Some(first) = self.links.get(&identity) {
                self.tree.insert_shared(&to, Arc::clone(first))?;
                continue;
            }
            let made = entry(&from, kind_of(&from, &metadata)?, &metadata, self.owners)?;
            self.budget
                .entry(to.as_os_str().as_bytes(), &made)
                .with_context(|| from.display().to_string())?;
            let made = Arc::new(made);
            if !made.is_directory() && metadata.nlink() > 1 {
                self.links.insert(identity, Arc::clone(&made));
            }
            let descend = made.is_directory();
            self.tree.insert_shared(&to, made)?;
            if descend {
                self.directory(&to, &from)?;
            }
        }
        Ok(())
    }
}

fn entry(path: &Path, kind: Kind, metadata: &Metadata, owners: Owners) -> Result<Entry> {
    let mode = if metadata.is_symlink() { 0o777 } else { metadata.permissions().mode() & 0o7777 };
    let mut entry = Entry::new(kind, mode);
    if owners == Owners::Keep {
        (entry.uid, entry.gid) = (metadata.uid(), metadata.gid());
    }
    let mut list = vec![0; 64 << 10];
    let length = match llistxattr(path, &mut list[..]) {
        Ok(length) => length,
        // A file system without them.
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(errno) => {
            return Err(errno).with_context(|| format!("list the attributes of {}", path.display()));
        }
    };
    for name in list[..length].split(|byte| *byte == 0) {
        // Labels and caches of this machine's own (security.selinux, trusted.overlay.*, ...) stay here.
        if name.starts_with(b"user.") || name == b"security.capability" {
            let mut value = vec![0; 64 << 10];
            let length = lgetxattr(path, OsStr::from_bytes(name), &mut value[..])
                .with_context(|| format!("read an attribute of {}", path.display()))?;
            value.truncate(length);
            entry.xattrs.insert(name.to_vec(), value);
        }
    }
    Ok(entry)
}

fn kind_of(path: &Path, metadata: &Metadata) -> Result<Kind> {
    let kind = metadata.file_type();
    let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
    Ok(if kind.is_dir() {
        Kind::Directory
    } else if kind.is_file() {
        Kind::File(Content::Host { path: path.to_owned(), size: metadata.len() })
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
