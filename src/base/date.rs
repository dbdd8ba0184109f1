//! A moment as text.

use super::text::{Padded, Put, Sink};
use crate::put;

/// Seconds since 1970, and nanoseconds where they are shown: `2026-11-23T22:12:00Z` or `2026-11-23T22:12:00.000000001Z`
/// (RFC 3339).
#[derive(Clone, Copy)]
pub struct Date(pub u64, pub Option<u32>);

impl Put for Date {
    fn put(&self, to: &mut dyn Sink) {
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // civil date from days: years are counted from March, so that the leap day comes last
        let day = days + 719_468;
        let (era, of_era) = (day / 146_097, day % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let date = of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Padded(year_of_era + era * 400 + carry, 4).put(to);
        for (before, number) in [
            ("-", month),
            ("-", date),
            ("T", second / 3600),
            (":", second / 60 % 60),
            (":", second % 60),
        ] {
            put!(to, before, Padded(number, 2));
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
