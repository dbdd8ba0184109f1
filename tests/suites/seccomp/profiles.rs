//! Profiles: real ones, and made-up ones that reach what those don't.

use super::reference::{self, MACHINES, Machine, X86_64};
use fastrand::Rng;
use hull_tests::{Value, json, tests_dir};
use std::fs;

/// The names of the real configs that have a profile.
pub const REAL: [&str; 4] = ["docker", "podman", "podman-rich", "containerd"];

/// linux.seccomp of a real config.
pub fn real(name: &str) -> Value {
    let path = tests_dir().join(format!("configs/real/{name}.json"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let config: Value = serde_json::from_str(&text).expect("JSON");
    config["linux"]["seccomp"].clone()
}

/// The same for all architectures of a machine.
pub fn on(mut profile: Value, machine: &Machine) -> Value {
    profile["architectures"] = machine.archs.iter().map(|arch| arch.word).collect();
    profile
}

/// Names that libseccomp 2.5 knows, but not on every architecture that has them: x32 and riscv64 got some of their numbers
/// later, and on Arm it goes by one of two names for 341.
fn is_partly_known(name: &str, machine: &Machine) -> bool {
    match machine.name {
        "x86_64" => name == "map_shadow_stack",
        "riscv64" => matches!(name, "map_shadow_stack" | "memfd_secret" | "riscv_hwprobe"),
        _ => name == "sync_file_range2",
    }
}

/// The profile without what this libseccomp doesn't know; the names that went.
pub fn known(mut profile: Value, machine: &Machine) -> (Value, Vec<String>) {
    let mut gone = Vec::new();
    for rule in profile["syscalls"].as_array_mut().expect("rules") {
        rule["names"].as_array_mut().expect("names").retain(|name| {
            let name = name.as_str().expect("a name");
            let known = reference::number(X86_64, name).is_some() && !is_partly_known(name, machine);
            if !known {
                gone.push(name.to_owned());
            }
            known
        });
    }
    profile["syscalls"].as_array_mut().expect("rules").retain(|rule| rule["names"] != json!([]));
    (profile, gone)
}

/// A rule in few words.
pub fn rule(name: &str, action: &str, args: &[(u32, &str, u64)]) -> Value {
    let args: Vec<Value> = args
        .iter()
        .map(|(index, op, value)| json!({"index": index, "op": format!("SCMP_CMP_{op}"), "value": value}))
        .collect();
    json!({"names": [name], "action": format!("SCMP_ACT_{action}"), "args": args})
}

/// A condition under a mask.
pub fn masked(index: u32, mask: u64, value: u64) -> Value {
    json!({"index": index, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value})
}

pub fn profile(default: &str, rules: Vec<Value>) -> Value {
    json!({"defaultAction": format!("SCMP_ACT_{default}"), "syscalls": rules})
}

const VALUES: [u64; 12] = [
    0,
    1,
    2,
    7,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0002,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_0000_0000,
    u64::MAX,
];

/// Profiles for one behaviour each.
pub fn made_up() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for op in ["NE", "LT", "LE", "EQ", "GE", "GT"] {
        for value in VALUES {
            let one = rule("read", "ALLOW", &[(1, op, value)]);
            let two = rule("write", "ALLOW", &[(0, "EQ", 1), (2, op, value)]);
            all.push((format!("{op}-{value:x}"), profile("ERRNO", vec![one, two])));
        }
    }
    for mask in [0, 1, 3, 0xffff_ffff, 0x8000_0001, 0xff_0000_0000, 0xffff_0000_ffff, u64::MAX] {
        for value in [0, 1, 2, 0x8000_0000, 0x11_0000_0000, u64::MAX] {
            let mut one = rule("clone", "ALLOW", &[]);
            one["args"] = json!([masked(0, mask, value)]);
            let mut two = rule("ioctl", "KILL_PROCESS", &[(2, "GT", 5)]);
            two["args"].as_array_mut().expect("args").push(masked(1, mask, value));
            all.push((format!("MASKED_EQ-{mask:x}-{value:x}"), profile("ERRNO", vec![one, two])));
        }
    }
    all.extend(actions());
    all.extend(overlaps());
    for name in ["socket", "accept", "send", "recvmmsg", "semop", "semtimedop", "msgget", "shmctl"] {
        let conditions = [(0, "EQ", 3), (1, "NE", 2), (2, "GT", 9)];
        let [bare, met] = [&[][..], &conditions].map(|conditions| {
            profile("ERRNO", vec![rule("getpid", "ALLOW", &[]), rule(name, "ALLOW", conditions)])
        });
        all.extend([(format!("multiplexed-{name}"), bare), (format!("multiplexed-{name}-if"), met)]);
    }
    all
}

fn actions() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let actions = ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"];
    for default in actions.iter().filter(|default| **default != "NOTIFY") {
        let mut rules: Vec<Value> = actions
            .iter()
            .zip(["read", "open", "mmap", "brk", "ioctl", "pipe", "dup", "kill", "getpid"])
            .map(|(action, name)| rule(name, action, &[]))
            .collect();
        for (n, action) in ["ERRNO", "TRACE"].iter().enumerate() {
            for (m, errno) in [0, 1, 38, 4094, 65537, 65538].iter().enumerate() {
                let name = [
                    "chdir", "chmod", "chown", "fsync", "flock", "getcwd", "mount", "mkdir", "rmdir", "link",
                    "unlink", "rename",
                ][n * 6 + m];
                let mut one = rule(name, action, &[]);
                one["errnoRet"] = json!(errno);
                rules.push(one);
            }
        }
        let mut plain = profile(default, rules);
        all.push((format!("default-{default}"), plain.clone()));
        plain["defaultErrnoRet"] = json!(38);
        all.push((format!("default-{default}-38"), plain));
        // the only call has number 0, or none at all: there is no stub
        all.push((format!("default-{default}-read"), profile(default, vec![rule("read", "LOG", &[])])));
        all.push((format!("default-{default}-none"), profile(default, vec![])));
    }
    all
}

/// Several rules for one call: the same action, different ones, twice the same argument.
fn overlaps() -> Vec<(String, Value)> {
    let unconditional = rule("prctl", "TRAP", &[]);
    let conditional = rule("prctl", "ALLOW", &[(0, "EQ", 5)]);
    let both = [vec![unconditional.clone(), conditional.clone()], vec![conditional.clone(), unconditional]];
    let several = vec![
        rule("socket", "ERRNO", &[(0, "EQ", 40)]),
        rule("socket", "LOG", &[(0, "EQ", 16), (2, "EQ", 9)]),
        rule("socket", "ALLOW", &[(0, "EQ", 16), (2, "NE", 9)]),
        rule("socket", "ALLOW", &[(0, "NE", 16)]),
    ];
    let same_argument = vec![
        rule("kill", "ALLOW", &[(0, "GT", 4), (0, "LT", 9), (1, "EQ", 1)]),
        rule("setns", "ALLOW", &[(1, "EQ", 1), (1, "EQ", 2), (1, "EQ", 0x1_0000_0001)]),
    ];
    // neither is a rule: the default does it
    let idle = vec![rule("kill", "KILL", &[]), rule("kill", "ALLOW", &[(1, "EQ", 9)])];
    let six = (0..6).map(|n| (n, "EQ", u64::from(n) << 32 | 1)).collect::<Vec<_>>();
    let unknown = vec![rule("no_such_call", "ALLOW", &[]), rule("read", "ALLOW", &[])];
    let [first, second] = both;
    let profiles = [first, second, several, same_argument, idle, vec![rule("futex", "LOG", &six)], unknown];
    let profiles = profiles.into_iter().enumerate();
    profiles.map(|(n, rules)| (format!("overlap-{n}"), profile("KILL", rules))).collect()
}

/// A profile by chance; with rules that meet on few calls, few arguments and few values.
///
/// A tame one spares libseccomp what ends in lists without an end there: on 64 bits every comparison but "equal" has several
/// ways out; where another condition follows, its nodes hang on all of them, and a second rule that shares a node is tied to
/// the first one's as well.
pub fn random(rng: &mut Rng, tame: bool) -> (Value, &'static Machine) {
    const NAMES: [&str; 24] = [
        "read",
        "write",
        "open",
        "close",
        "clone",
        "clone3",
        "socket",
        "accept",
        "send",
        "semop",
        "shmctl",
        "personality",
        "prctl",
        "ioctl",
        "futex",
        "kill",
        "openat2",
        "set_tls",
        "arch_prctl",
        "execve",
        "socketcall",
        "ipc",
        "no_such_call",
        "rt_sigaction",
    ];
    const ACTIONS: [&str; 9] =
        ["KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"];
    const OPS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    static MACHINES_HERE: [Machine; 4] = MACHINES;
    let machine = &MACHINES_HERE[if rng.bool() { 0 } else { rng.usize(0..MACHINES_HERE.len()) }];
    let archs: Vec<_> = machine.archs.iter().filter(|_| rng.u8(0..3) > 0).map(|arch| arch.word).collect();
    let wide = machine.name != "arm" || archs.contains(&reference::AARCH64.word);
    let names: Vec<_> = (0..rng.usize(1..6)).map(|_| NAMES[rng.usize(0..NAMES.len())]).collect();
    let actions: Vec<_> = (0..rng.usize(1..4)).map(|_| ACTIONS[rng.usize(0..ACTIONS.len())]).collect();
    let values: Vec<_> = (0..rng.usize(1..5)).map(|_| VALUES[rng.usize(0..VALUES.len())]).collect();
    let default = ACTIONS[rng.usize(0..ACTIONS.len() - 1)];
    // without a first rule like this one, libseccomp forgets to load the number where all calls are multiplexed
    let mut rules = vec![rule("getpid", if default == "TRAP" { "ALLOW" } else { "TRAP" }, &[])];
    for _ in 0..rng.usize(1..10) {
        let mut one = rule(names[rng.usize(0..names.len())], actions[rng.usize(0..actions.len())], &[]);
        if rng.u8(0..4) == 0 {
            one["errnoRet"] = json!(rng.u32(0..4095));
        }
        let conditions = if rng.u8(0..6) == 0 { 0 } else { rng.usize(1..4) };
        let mut args: Vec<Value> = (0..conditions)
            .map(|_| {
                let index = if rng.bool() { 0 } else { rng.u32(0..4) };
                let op = OPS[rng.usize(0..OPS.len())];
                let [value, two] = [(); 2].map(|()| values[rng.usize(0..values.len())]);
                json!({"index": index, "op": format!("SCMP_CMP_{op}"), "value": value, "valueTwo": two})
            })
            .collect();
        if wide && tame {
            let last = args.iter().filter_map(|arg| arg["index"].as_u64()).max();
            for arg in args.iter_mut().filter(|arg| arg["index"].as_u64() < last) {
                arg["op"] = json!(if rng.bool() { "SCMP_CMP_EQ" } else { "SCMP_CMP_MASKED_EQ" });
            }
        }
        one["args"] = json!(args);
        rules.push(one);
    }
    let mut whole = profile(default, rules);
    whole["architectures"] = json!(archs);
    (whole, machine)
}
