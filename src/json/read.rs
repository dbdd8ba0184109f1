//! The reader: driven by a [`Document`], from scanned text into slots in the arena. It steps from value to value by
//! [`super::walk`] and has serde-json-core read each number and literal.
//!
//! Rules for every document: keys in any order, compared after their escapes are resolved, case and all; of equal keys the
//! last wins, whole (Go would merge two objects); `null` is the same as absent, except for an item of a list; unknown keys
//! are read past; a NUL in a string that is kept is refused. Lists have no limit but the arena, and time is linear in the
//! text at each depth (a map's keys are sorted).
//!
//! Invariant: [`super::scan`] has passed the text, so that no grammar is checked here and recursion has an end.

use super::locate::{Path, Source};
use super::scan::scan;
use super::schema::{Member, Shape, Slot};
use super::tables::{Code, Document, Fields};
use super::walk::{Cursor, Unescape, count};
use crate::base::sort::sort;
use crate::base::words;
use crate::error::{Error, Result};
use crate::message;
use crate::rt::arena::{Arena, Full, List};
use core::ffi::CStr;
use serde::Deserialize;

/// Reads the document `source` as the object that is `kind` in `document`; gives one slot for each name.
///
/// # Errors
/// The first flaw of the text, then the first value that is not what the schema says, each with its place.
pub fn read<'a>(
    arena: &Arena<'a>,
    source: Source<'a>,
    document: &'static Document,
    kind: Code,
) -> Result<'a, &'a [Slot<'a>]> {
    scan(source.text).map_err(|flaw| source.flaw(arena, flaw))?;
    let mut reader = Reader { arena, document, source, cursor: Cursor::new(source.text, 0) };
    match reader.value(&Path::ROOT, kind)? {
        Slot::Object(slots) => Ok(slots),
        _ => Err(reader.unexpected(&Path::ROOT, &document.shape(kind))),
    }
}

struct Reader<'r, 'a> {
    arena: &'r Arena<'a>,
    document: &'static Document,
    source: Source<'a>,
    cursor: Cursor<'a>,
}

impl<'a> Reader<'_, 'a> {
    fn unexpected(&self, path: &Path<'_>, shape: &Shape) -> Error<'a> {
        message!({self.source.unexpected} (self.arena, path) shape)
    }

    /// `raw` with its escapes resolved; `None` where it holds a NUL.
    fn text(&self, raw: &[u8]) -> core::result::Result<Option<&'a CStr>, Full> {
        let mut plain = raw;
        if plain.contains(&b'\\') {
            let room = self.arena.bytes(plain.len())?;
            let mut len = 0usize;
            for (place, byte) in room.iter_mut().zip(Unescape::new(plain)) {
                *place = byte;
                len += 1;
            }
            plain = room.get(..len).unwrap_or(&[]);
        }
        if plain.contains(&0) { Ok(None) } else { self.arena.c_str(plain).map(Some) }
    }

    /// The place of `raw`, its escapes resolved, in a word table; past the end of every table where it is not in this one.
    fn place(&self, table: &'static str, raw: &[u8]) -> core::result::Result<usize, Full> {
        let mut word = raw;
        if word.contains(&b'\\') {
            word = self.text(raw)?.map_or(b"", CStr::to_bytes);
        }
        Ok(words::position(table, word).unwrap_or(usize::MAX))
    }

    /// The value at the cursor, which goes past it.
    fn value(&mut self, path: &Path<'_>, kind: Code) -> Result<'a, Slot<'a>> {
        let shape = self.document.shape(kind);
        match (&shape, self.cursor.peek()) {
            (Shape::List(item), Some(b'[')) => self.list(path, *item),
            (Shape::Map(value), Some(b'{')) => self.map(path, *value),
            (Shape::Object(fields), Some(b'{')) => self.object(path, fields),
            (_, first) => {
                let slot = match first {
                    Some(b'n') => Some(Slot::Absent),
                    Some(b'"') => self.string(path, &shape)?,
                    _ => self.plain(&shape),
                };
                self.cursor.step();
                slot.ok_or_else(|| self.unexpected(path, &shape))
            }
        }
    }

    /// A number or a literal.
    fn plain(&self, shape: &Shape) -> Option<Slot<'a>> {
        let token = self.cursor.token();
        match shape {
            Shape::Bool => scalar(token).map(Slot::Bool),
            Shape::Number(range) if i64::try_from(range.high).is_ok() => {
                let value = scalar::<i64>(token)?;
                (value >= range.low && value.max(0).unsigned_abs() <= range.high)
                    .then_some(Slot::Signed(value))
            }
            Shape::Number(range) => {
                let value = scalar::<u64>(token)?;
                (range.low.max(0).unsigned_abs()..=range.high)
                    .contains(&value)
                    .then_some(Slot::Unsigned(value))
            }
            _ => None,
        }
    }

    fn string(&self, path: &Path<'_>, shape: &Shape) -> Result<'a, Option<Slot<'a>>> {
        if self.cursor.peek() != Some(b'"') {
            return Ok(None);
        }
        let raw = self.cursor.token();
        Ok(match shape {
            Shape::Text(rule) => match self.text(raw)? {
                None => {
                    return Err(
                        message!({self.source.unexpected} (self.arena, path) "a string without NUL characters"),
                    );
                }
                Some(text) => (rule.test)(text.to_bytes()).then_some(Slot::Text(text)),
            },
            Shape::Word(table) => match self.place(table, raw)? {
                usize::MAX => None,
                n => Some(Slot::Word(n)),
            },
            _ => None,
        })
    }

    fn list(&mut self, path: &Path<'_>, kind: Code) -> Result<'a, Slot<'a>> {
        let mut list = self.arena.list(count(self.source.text, self.cursor.offset()))?;
        let mut path = path.item(0);
        self.cursor.step();
        while !self.cursor.ends() {
            let slot = self.value(&path, kind)?;
            if matches!(slot, Slot::Absent) {
                return Err(self.unexpected(&path, &self.document.shape(kind)));
            }
            list.push(slot)?;
            path.next_item();
        }
        self.cursor.step();
        Ok(Slot::List(list.done()))
    }

    fn object(&mut self, path: &Path<'_>, fields: &Fields) -> Result<'a, Slot<'a>> {
        let slots = self.arena.slice(fields.count(), Slot::Absent)?;
        let mut inner = path.item(0);
        self.cursor.step();
        while !self.cursor.ends() {
            let n = self.place(fields.names, self.cursor.token())?;
            self.cursor.step();
            let (Some(kind), Some(slot)) = (fields.kind(n), slots.get_mut(n)) else {
                self.cursor.skip();
                continue;
            };
            inner.turn_to_known(fields.names, n, self.cursor.offset());
            *slot = self.value(&inner, kind)?;
        }
        self.cursor.step();
        for (n, slot) in slots.iter().enumerate() {
            if matches!(slot, Slot::Absent) && u64::from(fields.required) >> n & 1 == 1 {
                return Err(self.source.missing(self.arena, path, words::nth(fields.names, n)));
            }
        }
        Ok(Slot::Object(slots))
    }

    fn map(&mut self, path: &Path<'_>, kind: Code) -> Result<'a, Slot<'a>> {
        let mut list: List<'a, Member<'a>> =
            self.arena.list(count(self.source.text, self.cursor.offset()))?;
        let mut inner = path.item(0);
        self.cursor.step();
        while !self.cursor.ends() {
            let Some(key) = self.text(self.cursor.token())? else {
                return Err(
                    message!({self.source.complain} (self.arena, path) "a key holds a NUL character"),
                );
            };
            self.cursor.step();
            inner.turn_to_member(key.to_bytes(), self.cursor.offset());
            let value = self.value(&inner, kind)?;
            list.push(Member { key, value })?;
        }
        self.cursor.step();
        Ok(Slot::Map(unique(self.arena, list.done())?))
    }
}

/// The whole of `text` as a number or a literal.
fn scalar<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    serde_json_core::from_slice(text).ok().map(|(value, _)| value)
}

/// Leaves of members with equal keys the last one, and none that is null; the others keep their order.
fn unique<'a>(
    arena: &Arena<'a>,
    members: &'a mut [Member<'a>],
) -> core::result::Result<&'a [Member<'a>], Full> {
    let order = arena.slice(members.len(), 0usize)?;
    for (n, place) in order.iter_mut().enumerate() {
        *place = n;
    }
    sort(order, &|a, b| match (members.get(a), members.get(b)) {
        (Some(one), Some(other)) => (one.key, a) < (other.key, b),
        _ => false,
    });
    for pair in order.windows(2) {
        let &[first, second] = pair else { break };
        let later = members.get(second).map(|m| m.key);
        if let Some(member) = members.get_mut(first).filter(|m| Some(m.key) == later) {
            member.value = Slot::Absent;
        }
    }
    let mut kept = 0usize;
    for n in 0..members.len() {
        let Some(member) = members.get(n).copied().filter(|m| !matches!(m.value, Slot::Absent)) else {
            continue;
        };
        if let Some(place) = members.get_mut(kept) {
            *place = member;
            kept += 1;
        }
    }
    Ok(members.get(..kept).unwrap_or(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::schema::{Kind, Range, Rule, Schema};
    use crate::json::tables::document;

    static RULES: [Rule; 2] =
        [crate::json::view::ANY, Rule { test: |text| text != b"no", wanted: crate::text!("not \"no\"") }];
    const TEXT: Kind = Kind::Text(1);
    const SMALL: Kind = Kind::Number(&Range { low: -2, high: 3 });
    const LARGE: Kind = Kind::Number(&Range { low: 1, high: u64::MAX });
    const WORD: Kind = Kind::Word("red green ");
    const GRID: Kind = Kind::List(&Kind::List(&SMALL));
    const TREE: Kind = Kind::Map(&Kind::Map(&LARGE));
    const INNER: Schema = Schema { names: "flag must ", kinds: &[&Kind::Bool, &SMALL], required: 2 };
    const OUTER: Schema = Schema {
        names: "text small large word grid tree inner ",
        kinds: &[&TEXT, &SMALL, &LARGE, &WORD, &GRID, &TREE, &Kind::Object(&INNER)],
        required: 0,
    };
    document! { DOCUMENT: Kind::Object(&OUTER), &RULES; ROOT: Kind::Object(&OUTER) }

    fn slots(text: &'static str) -> core::result::Result<&'static [Slot<'static>], String> {
        let arena = crate::error::test_arena(1 << 20);
        read(&arena, Source { file: "t", text: text.as_bytes() }, &DOCUMENT, ROOT)
            .map_err(|error| String::from_utf8_lossy(error.text()).into_owned())
    }

    fn shown(text: &'static str) -> String {
        format!("{:?}", slots(text).expect(text).iter().find(|slot| !matches!(slot, Slot::Absent)))
    }

    fn refused(text: &'static str) -> String {
        slots(text).map(|_| ()).expect_err(text)
    }

    #[test]
    fn reads_each_kind_up_to_its_limits() {
        assert_eq!(shown("{}"), "None");
        assert_eq!(shown(r#"{"text":"\u0041\n"}"#), "Some(Text(\"A\\n\"))");
        assert_eq!(shown(r#"{"small":-2}"#), "Some(Signed(-2))");
        assert_eq!(shown(r#"{"small":-0}"#), "Some(Signed(0))");
        assert_eq!(shown(r#"{"large":18446744073709551615}"#), "Some(Unsigned(18446744073709551615))");
        assert_eq!(shown(r#"{"word":"gr\u0065en"}"#), "Some(Word(1))");
        assert_eq!(
            shown(r#"{"grid":[[],[1,2],[3]]}"#),
            "Some(List([List([]), List([Signed(1), Signed(2)]), List([Signed(3)])]))"
        );
        assert_eq!(shown(r#"{"inner":{"must":1,"flag":false}}"#), "Some(Object([Bool(false), Signed(1)]))");
    }

    #[test]
    fn blames_the_value_that_is_wrong() {
        for (text, want) in [
            (r#"{"text":"no"}"#, r#"t:1:9: text: found "no", expected not "no""#),
            (r#"{"small":4}"#, "t:1:10: small: found 4, expected an integer from -2 to 3"),
            (r#"{"large":0}"#, "t:1:10: large: found 0, expected an integer from 1 to 18446744073709551615"),
            (r#"{"word":"Red"}"#, r#"t:1:9: word: found "Red", expected one of "red", "green""#),
            (r#"{"word":"red green"}"#, r#"t:1:9: word: found "red green", expected one of "red", "green""#),
            (r#"{"word":3}"#, r#"t:1:9: word: found 3, expected one of "red", "green""#),
            (r#"{"grid":[[1],[2,9]]}"#, "t:1:17: grid[1][1]: found 9, expected an integer from -2 to 3"),
            (r#"{"grid":[[1],[2,1.5]]}"#, "t:1:17: grid[1][1]: found 1.5, expected an integer from -2 to 3"),
            (r#"{"grid":[[1],2]}"#, "t:1:14: grid[1]: found 2, expected a list"),
            (r#"{"grid":[[1],null]}"#, "t:1:14: grid[1]: found null, expected a list"),
            (
                r#"{"tree":{"a":{"b":[]}}}"#,
                "t:1:19: tree[\"a\"][\"b\"]: found a list, expected an integer from 1 to 18446744073709551615",
            ),
            (
                r#"{"tree":{"a":{"b":1e1,"c":2}}}"#,
                "t:1:19: tree[\"a\"][\"b\"]: found 1e1, expected an integer from 1 to 18446744073709551615",
            ),
            (r#"{"inner":{"flag":true}}"#, "t:1:10: inner: \"must\" is missing"),
            (r#"{"inner":{"must":1,"must":null}}"#, "t:1:10: inner: \"must\" is missing"),
            (r#"{"inner":{"must":1.0}}"#, "t:1:18: inner.must: found 1.0, expected an integer from -2 to 3"),
            (r#"{"small":1.5,"x":{"y":2.5}}"#, "t:1:10: small: found 1.5, expected an integer from -2 to 3"),
        ] {
            assert_eq!(refused(text), want);
        }
    }

    #[test]
    fn the_last_of_equal_keys_wins_in_objects_and_maps() {
        assert_eq!(shown(r#"{"small":1,"x":[{}],"sm\u0061ll":2}"#), "Some(Signed(2))");
        assert_eq!(
            shown(r#"{"tree":{"b":{"k":1},"a":{},"b":{"k":2,"\u006b":3},"c":{},"c":null}}"#),
            "Some(Map([Member { key: \"a\", value: Map([]) }, \
             Member { key: \"b\", value: Map([Member { key: \"k\", value: Unsigned(3) }]) }]))"
        );
    }
}
