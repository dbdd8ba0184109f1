//! A moment as text.

use super::text::{Padded, Put, Sink};

/// Seconds since 1970, and nanoseconds where they are shown: `2026-11-23T22:12:00Z` or `2026-11-23T22:12:00.000000001Z`
/// (RFC 3339).
#[derive(Clone, Copy)]
pub struct Date(pub u64, pub Option<u32>);

impl Put for Date {
    fn put(&self, to: &mut dyn Sink) {
        let second = (self.0 % 86_400) as u32;
        let mut days = (self.0 / 86_400) as u32;
        let (mut year, mut month) = (1970u32, 1u32);
        loop {
            // of the years that 100 divides, only those that 400 divides
            let leap = year % 4 == 0 && (year % 25 != 0 || year % 16 == 0);
            let length = match month {
                2 => 28 + u32::from(leap),
                // 31 and 30 in turn, anew from August
                _ => 30 + ((month + month / 8) & 1),
            };
            if days < length {
                break;
            }
            days -= length;
            month += 1;
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        let parts = [year, month, days + 1, second / 3600, second / 60 % 60, second % 60];
        for (part, mark) in parts.iter().zip(b"--T::.") {
            Padded(u64::from(*part), 2).put(to);
            if *mark != b'.' || self.1.is_some() {
                to.push(&[*mark]);
            }
        }
        if let Some(nanoseconds) = self.1 {
            Padded(u64::from(nanoseconds), 9).put(to);
        }
        to.push(b"Z");
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
