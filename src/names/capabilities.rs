//! Capabilities: the 41 names of capabilities(7) up to Linux 7.x, at the place of their number.
//!
//! As in runc a name counts only with its `CAP_` and in upper case.

use crate::base::words;

/// The names without their `CAP_`; the place is the number (linux/capability.h).
pub const WORDS: &str = "=CAP_ CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID \
    SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW \
    IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN \
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE \
    AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND \
    AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE ";

/// The number of a capability; `None` for any other text.
pub fn number(word: &[u8]) -> Option<u8> {
    words::position(WORDS, word).and_then(|n| u8::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general as n;

    #[test]
    fn names_stand_at_their_numbers() {
        assert_eq!(words::iter(WORDS).count(), 41);
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
        for (n, word) in words::iter(WORDS).enumerate() {
            assert_eq!(number(format!("CAP_{word}").as_bytes()).map(usize::from), Some(n));
        }
        for bad in ["CHOWN", "cap_chown", "CAP_", "", "CAP_NEW"] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
    }
}
