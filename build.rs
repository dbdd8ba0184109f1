//! Link arguments of the freestanding binary, the commit for `--version`, and tables that are made and not written.

use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "targets/syscalls.rs"]
mod syscalls;
#[path = "targets/texts.rs"]
mod texts;

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    link_arguments();
    commit();
    pack()?;
    syscall_names()
}

/// One fixed-address ELF without an interpreter, start files, libc or relocations. Text and read-only data share
/// segments (`noseparate-code`), which saves pages and so page faults at each start.
fn link_arguments() {
    println!("cargo:rerun-if-changed=targets/layout.ld");
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    let script = format!("{}/targets/layout.ld", std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_default();
    let direct = linker.ends_with("ld.lld") || linker.ends_with("rust-lld");
    let arguments =
        ["--gc-sections", "-O2", "--build-id=none", "-z", "norelro", "-z", "max-page-size=16", "-T", &script];
    if direct {
        for argument in ["-static", "--no-pie", "--icf=all"].iter().chain(&arguments) {
            println!("cargo:rustc-link-arg-bins={argument}");
        }
        return;
    }
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-no-pie"] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,{}", arguments.join(","));
}

/// `HULL_COMMIT` where a packager sets it, else what git says, else nothing.
fn commit() {
    println!("cargo:rerun-if-env-changed=HULL_COMMIT");
    let git = |arguments: &[&str]| {
        let out = Command::new("git").args(arguments).output().ok()?;
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    // Asked for, since a work tree has them elsewhere; and a path that is not there would mean a build each time. The log has
    // the commits of this work tree alone, where refs/heads has those of its neighbours too.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && std::path::Path::new(&path).exists()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let from_git = || git(&["rev-parse", "--short=12", "HEAD"]);
    let commit = std::env::var("HULL_COMMIT").ok().or_else(from_git).unwrap_or_default();
    println!("cargo:rustc-env=HULL_COMMIT={}", if commit.is_empty() { "unknown" } else { &commit });
}

/// The pairs that pack the texts, for `src/rt/packed.rs`.
fn pack() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=targets/texts.rs");
    println!("cargo:rerun-if-changed=src");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::write(out.join("pairs"), texts::pairs(Path::new("src"))?)?;
    let spec = std::fs::read("src/command/spec.json.in")?;
    std::fs::write(out.join("pairs.spec"), texts::learn(vec![spec]))
}

/// The names of system calls, for `src/names/syscalls.rs`.
fn syscall_names() -> std::io::Result<()> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    match syscalls::tables() {
        Ok(tables) => std::fs::write(out.join("syscalls.rs"), tables),
        Err(reason) => {
            println!("cargo::error=system call names: {reason}");
            Ok(())
        }
    }
}
