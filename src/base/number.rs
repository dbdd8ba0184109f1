//! Numbers read from text, strictly: no sign unless asked for, no blanks, no overflow.

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
}
