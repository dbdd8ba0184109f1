//! The mem* functions that the compiler calls for copies and comparisons; the binary has no libc to take them from.
//!
//! What can go wrong: a loop here that the compiler recognises as a copy becomes a call of the function it stands in.
//! x86_64 uses string instructions; elsewhere each step passes an empty `asm!` that the optimiser can't look through.
#![allow(unsafe_code)]
#![allow(clippy::missing_safety_doc)]

#[cfg(not(target_arch = "x86_64"))]
fn opaque<T: Copy>(value: T) -> T {
    let value = value;
    // SAFETY: an empty instruction sequence that pretends to touch memory.
    unsafe { core::arch::asm!("", options(nostack, preserves_flags)) };
    value
}

/// memcpy(3)
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller promises `n` bytes on both sides that do not overlap.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    // SAFETY: as above; words are only used where both sides are aligned alike.
    #[cfg(not(target_arch = "x86_64"))]
    unsafe {
        const WORD: usize = size_of::<usize>();
        let mut i = 0;
        if (to as usize) % WORD == (from as usize) % WORD {
            while i < n && (to as usize + i) % WORD != 0 {
                to.add(i).write(opaque(from.add(i).read()));
                i += 1;
            }
            while n - i >= WORD {
                to.add(i).cast::<usize>().write(opaque(from.add(i).cast::<usize>().read()));
                i += WORD;
            }
        }
        while i < n {
            to.add(i).write(opaque(from.add(i).read()));
            i += 1;
        }
    }
    to
}

/// memmove(3)
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= n {
        // SAFETY: `to` lies before `from` or behind its end, so a copy upwards reads each byte before it is written.
        return unsafe { memcpy(to, from, n) };
    }
    // SAFETY: the caller promises `n` bytes on both sides; downwards each byte is read before it is written.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("std", "rep movsb", "cld", inout("rcx") n => _,
            inout("rdi") to.wrapping_add(n).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(n).wrapping_sub(1) => _, options(nostack));
    }
    // SAFETY: as above.
    #[cfg(not(target_arch = "x86_64"))]
    unsafe {
        let mut i = n;
        while i > 0 {
            i -= 1;
            to.add(i).write(opaque(from.add(i).read()));
        }
    }
    to
}

/// memset(3)
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // SAFETY: the caller promises `n` bytes at `to`.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    // SAFETY: as above.
    #[cfg(not(target_arch = "x86_64"))]
    unsafe {
        let mut i = 0;
        while i < n {
            to.add(i).write(opaque(byte as u8));
            i += 1;
        }
    }
    to
}

/// memcmp(3)
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i < n {
        // SAFETY: the caller promises `n` bytes on both sides.
        let (x, y) = unsafe { (a.add(i).read(), b.add(i).read()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        i += 1;
    }
    0
}

/// bcmp(3)
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(a, b, n) }
}

/// strlen(3)
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut n = 0;
    // SAFETY: the caller promises a NUL at the end.
    while unsafe { text.add(n).read_volatile() } != 0 {
        n += 1;
    }
    n
}

/// The unwinder's personality: the precompiled core library names it, nothing calls it (panics abort).
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// ARM's unwind tables name these two; nothing calls them.
#[cfg(target_arch = "arm")]
#[unsafe(no_mangle)]
extern "C" fn __aeabi_unwind_cpp_pr0() {}
/// See [`__aeabi_unwind_cpp_pr0`].
#[cfg(target_arch = "arm")]
#[unsafe(no_mangle)]
extern "C" fn __aeabi_unwind_cpp_pr1() {}
