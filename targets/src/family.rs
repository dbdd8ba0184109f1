//! One board family: its file, and finding it by any of its names.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// A family as its file describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// What people call it; the first is the one that messages use.
    pub names: Vec<String>,
    /// Rust's name for it.
    pub triple: String,
    pub code: Code,
    pub oci: Platform,
    pub qemu: Qemu,
    pub kernel: Kernel,
}

/// How the binary is made, and what it then has to be.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    pub rustflags: Vec<String>,
    /// None: the host's `cc`.
    pub linker: Option<String>,
    /// `e_machine` of elf(5).
    pub elf_machine: u16,
}

/// What images for it say in their `platform` (OCI image-spec, image-index.md).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    pub architecture: String,
    pub variant: Option<String>,
}

/// How it runs on a machine of another kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// The user-mode emulator, from qemu-user-static.
    pub user: String,
    pub system: String,
    /// The Debian package of `system`.
    pub package: String,
    /// Machine and processor, as arguments of `system`.
    pub machine: Vec<String>,
    /// The one size of memory that the machine has; none: any.
    pub memory: Option<String>,
    /// The kernel's name for the serial console.
    pub console: String,
    /// What QEMU's serial ports are connected to; none: the first one to the terminal.
    #[serde(default)]
    pub serial: Vec<String>,
    /// The device tree from the kernel's package, where the machine does not make its own.
    pub dtb: Option<String>,
    /// The device for a disk image; none: the machine takes none.
    pub disk: Option<String>,
    /// What the kernel has to be told because the machine is emulated.
    #[serde(default)]
    pub arguments: String,
}

/// Debian's kernel for it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// The meta package, whose one dependency is the kernel itself.
    pub package: String,
    pub architecture: String,
    /// The suite of Debian that has it, where that is not any of them.
    pub suite: Option<String>,
}

impl Family {
    pub fn name(&self) -> &str {
        self.names.first().map_or(&self.triple, |name| name)
    }

    fn is_called(&self, name: &str) -> bool {
        self.triple == name || self.names.iter().any(|own| own == name)
    }
}

/// Every family, in the order of the names of their files.
pub fn all() -> Result<Vec<Family>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("families");
    let entries = directory.read_dir().with_context(|| format!("read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
            toml::from_str(&text).with_context(|| format!("{}", path.display()))
        })
        .collect()
}

/// The families that `name` means: one of them, or each of them for `all`.
pub fn named(name: &str) -> Result<Vec<Family>> {
    let mut families = all()?;
    if name == "all" {
        return Ok(families);
    }
    let known = families.iter().map(Family::name).collect::<Vec<_>>().join(", ");
    families.retain(|family| family.is_called(name));
    if families.is_empty() {
        bail!("unknown target \"{name}\" (known: {known}, their triples, and all)");
    }
    Ok(families)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_found_by_each_of_its_names() {
        for name in ["armv7", "armhf", "armv7-unknown-linux-musleabihf"] {
            let found = named(name).unwrap();
            assert_eq!(found.iter().map(Family::name).collect::<Vec<_>>(), ["armv7"]);
        }
        assert!(named("all").unwrap().len() >= 6);
    }

    #[test]
    fn an_unknown_name_gets_one_line_with_the_known_ones() {
        let text = named("mips").unwrap_err().to_string();
        assert_eq!(
            text,
            "unknown target \"mips\" (known: aarch64, armv6, armv7, raspberry-pi, riscv64, x86_64, their triples, and all)"
        );
    }

    /// A binary is named by its triple alone, so two families of one triple must mean the same binary.
    #[test]
    fn one_triple_is_one_binary() {
        let families = all().unwrap();
        for (one, other) in families.iter().flat_map(|one| families.iter().map(move |other| (one, other))) {
            if one.triple == other.triple {
                assert_eq!(one.code, other.code, "{} and {}", one.name(), other.name());
            }
            let shared = one.names.iter().find(|name| other.is_called(name));
            assert!(std::ptr::eq(one, other) || shared.is_none(), "two families called {shared:?}");
        }
    }

    /// Plain `cargo build --target` and `targets/build` must make the same binary.
    #[test]
    fn the_flags_are_those_of_cargo_config() {
        let text = std::fs::read_to_string(crate::repository().join(".cargo/config.toml")).unwrap();
        let config: toml::Table = toml::from_str(&text).unwrap();
        for family in all().unwrap() {
            let target = &config["target"][&family.triple];
            let flags: Vec<String> = target["rustflags"].clone().try_into().unwrap();
            assert_eq!(flags, family.code.rustflags, "{}", family.triple);
            assert_eq!(
                target.get("linker").and_then(|linker| linker.as_str()),
                family.code.linker.as_deref()
            );
        }
    }
}
