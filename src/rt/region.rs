//! The memory behind the arenas: one small block for every command, one for a config of usual size, and an anonymous
//! mapping for larger ones.
//!
//! The blocks lie in .bss: untouched pages cost nothing, and no call is needed to have them. Each is handed out once.
//!
//! What can go wrong: handing a block out twice would give two owners to the same bytes; a flag guards each.
#![allow(unsafe_code)]

use super::arena::Arena;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU8, Ordering};
use rustix::io::Errno;

/// Bytes for options and messages.
const SMALL: usize = 64 << 10;
/// Bytes for a config of up to `USUAL / SLOTS_PER_BYTE` bytes.
const USUAL: usize = 1 << 20;
/// Arena bytes for each byte of config.json: text, slots, strings and plan.
const SLOTS_PER_BYTE: usize = 16;

struct Block<const N: usize>(UnsafeCell<[MaybeUninit<u8>; N]>);

// SAFETY: the bytes are reached only through `take`, which succeeds once.
unsafe impl<const N: usize> Sync for Block<N> {}

impl<const N: usize> Block<N> {
    const fn new() -> Self {
        Block(UnsafeCell::new([MaybeUninit::uninit(); N]))
    }

    /// An arena over the bytes, the first time; `bit` of [`TAKEN`] is this block's alone.
    fn take(&'static self, bit: u8) -> Option<Arena<'static>> {
        if TAKEN.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
            return None;
        }
        // SAFETY: this is the only time that a reference to the bytes is made.
        Some(Arena::new(unsafe { &mut *self.0.get() }))
    }
}

static SMALL_BLOCK: Block<SMALL> = Block::new();
static USUAL_BLOCK: Block<USUAL> = Block::new();

/// Which blocks are handed out. Not beside the blocks: a flag behind each would touch a page more.
static TAKEN: AtomicU8 = AtomicU8::new(0);

/// The arena of the command line and of messages; an empty one at the second call.
pub fn small() -> Arena<'static> {
    SMALL_BLOCK.take(1).unwrap_or_else(|| Arena::new(&mut []))
}

/// An arena for a config.json of `size` bytes.
///
/// # Errors
/// As mmap(2), for a size that the block does not serve.
pub fn sized(size: usize) -> Result<Arena<'static>, Errno> {
    let wanted = size.saturating_mul(SLOTS_PER_BYTE).max(USUAL);
    if wanted <= USUAL
        && let Some(arena) = USUAL_BLOCK.take(2)
    {
        return Ok(arena);
    }
    Ok(Arena::new(map(wanted)?))
}

/// An arena of its own for a document of about `size` bytes, which costs memory only where it is used.
///
/// # Errors
/// As mmap(2).
pub fn fresh(size: usize) -> Result<Arena<'static>, Errno> {
    Ok(Arena::new(map(size.saturating_mul(SLOTS_PER_BYTE).max(SMALL))?))
}

#[cfg(not(test))]
fn map(bytes: usize) -> Result<&'static mut [MaybeUninit<u8>], Errno> {
    use linux_raw_sys::general as n;
    #[cfg(target_pointer_width = "32")]
    const MMAP: u32 = n::__NR_mmap2;
    #[cfg(target_pointer_width = "64")]
    const MMAP: u32 = n::__NR_mmap;
    let protection = (n::PROT_READ | n::PROT_WRITE) as usize;
    let flags = (n::MAP_PRIVATE | n::MAP_ANONYMOUS | n::MAP_NORESERVE) as usize;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
    let at = unsafe { crate::sys::raw::syscall5(MMAP, 0, bytes, protection, flags, usize::MAX).value()? };
    // SAFETY: the mapping has `bytes` bytes, is never unmapped, and has no other owner.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut MaybeUninit<u8>, bytes) })
}

#[cfg(test)]
fn map(bytes: usize) -> Result<&'static mut [MaybeUninit<u8>], Errno> {
    Ok(Box::leak(vec![MaybeUninit::uninit(); bytes].into_boxed_slice()))
}
