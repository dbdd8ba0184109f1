//! Paths as text: joining, cleaning and splitting, with no look at any file system.

/// The components of a path; empty ones and `.` are left out, `..` is given as it stands.
pub fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".")
}

/// Whether `path` starts at the root.
pub fn is_absolute(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
}

/// Whether a component of `path` is `..`.
pub fn has_parent(path: &[u8]) -> bool {
    components(path).any(|c| c == b"..")
}

/// Whether `path` is `base` or lies below it, by components (`/dev` holds `/dev/pts`, not `/device`).
pub fn is_within(path: &[u8], base: &[u8]) -> bool {
    let mut below = components(path);
    components(base).all(|want| below.next() == Some(want))
}

/// The last component of `path`, or an empty slice for the root.
pub fn last(path: &[u8]) -> &[u8] {
    components(path).next_back().unwrap_or(&[])
}

/// Writes the lexically cleaned absolute form of `path` (as Go's `filepath.Clean("/" + path)`) into `out`, without the
/// leading slash and without a trailing one; returns its length. `..` at the root stays at the root.
///
/// `None` where `out` is shorter than `path`.
pub fn clean_into(path: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut len = 0usize;
    for part in components(path) {
        if part == b".." {
            let so_far = out.get(..len)?;
            len = so_far.iter().rposition(|&b| b == b'/').unwrap_or(0);
            continue;
        }
        if len > 0 {
            *out.get_mut(len)? = b'/';
            len = len.checked_add(1)?;
        }
        // not copy_from_slice, whose comparison of the lengths is a panic path
        for byte in part {
            *out.get_mut(len)? = *byte;
            len = len.checked_add(1)?;
        }
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(path: &str) -> String {
        let mut out = [0u8; 64];
        let n = clean_into(path.as_bytes(), &mut out).expect("room");
        String::from_utf8_lossy(out.get(..n).expect("inside")).into_owned()
    }

    #[test]
    fn cleans_as_go_does() {
        for (path, want) in [
            ("", ""),
            ("/", ""),
            ("/a//b/./c/", "a/b/c"),
            ("a/../b", "b"),
            ("/../..", ""),
            ("/a/b/../../..", ""),
            ("/a/...", "a/..."),
            ("..a", "..a"),
        ] {
            assert_eq!(clean(path), want, "{path}");
        }
    }

    #[test]
    fn is_within_goes_by_components() {
        assert!(is_within(b"/dev/pts", b"/dev") && is_within(b"/dev", b"/dev/") && is_within(b"/x", b"/"));
        assert!(!is_within(b"/device", b"/dev") && !is_within(b"/", b"/dev"));
    }

    #[test]
    fn splits() {
        assert_eq!(last(b"/a/b/"), b"b");
        assert_eq!(last(b"/"), b"");
        assert!(has_parent(b"/a/../b") && !has_parent(b"/a..b/..."));
    }
}
