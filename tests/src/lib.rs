//! What the suites share: bundles, hosts, running the binary, and looking at what it left behind.
//!
//! Nothing in here knows how hull works inside. Facts come from the kernel or from a process in the container.

pub mod bundle;
pub mod check;
pub mod facts;
pub mod faults;
pub mod holder;
pub mod host;
pub mod life;
pub mod pty;
pub mod run;
pub mod spawn;
pub mod suite;

use std::path::{Path, PathBuf};

pub use bundle::Bundle;
pub use host::Host;
pub use life::Life;
pub use run::{Live, Output};
pub use serde_json::{Value, json};

/// The static program of `src/probe.rs`, on the host.
pub const PROBE: &str = env!("HULL_PROBE");

/// The folder of this package.
pub fn tests_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The project's root.
pub fn project() -> &'static Path {
    tests_dir().parent().expect("tests/ lies in the project")
}

/// The folder of cargo's builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| project().join("target"), PathBuf::from)
}

/// The runtime under test: `HULL`, or what `cargo build --release` made.
pub fn hull() -> PathBuf {
    std::env::var_os("HULL").map_or_else(|| target_dir().join("release/hull"), PathBuf::from)
}

/// Where the runtime under test keeps its state when `--root` is not given.
pub fn state_root() -> PathBuf {
    let binary = hull();
    let peer = is_peer().then(|| binary.file_name()).flatten();
    Path::new("/run").join(peer.unwrap_or("hull".as_ref()))
}

/// True while `HULL` names a peer: only the suites' author sets it so, to learn whether a test itself is right.
pub fn is_peer() -> bool {
    matches!(hull().file_name().and_then(|name| name.to_str()), Some("runc" | "crun"))
}
