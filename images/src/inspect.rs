//! What is in a finished image: an initramfs of anybody's making, or a root image.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::assemble::SETTINGS;
use crate::limits::Limits;
use crate::tree::Shown;
use crate::{blob, cpio, cpio_read, erofs};

/// A hostile archive could otherwise fill the memory with names.
const ENTRIES_MAX: usize = 4_000_000;

/// One line of the listing.
struct Line<'a> {
    path: &'a [u8],
    /// With the file's type.
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    device: (u32, u32),
    target: &'a [u8],
}

/// Lists the image in the file `path`.
pub fn inspect(path: &Path) -> Result<String> {
    let file = blob::regular(path).with_context(|| format!("open {}", path.display()))?;
    let size = file.metadata()?.len();
    let mut start = [0; 4];
    // A file too short for this is too short for anything.
    file.read_exact_at(&mut start, 0).with_context(|| format!("{} is empty", path.display()))?;
    let mut erofs = [0; 4];
    let erofs =
        file.read_exact_at(&mut erofs, erofs::SUPERBLOCK).is_ok() && erofs == erofs::MAGIC.to_le_bytes();
    let listed = if start == *b"hsqs" {
        squashfs(path, size)
    } else if erofs {
        listing_of_erofs(&file, size)
    } else {
        initramfs(file, size)
    };
    listed.with_context(|| path.display().to_string())
}

fn initramfs(file: File, size: u64) -> Result<String> {
    let mut settings = None;
    let mut members = Vec::new();
    // Of several names for a file, only the last one comes with the contents.
    let mut linked = std::collections::HashMap::new();
    let found = cpio_read::read(file, Limits::default().total, &mut |member, data| {
        ensure!(members.len() < ENTRIES_MAX, "more than {ENTRIES_MAX} entries");
        let mut target = Vec::new();
        if member.mode & 0o170_000 == cpio::SYMLINK {
            data.take(crate::tree::PATH_MAX as u64).read_to_end(&mut target)?;
        } else if member.name == SETTINGS.as_bytes() {
            let mut bytes = Vec::new();
            data.take(1 << 20).read_to_end(&mut bytes)?;
            settings = Some(bytes);
        }
        if member.links > 1 && member.size > 0 {
            linked.insert(member.inode, member.size);
        }
        members.push((member, target));
        Ok(())
    })?;
    let mut text = String::new();
    let entries = members.len();
    for (member, target) in &members {
        let cpio_read::Member { name, mode, uid, gid, device, .. } = member;
        let (mode, uid, gid, device) = (*mode, *uid, *gid, *device);
        let size = match member.links {
            0 | 1 => member.size,
            _ => linked.get(&member.inode).copied().unwrap_or(member.size),
        };
        line(&mut text, &Line { path: name, mode, uid, gid, size, device, target });
    }
    let kind = format!("initramfs, {}", found.compressions.join(" then "));
    let head = format!("{kind}: {size} bytes, {} unpacked, {entries} entries\n", found.unpacked);
    Ok(head + &settings_line(settings.as_deref())? + &text)
}

fn listing_of_erofs(file: &File, size: u64) -> Result<String> {
    let (members, settings) = erofs::list(file, SETTINGS.as_bytes())?;
    let mut text = format!("erofs: {size} bytes, {} entries\n", members.len());
    text += &settings_line(settings.as_deref())?;
    for member in &members {
        let erofs::Member { path, mode, uid, gid, size, target, device } = member;
        let (mode, uid, gid, size, device) = (*mode, *uid, *gid, *size, *device);
        line(&mut text, &Line { path, mode, uid, gid, size, device, target });
    }
    Ok(text)
}

/// By unsquashfs, whose lines have all that ours have.
fn squashfs(path: &Path, size: u64) -> Result<String> {
    let run = |arguments: &[&str], after: &[&str]| -> Result<Vec<u8>> {
        let mut command = Command::new("unsquashfs");
        command.args(arguments).arg(path).args(after);
        let output =
            command.output().context("run unsquashfs (on Debian: apt-get install squashfs-tools)")?;
        let said = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
        ensure!(output.status.success(), "unsquashfs ended with {}: {said}", output.status);
        Ok(output.stdout)
    };
    let listed = run(&["-lln", "-UTC", "-d", ""], &[])?;
    let settings = run(&["-cat"], &[SETTINGS]).ok();
    let mut text = String::new();
    let mut entries = 0;
    for listed in listed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        // MODE OWNER/GROUP SIZE DATE TIME /PATH, and for a device its numbers in the place of the size.
        let mut words = listed.splitn(2, |byte| *byte == b'/');
        let (Some(head), Some(rest)) = (words.next(), words.next()) else { continue };
        let (Some(slash), true) = (rest.iter().position(|byte| *byte == b'/'), head.len() > 10) else {
            continue;
        };
        let path = &rest[slash..];
        let middle = String::from_utf8_lossy(&rest[..slash]).into_owned();
        let head = String::from_utf8_lossy(head).into_owned();
        let mut head = head.split_whitespace();
        let (mode, uid) = (head.next().unwrap_or_default(), head.next().unwrap_or_default());
        let middle: Vec<&str> = middle.split_whitespace().collect();
        let Some((gid, date)) = middle.split_first() else { continue };
        let size = match mode.starts_with('d') {
            // A directory's own size is that of this format's tables.
            true => "0".to_owned(),
            false => date.get(..date.len().saturating_sub(2)).unwrap_or_default().concat(),
        };
        if path == b"/" {
            continue;
        }
        entries += 1;
        let shown = Shown(path.strip_prefix(b"/").unwrap_or(path));
        // A String takes every write.
        let _ = writeln!(text, "{mode} {:>11} {size:>12} {shown}", format!("{uid}/{gid}"));
    }
    Ok(format!("squashfs: {size} bytes, {entries} entries\n") + &settings_line(settings.as_deref())? + &text)
}

/// /etc/hull.json on one line, so that order and end of the bundles are seen first.
fn settings_line(bytes: Option<&[u8]>) -> Result<String> {
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(String::new()) };
    let value: serde_json::Value =
        serde_json::from_slice(bytes).with_context(|| format!("/{SETTINGS} is not JSON"))?;
    if !value.is_object() {
        bail!("/{SETTINGS} is no JSON object");
    }
    Ok(format!("/{SETTINGS}: {value}\n"))
}

fn line(text: &mut String, line: &Line) {
    let kind = match line.mode & 0o170_000 {
        cpio::DIRECTORY => 'd',
        cpio::FILE => '-',
        cpio::SYMLINK => 'l',
        cpio::CHARACTER => 'c',
        cpio::BLOCK_DEVICE => 'b',
        cpio::FIFO => 'p',
        _ => '?',
    };
    let mut mode = String::from(kind);
    for (shift, special, small, large) in
        [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')]
    {
        let bits = line.mode >> shift & 7;
        mode.push(if bits & 4 == 0 { '-' } else { 'r' });
        mode.push(if bits & 2 == 0 { '-' } else { 'w' });
        mode.push(match (line.mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => small,
            (true, false) => large,
        });
    }
    let size = match kind {
        'c' | 'b' => format!("{},{}", line.device.0, line.device.1),
        _ => line.size.to_string(),
    };
    let owner = format!("{}/{}", line.uid, line.gid);
    let path = Shown(line.path.strip_prefix(b"/").unwrap_or(line.path));
    // A String takes every write.
    let _ = write!(text, "{mode} {owner:>11} {size:>12} {path}");
    if kind == 'l' {
        let _ = write!(text, " -> {}", String::from_utf8_lossy(line.target).escape_debug());
    }
    text.push('\n');
}
