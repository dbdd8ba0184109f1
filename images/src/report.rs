//! What a build came to, for people: a table of what takes how much room, and whether the machine's memory is enough.

use std::fmt::Write;

use crate::assemble::Part;
use crate::pack::Written;
use crate::tree::Tree;

/// The rows of what is in the image, and of the files that were written, with their digests.
pub fn table(parts: &[Part], written: &[(Written, String)]) -> String {
    let number = |number: u64| {
        let digits = number.to_string();
        let mut grouped = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    };
    let width = parts.iter().map(|part| part.name.chars().count()).max().unwrap_or(0).max(16);
    let mut text = format!("{:width$} {:>9} {:>14}\n", "", "entries", "bytes");
    for Part { name, entries, bytes } in parts {
        // A String takes every write.
        let _ = writeln!(text, "{name:width$} {:>9} {:>14}", number(*entries), number(*bytes));
    }
    for (Written { path, size, sha256 }, kind) in written {
        let _ = writeln!(text, "{:width$} {:>9} {:>14}  {}", kind, "", number(*size), path.display());
        let _ = writeln!(text, "sha256:{sha256}");
    }
    text
}

const PAGE: u64 = 4096;

/// What the kernel keeps for an entry of its file system in memory: inode and directory entry.
const ENTRY: u64 = 1024;

/// The kernel itself, and what it and hull need to run at all. Debian's kernels take more, a board's own less.
const KERNEL: u64 = 16 << 20;

/// Why an initramfs that is `packed` bytes long does not fit a machine of `memory` bytes, and what to do about it.
///
/// While the kernel unpacks, it holds both the archive and the files; and the file system that they go into is a tmpfs
/// of at most half the memory, which drops what is too much (init/do_mounts.c, Documentation/filesystems/ramfs-*).
pub fn memory_warning(tree: &Tree, packed: u64, memory: u64) -> Option<String> {
    let unpacked: u64 = tree.entries().map(|(_, entry)| entry.size().next_multiple_of(PAGE) + ENTRY).sum();
    let mib = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
    let free = memory.saturating_sub(KERNEL);
    if packed + unpacked > free {
        return Some(format!(
            "the image does not fit a memory of {}: {} packed, {} unpacked, about {} for the kernel \
             (a root image stays on its disk: [root] in the recipe)",
            mib(memory),
            mib(packed),
            mib(unpacked),
            mib(KERNEL)
        ));
    }
    (unpacked > free / 2).then(|| {
        format!(
            "the image does not fit a memory of {}: {} unpacked, and the kernel gives a tmpfs at most half \
             (rootfstype=ramfs on its command line lifts that; a root image stays on its disk: [root] in the recipe)",
            mib(memory),
            mib(unpacked)
        )
    })
}

/// What an initramfs can't keep, and a root image could.
pub fn lost_warning(tree: &Tree) -> Option<String> {
    let mut with = tree.entries().filter(|(_, entry)| !entry.xattrs.is_empty());
    let (path, entry) = with.next()?;
    let name =
        entry.xattrs.keys().next().map(|name| String::from_utf8_lossy(name).escape_debug().to_string());
    Some(format!(
        "an initramfs has no extended attributes: {} and {} more lose theirs ({}; a root image keeps them)",
        crate::tree::Shown(path),
        with.count(),
        name.unwrap_or_default()
    ))
}
