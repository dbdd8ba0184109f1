//! Archives applied to a tree: the layers of an image, one over the other (OCI image-spec, layer.md), and the flat
//! archive that `docker export` writes.
//!
//! Names are resolved in the tree as it is at that moment, links inside it followed, as an engine does it in a chroot.
//! There is nothing else that they could reach.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use crate::archive::{self, Member, What};
use crate::content::Spool;
use crate::limits::{Budget, is_harmless};
use crate::tree::{Device, Entry, Kind, PATH_MAX, Tree, normal};

/// Which device nodes an archive may bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Devices {
    #[default]
    Harmless,
    Any,
}

/// What archives are unpacked with; one for all the layers of an image.
pub struct Unpacker<'a> {
    pub tree: Tree,
    pub spool: &'a mut Spool,
    pub budget: Budget,
    pub devices: Devices,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

impl Unpacker<'_> {
    /// A layer: its whiteouts hide what earlier layers brought.
    pub fn layer(&mut self, input: impl Read) -> Result<()> {
        let mut own = BTreeSet::new();
        // Hiding a second time changes nothing, but could cost a second look at every entry below.
        let mut hidden_once = BTreeSet::new();
        archive::read(input, |member, data| {
            let (folder, name) = split(&member.path);
            if !name.starts_with(WHITEOUT) {
                own.extend(self.apply(member, data)?);
                return Ok(());
            }
            self.budget.name(&member.path)?;
            let folder = self.tree.resolve(folder, true)?;
            if name == OPAQUE {
                if hidden_once.insert([&folder[..], b"/"].concat()) {
                    self.hide(self.tree.below(&folder), &own);
                }
                return Ok(());
            }
            let hidden = &name[WHITEOUT.len()..];
            // Marks of the file system aufs about itself.
            if hidden.starts_with(WHITEOUT) {
                return Ok(());
            }
            // ".wh..." would hide "..".
            ensure!(
                !matches!(hidden, b"" | b"." | b".."),
                "a whiteout of \"{}\"",
                String::from_utf8_lossy(hidden)
            );
            let path = normal(&[&folder[..], b"/", hidden].concat())?;
            if hidden_once.insert(path.clone()) {
                let mut paths = self.tree.below(&path);
                paths.push(path);
                self.hide(paths, &own);
            }
            Ok(())
        })
    }

    /// An archive without layers: a name that looks like a whiteout is a name.
    pub fn flat(&mut self, input: impl Read) -> Result<()> {
        archive::read(input, |member, data| self.apply(member, data).map(|_| ()))
    }

    /// Removes those paths that this layer did not bring itself, in whatever order it did (layer.md, "Whiteouts").
    fn hide(&mut self, paths: Vec<Vec<u8>>, own: &BTreeSet<Vec<u8>>) {
        let is_own = |path: &Vec<u8>| {
            let below = [&path[..], b"/"].concat();
            own.contains(path) || own.range(below.clone()..).next().is_some_and(|own| own.starts_with(&below))
        };
        for path in paths.into_iter().filter(|path| !is_own(path)) {
            // What was below it goes with it.
            self.tree.remove(&path);
        }
    }

    /// Puts one member into the tree, and returns where.
    fn apply(&mut self, member: Member, data: &mut dyn Read) -> Result<Option<Vec<u8>>> {
        let path = self.tree.resolve(&member.path, false)?;
        if path.is_empty() && member.what != What::Directory {
            bail!("the root as something else than a directory");
        }
        if let What::HardLink(target) = &member.what {
            self.budget.name(&path)?;
            let target = self.tree.resolve(target, false).context("its target")?;
            let found = self
                .tree
                .get(&target)
                .with_context(|| format!("a hard link to {}, which is not there", shown(&target)))?;
            ensure!(!found.is_directory(), "a hard link to the directory {}", shown(&target));
            let found = Arc::clone(found);
            // A link to itself, which a removal of what it replaces would lose.
            if target != path {
                self.tree.replace(&path, found)?;
            }
            return Ok(Some(path));
        }
        if member.what == What::File {
            self.budget.file(member.size)?;
        }
        let kind = match member.what {
            What::File => Kind::File(self.spool.take(data, member.size)?),
            What::Directory => Kind::Directory,
            What::Symlink(target) => {
                ensure!(
                    target.len() < PATH_MAX && !target.contains(&0),
                    "a symbolic link to what is no path"
                );
                Kind::Symlink(target)
            }
            What::Character(major, minor) => self.device(Device::Character(major, minor))?,
            What::Block(major, minor) => self.device(Device::Block(major, minor))?,
            What::Fifo => Kind::Fifo,
            What::HardLink(_) => return Ok(None),
        };
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { member.mode };
        let entry = Entry { kind, mode, uid: member.uid, gid: member.gid, xattrs: member.xattrs };
        self.budget.entry(&path, &entry)?;
        self.tree.replace(&path, Arc::new(entry))?;
        Ok(Some(path))
    }

    fn device(&self, device: Device) -> Result<Kind> {
        let (kind, major, minor) = match device {
            Device::Character(major, minor) => ("character", major, minor),
            Device::Block(major, minor) => ("block", major, minor),
        };
        ensure!(
            self.devices == Devices::Any || is_harmless(device),
            "the {kind} device {major}:{minor}, which could give the container the machine's hardware \
             (if it has to have it: devices = \"any\" in the recipe's bundle)"
        );
        ensure!(major < 1 << 12 && minor < 1 << 20, "the {kind} device {major}:{minor}, which no kernel has");
        Ok(Kind::Device(device))
    }
}

fn shown(path: &[u8]) -> String {
    crate::tree::Shown(path).to_string()
}

/// The folder and the last name of a path.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    let path = &path[..end];
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}
