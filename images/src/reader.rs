//! A TOML file read key by key, so that every mistake is one line: file and line, key, what is wrong, what would be right.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow};
use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text of a file, for the places of mistakes.
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    pub fn read(path: &Path) -> Result<Source> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Ok(Source { name: path.display().to_string(), text })
    }

    pub fn new(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    /// Parses the file and hands its top table to `read`.
    pub fn parse<T>(&self, read: impl FnOnce(&mut Table) -> Result<T>) -> Result<T> {
        let parsed = DeTable::parse(&self.text).map_err(|error| {
            let line = self.line(error.span().unwrap_or(0..0).start);
            anyhow!("{}:{line}: {}", self.name, error.message().replace('\n', ", "))
        })?;
        Table::new(self, String::new(), parsed.get_ref(), 0..0).close(read)
    }

    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn place(&self, span: &Range<usize>, key: &str) -> Place {
        Place { file: self.name.clone(), line: self.line(span.start), key: key.to_owned() }
    }
}

/// Where a value stands, for mistakes that are noticed later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    file: String,
    line: usize,
    key: String,
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.key)
    }
}

impl Place {
    pub fn error(&self, problem: impl Display) -> Error {
        anyhow!("{self}: {problem}")
    }
}

/// A table whose keys are taken one after the other; what is left at the end is unknown.
pub struct Table<'a> {
    source: &'a Source,
    path: String,
    span: Range<usize>,
    entries: BTreeMap<String, (Range<usize>, &'a Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
    /// A key that was needed and is not there.
    missing: Option<&'static str>,
}

impl<'a> Table<'a> {
    fn new(source: &'a Source, path: String, table: &'a DeTable<'a>, span: Range<usize>) -> Table<'a> {
        let entries =
            table.iter().map(|(key, value)| (key.get_ref().to_string(), (key.span(), value))).collect();
        Table { source, path, span, entries, known: Vec::new(), missing: None }
    }

    fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Reads the table, then refuses what nobody asked for.
    pub fn close<T>(mut self, read: impl FnOnce(&mut Table<'a>) -> Result<T>) -> Result<T> {
        let value = read(&mut self);
        let unknown = |name: &&String| !self.known.contains(&name.as_str());
        // Reading stops at the first mistake, so only then is every key known that could have been asked for. But a
        // key that is misspelt is the better explanation for one that is missing.
        let (found, remedy) = match (&value, self.missing) {
            (Ok(_), _) => {
                let found = self.entries.keys().find(unknown);
                let near = found.and_then(|name| self.known.iter().find(|known| is_near(name, known)));
                let near = near.map(|near| format!("did you mean \"{near}\"? ")).unwrap_or_default();
                let mut known = self.known.clone();
                known.sort_unstable();
                (found, format!("{near}known: {}", known.join(", ")))
            }
            (Err(_), Some(missing)) => {
                let found = self.entries.keys().filter(unknown).find(|name| is_near(name, missing));
                (found, format!("did you mean \"{missing}\"?"))
            }
            (Err(_), None) => (None, String::new()),
        };
        if let Some((span, _)) = found.and_then(|name| self.entries.get(name)) {
            let key = self.key(found.map(String::as_str).unwrap_or_default());
            return Err(self.source.place(span, &key).error(format!("unknown key ({remedy})")));
        }
        value
    }

    pub fn take(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.known.push(name);
        let (key, value) = self.entries.remove(name)?;
        Some(Item { source: self.source, key: self.key(name), at: key, value })
    }

    pub fn need(&mut self, name: &'static str, remedy: &str) -> Result<Item<'a>> {
        let found = self.take(name);
        if found.is_none() {
            self.missing = Some(name);
        }
        found.ok_or_else(|| self.place().error(format!("{name} is missing ({remedy})")))
    }

    /// Every key of a table of free names, with its value.
    pub fn all(&mut self) -> Vec<(String, Item<'a>)> {
        let entries = std::mem::take(&mut self.entries);
        let item = |(name, (at, value)): (String, (Range<usize>, _))| {
            let key = self.key(&name);
            (name, Item { source: self.source, key, at, value })
        };
        entries.into_iter().map(item).collect()
    }

    pub fn place(&self) -> Place {
        let key = if self.path.is_empty() { "the recipe" } else { &self.path };
        self.source.place(&self.span, key)
    }
}

/// At most one letter too many, too few or another one, or the same letters in another order.
fn is_near(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let same = |one: &[char], other: &[char]| one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let front = same(&one, &other);
    let reversed = |list: &[char]| list.iter().rev().copied().collect::<Vec<_>>();
    let room = one.len().min(other.len()) - front;
    let back = same(&reversed(&one), &reversed(&other)).min(room);
    let sorted = |list: &[char]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    one.len().max(other.len()) - front - back <= 1 || sorted(&one) == sorted(&other)
}

/// A value with its place.
pub struct Item<'a> {
    source: &'a Source,
    key: String,
    at: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    pub fn place(&self) -> Place {
        // The key's line: where a value that spans lines begins is no help.
        self.source.place(&self.at, &self.key)
    }

    pub fn error(&self, problem: impl Display) -> Error {
        self.place().error(problem)
    }

    fn expected(&self, what: &str) -> Error {
        let found = match self.value.get_ref() {
            DeValue::String(text) => format!("\"{}\"", text.escape_debug()),
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Float(_) => "a number with a fraction".to_owned(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.error(format!("found {found}, expected {what}"))
    }

    pub fn text(&self) -> Result<String> {
        let text = self.value.get_ref().as_str().ok_or_else(|| self.expected("text in quotes"))?;
        if text.contains('\0') {
            return Err(self.expected("text without a NUL"));
        }
        Ok(text.to_owned())
    }

    /// Text that names something, so there has to be some.
    pub fn name(&self) -> Result<String> {
        let text = self.text()?;
        if text.is_empty() { Err(self.expected("something")) } else { Ok(text) }
    }

    pub fn flag(&self) -> Result<bool> {
        self.value.get_ref().as_bool().ok_or_else(|| self.expected("true or false"))
    }

    pub fn number(&self) -> Result<u64> {
        let number = match self.value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number.ok_or_else(|| self.expected("a number of at least 0"))
    }

    /// Bytes: a number, or text as in `64M`, `512K`, `2G`.
    pub fn size(&self) -> Result<u64> {
        let wanted = "a size, as in 4096, \"512K\", \"64M\" or \"2G\"";
        let Some(text) = self.value.get_ref().as_str() else {
            return self.number().map_err(|_| self.expected(wanted));
        };
        let (digits, unit) = match text.char_indices().next_back() {
            Some((at, 'K')) => (&text[..at], 1 << 10),
            Some((at, 'M')) => (&text[..at], 1 << 20),
            Some((at, 'G')) => (&text[..at], 1 << 30),
            _ => (text, 1_u64),
        };
        let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse::<u64>().ok());
        number.and_then(|number| number.checked_mul(unit)).ok_or_else(|| self.expected(wanted))
    }

    /// Permission bits in octal, as text, since TOML's own numbers would be decimal.
    pub fn mode(&self) -> Result<u32> {
        let text = self.value.get_ref().as_str();
        let mode = text.and_then(|text| u32::from_str_radix(text, 8).ok()).filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| self.expected("an octal mode in quotes, as in \"755\""))
    }

    pub fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T> {
        let text = self.value.get_ref().as_str();
        let found = choices.iter().find(|(name, _)| text == Some(name));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            let (last, rest) = names.split_last().map_or(("nothing", &[][..]), |(last, rest)| (last, rest));
            let names =
                if rest.is_empty() { last.to_owned() } else { format!("{} or {last}", rest.join(", ")) };
            self.expected(&names)
        })
    }

    pub fn list(&self) -> Result<Vec<Item<'a>>> {
        let list = self.value.get_ref().as_array().ok_or_else(|| self.expected("a list"))?;
        let number = Cell::new(0);
        let item = |value: &'a Spanned<DeValue<'a>>| {
            let key = format!("{}[{}]", self.key, number.replace(number.get() + 1));
            Item { source: self.source, key, at: value.span(), value }
        };
        Ok(list.iter().map(item).collect())
    }

    pub fn texts(&self) -> Result<Vec<String>> {
        let list = self.list().map_err(|_| self.expected("a list of texts, as in [\"one\", \"two\"]"))?;
        list.iter().map(Item::text).collect()
    }

    pub fn table<T>(&self, read: impl FnOnce(&mut Table<'a>) -> Result<T>) -> Result<T> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.expected("a table"))?;
        Table::new(self.source, self.key.clone(), table, self.at.clone()).close(read)
    }

    /// A table of free names and texts.
    pub fn map(&self) -> Result<BTreeMap<String, String>> {
        self.table(|table| table.all().into_iter().map(|(name, item)| Ok((name, item.text()?))).collect())
    }

    /// A table of free names, as JSON.
    pub fn object(&self) -> Result<Value> {
        if self.value.get_ref().is_table() { self.json() } else { Err(self.expected("a table")) }
    }

    /// Whatever it is, as JSON.
    pub fn json(&self) -> Result<Value> {
        Ok(match self.value.get_ref() {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(value) => Value::from(*value),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                Value::from(number.ok_or_else(|| self.expected("a number of 64 bits"))?)
            }
            DeValue::Float(_) | DeValue::Datetime(_) => {
                return Err(self.expected("what a config.json can have"));
            }
            DeValue::Array(_) => self.list()?.iter().map(Item::json).collect::<Result<Vec<_>>>()?.into(),
            DeValue::Table(_) => {
                let read = |table: &mut Table<'a>| {
                    let all = table.all().into_iter();
                    all.map(|(name, item)| Ok((name, item.json()?))).collect::<Result<Map<_, _>>>()
                };
                Value::Object(self.table(read)?)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> String {
        let source = Source::new("r.toml", text);
        let read = source.parse(|table| {
            if let Some(item) = table.take("size") {
                item.size()?;
            }
            if let Some(item) = table.take("mode") {
                item.mode()?;
            }
            if let Some(item) = table.take("list") {
                item.texts()?;
            }
            if let Some(item) = table.take("kind") {
                item.choice(&[("a", 1), ("b", 2), ("c", 3)])?;
            }
            table.need("name", "as in name = \"box\"")?.name()
        });
        format!("{:#}", read.unwrap_err())
    }

    #[test]
    fn a_mistake_is_one_line_with_its_place() {
        for (text, expected) in [
            ("nmae = \"x\"", "r.toml:1: nmae: unknown key (did you mean \"name\"?)"),
            ("name = \"\"", "r.toml:1: name: found \"\", expected something"),
            ("\nname = 3", "r.toml:2: name: found 3, expected text in quotes"),
            ("size = 1", "r.toml:1: the recipe: name is missing (as in name = \"box\")"),
            (
                "size = \"64X\"",
                "r.toml:1: size: found \"64X\", expected a size, as in 4096, \"512K\", \"64M\" or \"2G\"",
            ),
            (
                "size = -1",
                "r.toml:1: size: found -1, expected a size, as in 4096, \"512K\", \"64M\" or \"2G\"",
            ),
            (
                "size = \"99999999999G\"",
                "r.toml:1: size: found \"99999999999G\", expected a size, as in 4096, \"512K\", \"64M\" or \"2G\"",
            ),
            ("mode = 755", "r.toml:1: mode: found 755, expected an octal mode in quotes, as in \"755\""),
            (
                "list = \"x\"",
                "r.toml:1: list: found \"x\", expected a list of texts, as in [\"one\", \"two\"]",
            ),
            ("list = [\n\"x\",\ntrue]", "r.toml:3: list[1]: found true, expected text in quotes"),
            ("kind = \"d\"", "r.toml:1: kind: found \"d\", expected \"a\", \"b\" or \"c\""),
            ("[name]\nx = 1", "r.toml:1: name: found a table, expected text in quotes"),
        ] {
            assert_eq!(mistake(text), expected);
        }
        for broken in ["name = ", "a = 1\na = 2", "x = [1", "\u{feff}\u{0}"] {
            let text = mistake(broken);
            assert!(text.starts_with("r.toml:") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        for (one, other) in [("arg", "args"), ("argss", "args"), ("agrs", "args"), ("arga", "args")] {
            assert!(is_near(one, other), "{one}");
        }
        for (one, other) in [("x", "args"), ("ar", "args"), ("name", "args"), ("", "args")] {
            assert!(!is_near(one, other), "{one}");
        }
    }

    #[test]
    fn sizes_have_units() {
        let source = Source::new("r", "a = 5\nb = \"5\"\nc = \"2K\"\nd = \"3G\"");
        let sizes: Vec<u64> = source
            .parse(|table| table.all().into_iter().map(|(_, item)| item.size()).collect::<Result<_>>())
            .unwrap();
        assert_eq!(sizes, [5, 5, 2048, 3 << 30]);
    }
}
