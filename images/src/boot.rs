//! The image in QEMU, its console on this terminal.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use anyhow::{Context, Result};
use hull_targets::qemu::Machine;
use hull_targets::{debian, kernel};

use crate::Built;
use crate::recipe::Recipe;

/// Where a recipe says nothing: enough for a distribution's kernel and a small image.
const MEMORY: u64 = 512 << 20;

/// Boots what was built. `kernel` is a kernel of the caller's choice; else the recipe's, else Debian's.
///
/// Returns how QEMU ended, which is when the machine has powered off, or asked for a reboot.
pub fn boot(recipe: &Recipe, built: &Built, kernel: Option<&Path>) -> Result<ExitStatus> {
    let family = &recipe.board;
    let system = format!("/usr/bin/{}", family.qemu.system);
    debian::install(&[(&system, &family.qemu.package)])?;
    let given = kernel.or(recipe.kernel.file.as_deref());
    let (file, dtb): (PathBuf, Option<PathBuf>) = match given {
        Some(file) => (file.to_owned(), recipe.kernel.dtb.clone()),
        None => {
            let cached = kernel::cached(family, recipe.kernel.suite.as_deref())?;
            (cached.file, recipe.kernel.dtb.clone().or(cached.dtb))
        }
    };
    let machine = Machine {
        family,
        kernel: &file,
        dtb: dtb.as_deref(),
        initramfs: &built.initramfs,
        memory: recipe.memory.unwrap_or(MEMORY).div_ceil(1 << 20),
        processors: 1,
        disks: built.root.iter().cloned().collect(),
        arguments: &recipe.kernel.arguments,
        serial: "mon:stdio",
    };
    let mut command = machine.command()?;
    command.status().with_context(|| format!("run {}", family.qemu.system))
}
