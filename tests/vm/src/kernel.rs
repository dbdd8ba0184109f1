//! Debian's kernel, fetched once, unpacked into a cache that git ignores, never installed.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use hull_targets::family::Family;
use hull_targets::{debian, repository};

/// The kernel of `family` as a file to boot, from the cache where it is there and whole.
pub fn cached(family: &Family) -> Result<PathBuf> {
    let cache = repository().join("tests/cache/kernel").join(family.name());
    let kernel = cache.join("kernel");
    if is_whole(&cache) {
        return Ok(kernel);
    }
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    fetch(family, &cache).with_context(|| format!("fetch {}", family.kernel.package))?;
    ensure!(is_whole(&cache), "{} did not get whole", cache.display());
    Ok(kernel)
}

/// The list of checksums is written last, so a fetch that was cut short is seen, as is a file that changed since.
fn is_whole(cache: &Path) -> bool {
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--status", "SHA256SUMS"]).current_dir(cache).stderr(Stdio::null());
    cache.join("SHA256SUMS").exists() && check.status().is_ok_and(|status| status.success())
}

fn fetch(family: &Family, cache: &Path) -> Result<()> {
    let package = match versioned(&family.kernel.package) {
        Ok(package) => package,
        Err(_) => {
            debian::apt(&["update"])?;
            versioned(&family.kernel.package)?
        }
    };
    eprintln!("fetching {package}");
    let work = cache.join("work");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir(&work)?;
    // apt checks the download against the signed index; its unprivileged user could not write here.
    run(Command::new("apt-get")
        .args(["-qq", "-o", "APT::Sandbox::User=root", "download", &package])
        .current_dir(&work))?;
    let archive = only_file(&work, ".deb")?;
    run(Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(&archive)
        .stdout(fs::File::create(work.join("files.tar"))?))?;
    run(Command::new("tar").args(["-xf", "files.tar", "./boot"]).current_dir(&work))?;
    let packed = fs::read(only_file(&work.join("boot"), "vmlinuz-")?)?;
    fs::write(cache.join("kernel"), unpacked(&packed)?.unwrap_or(packed))?;
    fs::write(cache.join("package"), format!("{package}\n"))?;
    fs::remove_dir_all(&work)?;
    let sums = Command::new("sha256sum").args(["kernel", "package"]).current_dir(cache).output()?;
    ensure!(sums.status.success(), "sha256sum failed");
    Ok(fs::write(cache.join("SHA256SUMS"), sums.stdout)?)
}

/// The package that the meta package `name` depends on.
fn versioned(name: &str) -> Result<String> {
    let shown = Command::new("apt-cache").args(["show", "--no-all-versions", name]).output()?;
    let text = String::from_utf8_lossy(&shown.stdout);
    let depends = text.lines().find_map(|line| line.strip_prefix("Depends: linux-image-"));
    let depends = depends.with_context(|| format!("apt knows no {name}"))?;
    Ok(format!("linux-image-{}", depends.split([' ', ',']).next().unwrap_or_default()))
}

fn only_file(directory: &Path, part: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut found = entries.iter().filter(|entry| entry.file_name().to_string_lossy().contains(part));
    match (found.next(), found.next()) {
        (Some(entry), None) => Ok(entry.path()),
        _ => bail!("not one {part} in {}", directory.display()),
    }
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
    ensure!(
        output.status.success() && output.stdout.starts_with(b"\x7fELF"),
        "xz does not unpack this kernel"
    );
    Ok(Some(output.stdout))
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("run {program}"))?;
    ensure!(status.success(), "{program} failed: {status}");
    Ok(())
}
