//! Debian's kernels, fetched once, unpacked into a cache that git ignores, never installed.
//!
//! They come through an apt of their own (lists and sources below the cache), so any architecture and any suite of the
//! mirror can be had without a change to the machine's package sources. apt checks each download against the signed
//! index; a list of checksums then guards the cache.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};

use crate::family::Family;
use crate::{debian, repository};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

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
    let suite = match suite.or(family.kernel.suite.as_deref()) {
        Some(suite) => suite.to_owned(),
        None => own_suite()?,
    };
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

/// One process at a time works on a cache.
fn lock(cache: &Path) -> Result<File> {
    let file = File::create(cache.join("lock"))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("lock {}", cache.display()))?;
    Ok(file)
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
        eprintln!("fetching {package}");
        run(apt.command("apt-get").args(["-qq", "download", package]).current_dir(cache))?;
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

/// apt with sources, lists and architecture of its own.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(suite: &str, architecture: &str) -> Result<Apt> {
        let folder = repository().join("tests/cache/apt").join(format!("{suite}-{architecture}"));
        fs::create_dir_all(folder.join("lists/partial"))?;
        let sources = folder.join("sources.list");
        fs::write(&sources, format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror()?))?;
        let folder = folder.display();
        let options = [
            format!("Dir::Etc::SourceList={folder}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".into(),
            format!("Dir::State::Lists={folder}/lists"),
            format!("Dir::Cache={folder}"),
            format!("APT::Architecture={architecture}"),
            format!("APT::Architectures={architecture}"),
            "Acquire::Languages=none".into(),
            "Acquire::Retries=3".into(),
            // Its unprivileged user could not write here.
            "APT::Sandbox::User=root".into(),
        ];
        let apt = Apt { options: options.map(|option| format!("-o{option}")).into() };
        // A mirror in the middle of its update serves parts that don't fit together; a little later they do.
        let mut tries = 3;
        while let Err(error) = run(apt.command("apt-get").args(["-qq", "update"])) {
            tries -= 1;
            ensure!(tries > 0, error);
            std::thread::sleep(std::time::Duration::from_secs(5));
        }
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).stdout(std::io::stderr());
        command
    }

    /// What `package` depends on.
    fn depends(&self, package: &str) -> Result<Vec<String>> {
        let shown = self
            .command("apt-cache")
            .args(["show", "--no-all-versions", package])
            .stdout(Stdio::piped())
            .output()?;
        let text = String::from_utf8_lossy(&shown.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("Depends: "));
        let line = line.with_context(|| format!("apt knows no {package}"))?;
        Ok(line
            .split([',', '|'])
            .filter_map(|word| Some(word.split_whitespace().next()?.to_owned()))
            .collect())
    }
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

/// The Debian mirror that this machine uses.
fn mirror() -> Result<String> {
    let listed = || -> Result<Option<String>> {
        let mut apt = Command::new("apt-get");
        let targets =
            apt.args(["indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Identifier: Packages"]);
        let text = targets.output().context("run apt-get (kernels come from Debian's packages)")?.stdout;
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text.lines().find_map(|line| line.strip_prefix("Debian|Debian|")).map(str::to_owned))
    };
    if let Some(found) = listed()? {
        return Ok(found);
    }
    debian::apt(&["update"])?;
    listed()?.context("no Debian mirror among apt's sources")
}

/// The suite that this machine runs.
fn own_suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("no VERSION_CODENAME in /etc/os-release")?.trim_matches('"').to_owned())
}

/// An empty folder at `path`.
fn fresh(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    Ok(fs::create_dir(path)?)
}

fn debs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir()?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    paths.sort();
    Ok(paths)
}

/// Those members of `package` that match, which may be none of them.
fn unpack(package: &Path, into: &Path, members: &[&str]) -> Result<()> {
    let mut archive = Command::new("dpkg-deb");
    let mut archive = archive.arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn()?;
    let input = archive.stdout.take().context("no pipe")?;
    let mut tar = Command::new("tar");
    tar.args(["-x", "--wildcards", "--no-same-owner", "-C"]).arg(into).args(members).stdin(input);
    // It ends with an error when a pattern matches nothing; what matters is looked for afterwards.
    let _ = tar.stderr(Stdio::null()).status().context("run tar")?;
    let status = archive.wait()?;
    ensure!(status.success(), "dpkg-deb {} failed: {status}", package.display());
    Ok(())
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

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("run {program}"))?;
    ensure!(status.success(), "{program} failed: {status}");
    Ok(())
}
