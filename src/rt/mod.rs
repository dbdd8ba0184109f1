//! The ground under the program: entry, memory, last words. Besides `sys`, the only room that may hold `unsafe`.
//!
//! Must not do: anything about containers.

pub mod arena;
pub mod c_string;
#[cfg(not(test))]
mod memory;
pub mod message;
pub mod packed;
#[cfg(not(test))]
mod panic;
pub mod region;
pub mod start;
mod zeros;
