//! The tables of a document, which the compiler makes of its [`Kind`]: a code of two bytes for each field, the names and
//! the words one behind the other, and each range once.
//!
//! Invariant: a code leads to a place inside its own document's tables; one of another document may give any shape.

use super::schema::{Kind, Range, Rule, Schema, Shape};

/// A kind: in its lowest three bits which one, above them a place in a table, or nothing.
#[derive(Clone, Copy)]
pub struct Code(u16);

const TEXT: u16 = 0;
const BOOL: u16 = 1;
const NUMBER: u16 = 2;
const WORD: u16 = 3;
const LIST: u16 = 4;
const MAP: u16 = 5;
const OBJECT: u16 = 6;

/// What may stand in a document.
pub struct Document {
    /// Of a list or a map: the code of what it holds. Of an object: how many fields, the bits of those that must be
    /// there, the place of their names, and a code for each.
    pub codes: &'static [u16],
    /// Word tables (`base::words`), each with a blank behind it, which ends it.
    pub texts: &'static str,
    /// The ranges of its numbers.
    pub ranges: &'static [Range],
    /// The rules of its strings.
    pub rules: &'static [Rule],
}

/// The known fields of an object.
#[derive(Clone, Copy)]
pub struct Fields {
    /// Their names, as a word table.
    pub names: &'static str,
    /// Bit n is set where field n must be there.
    pub required: u16,
    codes: &'static [u16],
}

impl Fields {
    /// How many fields.
    pub fn count(&self) -> usize {
        self.codes.len()
    }

    /// The kind of field `n`.
    pub fn kind(&self, n: usize) -> Option<Code> {
        self.codes.get(n).copied().map(Code)
    }
}

impl Document {
    /// What `code` stands for.
    #[inline(never)]
    pub fn shape(&self, code: Code) -> Shape {
        self.found(code).unwrap_or(Shape::Bool)
    }

    fn found(&self, code: Code) -> Option<Shape> {
        let place = usize::from(code.0 >> 3);
        Some(match code.0 & 7 {
            TEXT => Shape::Text(self.rules.get(place)?),
            NUMBER => Shape::Number(self.ranges.get(place)?),
            WORD => Shape::Word(self.texts.get(place..)?),
            kind @ (LIST | MAP | OBJECT) => {
                let codes = self.codes.get(place..)?;
                match (kind, codes) {
                    (LIST, [item, ..]) => Shape::List(Code(*item)),
                    (MAP, [value, ..]) => Shape::Map(Code(*value)),
                    (_, [count, required, names, codes @ ..]) => Shape::Object(Fields {
                        names: self.texts.get(usize::from(*names)..)?,
                        required: *required,
                        codes: codes.get(..usize::from(*count))?,
                    }),
                    _ => return None,
                }
            }
            _ => Shape::Bool,
        })
    }
}

/// The most codes, bytes of text and ranges that a document has.
const MOST: (usize, usize, usize) = (1024, 1 << 13, 32);

/// A document's tables while they are made; only in constants.
pub struct Maker {
    codes: [u16; MOST.0],
    texts: [u8; MOST.1],
    ranges: [Range; MOST.2],
    /// How many of each.
    pub len: (usize, usize, usize),
}

#[allow(clippy::indexing_slicing)]
impl Maker {
    /// The tables of `kind` and all that it leads to.
    pub const fn new(kind: &Kind) -> Maker {
        let none = Range { low: 0, high: 0 };
        let mut maker =
            Maker { codes: [0; MOST.0], texts: [0; MOST.1], ranges: [none; MOST.2], len: (0, 0, 0) };
        maker.code(kind);
        maker
    }

    /// The code of `kind`, one of those that the tables were made for.
    pub const fn of(mut self, kind: &Kind) -> Code {
        let before = self.len;
        let code = self.code(kind);
        assert!(before.0 == self.len.0 && before.1 == self.len.1 && before.2 == self.len.2);
        Code(code)
    }

    const fn code(&mut self, kind: &Kind) -> u16 {
        let (kind, place) = match kind {
            Kind::Text(rule) => (TEXT, *rule as usize),
            Kind::Bool => (BOOL, 0),
            Kind::Number(range) => (NUMBER, self.range(range)),
            Kind::Word(table) => (WORD, self.text(table)),
            Kind::List(item) => {
                let code = self.code(item);
                (LIST, self.codes(&[code], 1))
            }
            Kind::Map(value) => {
                let code = self.code(value);
                (MAP, self.codes(&[code], 1))
            }
            Kind::Object(schema) => (OBJECT, self.object(schema)),
        };
        assert!(place < 1 << 13);
        kind | (place as u16) << 3
    }

    const fn object(&mut self, schema: &Schema) -> usize {
        let count = schema.kinds.len();
        assert!(schema.required <= u16::MAX as u64);
        let mut codes = [0; 67];
        codes[0] = count as u16;
        codes[1] = schema.required as u16;
        codes[2] = self.text(schema.names) as u16;
        let mut n = 0;
        while n < count {
            codes[n + 3] = self.code(schema.kinds[n]);
            n += 1;
        }
        self.codes(&codes, count + 3)
    }

    /// The place of the first `count` of `codes`, which are put behind the others where they are not there yet.
    const fn codes(&mut self, codes: &[u16], count: usize) -> usize {
        let mut place = 0;
        while place + count <= self.len.0 {
            let mut same = 0;
            while same < count && self.codes[place + same] == codes[same] {
                same += 1;
            }
            if same == count {
                return place;
            }
            place += 1;
        }
        let place = self.len.0;
        while self.len.0 < place + count {
            self.codes[self.len.0] = codes[self.len.0 - place];
            self.len.0 += 1;
        }
        place
    }

    /// The same for a word table.
    const fn text(&mut self, table: &str) -> usize {
        let table = table.as_bytes();
        let mut place = 0;
        while place + table.len() < self.len.1 {
            let mut same = 0;
            while same < table.len() && self.texts[place + same] == table[same] {
                same += 1;
            }
            if same == table.len() && self.texts[place + same] == b' ' {
                return place;
            }
            place += 1;
        }
        let place = self.len.1;
        while self.len.1 < place + table.len() {
            self.texts[self.len.1] = table[self.len.1 - place];
            self.len.1 += 1;
        }
        self.texts[self.len.1] = b' ';
        self.len.1 += 1;
        place
    }

    /// The same for a range.
    const fn range(&mut self, range: &Range) -> usize {
        let mut place = 0;
        while place < self.len.2 {
            if self.ranges[place].low == range.low && self.ranges[place].high == range.high {
                return place;
            }
            place += 1;
        }
        self.ranges[place] = *range;
        self.len.2 += 1;
        place
    }

    /// The first `N` codes.
    pub const fn all_codes<const N: usize>(&self) -> [u16; N] {
        first(&self.codes)
    }

    /// The first `N` bytes of text.
    pub const fn all_texts<const N: usize>(&self) -> [u8; N] {
        first(&self.texts)
    }

    /// The first `N` ranges.
    pub const fn all_ranges<const N: usize>(&self) -> [Range; N] {
        first(&self.ranges)
    }
}

/// The first `N` of these.
const fn first<T: Copy, const N: usize>(from: &[T]) -> [T; N] {
    match from.first_chunk() {
        Some(first) => *first,
        None => unreachable!(),
    }
}

/// The bytes as text.
pub const fn text(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => unreachable!(),
    }
}

/// The [`Document`] of a kind with its rules, and behind it the [`Code`] of a kind that is in it, or of several:
/// `document! { CONFIG: Config::KIND, &RULES; WHOLE: Config::KIND }`.
macro_rules! document {
    ($(#[$about:meta])* $view:vis $name:ident: $kind:expr, $rules:expr ; $( $(#[$what:meta])* $code_view:vis $code:ident: $of:expr );+) => {
        // a search for equal ones is many steps
        #[allow(long_running_const_eval)]
        const MADE: $crate::json::tables::Maker = $crate::json::tables::Maker::new(&$kind);
        $( $(#[$what])* $code_view const $code: $crate::json::tables::Code = MADE.of(&$of); )+
        $(#[$about])*
        $view static $name: $crate::json::tables::Document = {
            const CODES: [u16; MADE.len.0] = MADE.all_codes();
            const TEXTS: [u8; MADE.len.1] = MADE.all_texts();
            const RANGES: [$crate::json::schema::Range; MADE.len.2] = MADE.all_ranges();
            $crate::json::tables::Document {
                codes: &CODES,
                texts: $crate::json::tables::text(&TEXTS),
                ranges: &RANGES,
                rules: $rules,
            }
        };
    };
}
pub(crate) use document;
