//! Profiles compiled and run in an interpreter; and the programs of a folder of profiles, for the suite that compares them
//! with libseccomp's.

use super::*;
use crate::config;
use crate::error::test_arena;
use std::path::Path;

fn compiled(text: &str, machine: &'static Machine) -> core::result::Result<Vec<Classic>, String> {
    let arena = test_arena(4 << 20);
    let text = arena.c_str(text.as_bytes()).unwrap().to_bytes();
    let words =
        |error: crate::error::Error<'_>| String::from_utf8_lossy(crate::compose!(arena, error)).into_owned();
    let config = config::parse(&arena, "config.json", text).map_err(words)?;
    let seccomp = config.linux().and_then(|linux| linux.seccomp()).expect("a profile");
    compile(&arena, &seccomp, machine).map(<[_]>::to_vec).map_err(words)
}

/// The programs for the profiles in the folder that HULL_FILTERS names: `NAME.MACHINE.json` becomes `NAME.MACHINE.bpf`, as
/// the kernel takes it, or `NAME.MACHINE.error`. Without the variable there is nothing to do.
#[test]
fn programs_of_the_folder_that_is_asked_for() {
    let Some(folder) = std::env::var_os("HULL_FILTERS") else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let stem = path.file_stem().unwrap();
        let machine = match Path::new(stem).extension().and_then(|end| end.to_str()) {
            Some("aarch64") => &AARCH64,
            Some("arm") => &ARM,
            Some("riscv64") => &RISCV64,
            _ => &X86_64,
        };
        match compiled(&std::fs::read_to_string(&path).unwrap(), machine) {
            Ok(program) => {
                let bytes =
                    |i: &Classic| [&i.code.to_ne_bytes()[..], &[i.jt, i.jf], &i.k.to_ne_bytes()].concat();
                let program: Vec<u8> = program.iter().flat_map(bytes).collect();
                std::fs::write(path.with_extension("bpf"), program).unwrap();
            }
            Err(error) => std::fs::write(path.with_extension("error"), error).unwrap(),
        }
    }
}
