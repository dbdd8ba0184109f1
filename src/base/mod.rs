//! Pure helpers that every room may use: text, paths, numbers. No system call, no state.

pub mod bpf;
pub mod date;
pub mod knob;
pub mod number;
pub mod parts;
pub mod path;
pub mod sort;
pub mod text;
pub mod words;
