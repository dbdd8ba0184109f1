//! Errnos as text: name and meaning, as in `EPERM: operation not permitted`.
//!
//! The meanings are those of Go's runtime, in lower case, because engines match on them in runc's errors (`permission
//! denied`, `no such file or directory`). Numbers are those of asm-generic, which every architecture of hull's uses
//! (a test compares them with linux-raw-sys). Two strings instead of a table of pointers: a third of the bytes.

use crate::base::number;
use crate::base::text::{Put, Sink};
use rustix::io::Errno;

/// errno(3) from 1 on, without gaps: name without its E, blank, meaning.
const LOW: &[u8] = concat!(
    "PERM operation not permitted|NOENT no such file or directory|SRCH no such process|",
    "INTR interrupted system call|IO input/output error|NXIO no such device or address|",
    "2BIG argument list too long|NOEXEC exec format error|BADF bad file descriptor|",
    "CHILD no child processes|AGAIN resource temporarily unavailable|NOMEM cannot allocate memory|",
    "ACCES permission denied|FAULT bad address|NOTBLK block device required|",
    "BUSY device or resource busy|EXIST file exists|XDEV invalid cross-device link|",
    "NODEV no such device|NOTDIR not a directory|ISDIR is a directory|INVAL invalid argument|",
    "NFILE too many open files in system|MFILE too many open files|",
    "NOTTY inappropriate ioctl for device|TXTBSY text file busy|FBIG file too large|",
    "NOSPC no space left on device|SPIPE illegal seek|ROFS read-only file system|",
    "MLINK too many links|PIPE broken pipe|DOM numerical argument out of domain|",
    "RANGE numerical result out of range|DEADLK resource deadlock avoided|",
    "NAMETOOLONG file name too long|NOLCK no locks available|NOSYS function not implemented|",
    "NOTEMPTY directory not empty|LOOP too many levels of symbolic links",
)
.as_bytes();

/// The ones beyond that system calls of a container runtime return: number, name, meaning.
const HIGH: &[u8] = concat!(
    "61 NODATA no data available|71 PROTO protocol error|",
    "75 OVERFLOW value too large for defined data type|87 USERS too many users|",
    "90 MSGSIZE message too long|95 OPNOTSUPP operation not supported|",
    "98 ADDRINUSE address already in use|104 CONNRESET connection reset by peer|",
    "105 NOBUFS no buffer space available|110 TIMEDOUT connection timed out|",
    "111 CONNREFUSED connection refused|116 STALE stale file handle|",
    "117 UCLEAN structure needs cleaning|122 DQUOT disk quota exceeded|",
    "126 NOKEY required key not available",
)
.as_bytes();

/// Name and meaning of `code`, split at their blank.
fn find(code: u32) -> Option<(&'static [u8], &'static [u8])> {
    let place = usize::try_from(code).ok()?.checked_sub(1)?;
    if let Some(text) = LOW.split(|&b| b == b'|').nth(place) {
        return split(text);
    }
    let numbered = |text| {
        let (digits, rest) = split(text)?;
        (number::decimal(digits, 4095) == Some(u64::from(code))).then_some(rest)
    };
    split(HIGH.split(|&b| b == b'|').find_map(numbered)?)
}

fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = text.iter().position(|&b| b == b' ')?;
    Some((text.get(..blank)?, text.get(blank.saturating_add(1)..)?))
}

/// An errno that is put as `NAME: meaning`, or `errno N` where the table has none.
#[derive(Clone, Copy)]
pub struct Named(pub Errno);

impl Put for Named {
    fn put(&self, to: &mut dyn Sink) {
        let code = self.0.raw_os_error();
        match find(code.unsigned_abs()) {
            Some((name, meaning)) => crate::put!(to, "E", name, ": ", meaning),
            None => crate::put!(to, "errno ", code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            (n::ENOKEY, "NOKEY", "required key not available"),
        ] {
            assert_eq!(find(code), Some((name.as_bytes(), meaning.as_bytes())));
        }
        assert_eq!((find(0), find(58), find(4096)), (None, None, None));
    }
}
