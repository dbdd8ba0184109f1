//! Signals: the names of signal(7) without SIG, at the place of their number, and real-time ones as RTMIN+n and RTMAX-n.

use crate::base::number;
use crate::base::text::copy;
use crate::base::words;

/// The names, each with a blank behind it; the first has number 1. The numbers are those of every architecture of hull's.
pub const WORDS: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP \
    TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS ";

/// Names beside those, and what they stand for. The last two are the first real-time signal that a C library leaves to
/// programs, and the last.
const OTHERS: &str = "IOT CLD POLL UNUSED RTMIN RTMAX ";
const STAND_FOR: [u8; 6] = [6, 17, 29, 31, LOW, HIGH];
const LOW: u8 = 34;
const HIGH: u8 = 64;

/// The number of a signal by number or name, with or without SIG, in any case; `None` for any other text.
pub fn number(text: &[u8]) -> Option<u8> {
    if text.first()?.is_ascii_digit() {
        return number::decimal(text, HIGH.into()).filter(|n| *n > 0).map(|n| n as u8);
    }
    let mut upper = [0u8; 16];
    let upper = copy(&mut upper, text)?;
    upper.make_ascii_uppercase();
    let name = upper.strip_prefix(b"SIG").unwrap_or(upper);
    let sign = name.iter().position(|b| matches!(b, b'+' | b'-')).unwrap_or(name.len());
    let (name, rest) = name.split_at_checked(sign)?;
    let number = match words::position(WORDS, name) {
        Some(place) => u8::try_from(place + 1).ok()?,
        None => *STAND_FOR.get(words::position(OTHERS, name)?)?,
    };
    let Some((sign, rest)) = rest.split_first() else { return Some(number) };
    let away = number::decimal(rest, u64::from(HIGH - LOW))? as u8;
    match (number, sign) {
        (LOW, b'+') => Some(LOW + away),
        (HIGH, b'-') => Some(HIGH - away),
        _ => None,
    }
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
