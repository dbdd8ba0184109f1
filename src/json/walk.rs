//! Steps over JSON text that [`super::scan`] has found valid: members, items, whole values, escapes.
//!
//! Invariant: nothing here checks grammar. On text that was not scanned the answers are meaningless, but every step still
//! ends inside the slice and nothing panics. No recursion.

use core::ops::Range;

/// A place in scanned text.
#[derive(Clone, Copy)]
pub struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Cursor<'t> {
    /// The first token at or after `at`; blanks, commas and colons are passed over.
    pub fn new(text: &'t [u8], at: usize) -> Self {
        let mut cursor = Cursor { text, at };
        cursor.settle();
        cursor
    }

    /// The offset of the token, in bytes.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The first byte of the token; `None` at the end of the text.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn settle(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') = self.peek() {
            self.at += 1;
        }
    }

    /// The token here: a string's raw text without its quotes, a number's or literal's text, or a single bracket.
    pub fn token(&self) -> &'t [u8] {
        let rest = self.text.get(self.at..).unwrap_or(&[]);
        match rest.split_first() {
            Some((b'"', inner)) => inner.get(..closing_quote(inner)).unwrap_or(inner),
            Some((b'{' | b'[' | b'}' | b']', _)) => rest.get(..1).unwrap_or(rest),
            _ => {
                let ends = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'}' | b']');
                let end = rest.iter().position(ends).unwrap_or(rest.len());
                rest.get(..end).unwrap_or(rest)
            }
        }
    }

    /// Where the token lies, a string's quotes included.
    pub fn span(&self) -> Range<usize> {
        let len = self.token().len();
        let whole = if self.peek() == Some(b'"') { len.saturating_add(2) } else { len.max(1) };
        self.at..self.at.saturating_add(whole).min(self.text.len())
    }

    /// Past one token.
    pub fn step(&mut self) {
        self.at = self.span().end;
        self.settle();
    }

    /// Past the value here, with all that is in it.
    pub fn skip(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.step();
            if depth == 0 {
                break;
            }
        }
    }

    /// Whether the list or object that the cursor is in ends here.
    pub fn ends(&self) -> bool {
        matches!(self.peek(), None | Some(b'}' | b']'))
    }
}

/// How many items or members the list or object at `at` has. Time is linear in its text.
pub fn count(text: &[u8], at: usize) -> usize {
    let mut cursor = Cursor::new(text, at);
    let keyed = cursor.peek() == Some(b'{');
    cursor.step();
    let mut count = 0usize;
    while !cursor.ends() {
        if keyed {
            cursor.step();
        }
        cursor.skip();
        count += 1;
    }
    count
}

/// The length of a string's raw text, `text` starting behind the opening quote.
fn closing_quote(text: &[u8]) -> usize {
    let mut at = 0usize;
    loop {
        match text.get(at) {
            None => return text.len(),
            Some(b'"') => return at,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// The bytes that a string's raw text stands for, escapes and surrogate pairs resolved.
#[derive(Clone)]
pub struct Unescape<'t> {
    rest: &'t [u8],
    /// Bytes of a code point that are still to be given, first in the low byte; never zero while `left` is not.
    pending: u32,
    left: u8,
}

impl<'t> Unescape<'t> {
    /// Of `raw`, the text between the quotes.
    pub fn new(raw: &'t [u8]) -> Self {
        Unescape { rest: raw, pending: 0, left: 0 }
    }

    fn take(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn unit(&mut self) -> u32 {
        let mut unit = 0u32;
        for _ in 0..4 {
            unit = unit << 4 | self.take().and_then(hex).unwrap_or(0);
        }
        unit
    }

    fn code_point(&mut self) -> u32 {
        let first = self.unit();
        if !(0xd800..0xdc00).contains(&first) {
            return first;
        }
        // the scan lets a high surrogate stand only before \u and a low one
        self.rest = self.rest.get(2..).unwrap_or(&[]);
        0x10000u32.saturating_add((first & 0x3ff) << 10 | self.unit() & 0x3ff)
    }

    fn encode(&mut self, c: u32) -> u8 {
        let tail = |shift: u32| 0x80 | c >> shift & 0x3f;
        let (first, pending, left) = match c {
            0..0x80 => (c, 0, 0),
            0x80..0x800 => (0xc0 | c >> 6, tail(0), 1),
            0x800..0x10000 => (0xe0 | c >> 12, tail(6) | tail(0) << 8, 2),
            _ => (0xf0 | c >> 18, tail(12) | tail(6) << 8 | tail(0) << 16, 3),
        };
        self.pending = pending;
        self.left = left;
        first as u8
    }
}

/// The value of a hexadecimal digit.
pub fn hex(byte: u8) -> Option<u32> {
    (byte as char).to_digit(16)
}

impl Iterator for Unescape<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.left > 0 {
            self.left -= 1;
            let byte = self.pending as u8;
            self.pending >>= 8;
            return Some(byte);
        }
        let byte = self.take()?;
        if byte != b'\\' {
            return Some(byte);
        }
        Some(match self.take()? {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let c = self.code_point();
                self.encode(c)
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(raw: &str) -> String {
        String::from_utf8(Unescape::new(raw.as_bytes()).collect()).expect("UTF-8")
    }

    #[test]
    fn resolves_every_escape() {
        assert_eq!(plain(r#"\"\\\/\b\f\n\r\t"#), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(plain(r"a\u0041\u00e9\u20ac\ud83d\ude00z"), "aA\u{e9}\u{20ac}\u{1f600}z");
        assert_eq!(plain(r"\u0000"), "\0");
        assert_eq!(plain("\u{1f600}"), "\u{1f600}");
    }

    #[test]
    fn counts_items_and_members() {
        for (text, want) in [
            ("[]", 0),
            (" [ ] ", 0),
            ("[1]", 1),
            (r#"["a,b", [1,2], {"x":[3,4]}, null]"#, 4),
            ("{}", 0),
            (r#"{"a":{"b":1,"c":[1]} , "d\"}":"]"}"#, 2),
        ] {
            assert_eq!(count(text.as_bytes(), 0), want, "{text}");
        }
        assert_eq!(count(br#"{"a" : [1,2,3]}"#, 4), 3);
    }

    #[test]
    fn ends_inside_text_that_was_never_scanned() {
        for bad in ["", "[", "{\"", "\"\\", "[,,,", "}}}", "\\u12", "[\"a", "{\"a\":"] {
            count(bad.as_bytes(), 0);
            Cursor::new(bad.as_bytes(), 9).skip();
            assert!(Unescape::new(bad.as_bytes()).count() <= bad.len());
        }
    }
}
