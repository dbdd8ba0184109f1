//! Checks on single strings and numbers, as tables for the reader: what a field's own text can tell, with no look at other
//! fields (that is [`super::validate`]'s).

use crate::base::number::mask;
use crate::base::path::is_absolute;
use crate::base::text::after;
use crate::json::schema::{Range, Rule};
use crate::json::view;
use crate::text;

/// Places in [`RULES`], and the rules there.
macro_rules! rules {
    ($( $(#[$about:meta])* $name:ident $wanted:literal: $test:expr; )+) => {
        #[allow(clippy::upper_case_acronyms, non_camel_case_types)]
        enum Place { ANY, $( $name, )+ }

        $( $(#[$about])* pub const $name: u8 = Place::$name as u8; )+

        /// The rules of every document whose kinds come from here.
        pub static RULES: [Rule; [Place::ANY as usize, $( Place::$name as usize, )+].len()] =
            [view::ANY, $( Rule { test: $test, wanted: text!($wanted) }, )+];
    };
}

rules! {
    /// At least one character.
    NOT_EMPTY "a string that is not empty": |text| !text.is_empty();

    /// A path from the root.
    ABSOLUTE "an absolute path": is_absolute;

    /// A path from the root, or nothing.
    ABSOLUTE_OR_EMPTY "an absolute path": |text| text.is_empty() || is_absolute(text);

    /// An environment entry: a name, `=`, a value (environ(7)).
    ENVIRONMENT "NAME=value": |text| text.iter().position(|b| *b == b'=').is_some_and(|at| at > 0);

    /// config-linux.md, "Huge page limits": `^[1-9][0-9]*[KMG]B$`.
    PAGE_SIZE "a page size such as \"64KB\", \"2MB\" or \"1GB\"": |text| match text {
        [first @ b'1'..=b'9', digits @ .., b'K' | b'M' | b'G', b'B'] => {
            first.is_ascii_digit() && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };

    /// Lists of CPUs or memory nodes (see `base::number::mask`), or nothing.
    CPU_LIST "a list of numbers and ranges such as \"0-3,7\"": |text| text.is_empty() || mask(text, &mut []);

    /// config-linux.md, "Devices": `^[cbup]$`.
    DEVICE_TYPE "\"c\", \"b\", \"u\" or \"p\"": |text| matches!(text, [b'c' | b'b' | b'u' | b'p']);

    /// config-linux.md, "Allowed Device list": a kind of device or all of them.
    RULE_TYPE "\"a\", \"b\" or \"c\"": |text| matches!(text, [] | [b'a' | b'b' | b'c']);

    /// config-linux.md, "Allowed Device list": any of r (read), w (write), m (mknod).
    ACCESS "letters out of \"rwm\"": |text| text.iter().all(|b| matches!(b, b'r' | b'w' | b'm'));

    /// config.md, "POSIX process": `^RLIMIT_[A-Z]+$`.
    RLIMIT "a resource limit such as \"RLIMIT_NOFILE\"": |text| {
        after(text, b"RLIMIT_")
            .is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_uppercase))
    };

    /// config-linux.md, "IntelRdt": `^MB:[^\n]*$`.
    MEMORY_BANDWIDTH "one line that starts with \"MB:\"": |text| after(text, b"MB:").is_some() && !text.contains(&b'\n');

    /// sethostname(2), setdomainname(2).
    NODE_NAME "a string of at most 64 bytes": |text| text.len() <= 64;

    /// config-linux.md, "IntelRdt": a directory below /sys/fs/resctrl, or that one itself.
    CLOS_ID "the name of a directory": |text| text == b"/" || !matches!(text, b"." | b"..") && !text.contains(&b'/');

    /// config-linux.md, "IntelRdt": a line of a schemata file.
    LINE "one line": |text| !text.contains(&b'\n');

    /// What the kernel takes for a network device's name (dev_valid_name in net/core/dev.c), or nothing.
    INTERFACE "a network device's name (at most 15 bytes, no blank, \"/\" or \":\")": is_interface;
}

/// See [`INTERFACE`].
pub fn is_interface(name: &[u8]) -> bool {
    name.len() < 16
        && !matches!(name, b"." | b"..")
        && !name.iter().any(|b| matches!(b, b'/' | b':' | b' ' | b'\t'..=b'\r'))
}

/// umask(2).
pub const UMASK: Range = Range { low: 0, high: 0o777 };

/// proc_pid_oom_score_adj(5).
pub const OOM_SCORE: Range = Range { low: -1000, high: 1000 };

/// config.md, "POSIX-platform Hooks": seconds, more than zero.
pub const TIMEOUT: Range = Range { low: 1, high: i32::MAX as u64 };

/// clock_settime(2): less than a second.
pub const NANOSECONDS: Range = Range { low: 0, high: 999_999_999 };

/// seccomp(2): the kernel hands over six arguments.
pub const ARGUMENT: Range = Range { low: 0, high: 5 };

/// Majors and minors (linux/kdev_t.h): more bits would name another device.
pub const MAJOR: Range = Range { low: 0, high: 0xfff };

/// See [`MAJOR`].
pub const MINOR: Range = Range { low: 0, high: 0xf_ffff };

/// user_namespaces(7): a mapping of no ids is refused by the kernel.
pub const SIZE: Range = Range { low: 1, high: u32::MAX as u64 };

/// setpriority(2).
pub const NICE: Range = Range { low: -20, high: 19 };
