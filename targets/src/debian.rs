//! Debian packages: installing what a script of the project needs, only when it is missing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A file that has to be there, and the package that brings it.
pub type Need<'a> = (&'a str, &'a str);

/// Installs the packages of those needs whose files are missing.
pub fn install(needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> =
        needs.iter().filter(|(file, _)| !Path::new(file).exists()).map(|&(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing {}", missing.join(" "));
    let mut arguments = vec!["-y", "install", "--no-install-recommends"];
    arguments.extend(&missing);
    // An index that was never fetched, or one too old to name files that still exist.
    if apt(&arguments).is_err() {
        apt(&["update"])?;
        apt(&arguments)?;
    }
    for (file, package) in needs {
        ensure!(Path::new(file).exists(), "package {package} did not bring {file}");
    }
    Ok(())
}

/// apt-get(8) without questions, waiting for another one to finish.
pub fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-o", "DPkg::Lock::Timeout=300"]).args(arguments);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    let status =
        command.status().context("run apt-get (these scripts install what they need on Debian only)")?;
    ensure!(status.success(), "apt-get {} failed: {status}", arguments.join(" "));
    Ok(())
}
