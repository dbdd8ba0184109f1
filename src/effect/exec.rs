//! The last steps: working directory, HOME, descriptors, exec.

use super::inside::Inside;
use super::procfs;
use super::resolve::{self, Create};
use super::{Fault, Hint, Outcome, call};
use crate::base::number;
use crate::base::parts::{lines, parts};
use crate::c_join;
use crate::plan::op::Exec;
use crate::rt::arena::Arena;
use crate::sys::{descriptor, directory, limit, open, process};
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{self, CWD, FileType, OFlags};
use rustix::io::Errno;

/// Bytes of /etc/passwd that are looked at.
const PASSWD_LIMIT: usize = 1 << 20;

/// Changes to `path` inside the container, making it where it is missing (as runc does), and checks that it really lies
/// inside: a leaked directory descriptor could make it a path to the host (CVE-2024-21626).
///
/// # Errors
/// As chdir(2), mkdirat(2); ENOENT with a hint where the directory is outside the root.
pub fn working_directory(inside: &mut Inside<'_, '_>, path: &CStr) -> Outcome<()> {
    inside.moved();
    match rustix::process::chdir(path) {
        Err(Errno::NOENT) => {
            let made = resolve::walk(inside.root, path, OFlags::PATH | OFlags::DIRECTORY, Create::Directory)?;
            call::change_directory(made.as_fd())?;
        }
        other => other?,
    }
    match directory::current(inside.arena) {
        Ok(text) if text.to_bytes().first() == Some(&b'/') => Ok(()),
        // longer than PATH_MAX, so it begins at a root like any other path that the kernel could not print
        _ => Err(Fault::new(Errno::NOENT, Hint::OutsideRoot)),
    }
}

/// Looks for the program and remembers where it is, as the user that it will run as.
///
/// # Errors
/// ENOENT with a hint where PATH has none, EACCES where it may not be executed, EISDIR.
pub fn find<'a>(inside: &mut Inside<'a, '_>, exec: &Exec<'a>) -> Outcome<()> {
    let Some(&program) = exec.args.first() else { return Err(Errno::INVAL.into()) };
    if program.to_bytes().contains(&b'/') {
        inside.program = Some(program);
        return Ok(executable(program)?);
    }
    let mut denied = false;
    for directory in exec.path.map_or(&[][..], CStr::to_bytes).split(|&b| b == b':').filter(|d| !d.is_empty())
    {
        let candidate = c_join!(inside.arena, directory, "/", program)?;
        match executable(candidate) {
            Ok(()) => {
                inside.program = Some(candidate);
                return Ok(());
            }
            Err(Errno::ACCESS | Errno::ISDIR) => denied = true,
            Err(_) => {}
        }
    }
    Err(if denied { Errno::ACCESS.into() } else { Fault::new(Errno::NOENT, Hint::NotInPath) })
}

/// Whether this process may execute a file, by its effective ids.
fn executable(path: &CStr) -> Result<(), Errno> {
    if FileType::from_raw_mode(fs::stat(path)?.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    // uid and gid are those of the program by now, real and effective
    fs::access(path, fs::Access::EXEC_OK)
}

/// Makes all ready for [`exec`], after which nothing but that call is needed.
///
/// # Errors
/// Of a full arena, of reading /etc/passwd; as close_range(2), rt_sigprocmask(2).
pub fn prepare<'a>(inside: &mut Inside<'a, '_>, exec: &Exec<'a>) -> Outcome<()> {
    let arena = inside.arena;
    let home = match exec.home {
        Some(uid) => Some(c_join!(arena, "HOME=", home_of(inside, uid)?)?),
        None => None,
    };
    let count = exec.env.len().saturating_add(1);
    let envp = process::Vector::new(arena, count, exec.env.iter().copied().chain(home))?;
    let argv = process::Vector::new(arena, exec.args.len(), exec.args.iter().copied())?;
    let first = exec.preserve_fds.saturating_add(3);
    match descriptor::close_on_exec_from(first) {
        Err(fault) if fault.is_missing() => close_each(first)?,
        other => other?,
    }
    process::unblock_signals()?;
    inside.vectors = Some([argv, envp]);
    Ok(())
}

/// Executes the program. Returns only on failure.
pub fn exec<'a>(inside: &Inside<'a, '_>, exec: &Exec<'a>) -> Fault {
    let (Some([argv, envp]), Some(&program)) = (&inside.vectors, exec.args.first()) else {
        return Errno::INVAL.into();
    };
    match inside.program {
        Some(found) => process::execve(found, argv, envp).into(),
        None if program.to_bytes().contains(&b'/') => process::execve(program, argv, envp).into(),
        None => match search(inside, program, exec.path, argv, envp) {
            Ok(fault) | Err(fault) => fault,
        },
    }
}

pub(super) fn close_each(first: u32) -> Outcome<()> {
    let most = u32::try_from(limit::open_files()?).unwrap_or(1 << 20).min(1 << 20);
    descriptor::close_on_exec_each(first, most)
}

/// Tries `program` in each directory of PATH. As in execvp(3), a file that may not be executed is remembered, and the
/// search goes on.
fn search(
    inside: &Inside<'_, '_>,
    program: &CStr,
    path: Option<&CStr>,
    argv: &process::Vector<'_>,
    envp: &process::Vector<'_>,
) -> Outcome<Fault> {
    let mut denied = false;
    for directory in parts(path.map_or(&[][..], CStr::to_bytes), b':') {
        // an empty entry means the working directory to a shell; Go, and so runc, does not execute from there
        if directory.is_empty() {
            continue;
        }
        let candidate = c_join!(inside.arena, directory, "/", program)?;
        match process::execve(candidate, argv, envp) {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP => {}
            Errno::ACCESS => denied = true,
            other => return Ok(other.into()),
        }
    }
    Ok(if denied { Errno::ACCESS.into() } else { Fault::new(Errno::NOENT, Hint::NotInPath) })
}

/// The home directory of `uid` in the container's /etc/passwd; `/` where there is none, as runc has it, or the image has
/// something in its place that can't be read. A user by the
/// name of a number is nobody here: only the third field counts (CVE-2016-3697).
fn home_of<'a>(inside: &Inside<'a, '_>, uid: u32) -> Outcome<&'a CStr> {
    let text = match passwd(inside.arena) {
        Err(fault) if is_the_images(fault.errno()) => return Ok(c"/"),
        other => other?,
    };
    match field_of(uid, 5, text) {
        Some(home) => Ok(inside.arena.c_str(home)?),
        None => Ok(c"/"),
    }
}

/// The text of /etc/passwd. Never blocks: a FIFO in an image's place of the file is read as empty.
///
/// # Errors
/// As open(2), read(2); EFBIG.
pub fn passwd<'a>(arena: &Arena<'a>) -> Outcome<&'a [u8]> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    procfs::read_all(arena, open::open(CWD, c"/etc/passwd", flags)?.as_fd(), PASSWD_LIMIT)
}

/// Field `n`, from 0, of user `uid` in a passwd(5); an empty one, or with a NUL, is none.
#[inline(never)]
pub fn field_of(uid: u32, n: usize, passwd: &[u8]) -> Option<&[u8]> {
    for line in lines(passwd) {
        let mut fields = parts(line, b':');
        let found = fields.skip_to(2).and_then(|field| number::decimal(field, u64::from(u32::MAX)));
        if found == Some(u64::from(uid))
            && let Some(text) =
                parts(line, b':').skip_to(n).filter(|text| !text.is_empty() && !text.contains(&0))
        {
            return Some(text);
        }
    }
    None
}

/// What comes of a file's absence, kind, size or mode; anything else is trouble of the machine.
fn is_the_images(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOENT
            | Errno::NOTDIR
            | Errno::ISDIR
            | Errno::LOOP
            | Errno::ACCESS
            | Errno::AGAIN
            | Errno::NXIO
            | Errno::INVAL
            | Errno::FBIG
    )
}
