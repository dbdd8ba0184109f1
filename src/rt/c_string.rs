//! C strings in slices. `CStr` has both functions, with a search by machine words and errors that nobody reads: ten times
//! the code.
//!
//! What can go wrong: a `CStr` without a NUL would be read beyond its end; both functions find the NUL first.
#![allow(unsafe_code)]

use core::ffi::CStr;

/// The bytes up to the first NUL; `None` where there is none.
pub fn until_nul(bytes: &[u8]) -> Option<&CStr> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    // SAFETY: the slice ends with the first NUL.
    Some(unsafe { CStr::from_bytes_with_nul_unchecked(bytes.get(..=end)?) })
}

/// All of `bytes`; `None` where they do not end with their only NUL.
pub fn whole(bytes: &[u8]) -> Option<&CStr> {
    until_nul(bytes).filter(|text| text.count_bytes().wrapping_add(1) == bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_ends_the_text() {
        assert_eq!(until_nul(b"a\0b\0"), Some(c"a"));
        assert_eq!((until_nul(b"\0"), whole(b"\0"), whole(b"ab\0")), (Some(c""), Some(c""), Some(c"ab")));
        assert_eq!((until_nul(b"ab"), until_nul(b"")), (None, None));
        assert_eq!((whole(b"a\0b\0"), whole(b"ab"), whole(b"")), (None, None, None));
    }
}
