//! What an input may take, so that a small file from a stranger can't fill the disk or the memory: every entry and every
//! byte is charged before it is kept.

use anyhow::{Result, ensure};

use crate::tree::{Device, Entry, Kind};

/// Bounds per bundle. Sizes are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files, directories and all else, those that a later layer removes included.
    pub entries: u64,
    /// The largest file.
    pub file: u64,
    /// Contents, names and attributes together, those that a later layer removes included.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 250_000, file: 1 << 30, total: 4 << 30 }
    }
}

/// The room that an archive itself may take for an entry: its headers, padding and extended headers.
const OVERHEAD: u64 = 8 << 10;

/// What is left of the limits.
#[derive(Clone, Debug)]
pub struct Budget {
    limits: Limits,
    entries: u64,
    bytes: u64,
}

impl Budget {
    pub fn new(limits: Limits) -> Budget {
        Budget { limits, entries: 0, bytes: 0 }
    }

    /// For what the user wrote himself.
    pub fn unlimited() -> Budget {
        Budget::new(Limits { entries: u64::MAX, file: u64::MAX, total: u64::MAX })
    }

    /// Refuses a file of this size before anything is read of it.
    pub fn file(&self, size: u64) -> Result<()> {
        let limit = self.limits.file;
        ensure!(size <= limit, "{size} bytes, more than limits.file = {limit} allows");
        let left = self.limits.total.saturating_sub(self.bytes);
        ensure!(size <= left, "{}", self.full());
        Ok(())
    }

    /// Charges `entry` at `path`.
    pub fn entry(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        if let Kind::File(content) = &entry.kind {
            self.file(content.size())?;
        }
        let attributes: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.charge(entry.size() + (path.len() + attributes) as u64)
    }

    /// Charges one more name for something that is there already, or something that leaves nothing behind.
    pub fn name(&mut self, path: &[u8]) -> Result<()> {
        self.charge(path.len() as u64)
    }

    fn charge(&mut self, bytes: u64) -> Result<()> {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        let limit = self.limits.entries;
        ensure!(self.entries <= limit, "more entries than limits.entries = {limit} allows");
        ensure!(self.bytes <= self.limits.total, "{}", self.full());
        Ok(())
    }

    fn full(&self) -> String {
        format!("more bytes than limits.total = {} allows", self.limits.total)
    }

    /// The most that one archive may unpack to: what is counted, and the headers around it.
    pub fn stream(&self) -> u64 {
        self.limits.total.saturating_add(self.limits.entries.saturating_mul(OVERHEAD).min(1 << 30))
    }
}

/// Whether a container image may bring this device: those that every container has anyway. Another node would give the
/// holder of a stray `mknod` right, or of none at all, the machine's disks or memory.
pub fn is_harmless(device: Device) -> bool {
    match device {
        // mem: null, zero, full, random, urandom; tty: tty, console, ptmx
        Device::Character(1, minor) => matches!(minor, 3 | 5 | 7 | 8 | 9),
        Device::Character(5, minor) => matches!(minor, 0..=2),
        Device::Character(..) | Device::Block(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_past_a_limit() {
        let mut budget = Budget::new(Limits { entries: 3, file: 10, total: 20 });
        let file = |size: usize| Entry::new(Kind::File(vec![0; size].into()), 0o644);
        budget.file(10).unwrap();
        assert!(budget.file(11).unwrap_err().to_string().contains("limits.file = 10"));
        budget.entry(b"a", &file(10)).unwrap();
        budget.file(9).unwrap();
        assert!(budget.file(10).unwrap_err().to_string().contains("limits.total = 20"));
        budget.entry(b"b", &file(7)).unwrap();
        assert!(budget.clone().entry(b"c", &file(1)).unwrap_err().to_string().contains("limits.total = 20"));
        budget.name(b"c").unwrap();
        assert!(budget.name(b"").unwrap_err().to_string().contains("limits.entries = 3"));
    }
}
