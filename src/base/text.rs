//! Text without `core::fmt`: words are put into a sink, one after the other.
//!
//! `core::fmt` would bring panic paths and several kilobytes into a binary that counts both.

use crate::rt::message::PLACE;
use crate::rt::packed::{self, Pairs};
use core::ffi::CStr;

pub use crate::rt::message::{Part, Put, Sink, Template, Templates, Word, Words};

/// Puts several words into a sink: `put!(sink, "found ", n, " of ", limit)`.
#[macro_export]
macro_rules! put {
    ($sink:expr, $($words:tt)+) => { $crate::message!({$crate::base::text::put_message} ($sink) $($words)+) };
}

/// Puts a message: its text with the words in their places. Use [`put!`].
#[inline(never)]
pub fn put_message(to: &mut dyn Sink, template: Template, words: Words<'_>) {
    let mut words = words;
    put_packed(packed::COMMON, template.bytes(), &mut words, to);
}

/// Puts bytes of a packed text, and for each place the next word; a pair is a packed text as well.
pub fn put_packed(pairs: &'static Pairs, text: &[u8], words: &mut Words<'_>, to: &mut dyn Sink) {
    for byte in text {
        if let Some(pair) = packed::pair(pairs, *byte) {
            put_packed(pairs, pair, words, to);
        } else if *byte != PLACE {
            to.push(&[*byte]);
        } else if let Some(word) = words.next() {
            word.put(to);
        }
    }
}

impl Put for Part<'_> {
    fn put(&self, to: &mut dyn Sink) {
        match *self {
            Part::Text(text) => to.push(text),
            Part::Quoted(text) => Quoted(text).put(to),
            Part::Number(number) => digits(number, 10, 1, to),
            Part::Signed(number) => {
                if number < 0 {
                    to.push(b"-");
                }
                digits(number.unsigned_abs(), 10, 1, to);
            }
            Part::Other(word) => word.put(to),
        }
    }
}

impl Put for Template {
    fn put(&self, to: &mut dyn Sink) {
        put_message(to, *self, Words::NONE);
    }
}

/// What follows `prefix` in `text`, where it starts with it. One copy of the code, where `strip_prefix` has one for each
/// length of a constant.
pub fn after<'t>(text: &'t [u8], prefix: &[u8]) -> Option<&'t [u8]> {
    text.strip_prefix(prefix)
}

/// A copy of `from` at the front of `room`; `None` where it does not fit. Not by `copy_from_slice`, which can panic for all
/// that the compiler knows.
pub fn copy<'r>(room: &'r mut [u8], from: &[u8]) -> Option<&'r mut [u8]> {
    let front = room.get_mut(..from.len())?;
    for (place, byte) in front.iter_mut().zip(from) {
        *place = *byte;
    }
    Some(front)
}

/// A whole message as a word of another.
#[derive(Clone, Copy)]
pub struct Message<'w>(pub Template, pub Words<'w>);

impl Put for Message<'_> {
    fn put(&self, to: &mut dyn Sink) {
        put_message(to, self.0, self.1);
    }
}

impl Put for Word<'_> {
    fn put(&self, to: &mut dyn Sink) {
        put!(to, *self);
    }

    fn word(&self) -> Word<'_> {
        *self
    }
}

impl<T: Put> Put for &T {
    fn put(&self, to: &mut dyn Sink) {
        (**self).put(to);
    }

    fn word(&self) -> Word<'_> {
        (**self).word()
    }
}

macro_rules! bytes { ($($t:ty, $bytes:ident, $word:expr);+) => { $( impl Put for &$t {
    fn put(&self, to: &mut dyn Sink) { to.push(self.$bytes()); }
    fn word(&self) -> Word<'_> { $word(self) }
} )+ } }
bytes!(str, as_bytes, of_str; [u8], as_ref, Word::text; CStr, to_bytes, Word::c_text);

#[inline(always)]
fn of_str(text: &str) -> Word<'_> {
    Word::text(text.as_bytes())
}

impl Put for &dyn Put {
    fn put(&self, to: &mut dyn Sink) {
        (**self).put(to);
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, to: &mut dyn Sink) {
        if let Some(word) = self {
            word.put(to);
        }
    }

    fn word(&self) -> Word<'_> {
        self.as_ref().map_or(Word::text(b""), Put::word)
    }
}

/// `value` in `radix` (2 to 16), at least `width` digits.
fn digits(mut value: u64, radix: u64, width: usize, to: &mut dyn Sink) {
    let mut buffer = [b'0'; 64];
    let mut used = 0;
    for place in buffer.iter_mut().rev() {
        if value == 0 && used >= width.max(1) {
            break;
        }
        let digit = value.checked_rem(radix).unwrap_or(0) as u8;
        value = value.checked_div(radix).unwrap_or(0);
        *place = if digit < 10 { b'0' + digit } else { b'a' + (digit - 10) };
        used += 1;
    }
    to.push(buffer.get(64usize.saturating_sub(used)..).unwrap_or(&[]));
}

macro_rules! unsigned { ($($t:ty),+) => { $( impl Put for $t {
    fn put(&self, to: &mut dyn Sink) { put!(to, self); }
    fn word(&self) -> Word<'_> { Word::number(*self as u64) }
} )+ } }
macro_rules! signed { ($($t:ty),+) => { $( impl Put for $t {
    fn put(&self, to: &mut dyn Sink) { put!(to, self); }
    fn word(&self) -> Word<'_> { Word::signed(*self as i64) }
} )+ } }
unsigned!(u8, u16, u32, u64, usize);
signed!(i32, i64, isize);

/// A number in octal, with one leading zero.
#[derive(Clone, Copy)]
pub struct Octal(pub u32);
impl Put for Octal {
    fn put(&self, to: &mut dyn Sink) {
        to.push(b"0");
        digits(u64::from(self.0), 8, 1, to);
    }
}

/// A number in hexadecimal, with `0x`.
#[derive(Clone, Copy)]
pub struct Hex(pub u64);
impl Put for Hex {
    fn put(&self, to: &mut dyn Sink) {
        to.push(b"0x");
        digits(self.0, 16, 1, to);
    }
}

/// A number with leading zeros up to `.1` digits.
#[derive(Clone, Copy)]
pub struct Padded(pub u64, pub usize);
impl Put for Padded {
    fn put(&self, to: &mut dyn Sink) {
        digits(self.0, 10, self.1, to);
    }
}

/// A single byte, for separators.
#[derive(Clone, Copy)]
pub struct Byte(pub u8);
impl Put for Byte {
    fn put(&self, to: &mut dyn Sink) {
        to.push(&[self.0]);
    }
}

/// Bytes in double quotes, escaped as in JSON, so that a hostile name can neither end the line nor colour a terminal.
/// Bytes from 0x80 up pass as they are.
#[derive(Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);
impl Put for Quoted<'_> {
    fn put(&self, to: &mut dyn Sink) {
        to.push(b"\"");
        put_escaped(self.0, to);
        to.push(b"\"");
    }

    fn word(&self) -> Word<'_> {
        Word::quoted(self.0)
    }
}

/// The inner text of [`Quoted`], which is also that of a JSON string where `text` is UTF-8.
pub fn put_escaped(text: &[u8], to: &mut dyn Sink) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\' || b == 0x7f) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        to.push(plain);
        let Some((&byte, after)) = tail.split_first() else { break };
        match byte {
            b'"' => to.push(b"\\\""),
            b'\\' => to.push(b"\\\\"),
            b'\n' => to.push(b"\\n"),
            b'\t' => to.push(b"\\t"),
            b'\r' => to.push(b"\\r"),
            other => {
                to.push(b"\\u");
                digits(u64::from(other), 16, 4, to);
            }
        }
        rest = after;
    }
    to.push(rest);
}

/// A C string in quotes, as [`Quoted`].
#[derive(Clone, Copy)]
pub struct QuotedC<'a>(&'a CStr);
impl Put for QuotedC<'_> {
    fn put(&self, to: &mut dyn Sink) {
        Quoted(self.0.to_bytes()).put(to);
    }

    fn word(&self) -> Word<'_> {
        Word::c_quoted(self.0)
    }
}

/// Quotes a C string: see [`Quoted`].
pub fn quoted(text: &CStr) -> QuotedC<'_> {
    QuotedC(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Collect(Vec<u8>);
    impl Sink for Collect {
        fn push(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }
    fn shown(word: &dyn Put) -> String {
        let mut c = Collect(Vec::new());
        word.put(&mut c);
        String::from_utf8(c.0).expect("text")
    }

    #[test]
    fn numbers_at_their_limits() {
        assert_eq!(shown(&u64::MAX), "18446744073709551615");
        assert_eq!(shown(&i64::MIN), "-9223372036854775808");
        assert_eq!(shown(&0u8), "0");
        assert_eq!(shown(&Octal(0o755)), "0755");
        assert_eq!(shown(&Hex(0xdead)), "0xdead");
        assert_eq!(shown(&Padded(7, 3)), "007");
    }

    #[test]
    fn quoting_keeps_hostile_names_on_one_line() {
        assert_eq!(shown(&Quoted(b"a\"b\\c\n\x1b[31m\x7f")), "\"a\\\"b\\\\c\\n\\u001b[31m\\u007f\"");
        assert_eq!(shown(&Quoted(b"")), "\"\"");
    }
}
