//! Writing: hull's own documents are messages (`compose!`) with strings from outside as [`Text`].

use super::schema::{Kind, Slot};
use crate::base::text::{Put, Sink, put_escaped};
use crate::base::words;
use crate::put;

/// Bytes as a JSON string, quotes included. Escapes are those that RFC 8259 asks for, no more (Go escapes `<`, `>` and `&`
/// on top). Bytes that are not UTF-8 become U+FFFD, so that the document always is.
#[derive(Clone, Copy)]
pub struct Text<'a>(pub &'a [u8]);

impl Put for Text<'_> {
    fn put(&self, to: &mut dyn Sink) {
        to.push(b"\"");
        let mut rest = self.0;
        // by `from_utf8`, which the reader has as well, and not by `utf8_chunks`
        while let Err(flaw) = core::str::from_utf8(rest) {
            let (valid, other) = rest.split_at_checked(flaw.valid_up_to()).unwrap_or_default();
            put_escaped(valid, to);
            to.push("\u{fffd}".as_bytes());
            rest = flaw.error_len().and_then(|len| other.get(len..)).unwrap_or_default();
        }
        put_escaped(rest, to);
        to.push(b"\"");
    }
}

/// What a reader of `.1` left behind, as compact JSON; an absent value is `null`, and as a member it is left out.
#[derive(Clone, Copy)]
pub struct Value<'v>(pub &'v Slot<'v>, pub &'v Kind);

impl Put for Value<'_> {
    fn put(&self, to: &mut dyn Sink) {
        let mut comma = "";
        match (self.0, self.1) {
            (Slot::Bool(true), _) => put!(to, "true"),
            (Slot::Bool(false), _) => put!(to, "false"),
            (Slot::Signed(value), _) => put!(to, value),
            (Slot::Unsigned(value), _) => put!(to, value),
            (Slot::Text(text), _) => Text(text.to_bytes()).put(to),
            (Slot::Word(n), Kind::Word(table)) => Text(words::nth(table, *n).as_bytes()).put(to),
            (Slot::List(items), Kind::List(kind)) => {
                put!(to, "[");
                for item in *items {
                    put!(to, comma, Value(item, kind));
                    comma = ",";
                }
                put!(to, "]");
            }
            (Slot::Map(members), Kind::Map(kind)) => {
                put!(to, "{");
                for member in *members {
                    put!(to, comma, Text(member.key.to_bytes()), ":", Value(&member.value, kind));
                    comma = ",";
                }
                put!(to, "}");
            }
            (Slot::Object(slots), Kind::Object(schema)) => {
                put!(to, "{");
                for (n, (slot, kind)) in slots.iter().zip(schema.kinds).enumerate() {
                    if !matches!(slot, Slot::Absent) {
                        put!(to, comma, "\"", words::nth(schema.names, n), "\":", Value(slot, kind));
                        comma = ",";
                    }
                }
                put!(to, "}");
            }
            _ => put!(to, "null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &[u8]) -> String {
        let arena = crate::error::test_arena(16 << 10);
        let written = crate::compose!(arena, Text(text));
        crate::json::scan::scan(written).expect("JSON");
        String::from_utf8(written.to_vec()).expect("UTF-8")
    }

    #[test]
    fn writes_any_bytes_as_a_string_that_reads_back() {
        let all: Vec<u8> = (0..=0x7f).collect();
        let text = written(&all);
        let raw = text.get(1..text.len() - 1).expect("quotes");
        assert_eq!(crate::json::walk::Unescape::new(raw.as_bytes()).collect::<Vec<_>>(), all);
        assert_eq!(written(b"a\xff\"\xc3"), "\"a\u{fffd}\\\"\u{fffd}\"");
        assert_eq!(written(b"\xe2\x82x\xf0\x9f"), "\"\u{fffd}x\u{fffd}\"");
        assert_eq!(written("\u{e9}\u{1f600}".as_bytes()), "\"\u{e9}\u{1f600}\"");
        assert_eq!(written(b""), "\"\"");
    }
}
