//! Filters under `hull run`: each effect on real calls, with a control that comes without it.

use super::bpf::Instruction;
use super::profiles::{self, profile, rule};
use super::{compile_one, listener};
use hull_tests::life::{self, Life};
use hull_tests::{Bundle, Host, Output, Value, json};
use nix::libc;
use std::fs;
use std::path::Path;
use std::ptr;

/// personality(2): harmless, and nothing else makes it.
const PERSONALITY: &str = "135";

/// A bundle that makes a call under a profile.
fn bundle(profile: &Value, call: &[&str], no_new_privs: bool) -> Bundle {
    let bundle = Bundle::probe(&[&["syscall"], call].concat());
    bundle.set("/process/noNewPrivileges", json!(no_new_privs)).set("/linux/seccomp", profile.clone());
    bundle
}

/// What a call of personality(`argument`) comes to where `rules` are exceptions from ALLOW.
fn outcome(rules: Vec<Value>, argument: &str, no_new_privs: bool) -> Output {
    bundle(&profile("ALLOW", rules), &[PERSONALITY, argument], no_new_privs).run()
}

fn both(test: impl Fn(bool)) {
    test(false);
    test(true);
}

pub fn an_errno_comes_back_where_a_rule_says_so() {
    both(|no_new_privs| {
        let mut one = rule("personality", "ERRNO", &[(0, "EQ", 0x20)]);
        assert_eq!(outcome(vec![one.clone()], "0x20", no_new_privs).text(), "EPERM");
        // the control: another argument, and another high word
        assert!(outcome(vec![one.clone()], "0xffffffff", no_new_privs).text().starts_with("ok "));
        assert!(outcome(vec![one.clone()], "0x100000020", no_new_privs).text().starts_with("ok "));
        one["errnoRet"] = json!(95);
        assert_eq!(outcome(vec![one], "0x20", no_new_privs).text(), "EOPNOTSUPP");
    });
}

pub fn a_call_that_kills_ends_the_container_with_sigsys() {
    both(|no_new_privs| {
        for action in ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP"] {
            let rules = vec![rule("personality", action, &[(0, "EQ", 0x20)])];
            let output = outcome(rules.clone(), "0x20", no_new_privs);
            assert_eq!((output.code, output.out()), (Some(128 + libc::SIGSYS), String::new()), "{action}");
            assert!(outcome(rules, "0xffffffff", no_new_privs).text().starts_with("ok "), "{action}");
        }
    });
}

pub fn a_trapped_call_can_be_handled_and_a_killing_one_can_not() {
    let run = |action: &str| {
        let bundle = Bundle::sh("trap 'echo handled; exit 7' SYS; umask 077; echo on");
        let rules = vec![rule("umask", action, &[(0, "EQ", 0o77)])];
        bundle.set("/linux/seccomp", profile("ALLOW", rules));
        let output = bundle.run();
        (output.out(), output.code)
    };
    assert_eq!(run("TRAP"), ("handled\n".to_owned(), Some(7)));
    assert_eq!(run("KILL_PROCESS"), (String::new(), Some(159)));
    assert_eq!(run("LOG"), ("on\n".to_owned(), Some(0)));
}

/// The kernel's log from now on.
struct Log(fs::File);

impl Log {
    fn open() -> Log {
        use std::os::unix::fs::OpenOptionsExt;
        let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
        let file = file.expect("the kernel's log");
        assert_eq!(nix::unistd::lseek(&file, 0, nix::unistd::Whence::SeekEnd), Ok(0));
        Log(file)
    }

    /// Records of filtered calls by a program of this name.
    fn count(&mut self, program: &str) -> usize {
        use std::io::Read;
        let mut count = 0;
        let mut record = [0; 8192];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&record[..length]);
                    let ours = text.contains("type=1326") && text.contains(&format!("comm=\"{program}\""));
                    count += usize::from(ours && text.contains(" syscall=135 "));
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return count,
                // older records were overwritten
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) => panic!("/dev/kmsg: {error}"),
            }
        }
    }
}

pub fn what_is_to_be_logged_is_in_the_kernels_log() {
    let program = format!("log{}", std::process::id());
    let run = |action: &str, flags: Value| {
        let mut profile = profile("ALLOW", vec![rule("personality", action, &[])]);
        profile["flags"] = flags;
        let bundle = bundle(&profile, &[PERSONALITY, "0xffffffff"], true);
        fs::copy(bundle.inside("/probe"), bundle.inside(&format!("/{program}"))).expect("a copy");
        bundle.set("/process/args/0", json!(format!("/{program}")));
        bundle.run().text()
    };
    // the kernel leaves records out where too many come at once
    let until = |action: &str, flags: &Value, wanted: &str| {
        let mut log = Log::open();
        life::until("a record", || {
            assert!(run(action, flags.clone()).starts_with(wanted));
            log.count(&program) > 0
        });
    };
    until("LOG", &json!([]), "ok ");
    until("ERRNO", &json!(["SECCOMP_FILTER_FLAG_LOG"]), "EPERM");
    // the controls, with a record behind them: the log is not silent for another reason
    let mut log = Log::open();
    assert!(run("ERRNO", json!([])).starts_with("EPERM"));
    assert!(run("ALLOW", json!(["SECCOMP_FILTER_FLAG_LOG"])).starts_with("ok "));
    assert_eq!(log.count(&program), 0);
    until("LOG", &json!([]), "ok ");
}

/// The filters of a process, the last one first, and whether each logs.
fn filters(pid: i32) -> Vec<(Vec<Instruction>, bool)> {
    const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;
    const PTRACE_SECCOMP_GET_METADATA: libc::c_uint = 0x420d;
    let ask = |request: libc::c_uint, number: usize, to: *mut libc::c_void| unsafe {
        libc::ptrace(request, pid, number, to)
    };
    let mut all = Vec::new();
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0), 0);
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, libc::__WALL), pid);
    }
    for number in 0.. {
        let length = ask(PTRACE_SECCOMP_GET_FILTER, number, ptr::null_mut());
        if length < 0 {
            break;
        }
        let mut program = vec![Instruction { code: 0, jt: 0, jf: 0, k: 0 }; length as usize];
        assert_eq!(ask(PTRACE_SECCOMP_GET_FILTER, number, program.as_mut_ptr().cast()), length);
        let mut data = [number as u64, 0];
        assert!(ask(PTRACE_SECCOMP_GET_METADATA, 16, data.as_mut_ptr().cast()) >= 0);
        all.push((program, data[1] & 2 != 0));
    }
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) }, 0);
    all
}

fn status(pid: i32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    hull_tests::facts::status(&text)[field].clone()
}

pub fn the_kernel_has_the_compilers_program_from_the_right_moment_on() {
    let profile = profiles::real("docker");
    let program = compile_one(&profile, "x86_64");
    both(|no_new_privs| {
        let life = Life::holding();
        life.bundle.set("/process/noNewPrivileges", json!(no_new_privs));
        life.bundle.set("/linux/seccomp", profile.clone());
        life.create().succeeds();
        // with no_new_privs nothing but the exec is under the filter
        assert_eq!(status(life.pid(), "Seccomp"), if no_new_privs { "0" } else { "2" });
        life.verb("start").succeeds();
        life.until_there("up");
        assert_eq!(status(life.pid(), "Seccomp"), "2");
        assert_eq!(filters(life.pid()), [(program.clone(), false)]);
        life.go();
        life.end();
    });
}

pub fn without_a_profile_there_is_no_filter() {
    let life = Life::holding();
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    assert_eq!(status(life.pid(), "Seccomp"), "0");
    assert_eq!(filters(life.pid()), []);
    life.go();
    life.end();
}

pub fn every_flag_is_taken_and_logging_is_set_where_asked_for() {
    let names = ["TSYNC", "LOG", "SPEC_ALLOW"];
    for bits in 0..8 {
        let chosen = names.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
        let flags: Vec<_> = chosen.map(|(_, name)| format!("SECCOMP_FILTER_FLAG_{name}")).collect();
        let mut profile = profile("ALLOW", vec![rule("personality", "ERRNO", &[])]);
        profile["flags"] = json!(flags);
        let life = Life::holding();
        life.bundle.set("/linux/seccomp", profile);
        life.create().succeeds();
        life.verb("start").succeeds();
        life.until_there("up");
        let found: Vec<_> = filters(life.pid()).into_iter().map(|(_, logs)| logs).collect();
        assert_eq!(found, [bits & 2 != 0], "{flags:?}");
        life.go();
        life.end();
    }
}

pub fn only_the_exec_comes_after_the_filter_with_no_new_privs() {
    // all that a static program of this machine makes by itself
    let names = "execve arch_prctl brk set_tid_address set_robust_list rseq prlimit64 readlink readlinkat getrandom mprotect \
                 getuid geteuid getgid getegid exit exit_group uname mmap munmap newfstatat prctl setgid setuid";
    let allowed: Vec<_> = names.split_whitespace().map(|name| rule(name, "ALLOW", &[])).collect();
    let run = |no_new_privs: bool, user: u32| {
        let bundle = Bundle::new(&["/bin/true"]);
        bundle.set("/process/noNewPrivileges", json!(no_new_privs));
        bundle.set("/process/user", json!({"uid": user, "gid": user}));
        bundle.set("/linux/seccomp", profile("KILL_PROCESS", allowed.clone()));
        bundle.run()
    };
    for user in [0, 1000] {
        run(true, user).succeeds();
        // the control: without, the identity is changed under the filter
        let output = run(false, user);
        assert_eq!(output.code, Some(1));
        assert!(output.err().contains("killed before it could start its program"), "{}", output.err());
    }
}

pub fn another_user_and_a_user_namespace_get_their_filter() {
    both(|no_new_privs| {
        for namespace in [false, true] {
            let rules = vec![rule("personality", "ERRNO", &[(0, "EQ", 0x20)])];
            for (argument, wanted) in [("0x20", "EPERM"), ("0xffffffff", "ok ")] {
                let bundle = bundle(&profile("ALLOW", rules.clone()), &[PERSONALITY, argument], no_new_privs);
                bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
                if namespace {
                    bundle.push("/linux/namespaces", json!({"type": "user"}));
                    let map = json!([{"containerID": 0, "hostID": 0, "size": 2000}]);
                    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
                }
                assert!(bundle.run().text().starts_with(wanted), "{no_new_privs} {namespace} {argument}");
            }
        }
    });
}

pub fn calls_of_i386_are_filtered_by_their_own_numbers() {
    // 136 is personality there, and 102 socketcall, of which 1 is socket(2)
    let run = |rules: Vec<Value>, archs: Value, call: &[&str]| {
        let mut profile = profile("ALLOW", rules);
        profile["architectures"] = archs;
        let bundle = Bundle::probe(&[&["syscall32"], call].concat());
        bundle.set("/linux/seccomp", profile).run()
    };
    let archs = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    let rules = vec![rule("personality", "ERRNO", &[(0, "EQ", 0x20)]), rule("socket", "ERRNO", &[])];
    assert_eq!(run(rules.clone(), archs.clone(), &["136", "0x20"]).text(), "EPERM");
    assert!(run(rules.clone(), archs.clone(), &["136", "0xffffffff"]).text().starts_with("ok "));
    assert_eq!(run(rules.clone(), archs.clone(), &["102", "1"]).text(), "EPERM");
    assert_eq!(run(vec![], archs.clone(), &["102", "1"]).text(), "EFAULT");
    // an architecture that is not listed has no calls
    let output = run(rules, json!([]), &["136", "0xffffffff"]);
    assert_eq!(output.code, Some(159));
}

pub fn a_kernel_without_filters_is_named() {
    let rules = vec![rule("personality", "ERRNO", &[])];
    both(|no_new_privs| {
        for errno in [libc::ENOSYS, libc::EINVAL] {
            let bundle = bundle(&profile("ALLOW", rules.clone()), &[PERSONALITY, "0"], no_new_privs);
            let output = bundle.on(Host::machine().without(&[("seccomp", errno)])).output();
            assert_eq!(output.code, Some(1));
            assert!(output.err().contains("load a seccomp filter of "), "{}", output.err());
            assert!(output.err().contains("CONFIG_SECCOMP_FILTER"), "{}", output.err());
        }
    });
    // the control: whoever asks for none does not need it
    Bundle::new(&["/bin/true"]).on(Host::machine().without(&[("seccomp", libc::ENOSYS)])).output().succeeds();
}

pub fn the_default_flag_goes_where_the_kernel_lacks_it_and_others_are_asked_for() {
    let run = |flags: Option<&[&str]>, host: Host| {
        let mut profile = profile("ALLOW", vec![rule("personality", "ERRNO", &[])]);
        if let Some(flags) = flags {
            profile["flags"] = json!(flags);
        }
        bundle(&profile, &[PERSONALITY, "0"], true).on(host).output()
    };
    const SPEC_ALLOW: &str = "SECCOMP_FILTER_FLAG_SPEC_ALLOW";
    const LOG: &str = "SECCOMP_FILTER_FLAG_LOG";
    let lacking = |bits| Host::machine().without_bits("seccomp", (1, bits), libc::EINVAL);
    for (flags, host, works) in [
        (None, lacking(4), true),
        (None, lacking(2), true),
        (Some(&[][..]), lacking(2 | 4), true),
        (Some(&[SPEC_ALLOW][..]), lacking(2), true),
        (Some(&[SPEC_ALLOW][..]), lacking(4), false),
        (Some(&[LOG][..]), lacking(4), true),
        (Some(&[LOG][..]), lacking(2), false),
    ] {
        let output = run(flags, host);
        if works {
            assert_eq!(output.text(), "EPERM", "{flags:?}");
        } else {
            assert_eq!(output.code, Some(1), "{flags:?}");
            assert!(output.err().contains("EINVAL") && output.err().contains("flag of linux.seccomp"));
        }
    }
}

pub fn an_action_that_the_kernel_lacks_is_an_error() {
    // before Linux 4.14 nobody could ask for actions, and two were not there
    let run = |action: &str| {
        let profile = profile("ALLOW", vec![rule("personality", action, &[(0, "EQ", 0x20)])]);
        let host = Host::machine().without_bits("seccomp", (0, 2), libc::EINVAL);
        bundle(&profile, &[PERSONALITY, "0xffffffff"], true).on(host).output()
    };
    for action in ["LOG", "KILL_PROCESS"] {
        let output = run(action);
        assert_eq!(output.code, Some(1), "{action}");
        assert!(output.err().contains("each action and flag of linux.seccomp"), "{}", output.err());
    }
    for action in ["KILL", "TRAP", "ERRNO", "TRACE"] {
        assert!(run(action).text().starts_with("ok "), "{action}");
    }
}

pub fn a_filter_that_is_too_long_makes_no_container() {
    let rules = |count: u64| (0..count).map(|n| rule("ioctl", "TRAP", &[(1, "EQ", 1 << 20 | n)])).collect();
    let output = bundle(&profile("ALLOW", rules(1100)), &[PERSONALITY, "0xffffffff"], true).run();
    assert_eq!(output.code, Some(1));
    let wanted = "config.json: linux.seccomp: the filter has more than 4096 instructions";
    assert!(output.err().contains(wanted), "{}", output.err());
    let output = bundle(&profile("ALLOW", rules(1000)), &[PERSONALITY, "0xffffffff"], true).run();
    assert!(output.text().starts_with("ok "));
}

/// A profile whose personality(2) is decided by who listens at `path`.
fn notifying(path: &Path) -> Value {
    let mut profile = profile("ALLOW", vec![rule("personality", "NOTIFY", &[])]);
    profile["listenerPath"] = json!(path);
    profile["listenerMetadata"] = json!("of \"mine\"\u{e9}");
    profile
}

pub fn a_listener_gets_the_state_and_decides() {
    both(|no_new_privs| {
        for created in [false, true] {
            for (answer, wanted) in [
                (listener::Answer::Errno(libc::ENODEV), "ENODEV"),
                (listener::Answer::Value(4711), "ok 4711"),
                (listener::Answer::Continue, "ok 0"),
            ] {
                let script = format!("/probe syscall {PERSONALITY} 0xffffffff > /answer; echo up > /up");
                let life = Life::of(Bundle::sh(&script));
                let path = life.bundle.dir.join("listener");
                let server = listener::listen(&path, answer);
                life.bundle.set("/process/noNewPrivileges", json!(no_new_privs));
                let mut profile = notifying(&path);
                profile["flags"] =
                    json!(["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
                life.bundle.set("/linux/seccomp", profile);
                life.bundle.set("/annotations", json!({"some": "thing"}));
                if created {
                    life.create().succeeds();
                    let pid = life.pid();
                    life.verb("start").succeeds();
                    check(&life, &server.ended(), Some(pid));
                } else {
                    life.make("run", &["--detach"]).succeeds();
                    check(&life, &server.ended(), None);
                }
                life.until_there("up");
                assert_eq!(life.read("answer"), wanted);
                life.until_stopped();
                life.end();
            }
        }
    });
}

/// What a listener was told of a container.
fn check(life: &Life, heard: &listener::Heard, pid: Option<i32>) {
    let told: Value = serde_json::from_str(&heard.text).expect("JSON");
    let state = json!({
        "ociVersion": life.bundle.get("/ociVersion"),
        "id": life.id(),
        "pid": told["pid"],
        "status": "creating",
        "bundle": life.bundle.dir,
        "annotations": {"some": "thing"}
    });
    for (name, value) in state.as_object().expect("an object") {
        assert_eq!(told["state"][name], *value, "{name} in {}", heard.text);
    }
    assert_eq!(told["ociVersion"], "1.3.0");
    assert_eq!(told["fds"], json!(["seccompFd"]));
    assert_eq!(told["metadata"], "of \"mine\"\u{e9}");
    if let Some(pid) = pid {
        assert_eq!(told["pid"], pid);
    }
    assert_eq!(heard.number, 135);
}

pub fn without_a_listener_there_is_no_container() {
    both(|no_new_privs| {
        let life = Life::holding();
        let path = life.bundle.dir.join("listener");
        life.bundle.set("/process/noNewPrivileges", json!(no_new_privs));
        life.bundle.set("/linux/seccomp", notifying(&path));
        for verb in ["create", "run"] {
            let output = life.make(verb, &[]);
            assert_eq!(output.code, Some(1));
            let wanted = format!("send the seccomp listener to {:?}: ENOENT", path.to_str().unwrap());
            assert!(output.err().contains(&wanted), "{}", output.err());
            life.nothing_left();
        }
    });
}

pub fn a_listener_that_is_gone_leaves_no_call_waiting() {
    let script = format!("/probe syscall {PERSONALITY} 0xffffffff");
    let bundle = Bundle::sh(&script);
    let path = bundle.dir.join("listener");
    let server = listener::listen(&path, listener::Answer::Leave);
    bundle.set("/linux/seccomp", notifying(&path));
    assert_eq!(bundle.run().text(), "ENOSYS");
    server.ended();
}

pub fn who_notifies_names_a_listener() {
    let mut profile = profile("ALLOW", vec![rule("personality", "NOTIFY", &[])]);
    let output = bundle(&profile, &[PERSONALITY, "0"], true).run();
    assert_eq!(output.code, Some(1));
    assert!(output.err().contains("needs linux.seccomp.listenerPath"), "{}", output.err());
    // the control: a path alone needs nobody there
    profile["syscalls"] = json!([]);
    profile["listenerPath"] = json!("/nobody/is/there");
    assert!(bundle(&profile, &[PERSONALITY, "0xffffffff"], true).run().text().starts_with("ok "));
}
