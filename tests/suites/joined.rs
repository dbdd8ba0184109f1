//! Namespaces that are joined by path: of every kind, alone and in mixes, with new ones beside them.

use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Live, Output, Value, json, spawn, suite};
use libtest_mimic::Trial;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

suite!(
    a_mount_namespace_is_joined,
    a_pod_shares_four_namespaces_with_its_first_container,
    a_joined_pid_namespace_is_left_as_it_was,
    a_joined_user_namespace_owns_what_is_new_beside_it,
    everything_of_another_container_is_joined_at_once,
    a_new_user_namespace_stands_beside_joined_ones,
    the_joined_user_namespaces_mappings_may_be_repeated,
    other_mappings_than_the_joined_user_namespaces_are_refused,
    hooks_of_the_runtime_stay_in_its_namespaces,
    a_path_that_leads_nowhere_is_an_error,
    a_file_that_is_no_namespace_is_an_error,
    a_fifo_in_the_place_of_a_namespace_is_an_error,
    a_namespace_of_another_kind_is_an_error,
    a_pid_namespace_whose_first_process_has_ended_is_an_error,
    the_callers_own_mount_namespace_is_refused,
    a_sysctl_in_the_callers_own_namespace_is_refused,
    a_hostname_in_the_callers_own_namespace_is_refused,
    offsets_for_a_joined_time_namespace_are_refused,
    joining_works_without_clone3;
    each_kind_is_joined
);

/// Kind in the config, name below /proc/PID/ns.
const KINDS: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
    ("user", "user"),
    ("time", "time"),
];

fn name_of(kind: &str) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).expect("a kind of namespace").1
}

fn mappings(bundle: &Bundle, outside: u32) {
    let mapping = json!([{"containerID": 0, "hostID": outside, "size": 65536}]);
    bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
}

/// A container that lives in namespaces of its own until its standard input ends.
struct Holder {
    live: Option<Live>,
    _bundle: Bundle,
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            let output = live.finish();
            if !std::thread::panicking() {
                output.exits(1);
            }
        }
    }
}

impl Holder {
    fn of(kinds: &[&str]) -> Holder {
        let bundle = Bundle::sh("echo up; read end");
        bundle.namespaces(kinds);
        if kinds.contains(&"user") {
            mappings(&bundle, 100_000);
        }
        if !kinds.contains(&"uts") {
            bundle.remove("/hostname");
        }
        let mut live = bundle.on(Host::machine()).start();
        live.until("up");
        Holder { live: Some(live), _bundle: bundle }
    }

    fn whole() -> Holder {
        Holder::of(&KINDS.map(|(kind, _)| kind))
    }

    fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{}", self.pid(), name_of(kind))
    }

    fn link(&self, kind: &str) -> String {
        fs::read_link(self.path(kind)).expect("a namespace link").display().to_string()
    }

    fn pid(&self) -> i32 {
        self.live.as_ref().expect("it lives").container_pid()
    }

    fn end(self) {
        drop(self);
    }
}

fn own(kind: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{}", name_of(kind))).expect("a link").display().to_string()
}

/// A bundle that prints its namespaces and its pid, with some of them new and some joined.
fn joining(new: &[&str], joined: &[(&str, String)]) -> Bundle {
    let script = KINDS.map(|(kind, name)| format!("echo {kind} $(readlink /proc/self/ns/{name})")).join("\n");
    with_script(&format!("{script}\necho self $$"), new, joined)
}

fn with_script(script: &str, new: &[&str], joined: &[(&str, String)]) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.namespaces(new).remove("/hostname");
    for (kind, path) in joined {
        bundle.push("/linux/namespaces", json!({"type": kind, "path": path}));
    }
    let has = |kind: &str| new.contains(&kind) || joined.iter().any(|(known, _)| *known == kind);
    if has("user") {
        // What belongs to the host's namespaces can't be mounted anew from a user namespace.
        for (kind, place) in [("network", "/sys"), ("ipc", "/dev/mqueue")] {
            if !new.contains(&kind) {
                bundle.no_mount(place);
            }
        }
        bundle.no_mount("/sys/fs/cgroup");
    }
    bundle
}

fn told(output: &Output, what: &str) -> String {
    let lines = output.succeeds().lines();
    let found = lines.iter().find_map(|line| line.strip_prefix(&format!("{what} ")));
    found.unwrap_or_else(|| panic!("no {what} in {lines:?}")).to_owned()
}

fn joins<'k>(holder: &Holder, kinds: &[&'k str]) -> Vec<(&'k str, String)> {
    kinds.iter().map(|kind| (*kind, holder.path(kind))).collect()
}

/// Every kind alone, with the same bundle without the path as a control.
fn each_kind_is_joined() -> Vec<Trial> {
    KINDS
        .into_iter()
        // one of another container has its root, where no bundle is: see below
        .filter(|(kind, _)| *kind != "mount")
        .map(|(kind, _)| {
            case(format!("{kind}_is_joined"), move || {
                let holder = Holder::of(&["pid", "network", "ipc", "uts", "mount", "cgroup", "time"]);
                let users = Holder::of(&["pid", "network", "ipc", "uts", "mount", "cgroup", "user"]);
                let holder = if kind == "user" { &users } else { &holder };
                let mut new = vec!["pid", "network", "ipc", "uts", "mount"];
                new.retain(|known| *known != kind);
                let output = joining(&new, &joins(holder, &[kind])).run();
                assert_eq!(told(&output, kind), holder.link(kind));
                for (other, _) in KINDS.iter().filter(|(other, _)| *other != kind) {
                    assert_ne!(told(&output, other), format!("{}x", holder.link(other)));
                    if new.contains(other) {
                        assert_ne!(told(&output, other), holder.link(other), "{other} is not new");
                        assert_ne!(told(&output, other), own(other), "{other} is not new");
                    }
                }
                let control = joining(&["pid", "network", "ipc", "uts", "mount"], &[]).run();
                assert_ne!(told(&control, kind), holder.link(kind), "the control");
            })
        })
        .collect()
}

fn a_mount_namespace_is_joined() {
    let mut holder = Command::new("cat");
    holder.stdin(Stdio::piped()).stdout(Stdio::null());
    // The spawn returns after the exec, so the namespace is there.
    unsafe { holder.pre_exec(|| Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?)) };
    let mut holder = spawn::spawn(&mut holder).expect("a process with mounts of its own");
    let path = format!("/proc/{}/ns/mnt", holder.id());
    let theirs = fs::read_link(&path).expect("a namespace link").display().to_string();
    let output = joining(&["pid", "network", "ipc", "uts"], &[("mount", path)]).run();
    drop(holder.stdin.take());
    holder.wait().expect("our child");
    assert_eq!(told(&output, "mount"), theirs);
    assert_ne!(theirs, own("mount"));
}

fn a_pod_shares_four_namespaces_with_its_first_container() {
    let first = Holder::of(&["pid", "network", "ipc", "uts", "mount"]);
    let shared = ["pid", "network", "ipc", "uts"];
    let output = joining(&["mount"], &joins(&first, &shared)).run();
    for kind in shared {
        assert_eq!(told(&output, kind), first.link(kind));
    }
    assert_ne!(told(&output, "mount"), first.link("mount"));
    assert_ne!(told(&output, "self"), "1", "the first container's process has number 1");
    first.end();
}

fn a_joined_pid_namespace_is_left_as_it_was() {
    let first = Holder::of(&["pid", "network", "ipc", "uts", "mount"]);
    // What is left behind is the container's and ends with it; the namespace's first process is not.
    let bundle = with_script("sleep 1000 & echo self $$", &["mount"], &joins(&first, &["pid"]));
    assert_ne!(told(&bundle.run(), "self"), "1");
    assert!(fs::metadata(first.path("pid")).is_ok());
    // The namespace's first process is a shell that reaps nobody meanwhile.
    let lives = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let left: Vec<i32> = hull_tests::check::children(first.pid()).into_iter().filter(lives).collect();
    assert_eq!(left, Vec::<i32>::new());
    first.end();
}

fn a_joined_user_namespace_owns_what_is_new_beside_it() {
    let holder = Holder::whole();
    let new = ["pid", "network", "ipc", "uts", "mount"];
    let output = joining(&new, &joins(&holder, &["user"])).run();
    assert_eq!(told(&output, "user"), holder.link("user"));
    assert_eq!(told(&output, "self"), "1");
    for kind in new {
        assert_ne!(told(&output, kind), holder.link(kind));
        assert_ne!(told(&output, kind), own(kind));
    }
    holder.end();
}

fn everything_of_another_container_is_joined_at_once() {
    let holder = Holder::whole();
    let kinds = ["user", "network", "ipc", "uts", "pid", "cgroup", "time"];
    let output = joining(&["mount"], &joins(&holder, &kinds)).run();
    for kind in kinds {
        assert_eq!(told(&output, kind), holder.link(kind));
    }
    holder.end();
}

fn a_new_user_namespace_stands_beside_joined_ones() {
    let holder = Holder::of(&["pid", "network", "ipc", "uts", "mount"]);
    let bundle = joining(&["pid", "mount", "user"], &joins(&holder, &["network", "ipc", "uts"]));
    mappings(&bundle, 200_000);
    let output = bundle.run();
    for kind in ["network", "ipc", "uts"] {
        assert_eq!(told(&output, kind), holder.link(kind));
    }
    assert_ne!(told(&output, "user"), own("user"));
    assert_eq!(told(&output, "self"), "1");
    holder.end();
}

fn the_joined_user_namespaces_mappings_may_be_repeated() {
    let holder = Holder::whole();
    let bundle = joining(&["pid", "network", "ipc", "uts", "mount"], &joins(&holder, &["user"]));
    mappings(&bundle, 100_000);
    assert_eq!(told(&bundle.run(), "user"), holder.link("user"));
    holder.end();
}

fn other_mappings_than_the_joined_user_namespaces_are_refused() {
    let holder = Holder::whole();
    let bundle = joining(&["pid", "network", "ipc", "uts", "mount"], &joins(&holder, &["user"]));
    mappings(&bundle, 300_000);
    bundle.run().refuses(&["uid_map", "has other mappings"]);
    holder.end();
}

fn hooks_of_the_runtime_stay_in_its_namespaces() {
    let holder = Holder::of(&["pid", "network", "ipc", "uts", "mount"]);
    let bundle = joining(&["mount"], &joins(&holder, &["pid", "network", "uts", "ipc"]));
    let seen = bundle.dir.join("seen");
    let line = format!("for n in pid net uts ipc; do readlink /proc/$$/ns/$n; done > {}", seen.display());
    for kind in ["createRuntime", "poststart", "poststop"] {
        let hook =
            json!([{"path": "/bin/sh", "args": ["sh", "-c", line.replace("seen", &format!("seen.{kind}"))]}]);
        bundle.set(&format!("/hooks/{kind}"), hook);
    }
    assert_eq!(told(&bundle.run(), "network"), holder.link("network"));
    let wanted: Vec<String> = ["pid", "network", "uts", "ipc"].map(own).into();
    for kind in ["createRuntime", "poststart", "poststop"] {
        let text = fs::read_to_string(bundle.dir.join(format!("seen.{kind}"))).expect("what the hook saw");
        assert_eq!(text.lines().map(str::to_owned).collect::<Vec<_>>(), wanted, "{kind}");
    }
    holder.end();
}

fn network_at(path: &str) -> Bundle {
    joining(&["pid", "ipc", "uts", "mount"], &[("network", path.to_owned())])
}

fn a_path_that_leads_nowhere_is_an_error() {
    network_at("/run/no/such/namespace").run().refuses(&["/run/no/such/namespace", "ENOENT"]);
    network_at("relative/path").run().refuses(&["linux.namespaces[4].path", "an absolute path"]);
}

fn a_file_that_is_no_namespace_is_an_error() {
    network_at("/etc/passwd").run().refuses(&["/etc/passwd", "must be that of a namespace of this kind"]);
    network_at("/etc").run().refuses(&["\"/etc\"", "must be that of a namespace of this kind"]);
}

fn a_fifo_in_the_place_of_a_namespace_is_an_error() {
    let bundle = network_at("/dev/null");
    let fifo = bundle.dir.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    bundle.set("/linux/namespaces/4/path", Value::from(fifo.display().to_string()));
    bundle.run().refuses(&["fifo", "must be that of a namespace of this kind"]);
}

fn a_namespace_of_another_kind_is_an_error() {
    let holder = Holder::of(&["pid", "network", "ipc", "uts", "mount"]);
    network_at(&holder.path("uts"))
        .run()
        .refuses(&["network namespace", "must be that of a namespace of this kind"]);
    let control = network_at(&holder.path("network")).run();
    assert_eq!(told(&control, "network"), holder.link("network"));
    holder.end();
}

fn a_pid_namespace_whose_first_process_has_ended_is_an_error() {
    let holder = Holder::of(&["pid", "network", "ipc", "uts", "mount"]);
    // An open file keeps the namespace when its processes are gone.
    let kept = fs::File::open(holder.path("pid")).expect("the namespace");
    let number = std::os::fd::AsRawFd::as_raw_fd(&kept);
    let path = format!("/proc/{}/fd/{number}", std::process::id());
    holder.end();
    let bundle = joining(&["mount"], &[("pid", path)]);
    bundle.run().refuses(&["ENOMEM", "has the first process of the joined pid namespace ended?"]);
}

fn the_callers_own_mount_namespace_is_refused() {
    let path = format!("/proc/{}/ns/mnt", std::process::id());
    joining(&["pid"], &[("mount", path)]).run().refuses(&["linux.namespaces: no \"mount\" namespace"]);
}

fn a_sysctl_in_the_callers_own_namespace_is_refused() {
    let path = format!("/proc/{}/ns/net", std::process::id());
    let sysctl = json!({"net.ipv4.ip_forward": "1"});
    let bundle = network_at(&path);
    assert_eq!(told(&bundle.run(), "network"), own("network"), "without a sysctl it may be joined");
    bundle.set("/linux/sysctl", sysctl.clone());
    bundle.run().refuses(&["net.ipv4.ip_forward", "the host's own network namespace"]);
    let holder = Holder::of(&["pid", "network", "ipc", "uts", "mount"]);
    let control = network_at(&holder.path("network"));
    control.set("/linux/sysctl", sysctl);
    assert_eq!(told(&control.run(), "network"), holder.link("network"));
    holder.end();
}

fn a_hostname_in_the_callers_own_namespace_is_refused() {
    let path = format!("/proc/{}/ns/uts", std::process::id());
    let bundle = joining(&["pid", "mount"], &[("uts", path)]);
    bundle.set("/hostname", json!("stolen"));
    bundle.run().refuses(&["hostname", "the host's own uts namespace"]);
}

fn offsets_for_a_joined_time_namespace_are_refused() {
    let holder = Holder::of(&["pid", "mount", "time"]);
    let bundle = joining(&["pid", "mount"], &joins(&holder, &["time"]));
    bundle.set("/linux/timeOffsets", json!({"monotonic": {"secs": 5}}));
    bundle.run().refuses(&["linux.timeOffsets"]);
    holder.end();
}

fn joining_works_without_clone3() {
    let holder = Holder::of(&["pid", "network", "ipc", "uts", "mount"]);
    for host in [Host::machine(), Host::cgroup2()] {
        let host = host.without(&[("clone3", nix::libc::ENOSYS)]);
        let bundle = joining(&["mount"], &joins(&holder, &["pid", "network"]));
        let output = bundle.on(host).output();
        assert_eq!(told(&output, "pid"), holder.link("pid"));
        assert_eq!(told(&output, "network"), holder.link("network"));
    }
    holder.end();
}
