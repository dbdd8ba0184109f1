//! From a family to its checked release binary, with the toolchain that the machine has.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::family::Family;
use crate::{debian, elf, output, repository};

/// A binary that passed the check.
#[derive(Clone, Debug)]
pub struct Built {
    pub path: PathBuf,
    pub size: usize,
}

/// Builds the release binary of `family` and checks it.
pub fn release(family: &Family) -> Result<Built> {
    let mut cargo =
        if toolchain_has(&family.triple) { own_toolchain(family) } else { debian_toolchain(family)? };
    cargo.args(["build", "--release", "--locked", "--bin", "hull", "--target", &family.triple]);
    cargo.arg("--target-dir").arg(output()).current_dir(repository());
    // Cargo takes one source of flags only: this replaces those of .cargo/config.toml (the same) and of the caller.
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", family.code.rustflags.join("\x1f"));
    let status = cargo.status().with_context(|| format!("run {}", cargo.get_program().display()))?;
    ensure!(status.success(), "cargo build for {} failed: {status}", family.triple);

    let path = output().join(&family.triple).join("release/hull");
    let file = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    elf::check(&file, family.code.elf_machine).with_context(|| path.display().to_string())?;
    Ok(Built { path, size: file.len() })
}

/// Whether plain `cargo` can build for `triple`: rustup's target is installed, or it came with the distribution.
fn toolchain_has(triple: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let Ok(found) = Command::new(rustc).args(["--print", "target-libdir", "--target", triple]).output()
    else {
        return false;
    };
    let directory = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    let Ok(entries) = directory.read_dir() else { return false };
    entries.flatten().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"libcore-"))
}

fn own_toolchain(family: &Family) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    if let Some(linker) = &family.code.linker {
        cargo.env(linker_variable(family), linker);
    }
    cargo
}

/// Debian's newest Rust, its source of the core library, and LLVM's linker; the core library is built along.
fn debian_toolchain(family: &Family) -> Result<Command> {
    debian::install(&[
        ("/usr/bin/cargo", "cargo-web"),
        ("/usr/bin/rustc", "rustc-web"),
        ("/usr/lib/rustlib/src/rust/library/Cargo.lock", "rust-web-src"),
        ("/usr/bin/ld.lld", "lld"),
    ])?;
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo.arg("-Zbuild-std=core,compiler_builtins");
    cargo.env("RUSTC", "/usr/bin/rustc").env(linker_variable(family), "ld.lld");
    // The library source of a stable compiler builds with that compiler only when it is told so.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    Ok(cargo)
}

fn linker_variable(family: &Family) -> OsString {
    format!("CARGO_TARGET_{}_LINKER", family.triple.replace('-', "_").to_uppercase()).into()
}
