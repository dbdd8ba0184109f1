//! The reader: one visitor, driven by a [`Schema`], from scanned text through serde-json-core into slots in the arena.
//!
//! Rules for every document: keys in any order, compared after their escapes are resolved, case and all; of equal keys the
//! last wins, whole (Go would merge two objects); `null` is the same as absent, except for an item of a list; unknown keys
//! are read past; a NUL in a string that is kept is refused. Lists have no limit but the arena, and time is linear in the
//! text (a map's keys are sorted).
//!
//! Invariant: [`super::scan`] has passed the text. The deserializer and `IgnoredAny` lean on that: one takes
//! `{"x":garbage}` for valid, both recurse.

use super::locate::{Path, Source};
use super::scan::scan;
use super::schema::{Kind, Member, Schema, Slot};
use super::walk::{Unescape, count};
use crate::base::sort::sort;
use crate::base::words;
use crate::error::{Error, Result};
use crate::message;
use crate::rt::arena::{Arena, Full, List};
use core::cell::Cell;
use core::ffi::CStr;
use core::fmt;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json_core::str::EscapedStr;

/// Reads the document `source` as an object of `schema`; gives one slot for each name.
///
/// # Errors
/// The first flaw of the text, then the first value that is not what the schema says, each with its place.
pub fn read<'a>(
    arena: &Arena<'a>,
    source: Source<'a>,
    schema: &'static Schema,
) -> Result<'a, &'a [Slot<'a>]> {
    scan(source.text).map_err(|flaw| source.flaw(arena, flaw))?;
    let reader = Reader { arena, source, failed: Cell::new(None) };
    let kind = Kind::Object(schema);
    let seed = Value { reader: &reader, kind: &kind, path: &Path::ROOT };
    match seed.deserialize(&mut serde_json_core::de::Deserializer::new(source.text, None)) {
        Ok(Slot::Object(slots)) => Ok(slots),
        Ok(_) => Err(reader.unexpected(&Path::ROOT, &kind)),
        Err(_) => Err(reader
            .failed
            .get()
            .unwrap_or_else(|| message!({source.complain} (arena, &Path::ROOT) "can't be read"))),
    }
}

/// What all visitors of one document share.
struct Reader<'r, 'a> {
    arena: &'r Arena<'a>,
    source: Source<'a>,
    /// The first error, worded where its place was known; serde-json-core's own carry nothing.
    failed: Cell<Option<Error<'a>>>,
}

impl<'a> Reader<'_, 'a> {
    fn unexpected(&self, path: &Path<'_>, kind: &Kind) -> Error<'a> {
        message!({self.source.unexpected} (self.arena, path) kind)
    }

    /// Keeps `error` unless one is kept already, and gives the one that makes the visitors return.
    fn fail<E: de::Error>(&self, error: Error<'a>) -> E {
        if self.failed.get().is_none() {
            self.failed.set(Some(error));
        }
        E::custom("")
    }

    fn full<E: de::Error>(&self, full: Full) -> E {
        self.fail(Error::from(full))
    }

    /// Says that the value at `path` is not of `kind`, unless a part of it was blamed already.
    fn blame<E: de::Error>(&self, error: E, path: &Path<'_>, kind: &Kind) -> E {
        if self.failed.get().is_some() { error } else { self.fail(self.unexpected(path, kind)) }
    }

    /// The offset behind the closing quote of a key that borrows from the text.
    fn behind(&self, raw: &str) -> usize {
        let start = raw.as_ptr().addr().saturating_sub(self.source.text.as_ptr().addr());
        start.saturating_add(raw.len()).saturating_add(1)
    }

    /// `raw` with its escapes resolved; `None` where it holds a NUL.
    fn text(&self, raw: &str) -> core::result::Result<Option<&'a CStr>, Full> {
        let mut plain = raw.as_bytes();
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
    fn place(&self, table: &'static str, raw: &str) -> core::result::Result<usize, Full> {
        let mut word = raw.as_bytes();
        if word.contains(&b'\\') {
            word = self.text(raw)?.map_or(b"", CStr::to_bytes);
        }
        Ok(words::position(table, word).unwrap_or(usize::MAX))
    }
}

/// A value of some kind at some path: seed and visitor at once.
#[derive(Clone, Copy)]
struct Value<'c, 'r, 'a> {
    reader: &'c Reader<'r, 'a>,
    kind: &'c Kind,
    path: &'c Path<'c>,
}

impl<'a> Value<'_, '_, 'a> {
    fn list<A: SeqAccess<'a>>(&self, mut seq: A, kind: &Kind) -> core::result::Result<Slot<'a>, A::Error> {
        let reader = self.reader;
        let room = count(reader.source.text, self.path.offset(reader.source.text));
        let mut list = reader.arena.list(room).map_err(|full| reader.full(full))?;
        let mut n = 0usize;
        loop {
            let path = self.path.item(n);
            match seq.next_element_seed(Value { reader, kind, path: &path }) {
                Ok(Some(Slot::Absent)) => return Err(reader.fail(reader.unexpected(&path, kind))),
                Ok(Some(slot)) => list.push(slot).map_err(|full| reader.full(full))?,
                Ok(None) => return Ok(Slot::List(list.done())),
                // in scanned text only a fraction or exponent can stand between two items, behind an integer
                Err(error) => return Err(reader.blame(error, &self.path.item(n.saturating_sub(1)), kind)),
            }
            n += 1;
        }
    }

    fn object<A: MapAccess<'a>>(
        &self,
        mut map: A,
        schema: &'static Schema,
    ) -> core::result::Result<Slot<'a>, A::Error> {
        let reader = self.reader;
        let slots = reader.arena.slice(schema.kinds.len(), Slot::Absent).map_err(|full| reader.full(full))?;
        let mut path = self.path.item(0);
        let mut kind = self.kind;
        // as in `list`, where no key comes a fraction behind the value before is to blame
        while let Some(raw) = map.next_key_seed(Key).map_err(|error| reader.blame(error, &path, kind))? {
            let n = reader.place(schema.names, raw).map_err(|full| reader.full(full))?;
            let (Some(known), Some(slot)) = (schema.kinds.get(n), slots.get_mut(n)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            kind = known;
            path.turn_to_known(schema.names, n, reader.behind(raw));
            *slot = map.next_value_seed(Value { reader, kind, path: &path })?;
        }
        for (n, slot) in slots.iter().enumerate() {
            if matches!(slot, Slot::Absent) && schema.required >> n & 1 == 1 {
                let name = words::nth(schema.names, n);
                return Err(reader.fail(reader.source.missing(reader.arena, self.path, name)));
            }
        }
        Ok(Slot::Object(slots))
    }

    fn map<A: MapAccess<'a>>(&self, mut map: A, kind: &Kind) -> core::result::Result<Slot<'a>, A::Error> {
        let reader = self.reader;
        let full = |full| reader.full(full);
        let room = count(reader.source.text, self.path.offset(reader.source.text));
        let mut list: List<'a, Member<'a>> = reader.arena.list(room).map_err(full)?;
        let mut path = self.path.item(0);
        while let Some(raw) = map.next_key_seed(Key).map_err(|error| reader.blame(error, &path, kind))? {
            let Some(key) = reader.text(raw).map_err(full)? else {
                let error = message!({reader.source.complain} (reader.arena, self.path) "a key holds a NUL character");
                return Err(reader.fail(error));
            };
            path.turn_to_member(key.to_bytes(), reader.behind(raw));
            let value = map.next_value_seed(Value { reader, kind, path: &path })?;
            list.push(Member { key, value }).map_err(full)?;
        }
        Ok(Slot::Map(unique(reader.arena, list.done()).map_err(full)?))
    }
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

impl<'a> DeserializeSeed<'a> for Value<'_, '_, 'a> {
    type Value = Slot<'a>;

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> core::result::Result<Slot<'a>, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'a> Visitor<'a> for Value<'_, '_, 'a> {
    type Value = Slot<'a>;

    fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn visit_none<E: de::Error>(self) -> core::result::Result<Slot<'a>, E> {
        Ok(Slot::Absent)
    }

    fn visit_some<D: Deserializer<'a>>(self, from: D) -> core::result::Result<Slot<'a>, D::Error> {
        match self.kind {
            // as `deserialize_str`, which would bring the crate's own unescaping in once more
            Kind::Text(_) | Kind::Word(_) => {
                EscapedStr::deserialize(from).and_then(|EscapedStr(raw)| self.visit_borrowed_str(raw))
            }
            Kind::Bool => from.deserialize_bool(self),
            Kind::Number(range) if i64::try_from(range.high).is_ok() => from.deserialize_i64(self),
            Kind::Number(_) => from.deserialize_u64(self),
            Kind::List(_) => from.deserialize_seq(self),
            Kind::Map(_) | Kind::Object(_) => from.deserialize_map(self),
        }
        .map_err(|error| self.reader.blame(error, self.path, self.kind))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> core::result::Result<Slot<'a>, E> {
        Ok(Slot::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> core::result::Result<Slot<'a>, E> {
        match self.kind {
            Kind::Number(range) if value >= range.low && value.max(0).unsigned_abs() <= range.high => {
                Ok(Slot::Signed(value))
            }
            _ => Err(E::custom("")),
        }
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> core::result::Result<Slot<'a>, E> {
        match self.kind {
            Kind::Number(range) if (range.low.max(0).unsigned_abs()..=range.high).contains(&value) => {
                Ok(Slot::Unsigned(value))
            }
            _ => Err(E::custom("")),
        }
    }

    fn visit_borrowed_str<E: de::Error>(self, raw: &'a str) -> core::result::Result<Slot<'a>, E> {
        let reader = self.reader;
        match self.kind {
            Kind::Text(rule) => match reader.text(raw).map_err(|full| reader.full(full))? {
                None => {
                    Err(reader.fail(
                        message!({reader.source.unexpected} (reader.arena, self.path) "a string without NUL characters"),
                    ))
                },
                Some(text) if (rule.test)(text.to_bytes()) => Ok(Slot::Text(text)),
                Some(_) => Err(E::custom("")),
            },
            Kind::Word(table) => match reader.place(table, raw).map_err(|full| reader.full(full))? {
                usize::MAX => Err(E::custom("")),
                n => Ok(Slot::Word(n)),
            },
            _ => Err(E::custom("")),
        }
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> core::result::Result<Slot<'a>, A::Error> {
        match self.kind {
            Kind::List(kind) => self.list(seq, kind),
            _ => Ok(Slot::Absent),
        }
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> core::result::Result<Slot<'a>, A::Error> {
        match self.kind {
            Kind::Object(schema) => self.object(map, schema),
            Kind::Map(kind) => self.map(map, kind),
            _ => Ok(Slot::Absent),
        }
    }
}

/// A key as it stands in the text.
struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = &'a str;

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> core::result::Result<&'a str, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = &'a str;

    fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn visit_borrowed_str<E: de::Error>(self, raw: &'a str) -> core::result::Result<&'a str, E> {
        Ok(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::schema::{Range, Rule};

    static TEXT: Kind = Kind::Text(&Rule { test: |text| text != b"no", wanted: "not \"no\"" });
    static SMALL: Kind = Kind::Number(&Range { low: -2, high: 3 });
    static LARGE: Kind = Kind::Number(&Range { low: 1, high: u64::MAX });
    static WORD: Kind = Kind::Word(&"red green ");
    static GRID: Kind = Kind::List(&Kind::List(&SMALL));
    static TREE: Kind = Kind::Map(&Kind::Map(&LARGE));
    static INNER: Schema = Schema { names: "flag must ", kinds: &[&Kind::Bool, &SMALL], required: 2 };
    static OUTER: Schema = Schema {
        names: "text small large word grid tree inner ",
        kinds: &[&TEXT, &SMALL, &LARGE, &WORD, &GRID, &TREE, &Kind::Object(&INNER)],
        required: 0,
    };

    fn slots(text: &'static str) -> core::result::Result<&'static [Slot<'static>], String> {
        let arena = crate::error::test_arena(1 << 20);
        read(&arena, Source { file: "t", text: text.as_bytes() }, &OUTER)
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
