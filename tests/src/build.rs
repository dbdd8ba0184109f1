//! Builds the probe: one static program that suites put into containers, so that it needs nothing from the rootfs.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=src/probe.rs");
    println!("cargo:rerun-if-changed=src/build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("probe");
    let status = Command::new(rustc)
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "panic=abort"])
        .args(["-C", "relocation-model=static", "-C", "strip=symbols", "-o"])
        .arg(&out)
        .arg("src/probe.rs")
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the probe does not build");
    println!("cargo:rustc-env=HULL_PROBE={}", out.display());
}
