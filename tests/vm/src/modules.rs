//! What only the tests inside need beside the image: a disk, and the kernel's modules for it.

use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context, Result};
use hull_image::modules::Modules;
use hull_image::{Packing, Tree, initramfs};
use hull_targets::kernel::Kernel;
use hull_targets::output;

use crate::image::Image;

/// The disk's driver, and the scheduler that weighs cgroups.
const WANTED: [&str; 3] = ["virtio_pci", "virtio_blk", "bfq"];

/// The image with the modules behind it. The file `/modules` inside names them in the order in which they are loaded.
pub fn image(image: &Image, kernel: &Kernel) -> Result<PathBuf> {
    let mut tree = Tree::new();
    let order = Modules::open(&kernel.modules()?)?.install(&WANTED.map(str::to_owned), &mut tree)?;
    tree.file("modules", 0o644, order.join("\n"))?;
    let path = output().join("vm").join(format!("initramfs-{}", kernel.version));
    initramfs(tree, &path, Packing::Plain)?;
    // The kernel unpacks one archive after the other.
    let mut both = fs::read(&image.path)?;
    both.extend(fs::read(&path)?);
    fs::write(&path, both).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// An empty disk of 16 MiB.
pub fn disk() -> Result<PathBuf> {
    let path = output().join("vm/disk");
    File::create(&path)
        .and_then(|file| file.set_len(16 << 20))
        .with_context(|| format!("make {}", path.display()))?;
    Ok(path)
}
