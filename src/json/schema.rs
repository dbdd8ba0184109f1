//! What a document may hold, as plain tables, and what reading leaves behind: slots.
//!
//! The tables know every name and range, so error texts, unknown-field rules and `features` come out of them. The typed
//! views that hide the slots' places belong to whoever owns the tables. Must not do: name a field of any format.
//!
//! A [`Kind`] with all that it leads to is there for the compiler alone, which makes a [`Document`] of it
//! (`document!`): two bytes a field, where pointers would take sixteen.

use crate::base::text::Template;
use crate::json::tables::{Code, Fields};
use core::ffi::CStr;

/// A check on the text of a string, and the words that say what passes it ("an absolute path").
pub struct Rule {
    /// Whether the text, escapes resolved, passes.
    pub test: fn(&[u8]) -> bool,
    /// What was expected, for the error.
    pub wanted: Template,
}

/// The rule of every list of rules that any string passes: its first.
pub const ANY: u8 = 0;

/// The smallest and the largest integer that a field takes. A range that ends above `i64::MAX` must start at 0 or higher.
#[derive(Clone, Copy)]
pub struct Range {
    /// The smallest.
    pub low: i64,
    /// The largest.
    pub high: u64,
}

/// What a value must be.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A string that passes a check, which stands at this place of the document's rules; never one that holds a NUL.
    Text(u8),
    /// `true` or `false`.
    Bool,
    /// An integer without fraction and exponent.
    Number(&'static Range),
    /// One of the words of a table (`base::words`).
    Word(&'static str),
    /// A list of values of one kind.
    List(&'static Kind),
    /// An object with keys of the bundle's own, and values of one kind.
    Map(&'static Kind),
    /// An object with known keys.
    Object(&'static Schema),
}

/// The known fields of an object. Fields that are not here are read past.
pub struct Schema {
    /// The names, as a word table (`base::words`).
    pub names: &'static str,
    /// The kind of each, in the same order; at most 64.
    pub kinds: &'static [&'static Kind],
    /// Bit n is set where field n must be there, one of the first 16.
    pub required: u64,
}

/// A [`Kind`] as it comes out of a document's tables.
#[derive(Clone, Copy)]
pub enum Shape {
    /// See [`Kind::Text`].
    Text(&'static Rule),
    /// See [`Kind::Bool`].
    Bool,
    /// See [`Kind::Number`].
    Number(&'static Range),
    /// See [`Kind::Word`].
    Word(&'static str),
    /// See [`Kind::List`].
    List(Code),
    /// See [`Kind::Map`].
    Map(Code),
    /// See [`Kind::Object`].
    Object(Fields),
}

/// A value that was read.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Slot<'a> {
    /// Not in the document, or `null`; zeros, so that many of them take no room in the file (`zeros!`).
    Absent = 0,
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of a [`Kind::Number`] whose range ends at `i64::MAX` or lower.
    Signed(i64),
    /// Of any other [`Kind::Number`].
    Unsigned(u64),
    /// Of [`Kind::Word`]: the place in the table.
    Word(usize),
    /// Of [`Kind::Text`], escapes resolved.
    Text(&'a CStr),
    /// Of [`Kind::List`].
    List(&'a [Slot<'a>]),
    /// Of [`Kind::Map`]; each key is there once.
    Map(&'a [Member<'a>]),
    /// Of [`Kind::Object`]: one slot for each name of the schema.
    Object(&'a [Slot<'a>]),
}

/// A member of a map.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The key, escapes resolved.
    pub key: &'a CStr,
    /// Its value, never absent.
    pub value: Slot<'a>,
}
