//! The life of containers in joined namespaces: every kind by single commands, what is set up in them, how all processes
//! end, and that failures leave nothing. What can be joined and what is refused is the suite `joined`.

use hull_tests::holder::{
    Holder, KINDS, PLAIN, POD, check_links, join, link, links_script, name, others, own,
};
use hull_tests::life::{HOLDING, alive, reap, until};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Life, Live, Value, check, json, run, spawn, suite};
use libtest_mimic::Trial;
use std::ffi::OsString;
use std::fs;
use std::process::Command;

suite!(
    a_pod_is_joined_by_two_containers_at_once,
    the_user_of_a_joined_user_namespace_is_the_mapped_one,
    a_process_of_a_joined_pid_namespace_is_not_number_one,
    the_end_of_a_run_ends_its_processes_in_a_joined_pid_namespace,
    delete_force_ends_all_in_a_joined_pid_namespace,
    kill_all_ends_all_in_a_joined_pid_namespace_but_the_holder,
    the_exit_code_passes_with_joined_namespaces,
    hooks_of_the_runtime_run_in_its_own_namespaces,
    hooks_of_the_container_run_in_the_joined_ones,
    a_joined_network_is_left_as_it_is,
    a_sysctl_of_a_joined_network_is_set_there,
    a_hostname_with_a_joined_uts_namespace_is_set_there,
    a_failed_create_leaves_nothing_of_a_joined_namespace;
    each_kind_is_joined_by_create_and_start
);

fn each_kind_is_joined_by_create_and_start() -> Vec<Trial> {
    KINDS
        .map(|(kind, ..)| {
            case(format!("create_joins_a_{kind}_namespace"), move || {
                let holder = Holder::holding(kind);
                let life = Life::of(Bundle::sh(&format!("({}) > /tmp/links; {HOLDING}", links_script())));
                // What a process of mapped ids may write to.
                for folder in ["", "tmp"] {
                    open_to_all(&life, folder);
                }
                join(&life.bundle, &holder, &[kind], &others(&[kind]));
                life.create().succeeds();
                assert_eq!(link(&life.pid().to_string(), kind), holder.link(kind), "before start");
                life.verb("start").succeeds();
                life.until_there("up");
                assert_eq!(life.status(), "running");
                let lines: Vec<String> = life.read("tmp/links").lines().map(str::to_owned).collect();
                check_links(&lines, &holder, &[kind], &others(&[kind]));
                life.go();
                life.end();
                holder.end();
            })
        })
        .into()
}

fn open_to_all(life: &Life, folder: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(life.inside(folder), fs::Permissions::from_mode(0o777)).unwrap();
}

/// The first container is the pause container of an engine, the others are its neighbours.
fn a_pod_is_joined_by_two_containers_at_once() {
    let pause = Life::holding();
    pause.create().succeeds();
    pause.verb("start").succeeds();
    let holder = Holder::Container(Box::new(pause));
    let lives = [(), ()].map(|()| {
        let life = Life::holding();
        join(&life.bundle, &holder, &POD, &["mount", "cgroup"]);
        life.create().succeeds();
        life.verb("start").succeeds();
        life.until_there("up");
        life
    });
    for kind in POD {
        let links = lives.each_ref().map(|life| link(&life.pid().to_string(), kind));
        assert_eq!(links, [holder.link(kind), holder.link(kind)]);
    }
    assert_ne!(link(&lives[0].pid().to_string(), "mount"), link(&lives[1].pid().to_string(), "mount"));
    for life in lives {
        life.go();
        life.end();
    }
    let Holder::Container(pause) = holder else { unreachable!() };
    pause.go();
    pause.end();
}

fn the_user_of_a_joined_user_namespace_is_the_mapped_one() {
    let holder = Holder::with_users();
    let bundle = Bundle::sh("echo $(id -u) $(id -g) $(id -G); read line");
    join(&bundle, &holder, &["user"], &PLAIN);
    bundle.set("/process/user", json!({"uid": 7, "gid": 8, "additionalGids": [9]}));
    let mut live = bundle.on(Host::machine()).start();
    assert_eq!(live.line(), "7 8 8 9");
    let text = fs::read_to_string(format!("/proc/{}/status", live.container_pid())).unwrap();
    assert_eq!(hull_tests::facts::status(&text)["Uid"], "100007 100007 100007 100007");
    live.finish().exits(1);
    holder.end();
}

fn a_process_of_a_joined_pid_namespace_is_not_number_one() {
    let holder = Holder::of(&["pid"]);
    let bundle = Bundle::sh("echo $$; ps -o pid,args | grep -c '[c]at'");
    join(&bundle, &holder, &["pid"], &others(&["pid"]));
    let lines = bundle.run().lines();
    assert!(lines[0].parse::<u32>().unwrap() > 1, "{lines:?}");
    assert_eq!(lines[1], "1", "the holder is seen");
    // Control.
    bundle.namespaces(&PLAIN);
    assert_eq!(bundle.on(Host::machine()).output().out().lines().next(), Some("1"));
    holder.end();
}

/// A program that leaves others behind that nothing but their cgroup or their number tells of.
const BROOD: &str = "setsid sleep 1000 & sleep 1000 & ";

fn processes_of(life: &Life) -> Vec<i32> {
    let all = [&[life.pid()][..], &check::descendants(life.pid())].concat();
    assert_eq!(all.len(), 3);
    all
}

fn a_brood(holder: &Holder) -> Life {
    let life = Life::of(Bundle::sh(&format!("{BROOD} echo up > /up; wait")));
    join(&life.bundle, holder, &["pid"], &others(&["pid"]));
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    until("two more", || check::descendants(life.pid()).len() == 2);
    life
}

fn the_end_of_a_run_ends_its_processes_in_a_joined_pid_namespace() {
    let holder = Holder::of(&["pid"]);
    let bundle = Bundle::sh(&format!("{BROOD} sleep 0; echo ran; read line"));
    join(&bundle, &holder, &["pid"], &others(&["pid"]));
    let mut live = bundle.on(Host::machine()).start();
    assert_eq!(live.line(), "ran");
    let pid = live.container_pid();
    until("two more", || check::descendants(pid).len() == 2);
    let all = check::descendants(pid);
    live.finish().exits(1);
    until("the end of all", || !all.iter().any(|pid| alive(*pid)));
    reap();
    holder.end();
}

fn delete_force_ends_all_in_a_joined_pid_namespace() {
    let holder = Holder::of(&["pid"]);
    let life = a_brood(&holder);
    let all = processes_of(&life);
    life.end();
    until("the end of all", || !all.iter().any(|pid| alive(*pid)));
    reap();
    holder.end();
}

fn kill_all_ends_all_in_a_joined_pid_namespace_but_the_holder() {
    let holder = Holder::of(&["pid"]);
    let life = a_brood(&holder);
    let all = processes_of(&life);
    life.call(&["kill", "--all", life.id(), "KILL"]).succeeds();
    until("the end of all", || !all.iter().any(|pid| alive(*pid)));
    reap();
    life.until_stopped();
    life.end();
    holder.end();
}

fn the_exit_code_passes_with_joined_namespaces() {
    let holder = Holder::of(&POD);
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137)] {
        let bundle = Bundle::sh(script);
        join(&bundle, &holder, &POD, &["mount", "cgroup"]);
        bundle.run().exits(code);
    }
    holder.end();
}

fn hook(script: &str) -> Value {
    json!([{"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
}

fn log_of_links(log: &str, hook: &str) -> String {
    POD.map(|kind| format!("echo {hook} {kind} $(readlink /proc/self/ns/{}) >> {log}", name(kind))).join("; ")
}

fn hooks_of_the_runtime_run_in_its_own_namespaces() {
    let hooks = ["prestart", "createRuntime", "poststart", "poststop"];
    for users in [false, true] {
        let (holder, joined) = if users {
            (Holder::with_users(), ["user"].into_iter().chain(POD).collect::<Vec<_>>())
        } else {
            (Holder::of(&POD), POD.to_vec())
        };
        let bundle = Bundle::sh("true");
        join(&bundle, &holder, &joined, &["mount", "cgroup"]);
        let log = bundle.dir.join("log");
        for name in hooks {
            bundle.set(&format!("/hooks/{name}"), hook(&log_of_links(log.to_str().unwrap(), name)));
        }
        bundle.run().succeeds();
        let text = fs::read_to_string(&log).unwrap();
        let want: Vec<String> =
            hooks.iter().flat_map(|name| POD.map(|kind| format!("{name} {kind} {}", own(kind)))).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), want);
        holder.end();
    }
}

fn hooks_of_the_container_run_in_the_joined_ones() {
    let holder = Holder::of(&POD);
    let bundle = Bundle::sh("true");
    join(&bundle, &holder, &POD, &["mount", "cgroup"]);
    bundle.set("/root/readonly", false.into());
    bundle.set("/hooks/startContainer", hook(&log_of_links("/log", "inside")));
    bundle.run().succeeds();
    let text = fs::read_to_string(bundle.inside("log")).unwrap();
    let want = POD.map(|kind| format!("inside {kind} {}", holder.link(kind)));
    assert_eq!(text.lines().collect::<Vec<_>>(), want);
    holder.end();
}

fn a_joined_network_is_left_as_it_is() {
    let holder = Holder::of(&["network"]);
    let bundle = Bundle::sh("cat /sys/class/net/lo/flags");
    join(&bundle, &holder, &["network"], &others(&["network"]));
    assert_eq!(bundle.run().text(), "0x8", "loopback stays down");
    bundle.namespaces(&PLAIN);
    assert_eq!(bundle.run().text(), "0x9", "the control: a new one");
    holder.end();
}

fn a_sysctl_of_a_joined_network_is_set_there() {
    let file = "/proc/sys/net/ipv4/ip_default_ttl";
    let before = fs::read_to_string(file).unwrap();
    let holder = Holder::of(&["network"]);
    let bundle = Bundle::sh("true");
    join(&bundle, &holder, &["network"], &others(&["network"]));
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_default_ttl": "99"}));
    bundle.run().succeeds();
    assert_eq!(entered(&holder, "--net", &["cat", file]), "99");
    assert_eq!(fs::read_to_string(file).unwrap(), before);
    holder.end();
}

fn entered(holder: &Holder, flag: &str, words: &[&str]) -> String {
    let target = holder.pid().to_string();
    let output = spawn::output(Command::new("nsenter").args(["--target", &target, flag]).args(words));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn a_hostname_with_a_joined_uts_namespace_is_set_there() {
    let file = "/proc/sys/kernel/hostname";
    let before = fs::read_to_string(file).unwrap();
    let holder = Holder::of(&["uts"]);
    let bundle = Bundle::sh("hostname");
    join(&bundle, &holder, &["uts"], &others(&["uts"]));
    assert_eq!(bundle.run().text(), before.trim(), "the control: none in the config");
    bundle.set("/hostname", json!("of-the-pod"));
    assert_eq!(bundle.run().text(), "of-the-pod");
    assert_eq!(entered(&holder, "--uts", &["cat", file]), "of-the-pod");
    assert_eq!(fs::read_to_string(file).unwrap(), before);
    holder.end();
}

fn a_failed_create_leaves_nothing_of_a_joined_namespace() {
    let holder = Holder::of(&POD);
    let life = Life::holding();
    join(&life.bundle, &holder, &POD, &["mount", "cgroup"]);
    let right = life.bundle.get("/linux/namespaces");
    for (pointer, value, words) in [
        ("/process/args", json!(["/bin/nowhere"]), "no such file or directory"),
        ("/process/cwd", json!("/bin/busybox/x"), "cwd"),
        ("/linux/namespaces/2/path", json!("/nowhere"), "/nowhere"),
        ("/linux/namespaces/2/path", json!("/etc/passwd"), "must be that of a namespace of this kind"),
    ] {
        let before = life.bundle.get(pointer);
        life.bundle.set(pointer, value);
        for verb in ["create", "run"] {
            life.make(verb, &[]).refuses(&[words]);
            life.nothing_left();
        }
        life.bundle.set(pointer, before).set("/linux/namespaces", right.clone());
    }
    life.create().succeeds();
    life.end();
    // Without a state root of its own, too.
    let words: Vec<OsString> = vec![hull_tests::hull().into(), "state".into(), life.id().into()];
    Live::spawn(run::command(&words, &Host::machine())).finish().refuses(&["container does not exist"]);
    holder.end();
}
