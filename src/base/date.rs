//! A moment as text.

use super::text::{Padded, Put, Sink};
use crate::put;

/// Seconds since 1970, and nanoseconds where they are shown: `2026-11-23T22:12:00Z` or `2026-11-23T22:12:00.000000001Z`
/// (RFC 3339).
#[derive(Clone, Copy)]
pub struct Date(pub u64, pub Option<u32>);

impl Put for Date {
    fn put(&self, to: &mut dyn Sink) {
        let second = (self.0 % 86_400) as u32;
        let mut days = (self.0 / 86_400) as u32;
        let mut year = 1970;
        let leap = loop {
            let leap = u32::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
            if days < 365 + leap {
                break leap;
            }
            days -= 365 + leap;
            year += 1;
        };
        let mut month = 1;
        for beyond in [3, leap, 3, 2, 3, 2, 3, 3, 2, 3, 2] {
            if days < 28 + beyond {
                break;
            }
            days -= 28 + beyond;
            month += 1;
        }
        let parts = [year, month, days + 1, second / 3600, second / 60 % 60, second % 60];
        for (part, mark) in parts.iter().zip(["", "-", "-", "T", ":", ":"]) {
            put!(to, mark, Padded(u64::from(*part), 2));
        }
        if let Some(nanoseconds) = self.1 {
            put!(to, ".", Padded(u64::from(nanoseconds), 9));
        }
        put!(to, "Z");
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
