//! Resource limits: the words of runtime-spec (config.md, "POSIX process", rlimits) and the numbers of getrlimit(2),
//! which differ between architectures.

use crate::base::words;
use linux_raw_sys::general as n;

/// The words, each with a blank behind it, in the order of [`NUMBERS`].
pub const WORDS: &str = "RLIMIT_AS RLIMIT_CORE RLIMIT_CPU RLIMIT_DATA RLIMIT_FSIZE RLIMIT_LOCKS RLIMIT_MEMLOCK \
    RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_NOFILE RLIMIT_NPROC RLIMIT_RSS RLIMIT_RTPRIO RLIMIT_RTTIME RLIMIT_SIGPENDING \
    RLIMIT_STACK ";

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

/// The word of a number.
pub fn name(number: u32) -> Option<&'static str> {
    Some(words::nth(WORDS, NUMBERS.iter().position(|n| *n == number)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_every_limit_once() {
        assert_eq!(words::iter(WORDS).count(), 16);
        for i in 0..16 {
            assert_eq!(name(i).and_then(|word| number(word.as_bytes())), Some(i));
        }
        assert_eq!(number(b"RLIMIT_NOFILE"), Some(n::RLIMIT_NOFILE));
        assert_eq!(name(n::RLIMIT_STACK), Some("RLIMIT_STACK"));
        assert_eq!((number(b"NOFILE"), number(b"RLIMIT_nofile"), name(16)), (None, None, None));
    }
}
