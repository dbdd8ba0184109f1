//! The strict pre-scan: whether a byte slice is JSON as RFC 8259 has it, before anything reads it.
//!
//! What passes is valid UTF-8 with one value, nested at most [`DEPTH`] deep, every escape and number well formed and every
//! surrogate paired. What reads behind it ([`super::walk`], [`super::read`], which recurses) leans on that and checks no
//! grammar. Must not do: recurse, allocate, or look at what the values mean.

use super::walk::hex;
use crate::base::text::Template;
use crate::text;

/// How deep lists and objects may nest.
pub const DEPTH: u32 = 128;

/// What is wrong with the text, and where.
#[derive(Clone, Copy, Debug)]
pub struct Flaw {
    /// Offset in bytes of the first byte that can't stand where it is; the length of the text at its end.
    pub at: usize,
    /// What stands there, where it has a name; else empty, and it is the single character.
    pub found: Template,
    /// What may stand there.
    pub expected: Template,
}

const BYTE_ORDER_MARK: Flaw =
    Flaw { at: 0, found: text!("a UTF-8 byte order mark"), expected: text!("JSON without one") };

/// Where the scan stands between two tokens.
#[derive(Clone, Copy)]
enum State {
    /// A value must follow.
    Value,
    /// Behind `[`.
    FirstItem,
    /// Behind `{`.
    FirstKey,
    /// Behind a comma in an object.
    Key,
    /// Behind a key.
    Colon,
    /// Behind a value.
    After,
}

/// Checks all of `text`.
///
/// # Errors
/// The first flaw in the order of the text.
pub fn scan(text: &[u8]) -> Result<(), Flaw> {
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(BYTE_ORDER_MARK);
    }
    let grammar = Scan { text, at: 0, depth: 0, objects: 0 }.document();
    match (core::str::from_utf8(text), grammar) {
        (Ok(_), grammar) => grammar,
        (Err(bad), Err(flaw)) if flaw.at < bad.valid_up_to() => Err(flaw),
        (Err(bad), _) => {
            Err(Flaw { at: bad.valid_up_to(), found: text!("a stray byte"), expected: text!("UTF-8") })
        }
    }
}

struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    depth: u32,
    /// One bit a level, the innermost in bit 0: 1 is an object, 0 a list.
    objects: u128,
}

type Step<T> = Result<T, Flaw>;

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn expected<T>(&self, expected: Template) -> Step<T> {
        Err(Flaw { at: self.at, found: text!(""), expected })
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn document(mut self) -> Step<()> {
        let mut state = State::Value;
        loop {
            while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
                self.advance();
            }
            state = match (state, self.peek()) {
                (State::After, None) if self.depth == 0 => return Ok(()),
                (State::After, _) if self.depth == 0 => return self.expected(text!("nothing more")),
                (State::After, Some(b',')) => {
                    self.advance();
                    if self.in_object() { State::Key } else { State::Value }
                }
                (State::FirstItem, Some(b']')) => self.leave(),
                (State::FirstKey, Some(b'}')) => self.leave(),
                (State::After, Some(b']')) if !self.in_object() => self.leave(),
                (State::After, Some(b'}')) if self.in_object() => self.leave(),
                (State::After, _) if self.in_object() => return self.expected(text!("\",\" or \"}\"")),
                (State::After, _) => return self.expected(text!("\",\" or \"]\"")),
                (State::FirstKey | State::Key, Some(b'"')) => {
                    self.string()?;
                    State::Colon
                }
                (State::FirstKey, _) => return self.expected(text!("a key in double quotes or \"}\"")),
                (State::Key, _) => return self.expected(text!("a key in double quotes")),
                (State::Colon, Some(b':')) => {
                    self.advance();
                    State::Value
                }
                (State::Colon, _) => return self.expected(text!("\":\"")),
                (State::Value, next) => self.value(next, text!("a value"))?,
                (State::FirstItem, next) => self.value(next, text!("a value or \"]\""))?,
            };
        }
    }

    fn value(&mut self, next: Option<u8>, what: Template) -> Step<State> {
        match next {
            Some(b'{') => return self.enter(1, State::FirstKey),
            Some(b'[') => return self.enter(0, State::FirstItem),
            Some(b'"') => self.string()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true", what)?,
            Some(b'f') => self.literal(b"false", what)?,
            Some(b'n') => self.literal(b"null", what)?,
            _ => return self.expected(what),
        }
        Ok(State::After)
    }

    fn enter(&mut self, object: u128, inside: State) -> Step<State> {
        if self.depth >= DEPTH {
            let found = text!("a list or object inside 128 others");
            return Err(Flaw { at: self.at, found, expected: text!("at most that many") });
        }
        self.depth += 1;
        self.objects = self.objects << 1 | object;
        self.advance();
        Ok(inside)
    }

    fn leave(&mut self) -> State {
        self.depth -= 1;
        self.objects >>= 1;
        self.advance();
        State::After
    }

    fn literal(&mut self, word: &'static [u8], what: Template) -> Step<()> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return self.expected(what);
        }
        self.at = self.at.saturating_add(word.len());
        Ok(())
    }

    fn digits(&mut self) -> Step<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.expected(text!("a digit"));
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.advance();
        }
        Ok(())
    }

    fn number(&mut self) -> Step<()> {
        if self.peek() == Some(b'-') {
            self.advance();
        }
        if self.peek() == Some(b'0') {
            self.advance();
            if let Some(b'0'..=b'9') = self.peek() {
                return self.expected(text!("no digit after a leading 0"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.advance();
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.advance();
            if let Some(b'+' | b'-') = self.peek() {
                self.advance();
            }
            self.digits()?;
        }
        Ok(())
    }

    fn string(&mut self) -> Step<()> {
        self.advance();
        loop {
            let rest = self.text.get(self.at..).unwrap_or(&[]);
            self.at += rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return self.expected(text!("no unescaped control character in a string")),
                None => return self.expected(text!("the closing quote of a string")),
            }
        }
        self.advance();
        Ok(())
    }

    fn escape(&mut self) -> Step<()> {
        let start = self.at;
        self.advance();
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.advance(),
            Some(b'u') => {
                let unpaired =
                    Err(Flaw { at: start, found: text!("half a surrogate pair"), expected: text!("both") });
                match self.unit()? {
                    0xdc00..0xe000 => return unpaired,
                    0xd800..0xdc00 => {
                        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u")) {
                            return unpaired;
                        }
                        self.advance();
                        if !(0xdc00..0xe000).contains(&self.unit()?) {
                            return unpaired;
                        }
                    }
                    _ => {}
                }
            }
            _ => return self.expected(text!("one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")),
        }
        Ok(())
    }

    /// The four hexadecimal digits behind `\u`, the cursor standing on the `u`.
    fn unit(&mut self) -> Step<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            self.advance();
            match self.peek().and_then(hex) {
                Some(digit) => unit = unit << 4 | digit,
                None => return self.expected(text!("four hexadecimal digits after \\u")),
            }
        }
        self.advance();
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: Template) -> String {
        let arena = crate::error::test_arena(4 << 10);
        String::from_utf8_lossy(crate::compose!(arena, text)).into_owned()
    }

    fn flaw(text: &str) -> (usize, &'static str) {
        let flaw = scan(text.as_bytes()).expect_err(text);
        (flaw.at, shown(flaw.expected).leak())
    }

    #[test]
    fn accepts_what_the_rfc_has() {
        for good in [
            "{}",
            "[]",
            "0",
            "-0",
            "-1.5e+10",
            "1E9",
            "true",
            "false",
            "null",
            "\"\"",
            " \t\r\n[ ] ",
            "\"\\ud83d\\ude00\"",
            r#"{"a":[1,{"b":null}],"":"\u0000\/"}"#,
            "\"\u{7f}\u{1f600}\"",
            "[[],{}]",
            r#"{"a":1,"a":2}"#,
        ] {
            assert!(scan(good.as_bytes()).is_ok(), "{good}");
        }
    }

    #[test]
    fn says_where_and_what_may_stand_there() {
        assert_eq!(flaw("[1,]"), (3, "a value"));
        assert_eq!(flaw("[,1]"), (1, "a value or \"]\""));
        assert_eq!(flaw("{\"a\":1,}"), (7, "a key in double quotes"));
        assert_eq!(flaw("{a:1}"), (1, "a key in double quotes or \"}\""));
        assert_eq!(flaw("{\"a\" 1}"), (5, "\":\""));
        assert_eq!(flaw("[1 2]"), (3, "\",\" or \"]\""));
        assert_eq!(flaw("{\"a\":1]"), (6, "\",\" or \"}\""));
        assert_eq!(flaw("{} x"), (3, "nothing more"));
        assert_eq!(flaw("{"), (1, "a key in double quotes or \"}\""));
        assert_eq!(flaw("   "), (3, "a value"));
        assert_eq!(flaw("01"), (1, "no digit after a leading 0"));
        assert_eq!(flaw("1."), (2, "a digit"));
        assert_eq!(flaw("1e+"), (3, "a digit"));
        assert_eq!(flaw("-"), (1, "a digit"));
        assert_eq!(flaw("+1"), (0, "a value"));
        assert_eq!(flaw("nul"), (0, "a value"));
        assert_eq!(flaw("nulls"), (4, "nothing more"));
        assert_eq!(flaw("\"a"), (2, "the closing quote of a string"));
        assert_eq!(flaw("\"a\n\""), (2, "no unescaped control character in a string"));
        assert_eq!(flaw("\"\\x\"").0, 2);
        assert_eq!(flaw("\"\\u12g4\""), (5, "four hexadecimal digits after \\u"));
        for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\ud800\n""#] {
            assert_eq!(flaw(lone), (1, "both"), "{lone}");
        }
    }

    #[test]
    fn tells_marked_and_foreign_bytes_apart() {
        let flaw = |text: &[u8]| scan(text).map_err(|flaw| (flaw.at, &*shown(flaw.found).leak()));
        assert_eq!(flaw(b""), Err((0, "")));
        assert_eq!(flaw(b"\xef\xbb\xbf{}"), Err((0, "a UTF-8 byte order mark")));
        assert_eq!(flaw(b"[\"\xff\"]"), Err((2, "a stray byte")));
        assert_eq!(flaw(b"\"\xed\xa0\x80\""), Err((1, "a stray byte")));
        assert_eq!(flaw(b"[\xff"), Err((1, "a stray byte")));
        assert_eq!(flaw(b"[x\"\xff\""), Err((1, "")));
    }

    #[test]
    fn stops_at_depth_128_on_a_small_stack() {
        let check = || {
            let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
            assert!(scan(nested(128).as_bytes()).is_ok());
            assert_eq!(flaw(&nested(129)), (128, "at most that many"));
            assert_eq!(flaw(&nested(10_000)), (128, "at most that many"));
            let mixed = "{\"a\":[".repeat(64) + &"]}".repeat(64);
            assert!(scan(mixed.as_bytes()).is_ok());
            assert!(scan(("{\"a\":[".repeat(64) + &"}]".repeat(64)).as_bytes()).is_err());
        };
        std::thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(check)
            .expect("thread")
            .join()
            .expect("no panic");
    }
}
