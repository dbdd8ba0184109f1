//! From a family to its checked release binary, with the toolchain that the machine has.

use std::collections::BTreeMap;
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
    releases([family])?.into_values().next().context("a family has a binary")
}

/// Builds the release binaries of `families` and checks them, by triple. Together, because each of them keeps one processor
/// busy with linking.
pub fn releases<'f>(families: impl IntoIterator<Item = &'f Family>) -> Result<BTreeMap<String, Built>> {
    let mut triples: Vec<&Family> = families.into_iter().collect();
    triples.sort_by_key(|family| &family.triple);
    // Families that differ in their machine alone share a binary.
    triples.dedup_by_key(|family| &family.triple);
    let (own, debians): (Vec<_>, Vec<_>) = triples.iter().partition(|family| toolchain_has(&family.triple));
    if !own.is_empty() {
        build(own_toolchain(&own), &own)?;
    }
    if !debians.is_empty() {
        build(debian_toolchain(&debians)?, &debians)?;
    }
    triples.iter().map(|family| Ok((family.triple.clone(), checked(family)?))).collect()
}

fn build(mut cargo: Command, families: &[&Family]) -> Result<()> {
    cargo.args(["build", "--release", "--locked", "--bin", "hull", "--target-dir"]).arg(output());
    // The flags are those of .cargo/config.toml, which a test compares with the families'; the caller's would replace them.
    cargo.current_dir(repository()).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let names: Vec<&str> = families.iter().map(|family| family.triple.as_str()).collect();
    cargo.args(names.iter().flat_map(|name| ["--target", name]));
    let status = cargo.status().with_context(|| format!("run {}", cargo.get_program().display()))?;
    ensure!(status.success(), "cargo build for {} failed: {status}", names.join(", "));
    Ok(())
}

fn checked(family: &Family) -> Result<Built> {
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

fn own_toolchain(families: &[&Family]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for family in families {
        if let Some(linker) = &family.code.linker {
            cargo.env(linker_variable(family), linker);
        }
    }
    cargo
}

/// Debian's newest Rust, its source of the core library, and LLVM's linker; the core library is built along.
fn debian_toolchain(families: &[&Family]) -> Result<Command> {
    debian::install(&[
        ("/usr/bin/cargo", "cargo-web"),
        ("/usr/bin/rustc", "rustc-web"),
        ("/usr/lib/rustlib/src/rust/library/Cargo.lock", "rust-web-src"),
        ("/usr/bin/ld.lld", "lld"),
    ])?;
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo.arg("-Zbuild-std=core,compiler_builtins").env("RUSTC", "/usr/bin/rustc");
    for family in families {
        cargo.env(linker_variable(family), "ld.lld");
    }
    // The library source of a stable compiler builds with that compiler only when it is told so.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    Ok(cargo)
}

fn linker_variable(family: &Family) -> OsString {
    format!("CARGO_TARGET_{}_LINKER", family.triple.replace('-', "_").to_uppercase()).into()
}
