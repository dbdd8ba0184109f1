//! Mount options: one table for the parser, `features` and the plan.
//!
//! mount(8) words that are flags of the kernel, runtime-spec's recursive forms, propagation, and runc's `tmpcopyup`.
//! A word that is not here is data for the file system.

use crate::base::words;
use linux_raw_sys::general as n;

/// What an option word does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Sets MS_* bits of mount(2).
    Set(u32),
    /// Clears MS_* bits.
    Clear(u32),
    /// Sets the propagation of the new mount (MS_* bits, MS_REC included).
    Propagation(u32),
    /// mount_setattr(2) on the whole tree: MOUNT_ATTR_* bits to set and to clear.
    Recursive(u32, u32),
    /// Bind mount; MS_REC where recursive.
    Bind(u32),
    /// The directory below is copied into the new tmpfs.
    CopyUp,
    /// Taken, and without effect on Linux.
    Nothing,
    /// What is mounted there is changed.
    Remount,
    /// The ids of the mount are mapped; of its whole tree where this is true.
    IdMap(bool),
}

/// `MS_NOSYMFOLLOW` (Linux 5.10), which linux-raw-sys lacks.
pub const MS_NOSYMFOLLOW: u32 = 256;

use Meaning::{Bind, Clear, CopyUp, IdMap, Nothing, Propagation, Recursive, Remount, Set};

/// runc's mount options (`features`, mountOptions), each with a blank behind it, in the order of [`MEANINGS`].
pub const WORDS: &str = "acl async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand noacl \
    noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid \
    nosymfollow private ratime rbind rdev rdiratime relatime remount rexec ridmap rnoatime rnodev \
    rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw \
    rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid \
    symfollow sync tmpcopyup unbindable ";

/// What each word does.
static MEANINGS: [Packed; 64] = [
    pack(Nothing),
    pack(Clear(n::MS_SYNCHRONOUS)),
    pack(Clear(n::MS_NOATIME)),
    pack(Bind(0)),
    pack(Nothing),
    pack(Clear(n::MS_NODEV)),
    pack(Clear(n::MS_NODIRATIME)),
    pack(Set(n::MS_DIRSYNC)),
    pack(Clear(n::MS_NOEXEC)),
    pack(IdMap(false)),
    pack(Set(n::MS_I_VERSION)),
    pack(Set(n::MS_LAZYTIME)),
    pack(Clear(n::MS_SILENT)),
    pack(Set(n::MS_MANDLOCK)),
    pack(Nothing),
    pack(Set(n::MS_NOATIME)),
    pack(Set(n::MS_NODEV)),
    pack(Set(n::MS_NODIRATIME)),
    pack(Set(n::MS_NOEXEC)),
    pack(Clear(n::MS_I_VERSION)),
    pack(Clear(n::MS_LAZYTIME)),
    pack(Clear(n::MS_MANDLOCK)),
    pack(Clear(n::MS_RELATIME)),
    pack(Clear(n::MS_STRICTATIME)),
    pack(Set(n::MS_NOSUID)),
    pack(Set(MS_NOSYMFOLLOW)),
    pack(Propagation(n::MS_PRIVATE)),
    pack(Recursive(0, n::MOUNT_ATTR_NOATIME)),
    pack(Bind(n::MS_REC)),
    pack(Recursive(0, n::MOUNT_ATTR_NODEV)),
    pack(Recursive(0, n::MOUNT_ATTR_NODIRATIME)),
    pack(Set(n::MS_RELATIME)),
    pack(Remount),
    pack(Recursive(0, n::MOUNT_ATTR_NOEXEC)),
    pack(IdMap(true)),
    pack(Recursive(n::MOUNT_ATTR_NOATIME, n::MOUNT_ATTR__ATIME)),
    pack(Recursive(n::MOUNT_ATTR_NODEV, 0)),
    pack(Recursive(n::MOUNT_ATTR_NODIRATIME, 0)),
    pack(Recursive(n::MOUNT_ATTR_NOEXEC, 0)),
    pack(Recursive(0, n::MOUNT_ATTR__ATIME)),
    pack(Recursive(0, n::MOUNT_ATTR__ATIME)),
    pack(Recursive(n::MOUNT_ATTR_NOSUID, 0)),
    pack(Recursive(n::MOUNT_ATTR_NOSYMFOLLOW, 0)),
    pack(Set(n::MS_RDONLY)),
    pack(Propagation(n::MS_PRIVATE | n::MS_REC)),
    pack(Recursive(n::MOUNT_ATTR_RELATIME, n::MOUNT_ATTR__ATIME)),
    pack(Recursive(n::MOUNT_ATTR_RDONLY, 0)),
    pack(Recursive(0, n::MOUNT_ATTR_RDONLY)),
    pack(Propagation(n::MS_SHARED | n::MS_REC)),
    pack(Propagation(n::MS_SLAVE | n::MS_REC)),
    pack(Recursive(n::MOUNT_ATTR_STRICTATIME, n::MOUNT_ATTR__ATIME)),
    pack(Recursive(0, n::MOUNT_ATTR_NOSUID)),
    pack(Recursive(0, n::MOUNT_ATTR_NOSYMFOLLOW)),
    pack(Propagation(n::MS_UNBINDABLE | n::MS_REC)),
    pack(Clear(n::MS_RDONLY)),
    pack(Propagation(n::MS_SHARED)),
    pack(Set(n::MS_SILENT)),
    pack(Propagation(n::MS_SLAVE)),
    pack(Set(n::MS_STRICTATIME)),
    pack(Clear(n::MS_NOSUID)),
    pack(Clear(MS_NOSYMFOLLOW)),
    pack(Set(n::MS_SYNCHRONOUS)),
    pack(CopyUp),
    pack(Propagation(n::MS_UNBINDABLE)),
];

/// A [`Meaning`] in a third of its bytes: the kind in the lowest three bits, above them the bits of the kernel.
type Packed = u32;

const SET: u32 = 0;
const CLEAR: u32 = 1;
const PROPAGATION: u32 = 2;
const BIND: u32 = 3;
const RECURSIVE_SET: u32 = 4;
const RECURSIVE_CLEAR: u32 = 5;
/// Sets, and clears what says how access times are kept.
const RECURSIVE_ATIME: u32 = 6;
/// One of those without bits.
const PLAIN: u32 = 7;

const fn pack(meaning: Meaning) -> Packed {
    let (kind, bits) = match meaning {
        Set(bits) => (SET, bits),
        Clear(bits) => (CLEAR, bits),
        Propagation(bits) => (PROPAGATION, bits),
        Bind(bits) => (BIND, bits),
        Recursive(bits, 0) => (RECURSIVE_SET, bits),
        Recursive(0, bits) => (RECURSIVE_CLEAR, bits),
        Recursive(bits, clear) => {
            assert!(clear == n::MOUNT_ATTR__ATIME);
            (RECURSIVE_ATIME, bits)
        }
        CopyUp => (PLAIN, 0),
        Nothing => (PLAIN, 1),
        Remount => (PLAIN, 2),
        IdMap(whole) => (PLAIN, 3 + whole as u32),
    };
    assert!(bits < 1 << 29);
    kind | bits << 3
}

/// The meaning of `word`; `None` where it is data for the file system.
#[inline(never)]
pub fn meaning(word: &[u8]) -> Option<Meaning> {
    let packed = *MEANINGS.get(words::position(WORDS, word)?)?;
    let bits = packed >> 3;
    Some(match packed & 7 {
        SET => Set(bits),
        CLEAR => Clear(bits),
        PROPAGATION => Propagation(bits),
        BIND => Bind(bits),
        RECURSIVE_SET => Recursive(bits, 0),
        RECURSIVE_CLEAR => Recursive(0, bits),
        RECURSIVE_ATIME => Recursive(bits, n::MOUNT_ATTR__ATIME),
        _ if bits == 0 => CopyUp,
        _ if bits == 1 => Nothing,
        _ if bits == 2 => Remount,
        _ => IdMap(bits == 4),
    })
}

/// The MOUNT_ATTR_* bit of each MS_* flag that belongs to a mount rather than to its file system.
const ATTRIBUTES: &[(u32, u32)] = &[
    (n::MS_RDONLY, n::MOUNT_ATTR_RDONLY),
    (n::MS_NOSUID, n::MOUNT_ATTR_NOSUID),
    (n::MS_NODEV, n::MOUNT_ATTR_NODEV),
    (n::MS_NOEXEC, n::MOUNT_ATTR_NOEXEC),
    (n::MS_NODIRATIME, n::MOUNT_ATTR_NODIRATIME),
    (MS_NOSYMFOLLOW, n::MOUNT_ATTR_NOSYMFOLLOW),
];

/// MS_* bits that change how access times are kept; in MOUNT_ATTR_* that is one field, not flags.
const ATIME: u32 = n::MS_NOATIME | n::MS_RELATIME | n::MS_STRICTATIME;

/// The flags of mount(2) as mount_setattr(2) wants them: bits to set and bits to clear.
pub fn attributes(set: u32, cleared: u32) -> (u32, u32) {
    let (mut to_set, mut to_clear) = (0, 0);
    for (flag, attribute) in ATTRIBUTES {
        if set & flag != 0 {
            to_set |= attribute;
        }
        if cleared & flag != 0 {
            to_clear |= attribute;
        }
    }
    if (set | cleared) & ATIME != 0 {
        to_clear |= n::MOUNT_ATTR__ATIME;
        to_set |= match set & ATIME {
            0 | n::MS_RELATIME => n::MOUNT_ATTR_RELATIME,
            bits if bits & n::MS_NOATIME != 0 => n::MOUNT_ATTR_NOATIME,
            _ => n::MOUNT_ATTR_STRICTATIME,
        };
    }
    (to_set, to_clear)
}

/// The flags of mount(2) for a mount with exactly these MOUNT_ATTR_* bits.
pub fn flags(attributes: u32) -> u32 {
    let atime = match attributes & n::MOUNT_ATTR__ATIME {
        n::MOUNT_ATTR_NOATIME => n::MS_NOATIME,
        n::MOUNT_ATTR_STRICTATIME => n::MS_STRICTATIME,
        _ => n::MS_RELATIME,
    };
    ATTRIBUTES
        .iter()
        .filter(|(_, attribute)| attributes & attribute != 0)
        .fold(atime, |all, (flag, _)| all | flag)
}

/// `ST_RELATIME` and `ST_NOSYMFOLLOW` (linux/statfs.h); the other bits are those of mount(2).
const ST_RELATIME: u32 = 0x1000;
const ST_NOSYMFOLLOW: u32 = 0x2000;

/// The MOUNT_ATTR_* bits of a mount for which statfs(2) shows these flags.
pub fn shown(flags: u32) -> u32 {
    let mut set = flags & !(MS_NOSYMFOLLOW | ATIME) | flags & n::MS_NOATIME;
    if flags & ST_NOSYMFOLLOW != 0 {
        set |= MS_NOSYMFOLLOW;
    }
    if flags & (ST_RELATIME | n::MS_NOATIME) == 0 {
        set |= n::MS_STRICTATIME;
    }
    attributes(set, 0).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_a_meaning_for_each_word() {
        let all: Vec<&str> = words::iter(WORDS).collect();
        assert!(all.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(all.len(), MEANINGS.len());
        assert_eq!(meaning(b"unbindable"), Some(Propagation(n::MS_UNBINDABLE)));
        for (word, what) in [
            (&b"ro"[..], Set(n::MS_RDONLY)),
            (b"rw", Clear(n::MS_RDONLY)),
            (b"lazytime", Set(n::MS_LAZYTIME)),
            (b"rbind", Bind(n::MS_REC)),
            (b"rro", Recursive(n::MOUNT_ATTR_RDONLY, 0)),
            (b"rrw", Recursive(0, n::MOUNT_ATTR_RDONLY)),
            (b"rnoatime", Recursive(n::MOUNT_ATTR_NOATIME, n::MOUNT_ATTR__ATIME)),
            (b"rrelatime", Recursive(n::MOUNT_ATTR_RELATIME, n::MOUNT_ATTR__ATIME)),
            (b"rnorelatime", Recursive(0, n::MOUNT_ATTR__ATIME)),
            (b"tmpcopyup", CopyUp),
            (b"defaults", Nothing),
            (b"idmap", IdMap(false)),
            (b"ridmap", IdMap(true)),
            (b"remount", Remount),
        ] {
            assert_eq!(meaning(word), Some(what));
        }
    }

    #[test]
    fn access_time_is_one_field() {
        assert_eq!(
            attributes(n::MS_NOATIME | n::MS_RDONLY, n::MS_NOSUID),
            (n::MOUNT_ATTR_NOATIME | n::MOUNT_ATTR_RDONLY, n::MOUNT_ATTR__ATIME | n::MOUNT_ATTR_NOSUID)
        );
        assert_eq!(attributes(n::MS_STRICTATIME, 0), (n::MOUNT_ATTR_STRICTATIME, n::MOUNT_ATTR__ATIME));
        assert_eq!(attributes(n::MS_NODEV, 0), (n::MOUNT_ATTR_NODEV, 0));
        assert_eq!(meaning(b"size=64k"), None);
    }

    #[test]
    fn a_remount_gives_back_what_statfs_shows() {
        for (shows, flags_of_mount) in [
            (0x20, n::MS_STRICTATIME),
            (0x1020, n::MS_RELATIME),
            (0x427, n::MS_RDONLY | n::MS_NOSUID | n::MS_NODEV | n::MS_NOATIME),
            (0x3828, n::MS_NOEXEC | n::MS_NODIRATIME | MS_NOSYMFOLLOW | n::MS_RELATIME),
        ] {
            assert_eq!(flags(shown(shows)), flags_of_mount, "{shows:x}");
        }
    }
}
