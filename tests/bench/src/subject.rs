//! What is measured: a program and the command line that makes it run one container.

use crate::Paths;
use crate::bundle::{self, Config};
use crate::sandbox::Sandbox;
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One row of measuring: a runtime with one bundle, or the floor program.
pub struct Subject {
    pub name: &'static str,
    pub config: &'static str,
    pub program: PathBuf,
    work: Work,
}

enum Work {
    /// `floor ROOTFS CGROUP2_DIR`
    Floor { rootfs: PathBuf, cgroup: PathBuf },
    /// `PROGRAM --root STATE run -b BUNDLE ID`
    Runtime { state: PathBuf, bundle: PathBuf },
}

impl Subject {
    pub fn floor(paths: &Paths, sandbox: &Sandbox, rootfs: &Path) -> Result<Subject> {
        let work = Work::Floor { rootfs: rootfs.to_owned(), cgroup: sandbox.cgroup2()? };
        let Some(program) = in_path(&paths.floor) else {
            bail!("{}: no such program (tests/bench/run builds it)", paths.floor.display())
        };
        Ok(Subject { name: "floor", config: Config::Plain.name(), program, work })
    }

    /// A runtime that understands `--root DIR run -b BUNDLE ID`.
    pub fn runtime(
        name: &'static str,
        config: &'static str,
        program: PathBuf,
        bundle: PathBuf,
        sandbox: &Sandbox,
    ) -> Subject {
        let state = sandbox.state().join(name);
        Subject { name, config, program, work: Work::Runtime { state, bundle } }
    }

    /// The command that runs one container, silent, in the foreground.
    pub fn command(&self, sandbox: &Sandbox) -> Command {
        let mut command = Command::new(&self.program);
        match &self.work {
            Work::Floor { rootfs, cgroup } => command.arg(rootfs).arg(cgroup),
            Work::Runtime { state, bundle } => command
                .arg("--root")
                .arg(state)
                .args(["run".into(), "-b".into(), OsString::from(bundle)])
                .arg(sandbox.fresh_id()),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs one container and words what went wrong, if anything did.
    pub fn try_once(&self, sandbox: &Sandbox) -> Result<(), String> {
        let mut command = self.command(sandbox);
        let output = command.stderr(Stdio::piped()).output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        Err(format!("{}: {line}", output.status))
    }
}

/// The floor and every runtime that is there, once for each config.
pub fn all(paths: &Paths, configs: &[Config], sandbox: &Sandbox) -> Result<Vec<Subject>> {
    let rootfs = bundle::rootfs(paths, sandbox)?;
    let mut subjects = vec![Subject::floor(paths, sandbox, &rootfs)?];
    for &config in configs {
        let bundle = bundle::make(config, paths, sandbox, &rootfs)?;
        for (name, path) in [("hull", &paths.hull), ("crun", &paths.crun), ("runc", &paths.runc)] {
            let Some(program) = in_path(path) else { continue };
            subjects.push(Subject::runtime(name, config.name(), program, bundle.clone(), sandbox));
        }
    }
    Ok(subjects)
}

/// Resolves a program as a shell does: a name without a slash is looked up in PATH.
pub fn in_path(program: &Path) -> Option<PathBuf> {
    let executable = |path: &Path| {
        path.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    };
    if program.components().count() > 1 {
        return std::path::absolute(program).ok().filter(|path| executable(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| executable(path))
}
