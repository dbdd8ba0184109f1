//! Writing: hull's own documents are messages (`compose!`) with strings from outside as [`Text`].

use super::schema::{Shape, Slot};
use super::tables::{Code, Document};
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

/// What a reader of the document `.1` left behind for the code `.2`; an absent value is `null`, and as a member it is left
/// out. Compact where the depth `.3` is 0, else a line a member, so deep.
#[derive(Clone, Copy)]
pub struct Value<'v>(pub &'v Slot<'v>, pub &'static Document, pub Code, pub usize);

impl Put for Value<'_> {
    fn put(&self, to: &mut dyn Sink) {
        match (self.0, self.1.shape(self.2)) {
            (Slot::Bool(value), _) => to.push(if *value { b"true" } else { b"false" }),
            (Slot::Signed(value), _) => put!(to, value),
            (Slot::Unsigned(value), _) => put!(to, value),
            (Slot::Text(text), _) => Text(text.to_bytes()).put(to),
            (Slot::Word(n), Shape::Word(table)) => Text(words::nth(table, *n).as_bytes()).put(to),
            (Slot::List(items), Shape::List(kind)) => {
                let mut mark = "[";
                for item in *items {
                    put!(to, mark, Value(item, self.1, kind, 0));
                    mark = ",";
                }
                to.push(if items.is_empty() { b"[]" } else { b"]" });
            }
            (Slot::Map(members), Shape::Map(kind)) => {
                let mut object = Object { to, document: self.1, depth: self.3, mark: "{" };
                for member in *members {
                    object.member(member.key.to_bytes(), &member.value, kind);
                }
                object.end();
            }
            (Slot::Object(slots), Shape::Object(fields)) => {
                let mut object = Object { to, document: self.1, depth: self.3, mark: "{" };
                for ((n, slot), name) in slots.iter().enumerate().zip(words::iter(fields.names)) {
                    if !matches!(slot, Slot::Absent)
                        && let Some(kind) = fields.kind(n)
                    {
                        object.member(name.as_bytes(), slot, kind);
                    }
                }
                object.end();
            }
            _ => to.push(b"null"),
        }
    }
}

/// An object while it is written.
struct Object<'t> {
    to: &'t mut dyn Sink,
    document: &'static Document,
    depth: usize,
    /// What stands before the next member.
    mark: &'static str,
}

impl Object<'_> {
    fn line(&mut self, depth: usize) {
        if self.depth > 0 {
            self.to.push(b"\n");
            (0..depth).for_each(|_| self.to.push(b"  "));
        }
    }

    fn member(&mut self, key: &[u8], value: &Slot<'_>, kind: Code) {
        put!(self.to, self.mark);
        self.line(self.depth);
        self.mark = ",";
        let (colon, deeper) = if self.depth > 0 { (": ", self.depth.saturating_add(1)) } else { (":", 0) };
        put!(self.to, Text(key), colon, Value(value, self.document, kind, deeper));
    }

    fn end(&mut self) {
        if self.mark == "{" {
            self.to.push(b"{");
        }
        self.line(self.depth.saturating_sub(1));
        self.to.push(b"}");
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
