//! Word tables: one string holds all words, with a blank behind each; one more ends a table that has others behind it. A slice of `&str` would take 16 more bytes a word,
//! and the tables of the config hold several hundred.
//!
//! A table may start with `=` and what all its words have in front, which they then leave out: `=CAP_ CHOWN KILL `.
//!
//! Invariant: a word is never empty and holds no blank, so no text from outside can match across two of them.

use crate::base::text::{Put, Sink, after};
use crate::put;

/// The words of a table in order, as bytes: without checks for UTF-8, as the reader of a config asks for every key.
struct Words(&'static [u8]);

/// The words of `table` in order, without what all have in front.
pub fn iter(table: &'static str) -> impl Iterator<Item = &'static str> {
    prefixed(table).1.map(|word| core::str::from_utf8(word).unwrap_or(""))
}

/// What all words have in front, and the words.
fn prefixed(table: &'static str) -> (&'static [u8], Words) {
    match table.as_bytes() {
        [b'=', rest @ ..] => {
            let mut words = Words(rest);
            (words.next().unwrap_or(&[]), words)
        }
        words => (&[], Words(words)),
    }
}

impl Iterator for Words {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        let end = self.0.iter().position(|b| *b == b' ').filter(|end| *end > 0)?;
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        Some(word)
    }
}

/// The place of `word` in `table`, from 0.
pub fn position(table: &'static str, word: &[u8]) -> Option<usize> {
    let (prefix, mut words) = prefixed(table);
    let word = after(word, prefix)?;
    words.position(|known| known == word)
}

/// The word at place `n`, without what all have in front, or an empty one past the end.
pub fn nth(table: &'static str, n: usize) -> &'static str {
    iter(table).nth(n).unwrap_or("")
}

/// A table as text for a person: `"a", "b"`.
#[derive(Clone, Copy)]
pub struct Listed(pub &'static str);

impl Put for Listed {
    fn put(&self, to: &mut dyn Sink) {
        let (prefix, words) = prefixed(self.0);
        let mut comma = "";
        for word in words {
            put!(to, comma, "\"", prefix, word, "\"");
            comma = ", ";
        }
    }
}

/// An enumeration whose variants have a word in some format: the type, its table and its texts in one place.
#[macro_export]
macro_rules! words {
    ($(#[$about:meta])* $name:ident $prefix:literal { $( $(#[$doc:meta])* $variant:ident = $word:literal, )+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$doc])* $variant, )+ }

        impl $name {
            /// Every variant, in the order of the words.
            pub const ALL: &'static [$name] = &[$( $name::$variant, )+];
            /// The words, each with a blank behind it, and in front of all what all begin with.
            pub const WORDS: &'static str = concat!("=", $prefix, " ", $( $word, " ", )+);
        }
    };
    ($(#[$about:meta])* $name:ident { $( $(#[$doc:meta])* $variant:ident = $word:literal, )+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$doc])* $variant, )+ }

        impl $name {
            /// Every variant, in the order of the words.
            #[allow(dead_code)]
            pub const ALL: &'static [$name] = &[$( $name::$variant, )+];
            /// The words, each with a blank behind it.
            pub const WORDS: &'static str = concat!($( $word, " ", )+);

            /// The word that stands for this variant.
            pub fn word(self) -> &'static str {
                $crate::base::words::nth(Self::WORDS, self as usize)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::words! {
        /// Something.
        Fruit {
            /// Red.
            Apple = "apple",
            /// Yellow.
            Pear = "PEAR",
        }
    }

    crate::words! {
        /// Something larger.
        Tree "TREE_" {
            /// Ash.
            Ash = "ASH",
            /// Oak.
            Oak = "OAK",
        }
    }

    #[test]
    fn every_variant_is_listed_once() {
        assert_eq!((Fruit::ALL, Tree::ALL), (&[Fruit::Apple, Fruit::Pear][..], &[Tree::Ash, Tree::Oak][..]));
    }

    #[test]
    fn finds_whole_words_only() {
        assert_eq!(position(Fruit::WORDS, b"PEAR"), Some(1));
        for bad in [&b""[..], b" ", b"app", b"apple PEAR", b"apple ", b"pear"] {
            assert_eq!(position(Fruit::WORDS, bad), None);
        }
        assert_eq!((position(Tree::WORDS, b"TREE_OAK"), position(Tree::WORDS, b"OAK")), (Some(1), None));
        assert_eq!((position(Tree::WORDS, b"TREE_"), nth(Tree::WORDS, 0)), (None, "ASH"));
        assert_eq!(nth(Fruit::WORDS, 2), "");
        assert!(Fruit::ALL.iter().all(|f| position(Fruit::WORDS, f.word().as_bytes()) == Some(*f as usize)));
    }

    #[test]
    fn lists_for_a_person() {
        let arena = crate::error::test_arena(16 << 10);
        assert_eq!(crate::compose!(arena, Listed(Fruit::WORDS)), b"\"apple\", \"PEAR\"");
        assert_eq!(crate::compose!(arena, Listed(Tree::WORDS)), b"\"TREE_ASH\", \"TREE_OAK\"");
    }
}
