//! Where in the text a value stands, and the error line that says so. Runs only once an error is certain, so it may walk
//! the text again from the top.
//!
//! Invariant: works on scanned text ([`super::scan`]); on any other the place may be wrong, but nothing panics. Must not
//! do: decide whether something is an error.

use super::scan::Flaw;
use super::schema::Shape;
use super::walk::{Cursor, Unescape};
use crate::base::text::{Byte, Message, Put, Quoted, Sink, Template, Words};
use crate::base::words::{self, Listed};
use crate::error::Error;
use crate::fail;
use crate::message;
use crate::put;
use crate::rt::arena::Arena;

/// A document under its name in messages.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// For example `config.json`.
    pub file: &'a str,
    /// All of the text.
    pub text: &'a [u8],
}

/// One step from a value to a part of it.
#[derive(Clone, Copy)]
enum Step<'p> {
    /// The document itself.
    Root,
    /// A field of an object with known keys, or with dots between them a field of a field.
    Field(&'p str),
    /// The field at this place of a word table.
    Known(&'static str, usize),
    /// A member of an object with keys of the bundle's own.
    Member(&'p [u8]),
    /// An item of a list, from 0.
    Item(usize),
}

/// The way from the document's root to a value; each part lives in the frame that made it.
#[derive(Clone, Copy)]
pub struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
    /// The offset of the value, or of blanks and a colon before it, where it is known.
    at: Option<usize>,
}

impl<'p> Path<'p> {
    /// The root of the document.
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Root, at: Some(0) };

    fn part(&'p self, step: Step<'p>) -> Path<'p> {
        Path { parent: Some(self), step, at: None }
    }

    /// The field `name` of the object here; `a.b` is the field `b` of the field `a`.
    pub fn field(&'p self, name: &'p str) -> Path<'p> {
        self.part(Step::Field(name))
    }

    /// The member `key` (escapes resolved) of the object here.
    pub fn member(&'p self, key: &'p [u8]) -> Path<'p> {
        self.part(Step::Member(key))
    }

    /// Item `n` of the list here.
    pub fn item(&'p self, n: usize) -> Path<'p> {
        self.part(Step::Item(n))
    }

    /// Turns the path to an item into that to the next one.
    pub fn next_item(&mut self) {
        if let Step::Item(n) = &mut self.step {
            *n += 1;
        }
    }

    /// Turns the path to any part into that to the field at place `n` of the word table `names`, which is looked up only
    /// when an error is worded. `at` is the offset that the reader saw: of two equal keys, the one that is meant.
    pub fn turn_to_known(&mut self, names: &'static str, n: usize, at: usize) {
        self.step = Step::Known(names, n);
        self.at = Some(at);
    }

    /// The same for the member `key`.
    pub fn turn_to_member(&mut self, key: &'p [u8], at: usize) {
        self.step = Step::Member(key);
        self.at = Some(at);
    }

    /// The offset of the value in `text`; where a key stands twice without an offset from the reader, of the last one.
    ///
    /// A part that is not there (a missing field) gives the place of what holds it.
    pub fn offset(&self, text: &[u8]) -> usize {
        if let Some(at) = self.at {
            return Cursor::new(text, at).offset();
        }
        let Some(parent) = self.parent else { return 0 };
        let holder = parent.offset(text);
        match self.step {
            Step::Root => holder,
            Step::Item(n) => part(text, holder, None, n),
            Step::Known(names, n) => part(text, holder, Some(words::nth(names, n).as_bytes()), 0),
            Step::Member(key) => part(text, holder, Some(key), 0),
            Step::Field(names) => {
                names.as_bytes().split(|b| *b == b'.').fold(holder, |at, name| part(text, at, Some(name), 0))
            }
        }
    }
}

/// The offset of the last member `key`, or of item `n`, of what stands at `holder`; `holder` where there is none.
fn part(text: &[u8], holder: usize, key: Option<&[u8]>, n: usize) -> usize {
    let mut cursor = Cursor::new(text, holder);
    let keyed = cursor.peek() == Some(b'{');
    cursor.step();
    let mut found = holder;
    let mut place = 0usize;
    while !cursor.ends() {
        let mut fits = place == n;
        if keyed {
            fits = key.is_some_and(|key| Unescape::new(cursor.token()).eq(key.iter().copied()));
            cursor.step();
        }
        if fits {
            found = cursor.offset();
        }
        cursor.skip();
        place += 1;
    }
    found
}

/// As `linux.namespaces[2].type`, `annotations["a b"]`; the root is empty.
impl Put for Path<'_> {
    fn put(&self, to: &mut dyn Sink) {
        if let Some(parent) = self.parent {
            parent.put(to);
        }
        match self.step {
            Step::Root => {}
            Step::Field(name) => self.put_name(name, to),
            Step::Known(names, n) => self.put_name(words::nth(names, n), to),
            Step::Member(key) => put!(to, "[", Quoted(shorten(key)), "]"),
            Step::Item(n) => put!(to, "[", n, "]"),
        }
    }
}

impl Path<'_> {
    fn put_name(&self, name: &str, to: &mut dyn Sink) {
        if self.parent.is_some_and(|p| p.parent.is_some()) {
            to.push(b".");
        }
        name.put(to);
    }
}

/// Tokens are shown up to this many bytes.
const SHOWN: usize = 48;

/// The first [`SHOWN`] bytes, or a few less so that no character is cut.
fn shorten(text: &[u8]) -> &[u8] {
    let mut end = SHOWN;
    while text.get(end).is_some_and(|b| b & 0xc0 == 0x80) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or(text)
}

/// The value at an offset as a person would name it: `"12"`, `-5`, `an object`, `a list`, `the end of the file`.
#[derive(Clone, Copy)]
struct Found<'a>(&'a [u8], usize);

impl Put for Found<'_> {
    fn put(&self, to: &mut dyn Sink) {
        let cursor = Cursor::new(self.0, self.1);
        let token = cursor.token();
        match cursor.peek() {
            Some(b'{') => return put!(to, "an object"),
            Some(b'[') => return put!(to, "a list"),
            Some(b'"') => {
                // one byte more than is shown, so that `shorten` sees whether a character was cut
                let mut plain = heapless::Vec::<u8, { SHOWN + 1 }>::new();
                for byte in Unescape::new(token) {
                    if plain.push(byte).is_err() {
                        break;
                    }
                }
                let shown = shorten(&plain);
                put!(to, Quoted(shown));
                if shown.len() == plain.len() {
                    return;
                }
            }
            _ => {
                put!(to, shorten(token));
                if token.len() <= SHOWN {
                    return;
                }
            }
        }
        to.push(b"...");
    }
}

/// `file:line:column: `, both from 1; the column counts characters (Unicode code points), as editors do.
struct Place<'a>(Source<'a>, usize);

impl Put for Place<'_> {
    fn put(&self, to: &mut dyn Sink) {
        let before = self.0.text.get(..self.1).unwrap_or(self.0.text);
        let mut line = 1usize;
        let mut column = 1usize;
        for byte in before {
            if *byte == b'\n' {
                line += 1;
                column = 1;
            } else if byte & 0xc0 != 0x80 {
                column += 1;
            }
        }
        put!(to, self.0.file, ":", line, ":", column, ": ");
    }
}

/// What a kind takes, for the error.
impl Put for Shape {
    fn put(&self, to: &mut dyn Sink) {
        match self {
            Shape::Text(rule) => put!(to, rule.wanted),
            Shape::Bool => put!(to, "true or false"),
            Shape::Number(range) => put!(to, "an integer from ", range.low, " to ", range.high),
            Shape::Word(table) => put!(to, "one of ", Listed(table)),
            Shape::List(_) => put!(to, "a list"),
            Shape::Map(_) | Shape::Object(_) => put!(to, "an object"),
        }
    }
}

struct Separated<'a>(&'a Path<'a>);

impl Put for Separated<'_> {
    fn put(&self, to: &mut dyn Sink) {
        if self.0.parent.is_some() {
            put!(to, self.0, ": ");
        }
    }
}

impl<'s> Source<'s> {
    /// `config.json:3:14: process.cwd: ` and the words.
    pub fn complain<'a>(
        &self,
        arena: &Arena<'a>,
        path: &Path<'_>,
        text: Template,
        words: Words<'_>,
    ) -> Error<'a> {
        fail!(arena, Place(*self, path.offset(self.text)), Separated(path), Message(text, words))
    }

    /// `config.json:3:14: process.cwd: found "tmp", expected ` and the words.
    pub fn unexpected<'a>(
        &self,
        arena: &Arena<'a>,
        path: &Path<'_>,
        wanted: Template,
        words: Words<'_>,
    ) -> Error<'a> {
        let offset = path.offset(self.text);
        fail!(
            arena,
            Place(*self, offset),
            Separated(path),
            "found ",
            Found(self.text, offset),
            ", expected ",
            Message(wanted, words)
        )
    }

    /// `config.json:40:5: mounts[3]: "destination" is missing`, at the object that lacks it.
    pub fn missing<'a>(&self, arena: &Arena<'a>, path: &Path<'_>, name: &str) -> Error<'a> {
        message!({self.complain} (arena, path) "\"", name, "\" is missing")
    }

    /// The words for a flaw that the scan found; an empty text has its own.
    pub fn flaw<'a>(&self, arena: &Arena<'a>, flaw: Flaw) -> Error<'a> {
        if self.text.is_empty() {
            return fail!(arena, self.file, " is empty");
        }
        let character = Character(self.text, flaw.at);
        let found: &dyn Put = if flaw.found.is_empty() { &character } else { &flaw.found };
        fail!(arena, Place(*self, flaw.at), "found ", found, ", expected ", flaw.expected)
    }
}

/// The single character at an offset, in quotes.
struct Character<'a>(&'a [u8], usize);

impl Put for Character<'_> {
    fn put(&self, to: &mut dyn Sink) {
        let rest = self.0.get(self.1..).unwrap_or(&[]);
        let tail = rest.iter().skip(1).take_while(|b| **b & 0xc0 == 0x80).count();
        match rest.get(..tail.saturating_add(1)) {
            None => put!(to, "the end of the file"),
            // in double quotes it would have to be escaped, and read as two characters
            Some(b"\"") => put!(to, Byte(b'\''), Byte(b'"'), Byte(b'\'')),
            Some(b"\\") => put!(to, Byte(b'\''), Byte(b'\\'), Byte(b'\'')),
            Some(character) => put!(to, Quoted(character)),
        }
    }
}
