//! Size, system calls, page faults and memory, held against `budgets.toml`: each figure is printed beside the saved one,
//! and fails above its budget.
//!
//! The figures come from the benchmark tool's `counts`, so that a number in the README and one that a test holds are the
//! same measure: the plain bundle with busybox's `true`, the payload's own calls left out.

use hull_tests::{Value, hull, project, spawn, suite, tests_dir};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::OnceLock;

suite!(
    the_binary_is_within_its_size,
    system_calls_on_cgroup2_are_within_their_number,
    system_calls_on_v1_are_within_their_number,
    page_faults_are_within_their_number,
    memory_of_parent_and_child_is_within_its_size,
    a_budget_that_is_too_small_is_noticed
);

/// The tables of budgets.toml: `[a.b]` and `name = number`.
fn table() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(tests_dir().join("budgets.toml")).expect("budgets.toml");
    let mut section = String::new();
    let mut all = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
        } else if let Some((name, value)) = line.split_once('=') {
            let value = value.trim().parse().unwrap_or_else(|_| panic!("budgets.toml: {line}"));
            all.insert(format!("{section}.{}", name.trim()), value);
        }
    }
    all
}

/// Fails if `now` is above the budget of `figure`; the saved figure is for the reader.
fn within(figure: &str, now: u64, budget: u64, saved: u64) -> Result<(), String> {
    let change = now as i64 - saved as i64;
    println!("    {figure}: {now} now, {saved} saved ({change:+}), budget {budget}");
    if now <= budget { Ok(()) } else { Err(format!("{figure}: {now}, budget {budget}, saved {saved}")) }
}

#[track_caller]
fn hold(figure: &str, now: u64) {
    let table = table();
    let get =
        |kind: &str| *table.get(&format!("{kind}.{figure}")).unwrap_or_else(|| panic!("no {kind}.{figure}"));
    if std::env::var_os("HULL_SAVE_BUDGETS").is_some() {
        save(figure, get("saved"), now);
    }
    if let Err(text) = within(figure, now, get("budget"), get("saved")) {
        panic!("{text}");
    }
}

/// Writes a new saved figure; the file's comments and order stay.
fn save(figure: &str, before: u64, now: u64) {
    static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = WRITING.lock();
    let path = tests_dir().join("budgets.toml");
    let (section, name) = figure.split_once('.').expect("section.name");
    let text = fs::read_to_string(&path).expect("budgets.toml");
    let (head, tail) = text.split_once(&format!("[saved.{section}]\n")).expect("its section");
    let tail = tail.replacen(&format!("{name} = {before}"), &format!("{name} = {now}"), 1);
    fs::write(&path, format!("{head}[saved.{section}]\n{tail}")).expect("budgets.toml");
}

fn counts(view: &'static str) -> Value {
    let mut command = Command::new(project().join("tests/bench/run"));
    command.args(["counts", "--cgroup", view, "--runtime"]).arg(hull()).env_remove("HULL");
    let output = spawn::output(&mut command);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "counts: {err}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("counts: {error}: {err}"))
}

fn on_cgroup2() -> &'static Value {
    static COUNTS: OnceLock<Value> = OnceLock::new();
    COUNTS.get_or_init(|| counts("v2"))
}

fn number(counts: &Value, name: &str) -> u64 {
    counts[name].as_u64().unwrap_or_else(|| panic!("no {name} in {counts}"))
}

fn own_calls(counts: &Value) -> u64 {
    number(counts, "syscalls") - number(counts, "payload_syscalls")
}

fn the_binary_is_within_its_size() {
    // The ladder of sizes is for x86_64; other architectures get rungs of their own when they are built here.
    hold("binary.bytes_x86_64", fs::metadata(hull()).expect("the binary").len());
}

fn system_calls_on_cgroup2_are_within_their_number() {
    hold("cgroup2.syscalls", own_calls(on_cgroup2()));
}

fn system_calls_on_v1_are_within_their_number() {
    hold("v1.syscalls", own_calls(&counts("v1")));
}

fn page_faults_are_within_their_number() {
    hold("cgroup2.minflt", number(on_cgroup2(), "minflt"));
}

fn memory_of_parent_and_child_is_within_its_size() {
    let counts = on_cgroup2();
    hold("cgroup2.rss_kb", number(counts, "rss_parent_kb") + number(counts, "rss_child_kb"));
}

fn a_budget_that_is_too_small_is_noticed() {
    assert!(within("control", 11, 10, 10).is_err());
    assert!(within("control", 10, 10, 11).is_ok());
}
