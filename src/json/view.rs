//! Typed views over slots: the one place that knows where a field's slot lies.
//!
//! A type that a field can have implements [`Value`]; the macros [`fields!`] and [`object!`] make, from one list of
//! fields, the schema table that the reader follows and the methods that the rest of hull calls, so that the two can't
//! disagree. Invariant: a view is made only over the slots of its own schema. Must not do: check anything; the reader has.

use crate::json::schema::{self, Kind, Member, Range, Rule, Slot};
use crate::{text, zeros};
use core::ffi::CStr;
use core::marker::PhantomData;

/// A type that a slot can be seen as.
pub trait Value<'a>: Copy {
    /// What the reader takes for it, where the field says nothing narrower.
    const KIND: Kind;
    /// The same, with an address.
    const AT: &'static Kind = &Self::KIND;
    /// What stands for it where a slot is absent.
    const ABSENT: Self;
    /// The slot as this type; `None` where it is absent.
    fn from_slot(slot: Slot<'a>) -> Option<Self>;
    /// The same of a slot in its place.
    fn at(slot: &'a Slot<'a>) -> Option<Self> {
        Self::from_slot(*slot)
    }
    /// The same with [`Value::ABSENT`] for an absent one.
    fn plain_at(slot: &'a Slot<'a>) -> Self {
        Self::at(slot).unwrap_or(Self::ABSENT)
    }
}

/// Any string: the first of every document's rules ([`schema::ANY`]).
pub const ANY: Rule = Rule { test: |_| true, wanted: text!("a string") };

impl<'a> Value<'a> for &'a CStr {
    const KIND: Kind = Kind::Text(schema::ANY);
    const ABSENT: Self = c"";
    fn from_slot(slot: Slot<'a>) -> Option<Self> {
        if let Slot::Text(text) = slot { Some(text) } else { None }
    }
    // out of line, as that of lists: it is the whole of many methods
    #[inline(never)]
    fn plain_at(slot: &'a Slot<'a>) -> Self {
        Self::from_slot(*slot).unwrap_or(c"")
    }
}

impl<'a> Value<'a> for bool {
    const KIND: Kind = Kind::Bool;
    const ABSENT: Self = false;
    fn from_slot(slot: Slot<'a>) -> Option<Self> {
        if let Slot::Bool(value) = slot { Some(value) } else { None }
    }
}

macro_rules! numbers {
    ($($number:ident $range:ident),+) => { $(
        const $range: Range = Range { low: $number::MIN as i64, high: $number::MAX as u64 };
        impl<'a> Value<'a> for $number {
            const KIND: Kind = Kind::Number(&$range);
            const ABSENT: Self = 0;
            fn from_slot(slot: Slot<'a>) -> Option<Self> {
                match slot {
                    Slot::Signed(value) => $number::try_from(value).ok(),
                    Slot::Unsigned(value) => $number::try_from(value).ok(),
                    _ => None,
                }
            }
        }
    )+ };
}
numbers!(u16 U16, u32 U32, u64 U64, i32 I32, i64 I64);

/// Makes an enumeration of words a [`Value`].
macro_rules! word_values {
    ($($word:ident),+ $(,)?) => { $(
        impl<'a> $crate::json::view::Value<'a> for $word {
            const KIND: $crate::json::schema::Kind = $crate::json::schema::Kind::Word($word::WORDS);
            const ABSENT: Self = match $word::ALL {
                [first, ..] => *first,
                [] => unreachable!(),
            };
            fn from_slot(slot: $crate::json::schema::Slot<'a>) -> Option<Self> {
                if let $crate::json::schema::Slot::Word(n) = slot { $word::ALL.get(n).copied() } else { None }
            }
        }
    )+ };
}
pub(crate) use word_values;

/// A list in the config; absent and empty look alike.
#[derive(Clone, Copy)]
pub struct List<'a, T> {
    slots: &'a [Slot<'a>],
    item: PhantomData<T>,
}

impl<'a, T: Value<'a>> List<'a, T> {
    /// How many items.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Item `n`, from 0.
    pub fn get(&self, n: usize) -> Option<T> {
        slot(self.slots, n)
    }

    /// The slot that this is a view of.
    pub fn into_slot(self) -> Slot<'a> {
        Slot::List(self.slots)
    }

    /// The items in the order of the text.
    pub fn iter(&self) -> Items<'a, T> {
        Items { slots: self.slots, item: PhantomData }
    }
}

impl<'a, T: Value<'a>> Value<'a> for List<'a, T> {
    const KIND: Kind = Kind::List(T::AT);
    const ABSENT: Self = List { slots: &[], item: PhantomData };
    fn from_slot(slot: Slot<'a>) -> Option<Self> {
        if let Slot::List(slots) = slot { Some(List { slots, item: PhantomData }) } else { None }
    }
    fn plain_at(slot: &'a Slot<'a>) -> Self {
        List { slots: list_at(slot), item: PhantomData }
    }
}

impl<'a, T: Value<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Items<'a, T>;
    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

/// The items of a [`List`].
#[derive(Clone)]
pub struct Items<'a, T> {
    // not a slice's iterator: that needs its end computed at each loop
    slots: &'a [Slot<'a>],
    item: PhantomData<T>,
}

impl<'a, T: Value<'a>> Iterator for Items<'a, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        let (first, rest) = self.slots.split_first()?;
        self.slots = rest;
        T::from_slot(*first)
    }
}

/// A map in the config, in the order of the text; each key is there once.
#[derive(Clone, Copy)]
pub struct Map<'a, T> {
    members: Option<&'a [Member<'a>]>,
    item: PhantomData<T>,
}

impl<'a, T: Value<'a>> Map<'a, T> {
    /// How many members.
    pub fn len(&self) -> usize {
        self.members.map_or(0, <[Member<'a>]>::len)
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the field is there, with members or without.
    pub fn is_present(&self) -> bool {
        self.members.is_some()
    }

    /// The value of `key`. Takes linear time.
    pub fn get(&self, key: &[u8]) -> Option<T> {
        self.iter().find(|(name, _)| name.to_bytes() == key).map(|(_, value)| value)
    }

    /// The keys alone.
    pub fn keys(&self) -> impl Iterator<Item = &'a [u8]> + use<'a, T> {
        self.members.unwrap_or(&[]).iter().map(|member| member.key.to_bytes())
    }

    /// The slot that this is a view of.
    pub fn into_slot(self) -> Slot<'a> {
        self.members.map_or(Slot::Absent, Slot::Map)
    }

    /// Keys and values.
    pub fn iter(&self) -> Members<'a, T> {
        Members { members: self.members.unwrap_or(&[]).iter(), item: PhantomData }
    }
}

impl<'a, T: Value<'a>> Value<'a> for Map<'a, T> {
    const KIND: Kind = Kind::Map(T::AT);
    const ABSENT: Self = Map { members: None, item: PhantomData };
    fn from_slot(slot: Slot<'a>) -> Option<Self> {
        if let Slot::Map(members) = slot {
            Some(Map { members: Some(members), item: PhantomData })
        } else {
            None
        }
    }
}

impl<'a, T: Value<'a>> IntoIterator for Map<'a, T> {
    type Item = (&'a CStr, T);
    type IntoIter = Members<'a, T>;
    fn into_iter(self) -> Members<'a, T> {
        self.iter()
    }
}

/// The members of a [`Map`].
#[derive(Clone)]
pub struct Members<'a, T> {
    members: core::slice::Iter<'a, Member<'a>>,
    item: PhantomData<T>,
}

impl<'a, T: Value<'a>> Iterator for Members<'a, T> {
    type Item = (&'a CStr, T);
    fn next(&mut self) -> Option<(&'a CStr, T)> {
        let member = self.members.next()?;
        Some((member.key, T::from_slot(member.value)?))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.members.size_hint()
    }
}

zeros! {
    static NONE: [Slot<'static>; 24] = [Slot::Absent; 24];
}

/// The fields of an object that is not there.
pub(crate) const fn none<const N: usize>() -> &'static [Slot<'static>; N] {
    match NONE.first_chunk() {
        Some(slots) => slots,
        None => unreachable!(),
    }
}

/// The slot at place `n` as `T`.
#[inline(always)]
pub(crate) fn slot<'a, T: Value<'a>>(slots: &'a [Slot<'a>], n: usize) -> Option<T> {
    slots.get(n).and_then(T::at)
}

/// The same with what stands for an absent one.
#[inline(always)]
pub(crate) fn plain<'a, T: Value<'a>>(slots: &'a [Slot<'a>], n: usize) -> T {
    slots.get(n).map_or(T::ABSENT, T::plain_at)
}

/// The slots of a list. Not generic, so that there is one for the lists of every type.
#[inline(never)]
fn list_at<'a>(slot: &'a Slot<'a>) -> &'a [Slot<'a>] {
    if let Slot::List(slots) = slot { slots } else { &[] }
}

/// The schema and the methods of an object: `method "jsonName": required|optional|plain Type [= narrower Kind];`
///
/// `required` gives `Type` and is an error where the field is missing; `optional` gives `Option<Type>`; `plain` gives
/// `Type`, false or empty where it is missing.
macro_rules! fields {
    ($name:ident { $( $(#[$doc:meta])* $method:ident $json:literal: $mode:ident $type:ty $(= $kind:expr)?; )+ }) => {
        const _: () = {
            #[allow(non_camel_case_types)]
            enum Place { $( $method, )+ }

            impl<'a> $name<'a> {
                /// The table that the reader follows.
                pub(crate) const SCHEMA: $crate::json::schema::Schema = $crate::json::schema::Schema {
                    names: concat!($( $json, " ", )+),
                    kinds: &[$( $crate::json::view::fields!(@kind $type $(, $kind)?), )+],
                    required: 0 $( | $crate::json::view::fields!(@required $mode) << Place::$method as u64 )+,
                };

                $(
                    $(#[$doc])*
                    pub fn $method(&self) -> $crate::json::view::fields!(@type $mode $type) {
                        $crate::json::view::fields!(@value $mode)(self.slots, Place::$method as usize)
                    }
                )+
            }
        };
    };
    (@kind $type:ty) => { <$type as $crate::json::view::Value>::AT };
    (@kind $type:ty, $kind:expr) => { &$kind };
    (@required required) => { 1u64 };
    (@required $other:ident) => { 0u64 };
    (@type optional $type:ty) => { Option<$type> };
    (@type $other:ident $type:ty) => { $type };
    (@value optional) => { $crate::json::view::slot };
    (@value $other:ident) => { $crate::json::view::plain };
}
pub(crate) use fields;

/// How many fields a list of [`fields!`] has.
macro_rules! count {
    ($( $(#[$doc:meta])* $method:ident $json:literal: $mode:ident $type:ty $(= $kind:expr)?; )+) => {
        [$( $json, )+].len()
    };
}
pub(crate) use count;

/// An object of the config: the view's type, its schema and its methods.
macro_rules! object {
    ($(#[$about:meta])* $name:ident { $($fields:tt)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy)]
        pub struct $name<'a> {
            // one word, and no place of a field is past its end
            slots: &'a [$crate::json::schema::Slot<'a>; $crate::json::view::count!($($fields)+)],
        }

        impl<'a> $crate::json::view::Value<'a> for $name<'a> {
            const KIND: $crate::json::schema::Kind = $crate::json::schema::Kind::Object(&Self::SCHEMA);
            const ABSENT: Self =
                $name { slots: $crate::json::view::none() };
            fn from_slot(slot: $crate::json::schema::Slot<'a>) -> Option<Self> {
                match slot {
                    $crate::json::schema::Slot::Object(slots) => slots.first_chunk().map(|slots| $name { slots }),
                    _ => None,
                }
            }
        }

        impl<'a> $name<'a> {
            /// The slot that this is a view of.
            #[allow(dead_code)]
            pub fn into_slot(self) -> $crate::json::schema::Slot<'a> {
                $crate::json::schema::Slot::Object(self.slots)
            }
        }

        $crate::json::view::fields! { $name { $($fields)+ } }
    };
}
pub(crate) use object;
