//! `ociVersion` (config.md, "Specification version"): SemVer 2.0.0, read strictly.

use crate::base::number::decimal;

/// The runtime-spec that hull follows: its major version.
pub const MAJOR: u64 = 1;
/// Its minor version.
pub const MINOR: u64 = 3;

/// The parts that rules are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Another one is another format.
    pub major: u64,
    /// A newer one adds fields.
    pub minor: u64,
    /// Whether a pre-release is named, as in `1.3.0-rc.1`.
    pub pre_release: bool,
}

/// The version that `text` names; `None` where it is not SemVer.
pub fn read(text: &[u8]) -> Option<Version> {
    let (text, build) = cut(text, b'+');
    let (core, pre_release) = cut(text, b'-');
    let (major, rest) = cut(core, b'.');
    let (minor, patch) = cut(rest?, b'.');
    number(patch?)?;
    let version =
        Version { major: number(major)?, minor: number(minor)?, pre_release: pre_release.is_some() };
    (build.is_none_or(identifiers) && pre_release.is_none_or(identifiers)).then_some(version)
}

/// `text` up to the first `separator`, and what follows that.
fn cut(text: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|b| *b == separator).and_then(|at| text.split_at_checked(at)) {
        Some((before, rest)) => (before, rest.get(1..)),
        None => (text, None),
    }
}

fn number(text: &[u8]) -> Option<u64> {
    if text.len() > 1 && text.first() == Some(&b'0') { None } else { decimal(text, u64::MAX) }
}

/// Identifiers between dots. A leading zero in a numeric one, which SemVer refuses, changes nothing here and passes.
fn identifiers(text: &[u8]) -> bool {
    let mut before = b'.';
    for &byte in text {
        if !(byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' && before != b'.') {
            return false;
        }
        before = byte;
    }
    before != b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_semver_and_nothing_else() {
        for (text, major, minor, pre_release) in [
            ("1.3.0", 1, 3, false),
            ("1.0.2-dev", 1, 0, true),
            ("1.0.0-rc.1+build.007", 1, 0, true),
            ("2.10.0+x-y", 2, 10, false),
            ("0.0.0--", 0, 0, true),
        ] {
            assert_eq!(read(text.as_bytes()), Some(Version { major, minor, pre_release }), "{text}");
        }
        for bad in [
            "",
            "1",
            "1.3",
            "1.3.0.0",
            "v1.3.0",
            "01.3.0",
            "1.03.0",
            "1.3.0-",
            "1.3.0+",
            "1.3.0-a..b",
            "1.3.0-a.",
            "1.3.0-.a",
            " 1.3.0",
            "1.3.0 ",
            "1.-3.0",
            "1.3.x",
            "99999999999999999999.0.0",
            "1.3.0-\u{e9}",
            "1.3.0+a+b",
        ] {
            assert_eq!(read(bad.as_bytes()), None, "{bad}");
        }
    }
}
