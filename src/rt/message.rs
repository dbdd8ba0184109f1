//! Messages: a fixed text with places, and the words for them, packed so that a call site is small. hull has several
//! hundred of them, and their code would outweigh everything that puts them on a screen.
//!
//! A text is one pointer to bytes that end with NUL. The words are one pointer to pairs of machine words and one number
//! that tells the kind of each, three bits a word: it folds into a constant, so a word costs one or two stores.
//!
//! What can go wrong: a kind beside the value of another would be read as a pointer. Only [`message!`](crate::message!) puts the two
//! together, from [`Word`]s, which carry both.
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// Somewhere bytes can be appended. A sink that is full keeps what it has and remembers that it was cut.
pub trait Sink {
    /// Appends `bytes`.
    fn push(&mut self, bytes: &[u8]);
}

/// Something that can be appended to a sink as text.
pub trait Put {
    /// Appends the text of `self`.
    fn put(&self, to: &mut dyn Sink);

    /// The same as a word of a message.
    #[inline(always)]
    fn word(&self) -> Word<'_>
    where
        Self: Sized,
    {
        Word::other(self)
    }
}

/// The byte of a text where a word belongs.
pub const PLACE: u8 = 1;

/// The fixed text of a message, packed (`rt::packed`), with [`PLACE`] where a word belongs.
#[derive(Clone, Copy, Debug)]
pub struct Template(*const u8);

// SAFETY: what it points to is constant, and lives as long as the program.
unsafe impl Sync for Template {}

impl Template {
    /// Of a packed text, which ends with its only NUL; anything else does not compile, as [`text!`](crate::text!) calls
    /// this in a constant.
    pub const fn new(text: &'static [u8]) -> Template {
        assert!(CStr::from_bytes_with_nul(text).is_ok());
        Template(text.as_ptr())
    }

    /// Its bytes, still packed, without the NUL.
    pub fn bytes(self) -> &'static [u8] {
        // SAFETY: `new` saw the NUL at the end of a text that lives as long as the program; `Templates` gives out places in
        // such a text.
        unsafe { CStr::from_ptr(self.0.cast::<c_char>()) }.to_bytes()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(self) -> bool {
        self.bytes().is_empty()
    }
}

/// A list of texts, one behind the other; by [`texts!`](crate::texts!).
#[derive(Clone, Copy)]
pub struct Templates(&'static [u8]);

impl Templates {
    /// Of packed texts with a NUL behind each, which [`texts!`](crate::texts!) makes in a constant.
    pub const fn new(texts: &'static [u8]) -> Templates {
        assert!(matches!(texts.last(), Some(0)));
        Templates(texts)
    }

    /// Text `n`, from 0.
    pub fn nth(self, n: usize) -> Option<Template> {
        let mut rest = self.0;
        for _ in 0..n {
            rest = rest.get(rest.iter().position(|b| *b == 0)?.checked_add(1)?..)?;
        }
        (!rest.is_empty()).then_some(Template(rest.as_ptr()))
    }
}

/// Of a word: a pointer or the low bits of a number, then a length, a function or the high bits, if any.
#[derive(Clone, Copy)]
pub struct Value<'w> {
    first: *const (),
    second: MaybeUninit<*const ()>,
    what: PhantomData<&'w ()>,
}

const TEXT: u32 = 1;
const QUOTED: u32 = 2;
const C_TEXT: u32 = 3;
const C_QUOTED: u32 = 4;
const NUMBER: u32 = 5;
const SIGNED: u32 = 6;
const OTHER: u32 = 7;

/// Words that a message can have: the kinds of all fit 32 bits.
pub const MOST_WORDS: usize = 10;

/// A word of a message.
#[derive(Clone, Copy)]
pub struct Word<'w> {
    kind: u32,
    value: Value<'w>,
}

impl<'w> Word<'w> {
    #[inline(always)]
    const fn new(kind: u32, first: *const (), second: MaybeUninit<*const ()>) -> Word<'w> {
        Word { kind, value: Value { first, second, what: PhantomData } }
    }

    #[inline(always)]
    fn slice(kind: u32, text: &'w [u8]) -> Word<'w> {
        let length = core::ptr::without_provenance(text.len());
        Word::new(kind, text.as_ptr().cast(), MaybeUninit::new(length))
    }

    #[inline(always)]
    fn digits(kind: u32, number: u64) -> Word<'w> {
        // no array's `map`: that is a call, and the kinds of the words are no constant any more
        let low = core::ptr::without_provenance(number as usize);
        let second = if cfg!(target_pointer_width = "32") {
            MaybeUninit::new(core::ptr::without_provenance((number >> 32) as usize))
        } else {
            MaybeUninit::uninit()
        };
        Word::new(kind, low, second)
    }

    /// `text` as it stands.
    #[inline(always)]
    pub fn text(text: &'w [u8]) -> Word<'w> {
        Word::slice(TEXT, text)
    }

    /// `text` in quotes (`base::text::Quoted`).
    #[inline(always)]
    pub fn quoted(text: &'w [u8]) -> Word<'w> {
        Word::slice(QUOTED, text)
    }

    /// A C string as it stands.
    #[inline(always)]
    pub fn c_text(text: &'w CStr) -> Word<'w> {
        Word::new(C_TEXT, text.as_ptr().cast(), MaybeUninit::uninit())
    }

    /// A C string in quotes.
    #[inline(always)]
    pub fn c_quoted(text: &'w CStr) -> Word<'w> {
        Word::new(C_QUOTED, text.as_ptr().cast(), MaybeUninit::uninit())
    }

    /// `number` in decimal.
    #[inline(always)]
    pub fn number(number: u64) -> Word<'w> {
        Word::digits(NUMBER, number)
    }

    /// `number` in decimal.
    #[inline(always)]
    pub fn signed(number: i64) -> Word<'w> {
        Word::digits(SIGNED, number.cast_unsigned())
    }

    /// Anything else.
    #[inline(always)]
    pub fn other<T: Put>(word: &'w T) -> Word<'w> {
        let put: fn(&T, &mut dyn Sink) = T::put;
        Word::new(OTHER, core::ptr::from_ref(word).cast(), MaybeUninit::new(put as *const ()))
    }

    /// What `Words` needs beside the value.
    #[inline(always)]
    pub const fn kind(&self) -> u32 {
        self.kind
    }

    /// The value alone.
    #[inline(always)]
    pub const fn value(&self) -> Value<'w> {
        self.value
    }
}

/// The words of a message, in order.
#[derive(Clone, Copy)]
pub struct Words<'w> {
    values: *const Value<'w>,
    kinds: u32,
}

impl<'w> Words<'w> {
    /// No words.
    pub const NONE: Words<'static> = Words { values: core::ptr::null(), kinds: 0 };

    /// # Safety
    /// Of `kinds`, three bits from the lowest up are the kind of each value in turn; no more.
    #[inline(always)]
    pub const unsafe fn new<const N: usize>(values: &'w [Value<'w>; N], kinds: u32) -> Words<'w> {
        const { assert!(N <= MOST_WORDS) };
        Words { values: values.as_ptr(), kinds }
    }
}

/// A word as it was before it was packed.
#[derive(Clone, Copy)]
pub enum Part<'w> {
    /// As it stands.
    Text(&'w [u8]),
    /// In quotes.
    Quoted(&'w [u8]),
    /// In decimal.
    Number(u64),
    /// In decimal.
    Signed(i64),
    /// Anything else.
    Other(Other<'w>),
}

/// A reference to something and its [`Put::put`]: what a trait object is, without a table of methods for each type.
#[derive(Clone, Copy)]
pub struct Other<'w> {
    word: *const (),
    put: unsafe fn(*const (), &mut dyn Sink),
    what: PhantomData<&'w ()>,
}

impl Put for Other<'_> {
    fn put(&self, to: &mut dyn Sink) {
        // SAFETY: both come from one reference, which 'w keeps alive; a reference and a pointer are passed alike.
        unsafe { (self.put)(self.word, to) }
    }
}

impl<'w> Iterator for Words<'w> {
    type Item = Part<'w>;

    fn next(&mut self) -> Option<Part<'w>> {
        let kind = self.kinds & 7;
        if kind == 0 {
            return None;
        }
        self.kinds >>= 3;
        // SAFETY: `new` was promised a value for each kind; `Word` made first and second of that kind, and what they
        // point to outlives 'w. A second is read only for the kinds that have one.
        unsafe {
            let Value { first, second, .. } = self.values.read();
            self.values = self.values.add(1);
            Some(match kind {
                TEXT | QUOTED => {
                    let text = core::slice::from_raw_parts(first.cast(), second.assume_init().addr());
                    if kind == TEXT { Part::Text(text) } else { Part::Quoted(text) }
                }
                C_TEXT | C_QUOTED => {
                    let text = CStr::from_ptr(first.cast()).to_bytes();
                    if kind == C_TEXT { Part::Text(text) } else { Part::Quoted(text) }
                }
                NUMBER | SIGNED => {
                    #[cfg(target_pointer_width = "32")]
                    let number = first.addr() as u64 | (second.assume_init().addr() as u64) << 32;
                    #[cfg(target_pointer_width = "64")]
                    let number = first.addr() as u64;
                    if kind == NUMBER { Part::Number(number) } else { Part::Signed(number.cast_signed()) }
                }
                _ => Part::Other(Other {
                    word: first,
                    put: core::mem::transmute::<*const (), unsafe fn(*const (), &mut dyn Sink)>(
                        second.assume_init(),
                    ),
                    what: PhantomData,
                }),
            })
        }
    }
}

/// A packed text without words, as a [`Template`]: `text!("remove it first")`.
#[macro_export]
macro_rules! text {
    ($($part:literal),* $(,)?) => {
        const {
            const PACKED: $crate::rt::packed::Packed = $crate::rt::packed::Packed::new(concat!($($part),*), $crate::rt::packed::COMMON);
            const BYTES: [u8; PACKED.len()] = PACKED.bytes();
            $crate::rt::message::Template::new(&BYTES)
        }
    };
}

/// Several of them, as [`Templates`]: `texts!["no such file", "no such process"]`.
#[macro_export]
macro_rules! texts {
    ($($text:literal),* $(,)?) => {
        const {
            const PACKED: $crate::rt::packed::Packed = $crate::rt::packed::Packed::new(concat!($($text, "\0"),*), $crate::rt::packed::COMMON);
            const BYTES: [u8; PACKED.len() - 1] = PACKED.bytes();
            $crate::rt::message::Templates::new(&BYTES)
        }
    };
}

/// Calls `$call($first..., template, words)` with the words of a message packed: `message!({put_message} (to,) "found ", n)`.
#[macro_export]
macro_rules! message {
    ({ $($call:tt)+ } ($($first:expr),* $(,)?) $($words:tt)*) => {
        $crate::message!(@ { $($call)+ } ($($first),*) [] [] (0u32) (0u32) $($words)*)
    };
    (@ { $($call:tt)+ } ($($first:expr),*) [$($part:literal)*] [$($w:ident)*] ($kinds:expr) ($shift:expr)) => {
        match [$($w.value()),*] {
            values => $($call)+(
                $($first,)*
                $crate::text!($($part),*),
                {
                    // SAFETY: values and kinds come from the same words in the same order.
                    #[allow(unsafe_code)]
                    unsafe { $crate::rt::message::Words::new(&values, $kinds) }
                },
            ),
        }
    };
    (@ $call:tt $first:tt [$($part:literal)*] $w:tt $k:tt $s:tt $word:literal $(, $($rest:tt)*)?) => {
        $crate::message!(@ $call $first [$($part)* $word] $w $k $s $($($rest)*)?)
    };
    (@ $call:tt $first:tt [$($part:literal)*] [$($w:ident)*] ($kinds:expr) ($shift:expr)
        $word:expr $(, $($rest:tt)*)?) => {
        match $crate::rt::message::Put::word(&$word) {
            w => $crate::message!(
                @ $call $first [$($part)* "\x01"] [$($w)* w] ($kinds | w.kind() << ($shift)) ($shift + 3u32) $($($rest)*)?
            ),
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::base::text::{Hex, quoted};
    use crate::compose;

    #[test]
    fn every_kind_of_word_comes_out_as_it_went_in() {
        let arena = crate::error::test_arena(16 << 10);
        let text = compose!(
            arena,
            "a",
            &b"b"[..],
            quoted(c"c\""),
            (c"d"),
            "e",
            u64::MAX,
            " ",
            i64::MIN,
            " ",
            Hex(255),
            " ",
            Some("f"),
            None::<u8>
        );
        assert_eq!(text, b"ab\"c\\\"\"de18446744073709551615 -9223372036854775808 0xff f");
        assert_eq!(compose!(arena, ""), b"");
        assert_eq!(compose!(arena, 1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8, 8u8, 9u8, 10u8), b"12345678910");
    }
}
