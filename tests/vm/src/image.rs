//! The initramfs: hull as /init and as /bin/hull, the guest's tests, busybox, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hull_image::{Packing, Tree, initramfs};
use hull_targets::family::Family;
use hull_targets::{build, output};

use crate::Cli;

/// The image as a file, and the path inside of the runtime to test.
pub struct Image {
    pub path: PathBuf,
    pub runtime: String,
}

/// The init that does not leave rootfs, for `rdinit=`.
pub const STAND_IN: &str = "stand-in-init";

pub fn build(cli: &Cli, family: &Family) -> Result<Image> {
    let mut tree = Tree::new();
    for (directory, mode) in
        [("proc", 0o555), ("sys", 0o555), ("dev", 0o755), ("run", 0o755), ("tmp", 0o1777)]
    {
        tree.directory(directory, mode)?;
    }
    tree.copy("bin/busybox", Path::new("/bin/busybox"))?;
    tree.copy("bin/guest", &guest()?)?;
    let runtime = match &cli.runtime {
        Some(path) => peer(&mut tree, path)?,
        None => {
            let hull = cli.hull.clone().map_or_else(|| Ok(build::release(family)?.path), anyhow::Ok)?;
            tree.copy("bin/hull", &hull)?;
            if !cli.stand_in_init {
                tree.copy("init", &hull)?;
            }
            "/bin/hull".to_owned()
        }
    };
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-in-init");
    tree.copy(STAND_IN, &stand_in)?;
    if !tree.contains("init") {
        tree.copy("init", &stand_in)?;
    }
    let directory = output().join("vm");
    fs::create_dir_all(&directory)?;
    let path = directory.join("initramfs");
    initramfs(tree, &path, Packing::Plain)?;
    Ok(Image { path, runtime })
}

/// The program with the tests, for a machine without any library.
fn guest() -> Result<PathBuf> {
    const TRIPLE: &str = "x86_64-unknown-linux-gnu";
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "hull-vm-guest",
        "--target",
        TRIPLE,
    ]);
    cargo.arg("--target-dir").arg(output()).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.env("RUSTFLAGS", "-Ctarget-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    ensure!(cargo.status().context("run cargo")?.success(), "the guest does not build");
    Ok(output().join(TRIPLE).join("release/guest"))
}

/// Puts another runtime in, with the libraries that ldd(1) names, at their own paths.
fn peer(tree: &mut Tree, program: &Path) -> Result<String> {
    let name = program.file_name().context("--runtime names no file")?;
    let inside = Path::new("/bin").join(name);
    tree.copy(&inside, program)?;
    let listed = Command::new("ldd").arg(program).output().context("run ldd")?;
    for word in
        String::from_utf8_lossy(&listed.stdout).split_whitespace().filter(|word| word.starts_with('/'))
    {
        tree.copy(word, Path::new(word))?;
    }
    Ok(inside.display().to_string())
}
