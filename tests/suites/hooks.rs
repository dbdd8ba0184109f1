//! Hooks (config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle"): where, when and with what each runs, and what
//! follows where one fails.

use hull_tests::{Bundle, Host, Output, Value, check, hull, json, run, spawn, suite};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

suite!(
    all_run_in_order_around_the_program,
    each_is_told_the_state,
    create_container_runs_in_the_containers_mounts_with_the_hosts_root,
    start_container_runs_inside,
    arguments_and_environment_are_the_configs,
    a_hook_that_fails_before_the_program_ends_the_container,
    a_poststart_that_fails_ends_the_container,
    a_poststop_that_fails_is_a_warning,
    a_hook_that_is_not_there_is_named,
    a_timeout_kills_the_hook,
    a_timeout_that_is_not_reached_changes_nothing,
    a_hook_need_not_read_the_state,
    create_and_start_share_the_hooks_between_them
);

const HOST_SIDE: [&str; 5] = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];

/// A bundle whose hooks write their name and what they were told into a file each, in order of a log.
struct Hooked {
    bundle: Bundle,
    log: PathBuf,
}

impl Hooked {
    fn new() -> Hooked {
        let bundle = Bundle::sh("echo program >> /log");
        bundle.set("/root/readonly", false.into());
        let log = bundle.dir.join("hooks.log");
        let hooked = Hooked { bundle, log };
        for name in HOST_SIDE {
            hooked.hook(name, &format!("read -r state; echo \"{name} $state\" >> {}", hooked.log.display()));
        }
        let inside = "read -r state; echo \"startContainer $state\" >> /log";
        hooked.set(
            "startContainer",
            json!([{"path": "/bin/sh", "args": ["sh", "-c", inside], "env": ["PATH=/bin"]}]),
        );
        hooked
    }

    fn set(&self, name: &str, hooks: Value) {
        if self.bundle.get("/hooks").is_null() {
            self.bundle.set("/hooks", json!({}));
        }
        self.bundle.set(&format!("/hooks/{name}"), hooks);
    }

    /// A hook of the host's side: busybox's shell with a script.
    fn hook(&self, name: &str, script: &str) {
        let hook =
            json!([{"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]);
        self.set(name, hook);
    }

    fn run(&self) -> Output {
        self.bundle.on(Host::machine()).output()
    }

    fn lines(&self) -> Vec<String> {
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        let all = read(self.log.clone()) + &read(self.bundle.inside("log"));
        all.lines().map(str::to_owned).collect()
    }

    fn names(&self) -> Vec<String> {
        self.lines().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    fn state(&self, name: &str) -> Value {
        let lines = self.lines();
        let line =
            lines.iter().find_map(|line| line.strip_prefix(&format!("{name} "))).expect("the hook's line");
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

fn all_run_in_order_around_the_program() {
    let hooked = Hooked::new();
    hooked.run().succeeds();
    let want = [
        "prestart",
        "createRuntime",
        "createContainer",
        "poststart",
        "poststop",
        "startContainer",
        "program",
    ];
    assert_eq!(hooked.names(), want);
}

fn each_is_told_the_state() {
    let hooked = Hooked::new();
    hooked.bundle.set("/annotations", json!({"a": "b"}));
    hooked.run().succeeds();
    for (name, status) in [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("startContainer", "created"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ] {
        let state = hooked.state(name);
        assert_eq!(state["status"], status, "{name}");
        assert_eq!(state["id"], hooked.bundle.id.as_str());
        assert_eq!(state["ociVersion"], hooked.bundle.get("/ociVersion"));
        assert_eq!(state["bundle"], hooked.bundle.dir.to_str().unwrap());
        assert_eq!(state["annotations"], json!({"a": "b"}));
        let pid = state["pid"].as_i64().unwrap();
        match name {
            "createContainer" | "startContainer" => assert_eq!(pid, 1),
            "poststop" => assert_eq!(pid, 0),
            _ => assert!(pid > 1),
        }
    }
}

fn create_container_runs_in_the_containers_mounts_with_the_hosts_root() {
    let hooked = Hooked::new();
    let shown = format!(
        "{{ readlink /proc/self/ns/mnt; ls -d {}; }} >> {}",
        hooked.bundle.dir.display(),
        hooked.log.display()
    );
    hooked.hook("createContainer", &shown);
    hooked.hook("createRuntime", &shown);
    hooked.run().succeeds();
    let lines = hooked.lines();
    let spaces: Vec<_> = lines.iter().filter(|line| line.starts_with("mnt:")).collect();
    let own = fs::read_link("/proc/self/ns/mnt").unwrap();
    assert_eq!(spaces.len(), 2);
    assert_eq!(spaces[0].as_str(), own.to_str().unwrap());
    assert_ne!(spaces[1].as_str(), own.to_str().unwrap());
    assert_eq!(lines.iter().filter(|line| line.as_str() == hooked.bundle.dir.to_str().unwrap()).count(), 2);
}

fn start_container_runs_inside() {
    let hooked = Hooked::new();
    let script = "echo \"startContainer $(hostname) $(cat /proc/1/comm)\" >> /log";
    hooked.set(
        "startContainer",
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"]}]),
    );
    hooked.bundle.set("/hostname", "inside".into());
    hooked.run().succeeds();
    assert!(
        hooked.lines().iter().any(|line| line.starts_with("startContainer inside ")),
        "{:?}",
        hooked.lines()
    );
}

fn arguments_and_environment_are_the_configs() {
    let hooked = Hooked::new();
    let script =
        format!("echo \"$0 $1 $ONE\" >> {}; env | sort >> {}", hooked.log.display(), hooked.log.display());
    hooked.set(
        "createRuntime",
        json!([{"path": "/bin/busybox", "args": ["sh", "-c", script, "name", "first"], "env": ["ONE=1", "PATH=/bin"]}]),
    );
    hooked.run().succeeds();
    let lines = hooked.lines();
    assert!(lines.contains(&"name first 1".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("HOME=")), "{lines:?}");
}

fn a_hook_that_fails_before_the_program_ends_the_container() {
    for name in ["prestart", "createRuntime", "createContainer"] {
        let hooked = Hooked::new();
        hooked.hook(name, "exit 3");
        hooked.run().refuses(&[&format!("run the {name} hook"), "the hook ended with a failure"]);
        let names = hooked.names();
        assert!(
            !names.contains(&"program".to_owned()) && names.contains(&"poststop".to_owned()),
            "{names:?}"
        );
    }
    let hooked = Hooked::new();
    hooked.set("startContainer", json!([{"path": "/bin/false", "env": ["PATH=/bin"]}]));
    hooked.run().refuses(&["run the startContainer hook"]);
    assert!(!hooked.names().contains(&"program".to_owned()));
}

fn a_poststart_that_fails_ends_the_container() {
    let hooked = Hooked::new();
    hooked.hook("poststart", "exit 1");
    hooked.run().refuses(&["run the poststart hook"]);
    assert!(hooked.names().contains(&"poststop".to_owned()));
}

fn a_poststop_that_fails_is_a_warning() {
    let hooked = Hooked::new();
    let second = format!("echo second >> {}", hooked.log.display());
    hooked.set(
        "poststop",
        json!([{"path": "/bin/busybox", "args": ["false"]}, {"path": "/bin/busybox", "args": ["sh", "-c", second]}]),
    );
    let output = hooked.run();
    output.exits(0);
    assert!(output.err().contains("warning: run the poststop hook"), "{}", output.show());
    assert!(hooked.names().contains(&"second".to_owned()));
}

fn a_hook_that_is_not_there_is_named() {
    let hooked = Hooked::new();
    hooked.set("createRuntime", json!([{"path": "/nowhere/hook"}]));
    hooked.run().refuses(&["run the createRuntime hook \"/nowhere/hook\"", "no such file or directory"]);
}

fn a_timeout_kills_the_hook() {
    let hooked = Hooked::new();
    let script = format!("echo $$ > {}; exec sleep 1000", hooked.log.display());
    hooked.set(
        "createRuntime",
        json!([{"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], "timeout": 1}]),
    );
    hooked.run().refuses(&["run the createRuntime hook", "the hook was killed after its timeout"]);
    let pid = hooked.lines().first().cloned().expect("the hook's pid");
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
}

fn a_timeout_that_is_not_reached_changes_nothing() {
    let hooked = Hooked::new();
    hooked.bundle.set("/hooks/createRuntime/0/timeout", 600.into());
    hooked.run().succeeds();
    assert!(hooked.names().contains(&"createRuntime".to_owned()));
}

fn a_hook_need_not_read_the_state() {
    let hooked = Hooked::new();
    hooked.bundle.set("/annotations", json!({"long": "x".repeat(200_000)}));
    hooked.hook("createRuntime", "exit 0");
    hooked.run().succeeds();
}

fn create_and_start_share_the_hooks_between_them() {
    let hooked = Hooked::new();
    hooked.bundle.write();
    let root = hooked.bundle.beside("state");
    let call = |words: &[&str]| {
        let mut all = vec![hull().into_os_string(), "--root".into(), root.clone().into()];
        all.extend(words.iter().map(Into::into));
        let mut command = run::command(&all, &Host::machine());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(spawn::spawn(&mut command).unwrap().wait().unwrap().success(), "{words:?}");
    };
    let id = hooked.bundle.id.as_str();
    call(&["create", "-b", hooked.bundle.dir.to_str().unwrap(), id]);
    assert_eq!(hooked.names(), ["prestart", "createRuntime", "createContainer"]);
    call(&["start", id]);
    let names = hooked.names();
    assert!(
        names.contains(&"poststart".to_owned()) && names.contains(&"startContainer".to_owned()),
        "{names:?}"
    );
    assert!(!names.contains(&"poststop".to_owned()));
    call(&["delete", "--force", id]);
    assert!(hooked.names().contains(&"poststop".to_owned()));
    assert!(check::cgroups_named(id).is_empty());
}
