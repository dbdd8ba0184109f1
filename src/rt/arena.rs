//! The bump arena: every string, slot and list of one command lives here until the process ends or execs.
//!
//! Invariant: a byte is handed out at most once, so the `&mut` slices given out never overlap. Nothing is freed; pages
//! are touched only when written. The last [`RESERVE`] bytes serve only [`Arena::compose`], so that an error about a
//! full arena can still be worded.
//!
//! What can go wrong here: a wrong alignment or length would hand out memory twice or past the end; every size is
//! computed with checked arithmetic against `end`.
#![allow(unsafe_code)]

use super::c_string;
use super::message::{Sink, Template, Words};
use crate::base::text::put_message;
use core::cell::Cell;
use core::ffi::CStr;
use core::marker::PhantomData;
use core::mem::{MaybeUninit, align_of, size_of};
use rustix::io::Errno;

/// Bytes kept back for error text, in bytes.
pub const RESERVE: usize = 8192;

/// What fills memory that may be unwritten, and says how many bytes of it are written then.
pub type Writing<'w> = dyn FnMut(&mut [MaybeUninit<u8>]) -> Result<usize, Errno> + 'w;

/// A region of memory that is handed out from the bottom up.
pub struct Arena<'m> {
    base: *mut u8,
    len: usize,
    top: Cell<usize>,
    memory: PhantomData<&'m mut [MaybeUninit<u8>]>,
}

/// The arena has no room left for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl<'m> Arena<'m> {
    /// An arena over `memory`, which may be untouched zero pages.
    pub fn new(memory: &'m mut [MaybeUninit<u8>]) -> Self {
        Arena { base: memory.as_mut_ptr().cast(), len: memory.len(), top: Cell::new(0), memory: PhantomData }
    }

    /// All bytes of the arena, used or not.
    pub fn capacity(&self) -> usize {
        self.len
    }

    /// Bytes handed out so far, alignment gaps included.
    pub fn used(&self) -> usize {
        self.top.get()
    }

    fn claim(&self, bytes: usize, align: usize, keep: usize) -> Result<*mut u8, Full> {
        let at = (self.base as usize).checked_add(self.top.get()).ok_or(Full)?;
        let aligned = at.checked_add(align - 1).ok_or(Full)? & !(align - 1);
        let start = aligned - self.base as usize;
        let end = start.checked_add(bytes).ok_or(Full)?;
        if end.checked_add(keep).ok_or(Full)? > self.len {
            return Err(Full);
        }
        self.top.set(end);
        // SAFETY: start <= end <= len, so the pointer stays inside the region given to `new`.
        Ok(unsafe { self.base.add(start) })
    }

    /// Room for `bytes` bytes, zeroed.
    ///
    /// # Errors
    /// [`Full`] where fewer bytes are left.
    pub fn bytes(&self, bytes: usize) -> Result<&'m mut [u8], Full> {
        let at = self.claim(bytes, 1, RESERVE)?;
        // SAFETY: the region is ours alone (see the invariant) and is initialised here.
        unsafe {
            at.write_bytes(0, bytes);
            Ok(core::slice::from_raw_parts_mut(at, bytes))
        }
    }

    /// A slice of `n` copies of `fill`.
    ///
    /// # Errors
    /// [`Full`] where it does not fit.
    pub fn slice<T: Copy>(&self, n: usize, fill: T) -> Result<&'m mut [T], Full> {
        let mut list = self.list(n)?;
        for _ in 0..n {
            list.push(fill)?;
        }
        Ok(list.done())
    }

    /// Lets `write` fill at most `most` bytes and keeps as many as it says were written. Memory beyond them is neither
    /// touched nor used up.
    ///
    /// Where fewer than `most` are left, `write` gets those.
    ///
    /// # Errors
    /// ENOMEM where none are left; else what `write` returned.
    pub fn fill(&self, most: usize, write: &mut Writing<'_>) -> Result<&'m mut [u8], Errno> {
        let left = self.len.saturating_sub(self.top.get()).saturating_sub(RESERVE);
        let most = most.min(left);
        if most == 0 {
            return Err(Errno::NOMEM);
        }
        let at = self.claim(most, 1, RESERVE).map_err(|_| Errno::NOMEM)?;
        // SAFETY: `most` bytes at `at` were just claimed.
        let written = write(unsafe { core::slice::from_raw_parts_mut(at.cast(), most) });
        let len = written.map_or(0, |len| len.min(most));
        let unused = most.saturating_sub(len);
        // given back only if nothing was taken meanwhile
        if self.top.get() == (at as usize).saturating_sub(self.base as usize).saturating_add(most) {
            self.top.set(self.top.get().saturating_sub(unused));
        }
        written?;
        // SAFETY: `write` promises that the first `len` bytes are written; all callers hand it to the kernel.
        Ok(unsafe { core::slice::from_raw_parts_mut(at, len) })
    }

    #[inline(never)]
    fn items(&self, n: usize, size: usize, align: usize) -> Result<*mut u8, Full> {
        self.claim(size.checked_mul(n).ok_or(Full)?, align, RESERVE)
    }

    /// A list with room for `capacity` items; memory is touched only by what is pushed.
    ///
    /// # Errors
    /// [`Full`] where that many do not fit.
    pub fn list<T: Copy>(&self, capacity: usize) -> Result<List<'m, T>, Full> {
        let at = self.items(capacity, size_of::<T>(), align_of::<T>())?;
        Ok(List { at: at.cast(), len: 0, capacity, memory: PhantomData })
    }

    /// A slice of the one value that may be there, or an empty one.
    ///
    /// # Errors
    /// [`Full`] where it does not fit.
    pub fn slice_of<T: Copy>(&self, value: Option<T>) -> Result<&'m [T], Full> {
        let mut list = self.list(1)?;
        if let Some(value) = value {
            list.push(value)?;
        }
        Ok(list.done())
    }

    /// One value, moved into the arena.
    ///
    /// # Errors
    /// [`Full`] where it does not fit.
    pub fn one<T: Copy>(&self, value: T) -> Result<&'m T, Full> {
        let mut list = self.list(1)?;
        list.push(value)?;
        list.done().first().ok_or(Full)
    }

    /// One value that may use the reserve: the body of an error.
    ///
    /// # Errors
    /// [`Full`] where even the reserve is used up.
    pub fn last_one<T: Copy>(&self, value: T) -> Result<&'m T, Full> {
        let at: *mut T = self.claim(size_of::<T>(), align_of::<T>(), 0)?.cast();
        // SAFETY: the region was just claimed for one T, and is written before the reference is made.
        unsafe {
            at.write(value);
            Ok(&*at)
        }
    }

    /// A copy of `bytes` with a NUL behind it.
    ///
    /// # Errors
    /// [`Full`] where it does not fit, or where `bytes` holds a NUL (callers refuse those with a better text first).
    pub fn c_str(&self, bytes: &[u8]) -> Result<&'m CStr, Full> {
        let room = bytes.len().checked_add(1).ok_or(Full)?;
        let at = self.claim(room, 1, RESERVE)?;
        // SAFETY: `room` bytes at `at` are ours alone; all of them are written before the slice is made.
        let copy = unsafe {
            at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            at.add(bytes.len()).write(0);
            core::slice::from_raw_parts(at, room)
        };
        c_string::whole(copy).ok_or(Full)
    }

    /// A message as a C string (for paths and mount data made of parts); use the `c_join!` macro.
    ///
    /// # Errors
    /// As [`Arena::c_str`].
    pub fn c_join(&self, template: Template, words: Words<'_>) -> Result<&'m CStr, Full> {
        let mut text =
            Growing { arena: self, from: self.claim(0, 1, RESERVE)?, len: 0, keep: RESERVE, cut: false };
        put_message(&mut text, template, words);
        text.push(&[0]);
        if text.cut {
            return Err(Full);
        }
        // SAFETY: `len` bytes from `from` were claimed and written by `Growing::push`.
        let bytes = unsafe { core::slice::from_raw_parts(text.from.cast_const(), text.len) };
        c_string::whole(bytes).ok_or(Full)
    }

    /// A message as text for a person, by the `compose!` macro; uses the reserve and is cut where even that is full.
    pub fn compose(&self, template: Template, words: Words<'_>) -> &'m [u8] {
        let Ok(from) = self.claim(0, 1, 0) else { return b"out of memory" };
        let mut text = Growing { arena: self, from, len: 0, keep: 0, cut: false };
        put_message(&mut text, template, words);
        // SAFETY: as in `c_join`.
        unsafe { core::slice::from_raw_parts(text.from.cast_const(), text.len) }
    }
}

impl Arena<'_> {
    /// Goes on in `main`, with `state` and nothing else, and gives the memory of this arena back to the kernel before.
    ///
    /// What can go wrong: a reference into the arena in `state` would lead to zeros. In code that is generic over the
    /// arena's lifetime, as all of hull is, the compiler refuses that.
    pub fn leave<T: 'static>(&self, state: T, main: fn(T) -> !) -> ! {
        use linux_raw_sys::general as n;
        // whole pages, whatever their size is here; a start that is none is refused
        const LARGEST_PAGE: usize = 0x1_0000;
        let end = (self.base as usize).saturating_add(self.len) & !(LARGEST_PAGE - 1);
        for page in [0x1000, LARGEST_PAGE] {
            let start = (self.base as usize).saturating_add(page - 1) & !(page - 1);
            let len = end.saturating_sub(start);
            // SAFETY: the pages lie in the arena, and nothing that refers to it is used any more: `main` has no other
            // data than `state`, and does not return.
            let gone =
                unsafe { crate::sys::raw::syscall3(n::__NR_madvise, start, len, n::MADV_DONTNEED as usize) };
            if gone.done().is_ok() {
                break;
            }
        }
        main(state)
    }
}

/// Words one after the other as a C string in an arena: `c_join!(arena, directory, "/", name)`.
#[macro_export]
macro_rules! c_join {
    ($arena:expr, $($words:tt)+) => {
        $crate::message!({$arena.c_join} () $($words)+)
    };
}

/// Words one after the other as text in an arena: `compose!(arena, "hull: ", error, "\n")`.
#[macro_export]
macro_rules! compose {
    ($arena:expr, $($words:tt)+) => {
        $crate::message!({$arena.compose} () $($words)+)
    };
}

/// Text that grows at the top of the arena. Nothing else may be taken from the arena meanwhile: `Put` has no way to.
struct Growing<'t, 'm> {
    arena: &'t Arena<'m>,
    from: *mut u8,
    len: usize,
    keep: usize,
    cut: bool,
}

impl Sink for Growing<'_, '_> {
    fn push(&mut self, bytes: &[u8]) {
        let Ok(at) = self.arena.claim(bytes.len(), 1, self.keep) else {
            self.cut = true;
            return;
        };
        // SAFETY: `bytes.len()` bytes at `at` were just claimed.
        unsafe { at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.len += bytes.len();
    }
}

/// A list of known capacity under construction.
pub struct List<'m, T> {
    at: *mut T,
    len: usize,
    capacity: usize,
    memory: PhantomData<&'m mut [T]>,
}

impl<'m, T: Copy> List<'m, T> {
    /// Appends one item.
    ///
    /// # Errors
    /// [`Full`] past the capacity.
    pub fn push(&mut self, item: T) -> Result<(), Full> {
        if self.len >= self.capacity {
            return Err(Full);
        }
        // SAFETY: len < capacity, and the region was claimed for `capacity` items of T.
        unsafe { self.at.add(self.len).write(item) };
        self.len += 1;
        Ok(())
    }

    /// What has been pushed so far.
    pub fn items(&self) -> &[T] {
        // SAFETY: the first `len` items are written.
        unsafe { core::slice::from_raw_parts(self.at, self.len) }
    }

    /// What has been pushed so far, to be changed in place.
    pub fn items_mut(&mut self) -> &mut [T] {
        // SAFETY: the first `len` items are written, and `self` is borrowed alone.
        unsafe { core::slice::from_raw_parts_mut(self.at, self.len) }
    }

    /// The finished slice.
    pub fn done(self) -> &'m mut [T] {
        // SAFETY: the first `len` items are written, and the list, consumed here, was their only owner.
        unsafe { core::slice::from_raw_parts_mut(self.at, self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena(bytes: usize) -> Arena<'static> {
        Arena::new(Box::leak(vec![MaybeUninit::uninit(); bytes].into_boxed_slice()))
    }

    #[test]
    fn hands_out_aligned_regions_that_do_not_overlap() {
        let a = arena(RESERVE + 64);
        let one = a.bytes(3).expect("room");
        let two = a.slice(2, 7u64).expect("room");
        assert_eq!(two.as_ptr() as usize % align_of::<u64>(), 0);
        one.fill(255);
        assert_eq!(two, [7, 7]);
    }

    #[test]
    fn refuses_what_does_not_fit_and_keeps_the_reserve_for_errors() {
        let a = arena(RESERVE + 16);
        assert_eq!(a.bytes(17).err(), Some(Full));
        assert!(a.bytes(16).is_ok());
        assert_eq!(a.c_str(b"").err(), Some(Full));
        assert_eq!(compose!(a, "no room for ", 4u32), b"no room for 4");
    }

    #[test]
    fn joins_words_into_a_c_string() {
        let a = arena(RESERVE + 64);
        assert_eq!(c_join!(a, "/run/", "web", -3i32), Ok(c"/run/web-3"));
        assert!(c_join!(a, { "a\0b" }).is_err());
    }

    #[test]
    fn what_is_filled_takes_only_what_was_written() {
        let a = arena(RESERVE + 64);
        let text = a.fill(32, &mut |room| {
            room[0].write(b'x');
            Ok(1)
        });
        assert_eq!((text.expect("room"), a.used()), (&mut b"x"[..].to_vec()[..], 1));
        assert!(a.fill(99, &mut |room| Ok(room.len())).is_ok_and(|room| room.len() == 63));
        assert!(a.fill(1, &mut |_| Ok(0)).is_err());
    }

    #[test]
    fn a_list_stops_at_its_capacity() {
        let a = arena(RESERVE + 64);
        let mut l = a.list::<u32>(2).expect("room");
        assert_eq!((l.push(1), l.push(2), l.push(3)), (Ok(()), Ok(()), Err(Full)));
        assert_eq!(l.done(), [1, 2]);
    }
}
