//! The machine that the tests run on: which runtime, which tests, and looking at files of the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Where the kernel shows the cgroup v2 tree.
pub const CGROUPS: &str = "/sys/fs/cgroup";
/// A file in the machine's own root that no container may see.
pub const MARKER: &str = "/marker-of-the-machine";

/// What the kernel's command line says.
pub struct Machine {
    pub runtime: PathBuf,
    /// Further arguments of `run`, for a runtime that is not hull.
    pub run_arguments: Vec<String>,
    only: String,
    /// Whether the machine's init has left rootfs, so that containers can pivot_root(2) away from the machine's root.
    pub left: bool,
}

impl Machine {
    /// Reads the command line, and makes sure that the machine is what the tests need.
    pub fn look() -> Result<Machine> {
        let line = read("/proc/cmdline")?;
        let value = |name: &str| {
            let prefix = format!("{name}=");
            line.split_whitespace().find_map(|word| word.strip_prefix(&prefix)).unwrap_or_default()
        };
        let runtime = PathBuf::from(value("vm.runtime"));
        ensure!(runtime.is_file(), "no runtime at \"{}\"", runtime.display());
        let controllers = read(format!("{CGROUPS}/cgroup.controllers"))?;
        for needed in ["cpu", "cpuset", "memory", "pids"] {
            ensure!(
                controllers.split_whitespace().any(|name| name == needed),
                "no {needed} controller: {controllers}"
            );
        }
        fs::write(MARKER, "")?;
        let run_arguments =
            value("vm.arguments").split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Ok(Machine {
            runtime,
            run_arguments,
            only: value("vm.only").to_owned(),
            left: value("vm.left") == "yes",
        })
    }

    pub fn is_wanted(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    /// Where the runtime keeps its state.
    pub fn state(&self) -> PathBuf {
        Path::new("/run").join(self.runtime.file_name().unwrap_or_default())
    }
}

/// The text of a small file, without the newline at its end.
pub fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// Names in a directory; none where there is no such directory.
pub fn names(path: impl AsRef<Path>) -> BTreeSet<String> {
    let Ok(listing) = fs::read_dir(path) else { return BTreeSet::new() };
    listing.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// `actual` must be `expected`.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, actual: T, expected: T) -> Result<()> {
    ensure!(actual == expected, "{what}: {actual:?}, not {expected:?}");
    Ok(())
}
