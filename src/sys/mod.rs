//! Raw system calls that rustix lacks, and the names of errnos. Each file opens with its table: call, why, oldest
//! kernel, fallback. Must not do: deciding which way to go; that is `effect` and `stage`.

pub mod bpf;
pub mod capability;
pub mod descriptor;
pub mod directory;
pub mod errno;
pub mod fault;
pub mod key;
pub mod knob;
pub mod limit;
pub mod mount;
pub mod net;
pub mod open;
pub mod process;
pub mod raw;
pub mod seccomp;
pub mod socket;
pub mod stdio;
pub mod terminal;
pub mod time;
