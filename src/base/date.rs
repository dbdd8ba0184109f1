//! A moment as text.

use super::text::{Byte, Padded, Put, Sink};
use crate::put;

/// Seconds since 1970, and nanoseconds where they are shown: `2026-11-23T22:12:00Z` or `2026-11-23T22:12:00.000000001Z`
/// (RFC 3339).
#[derive(Clone, Copy)]
pub struct Date(pub u64, pub Option<u32>);

/// Days of the months but the last, in a year without a leap day.
const LENGTHS: &[u8; 11] = &[31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30];

impl Put for Date {
    fn put(&self, to: &mut dyn Sink) {
        let second = (self.0 % 86_400) as u32;
        let mut days = (self.0 / 86_400) as u32;
        let mut year = 1970;
        let leap = loop {
            // of the years that 100 divides, only those that 400 divides
            let leap = u32::from(year % 4 == 0 && (year % 25 != 0 || year % 16 == 0));
            if days < 365 + leap {
                break leap;
            }
            days -= 365 + leap;
            year += 1;
        };
        let mut month = 1;
        for length in LENGTHS {
            let length = u32::from(*length) + if month == 2 { leap } else { 0 };
            if days < length {
                break;
            }
            days -= length;
            month += 1;
        }
        let mut part = |value: u32, mark| {
            Padded(u64::from(value), 2).put(to);
            Byte(mark).put(to);
        };
        part(year, b'-');
        part(month, b'-');
        part(days + 1, b'T');
        part(second / 3600, b':');
        part(second / 60 % 60, b':');
        let mark = if self.1.is_some() { b'.' } else { b'Z' };
        part(second % 60, mark);
        if let Some(nanoseconds) = self.1 {
            put!(to, Padded(u64::from(nanoseconds), 9), "Z");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose;

    #[test]
    fn dates_are_civil() {
        let arena = crate::error::test_arena(1 << 15);
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_471_983, "2026-11-23T22:13:03Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(compose!(arena, Date(seconds, None)), text.as_bytes());
        }
        assert_eq!(compose!(arena, Date(1, Some(20))), b"1970-01-01T00:00:01.000000020Z");
    }
}
