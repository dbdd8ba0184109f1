//! What goes into an image: a map from path to entry, gathered or made up, before anything is written. Since nothing is
//! unpacked to a disk, owners, devices and extended attributes need no privilege, and no name can lead anywhere.
//!
//! Invariants: every path is relative, without empty, `.` or `..` components and without NUL; its parents are
//! directories of the tree; a path and its components have lengths that the kernel takes. Hard links are paths that
//! share an entry.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use crate::content::Content;

/// PATH_MAX and NAME_MAX of limits.h, the former with the NUL.
pub const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

/// MAXSYMLINKS of the kernel.
const LINKS_MAX: u32 = 40;

/// A device by its major and minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Character(u32, u32),
    Block(u32, u32),
}

#[derive(Clone, Debug)]
pub enum Kind {
    Directory,
    File(Content),
    Symlink(Vec<u8>),
    Device(Device),
    Fifo,
}

/// One entry: what it is, its permission bits (with setuid, setgid and sticky), owners and extended attributes.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Entry {
    /// One of root's.
    pub fn new(kind: Kind, mode: u32) -> Entry {
        Entry { kind, mode, uid: 0, gid: 0, xattrs: BTreeMap::new() }
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }

    /// Bytes of contents: a file's own, a link's target.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(content) => content.size(),
            Kind::Symlink(target) => target.len() as u64,
            Kind::Directory | Kind::Device(_) | Kind::Fifo => 0,
        }
    }
}

/// A path of the tree as messages show it.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    /// From the root, with what a terminal could take for commands escaped: names come from strangers.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("/")?;
        for character in String::from_utf8_lossy(self.0).chars() {
            match character {
                control if control.is_control() => write!(f, "{}", control.escape_default())?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

/// The contents of an image.
#[derive(Clone, Debug)]
pub struct Tree {
    root: Arc<Entry>,
    entries: BTreeMap<Vec<u8>, Arc<Entry>>,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { root: Arc::new(Entry::new(Kind::Directory, 0o755)), entries: BTreeMap::new() }
    }
}

impl Tree {
    pub fn new() -> Tree {
        Tree::default()
    }

    /// The root directory itself.
    pub fn root(&self) -> &Entry {
        &self.root
    }

    /// # Errors
    /// Where `entry` is no directory.
    pub fn set_root(&mut self, entry: Entry) -> Result<()> {
        ensure!(entry.is_directory(), "/ is not a directory");
        self.root = Arc::new(entry);
        Ok(())
    }

    /// Paths and entries without the root, sorted by the bytes of the path: a directory comes before what is in it.
    /// Hard links have the same `Arc`.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], &Arc<Entry>)> {
        self.entries.iter().map(|(path, entry)| (path.as_slice(), entry))
    }

    pub fn get(&self, path: impl AsRef<[u8]>) -> Option<&Arc<Entry>> {
        let path = path.as_ref();
        if path.is_empty() { Some(&self.root) } else { self.entries.get(path) }
    }

    pub fn contains(&self, path: impl AsRef<Path>) -> bool {
        normal(path.as_ref().as_os_str().as_bytes()).is_ok_and(|path| self.get(path).is_some())
    }

    pub fn directory(&mut self, path: impl AsRef<Path>, mode: u32) -> Result<()> {
        self.insert(path.as_ref(), Entry::new(Kind::Directory, mode))
    }

    pub fn file(&mut self, path: impl AsRef<Path>, mode: u32, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(path.as_ref(), Entry::new(Kind::File(Content::from(bytes.into())), mode))
    }

    pub fn symlink(&mut self, path: impl AsRef<Path>, target: impl AsRef<OsStr>) -> Result<()> {
        let target = target.as_ref().as_bytes().to_vec();
        self.insert(path.as_ref(), Entry::new(Kind::Symlink(target), 0o777))
    }

    pub fn device(&mut self, path: impl AsRef<Path>, mode: u32, device: Device) -> Result<()> {
        self.insert(path.as_ref(), Entry::new(Kind::Device(device), mode))
    }

    /// Puts `entry` at `path`, with parents as needed. A later entry replaces an earlier one at the same path, as when
    /// two trees are laid over each other; but a directory only by a directory, since what is below it would lose its
    /// parent, and links among the parents are not followed.
    pub fn insert(&mut self, path: &Path, entry: Entry) -> Result<()> {
        self.insert_shared(path, Arc::new(entry))
    }

    /// [`Tree::insert`] of an entry that has other names.
    pub fn insert_shared(&mut self, path: &Path, entry: Arc<Entry>) -> Result<()> {
        let path = normal(path.as_os_str().as_bytes())?;
        ensure!(!path.is_empty(), "\"/\" names nothing in the image");
        for parent in parents(&path) {
            match self.entries.get(parent) {
                Some(found) => ensure!(found.is_directory(), "{} is not a directory", Shown(parent)),
                None => {
                    let made = Entry::new(Kind::Directory, 0o755);
                    self.entries.insert(parent.to_vec(), Arc::new(made));
                }
            }
        }
        if let Some(earlier) = self.entries.get(&path) {
            let agree = earlier.is_directory() == entry.is_directory();
            ensure!(agree, "{} is a directory and something else", Shown(&path));
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// Lays all of `other`, its root too, over what is at and below `path`.
    pub fn graft(&mut self, path: &Path, other: &Tree) -> Result<()> {
        self.insert_shared(path, Arc::clone(&other.root))?;
        for (below, entry) in other.entries() {
            self.insert_shared(&path.join(OsStr::from_bytes(below)), Arc::clone(entry))?;
        }
        Ok(())
    }

    /// Puts `entry` at `path`, which [`Tree::resolve`] gave, in the place of whatever is there. Only a directory that
    /// replaces a directory leaves what is below it. Parents that are missing are made.
    ///
    /// # Errors
    /// Where a parent is there and not a directory.
    pub fn replace(&mut self, path: &[u8], entry: Arc<Entry>) -> Result<()> {
        if path.is_empty() {
            ensure!(entry.is_directory(), "/ is not a directory");
            self.root = entry;
            return Ok(());
        }
        if !entry.is_directory() {
            self.remove(path);
        } else if self.entries.get(path).is_some_and(|earlier| !earlier.is_directory()) {
            self.entries.remove(path);
        }
        self.insert_shared(Path::new(OsStr::from_bytes(path)), entry)
    }

    /// Removes `path` and all that is below it; whether it was there.
    pub fn remove(&mut self, path: &[u8]) -> bool {
        for below in self.below(path) {
            self.entries.remove(&below);
        }
        self.entries.remove(path).is_some()
    }

    /// The paths below `path`, which is not among them.
    pub fn below(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let prefix = if path.is_empty() { Vec::new() } else { [path, b"/"].concat() };
        let from = self.entries.range(prefix.clone()..);
        from.map(|(path, _)| path).take_while(|path| path.starts_with(&prefix)).cloned().collect()
    }

    /// Where `path` leads as chroot(2) would see it: links among the parents are followed inside the tree, and that at
    /// the end as well if `last`. Components that are not there stay as they are. `..` stops at the root, but only in
    /// targets of links; in `path` itself it is an error.
    ///
    /// # Errors
    /// For a path that the tree can't hold, too many links, and a parent that is neither link nor directory.
    pub fn resolve(&self, path: &[u8], last: bool) -> Result<Vec<u8>> {
        let given = normal(path)?;
        let mut rest: Vec<Vec<u8>> = components(&given).rev().map(<[u8]>::to_vec).collect();
        let mut found: Vec<u8> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    found.truncate(found.iter().rposition(|byte| *byte == b'/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let at = if found.is_empty() { name } else { [&found[..], b"/", &name].concat() };
            match self.entries.get(&at).map(|entry| &entry.kind) {
                Some(Kind::Symlink(target)) if last || !rest.is_empty() => {
                    links += 1;
                    ensure!(links <= LINKS_MAX, "{}: too many symbolic links", Shown(&given));
                    if target.starts_with(b"/") {
                        found.clear();
                    }
                    rest.extend(components(target).rev().map(<[u8]>::to_vec));
                }
                Some(Kind::Directory) | None => found = at,
                Some(_) if rest.iter().all(|name| name.is_empty()) => found = at,
                Some(_) => bail!("{} is not a directory", Shown(&at)),
            }
        }
        normal(&found)
    }

    /// What `path` leads to, links followed.
    pub fn lookup(&self, path: &[u8]) -> Option<&Entry> {
        self.get(self.resolve(path, true).ok()?).map(Arc::as_ref)
    }

    /// The contents of the regular file that `path` leads to, up to `limit` bytes; `None` where there is none.
    pub fn read(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(Kind::File(content)) = self.lookup(path).map(|entry| &entry.kind) else { return Ok(None) };
        let normal = normal(path)?;
        ensure!(content.size() <= limit, "{} has more than {limit} bytes", Shown(&normal));
        let mut bytes = Vec::new();
        content.copy(&mut bytes).with_context(|| Shown(&normal).to_string())?;
        Ok(Some(bytes))
    }
}

/// The parents of a path of the tree, from the root down, the root left out.
fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').filter_map(|(at, _)| path.get(..at))
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

/// `path` as the tree stores it: from the root, without slashes at its ends. Empty for the root.
///
/// # Errors
/// For `..`, NUL, and what is longer than the kernel takes.
pub fn normal(path: &[u8]) -> Result<Vec<u8>> {
    let shown = || Shown(path.strip_prefix(b"/").unwrap_or(path)).to_string();
    let mut normal = Vec::with_capacity(path.len());
    for component in components(path) {
        match component {
            b"" | b"." => continue,
            b".." => bail!("\"{}\" leads out of the image", String::from_utf8_lossy(path).escape_debug()),
            _ => {}
        }
        ensure!(!component.contains(&0), "{} has a NUL in its name", shown());
        ensure!(component.len() <= NAME_MAX, "{} has a name of more than {NAME_MAX} bytes", shown());
        if !normal.is_empty() {
            normal.push(b'/');
        }
        normal.extend_from_slice(component);
    }
    ensure!(normal.len() < PATH_MAX, "a path of more than {} bytes: {}", PATH_MAX - 1, shown());
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(tree: &Tree, path: &str) -> String {
        String::from_utf8(tree.resolve(path.as_bytes(), true).unwrap()).unwrap()
    }

    #[test]
    fn links_are_followed_inside_the_tree() {
        let mut tree = Tree::new();
        tree.directory("usr/bin", 0o755).unwrap();
        for (path, target) in [
            ("bin", "usr/bin"),
            ("absolute", "/usr/bin"),
            ("up", "../../../../usr"),
            ("usr/out", "../../../etc"),
            ("loop", "loop"),
            ("a", "b/x"),
            ("b", "a/y"),
        ] {
            tree.symlink(path, target).unwrap();
        }
        assert_eq!(resolve(&tree, "/bin/sh"), "usr/bin/sh");
        assert_eq!(resolve(&tree, "absolute/"), "usr/bin");
        assert_eq!(resolve(&tree, "up/bin/x"), "usr/bin/x");
        assert_eq!(resolve(&tree, "usr/out/passwd"), "etc/passwd");
        assert_eq!(tree.resolve(b"bin", false).unwrap(), b"bin");
        for looping in ["loop", "a"] {
            let text = tree.resolve(looping.as_bytes(), true).unwrap_err().to_string();
            assert_eq!(text, format!("/{looping}: too many symbolic links"));
        }
        tree.file("usr/file", 0o644, "").unwrap();
        let text = tree.resolve(b"usr/file/below", true).unwrap_err().to_string();
        assert_eq!(text, "/usr/file is not a directory");
        assert!(tree.resolve(b"usr/../etc", true).is_err());
    }

    #[test]
    fn a_replaced_directory_takes_what_is_below_it_along() {
        let mut tree = Tree::new();
        for path in ["a/b/c", "a-b", "a.b"] {
            tree.file(path, 0o644, "").unwrap();
        }
        tree.replace(b"a", Arc::new(Entry::new(Kind::Directory, 0o700))).unwrap();
        assert!(tree.contains("a/b/c"));
        tree.replace(b"a", Arc::new(Entry::new(Kind::Fifo, 0o600))).unwrap();
        let left: Vec<_> = tree.entries().map(|(path, _)| String::from_utf8_lossy(path)).collect();
        assert_eq!(left, ["a", "a-b", "a.b"]);
    }

    #[test]
    fn names_that_the_kernel_does_not_take_are_refused() {
        let long = "x".repeat(NAME_MAX);
        assert!(normal(long.as_bytes()).is_ok());
        assert!(normal(format!("{long}x").as_bytes()).is_err());
        let deep = "x/".repeat(PATH_MAX / 2 - 1);
        assert!(normal(format!("{deep}x").as_bytes()).is_ok());
        assert!(normal(format!("{deep}x/y").as_bytes()).is_err());
        assert!(normal(b"a\0b").is_err());
        assert_eq!(normal(b"//a/./b/").unwrap(), b"a/b");
        assert_eq!(Shown(b"a\x1b[2J\n").to_string(), r"/a\u{1b}[2J\n");
    }
}
