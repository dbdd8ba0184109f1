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

/// What a program returns for a call.
fn verdict(program: &[Classic], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let (mut a, mut at) = (0, 0);
    loop {
        let i = &program[at];
        let skip = |holds: bool| 1 + usize::from(if holds { i.jt } else { i.jf });
        at += match (i.code, i.k) {
            (0x06, k) => return k,
            (0x05, k) => 1 + k as usize,
            (0x15, k) => skip(a == k),
            (0x25, k) => skip(a > k),
            (0x35, k) => skip(a >= k),
            (0x45, k) => skip(a & k != 0),
            (0x54, k) => {
                a &= k;
                1
            }
            (0x20, k) => {
                a = match k {
                    0 => number,
                    4 => arch,
                    _ => (args[(k as usize - 16) / 8] >> (k % 8 * 8)) as u32,
                };
                1
            }
            other => panic!("{other:?}"),
        };
    }
}

fn profile(rest: &str) -> String {
    format!(
        r#"{{"ociVersion": "1.3.0", "linux": {{"seccomp": {{"defaultAction": "SCMP_ACT_ERRNO", {rest}}}}}}}"#
    )
}

const NONE: [u64; 6] = [0; 6];
const EPERM_: u32 = ERRNO | EPERM;
const ENOSYS_: u32 = ERRNO | ENOSYS;

#[test]
fn calls_get_the_action_of_their_rule() {
    let program = compiled(
        &profile(
            r#""architectures": ["SCMP_ARCH_X86"], "syscalls": [
                {"names": ["write", "no_such_call", "clone3"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["socket"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "op": "SCMP_CMP_NE", "value": 40}]},
                {"names": ["kill"], "action": "SCMP_ACT_TRACE", "errnoRet": 7, "args": [
                    {"index": 1, "op": "SCMP_CMP_GT", "value": 4294967297},
                    {"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 240, "valueTwo": 16}]}]"#,
        ),
        &X86_64,
    )
    .unwrap();
    let native = |number, args| verdict(&program, 0xc000_003e, number, args);
    assert_eq!([native(1, NONE), native(0, NONE), native(435, NONE)], [ALLOW, EPERM_, ALLOW]);
    // newer than all that the profile names; x32, which it does not list; a call that a tracer skips
    assert_eq!(
        [native(436, NONE), native(0x4000_0001, NONE), native(u32::MAX, NONE)],
        [ENOSYS_, KILL_THREAD, EPERM_]
    );
    let first = |value| [value, 0, 0, 0, 0, 0];
    assert_eq!(
        [native(41, first(40)), native(41, first(41)), native(41, first(40 | 1 << 32))],
        [EPERM_, LOG, LOG]
    );
    let two = |a, b| native(62, [a, b, 0, 0, 0, 0]);
    assert_eq!(
        [two(0x32f, 1 << 33), two(0xf0, 1 << 33), two(0x31f, (1 << 32) + 1)],
        [EPERM_, EPERM_, EPERM_]
    );
    assert_eq!([two(0xf1f, 1 << 33), two(0x10, (1 << 32) + 2)], [TRACE | 7; 2]);
    // i386 reaches socket(2) in two ways, and can't be seen through in one of them
    let other = |number, args| verdict(&program, 0x4000_0003, number, args);
    assert_eq!([other(4, NONE), other(359, first(40)), other(359, first(1))], [ALLOW, EPERM_, LOG]);
    assert_eq!([other(102, first(1)), other(102, first(2)), other(436, NONE)], [LOG, EPERM_, ENOSYS_]);
    assert_eq!(verdict(&program, 0xc000_00b7, 1, NONE), KILL_THREAD);
}

#[test]
fn each_machine_has_its_own_architectures() {
    let text = profile(
        r#""architectures": ["SCMP_ARCH_ARM", "SCMP_ARCH_X32"], "syscalls": [
            {"names": ["getpid", "set_tls"], "action": "SCMP_ACT_ALLOW"}]"#,
    );
    for (machine, arch, number, wanted) in [
        (&X86_64, 0xc000_003e, 39, ALLOW),
        (&X86_64, 0xc000_003e, 0x4000_0000 | 39, ALLOW),
        (&X86_64, 0xc000_003e, 0x4000_0000 | 40, ENOSYS_),
        (&X86_64, 0x4000_0028, 20, KILL_THREAD),
        (&AARCH64, 0xc000_00b7, 172, ALLOW),
        (&AARCH64, 0xc000_00b7, 173, ENOSYS_),
        (&AARCH64, 0x4000_0028, 20, ALLOW),
        (&AARCH64, 0x4000_0028, 0xf_0005, ALLOW),
        (&AARCH64, 0x4000_0028, 0xf_0004, EPERM_),
        (&AARCH64, 0x4000_0028, 0xf_0006, ENOSYS_),
        (&ARM, 0x4000_0028, 20, ALLOW),
        (&ARM, 0xc000_00b7, 172, KILL_THREAD),
        (&RISCV64, 0xc000_00f3, 172, ALLOW),
        (&RISCV64, 0xc000_003e, 39, KILL_THREAD),
    ] {
        let program = compiled(&text, machine).unwrap();
        assert_eq!(verdict(&program, arch, number, NONE), wanted, "{arch:x} {number:x}");
    }
}

#[test]
fn a_rule_without_conditions_beats_the_others_and_the_first_of_those() {
    let rule = |action: &str, args: &str| {
        format!(r#"{{"names": ["prctl"], "action": "SCMP_ACT_{action}", "args": [{args}]}}"#)
    };
    let (one, two) = (rule("LOG", ""), rule("ALLOW", ""));
    let three = rule("TRAP", r#"{"index": 0, "op": "SCMP_CMP_GE", "value": 0}"#);
    for (rules, wanted) in
        [([&one, &two, &three], LOG), ([&three, &two, &one], ALLOW), ([&three, &one, &two], LOG)]
    {
        let rules: Vec<_> = rules.into_iter().map(String::as_str).collect();
        let program = compiled(&profile(&format!(r#""syscalls": [{}]"#, rules.join(","))), &X86_64).unwrap();
        assert_eq!(verdict(&program, 0xc000_003e, 157, NONE), wanted);
    }
}

#[test]
fn an_open_default_lets_new_calls_pass() {
    for (action, wanted) in [("ALLOW", ALLOW), ("LOG", LOG), ("TRACE", TRACE | EPERM), ("TRAP", ENOSYS_)] {
        let text = profile(r#""syscalls": [{"names": ["mount"], "action": "SCMP_ACT_KILL_PROCESS"}]"#)
            .replace("SCMP_ACT_ERRNO", &format!("SCMP_ACT_{action}"));
        let program = compiled(&text, &X86_64).unwrap();
        assert_eq!(verdict(&program, 0xc000_003e, 165, NONE), KILL_PROCESS);
        assert_eq!(verdict(&program, 0xc000_003e, 999, NONE), wanted);
    }
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
