//! Checks on single strings and numbers, as tables for the reader: what a field's own text can tell, with no look at other
//! fields (that is [`super::validate`]'s).

use crate::base::path::is_absolute;
use crate::base::text::after;
use crate::json::schema::{Range, Rule};
use crate::text;

/// At least one character.
pub static NOT_EMPTY: Rule =
    Rule { test: |text| !text.is_empty(), wanted: text!("a string that is not empty") };

/// A path from the root.
pub static ABSOLUTE: Rule = Rule { test: is_absolute, wanted: text!("an absolute path") };

/// A path from the root, or nothing.
pub static ABSOLUTE_OR_EMPTY: Rule =
    Rule { test: |text| text.is_empty() || is_absolute(text), wanted: text!("an absolute path") };

/// An environment entry: a name, `=`, a value (environ(7)).
pub static ENVIRONMENT: Rule = Rule {
    test: |text| text.iter().position(|b| *b == b'=').is_some_and(|at| at > 0),
    wanted: text!("NAME=value"),
};

/// config-linux.md, "Huge page limits": `^[1-9][0-9]*[KMG]B$`.
pub static PAGE_SIZE: Rule = Rule {
    test: |text| match text {
        [first @ b'1'..=b'9', digits @ .., b'K' | b'M' | b'G', b'B'] => {
            first.is_ascii_digit() && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    },
    wanted: text!("a page size such as \"64KB\", \"2MB\" or \"1GB\""),
};

/// Lists of CPUs or memory nodes (cpuset(7), "List format"), blanks allowed as in runtime-spec's schema.
pub static CPU_LIST: Rule = Rule {
    test: |text| text.iter().all(|b| matches!(b, b'0'..=b'9' | b',' | b'-' | b' ')),
    wanted: text!("a list of numbers and ranges such as \"0-3,7\""),
};

/// config-linux.md, "Devices": `^[cbup]$`.
pub static DEVICE_TYPE: Rule = Rule {
    test: |text| matches!(text, [b'c' | b'b' | b'u' | b'p']),
    wanted: text!("\"c\", \"b\", \"u\" or \"p\""),
};

/// config-linux.md, "Allowed Device list": a kind of device or all of them.
pub static RULE_TYPE: Rule =
    Rule { test: |text| matches!(text, [] | [b'a' | b'b' | b'c']), wanted: text!("\"a\", \"b\" or \"c\"") };

/// config-linux.md, "Allowed Device list": any of r (read), w (write), m (mknod).
pub static ACCESS: Rule = Rule {
    test: |text| text.iter().all(|b| matches!(b, b'r' | b'w' | b'm')),
    wanted: text!("letters out of \"rwm\""),
};

/// config.md, "POSIX process": `^RLIMIT_[A-Z]+$`.
pub static RLIMIT: Rule = Rule {
    test: |text| {
        after(text, b"RLIMIT_")
            .is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_uppercase))
    },
    wanted: text!("a resource limit such as \"RLIMIT_NOFILE\""),
};

/// config-linux.md, "IntelRdt": `^MB:[^\n]*$`.
pub static MEMORY_BANDWIDTH: Rule = Rule {
    test: |text| after(text, b"MB:").is_some() && !text.contains(&b'\n'),
    wanted: text!("one line that starts with \"MB:\""),
};

/// umask(2).
pub static UMASK: Range = Range { low: 0, high: 0o777 };

/// proc_pid_oom_score_adj(5).
pub static OOM_SCORE: Range = Range { low: -1000, high: 1000 };

/// config.md, "POSIX-platform Hooks": seconds, more than zero.
pub static TIMEOUT: Range = Range { low: 1, high: i32::MAX as u64 };

/// clock_settime(2): less than a second.
pub static NANOSECONDS: Range = Range { low: 0, high: 999_999_999 };

/// seccomp(2): the kernel hands over six arguments.
pub static ARGUMENT: Range = Range { low: 0, high: 5 };

/// Majors and minors (linux/kdev_t.h): more bits would name another device.
pub static MAJOR: Range = Range { low: 0, high: 0xfff };
/// See [`MAJOR`].
pub static MINOR: Range = Range { low: 0, high: 0xf_ffff };

/// user_namespaces(7): a mapping of no ids is refused by the kernel.
pub static SIZE: Range = Range { low: 1, high: u32::MAX as u64 };

/// setpriority(2).
pub static NICE: Range = Range { low: -20, high: 19 };

/// sethostname(2), setdomainname(2).
pub static NODE_NAME: Rule =
    Rule { test: |text| text.len() <= 64, wanted: text!("a string of at most 64 bytes") };

/// config-linux.md, "IntelRdt": a directory below /sys/fs/resctrl.
pub static CLOS_ID: Rule = Rule {
    test: |text| !matches!(text, b"." | b"..") && !text.contains(&b'/'),
    wanted: text!("the name of a directory"),
};

/// What the kernel takes for a network device's name (dev_valid_name in net/core/dev.c), or nothing.
pub static INTERFACE: Rule = Rule {
    test: |text| {
        text.len() < 16
            && !matches!(text, b"." | b"..")
            && !text.iter().any(|b| matches!(b, b'/' | b':' | b' ' | b'\t'..=b'\r'))
    },
    wanted: text!("a network device's name (at most 15 bytes, no blank, \"/\" or \":\")"),
};
