//! The board families that hull is built for, as data (`families/*.toml`), and what turns one into a checked binary.
//!
//! Must not do: know a family by name in code. A new family is a new file.

pub mod apt;
pub mod build;
pub mod debian;
pub mod elf;
pub mod family;
pub mod kernel;
pub mod qemu;
pub mod sizes;

use std::path::{Path, PathBuf};

/// The checkout that this package lies in.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository")
}

/// Where cargo's output goes: `CARGO_TARGET_DIR`, else `target` of the repository.
pub fn output() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => std::env::current_dir().unwrap_or_default().join(directory),
        None => repository().join("target"),
    }
}
