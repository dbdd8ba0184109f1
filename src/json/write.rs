//! The writer: a document goes into a sink piece by piece, compact or indented by tabs as Go's `MarshalIndent(v, "", "\t")`.
//!
//! Invariant: commas, line ends and indentation come from the writer; the caller gives a key before each member's value
//! and closes what it opened. Escapes are those that RFC 8259 asks for, no more (Go escapes `<`, `>` and `&` on top).

use crate::base::text::{Put, Sink, put_escaped};

/// Writes one document.
pub struct Writer<'s> {
    to: &'s mut dyn Sink,
    indented: bool,
    depth: usize,
    /// Whether the object or list at hand has something in it already.
    filled: bool,
    /// Whether a key was written whose value is to come.
    keyed: bool,
}

impl<'s> Writer<'s> {
    /// Without blanks and line ends.
    pub fn compact(to: &'s mut dyn Sink) -> Self {
        Writer { to, indented: false, depth: 0, filled: false, keyed: false }
    }

    /// With a line for each item and member, indented by tabs.
    pub fn indented(to: &'s mut dyn Sink) -> Self {
        Writer { to, indented: true, depth: 0, filled: false, keyed: false }
    }

    fn line(&mut self) {
        if self.indented {
            self.to.push(b"\n");
            for _ in 0..self.depth {
                self.to.push(b"\t");
            }
        }
    }

    fn before_value(&mut self) {
        if self.keyed {
            self.keyed = false;
            return;
        }
        if self.filled {
            self.to.push(b",");
        }
        if self.depth > 0 {
            self.line();
        }
        self.filled = true;
    }

    fn open(&mut self, bracket: &[u8]) -> &mut Self {
        self.before_value();
        self.to.push(bracket);
        self.depth = self.depth.saturating_add(1);
        self.filled = false;
        self
    }

    fn close(&mut self, bracket: &[u8]) -> &mut Self {
        self.depth = self.depth.saturating_sub(1);
        if self.filled {
            self.line();
        }
        self.to.push(bracket);
        self.filled = true;
        self
    }

    /// Opens an object.
    pub fn object(&mut self) -> &mut Self {
        self.open(b"{")
    }

    /// Closes the object.
    pub fn end_object(&mut self) -> &mut Self {
        self.close(b"}")
    }

    /// Opens a list.
    pub fn list(&mut self) -> &mut Self {
        self.open(b"[")
    }

    /// Closes the list.
    pub fn end_list(&mut self) -> &mut Self {
        self.close(b"]")
    }

    /// The key of the member whose value comes next.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.key_bytes(name.as_bytes())
    }

    /// As [`Writer::key`], for a key that came from outside.
    pub fn key_bytes(&mut self, name: &[u8]) -> &mut Self {
        self.before_value();
        put_string(name, self.to);
        self.to.push(if self.indented { b": " } else { b":" });
        self.keyed = true;
        self
    }

    /// A string. Bytes that are not UTF-8 become U+FFFD, so that the document always is.
    pub fn string(&mut self, text: &[u8]) -> &mut Self {
        self.before_value();
        put_string(text, self.to);
        self
    }

    /// A number, or any other word that is put as it stands.
    pub fn number(&mut self, number: &dyn Put) -> &mut Self {
        self.before_value();
        number.put(self.to);
        self
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.number(if value { &"true" } else { &"false" })
    }

    /// `null`.
    pub fn null(&mut self) -> &mut Self {
        self.number(&"null")
    }
}

/// A string with its quotes, as [`Writer::string`] writes it.
#[derive(Clone, Copy)]
pub struct Text<'a>(pub &'a [u8]);

impl Put for Text<'_> {
    fn put(&self, to: &mut dyn Sink) {
        put_string(self.0, to);
    }
}

/// A string in quotes, as [`Writer::string`] says.
fn put_string(text: &[u8], to: &mut dyn Sink) {
    to.push(b"\"");
    for chunk in text.utf8_chunks() {
        put_escaped(chunk.valid().as_bytes(), to);
        if !chunk.invalid().is_empty() {
            to.push("\u{fffd}".as_bytes());
        }
    }
    to.push(b"\"");
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

    fn written(indented: bool, write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut to = Collect(Vec::new());
        write(&mut if indented { Writer::indented(&mut to) } else { Writer::compact(&mut to) });
        crate::json::scan::scan(&to.0).expect("JSON");
        String::from_utf8(to.0).expect("UTF-8")
    }

    fn sample(w: &mut Writer<'_>) {
        w.object().key("a").number(&-1i32).key("b").list().string(b"x").null().bool(true).list().end_list();
        w.object().end_object().object().key("c").bool(false).end_object().end_list();
        w.key_bytes(b"d\"").object().end_object().end_object();
    }

    #[test]
    fn writes_compact() {
        assert_eq!(written(false, sample), r#"{"a":-1,"b":["x",null,true,[],{},{"c":false}],"d\"":{}}"#);
    }

    #[test]
    fn indents_as_go_does() {
        let want = [
            "{",
            "\t\"a\": -1,",
            "\t\"b\": [",
            "\t\t\"x\",",
            "\t\tnull,",
            "\t\ttrue,",
            "\t\t[],",
            "\t\t{},",
            "\t\t{",
            "\t\t\t\"c\": false",
            "\t\t}",
            "\t],",
            "\t\"d\\\"\": {}",
            "}",
        ];
        assert_eq!(written(true, sample), want.join("\n"));
    }

    #[test]
    fn writes_any_bytes_as_a_string_that_reads_back() {
        let all: Vec<u8> = (0..=0x7f).collect();
        let text = written(false, |w| {
            w.string(&all);
        });
        let raw = text.get(1..text.len() - 1).expect("quotes");
        assert_eq!(crate::json::walk::Unescape::new(raw.as_bytes()).collect::<Vec<_>>(), all);
        assert_eq!(
            written(false, |w| {
                w.string(b"a\xff\"\xc3");
            }),
            "\"a\u{fffd}\\\"\u{fffd}\""
        );
        assert_eq!(
            written(false, |w| {
                w.string("\u{e9}\u{1f600}".as_bytes());
            }),
            "\"\u{e9}\u{1f600}\""
        );
        assert_eq!(
            written(false, |w| {
                w.string(b"");
            }),
            "\"\""
        );
    }
}
