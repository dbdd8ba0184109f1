//! Signals: the names of signal(7) without SIG, at the place of their number, and real-time ones as RTMIN+n and RTMAX-n.

use crate::base::number;
use crate::base::words;

/// The names, each with a blank behind it; the first has number 1. The numbers are those of every architecture of hull's.
pub const WORDS: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP \
    TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS ";

/// Names beside those, and what they stand for.
const OTHERS: &str = "IOT CLD POLL UNUSED ";
const STAND_FOR: [u8; 4] = [6, 17, 29, 31];

/// The first real-time signal that a C library leaves to programs, and the last.
const REAL_TIME: (u64, u64) = (34, 64);

/// The number of a signal by number or name, with or without SIG, in any case; `None` for any other text.
pub fn number(text: &[u8]) -> Option<u8> {
    if text.first()?.is_ascii_digit() {
        return number::decimal(text, REAL_TIME.1).filter(|n| *n > 0).map(|n| n as u8);
    }
    let mut upper = heapless::Vec::<u8, 16>::new();
    for byte in text {
        upper.push(byte.to_ascii_uppercase()).ok()?;
    }
    let name = upper.strip_prefix(b"SIG").unwrap_or(&upper);
    if let Some(place) = words::position(WORDS, name) {
        return u8::try_from(place + 1).ok();
    }
    if let Some(place) = words::position(OTHERS, name) {
        return STAND_FOR.get(place).copied();
    }
    let (low, high) = REAL_TIME;
    let most = high - low;
    let found = match (name.strip_prefix(b"RTMIN"), name.strip_prefix(b"RTMAX")) {
        (Some(b""), _) => low,
        (_, Some(b"")) => high,
        (Some(rest), _) => low + number::decimal(rest.strip_prefix(b"+")?, most)?,
        (_, Some(rest)) => high - number::decimal(rest.strip_prefix(b"-")?, most)?,
        _ => return None,
    };
    Some(found as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_raw_sys::general as n;

    #[test]
    fn names_and_numbers_in_every_form() {
        for (text, want) in [
            ("9", n::SIGKILL),
            ("KILL", n::SIGKILL),
            ("SIGKILL", n::SIGKILL),
            ("sigkill", n::SIGKILL),
            ("term", n::SIGTERM),
            ("WINCH", n::SIGWINCH),
            ("SIGSYS", n::SIGSYS),
            ("IOT", n::SIGABRT),
            ("CLD", n::SIGCHLD),
            ("SIGPOLL", n::SIGIO),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmax-1", 63),
            ("SIGRTMAX", 64),
            ("64", 64),
        ] {
            assert_eq!(number(text.as_bytes()).map(u32::from), Some(want), "{text}");
        }
        for bad in [
            "",
            "0",
            "65",
            "-1",
            "9x",
            "SIG",
            "SIGSIGKILL",
            "KILLED",
            "RTMIN+31",
            "RTMAX-31",
            "RTMIN-1",
            "RTMIN3",
            "KILL ",
        ] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(words::iter(WORDS).count(), 31);
    }
}
