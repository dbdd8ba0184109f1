//! Namespaces: which are new, which stay the caller's, and what is set up inside them.

use hull_tests::holder::{KINDS, PLAIN, links_script, map_users, own, seen};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Output, Value, facts, json, spawn, suite};
use libtest_mimic::Trial;
use std::fs;
use std::process::Command;

suite!(
    a_pid_namespace_makes_the_process_number_one,
    without_a_pid_namespace_the_process_has_a_pid_of_the_host,
    loopback_is_up_in_a_new_network_namespace,
    without_a_network_namespace_the_hosts_interfaces_are_seen,
    hostname_and_domainname_are_set_inside_only,
    a_hostname_without_a_uts_namespace_is_refused,
    a_domainname_without_a_uts_namespace_is_refused,
    a_cgroup_namespace_shows_its_own_root,
    without_a_cgroup_namespace_the_hosts_path_is_seen,
    a_user_namespace_has_the_mappings_of_the_config,
    a_user_namespace_maps_several_ranges,
    a_user_namespace_without_mappings_is_refused,
    mappings_without_a_user_namespace_are_refused,
    a_root_process_of_a_user_namespace_is_not_root_outside,
    a_user_of_a_user_namespace_is_the_mapped_one_outside,
    a_user_namespace_without_a_procfs_of_the_host_is_refused,
    mounts_of_a_container_stay_in_it_on_a_host_that_shares_its_own,
    default_devices_work_in_a_user_namespace,
    time_offsets_hold_inside_and_not_outside,
    negative_time_offsets_hold,
    a_time_namespace_without_offsets_shows_the_hosts_clocks,
    time_offsets_without_a_time_namespace_are_refused,
    sysctls_are_written_in_the_namespaces_of_the_container,
    a_sysctl_with_slashes_is_the_same_sysctl,
    a_sysctl_without_its_namespace_is_refused,
    a_sysctl_that_is_not_namespaced_is_refused,
    an_unknown_sysctl_is_an_error_that_names_it,
    masked_paths_without_a_mount_namespace_are_refused,
    a_namespace_given_twice_is_refused,
    an_unknown_namespace_is_refused;
    each_kind_is_new_when_listed,
    each_kind_is_the_hosts_when_left_out,
    all_kinds_at_once_on_every_host
);

fn with_users(script: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.namespaces(&["pid", "network", "ipc", "uts", "mount", "cgroup", "user"]);
    map_users(&bundle, 100_000);
    bundle
}

fn inside_link(output: &Output, kind: &str) -> String {
    seen(&output.lines(), kind).to_owned()
}

fn each_kind_is_new_when_listed() -> Vec<Trial> {
    KINDS
        .map(|(kind, name, _)| {
            case(format!("a_new_{kind}_namespace_is_not_the_hosts"), move || {
                let bundle = Bundle::sh(&links_script());
                if kind == "user" || kind == "time" {
                    bundle.push("/linux/namespaces", json!({"type": kind}));
                }
                if kind == "user" {
                    map_users(&bundle, 100_000);
                }
                let inside = inside_link(&bundle.run(), kind);
                assert!(inside.starts_with(&format!("{name}:[")), "{inside}");
                assert_ne!(inside, own(kind));
            })
        })
        .into()
}

fn each_kind_is_the_hosts_when_left_out() -> Vec<Trial> {
    // Without a mount namespace the rootfs would be mounted on the host: that case has a test of its own.
    KINDS
        .into_iter()
        .filter(|(kind, ..)| *kind != "mount")
        .map(|(kind, ..)| {
            case(format!("without_{kind}_in_the_list_it_is_the_hosts"), move || {
                let bundle = Bundle::sh(&links_script());
                let kept: Vec<&str> = PLAIN.into_iter().filter(|known| *known != kind).collect();
                bundle.namespaces(&kept);
                if kind == "uts" {
                    bundle.remove("/hostname");
                }
                assert_eq!(inside_link(&bundle.run(), kind), own(kind));
            })
        })
        .collect()
}

fn all_kinds_at_once_on_every_host() -> Vec<Trial> {
    let run = |host: Host| {
        let bundle = Bundle::sh(&links_script());
        bundle.namespaces(&KINDS.map(|(kind, ..)| kind));
        map_users(&bundle, 100_000);
        // The kernel lets a user namespace mount a procfs only where it already sees one: without, seven kinds are new.
        let users = !host.name.contains("/proc");
        if !users {
            bundle.namespaces(
                &KINDS.map(|(kind, ..)| kind).into_iter().filter(|kind| *kind != "user").collect::<Vec<_>>(),
            );
            bundle.remove("/linux/uidMappings").remove("/linux/gidMappings");
        }
        if host.name.contains("cgroup") && !host.name.contains("cgroup2") {
            // What is asked of an absent cgroup tree has tests of its own.
            bundle.no_mount("/sys/fs/cgroup").remove("/linux/resources");
        }
        let output = bundle.on(host).output();
        for (kind, ..) in KINDS {
            assert_eq!(inside_link(&output, kind) != own(kind), users || kind != "user", "{kind}");
        }
    };
    Host::all()
        .into_iter()
        .map(|host| case(format!("all_kinds_are_new_on_{}", host.name), move || run(host)))
        .collect()
}

fn a_pid_namespace_makes_the_process_number_one() {
    assert_eq!(Bundle::sh("echo $$").run().text(), "1");
}

fn without_a_pid_namespace_the_process_has_a_pid_of_the_host() {
    let bundle = Bundle::sh("echo $$; read line");
    bundle.namespaces(&["network", "ipc", "uts", "mount", "cgroup"]);
    let mut live = bundle.on(Host::machine()).start();
    let inside: i32 = live.line().parse().expect("a pid");
    assert_eq!(inside, live.container_pid());
    live.finish();
}

fn loopback_is_up_in_a_new_network_namespace() {
    let output = Bundle::sh("cat /sys/class/net/lo/flags; ip addr show dev lo; ls /sys/class/net").run();
    let text = output.text();
    assert!(text.starts_with("0x9\n"), "up and loopback: {text}");
    assert!(text.contains("inet 127.0.0.1/8"), "{text}");
    // Control: a network namespace starts with loopback down.
    let fresh = spawn::output(Command::new("unshare").args(["-n", "ip", "-o", "link", "show", "lo"]));
    let fresh = String::from_utf8_lossy(&fresh.stdout).into_owned();
    assert!(fresh.contains("state DOWN"), "{fresh}");
}

fn without_a_network_namespace_the_hosts_interfaces_are_seen() {
    let bundle = Bundle::sh("ls /sys/class/net");
    bundle.namespaces(&["pid", "ipc", "uts", "mount", "cgroup"]);
    let mut host: Vec<String> = fs::read_dir("/sys/class/net")
        .expect("sysfs")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    host.sort();
    assert_eq!(bundle.run().lines(), host);
}

fn hostname_and_domainname_are_set_inside_only() {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").expect("the hostname");
    let bundle = Bundle::sh("hostname; cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname");
    bundle.set("/hostname", json!("web-1.example")).set("/domainname", json!("lan.example"));
    assert_eq!(bundle.run().lines(), ["web-1.example", "web-1.example", "lan.example"]);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").expect("the hostname"), before);
}

fn a_hostname_without_a_uts_namespace_is_refused() {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").expect("the hostname");
    let bundle = Bundle::sh("hostname");
    bundle.namespaces(&["pid", "network", "ipc", "mount", "cgroup"]).set("/hostname", json!("stolen"));
    bundle.run().refuses(&["hostname", "uts"]);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").expect("the hostname"), before);
}

fn a_domainname_without_a_uts_namespace_is_refused() {
    let bundle = Bundle::sh("true");
    bundle.namespaces(&["pid", "network", "ipc", "mount", "cgroup"]).remove("/hostname");
    bundle.set("/domainname", json!("stolen"));
    bundle.run().refuses(&["domainname", "uts"]);
}

fn a_cgroup_namespace_shows_its_own_root() {
    for host in [Host::machine(), Host::v1(), Host::cgroup2()] {
        let name = host.name;
        let output = Bundle::sh("cat /proc/self/cgroup").on(host.clone()).output();
        let seen = facts::cgroups(&output.text());
        let moved = |controllers: &str| match name {
            "cgroup2" => controllers.is_empty(),
            "v1" => !controllers.is_empty(),
            _ => true,
        };
        for (controllers, path) in seen.iter().filter(|(controllers, _)| moved(controllers)) {
            assert_eq!(path, "/", "{controllers:?} on {name}");
        }
    }
}

fn without_a_cgroup_namespace_the_hosts_path_is_seen() {
    for (host, controllers) in [(Host::machine(), "memory"), (Host::v1(), "pids"), (Host::cgroup2(), "")] {
        let bundle = Bundle::sh("cat /proc/self/cgroup");
        bundle.namespaces(&["pid", "network", "ipc", "uts", "mount"]);
        let output = bundle.on(host.clone()).output();
        let seen = facts::cgroups(&output.text());
        let path = seen.get(controllers).unwrap_or_else(|| panic!("{controllers:?} in {seen:?}"));
        assert!(path.ends_with(&bundle.id), "{path} on {}", host.name);
    }
}

fn a_user_namespace_has_the_mappings_of_the_config() {
    let script = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -g; stat -c %u /bin/busybox";
    let lines = with_users(script).run().lines();
    let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = lines.iter().map(words).collect();
    assert_eq!(lines, ["0 100000 65536", "0 100000 65536", "allow", "0", "0", "65534"]);
}

fn a_user_namespace_maps_several_ranges() {
    let bundle = with_users("cat /proc/self/uid_map /proc/self/gid_map");
    let uids = json!([
        {"containerID": 0, "hostID": 200_000, "size": 1000},
        {"containerID": 1000, "hostID": 5000, "size": 1},
        {"containerID": 2000, "hostID": 300_000, "size": 500}
    ]);
    let gids = json!([{"containerID": 0, "hostID": 400_000, "size": 10}]);
    bundle.set("/linux/uidMappings", uids).set("/linux/gidMappings", gids);
    // devpts wants gid 5, which is mapped here too.
    let lines = bundle.run().lines();
    let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = lines.iter().map(words).collect();
    assert_eq!(lines, ["0 200000 1000", "1000 5000 1", "2000 300000 500", "0 400000 10"]);
}

fn a_user_namespace_without_mappings_is_refused() {
    let bundle = Bundle::sh("true");
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    bundle.run().refuses(&["user", "apping"]);
}

fn mappings_without_a_user_namespace_are_refused() {
    let bundle = Bundle::sh("true");
    map_users(&bundle, 100_000);
    bundle.run().refuses(&["user", "apping"]);
}

/// The owner of a process, by the host's /proc.
fn owner(pid: i32) -> (String, String) {
    let status =
        facts::status(&fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there"));
    (status["Uid"].clone(), status["Gid"].clone())
}

fn a_root_process_of_a_user_namespace_is_not_root_outside() {
    let bundle = with_users("echo $(id -u); read line");
    let mut live = bundle.on(Host::machine()).start();
    assert_eq!(live.line(), "0");
    let ids = "100000 100000 100000 100000".to_owned();
    assert_eq!(owner(live.container_pid()), (ids.clone(), ids));
    live.finish().exits(1);
}

fn a_user_of_a_user_namespace_is_the_mapped_one_outside() {
    let bundle = with_users("echo $(id -u) $(id -g) $(id -G); read line");
    bundle.set("/process/user", json!({"uid": 7, "gid": 8, "additionalGids": [9, 65000]}));
    let mut live = bundle.on(Host::machine()).start();
    assert_eq!(live.line(), "7 8 8 9 65000");
    let pid = live.container_pid();
    let four = |id: u32| format!("{id} {id} {id} {id}");
    assert_eq!(owner(pid), (four(100_007), four(100_008)));
    live.finish().exits(1);
}

fn a_user_namespace_without_a_procfs_of_the_host_is_refused() {
    with_users("echo ran").on(Host::no_proc()).output().refuses(&["/proc", "operation not permitted"]);
    let bundle = with_users("echo ran");
    bundle.no_mount("/proc").set("/linux/maskedPaths", json!([])).set("/linux/readonlyPaths", json!([]));
    assert_eq!(bundle.on(Host::no_proc()).output().text(), "ran");
}

/// On most hosts every mount is shared (systemd makes them so): whatever is mounted on a peer of one appears there too.
fn mounts_of_a_container_stay_in_it_on_a_host_that_shares_its_own() {
    use nix::libc::{ENOSYS, MS_REC, MS_SHARED};
    let older = [("mount_setattr", ENOSYS), ("move_mount", ENOSYS), ("open_tree", ENOSYS)];
    for (users, blocked) in [
        (false, &older[..0]),
        (true, &older[..0]),
        (false, &older[..1]),
        (true, &older[..1]),
        (false, &older),
    ] {
        let bundle = Bundle::sh("echo ran; mount -t tmpfs none /tmp && mount -t tmpfs none /srv");
        let source = bundle.beside("source");
        bundle.privileged().set("/root/readonly", json!(false));
        fs::create_dir_all(bundle.inside("/srv")).unwrap();
        bundle.mount("/srv", "bind", source.to_str().unwrap(), &["rbind", "rw"]);
        if users {
            map_users(&bundle, 100_000).push("/linux/namespaces", json!({"type": "user"}));
        }
        let shared = Host::cgroup2().mount("none", "/", "none", MS_REC | MS_SHARED, "");
        let after = ["/bin/sh", "-c", "\"$@\"; cat /proc/self/mountinfo", "sh"];
        let lines = bundle.on(shared.without(blocked)).under(&after).output().lines();
        assert_eq!(lines[0], "ran");
        let mounts = facts::mounts(&lines[1..].join("\n"));
        assert!(facts::mount_at(&mounts, "/").propagates("shared:"), "the control: {lines:?}");
        let dir = bundle.dir.to_str().unwrap();
        let left: Vec<_> = mounts.iter().filter(|mount| mount.target.starts_with(dir)).collect();
        assert!(left.is_empty(), "on the host: {left:?}");
    }
}

fn default_devices_work_in_a_user_namespace() {
    let script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; \
                  stat -c '%t:%T' /dev/full; readlink /dev/fd";
    assert_eq!(with_users(script).run().lines(), ["4", "3", "1:7", "/proc/self/fd"]);
}

/// Monotonic and boot time in seconds, here and now.
fn clocks() -> [i64; 2] {
    let output = spawn::output(Command::new(hull_tests::PROBE).arg("clocks"));
    parse_clocks(&String::from_utf8_lossy(&output.stdout))
}

fn parse_clocks(text: &str) -> [i64; 2] {
    let mut words = text.split_whitespace().map(|word| word.parse().expect("seconds"));
    [words.next().expect("monotonic"), words.next().expect("boottime")]
}

fn with_offsets(offsets: Value) -> Bundle {
    let bundle = Bundle::probe(&["clocks"]);
    bundle.push("/linux/namespaces", json!({"type": "time"})).set("/linux/timeOffsets", offsets);
    bundle
}

fn check_offsets(bundle: &Bundle, offsets: [i64; 2]) {
    for host in [Host::machine(), Host::cgroup2()] {
        let before = clocks();
        let inside = parse_clocks(&bundle.on(host).output().text());
        let after = clocks();
        for index in 0..2 {
            let expected = before[index] + offsets[index]..=after[index] + offsets[index];
            assert!(expected.contains(&inside[index]), "{} is not in {expected:?}", inside[index]);
        }
    }
}

fn time_offsets_hold_inside_and_not_outside() {
    let offsets = json!({"monotonic": {"secs": 86400, "nanosecs": 0}, "boottime": {"secs": 864_000}});
    check_offsets(&with_offsets(offsets), [86400, 864_000]);
    let host = clocks();
    assert!(host[0] < 864_000, "the host's own clock moved");
}

fn negative_time_offsets_hold() {
    // A clock may not go below zero: ten seconds have passed on any machine that got this far.
    check_offsets(&with_offsets(json!({"boottime": {"secs": -10}})), [0, -10]);
}

fn a_time_namespace_without_offsets_shows_the_hosts_clocks() {
    let bundle = Bundle::probe(&["clocks"]);
    bundle.push("/linux/namespaces", json!({"type": "time"}));
    check_offsets(&bundle, [0, 0]);
}

fn time_offsets_without_a_time_namespace_are_refused() {
    let bundle = Bundle::sh("true");
    bundle.set("/linux/timeOffsets", json!({"monotonic": {"secs": 5}}));
    bundle.run().refuses(&["time"]);
}

fn sysctls_are_written_in_the_namespaces_of_the_container() {
    let bundle =
        Bundle::sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max");
    let values = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "12345", "fs.mqueue.msg_max": "77"});
    bundle.set("/linux/sysctl", values);
    let host = fs::read_to_string("/proc/sys/kernel/msgmax").expect("a sysctl");
    assert_eq!(bundle.run().lines(), ["1", "12345", "77"]);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/msgmax").expect("a sysctl"), host);
    // Control: without the setting the values are others.
    let plain = Bundle::sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax").run().lines();
    assert!(!plain.contains(&"12345".to_owned()), "{plain:?}");
}

fn a_sysctl_with_slashes_is_the_same_sysctl() {
    let bundle = Bundle::sh("cat /proc/sys/net/ipv4/ip_forward");
    bundle.set("/linux/sysctl", json!({"net/ipv4/ip_forward": "1"}));
    assert_eq!(bundle.run().text(), "1");
}

fn a_sysctl_without_its_namespace_is_refused() {
    for (name, missing) in [("net.ipv4.ip_forward", "network"), ("kernel.msgmax", "ipc")] {
        let bundle = Bundle::sh("true");
        let kept: Vec<&str> = PLAIN.into_iter().filter(|kind| *kind != missing).collect();
        bundle.namespaces(&kept).set(&format!("/linux/sysctl/{name}"), json!("1"));
        bundle.run().refuses(&[name]);
    }
}

fn a_sysctl_that_is_not_namespaced_is_refused() {
    for name in ["vm.swappiness", "kernel.panic", "fs.file-max"] {
        let bundle = Bundle::sh("true");
        bundle.set(&format!("/linux/sysctl/{name}"), json!("1"));
        bundle.run().refuses(&[name]);
    }
}

fn an_unknown_sysctl_is_an_error_that_names_it() {
    let bundle = Bundle::sh("true");
    bundle.set("/linux/sysctl/net.ipv4.no_such_thing", json!("1"));
    bundle.run().refuses(&["no_such_thing", "no such file or directory"]);
}

fn masked_paths_without_a_mount_namespace_are_refused() {
    let bundle = Bundle::sh("true");
    bundle.namespaces(&["pid", "network", "ipc", "uts", "cgroup"]);
    bundle.run().refuses(&["mount"]);
}

fn a_namespace_given_twice_is_refused() {
    let bundle = Bundle::sh("true");
    bundle.push("/linux/namespaces", json!({"type": "uts"}));
    bundle.run().refuses(&["uts"]);
}

fn an_unknown_namespace_is_refused() {
    let bundle = Bundle::sh("true");
    bundle.push("/linux/namespaces", json!({"type": "dream"}));
    bundle.run().refuses(&["dream"]);
}
