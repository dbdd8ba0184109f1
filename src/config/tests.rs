//! Whole documents: real ones, good ones, bad ones with the golden text of each error.

use super::*;
use crate::compose;
use crate::error::test_arena;
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(name)
}

/// The *.json files of a folder with their texts, by name.
fn files(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(folder(name))
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            (
                path.file_stem().expect("name").to_string_lossy().into_owned(),
                std::fs::read(&path).expect("text"),
            )
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{name} is empty");
    found
}

/// Parses and validates; the warnings, or the error.
fn check(text: &[u8]) -> core::result::Result<Vec<String>, String> {
    let memory = (text.len() * 16).max(1 << 20);
    let mut region = vec![core::mem::MaybeUninit::uninit(); memory];
    let arena = Arena::new(&mut region);
    let line =
        |error: &crate::error::Error<'_>| String::from_utf8_lossy(compose!(arena, *error)).into_owned();
    let mut warnings = Vec::new();
    let result = parse(&arena, "config.json", text)
        .and_then(|config| validate(&arena, &config, &mut |warning| warnings.push(line(warning))));
    result.map(|()| warnings).map_err(|error| line(&error))
}

#[test]
fn real_configs_pass() {
    for (name, text) in files("real") {
        assert_eq!(check(&text), Ok(Vec::new()), "{name}");
    }
}

#[test]
fn views_give_what_the_text_holds() {
    let arena = test_arena(1 << 20);
    let text = std::fs::read(folder("real/podman-rich.json")).expect("file");
    let config = parse(&arena, "config.json", text.leak()).expect("good");
    assert_eq!(config.oci_version(), c"1.2.1");
    let process = config.process().expect("process");
    assert!(process.terminal() && process.no_new_privileges());
    assert_eq!(process.args().iter().collect::<Vec<_>>(), [c"sleep", c"50"]);
    assert_eq!(process.user().and_then(|u| u.umask()), Some(18));
    assert_eq!(process.rlimits().iter().map(|l| (l.soft(), l.hard())).next(), Some((100, 200)));
    assert!(process.capabilities().is_some_and(|c| c.bounding().len() == 12 && c.ambient().is_empty()));
    assert_eq!(config.mounts().len(), 15);
    let linux = config.linux().expect("linux");
    assert_eq!(linux.namespaces().iter().nth(4).map(|n| n.kind()), Some(NamespaceKind::Mount));
    assert_eq!(linux.sysctl().get(b"net.ipv4.ping_group_range"), Some(c"0 0"));
    assert_eq!(linux.devices().iter().next().and_then(|d| d.file_mode()), Some(8630));
    let seccomp = linux.seccomp().expect("seccomp");
    assert_eq!(seccomp.default_action(), SeccompAction::Errno);
    assert_eq!(seccomp.architectures().iter().last(), Some(SeccompArch::X32));
    assert_eq!(
        config.annotations().iter().last(),
        Some((c"org.systemd.property.TimeoutStopUSec", c"uint64 10000000"))
    );
    assert!(config.hooks().is_none());
}

/// The golden file has a line `name: message` for each bad config; HULL_BLESS=1 writes it anew.
#[test]
fn bad_configs_are_refused_with_their_message() {
    let mut lines = String::new();
    for (name, text) in files("bad") {
        let error = check(&text).expect_err(&name);
        assert!(!error.contains(['\n', '\r', '\x1b']), "{name}: more than one line: {error:?}");
        lines.push_str(&format!("{name}: {error}\n"));
    }
    let golden = folder("bad.expected");
    if std::env::var_os("HULL_BLESS").is_some() {
        std::fs::write(&golden, &lines).expect("written");
    }
    let want = std::fs::read_to_string(&golden).expect("golden file");
    for (got, want) in lines.lines().zip(want.lines()) {
        assert_eq!(got, want);
    }
    assert_eq!(lines.lines().count(), want.lines().count());
}

#[test]
fn good_configs_pass() {
    for (name, text) in files("good") {
        assert_eq!(check(&text), Ok(Vec::new()), "{name}");
    }
}

#[test]
fn odd_things_are_warned_about_once_for_each_list() {
    let text = br#"{"ociVersion": "1.4.0",
"process": {"cwd": "/", "args": ["sh"], "capabilities": {
	"bounding": ["CAP_KILL", "CAP_NEW", "kill"], "ambient": ["CAP_OLD"]}},
"mounts": [{"destination": "proc"}, {"destination": "sys"}],
"linux": {"personality": {"domain": "LINUX", "flags": ["X"]}}}"#;
    let want = [
        "config.json:1:16: ociVersion: \"1.4.0\" is newer than 1.3, which hull follows: what it added is ignored",
        "config.json:3:27: process.capabilities.bounding[1]: 2 unknown and ignored, the first is \"CAP_NEW\"",
        "config.json:3:59: process.capabilities.ambient[0]: 1 unknown and ignored, the first is \"CAP_OLD\"",
        "config.json:4:28: mounts[0].destination: relative path \"proc\" is taken as relative to /",
        "config.json:5:55: linux.personality.flags: no flag is defined: ignored",
    ];
    assert_eq!(check(text).expect("good"), want);
    let warnings = check(br#"{"ociVersion": "1.3.0-rc.1"}"#).expect("good");
    assert_eq!(
        warnings,
        ["config.json:1:16: ociVersion: \"1.3.0-rc.1\" is a pre-release: read as the release"]
    );
    assert!(check(br#"{"ociVersion": "1.0.2-dev"}"#).expect("good").is_empty());
}

#[test]
fn odd_spelling_reads_as_it_means() {
    let arena = test_arena(1 << 20);
    let text = std::fs::read(folder("good/odd-spelling.json")).expect("file");
    let config = parse(&arena, "config.json", text.leak()).expect("good");
    let annotations: Vec<_> = config.annotations().iter().collect();
    assert_eq!(annotations, [(c"b\t", c"\u{1f600}\u{e9}"), (c"a", c"last")]);
    assert_eq!(config.hostname(), None);
    let process = config.process().expect("process");
    assert_eq!(process.args().iter().collect::<Vec<_>>(), [c"true", c""]);
    assert_eq!((process.cwd(), process.terminal()), (c"/", false));
    assert_eq!(process.rlimits().get(0).map(|l| (l.kind(), l.soft())), Some((c"RLIMIT_NOFILE", u64::MAX)));
    let linux = config.linux().expect("linux");
    assert!(linux.devices().is_empty() && linux.masked_paths().is_empty());
    let memory = linux.resources().and_then(|r| r.memory()).expect("memory");
    assert_eq!((memory.limit(), memory.swap(), memory.reservation()), (Some(i64::MAX), Some(0), None));
}

/// The arena that a config of this size gets.
fn arena_for(text: &[u8]) -> Arena<'static> {
    test_arena((text.len() * 16).max(1 << 20))
}

#[test]
fn lists_and_maps_have_no_limit_of_their_own() {
    let many = 100_000;
    let items: Vec<String> = (0..many).map(|n| format!("\"V{n}={n}\"")).collect();
    let members: Vec<String> = (0..many).map(|n| format!("\"k{}\":\"{n}\"", n % (many / 2))).collect();
    let text = format!(
        "{{\"ociVersion\":\"1.3.0\",\"process\":{{\"cwd\":\"/\",\"args\":[\"sh\"],\"env\":[{}]}},\"annotations\":{{{}}}}}",
        items.join(","),
        members.join(",")
    );
    let text: &'static [u8] = text.into_bytes().leak();
    assert!(text.len() <= MAX_CONFIG);
    let arena = arena_for(text);
    let config = parse(&arena, "config.json", text).expect("good");
    validate(&arena, &config, &mut |_| ()).expect("good");
    let env = config.process().expect("process").env();
    assert_eq!((env.len(), env.iter().last()), (many, Some(c"V99999=99999")));
    assert_eq!(config.annotations().len(), many / 2);
    assert_eq!(config.annotations().get(b"k0"), Some(c"50000"));
    assert!(
        config
            .annotations()
            .iter()
            .enumerate()
            .all(|(n, (key, _))| key.to_bytes() == format!("k{n}").as_bytes())
    );
}

#[test]
fn more_text_than_memory_is_an_error() {
    let text = format!(
        "{{\"ociVersion\":\"1.3.0\",\"mounts\":[{}{{}}]}}",
        "{\"destination\":\"/\"},".repeat(50_000)
    );
    let text: &'static [u8] = text.into_bytes().leak();
    let arena = test_arena(1 << 20);
    let error = parse(&arena, "config.json", text).map(|_| ()).expect_err("full");
    assert!(error.text().starts_with(b"config.json needs more memory"), "{error:?}");
}

#[test]
fn the_largest_config_fits_its_arena() {
    for (head, item) in [
        ("\"process\":{\"cwd\":\"/\",\"args\":[", "\"\""),
        ("\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"user\":{\"additionalGids\":[", "0"),
        ("\"annotations\":{", "\"\":\"\""),
        ("\"mounts\":[", "{\"destination\":\"/d\",\"type\":\"t\",\"source\":\"s\"}"),
    ] {
        let mut text = format!("{{\"ociVersion\":\"1.3.0\",{head}{item}");
        while text.len() + item.len() + 5 < MAX_CONFIG {
            text.push(',');
            text.push_str(item);
        }
        let open: Vec<char> = head.chars().filter(|c| matches!(c, '{' | '[' | ']')).collect();
        let mut depth = Vec::new();
        for bracket in open {
            match bracket {
                '{' => depth.push('}'),
                '[' => depth.push(']'),
                _ => drop(depth.pop()),
            }
        }
        text.extend(depth.iter().rev());
        text.push('}');
        let text: &'static [u8] = text.into_bytes().leak();
        let arena = arena_for(text);
        let result = parse(&arena, "config.json", text).map(|_| ());
        assert!(result.is_ok(), "{item}: {:?} of {} bytes used", result, arena.used());
    }
}

#[test]
fn deep_and_hostile_nesting_needs_little_stack() {
    let check_all = || {
        let nested =
            |n: usize| format!("{{\"ociVersion\":\"1.3.0\",\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert_eq!(check(nested(127).as_bytes()), Ok(Vec::new()));
        for n in [128, 10_000, 1_000_000] {
            let error = check(nested(n).as_bytes()).expect_err("too deep");
            assert_eq!(
                error,
                "config.json:1:154: found a list or object inside 128 others, expected at most that many"
            );
        }
        let objects =
            format!("{{\"ociVersion\":\"1.3.0\",\"x\":{}1{}}}", "{\"y\":".repeat(127), "}".repeat(127));
        assert_eq!(check(objects.as_bytes()), Ok(Vec::new()));
        let open = format!("{{\"ociVersion\":\"1.3.0\",\"linux\":{}", "{\"linux\":".repeat(10_000));
        assert!(check(open.as_bytes()).is_err());
        for (_, text) in files("good") {
            assert_eq!(check(&text), Ok(Vec::new()));
        }
    };
    std::thread::Builder::new()
        .stack_size(128 << 10)
        .spawn(check_all)
        .expect("thread")
        .join()
        .expect("no panic");
}

#[test]
fn a_config_cut_short_is_never_accepted() {
    for (name, text) in files("good").into_iter().chain(files("real")) {
        let end = text.iter().rposition(|b| *b == b'}').expect("an object");
        // each prefix costs a scan, so the long ones are cut at fewer places
        let step = 1 + text.len() / 4000;
        for cut in (0..=end).step_by(step) {
            assert!(check(&text[..cut]).is_err(), "{name} cut at {cut}");
        }
    }
}

/// Numbers that look random, the same in each run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn mutated_configs_never_panic() {
    let seeds: Vec<Vec<u8>> = files("good").into_iter().chain(files("bad")).map(|(_, text)| text).collect();
    let words: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\u0000",
        b"\\ud83d",
        b"null",
        b"-1",
        b"1e9",
        b"\xff",
        b"/",
        b"99999999999999999999",
        b"\"a\":",
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut memory = vec![core::mem::MaybeUninit::uninit(); 1 << 20];
    for _ in 0..100_000 {
        let mut text = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(text.len() + 1);
            let word = words[random.below(words.len())];
            match random.below(4) {
                0 if at < text.len() => text[at] ^= 1 << random.below(8),
                1 => text.truncate(at),
                2 => drop(text.splice(at..(at + random.below(9)).min(text.len()), word.iter().copied())),
                _ => drop(text.splice(at..at, word.iter().copied())),
            }
        }
        let arena = Arena::new(&mut memory);
        if let Ok(config) = parse(&arena, "config.json", &text) {
            let result = validate(&arena, &config, &mut |_| ());
            assert!(result.is_ok() || result.is_err_and(|e| !e.text().contains(&b'\n')));
        }
    }
}
