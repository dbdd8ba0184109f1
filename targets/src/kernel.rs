//! Debian's kernels, fetched once, unpacked into a cache that git ignores, never installed. A list of checksums guards
//! what is there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::apt::{Apt, debs, fresh, lock, run, suite_of, unpack};
use crate::family::Family;
use crate::{debian, repository};

/// A kernel in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r`.
    pub version: String,
    /// The file to boot.
    pub file: PathBuf,
    /// The device tree that the family's QEMU machine needs.
    pub dtb: Option<PathBuf>,
    cache: PathBuf,
}

/// The kernel of `family` from `suite` of Debian (none: the family's own, else that of this machine), from the cache
/// where it is there and whole.
pub fn cached(family: &Family, suite: Option<&str>) -> Result<Kernel> {
    let suite = suite_of(family, suite)?;
    let cache = repository().join("tests/cache/kernel").join(format!("{}-{suite}", family.name()));
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let _guard = lock(&cache)?;
    if !is_whole(&cache) {
        fetch(family, &suite, &cache)
            .with_context(|| format!("fetch {} from Debian {suite}", family.kernel.package))?;
        ensure!(is_whole(&cache), "{} did not get whole", cache.display());
    }
    let version = fs::read_to_string(cache.join("version"))?.trim().to_owned();
    let dtb = family.qemu.dtb.as_ref().map(|_| cache.join("dtb"));
    Ok(Kernel { version, file: cache.join("kernel"), dtb, cache })
}

impl Kernel {
    /// The folder with this kernel's modules and their modules.dep, unpacked at the first call.
    pub fn modules(&self) -> Result<PathBuf> {
        let folder = self.cache.join("modules").join("lib/modules").join(&self.version);
        let _guard = lock(&self.cache)?;
        // The last file that is written.
        if folder.join("modules.dep").exists() {
            return Ok(folder);
        }
        debian::install(&[("/usr/sbin/depmod", "kmod")])?;
        let work = self.cache.join("work");
        fresh(&work)?;
        for package in debs(&self.cache)? {
            unpack(&package, &work, &["./lib/modules", "./usr/lib/modules"])?;
        }
        let root = self.cache.join("modules");
        fresh(&root)?;
        fs::create_dir(root.join("lib"))?;
        let found = ["lib/modules", "usr/lib/modules"].map(|path| work.join(path));
        let found = found.iter().find(|path| path.exists()).context("no modules in the package")?;
        fs::rename(found, root.join("lib/modules"))?;
        fs::remove_dir_all(&work)?;
        // The package leaves this to its installation.
        run(Command::new("/usr/sbin/depmod").arg("--basedir").arg(&root).arg(&self.version))?;
        Ok(folder)
    }
}

/// The list of checksums is written last, so a fetch that was cut short is seen, as is a file that changed since.
fn is_whole(cache: &Path) -> bool {
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--status", "SHA256SUMS"]).current_dir(cache).stderr(Stdio::null());
    cache.join("SHA256SUMS").exists() && check.status().is_ok_and(|status| status.success())
}

fn fetch(family: &Family, suite: &str, cache: &Path) -> Result<()> {
    let apt = Apt::new(suite, &family.kernel.architecture)?;
    let packages = packages(&apt, &family.kernel.package)?;
    let work = cache.join("work");
    fresh(&work)?;
    for old in debs(cache)? {
        fs::remove_file(old)?;
    }
    for package in &packages {
        apt.download(package, cache)?;
    }
    for package in debs(cache)? {
        unpack(&package, &work, &["./boot", "./usr/lib/linux-image*", "./usr/lib/modules/*/vmlinu*"])?;
    }
    let image = find(&work, &|name| name.starts_with("vmlinu"))?.context("no kernel in the package")?;
    let version = match image.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.contains('-') => name.split_once('-').map(|(_, version)| version.to_owned()),
        _ => image.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()),
    };
    let packed = fs::read(&image)?;
    fs::write(cache.join("kernel"), unpacked(&packed)?.unwrap_or(packed))?;
    fs::write(cache.join("version"), version.context("a kernel without a version")? + "\n")?;
    fs::write(cache.join("package"), packages.join(" ") + "\n")?;
    let mut files = vec!["kernel", "version", "package"];
    if let Some(dtb) = &family.qemu.dtb {
        let found = find(&work, &|name| name == dtb)?.with_context(|| format!("no {dtb} in the package"))?;
        fs::copy(found, cache.join("dtb"))?;
        files.push("dtb");
    }
    fs::remove_dir_all(&work)?;
    let sums = Command::new("sha256sum").args(files).current_dir(cache).output()?;
    ensure!(sums.status.success(), "sha256sum failed");
    Ok(fs::write(cache.join("SHA256SUMS"), sums.stdout)?)
}

/// The packages behind the meta package `name`: the versioned image, or from 7.x on its binary and its modules.
fn packages(apt: &Apt, name: &str) -> Result<Vec<String>> {
    let is_version = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    let depends = apt.depends(name)?;
    let image = depends.iter().find(|one| one.strip_prefix("linux-image-").is_some_and(is_version));
    let image = image.with_context(|| format!("{name} depends on no kernel"))?;
    let mut parts = apt.depends(image)?;
    parts.retain(|part| {
        ["linux-binary-", "linux-modules-"]
            .iter()
            .any(|prefix| part.strip_prefix(prefix).is_some_and(is_version))
    });
    if parts.is_empty() {
        parts.push(image.clone());
    }
    Ok(parts)
}

/// The first regular file below `folder` whose name fits, in the order of names.
fn find(folder: &Path, fits: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    let mut entries = folder.read_dir()?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_file() && fits(&entry.file_name().to_string_lossy()) {
            return Ok(Some(entry.path()));
        }
        if kind.is_dir()
            && let Some(found) = find(&entry.path(), fits)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The ELF file inside a bzImage (Documentation/arch/x86/boot.rst): QEMU starts it directly (PVH), which saves the
/// unpacking under emulation: 3.6 s to userland instead of 9. None where it is packed in another way than xz, and for
/// other architectures; those files boot as they are.
fn unpacked(image: &[u8]) -> Result<Option<Vec<u8>>> {
    let number = |at: usize| -> Option<usize> {
        Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    if image.get(0x202..0x206) != Some(b"HdrS") {
        return Ok(None);
    }
    let payload = || {
        let setup = (usize::from(*image.get(0x1f1)?) + 1) * 512;
        let start = setup + number(0x248)?;
        image.get(start..start + number(0x24c)?)
    };
    let Some(payload) = payload().filter(|payload| payload.starts_with(b"\xfd7zXZ\0")) else {
        return Ok(None);
    };
    let mut xz = Command::new("xz");
    // Behind the stream comes its unpacked size, which is not part of it.
    let xz =
        xz.args(["--decompress", "--stdout", "--single-stream"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = xz.spawn().context("run xz")?;
    let mut input = child.stdin.take().context("no pipe")?;
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(payload));
        child.wait_with_output()
    })?;
    if !output.status.success() || !output.stdout.starts_with(b"\x7fELF") {
        bail!("xz does not unpack this kernel");
    }
    Ok(Some(output.stdout))
}
