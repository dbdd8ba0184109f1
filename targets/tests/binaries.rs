//! Every family's binary, built and looked at: static, as large as the table says, and made of instructions that its
//! processors have.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{collections::BTreeMap, fs};

use hull_targets::build::{self, Built};
use hull_targets::{debian, family, sizes};

/// The binaries by triple, each built once.
fn binaries() -> &'static BTreeMap<String, Built> {
    static BUILT: OnceLock<BTreeMap<String, Built>> = OnceLock::new();
    BUILT.get_or_init(|| build::releases(&family::all().unwrap()).unwrap())
}

#[test]
fn every_binary_is_static_and_within_its_size() {
    let mut table = sizes::table().unwrap();
    let save = std::env::var_os("HULL_SAVE_SIZES").is_some();
    let mut found = Vec::new();
    for (triple, built) in binaries() {
        let row = table.get_mut(triple).unwrap_or_else(|| panic!("{triple} is not in sizes.toml"));
        if save {
            row.saved = built.size;
        }
        println!("{triple}: {} now, {} saved, budget {}", built.size, row.saved, row.budget);
        found.extend(row.hold(triple, built.size).err().map(|error| error.to_string()));
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(table.keys().eq(binaries().keys()), "sizes.toml has a row of a triple that no family has");
    if save {
        sizes::save(&table).unwrap();
    }
}

/// Every suite asks for binaries again, and a build takes its time.
#[test]
fn what_is_there_is_not_built_again() {
    let family = family::named("x86_64").unwrap().pop().unwrap();
    let made = |built: &Built| built.path.metadata().unwrap().modified().unwrap();
    let before = made(&binaries()[&family.triple]);
    assert_eq!(made(&build::release(&family).unwrap()), before);
}

fn emulated(processor: &str, triple: &str, arguments: &[&str], folder: &Path) -> Output {
    debian::install(&[("/usr/bin/qemu-arm-static", "qemu-user-static")]).unwrap();
    let mut command = Command::new("qemu-arm-static");
    command.args(["-cpu", processor]).arg(&binaries()[triple].path).args(arguments);
    command.current_dir(folder).output().unwrap()
}

const ARMV6: &str = "arm-unknown-linux-musleabihf";
const ARMV7: &str = "armv7-unknown-linux-musleabihf";

/// A bundle folder without a root filesystem: enough for `spec` and `plan`.
fn bundle() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

#[test]
fn an_arm1176_parses_and_plans_as_a_pc_does() {
    let (_keep, folder) = bundle();
    let made = emulated("arm1176", ARMV6, &["spec"], &folder);
    assert!(made.status.success(), "{made:?}");
    let own = fs::read(folder.join("config.json")).unwrap();
    let mut configs = vec![("spec".to_owned(), own)];
    // What real engines wrote.
    for entry in hull_targets::repository().join("tests/configs/real").read_dir().unwrap() {
        let entry = entry.unwrap();
        configs.push((entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    }
    assert!(configs.len() > 5);
    let mut planned = 0;
    for (name, config) in configs {
        fs::write(folder.join("config.json"), config).unwrap();
        let here = emulated("arm1176", ARMV6, &["plan", "x"], &folder);
        let native = &binaries()["x86_64-unknown-linux-musl"].path;
        let there = Command::new(native).args(["plan", "x"]).current_dir(&folder).output().unwrap();
        assert_eq!(told(&here), told(&there), "{name}");
        planned += usize::from(here.status.success() && !here.stdout.is_empty());
    }
    assert!(planned > 2, "{planned} configs can be planned");
}

/// Status and words, without those on system call filters: these are compiled for one architecture.
fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().filter(|line| !line.contains("seccomp"));
    (output.status.code(), lines.map(|line| format!("{line}\n")).collect())
}

/// The control: instructions that an ARM1176 lacks end the program, so one would have been seen. What it takes the two
/// halves of a Thumb-2 instruction for is either nothing (SIGILL) or a wild jump or access (SIGSEGV), as the code falls.
#[test]
fn an_arm1176_stops_on_code_of_armv7() {
    let (_keep, folder) = bundle();
    let stopped = emulated("arm1176", ARMV7, &["spec"], &folder);
    assert!(matches!(stopped.status.signal().or(stopped.status.code()), Some(4 | 11)), "{stopped:?}");
    let runs = emulated("cortex-a7", ARMV7, &["spec"], &folder);
    assert!(runs.status.success(), "{runs:?}");
}
