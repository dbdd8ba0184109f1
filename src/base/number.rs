//! Numbers read from text, strictly: no sign unless asked for, no blanks, no overflow.

use super::parts::parts;

/// A decimal number of at most `limit`; `None` for anything else (empty, signs, blanks, letters, too large).
pub fn decimal(text: &[u8], limit: u64) -> Option<u64> {
    radix(text, 10, limit)
}

/// An octal number of at most `limit`, with or without leading zeros.
pub fn octal(text: &[u8], limit: u64) -> Option<u64> {
    radix(text, 8, limit)
}

fn radix(text: &[u8], base: u64, limit: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for byte in text {
        let digit = u64::from(byte.checked_sub(b'0')?);
        if digit >= base {
            return None;
        }
        value = value.checked_mul(base)?.checked_add(digit)?;
    }
    (value <= limit).then_some(value)
}

/// The most CPUs that Linux can be built for (NR_CPUS), and more than it has memory nodes.
pub const MOST_IN_LIST: usize = 8192;

/// Sets the bit of each number of a list such as `0-3,7` (cpuset(7), "List format"), as far as `bits` reaches; whether it is
/// such a list, of at least one number. As in runc there may be blanks around an item, and empty items count for nothing.
#[inline(never)]
pub fn mask(text: &[u8], bits: &mut [usize]) -> bool {
    let mut any = false;
    for item in parts(text, b',') {
        let item = item.trim_ascii();
        if item.is_empty() {
            continue;
        }
        let Some((mut number, last)) = range(item) else { return false };
        any = true;
        while number <= last {
            if let Some(word) = bits.get_mut(number / usize::BITS as usize) {
                *word |= 1usize.wrapping_shl(number as u32);
            }
            number += 1;
        }
    }
    any
}

#[inline(never)]
fn range(item: &[u8]) -> Option<(usize, usize)> {
    let mut ends = parts(item, b'-');
    let first = decimal(ends.next()?, MOST_IN_LIST as u64 - 1)?;
    let last = ends.rest().map_or(Some(first), |last| decimal(last, MOST_IN_LIST as u64 - 1))?;
    (first <= last).then_some((first as usize, last as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_digits_only() {
        assert_eq!(decimal(b"0", 9), Some(0));
        assert_eq!(decimal(b"18446744073709551615", u64::MAX), Some(u64::MAX));
        for bad in [&b""[..], b"-1", b"+1", b" 1", b"1 ", b"0x1", b"18446744073709551616", b"1e3"] {
            assert_eq!(decimal(bad, u64::MAX), None);
        }
        assert_eq!(decimal(b"10", 9), None);
        assert_eq!(octal(b"0755", 0o7777), Some(0o755));
        assert_eq!(octal(b"8", 99), None);
    }

    #[test]
    fn reads_lists_of_numbers() {
        let set = |text: &[u8]| {
            let mut bits = [0; 2];
            mask(text, &mut bits).then(|| {
                let set = |n: &usize| bits[n / usize::BITS as usize] >> (n % usize::BITS as usize) & 1 == 1;
                (0..2 * usize::BITS as usize).filter(set).collect::<Vec<_>>()
            })
        };
        assert_eq!(set(b"0-3,7"), Some(vec![0, 1, 2, 3, 7]));
        assert_eq!(set(b" 2 ,, 8191,65-66 ,"), Some(vec![2, 65, 66]));
        for bad in [
            &b""[..],
            b",",
            b"3-1",
            b"-1",
            b"1-",
            b"1-2-3",
            b"a",
            b"0 - 3",
            b"8192",
            b"1 2",
            b"0-3:2",
            b"1,x",
        ] {
            assert_eq!(set(bad), None, "{bad:?}");
        }
    }
}
