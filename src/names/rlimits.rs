//! Resource limits: the words of runtime-spec (config.md, "POSIX process", rlimits) and the numbers of getrlimit(2),
//! which differ between architectures.

use crate::base::text::{Put, Sink};
use crate::base::words;
use crate::put;
use linux_raw_sys::general as n;

/// The words without their `RLIMIT_`, in the order of [`NUMBERS`].
pub const WORDS: &str = "=RLIMIT_ AS CORE CPU DATA FSIZE LOCKS MEMLOCK \
    MSGQUEUE NICE NOFILE NPROC RSS RTPRIO RTTIME SIGPENDING \
    STACK ";

/// The number of each word.
const NUMBERS: [u32; 16] = [
    n::RLIMIT_AS,
    n::RLIMIT_CORE,
    n::RLIMIT_CPU,
    n::RLIMIT_DATA,
    n::RLIMIT_FSIZE,
    n::RLIMIT_LOCKS,
    n::RLIMIT_MEMLOCK,
    n::RLIMIT_MSGQUEUE,
    n::RLIMIT_NICE,
    n::RLIMIT_NOFILE,
    n::RLIMIT_NPROC,
    n::RLIMIT_RSS,
    n::RLIMIT_RTPRIO,
    n::RLIMIT_RTTIME,
    n::RLIMIT_SIGPENDING,
    n::RLIMIT_STACK,
];

/// The number of a limit; `None` where Linux has none of that name.
pub fn number(word: &[u8]) -> Option<u32> {
    NUMBERS.get(words::position(WORDS, word)?).copied()
}

/// A limit by its number, put as its word.
#[derive(Clone, Copy)]
pub struct Named(pub u32);

impl Put for Named {
    fn put(&self, to: &mut dyn Sink) {
        match NUMBERS.iter().position(|number| *number == self.0) {
            Some(place) => put!(to, "RLIMIT_", words::nth(WORDS, place)),
            None => put!(to, "a resource limit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_every_limit_once() {
        let arena = crate::error::test_arena(16 << 10);
        let shown = |number| crate::compose!(arena, Named(number)).to_vec();
        assert_eq!(words::iter(WORDS).count(), 16);
        for i in 0..16 {
            assert_eq!(number(&shown(i)), Some(i));
        }
        assert_eq!(number(b"RLIMIT_NOFILE"), Some(n::RLIMIT_NOFILE));
        assert_eq!(
            (shown(n::RLIMIT_STACK), shown(16)),
            (b"RLIMIT_STACK".to_vec(), b"a resource limit".to_vec())
        );
        assert_eq!((number(b"NOFILE"), number(b"RLIMIT_nofile")), (None, None));
    }
}
