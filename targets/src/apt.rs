//! Debian's packages of any architecture and suite, unpacked into a cache that git ignores, never installed.
//!
//! They come through an apt of their own, with lists and sources below the cache, so nothing changes about the machine's
//! own package sources. apt checks each download against the signed index.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::fs::{FlockOperation, flock};

use crate::family::Family;
use crate::{debian, repository};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The files of the package `name` for `family`, as a folder. Its dependencies are not among them.
pub fn unpacked(family: &Family, name: &str) -> Result<PathBuf> {
    let suite = suite_of(family, None)?;
    let architecture = &family.kernel.architecture;
    let cache = repository().join("tests/cache/package").join(format!("{name}-{suite}-{architecture}"));
    fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
    let _guard = lock(&cache)?;
    let files = cache.join("files");
    if !files.exists() {
        let work = cache.join("work");
        fresh(&work)?;
        Apt::new(&suite, architecture)?.download(name, &work)?;
        let part = cache.join("part");
        fresh(&part)?;
        for package in debs(&work)? {
            unpack(&package, &part, &["."])?;
        }
        fs::remove_dir_all(&work)?;
        // Last, so that what is there is whole.
        fs::rename(&part, &files)?;
    }
    Ok(files)
}

/// `suite`, or the one that the family needs, or the machine's own.
pub fn suite_of(family: &Family, suite: Option<&str>) -> Result<String> {
    match suite.or(family.kernel.suite.as_deref()) {
        Some(suite) => Ok(suite.to_owned()),
        None => own_suite(),
    }
}

/// apt with sources, lists and architecture of its own.
pub struct Apt {
    options: Vec<String>,
}

impl Apt {
    pub fn new(suite: &str, architecture: &str) -> Result<Apt> {
        let folder = repository().join("tests/cache/apt").join(format!("{suite}-{architecture}"));
        fs::create_dir_all(folder.join("lists/partial"))?;
        let _guard = lock(&folder)?;
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

    /// Fetches `package` into `folder`.
    pub fn download(&self, package: &str, folder: &Path) -> Result<()> {
        eprintln!("fetching {package}");
        run(self.command("apt-get").args(["-qq", "download", package]).current_dir(folder))
    }

    /// What `package` depends on.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
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

/// One process at a time works on a cache.
pub fn lock(cache: &Path) -> Result<File> {
    let file = File::create(cache.join("lock"))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("lock {}", cache.display()))?;
    Ok(file)
}

/// An empty folder at `path`.
pub fn fresh(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    Ok(fs::create_dir(path)?)
}

/// The packages that lie in `folder`.
pub fn debs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir()?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    paths.sort();
    Ok(paths)
}

/// Those members of `package` that match, which may be none of them.
pub fn unpack(package: &Path, into: &Path, members: &[&str]) -> Result<()> {
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

/// Runs `command` to its end, which has to be a good one.
pub fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("run {program}"))?;
    ensure!(status.success(), "{program} failed: {status}");
    Ok(())
}
