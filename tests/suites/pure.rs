//! The runtime's own unit and golden tests, counted among the others: what needs no kernel is tested without one.

use hull_tests::{project, suite};
use libtest_mimic::{Failed, Trial};
use std::process::Command;

suite!(; unit_tests);

/// One trial for each test that `cargo test --lib` ran.
fn unit_tests() -> Vec<Trial> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["test", "--lib", "--quiet", "--", "--format", "pretty", "--color", "never"])
        .current_dir(project());
    let output = command.output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut all: Vec<Trial> = text.lines().filter_map(|line| one(line, &text)).collect();
    let passed = output.status.success();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let none = all.is_empty();
    all.push(Trial::test("the_unit_tests_build_and_pass", move || match (passed, none) {
        (true, false) => Ok(()),
        (true, true) => Err(Failed::from("there are none")),
        (false, _) => Err(Failed::from(err)),
    }));
    all
}

fn one(line: &str, all: &str) -> Option<Trial> {
    let (name, verdict) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let failed = verdict != "ok";
    let head = format!("---- {name} stdout ----");
    let said = all
        .split_once(&head)
        .and_then(|(_, rest)| rest.split("\n----").next())
        .unwrap_or_default()
        .trim()
        .to_owned();
    Some(Trial::test(name, move || if failed { Err(Failed::from(said)) } else { Ok(()) }))
}
