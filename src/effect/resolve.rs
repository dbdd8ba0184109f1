//! Paths inside the container's root, resolved so that no symlink and no `..` leads out of it.
//!
//! The short name is the safe call: [`open`] uses openat2(2) with RESOLVE_IN_ROOT (Linux 5.6). Where that is missing, or
//! where something has to be created on the way, [`walk`] goes component by component without following symlinks, and
//! reads and expands them itself, still inside the root. Magic links of procfs are never followed: openat2 refuses them,
//! and `walk` sees only their text.

use super::{Outcome, call};
use crate::base::path;
use crate::rt::c_string;
use crate::sys::descriptor::OwnedFd;
use crate::sys::directory;
use crate::sys::open;
use core::ffi::CStr;
use heapless::Vec;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;

/// What [`walk`] makes where the last component does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Nothing: ENOENT.
    Nothing,
    /// A directory of mode 0755, and those on the way.
    Directory,
    /// An empty regular file of mode 0644, and the directories on the way.
    File,
}

/// Symlinks followed before ELOOP, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Opens `path` below `root`. `flags` as for open(2); O_CLOEXEC is added.
///
/// # Errors
/// As openat2(2); ENAMETOOLONG for a path over PATH_MAX after its symlinks are expanded.
pub fn open(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Outcome<OwnedFd> {
    open_with(root, path, flags, ResolveFlags::empty())
}

/// The same, with ELOOP for any symlink on the way.
///
/// # Errors
/// As [`open`].
pub fn open_without_symlinks(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Outcome<OwnedFd> {
    open_with(root, path, flags, ResolveFlags::NO_SYMLINKS)
}

fn open_with(root: BorrowedFd<'_>, path: &CStr, flags: OFlags, more: ResolveFlags) -> Outcome<OwnedFd> {
    let path = if path.is_empty() { c"." } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | more;
    // EAGAIN: something was renamed while `..` was resolved; the man page asks for a retry
    for _ in 0..16 {
        match open::open_by(root, path, flags, resolve) {
            Err(fault) if fault.is(Errno::AGAIN) => {}
            Err(fault) if fault.is_missing() => {
                return walk_with(root, path, flags, Create::Nothing, more.is_empty());
            }
            other => return other,
        }
    }
    Err(Errno::AGAIN.into())
}

/// Opens `path` below `root` component by component; what is missing is made as `create` says. The last component is
/// opened with `flags`.
///
/// # Errors
/// As openat(2), mkdirat(2), mknodat(2).
pub fn walk(root: BorrowedFd<'_>, path: &CStr, flags: OFlags, create: Create) -> Outcome<OwnedFd> {
    walk_with(root, path, flags, create, true)
}

const STEP: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW);

/// A path under way, at most PATH_MAX bytes with the NUL at its end: what lies before `at` is resolved and holds neither
/// a symlink nor `..`.
struct Walk {
    text: Vec<u8, 4096>,
    at: usize,
}

impl Walk {
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// The first place from `at` on that holds no slash.
    fn behind_slashes(&self, mut at: usize) -> usize {
        while self.byte(at) == b'/' {
            at = at.saturating_add(1);
        }
        at
    }

    /// The end of the component that begins at `at`.
    fn end(&self, mut at: usize) -> usize {
        while !matches!(self.byte(at), b'/' | 0) {
            at = at.saturating_add(1);
        }
        at
    }

    /// The start of the component before the one that begins at `at`.
    fn before(&self, mut at: usize) -> usize {
        for slashes in [true, false] {
            while let Some(left) = at.checked_sub(1)
                && (self.byte(left) == b'/') == slashes
            {
                at = left;
            }
        }
        at
    }

    /// Puts `new` in the place of the bytes from `from` to `to`; the walk starts again from the root.
    fn replace(&mut self, from: usize, to: usize, new: &[u8]) -> Outcome<()> {
        let mut text = Vec::new();
        for part in [self.text.get(..from), Some(new), self.text.get(to..)] {
            text.extend_from_slice(part.unwrap_or(&[])).map_err(|_| Errno::NAMETOOLONG)?;
        }
        (self.text, self.at) = (text, 0);
        Ok(())
    }
}

#[inline(never)]
fn walk_with(
    root: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    create: Create,
    follow: bool,
) -> Outcome<OwnedFd> {
    let mut walk = Walk { text: Vec::new(), at: 0 };
    walk.replace(0, 0, path.to_bytes_with_nul())?;
    let mut here = None;
    let mut links = 0;
    loop {
        let start = walk.behind_slashes(walk.at);
        let end = walk.end(start);
        let mut text = [0u8; 256];
        let at = here.as_ref().map_or(root, OwnedFd::as_fd);
        let name = match walk.text.get(start..end).unwrap_or(&[]) {
            // nothing is left but what was reached
            b"" => return open::open(at, c".", flags),
            b"." => {
                walk.at = end;
                continue;
            }
            b".." => {
                walk.replace(walk.before(start), end, b"")?;
                here = None;
                continue;
            }
            name => component(name, &mut text).ok_or(Errno::NAMETOOLONG)?,
        };
        let last = walk.byte(walk.behind_slashes(end)) == 0;
        let next = match open::open(at, name, STEP) {
            Err(fault) if create != Create::Nothing && fault.is(Errno::NOENT) => {
                make(at, name, if last { create } else { Create::Directory })?;
                open::open(at, name, STEP)?
            }
            other => other?,
        };
        let mut room = [0u8; 4096];
        // an empty path names the descriptor itself; anything but a symlink is ENOENT (or EINVAL) here
        if let Ok(target) = directory::symlink_text(next.as_fd(), &mut room) {
            links += 1;
            if links > MAX_LINKS || !follow {
                return Err(Errno::LOOP.into());
            }
            walk.replace(if path::is_absolute(target) { 0 } else { start }, end, target)?;
            here = None;
            continue;
        }
        if last {
            if flags.contains(OFlags::DIRECTORY) && !is_directory(next.as_fd())? {
                return Err(Errno::NOTDIR.into());
            }
            if flags.contains(OFlags::PATH) {
                return Ok(next);
            }
            return open::open(at, name, flags | OFlags::NOFOLLOW);
        }
        walk.at = end;
        here = Some(next);
    }
}

/// `name` as a C string, in `room`.
fn component<'r>(name: &[u8], room: &'r mut [u8; 256]) -> Option<&'r CStr> {
    for (place, byte) in room.get_mut(..=name.len())?.iter_mut().zip(name) {
        *place = *byte;
    }
    c_string::until_nul(room)
}

fn make(at: BorrowedFd<'_>, name: &CStr, what: Create) -> Outcome<()> {
    let made = if what == Create::File {
        call::make_node(at, name, n::S_IFREG | 0o644, 0)
    } else {
        call::make_directory(at, name, 0o755)
    };
    match made {
        // somebody else was faster: what is there now is looked at without following it
        Err(fault) if fault.is(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Whether `fd` is a directory.
///
/// # Errors
/// As fstat(2).
#[inline(never)]
pub fn is_directory(fd: BorrowedFd<'_>) -> Outcome<bool> {
    Ok(call::mode(fd)? & n::S_IFMT == n::S_IFDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;
    use std::ffi::CString;
    use std::os::unix::fs::symlink;

    /// A directory of its own below the system's temporary one, removed at the end.
    struct Scratch(std::path::PathBuf);
    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("hull-resolve-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("root/etc")).unwrap();
            std::fs::create_dir_all(path.join("outside")).unwrap();
            Scratch(path)
        }
        fn root(&self) -> OwnedFd {
            let path = CString::new(self.0.join("root").to_str().unwrap()).unwrap();
            open::open(CWD, path.as_c_str(), OFlags::PATH | OFlags::DIRECTORY).unwrap()
        }
    }
    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn same(a: &OwnedFd, b: &std::path::Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(b).is_ok_and(|m| m.ino() == rustix::fs::fstat(a).unwrap().st_ino)
    }

    #[test]
    fn both_ways_stay_inside_the_root() {
        let s = Scratch::new("inside");
        symlink(s.0.join("outside"), s.0.join("root/abs")).unwrap();
        symlink("../../outside", s.0.join("root/rel")).unwrap();
        symlink("/etc", s.0.join("root/good")).unwrap();
        symlink("loop", s.0.join("root/loop")).unwrap();
        let root = s.root();
        for way in [open, |r: BorrowedFd<'_>, p: &CStr, f| walk(r, p, f, Create::Nothing)] {
            assert!(
                way(root.as_fd(), c"abs", OFlags::PATH).is_err_and(|fault| fault.errno() == Errno::NOENT)
            );
            assert!(
                way(root.as_fd(), c"rel", OFlags::PATH).is_err_and(|fault| fault.errno() == Errno::NOENT)
            );
            assert!(
                way(root.as_fd(), c"loop", OFlags::PATH).is_err_and(|fault| fault.errno() == Errno::LOOP)
            );
            let etc = way(root.as_fd(), c"../..//good//..//etc/.", OFlags::PATH).unwrap();
            assert!(same(&etc, &s.0.join("root/etc")));
        }
        assert!(
            open_without_symlinks(root.as_fd(), c"good", OFlags::PATH)
                .is_err_and(|fault| fault.errno() == Errno::LOOP)
        );
        assert!(
            walk_with(root.as_fd(), c"good", OFlags::PATH, Create::Nothing, false)
                .is_err_and(|fault| fault.errno() == Errno::LOOP)
        );
    }

    #[test]
    fn what_is_missing_is_made_inside_even_behind_a_dangling_symlink() {
        let s = Scratch::new("make");
        symlink("/run/resolve/stub.conf", s.0.join("root/etc/resolv.conf")).unwrap();
        let root = s.root();
        let made = walk(root.as_fd(), c"etc/resolv.conf", OFlags::PATH, Create::File).unwrap();
        assert!(same(&made, &s.0.join("root/run/resolve/stub.conf")));
        let made =
            walk(root.as_fd(), c"a/b/../c", OFlags::PATH | OFlags::DIRECTORY, Create::Directory).unwrap();
        assert!(same(&made, &s.0.join("root/a/c")));
        assert!(!s.0.join("outside/run").exists() && !std::path::Path::new("/run/resolve").exists());
    }

    #[test]
    fn a_file_is_reopened_with_the_flags_asked_for() {
        let s = Scratch::new("flags");
        std::fs::write(s.0.join("root/etc/passwd"), "x").unwrap();
        let root = s.root();
        let file = walk(root.as_fd(), c"/etc/passwd", OFlags::RDONLY, Create::Nothing).unwrap();
        let mut byte = [0u8; 4];
        assert_eq!(rustix::io::read(&file, &mut byte[..]), Ok(1));
        assert!(
            walk(root.as_fd(), c"etc/passwd", OFlags::PATH | OFlags::DIRECTORY, Create::Nothing)
                .is_err_and(|fault| fault.errno() == Errno::NOTDIR)
        );
    }
}
