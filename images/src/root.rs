//! A tree into a read-only root image, by the distribution's own tools: mksquashfs fed through a pipe, mkfs.erofs from a
//! folder that is staged for it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, XattrFlags, chownat, fsetxattr, linkat,
    makedev, mkdirat, mknodat, openat2, symlinkat,
};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::pack::{Written, complete, epoch};
use crate::tree::{Device, Entry, Kind, Tree};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Squashfs { compression: &'static str },
    Erofs { compression: Option<&'static str> },
}

impl Format {
    /// The kernel's name for the file system.
    pub fn name(self) -> &'static str {
        match self {
            Format::Squashfs { .. } => "squashfs",
            Format::Erofs { .. } => "erofs",
        }
    }

    pub fn compression(self) -> &'static str {
        match self {
            Format::Squashfs { compression } => compression,
            Format::Erofs { compression } => compression.unwrap_or("not compressed"),
        }
    }
}

/// Writes `tree` as an image of `format`, with owners, devices, hard links and extended attributes.
pub fn write(tree: &Tree, output: &Path, format: Format, progress: &dyn Fn(u64)) -> Result<Written> {
    let epoch = epoch()?;
    complete(output, |path| {
        // mksquashfs would add to an image that is there.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        match format {
            Format::Squashfs { compression } => squashfs(tree, path, compression, epoch, progress),
            Format::Erofs { compression } => erofs(tree, output, path, compression, epoch, progress),
        }
    })
}

fn start(command: &mut Command, package: &str) -> Result<std::process::Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    // Some of it lies where only root's PATH leads.
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    // Its own view of the clock would be a second opinion.
    command.env_remove("SOURCE_DATE_EPOCH");
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let started = command.spawn();
    started.with_context(|| format!("run {program} (on Debian: apt-get install {package})"))
}

fn finish(child: std::process::Child, program: &str, fed: Result<()>) -> Result<()> {
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let said = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing");
        bail!("{program} ended with {}, saying: {said}", output.status);
    }
    fed
}

fn squashfs(tree: &Tree, path: &Path, compression: &str, epoch: u32, progress: &dyn Fn(u64)) -> Result<()> {
    let mut command = Command::new("mksquashfs");
    command.arg("-").arg(path).args(["-tar", "-noappend", "-quiet", "-no-progress", "-comp", compression]);
    // What an archive says about its root is not taken.
    let top = tree.root();
    command.args(["-root-mode", &format!("{:o}", top.mode)]);
    command.args(["-root-uid", &top.uid.to_string(), "-root-gid", &top.gid.to_string()]);
    command.args(["-mkfs-time", &epoch.to_string(), "-all-time", &epoch.to_string(), "-xattrs"]);
    let mut child = start(command.stdin(Stdio::piped()), "squashfs-tools")?;
    let input = child.stdin.take().context("no pipe")?;
    let fed = archive(tree, input, progress);
    finish(child, "mksquashfs", fed)
}

/// The tree as an archive that mksquashfs reads. What does not fit a plain header goes into extended ones (pax(1)).
fn archive(tree: &Tree, output: impl Write, progress: &dyn Fn(u64)) -> Result<()> {
    let mut builder = Builder::new(std::io::BufWriter::new(output));
    let mut names: HashMap<*const Entry, &[u8]> = HashMap::new();
    member(&mut builder, b"./", tree.root(), None)?;
    for (path, entry) in tree.entries() {
        let first = names.get(&Arc::as_ptr(entry)).copied();
        member(&mut builder, path, entry, first).with_context(|| crate::tree::Shown(path).to_string())?;
        names.entry(Arc::as_ptr(entry)).or_insert(path);
        progress(entry.size());
    }
    builder.into_inner()?.flush()?;
    Ok(())
}

/// One entry, or a hard link to the earlier path `first`.
fn member(builder: &mut Builder<impl Write>, path: &[u8], entry: &Entry, first: Option<&[u8]>) -> Result<()> {
    let mut header = Header::new_ustar();
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    let mut link: &[u8] = first.unwrap_or_default();
    let kind = match (&entry.kind, first) {
        (Kind::Directory, _) => EntryType::Directory,
        (_, Some(_)) => EntryType::Link,
        (Kind::File(_), _) => EntryType::Regular,
        (Kind::Symlink(target), _) => {
            link = target;
            EntryType::Symlink
        }
        (Kind::Device(Device::Character(..)), _) => EntryType::Char,
        (Kind::Device(Device::Block(..)), _) => EntryType::Block,
        (Kind::Fifo, _) => EntryType::Fifo,
    };
    header.set_entry_type(kind);
    if let Kind::Device(Device::Character(major, minor) | Device::Block(major, minor)) = entry.kind {
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
    }
    header.set_mode(entry.mode);
    header.set_mtime(0);
    for (id, name) in [(entry.uid, "uid"), (entry.gid, "gid")] {
        // Seven octal digits.
        let small = if id < 1 << 21 { id } else { 0 };
        if name == "uid" {
            header.set_uid(small.into())
        } else {
            header.set_gid(small.into())
        }
        if small != id {
            records.push((name.to_owned(), id.to_string().into_bytes()));
        }
    }
    let ustar = header.as_ustar_mut().context("a header of another kind")?;
    for (bytes, field, key) in [(path, &mut ustar.name, "path"), (link, &mut ustar.linkname, "linkpath")] {
        // A full field has no NUL at its end, which not every reader takes.
        let fits = bytes.len() < field.len();
        let part = bytes.get(..bytes.len().min(field.len() - 1)).unwrap_or_default();
        if let Some(place) = field.get_mut(..part.len()) {
            place.copy_from_slice(part);
        }
        if !fits {
            records.push((key.to_owned(), bytes.to_vec()));
        }
    }
    if first.is_none() {
        for (name, value) in &entry.xattrs {
            let name = std::str::from_utf8(name).context("an attribute whose name is not UTF-8")?;
            records.push((format!("SCHILY.xattr.{name}"), value.clone()));
        }
    }
    if !records.is_empty() {
        builder.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), &value[..])))?;
    }
    match (&entry.kind, first) {
        (Kind::File(content), None) => {
            header.set_size(content.size());
            ensure!(content.size() < 1 << 33, "larger than 8 GiB");
            header.set_cksum();
            let output = builder.get_mut();
            output.write_all(header.as_bytes())?;
            content.copy(output)?;
            let missing = content.size().next_multiple_of(512) - content.size();
            output.write_all(&vec![0; usize::try_from(missing)?])?;
        }
        _ => {
            header.set_size(0);
            header.set_cksum();
            builder.get_mut().write_all(header.as_bytes())?;
        }
    }
    Ok(())
}

fn erofs(
    tree: &Tree,
    output: &Path,
    path: &Path,
    compression: Option<&str>,
    epoch: u32,
    progress: &dyn Fn(u64),
) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "mkfs.erofs packs a folder, and only root can make one with owners and devices (squashfs needs no root)"
    );
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Nobody else can get into it, so what is in it stays as it was made.
    let staged =
        tempfile::Builder::new().prefix(".erofs").tempdir_in(folder).context("make a folder to stage in")?;
    let root = staged.path().join("root");
    stage(tree, &root, progress)?;
    let mut command = Command::new("mkfs.erofs");
    command.args(["--quiet", &format!("-T{epoch}"), &format!("-U{}", uuid(output))]);
    command.args(compression.map(|name| format!("-z{name}")));
    let child = start(command.arg(path).arg(&root), "erofs-utils")?;
    finish(child, "mkfs.erofs", Ok(()))
}

/// One that a file of this name always gets: a random one would make every image another.
fn uuid(output: &Path) -> String {
    let name = output.file_name().unwrap_or_default();
    let hash = Sha256::digest(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    // RFC 9562: version 8, variant 0b10.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = crate::blob::hex(&bytes);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Makes `tree` on disk. The tree has no path through a link, and no call here would follow one: two reasons, since what
/// is written comes from strangers and is written as root.
fn stage(tree: &Tree, root: &Path, progress: &dyn Fn(u64)) -> Result<()> {
    std::fs::create_dir(root)?;
    let top = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    let mut names: HashMap<*const Entry, &[u8]> = HashMap::new();
    for (path, entry) in tree.entries() {
        let first = names.get(&Arc::as_ptr(entry)).copied();
        stage_one(top.as_fd(), path, entry, first)
            .with_context(|| format!("stage {}", crate::tree::Shown(path)))?;
        names.entry(Arc::as_ptr(entry)).or_insert(path);
        progress(entry.size());
    }
    // Last, since a directory without its write permission takes no entries from others than root.
    let metadata = tree.root();
    own(CWD, root.as_os_str().as_bytes(), metadata)?;
    attributes(&rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?, metadata)
}

fn open_below(top: BorrowedFd, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    Ok(openat2(top, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

fn stage_one(top: BorrowedFd, path: &[u8], entry: &Entry, first: Option<&[u8]>) -> Result<()> {
    let split = |path: &'_ [u8]| path.iter().rposition(|byte| *byte == b'/');
    let (parent, name) = match split(path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&b""[..], path),
    };
    let parent = open_below(top, parent, OFlags::PATH | OFlags::DIRECTORY)?;
    if let (Some(first), false) = (first, entry.is_directory()) {
        let (folder, old) = split(first).map_or((&b""[..], first), |at| (&first[..at], &first[at + 1..]));
        let folder = open_below(top, folder, OFlags::PATH | OFlags::DIRECTORY)?;
        return Ok(linkat(folder, old, &parent, name, AtFlags::empty())?);
    }
    let private = Mode::from_raw_mode(0o600);
    match &entry.kind {
        Kind::Directory => mkdirat(&parent, name, Mode::from_raw_mode(0o700))?,
        Kind::File(content) => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::openat(&parent, name, flags, private)?);
            content.copy(&mut file)?;
        }
        Kind::Symlink(target) => symlinkat(&target[..], &parent, name)?,
        Kind::Device(device) => {
            let (kind, major, minor) = match *device {
                Device::Character(major, minor) => (FileType::CharacterDevice, major, minor),
                Device::Block(major, minor) => (FileType::BlockDevice, major, minor),
            };
            mknodat(&parent, name, kind, private, makedev(major, minor))?;
        }
        Kind::Fifo => mknodat(&parent, name, FileType::Fifo, private, 0)?,
    }
    own(parent.as_fd(), name, entry)?;
    if !entry.xattrs.is_empty() {
        ensure!(
            matches!(entry.kind, Kind::File(_) | Kind::Directory),
            "extended attributes of what is neither file nor directory: mkfs.erofs can't be given them"
        );
        attributes(&open_below(top, path, OFlags::RDONLY | OFlags::NOFOLLOW)?, entry)?;
    }
    Ok(())
}

fn own(parent: BorrowedFd, name: &[u8], entry: &Entry) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    // After the owner, which takes setuid and setgid away. A link has no mode.
    if !matches!(entry.kind, Kind::Symlink(_)) {
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
    }
    Ok(())
}

fn attributes(file: &OwnedFd, entry: &Entry) -> Result<()> {
    for (name, value) in &entry.xattrs {
        let shown = || format!("attribute {}", String::from_utf8_lossy(name).escape_debug());
        fsetxattr(file, &name[..], value, XattrFlags::empty()).with_context(shown)?;
    }
    Ok(())
}
