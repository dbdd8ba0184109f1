//! Constants of zeros that take no room in the file: they lie in .bss, beside what every run touches.
//!
//! What can go wrong: a value that is not all zeros has no place there, and the compiler refuses it. The memory can be
//! written, but safe code has no way to.
#![allow(unsafe_code)]

/// Puts a static of zeros there: `zeros! { static NONE: [u64; 72] = [0; 72]; }`.
#[macro_export]
macro_rules! zeros {
    (static $name:ident: $type:ty = $value:expr;) => {
        // SAFETY: a section of zeros holds a value of zeros.
        #[allow(unsafe_code)]
        #[cfg_attr(not(test), unsafe(link_section = ".bss.zeros"))]
        static $name: $type = $value;
    };
}
