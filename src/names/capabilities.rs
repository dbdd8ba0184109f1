//! Capabilities: the 41 names of capabilities(7) up to Linux 7.x, at the place of their number.
//!
//! As in runc a name counts only with its `CAP_` and in upper case.

use crate::base::words;

/// The names, each with a blank behind it; the place is the number (linux/capability.h).
pub const WORDS: &str = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID \
    CAP_SETUID CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW \
    CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN \
    CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE \
    CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND \
    CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE ";

/// How many there are; numbers run from 0 to one less.
pub const COUNT: u8 = 41;

/// The number of a capability; `None` for any other text.
pub fn number(word: &[u8]) -> Option<u8> {
    words::position(WORDS, word).and_then(|n| u8::try_from(n).ok())
}

/// The name of a number.
pub fn name(number: u8) -> Option<&'static str> {
    (number < COUNT).then(|| words::nth(WORDS, usize::from(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general as n;

    #[test]
    fn names_stand_at_their_numbers() {
        assert_eq!(words::iter(WORDS).count(), usize::from(COUNT));
        for (word, want) in [
            ("CAP_CHOWN", n::CAP_CHOWN),
            ("CAP_SETPCAP", n::CAP_SETPCAP),
            ("CAP_NET_RAW", n::CAP_NET_RAW),
            ("CAP_SYS_ADMIN", n::CAP_SYS_ADMIN),
            ("CAP_MKNOD", n::CAP_MKNOD),
            ("CAP_SYSLOG", n::CAP_SYSLOG),
            ("CAP_AUDIT_READ", n::CAP_AUDIT_READ),
            ("CAP_BPF", n::CAP_BPF),
            ("CAP_CHECKPOINT_RESTORE", n::CAP_CHECKPOINT_RESTORE),
        ] {
            assert_eq!(number(word.as_bytes()).map(u32::from), Some(want), "{word}");
        }
        assert!((0..COUNT).all(|n| name(n).and_then(|word| number(word.as_bytes())) == Some(n)));
        for bad in ["CHOWN", "cap_chown", "CAP_", "", "CAP_NEW"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(name(COUNT), None);
    }
}
