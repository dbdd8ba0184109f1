//! One cgroup a container: where it is, who is in it, which limits it has; on v1, hybrid, v2 and where there is none.

use hull_tests::bundle::mark;
use hull_tests::check::cgroups_named;
use hull_tests::run::Live;
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Value, facts, json, suite};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

suite!(
    without_a_path_the_cgroup_is_named_like_the_container,
    an_absolute_path_is_below_the_root_of_each_hierarchy,
    a_path_of_several_parts_is_made,
    a_path_with_dots_is_refused_or_stays_below_the_root,
    the_process_is_in_its_cgroup_on_cgroup2,
    children_of_the_container_are_in_its_cgroup,
    the_runtime_itself_stays_outside,
    pids_are_limited,
    memory_is_limited,
    a_limit_that_cannot_be_set_is_an_error_that_names_it,
    several_limits_at_once_hold,
    cpuset_is_inherited_when_not_given,
    cgroups_are_writable_inside_when_mounted_so,
    a_second_container_in_the_same_cgroup_is_refused_or_shares_it,
    an_empty_cgroup_that_is_there_is_taken_and_goes_with_the_container,
    a_cgroup_with_processes_is_refused,
    a_frozen_cgroup_is_refused,
    the_root_of_a_user_namespace_owns_a_cgroup_that_it_may_write_to,
    no_cgroup_tree_still_starts_a_container,
    no_cgroup_tree_warns_about_device_rules,
    without_controllers_limits_are_refused;
    every_limit_on_v1,
    limits_without_a_cgroup_tree
);

/// The container's cgroup in a v1 hierarchy, by the kernel's word.
fn folder(live: &Live, controller: &str) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", live.container_pid())).unwrap();
    let paths: BTreeMap<String, String> = facts::cgroups(&text);
    let path = &paths[controller];
    let mount = if controller.is_empty() { "unified" } else { controller.trim_start_matches("name=") };
    Path::new("/sys/fs/cgroup").join(mount).join(path.trim_start_matches('/'))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

fn own_cgroup(controller: &str) -> String {
    facts::cgroups(&fs::read_to_string("/proc/self/cgroup").unwrap())[controller].clone()
}

const V1: [&str; 8] = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"];

fn without_a_path_the_cgroup_is_named_like_the_container() {
    let bundle = Bundle::holding(json!({}));
    let live = bundle.held(Host::machine());
    for controller in V1 {
        let path = folder(&live, controller);
        let own = own_cgroup(controller);
        let wanted =
            Path::new("/sys/fs/cgroup").join(controller).join(own.trim_start_matches('/')).join(&bundle.id);
        assert_eq!(path, wanted, "{controller}");
        assert_eq!(read(&path.join("cgroup.procs")), live.container_pid().to_string());
    }
    live.finish().succeeds();
}

fn an_absolute_path_is_below_the_root_of_each_hierarchy() {
    let bundle = Bundle::holding(json!({}));
    let name = format!("{}absolute", mark());
    bundle.set("/linux/cgroupsPath", json!(format!("/{name}")));
    for (host, controllers) in [(Host::machine(), &V1[..]), (Host::v1(), &V1), (Host::cgroup2(), &[""])] {
        let live = bundle.held(host);
        for controller in controllers {
            let path = folder(&live, controller);
            assert_eq!(path.components().count(), 6, "{}", path.display());
            assert!(path.ends_with(&name), "{}", path.display());
        }
        live.finish().succeeds();
        assert!(cgroups_named(&name).is_empty(), "{:?}", cgroups_named(&name));
    }
}

fn a_path_of_several_parts_is_made() {
    let bundle = Bundle::holding(json!({}));
    let name = format!("{}parts", mark());
    bundle.set("/linux/cgroupsPath", json!(format!("/{name}/one/two")));
    for (host, controller) in [(Host::machine(), "pids"), (Host::cgroup2(), "")] {
        let live = bundle.held(host);
        let path = folder(&live, controller);
        assert!(path.ends_with(format!("{name}/one/two")), "{}", path.display());
        live.finish().succeeds();
        assert!(!path.exists(), "{} is left", path.display());
        // An engine's parent slices are the engine's: like its peers the runtime may leave them.
        for above in cgroups_named("one").into_iter().chain(cgroups_named(&name)) {
            fs::remove_dir(above).ok();
        }
    }
}

fn a_path_with_dots_is_refused_or_stays_below_the_root() {
    let bundle = Bundle::holding(json!({}));
    bundle.set("/linux/cgroupsPath", json!(format!("/../../../{}dots", mark())));
    let output = bundle.on(Host::machine()).output();
    if output.code == Some(0) {
        assert_eq!(output.out(), "ready\n");
    } else {
        output.refuses(&["cgroup"]);
    }
    assert!(cgroups_named(&mark()).iter().all(|path| !path.ends_with("dots")));
    assert!(!Path::new("/sys/fs").join(format!("{}dots", mark())).exists());
}

fn the_process_is_in_its_cgroup_on_cgroup2() {
    let bundle = Bundle::holding(json!({}));
    let live = bundle.held(Host::cgroup2());
    let path = folder(&live, "");
    assert!(path.ends_with(&bundle.id), "{}", path.display());
    assert_eq!(read(&path.join("cgroup.procs")), live.container_pid().to_string());
    assert_eq!(read(&path.join("cgroup.type")), "domain");
    live.finish().succeeds();
    assert!(!path.exists());
}

/// A cgroup of the test's own in the freezer hierarchy, and a bundle that asks for it.
fn made_before(name: &str) -> (PathBuf, Bundle) {
    let bundle = Bundle::sh("echo ready");
    let name = format!("{}-{name}", bundle.id);
    bundle.set("/linux/cgroupsPath", json!(format!("/{name}")));
    let path = Path::new("/sys/fs/cgroup/freezer").join(name);
    fs::create_dir(&path).unwrap();
    (path, bundle)
}

/// As in runc: who names it has given it away.
fn an_empty_cgroup_that_is_there_is_taken_and_goes_with_the_container() {
    let (path, bundle) = made_before("empty");
    bundle.on(Host::machine()).output().succeeds();
    assert!(!path.exists());
}

fn a_cgroup_with_processes_is_refused() {
    let (path, bundle) = made_before("busy");
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    fs::write(path.join("cgroup.procs"), other.id().to_string()).unwrap();
    let output = bundle.on(Host::machine()).kept().output();
    let lives = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    fs::remove_dir(&path).expect("it is still there");
    assert!(lives, "the process of another was killed");
    output.refuses(&["container's cgroup is not empty"]);
}

fn a_frozen_cgroup_is_refused() {
    let (path, bundle) = made_before("frozen");
    fs::write(path.join("freezer.state"), "FROZEN").unwrap();
    let output = bundle.on(Host::machine()).kept().output();
    fs::write(path.join("freezer.state"), "THAWED").unwrap();
    output.refuses(&["container's cgroup unexpectedly frozen"]);
    assert!(path.exists());
    bundle.on(Host::machine()).output().succeeds();
    assert!(!path.exists());
}

fn the_root_of_a_user_namespace_owns_a_cgroup_that_it_may_write_to() {
    for (options, uid) in [(&["nosuid", "noexec", "nodev"][..], 100_000), (&["nosuid", "ro"], 0)] {
        let bundle = Bundle::holding(json!({}));
        bundle.namespaces(&["pid", "network", "ipc", "uts", "mount", "cgroup", "user"]);
        let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
        bundle.no_mount("/sys/fs/cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", options);
        let live = bundle.held(Host::cgroup2());
        let path = folder(&live, "");
        let owner = |path: PathBuf| fs::metadata(path).unwrap().uid();
        assert_eq!(owner(path.clone()), uid, "{options:?}");
        assert_eq!(owner(path.join("cgroup.procs")), uid, "{options:?}");
        assert_eq!(owner(path.join("cgroup.subtree_control")), uid, "{options:?}");
        // its limits stay the host's
        assert_eq!(owner(path.join("cgroup.max.depth")), 0);
        live.finish().succeeds();
    }
}

fn children_of_the_container_are_in_its_cgroup() {
    let bundle = Bundle::sh("sleep 1000 & echo ready; cat");
    for (host, controller) in [(Host::machine(), "pids"), (Host::cgroup2(), "")] {
        let live = bundle.held(host);
        let procs = read(&folder(&live, controller).join("cgroup.procs"));
        assert!(procs.lines().count() >= 2, "{procs}");
        live.finish().succeeds();
    }
}

fn the_runtime_itself_stays_outside() {
    let bundle = Bundle::holding(json!({}));
    for host in [Host::machine(), Host::cgroup2()] {
        let live = bundle.held(host);
        let runtime = fs::read_to_string(format!("/proc/{}/cgroup", live.pid())).unwrap();
        assert_eq!(runtime, fs::read_to_string("/proc/self/cgroup").unwrap());
        live.finish().succeeds();
    }
}

/// Name, resources, and (controller, file, content) each.
type Limit = (&'static str, Value, &'static [(&'static str, &'static str, &'static str)]);

fn limits() -> Vec<Limit> {
    vec![
        (
            "memory",
            json!({"memory": {"limit": 67_108_864}}),
            &[("memory", "memory.limit_in_bytes", "67108864")],
        ),
        (
            "memory_reservation",
            json!({"memory": {"reservation": 33_554_432}}),
            &[("memory", "memory.soft_limit_in_bytes", "33554432")],
        ),
        (
            "memory_unlimited",
            json!({"memory": {"limit": -1}}),
            &[("memory", "memory.limit_in_bytes", "9223372036854771712")],
        ),
        ("cpu_shares", json!({"cpu": {"shares": 513}}), &[("cpu", "cpu.shares", "513")]),
        (
            "cpu_quota",
            json!({"cpu": {"quota": 25_000, "period": 50_000}}),
            &[("cpu", "cpu.cfs_quota_us", "25000"), ("cpu", "cpu.cfs_period_us", "50000")],
        ),
        ("cpu_no_quota", json!({"cpu": {"quota": -1}}), &[("cpu", "cpu.cfs_quota_us", "-1")]),
        (
            "cpuset",
            json!({"cpu": {"cpus": "0", "mems": "0"}}),
            &[("cpuset", "cpuset.cpus", "0"), ("cpuset", "cpuset.mems", "0")],
        ),
        ("pids", json!({"pids": {"limit": 33}}), &[("pids", "pids.max", "33")]),
        ("pids_unlimited", json!({"pids": {"limit": -1}}), &[("pids", "pids.max", "max")]),
        ("pids_zero_as_unlimited", json!({"pids": {"limit": 0}}), &[("pids", "pids.max", "max")]),
    ]
}

fn every_limit_on_v1() -> Vec<Trial> {
    let test =
        |host: Host, resources: Value, wanted: &'static [(&'static str, &'static str, &'static str)]| {
            move || {
                let bundle = Bundle::holding(resources);
                let live = bundle.held(host);
                for (controller, file, content) in wanted {
                    assert_eq!(read(&folder(&live, controller).join(file)), *content, "{file}");
                }
                live.finish().succeeds();
            }
        };
    let mut all = Vec::new();
    for host in [Host::machine(), Host::v1()] {
        for (name, resources, wanted) in limits() {
            all.push(case(
                format!("the_limit_{name}_is_set_on_{}", host.name),
                test(host.clone(), resources, wanted),
            ));
        }
    }
    all
}

fn pids_are_limited() {
    let script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done 2>/dev/null; jobs -p | wc -l";
    let bundle = Bundle::sh(script);
    bundle.set("/linux/resources/pids", json!({"limit": 5}));
    let output = bundle.run();
    assert!(output.code != Some(0) || output.out().trim() != "9", "{}", output.show());
    // Control.
    bundle.set("/linux/resources/pids", json!({"limit": 50}));
    assert_eq!(bundle.run().out().trim(), "9");
}

fn memory_is_limited() {
    let bundle = Bundle::new(&["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]);
    bundle.set("/linux/resources/memory", json!({"limit": 20_000_000}));
    bundle.run().exits(137);
    // Control.
    bundle.set("/linux/resources/memory", json!({"limit": 400_000_000}));
    bundle.run().exits(0);
}

fn a_limit_that_cannot_be_set_is_an_error_that_names_it() {
    let bundle = Bundle::sh("true");
    bundle.set("/linux/resources/cpu", json!({"cpus": "4000"}));
    bundle.run().refuses(&["cpuset.cpus"]);
}

fn several_limits_at_once_hold() {
    let resources = json!({
        "memory": {"limit": 100_003_840, "reservation": 50_003_968}, "cpu": {"shares": 300, "cpus": "0-1"},
        "pids": {"limit": 77}, "devices": [{"allow": false, "access": "rwm"}]
    });
    let bundle = Bundle::holding(resources);
    let live = bundle.held(Host::machine());
    let seen = |controller: &str, file: &str| read(&folder(&live, controller).join(file));
    assert_eq!(seen("memory", "memory.limit_in_bytes"), "100003840");
    assert_eq!(seen("cpu", "cpu.shares"), "300");
    assert_eq!(seen("cpuset", "cpuset.cpus"), "0-1");
    assert_eq!(seen("pids", "pids.max"), "77");
    assert!(!seen("devices", "devices.list").contains("a *:* rwm"));
    live.finish().succeeds();
}

fn cpuset_is_inherited_when_not_given() {
    // A fresh v1 cpuset has no cpus: nothing could run in it.
    let bundle = Bundle::holding(json!({}));
    let live = bundle.held(Host::machine());
    let path = folder(&live, "cpuset");
    for file in ["cpuset.cpus", "cpuset.mems"] {
        assert_eq!(read(&path.join(file)), read(&path.parent().unwrap().join(file)));
    }
    live.finish().succeeds();
}

fn cgroups_are_writable_inside_when_mounted_so() {
    let script = "cd /sys/fs/cgroup; test -d pids && cd pids; mkdir below && echo $$ > below/cgroup.procs && echo moved";
    for host in [Host::machine(), Host::cgroup2()] {
        let bundle = Bundle::sh(script);
        bundle.set("/mounts/6/options", json!(["nosuid", "noexec", "nodev"]));
        assert_eq!(bundle.on(host.clone()).output().text(), "moved");
        // Control: as the plain spec mounts it, it is read-only.
        let bundle =
            Bundle::sh("cd /sys/fs/cgroup; test -d pids && cd pids; mkdir below 2>/dev/null || echo refused");
        assert_eq!(bundle.on(host).output().text(), "refused");
    }
}

fn a_second_container_in_the_same_cgroup_is_refused_or_shares_it() {
    let first = Bundle::holding(json!({}));
    let path = json!(format!("/{}same", mark()));
    first.set("/linux/cgroupsPath", path.clone());
    let live = first.held(Host::machine());
    let second = Bundle::sh("echo ran");
    second.set("/linux/cgroupsPath", path);
    let output = second.run();
    if output.code != Some(0) {
        output.refuses(&["cgroup"]);
    }
    // The first one lives on, whatever the second did.
    assert!(Path::new(&format!("/proc/{}", live.container_pid())).exists());
    live.finish().succeeds();
    assert!(cgroups_named("same").is_empty());
}

fn bare(script: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.no_mount("/sys/fs/cgroup").remove("/linux/resources");
    bundle
}

fn no_cgroup_tree_still_starts_a_container() {
    for host in [Host::no_cgroup(), Host::empty_cgroup()] {
        assert_eq!(bare("echo ran").on(host.clone()).output().text(), "ran", "{}", host.name);
        let without_namespace = bare("cat /proc/self/cgroup | wc -l");
        without_namespace.namespaces(&["pid", "network", "ipc", "uts", "mount"]);
        without_namespace.on(host).output().succeeds();
    }
}

fn no_cgroup_tree_warns_about_device_rules() {
    // Every real config has them, so a board without cgroups runs it; but it says what is not in force.
    for host in [Host::no_cgroup(), Host::empty_cgroup()] {
        let bundle = bare("echo ran");
        bundle.set("/linux/resources/devices", json!([{"allow": false, "access": "rwm"}]));
        let output = bundle.on(host).output();
        output.exits(0);
        assert_eq!(output.out(), "ran\n");
        assert!(
            output.err().lines().count() == 1 && output.err().contains("linux.resources.devices"),
            "{}",
            output.show()
        );
    }
}

fn limits_without_a_cgroup_tree() -> Vec<Trial> {
    let test = |host: Host, resources: Value, word: &'static str| {
        move || {
            let bundle = bare("echo ran");
            bundle.set("/linux/resources", resources);
            bundle.on(host).output().refuses(&[word, "cgroup"]);
        }
    };
    let cases = [
        ("memory", json!({"memory": {"limit": 67_108_864}})),
        ("cpu", json!({"cpu": {"shares": 512}})),
        ("pids", json!({"pids": {"limit": 10}})),
    ];
    let mut all = Vec::new();
    for host in [Host::no_cgroup(), Host::empty_cgroup()] {
        for (word, resources) in cases.clone() {
            let name = format!("a_limit_of_{word}_is_refused_on_{}", host.name);
            all.push(case(name, test(host.clone(), resources, word)));
        }
    }
    all
}

fn without_controllers_limits_are_refused() {
    for (word, resources) in [
        ("memory", json!({"memory": {"limit": 67_108_864}})),
        ("cpu", json!({"cpu": {"shares": 512}})),
        ("pids", json!({"pids": {"limit": 10}})),
    ] {
        let bundle = Bundle::sh("echo ran");
        bundle.set("/linux/resources", resources);
        bundle.on(Host::cgroup2()).output().refuses(&[word]);
    }
    // What asks for nothing needs no controller.
    let bundle = Bundle::sh("echo ran");
    let nothing =
        json!({"memory": {"disableOOMKiller": false}, "blockIO": {}, "pids": {"limit": 0}, "cpu": {}});
    bundle.set("/linux/resources", nothing);
    assert_eq!(bundle.on(Host::cgroup2()).output().text(), "ran");
}
