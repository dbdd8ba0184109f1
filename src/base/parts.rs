//! Text cut at a byte: lines, fields, words. One iterator for all; `slice::split` makes a new one for every closure.

use super::text::after;

/// The parts of a text between a byte; from [`parts`]. Empty ones count.
#[derive(Clone)]
pub struct Parts<'t> {
    rest: Option<&'t [u8]>,
    at: u8,
}

/// The parts of `text` between the bytes `at`: one more than there are such bytes.
pub const fn parts(text: &[u8], at: u8) -> Parts<'_> {
    Parts { rest: Some(text), at }
}

/// The lines of `text`.
pub const fn lines(text: &[u8]) -> Parts<'_> {
    parts(text, b'\n')
}

/// What follows `start` in the first line that begins so.
pub fn line_after<'t>(text: &'t [u8], start: &[u8]) -> Option<&'t [u8]> {
    lines(text).find_map(|line| after(line, start))
}

impl<'t> Parts<'t> {
    /// Everything behind the part that came last.
    pub fn rest(self) -> Option<&'t [u8]> {
        self.rest
    }

    /// The part `skipped` places on.
    #[inline(never)]
    pub fn skip_to(&mut self, skipped: usize) -> Option<&'t [u8]> {
        for _ in 0..skipped {
            self.next()?;
        }
        self.next()
    }
}

impl<'t> Iterator for Parts<'t> {
    type Item = &'t [u8];

    #[inline(never)]
    fn next(&mut self) -> Option<&'t [u8]> {
        let text = self.rest?;
        let end = text.iter().position(|&byte| byte == self.at);
        self.rest = end.and_then(|end| text.get(end.saturating_add(1)..));
        text.get(..end.unwrap_or(text.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_as_split_does() {
        for text in [&b""[..], b":", b"a", b"a:b", b":a::b:"] {
            assert!(parts(text, b':').eq(text.split(|&b| b == b':')));
        }
        let mut fields = parts(b"a b c d e", b' ');
        assert_eq!((fields.skip_to(1), fields.skip_to(1)), (Some(&b"b"[..]), Some(&b"d"[..])));
        assert_eq!((fields.clone().rest(), fields.skip_to(9)), (Some(&b"e"[..]), None));
        assert_eq!(line_after(b"x: 1\ny: 2", b"y: "), Some(&b"2"[..]));
    }
}
