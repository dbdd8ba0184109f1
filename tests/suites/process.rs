//! The process: who it is, what it may do, and what it inherits, read from /proc and from the probe inside.

use hull_tests::facts::{self, capability_mask, mask};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Output, json, suite};
use libtest_mimic::Trial;
use nix::libc;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;

suite!(
    uid_gid_and_groups_are_exact,
    without_additional_groups_there_are_none,
    umask_is_set,
    the_callers_umask_is_not_inherited,
    a_numeric_name_in_passwd_grants_nothing,
    home_comes_from_passwd_when_env_has_none,
    home_of_an_unknown_user_is_the_root,
    home_in_env_wins,
    an_empty_home_is_taken_from_passwd,
    environment_is_exact_and_in_order,
    the_callers_environment_stays_outside,
    arguments_are_exact_to_the_byte,
    cwd_is_entered,
    a_missing_cwd_is_made,
    a_cwd_that_only_root_may_enter_is_entered_before_root_is_given_up,
    a_cwd_only_the_user_may_enter_is_entered,
    a_cwd_that_is_a_file_is_refused,
    a_program_is_found_by_the_containers_path,
    a_program_is_found_in_the_first_folder_that_has_it,
    a_relative_program_starts_at_cwd,
    a_missing_program_is_refused_in_runcs_words,
    a_missing_absolute_program_is_refused,
    a_program_without_x_is_refused,
    a_folder_as_program_is_refused,
    a_program_of_another_format_is_refused,
    a_script_with_an_interpreter_runs,
    capabilities_of_root_are_the_configs,
    capabilities_without_any_set_are_empty,
    capabilities_of_another_user_need_ambient,
    bounding_is_what_the_config_says,
    inheritable_is_what_the_config_says,
    rlimits_are_set,
    a_limit_given_twice_is_refused,
    a_hard_limit_that_cannot_be_raised_is_an_error,
    no_new_privileges_is_set,
    without_no_new_privileges_it_is_off,
    oom_score_is_set,
    oom_score_is_inherited_when_not_given,
    only_the_three_standard_descriptors_are_open,
    descriptors_of_the_caller_stay_outside,
    preserved_descriptors_come_along,
    a_preserved_descriptor_that_is_not_open_is_refused,
    signals_start_unblocked_and_with_default_actions,
    the_process_leads_a_session_of_its_own,
    the_session_keyring_is_new,
    the_callers_keyring_stays_when_asked_for,
    the_process_is_not_dumpable_to_others_before_exec,
    the_parent_dies_with_nothing_left_in_between;
    a_new_process_is_the_same_on_every_host
);

fn status_bundle() -> Bundle {
    Bundle::new(&["/bin/cat", "/proc/self/status"])
}

fn status(bundle: &Bundle) -> BTreeMap<String, String> {
    facts::status(&bundle.run().text())
}

fn uid_gid_and_groups_are_exact() {
    let bundle = status_bundle();
    bundle.set("/process/user", json!({"uid": 1234, "gid": 5678, "additionalGids": [10, 20, 65534, 5]}));
    let status = status(&bundle);
    assert_eq!(status["Uid"], "1234 1234 1234 1234");
    assert_eq!(status["Gid"], "5678 5678 5678 5678");
    assert_eq!(status["Groups"], "5 10 20 65534");
}

fn without_additional_groups_there_are_none() {
    assert_eq!(status(&status_bundle())["Groups"], "");
    let bundle = status_bundle();
    bundle.set("/process/user", json!({"uid": i32::MAX, "gid": i32::MAX}));
    let status = status(&bundle);
    assert_eq!(status["Uid"], "2147483647 2147483647 2147483647 2147483647");
    assert_eq!(status["Groups"], "");
}

fn umask_is_set() {
    let bundle = Bundle::sh("umask");
    bundle.set("/process/user/umask", json!(0o137));
    assert_eq!(bundle.run().text(), "0137");
}

fn the_callers_umask_is_not_inherited() {
    let bundle = Bundle::sh("umask");
    assert_eq!(bundle.on(Host::machine().umask(0o077)).output().text(), "0022");
    // The targets that the runtime makes don't depend on it either.
    let bundle = Bundle::sh("stat -c %a /srv/a/b /dev/null /dev/shm");
    fs::write(bundle.dir.join("file"), "").unwrap();
    bundle.mount("/srv/a/b/file", "bind", "file", &["bind"]);
    assert_eq!(bundle.on(Host::machine().umask(0o077)).output().lines(), ["755", "666", "1777"]);
}

fn a_numeric_name_in_passwd_grants_nothing() {
    let bundle = Bundle::sh("id -u; echo $HOME");
    bundle.file("/etc/passwd", 0o644, "1000:x:0:0:evil:/evil:/bin/sh\nbob:x:1000:1000::/home/bob:/bin/sh\n");
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(bundle.run().lines(), ["1000", "/home/bob"]);
}

fn home(passwd: &str, uid: u32, env: &[&str]) -> String {
    let bundle = Bundle::probe(&["env"]);
    bundle.file("/etc/passwd", 0o644, passwd);
    bundle.set("/process/user", json!({"uid": uid, "gid": 0})).set("/process/env", json!(env));
    let lines = bundle.run().lines();
    let homes: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("HOME=")).collect();
    assert_eq!(homes.len(), 1, "{lines:?}");
    homes[0].to_owned()
}

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken\n:::::\nalice:x:1000:1000::/home/alice:/bin/sh";

fn home_comes_from_passwd_when_env_has_none() {
    assert_eq!(home(PASSWD, 0, &["PATH=/bin"]), "/root");
    assert_eq!(home(PASSWD, 1000, &["PATH=/bin"]), "/home/alice");
}

fn home_of_an_unknown_user_is_the_root() {
    assert_eq!(home(PASSWD, 4711, &["PATH=/bin"]), "/");
    let bundle = Bundle::sh("echo $HOME");
    fs::remove_file(bundle.inside("/etc/passwd")).unwrap();
    assert_eq!(bundle.run().text(), "/");
}

fn home_in_env_wins() {
    assert_eq!(home(PASSWD, 1000, &["HOME=/elsewhere", "PATH=/bin"]), "/elsewhere");
}

fn an_empty_home_is_taken_from_passwd() {
    assert_eq!(home(PASSWD, 1000, &["HOME=", "PATH=/bin"]), "/home/alice");
}

fn environment_is_exact_and_in_order() {
    let wanted = [
        "Z=1",
        "PATH=/bin:/usr/bin",
        "A=with = and \"quotes\"",
        "EMPTY=",
        "HOME=/",
        "TEXT=\u{e4}\u{1F600}\n\tx",
    ];
    let bundle = Bundle::probe(&["env"]);
    bundle.set("/process/env", json!(wanted));
    let escaped: Vec<String> = wanted
        .iter()
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            format!("{name}={}", value.as_bytes().escape_ascii())
        })
        .collect();
    assert_eq!(bundle.run().lines(), escaped);
}

fn the_callers_environment_stays_outside() {
    let bundle = Bundle::probe(&["env"]);
    let run = bundle
        .on(Host::machine())
        .env("SECRET", "of the host")
        .env("HOME", "/x")
        .env("XDG_RUNTIME_DIR", "/x");
    let lines = run.output().lines();
    let names: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(names, ["PATH", "TERM", "HOME"]);
}

fn arguments_are_exact_to_the_byte() {
    let odd = [
        "",
        " ",
        "a b",
        "\"",
        "\\",
        "\n",
        "\u{1}\u{7f}",
        "\u{e4}\u{1F600}",
        "$HOME",
        "--",
        "-x",
        &"y".repeat(100_000),
    ];
    let arguments = [&["/probe", "args"][..], &odd].concat();
    let bundle = Bundle::new(&arguments);
    let wanted: Vec<String> =
        arguments.iter().map(|word| word.as_bytes().escape_ascii().to_string()).collect();
    assert_eq!(bundle.run().lines(), wanted);
}

fn cwd_is_entered() {
    let bundle = Bundle::sh("pwd; readlink /proc/self/cwd");
    bundle.set("/process/cwd", json!("/usr/bin"));
    assert_eq!(bundle.run().lines(), ["/usr/bin", "/usr/bin"]);
}

fn a_missing_cwd_is_made() {
    let bundle = Bundle::sh("pwd; stat -c '%a %u' .");
    bundle.set("/root/readonly", json!(false)).set("/process/cwd", json!("/srv/not/there"));
    assert_eq!(bundle.run().lines(), ["/srv/not/there", "755 0"]);
}

fn private_folder(script: &str, mode: u32, owner: u32) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.file("/private/file", 0o644, "");
    let path = bundle.inside("/private");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    std::os::unix::fs::chown(&path, Some(owner), Some(owner)).unwrap();
    bundle.set("/process/cwd", json!("/private")).set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle
}

fn a_cwd_that_only_root_may_enter_is_entered_before_root_is_given_up() {
    assert_eq!(
        private_folder("readlink /proc/self/cwd; ls 2>/dev/null || echo shut", 0o700, 0).run().lines(),
        ["/private", "shut"]
    );
}

fn a_cwd_only_the_user_may_enter_is_entered() {
    // On a network file system root may be the one who is squashed: the user's own right counts.
    assert_eq!(private_folder("pwd", 0o700, 1000).run().text(), "/private");
}

fn a_cwd_that_is_a_file_is_refused() {
    let bundle = Bundle::sh("true");
    bundle.set("/process/cwd", json!("/etc/passwd"));
    bundle.run().refuses(&["/etc/passwd", "not a directory"]);
}

fn with_program(path: &str, folder: &str) -> Bundle {
    let bundle = Bundle::new(&["hello"]);
    bundle.file(&format!("{folder}/hello"), 0o755, &format!("#!/bin/sh\necho hello from {folder}\n"));
    bundle.set("/process/env", json!([path]));
    bundle
}

fn a_program_is_found_by_the_containers_path() {
    assert_eq!(with_program("PATH=/nowhere:/opt/x", "/opt/x").run().text(), "hello from /opt/x");
    // Control: not with another PATH.
    with_program("PATH=/nowhere", "/opt/x").run().refuses(&["hello", "executable file not found in $PATH"]);
}

fn a_program_is_found_in_the_first_folder_that_has_it() {
    let bundle = with_program("PATH=/a:/b:/c", "/b");
    bundle.file("/c/hello", 0o755, "#!/bin/sh\necho wrong\n");
    bundle.file("/a/hello", 0o644, "not a program\n");
    assert_eq!(bundle.run().text(), "hello from /b");
}

fn a_relative_program_starts_at_cwd() {
    let bundle = with_program("PATH=/bin", "/opt/x");
    bundle.set("/process/args", json!(["./hello"])).set("/process/cwd", json!("/opt/x"));
    assert_eq!(bundle.run().text(), "hello from /opt/x");
}

fn a_missing_program_is_refused_in_runcs_words() {
    Bundle::new(&["no-such-program"])
        .run()
        .refuses(&["no-such-program", "executable file not found in $PATH"]);
    let bundle = Bundle::new(&["sh"]);
    bundle.set("/process/env", json!([]));
    bundle.run().refuses(&["sh", "executable file not found in $PATH"]);
}

fn a_missing_absolute_program_is_refused() {
    Bundle::new(&["/no/such/program"]).run().refuses(&["/no/such/program", "no such file or directory"]);
}

fn a_program_without_x_is_refused() {
    let bundle = Bundle::new(&["/opt/file"]);
    bundle.file("/opt/file", 0o644, "#!/bin/sh\necho ran\n");
    bundle.run().refuses(&["/opt/file", "permission denied"]);
    // Control.
    bundle.file("/opt/file", 0o755, "#!/bin/sh\necho ran\n");
    assert_eq!(bundle.run().text(), "ran");
}

fn a_folder_as_program_is_refused() {
    Bundle::new(&["/etc"]).run().refuses(&["/etc", "permission denied"]);
}

fn a_program_of_another_format_is_refused() {
    let bundle = Bundle::new(&["/opt/file"]);
    bundle.file("/opt/file", 0o755, "\u{1}\u{2}nonsense");
    bundle.run().refuses(&["/opt/file", "exec format error"]);
}

fn a_script_with_an_interpreter_runs() {
    let bundle = Bundle::new(&["/opt/script", "one"]);
    bundle.file("/opt/script", 0o755, "#!/probe args\n");
    assert_eq!(bundle.run().lines(), ["/probe", "args", "/opt/script", "one"]);
}

const SETS: [(&str, &str); 5] = [
    ("bounding", "CapBnd"),
    ("effective", "CapEff"),
    ("permitted", "CapPrm"),
    ("inheritable", "CapInh"),
    ("ambient", "CapAmb"),
];

fn sets(bundle: &Bundle) -> BTreeMap<&'static str, u64> {
    let status = status(bundle);
    SETS.map(|(set, line)| (set, mask(&status, line))).into()
}

fn capabilities_of_root_are_the_configs() {
    let names = ["CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW", "CAP_CHECKPOINT_RESTORE"];
    let bundle = status_bundle();
    bundle.capabilities(&names, &["bounding", "effective", "permitted"]);
    let wanted = capability_mask(&names);
    let sets = sets(&bundle);
    assert_eq!([sets["bounding"], sets["effective"], sets["permitted"]], [wanted; 3]);
    assert_eq!([sets["inheritable"], sets["ambient"]], [0; 2]);
}

fn capabilities_without_any_set_are_empty() {
    for value in [json!({}), json!({"bounding": [], "effective": [], "permitted": []})] {
        let bundle = status_bundle();
        bundle.set("/process/capabilities", value);
        assert!(sets(&bundle).values().all(|mask| *mask == 0), "{:?}", sets(&bundle));
    }
    let bundle = status_bundle();
    bundle.remove("/process/capabilities");
    assert!(sets(&bundle).values().all(|mask| *mask == 0), "{:?}", sets(&bundle));
}

fn capabilities_of_another_user_need_ambient() {
    let names = ["CAP_NET_BIND_SERVICE", "CAP_KILL"];
    let all = SETS.map(|(set, _)| set);
    let bundle = status_bundle();
    bundle.capabilities(&names, &all).set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert!(sets(&bundle).values().all(|mask| *mask == capability_mask(&names)), "{:?}", sets(&bundle));
    // Control: without the ambient set the exec drops them.
    bundle.capabilities(&names, &["bounding", "effective", "permitted"]);
    let sets = sets(&bundle);
    assert_eq!(sets["bounding"], capability_mask(&names));
    assert_eq!([sets["effective"], sets["permitted"], sets["ambient"]], [0; 3]);
}

fn bounding_is_what_the_config_says() {
    let bundle = status_bundle();
    bundle.capabilities(&["CAP_KILL"], &["effective", "permitted"]);
    bundle.set("/process/capabilities/bounding", json!(["CAP_KILL", "CAP_SYS_TIME", "CAP_BPF"]));
    let wanted = capability_mask(&["CAP_KILL", "CAP_SYS_TIME", "CAP_BPF"]);
    let bound = sets(&bundle);
    assert_eq!([bound["bounding"], bound["permitted"]], [wanted, capability_mask(&["CAP_KILL"])]);
    // A program that root executes takes the whole bounding set, unless it may gain nothing: the kernel's rule.
    bundle.set("/process/noNewPrivileges", json!(false));
    let bound = sets(&bundle);
    assert_eq!([bound["bounding"], bound["permitted"]], [wanted, wanted]);
}

fn inheritable_is_what_the_config_says() {
    let bundle = status_bundle();
    bundle.capabilities(&["CAP_KILL", "CAP_CHOWN"], &["bounding", "effective", "permitted"]);
    bundle.set("/process/capabilities/inheritable", json!(["CAP_CHOWN"]));
    assert_eq!(sets(&bundle)["inheritable"], capability_mask(&["CAP_CHOWN"]));
}

fn rlimits_are_set() {
    const LIMITS: [(&str, &str, u64, u64); 14] = [
        ("RLIMIT_CPU", "Max cpu time", 1000, 2000),
        ("RLIMIT_FSIZE", "Max file size", 1_000_000, 2_000_000),
        ("RLIMIT_DATA", "Max data size", 100_000_000, 200_000_000),
        ("RLIMIT_STACK", "Max stack size", 4_194_304, 8_388_608),
        ("RLIMIT_CORE", "Max core file size", 0, 1),
        ("RLIMIT_RSS", "Max resident set", 1_000_000, 2_000_000),
        ("RLIMIT_NPROC", "Max processes", 1000, 2000),
        ("RLIMIT_NOFILE", "Max open files", 100, 200),
        ("RLIMIT_MEMLOCK", "Max locked memory", 1000, 2000),
        ("RLIMIT_AS", "Max address space", 1_000_000_000, 2_000_000_000),
        ("RLIMIT_LOCKS", "Max file locks", 10, 20),
        ("RLIMIT_SIGPENDING", "Max pending signals", 30, 40),
        ("RLIMIT_MSGQUEUE", "Max msgqueue size", 5000, 6000),
        ("RLIMIT_RTTIME", "Max realtime timeout", 7000, 8000),
    ];
    let bundle = Bundle::new(&["/bin/cat", "/proc/self/limits"]);
    let list: Vec<_> = LIMITS
        .iter()
        .map(|(name, _, soft, hard)| json!({"type": name, "soft": soft, "hard": hard}))
        .collect();
    bundle.set("/process/rlimits", json!(list));
    let lines = bundle.run().lines();
    for (name, label, soft, hard) in LIMITS {
        let line = lines.iter().find(|line| line.starts_with(label)).unwrap();
        let words: Vec<&str> = line[label.len()..].split_whitespace().collect();
        assert_eq!(words[..2], [soft.to_string(), hard.to_string()], "{name}");
    }
    // Control: the caller's are others.
    assert!(!fs::read_to_string("/proc/self/limits").unwrap().contains("Max file locks            10 "));
}

fn a_limit_given_twice_is_refused() {
    let bundle = Bundle::sh("true");
    bundle.push("/process/rlimits", json!({"type": "RLIMIT_NOFILE", "soft": 10, "hard": 10}));
    bundle.run().refuses(&["RLIMIT_NOFILE"]);
}

fn a_hard_limit_that_cannot_be_raised_is_an_error() {
    let bundle = Bundle::sh("true");
    bundle.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 100}]));
    // Without CAP_SYS_RESOURCE, below a limit of 60.
    let host = Host::machine().limit(libc::RLIMIT_NOFILE, 60, 60);
    bundle.on(host).output().refuses(&["RLIMIT_NOFILE", "operation not permitted"]);
    bundle.run().succeeds();
}

fn no_new_privileges_is_set() {
    assert_eq!(status(&status_bundle())["NoNewPrivs"], "1");
}

fn without_no_new_privileges_it_is_off() {
    let bundle = status_bundle();
    bundle.set("/process/noNewPrivileges", json!(false));
    assert_eq!(status(&bundle)["NoNewPrivs"], "0");
    bundle.remove("/process/noNewPrivileges");
    assert_eq!(status(&bundle)["NoNewPrivs"], "0");
}

fn oom_score_is_set() {
    let bundle = Bundle::sh("cat /proc/self/oom_score_adj");
    bundle.set("/process/oomScoreAdj", json!(321));
    assert_eq!(bundle.run().text(), "321");
}

fn oom_score_is_inherited_when_not_given() {
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(Bundle::sh("cat /proc/self/oom_score_adj").run().out(), own);
}

fn only_the_three_standard_descriptors_are_open() {
    assert_eq!(Bundle::probe(&["fds"]).run().text(), "0 1 2");
}

fn descriptors_of_the_caller_stay_outside() {
    let file = File::open("/etc/hostname").unwrap();
    let host =
        [3, 4, 9, 20, 100, 1000].iter().fold(Host::machine(), |host, to| host.pass(file.as_raw_fd(), *to));
    let bundle = Bundle::probe(&["fds"]);
    assert_eq!(bundle.on(host.clone()).output().text(), "0 1 2");
    let host = host.without(&[("close_range", libc::ENOSYS)]);
    assert_eq!(bundle.on(host).output().text(), "0 1 2");
}

fn preserved_descriptors_come_along() {
    let file = File::open("/etc/hostname").unwrap();
    let host = [3, 4, 5, 6].iter().fold(Host::machine(), |host, to| host.pass(file.as_raw_fd(), *to));
    let bundle = Bundle::probe(&["fds"]);
    assert_eq!(bundle.on(host.clone()).flags(&["--preserve-fds", "2"]).output().text(), "0 1 2 3 4");
    assert_eq!(bundle.on(host.clone()).flags(&["--preserve-fds", "0"]).output().text(), "0 1 2");
    assert_eq!(bundle.on(host.clone()).flags(&["--preserve-fds=4"]).output().text(), "0 1 2 3 4 5 6");
    let bundle = Bundle::sh("cat <&4");
    let own = fs::read_to_string("/etc/hostname").unwrap();
    assert_eq!(bundle.on(host).flags(&["--preserve-fds", "2"]).output().succeeds().out(), own);
}

fn a_preserved_descriptor_that_is_not_open_is_refused() {
    let bundle = Bundle::probe(&["fds"]);
    bundle.on(Host::machine()).flags(&["--preserve-fds", "3"]).output().refuses(&["preserve"]);
}

fn signals_start_unblocked_and_with_default_actions() {
    let bundle = status_bundle();
    let output = bundle.on(Host::machine().signals_blocked_and_ignored()).output();
    let status = facts::status(&output.text());
    for line in ["SigBlk", "SigIgn", "SigCgt", "ShdPnd", "SigPnd"] {
        assert_eq!(mask(&status, line), 0, "{line}");
    }
}

fn the_process_leads_a_session_of_its_own() {
    assert_eq!(Bundle::probe(&["session"]).run().text(), "pid=1 session=1 group=1 foreground=-1 tty=0,0,0");
    let bundle = Bundle::probe(&["session"]);
    bundle.namespaces(&["network", "ipc", "uts", "mount", "cgroup"]);
    let text = bundle.run().text();
    let numbers: Vec<&str> = text.split_whitespace().map(|word| word.split_once('=').unwrap().1).collect();
    assert_eq!([numbers[0]; 2], [numbers[1], numbers[2]], "{text}");
}

fn keyring(output: &Output) -> (String, String) {
    let text = output.text();
    let (id, description) = text.split_once(' ').unwrap_or_else(|| panic!("{text}"));
    (id.to_owned(), description.to_owned())
}

/// A keyring of the caller's own, made by the probe's raw calls, would be joined only by a child of it: the caller here
/// has whatever the machine gave it, so two containers are compared.
fn the_session_keyring_is_new() {
    let first = keyring(&Bundle::probe(&["keyring"]).run());
    let second = keyring(&Bundle::probe(&["keyring"]).run());
    assert!(first.1.contains("_ses"), "{first:?}");
    assert_ne!(first.0, second.0);
}

fn the_callers_keyring_stays_when_asked_for() {
    let run = || Bundle::probe(&["keyring"]).on(Host::machine()).flags(&["--no-new-keyring"]).output();
    let own = hull_tests::spawn::output(std::process::Command::new(hull_tests::PROBE).arg("keyring"));
    let own = String::from_utf8_lossy(&own.stdout).into_owned();
    assert_eq!(run().out(), own);
    assert_eq!(run().out(), own);
}

fn the_process_is_not_dumpable_to_others_before_exec() {
    // After the exec of an ordinary program it is dumpable again: its own files in /proc belong to it.
    let bundle = Bundle::sh("stat -c %u /proc/self/environ");
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(bundle.run().text(), "1000");
}

fn the_parent_dies_with_nothing_left_in_between() {
    // The container's first process is a child of the runtime itself: no helper lives on.
    let bundle = Bundle::probe(&["hold"]);
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    let children = hull_tests::check::children(live.pid());
    assert_eq!(children.len(), 1, "{children:?}");
    let name = fs::read_to_string(format!("/proc/{}/comm", children[0])).unwrap();
    assert_eq!(name.trim(), "probe");
    live.finish().succeeds();
}

fn a_new_process_is_the_same_on_every_host() -> Vec<Trial> {
    let test = |host: Host| {
        move || {
            let bundle = status_bundle();
            if host.name.contains("cgroup") && !host.name.contains("cgroup2") {
                bundle.no_mount("/sys/fs/cgroup").remove("/linux/resources");
            }
            bundle.set(
                "/process/user",
                json!({"uid": 1000, "gid": 1001, "additionalGids": [7], "umask": 0o27}),
            );
            let status = facts::status(&bundle.on(host).output().text());
            assert_eq!(status["Uid"], "1000 1000 1000 1000");
            assert_eq!(status["Gid"], "1001 1001 1001 1001");
            assert_eq!(status["Groups"], "7");
            assert_eq!(status["Umask"], "0027");
            assert_eq!(status["NoNewPrivs"], "1");
            assert_eq!(
                mask(&status, "CapBnd"),
                capability_mask(&["AUDIT_WRITE", "KILL", "NET_BIND_SERVICE"])
            );
            for line in ["CapEff", "CapPrm", "CapInh", "CapAmb", "SigBlk", "SigIgn"] {
                assert_eq!(mask(&status, line), 0, "{line}");
            }
        }
    };
    Host::all().into_iter().map(|host| case(format!("process_facts_on_{}", host.name), test(host))).collect()
}
