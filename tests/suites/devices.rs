//! Device nodes and the cgroup's device rules, on cgroup v1 and v2.

use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Value, json, suite};
use libtest_mimic::Trial;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

suite!(
    the_default_nodes_are_there,
    the_default_links_are_there,
    nothing_else_is_in_dev,
    an_extra_device_has_type_number_mode_and_owner,
    an_extra_device_without_mode_has_0666,
    devices_of_every_type_are_made,
    a_device_in_folders_that_are_missing_is_made,
    a_device_outside_dev_is_made,
    a_device_of_the_config_replaces_the_default_one,
    a_device_that_matches_what_is_there_is_fine,
    a_file_in_the_way_of_a_device_is_refused,
    a_device_through_a_link_stays_inside,
    a_device_of_unknown_type_is_refused,
    a_device_with_dots_stays_inside,
    default_devices_come_with_a_dev_of_the_image;
    rules
);

fn devices(list: Value, script: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.set("/linux/devices", list);
    bundle
}

fn the_default_nodes_are_there() {
    let script = "cd /dev; stat -c '%n %F %t:%T %a %u:%g' null zero full random urandom tty; \
                  head -c 5 /dev/zero | wc -c; echo x > /dev/null; (echo x > /dev/full) 2>/dev/null || echo full";
    let wanted = |name: &str, number: &str| format!("{name} character special file {number} 666 0:0");
    let lines = [
        wanted("null", "1:3"),
        wanted("zero", "1:5"),
        wanted("full", "1:7"),
        wanted("random", "1:8"),
        wanted("urandom", "1:9"),
        wanted("tty", "5:0"),
        "5".into(),
        "full".into(),
    ];
    for host in [Host::machine(), Host::cgroup2(), Host::no_proc(), Host::machine().umask(0o077)] {
        assert_eq!(Bundle::sh(script).on(host).output().lines(), lines);
    }
}

fn the_default_links_are_there() {
    let script =
        "cd /dev; for name in fd stdin stdout stderr ptmx core; do echo $name $(readlink $name); done";
    let wanted = [
        "fd /proc/self/fd",
        "stdin /proc/self/fd/0",
        "stdout /proc/self/fd/1",
        "stderr /proc/self/fd/2",
        "ptmx pts/ptmx",
    ];
    let lines = Bundle::sh(script).run().lines();
    assert_eq!(lines[..5], wanted);
    // runc makes it where the host has that file; where it has not, the link leads nowhere.
    let made = lines[5].trim_end() == "core /proc/kcore";
    assert!(made || !Path::new("/proc/kcore").exists(), "{}", lines[5]);
}

fn nothing_else_is_in_dev() {
    let names = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(Bundle::sh("ls -A /dev | grep -v core").run().lines().join(" "), names);
}

fn an_extra_device_has_type_number_mode_and_owner() {
    let list = json!([
        {"path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o641, "uid": 1000, "gid": 1001},
        {"path": "/dev/disk", "type": "b", "major": 259, "minor": 70_000, "fileMode": 0o600}
    ]);
    let lines = devices(list, "stat -c '%F %t:%T %a %u:%g' /dev/mine /dev/disk").run().lines();
    assert_eq!(lines, ["character special file a:e5 641 1000:1001", "block special file 103:11170 600 0:0"]);
}

fn an_extra_device_without_mode_has_0666() {
    let list = json!([{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3}]);
    let bundle = devices(list, "stat -c '%a %u:%g' /dev/mine");
    for host in [Host::machine(), Host::machine().umask(0o077)] {
        assert_eq!(bundle.on(host).output().text(), "666 0:0");
    }
}

fn devices_of_every_type_are_made() {
    let list = json!([
        {"path": "/dev/c", "type": "c", "major": 1, "minor": 3},
        {"path": "/dev/u", "type": "u", "major": 1, "minor": 5},
        {"path": "/dev/b", "type": "b", "major": 7, "minor": 0},
        {"path": "/dev/p", "type": "p", "fileMode": 0o622}
    ]);
    let lines = devices(list, "stat -c '%F' /dev/c /dev/u /dev/b /dev/p").run().lines();
    assert_eq!(lines, ["character special file", "character special file", "block special file", "fifo"]);
}

fn a_device_in_folders_that_are_missing_is_made() {
    let list = json!([{"path": "/dev/net/deep/tun", "type": "c", "major": 10, "minor": 200}]);
    assert_eq!(devices(list, "stat -c '%F %a' /dev/net/deep/tun /dev/net").run().lines()[1], "directory 755");
}

fn a_device_outside_dev_is_made() {
    let list = json!([{"path": "/srv/null", "type": "c", "major": 1, "minor": 3}]);
    let bundle = devices(list, "echo x > /srv/null; stat -c %t:%T /srv/null");
    assert_eq!(bundle.run().text(), "1:3");
}

fn a_device_of_the_config_replaces_the_default_one() {
    let list = json!([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o626, "uid": 5, "gid": 6}]);
    assert_eq!(devices(list, "stat -c '%t:%T %a %u:%g' /dev/null").run().text(), "1:3 626 5:6");
}

fn a_device_that_matches_what_is_there_is_fine() {
    let list = json!([{"path": "/srv/null", "type": "c", "major": 1, "minor": 3}]);
    let bundle = devices(list, "stat -c %t:%T /srv/null");
    bundle.run().succeeds();
    bundle.run().succeeds();
}

fn a_file_in_the_way_of_a_device_is_refused() {
    let bundle =
        devices(json!([{"path": "/srv/null", "type": "c", "major": 1, "minor": 3}]), "cat /srv/null");
    bundle.file("/srv/null", 0o644, "a file\n");
    bundle.run().refuses(&["/srv/null"]);
    assert_eq!(fs::read_to_string(bundle.inside("/srv/null")).unwrap(), "a file\n");
}

fn a_device_through_a_link_stays_inside() {
    let bundle = devices(json!([{"path": "/link/node", "type": "c", "major": 1, "minor": 3}]), "echo ran");
    let outside = bundle.beside("outside");
    symlink(&outside, bundle.inside("/link")).unwrap();
    let output = bundle.run();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "a node on the host: {}", output.show());
    if output.code != Some(0) {
        output.refuses(&["/link"]);
    }
}

fn a_device_of_unknown_type_is_refused() {
    let bundle = devices(json!([{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}]), "true");
    bundle.run().refuses(&["type"]);
}

fn a_device_with_dots_stays_inside() {
    let list = json!([{"path": "/dev/../../../../srv/hulltest-node", "type": "c", "major": 1, "minor": 3}]);
    let output = devices(list, "ls /srv").run();
    assert!(!Path::new("/srv/hulltest-node").exists(), "{}", output.show());
}

fn default_devices_come_with_a_dev_of_the_image() {
    // Without any mount at /dev the nodes go into the rootfs itself.
    let bundle = Bundle::sh("stat -c %t:%T /dev/null /dev/tty; readlink /dev/fd");
    for mount in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
        bundle.no_mount(mount);
    }
    assert_eq!(bundle.run().lines(), ["1:3", "5:0", "/proc/self/fd"]);
}

const FUSE: (i64, i64) = (10, 229);

/// Name, rules, and what opening /dev/fuse for reading and for both gives.
fn rule_cases() -> Vec<(&'static str, Value, [&'static str; 2])> {
    let deny = || json!({"allow": false, "access": "rwm"});
    let fuse = |allow: bool, access: &str| json!({"allow": allow, "type": "c", "major": FUSE.0, "minor": FUSE.1, "access": access});
    vec![
        ("all_denied", json!([deny()]), ["EPERM", "EPERM"]),
        ("denied_by_type_a", json!([{"allow": false, "type": "a", "access": "rwm"}]), ["EPERM", "EPERM"]),
        ("allowed_by_number", json!([deny(), fuse(true, "rwm")]), ["ok", "ok"]),
        ("allowed_for_reading", json!([deny(), fuse(true, "r")]), ["ok", "EPERM"]),
        ("allowed_for_mknod_only", json!([deny(), fuse(true, "m")]), ["EPERM", "EPERM"]),
        ("allowed_for_writing_only", json!([deny(), fuse(true, "w")]), ["EPERM", "EPERM"]),
        ("allowed_in_two_steps", json!([deny(), fuse(true, "r"), fuse(true, "w")]), ["ok", "ok"]),
        (
            "allowed_by_major",
            json!([deny(), {"allow": true, "type": "c", "major": FUSE.0, "access": "rw"}]),
            ["ok", "ok"],
        ),
        (
            "allowed_by_minus_one",
            json!([deny(), {"allow": true, "type": "c", "major": FUSE.0, "minor": -1, "access": "rw"}]),
            ["ok", "ok"],
        ),
        (
            "allowed_by_minor",
            json!([deny(), {"allow": true, "type": "c", "minor": FUSE.1, "access": "rw"}]),
            ["ok", "ok"],
        ),
        (
            "another_number_allowed",
            json!([deny(), {"allow": true, "type": "c", "major": FUSE.0, "minor": 228, "access": "rwm"}]),
            ["EPERM", "EPERM"],
        ),
        (
            "the_block_device_of_that_number_allowed",
            json!([deny(), {"allow": true, "type": "b", "major": FUSE.0, "minor": FUSE.1, "access": "rwm"}]),
            ["EPERM", "EPERM"],
        ),
        (
            "allowed_and_denied_again",
            json!([deny(), fuse(true, "rwm"), fuse(false, "rwm")]),
            ["EPERM", "EPERM"],
        ),
        (
            "allowed_and_writing_denied_again",
            json!([deny(), fuse(true, "rwm"), fuse(false, "w")]),
            ["ok", "EPERM"],
        ),
        ("all_allowed", json!([{"allow": true, "access": "rwm"}]), ["ok", "ok"]),
        (
            "all_allowed_but_it",
            json!([{"allow": true, "access": "rwm"}, fuse(false, "rwm")]),
            ["EPERM", "EPERM"],
        ),
        (
            "denied_then_all_allowed",
            json!([deny(), {"allow": true, "type": "a", "access": "rwm"}]),
            ["ok", "ok"],
        ),
        ("allowed_then_all_denied", json!([fuse(true, "rwm"), deny()]), ["EPERM", "EPERM"]),
        // What no rule allows is denied, as in runc.
        ("no_rules", json!([]), ["EPERM", "EPERM"]),
    ]
}

fn rules() -> Vec<Trial> {
    let opens = |host: Host, rules: Value, wanted: [&'static str; 2]| {
        move || {
            let bundle = Bundle::sh("for how in r rw; do /probe open /dev/fuse $how; done");
            bundle.push(
                "/linux/devices",
                json!({"path": "/dev/fuse", "type": "c", "major": FUSE.0, "minor": FUSE.1}),
            );
            bundle.set("/linux/resources/devices", rules);
            let lines = bundle.on(host).output().lines();
            let seen: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
            assert_eq!(seen, wanted);
        }
    };
    let defaults = |host: Host| {
        move || {
            let script = "for name in null zero full random urandom ptmx; do /probe open /dev/$name rw; done; \
                          /probe open /dev/tty rw; mknod /dev/made c 10 229 && /probe open /dev/made r";
            let bundle = Bundle::sh(script);
            bundle.capabilities(&["CAP_MKNOD"], &["bounding", "effective", "permitted"]);
            let lines = bundle.on(host).output().lines();
            assert!(lines[..6].iter().all(|line| line.starts_with("ok ")), "{lines:?}");
            // No terminal is not the same as no permission; making a node is allowed, opening it is not.
            assert_eq!(lines[6..], ["ENXIO", "EPERM"]);
        }
    };
    let block = |host: Host| {
        move || {
            let bundle = Bundle::sh("/probe open /dev/loop r");
            bundle.push("/linux/devices", json!({"path": "/dev/loop", "type": "b", "major": 7, "minor": 0}));
            let rule = json!({"allow": true, "type": "b", "major": 7, "minor": 0, "access": "r"});
            bundle.push("/linux/resources/devices", rule);
            assert_ne!(bundle.on(host.clone()).output().text(), "EPERM");
            bundle.set("/linux/resources/devices", json!([{"allow": false, "access": "rwm"}]));
            assert_eq!(bundle.on(host).output().text(), "EPERM");
        }
    };
    let mut all = Vec::new();
    for host in [Host::machine(), Host::v1(), Host::cgroup2()] {
        for (name, list, wanted) in rule_cases() {
            all.push(case(format!("rules_{name}_on_{}", host.name), opens(host.clone(), list, wanted)));
        }
        all.push(case(
            format!("default_devices_open_when_all_is_denied_on_{}", host.name),
            defaults(host.clone()),
        ));
        all.push(case(format!("rules_of_a_block_device_on_{}", host.name), block(host)));
    }
    all
}
