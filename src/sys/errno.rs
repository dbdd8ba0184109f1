//! Errnos as text: name and meaning, as in `EPERM: operation not permitted`.
//!
//! The meanings are those of Go's runtime, in lower case, because engines match on them in runc's errors (`permission
//! denied`, `no such file or directory`). Numbers are those of asm-generic, which every architecture of hull's uses
//! (a test compares them with linux-raw-sys). Two strings instead of a table of pointers: a third of the bytes.

use crate::base::text::{Put, Sink, Template, Templates};
use crate::texts;
use rustix::io::Errno;

/// errno(3) from 1 on, without gaps, then those of [`HIGH`]: name without its E, and meaning.
const TEXTS: Templates = texts![
    "PERM: operation not permitted",
    "NOENT: no such file or directory",
    "SRCH: no such process",
    "INTR: interrupted system call",
    "IO: input/output error",
    "NXIO: no such device or address",
    "2BIG: argument list too long",
    "NOEXEC: exec format error",
    "BADF: bad file descriptor",
    "CHILD: no child processes",
    "AGAIN: resource temporarily unavailable",
    "NOMEM: cannot allocate memory",
    "ACCES: permission denied",
    "FAULT: bad address",
    "NOTBLK: block device required",
    "BUSY: device or resource busy",
    "EXIST: file exists",
    "XDEV: invalid cross-device link",
    "NODEV: no such device",
    "NOTDIR: not a directory",
    "ISDIR: is a directory",
    "INVAL: invalid argument",
    "NFILE: too many open files in system",
    "MFILE: too many open files",
    "NOTTY: inappropriate ioctl for device",
    "TXTBSY: text file busy",
    "FBIG: file too large",
    "NOSPC: no space left on device",
    "SPIPE: illegal seek",
    "ROFS: read-only file system",
    "MLINK: too many links",
    "PIPE: broken pipe",
    "DOM: numerical argument out of domain",
    "RANGE: numerical result out of range",
    "DEADLK: resource deadlock avoided",
    "NAMETOOLONG: file name too long",
    "NOLCK: no locks available",
    "NOSYS: function not implemented",
    "NOTEMPTY: directory not empty",
    "LOOP: too many levels of symbolic links",
    "NODATA: no data available",
    "PROTO: protocol error",
    "OVERFLOW: value too large for defined data type",
    "USERS: too many users",
    "MSGSIZE: message too long",
    "OPNOTSUPP: operation not supported",
    "ADDRINUSE: address already in use",
    "CONNRESET: connection reset by peer",
    "NOBUFS: no buffer space available",
    "TIMEDOUT: connection timed out",
    "CONNREFUSED: connection refused",
    "STALE: stale file handle",
    "UCLEAN: structure needs cleaning",
    "DQUOT: disk quota exceeded",
    "CANCELED: operation canceled",
    "NOKEY: required key not available",
];

/// The last one before the gaps.
const LOW: usize = 40;

/// The ones beyond that system calls of a container runtime return.
const HIGH: [u8; 16] = [61, 71, 75, 87, 90, 95, 98, 104, 105, 110, 111, 116, 117, 122, 125, 126];

/// Name and meaning of `code`.
fn find(code: u32) -> Option<Template> {
    let place = match usize::try_from(code).ok()? {
        low @ ..=LOW => low.checked_sub(1)?,
        high => HIGH.iter().position(|known| usize::from(*known) == high)?.saturating_add(LOW),
    };
    TEXTS.nth(place)
}

/// An errno that is put as `NAME: meaning`, or `errno N` where the table has none.
#[derive(Clone, Copy)]
pub struct Named(pub Errno);

impl Put for Named {
    fn put(&self, to: &mut dyn Sink) {
        let code = self.0.raw_os_error();
        match find(code.unsigned_abs()) {
            Some(text) => crate::put!(to, "E", text),
            None => crate::put!(to, "errno ", code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose;
    use linux_raw_sys::errno as n;

    #[test]
    fn numbers_are_the_kernels() {
        for (code, name, meaning) in [
            (n::EPERM, "PERM", "operation not permitted"),
            (n::ENOENT, "NOENT", "no such file or directory"),
            (n::EACCES, "ACCES", "permission denied"),
            (n::EINVAL, "INVAL", "invalid argument"),
            (n::ERANGE, "RANGE", "numerical result out of range"),
            (n::ENAMETOOLONG, "NAMETOOLONG", "file name too long"),
            (n::ENOSYS, "NOSYS", "function not implemented"),
            (n::ELOOP, "LOOP", "too many levels of symbolic links"),
            (n::EPROTO, "PROTO", "protocol error"),
            (n::EOPNOTSUPP, "OPNOTSUPP", "operation not supported"),
            (n::ECONNRESET, "CONNRESET", "connection reset by peer"),
            (n::ENOBUFS, "NOBUFS", "no buffer space available"),
            (n::EDQUOT, "DQUOT", "disk quota exceeded"),
            (n::ECANCELED, "CANCELED", "operation canceled"),
            (n::ENOKEY, "NOKEY", "required key not available"),
        ] {
            let arena = crate::error::test_arena(16 << 10);
            let named = Named(crate::sys::raw::errno(code as i32));
            assert_eq!(compose!(arena, named), format!("E{name}: {meaning}").as_bytes());
        }
        assert!([0, 58, 4096].iter().all(|code| find(*code).is_none()));
    }
}
