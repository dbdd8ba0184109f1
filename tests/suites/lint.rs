//! Style: rustfmt, clippy with warnings denied, and the house rules that neither of them knows.

use hull_tests::suite::case;
use hull_tests::{project, suite};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

suite!(every_file_opens_with_its_contract, no_file_is_longer_than_800_lines, scripts_are_executable_and_strict; of_every_package);

/// Every package of the project: the folders with a manifest.
fn packages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = tracked().into_iter().filter(|path| path.ends_with("Cargo.toml")).collect();
    found
        .retain(|path| fs::read_to_string(project().join(path)).is_ok_and(|text| text.contains("[package]")));
    found.iter().map(|path| path.parent().unwrap_or(Path::new("")).to_owned()).collect()
}

/// The files of the project, by git; where there is no repository, all of them but build folders.
fn tracked() -> Vec<PathBuf> {
    let output =
        Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(project()).output();
    if let Ok(output) = output
        .as_ref()
        .map_err(|_| ())
        .and_then(|output| if output.status.success() { Ok(output) } else { Err(()) })
    {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        return text.lines().map(PathBuf::from).filter(|path| project().join(path).is_file()).collect();
    }
    let mut open = vec![project().to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.path().is_dir() && entry.file_name() != "target" && !hidden {
                open.push(entry.path());
            } else if entry.path().is_file() {
                found.push(entry.path().strip_prefix(project()).expect("inside").to_owned());
            }
        }
    }
    found
}

fn cargo(package: &Path, arguments: &[&str]) {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = command.args(arguments).current_dir(project().join(package)).output().expect("cargo runs");
    let text = [output.stdout, output.stderr].concat();
    let text: String =
        String::from_utf8_lossy(&text).lines().take(40).map(|line| format!("{line}\n")).collect();
    assert!(output.status.success(), "{text}");
}

fn of_every_package() -> Vec<Trial> {
    let mut all = Vec::new();
    for package in packages() {
        let name = if package.as_os_str().is_empty() {
            "hull".to_owned()
        } else {
            package.display().to_string().replace('/', "_")
        };
        let (one, other) = (package.clone(), package);
        all.push(case(format!("{name}_is_formatted"), move || cargo(&one, &["fmt", "--check"])));
        all.push(case(format!("{name}_passes_clippy"), move || {
            cargo(
                &other,
                &[
                    "clippy",
                    "--quiet",
                    "--all-targets",
                    "--",
                    "-D",
                    "warnings",
                    "-D",
                    "clippy::too_many_lines",
                ],
            );
        }));
    }
    all
}

fn sources() -> Vec<PathBuf> {
    tracked().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs")).collect()
}

fn every_file_opens_with_its_contract() {
    let silent =
        |path: &PathBuf| !fs::read_to_string(project().join(path)).is_ok_and(|text| text.starts_with("//!"));
    let found: Vec<PathBuf> = sources().into_iter().filter(silent).collect();
    assert!(found.is_empty(), "no //! at the top of {found:?}");
}

fn no_file_is_longer_than_800_lines() {
    let long = |path: &PathBuf| {
        fs::read_to_string(project().join(path)).is_ok_and(|text| text.lines().count() > 800)
    };
    let found: Vec<PathBuf> = sources().into_iter().filter(long).collect();
    assert!(found.is_empty(), "longer than 800 lines: {found:?}");
}

fn scripts_are_executable_and_strict() {
    use std::os::unix::fs::PermissionsExt;
    for path in tracked() {
        let Ok(text) = fs::read_to_string(project().join(&path)) else { continue };
        if !text.starts_with("#!") {
            continue;
        }
        let mode = fs::metadata(project().join(&path)).expect("a file").permissions().mode();
        assert!(mode & 0o111 != 0, "{} is not executable", path.display());
        assert!(
            !text.starts_with("#!/bin/bash") || text.contains("set -"),
            "{} sets no options",
            path.display()
        );
    }
}
