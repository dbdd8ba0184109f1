//! Each limit of `linux.resources` as the kernel holds it, read back from the cgroup's file from outside.
//!
//! On cgroup v1 with every controller that the machine has, on v2 with hugetlb; what only a kernel with all controllers on
//! v2 has is the virtual machine's.

use hull_tests::bundle::mark;
use hull_tests::run::Live;
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Value, facts, json, suite};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

suite!(
    without_resources_the_kernels_defaults_stand,
    memory_and_swap_below_memory_is_an_error_that_names_it,
    realtime_runtime_and_period_are_set,
    realtime_that_the_cgroup_above_has_not_is_an_error_that_names_it,
    block_devices_are_throttled,
    a_block_device_without_the_scheduler_for_weights_is_an_error,
    memory_limits_go_up_and_down_in_a_cgroup_that_has_some,
    a_period_that_only_fits_the_new_quota_is_set,
    a_burst_that_only_fits_the_new_quota_is_set,
    shares_of_a_cgroup_that_was_idle_are_set,
    without_the_oom_killer_the_process_waits,
    kernel_memory_is_warned_about,
    huge_pages_are_limited,
    a_page_size_that_the_machine_lacks_is_an_error,
    unified_files_are_written,
    unified_is_refused_where_v1_carries_the_controller,
    a_limit_of_a_v1_controller_that_is_not_mounted_is_refused,
    what_v2_has_not_is_refused_there,
    a_controller_that_a_busy_cgroup_above_keeps_is_an_error,
    a_container_lives_below_a_threaded_cgroup,
    device_rules_for_both_kinds_are_two_exceptions_on_v1,
    a_hole_in_an_exception_for_many_devices_is_refused_on_v1;
    values_on_v1
);

/// The container's cgroup in a hierarchy; the v2 one has no name.
fn folder(live: &Live, controller: &str) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", live.container_pid())).unwrap();
    root(controller).join(facts::cgroups(&text)[controller].trim_start_matches('/'))
}

fn root(controller: &str) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(if controller.is_empty() { "unified" } else { controller })
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

/// What the kernel shows where there is no limit.
const NO_LIMIT: &str = "9223372036854771712";

/// Controller, file, content.
type Wanted = (&'static str, &'static str, &'static str);

/// A container with `resources` has these values while it runs.
fn holds(bundle: &Bundle, host: Host, wanted: &[Wanted]) {
    let live = bundle.held(host);
    for (controller, file, content) in wanted {
        assert_eq!(read(folder(&live, controller).join(file)), *content, "{file}");
    }
    live.finish().succeeds();
}

/// A cgroup of the test's own; it goes, with those in it, when this is dropped.
struct Made(PathBuf);

impl Made {
    fn new(controller: &str, name: &str) -> Made {
        let path = root(controller).join(format!("{}{name}", mark()));
        fs::create_dir(&path).unwrap();
        Made(path)
    }

    fn child(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// What `cgroupsPath` says for a cgroup in it.
    fn place(&self, below: &str) -> Value {
        json!(format!("/{}{below}", self.0.file_name().unwrap().to_str().unwrap()))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            fs::remove_dir(entry.path()).ok();
        }
        fs::remove_dir(&self.0).ok();
    }
}

/// A process of the test's own in a cgroup.
struct Sleeper(Child);

impl Sleeper {
    fn in_cgroup(path: &Path) -> Sleeper {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(path.join("cgroup.procs"), child.id().to_string()).unwrap();
        Sleeper(child)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn cases() -> Vec<(&'static str, Value, &'static [Wanted])> {
    vec![
        (
            "memory_and_swap",
            json!({"memory": {"limit": 67_108_864, "swap": 100_663_296}}),
            &[
                ("memory", "memory.limit_in_bytes", "67108864"),
                ("memory", "memory.memsw.limit_in_bytes", "100663296"),
            ],
        ),
        (
            "no_swap",
            json!({"memory": {"limit": 67_108_864, "swap": 67_108_864}}),
            &[
                ("memory", "memory.limit_in_bytes", "67108864"),
                ("memory", "memory.memsw.limit_in_bytes", "67108864"),
            ],
        ),
        (
            "unlimited_swap",
            json!({"memory": {"limit": 67_108_864, "swap": -1}}),
            &[
                ("memory", "memory.limit_in_bytes", "67108864"),
                ("memory", "memory.memsw.limit_in_bytes", NO_LIMIT),
            ],
        ),
        ("swappiness", json!({"memory": {"swappiness": 77}}), &[("memory", "memory.swappiness", "77")]),
        ("swappiness_zero", json!({"memory": {"swappiness": 0}}), &[("memory", "memory.swappiness", "0")]),
        (
            "swappiness_of_docker_that_says_nothing",
            json!({"memory": {"swappiness": u64::MAX}}),
            &[("memory", "memory.swappiness", "60")],
        ),
        ("hierarchy", json!({"memory": {"useHierarchy": true}}), &[("memory", "memory.use_hierarchy", "1")]),
        (
            "limit_checked_before",
            json!({"memory": {"limit": 67_108_864, "checkBeforeUpdate": true}}),
            &[("memory", "memory.limit_in_bytes", "67108864")],
        ),
        ("idle", json!({"cpu": {"idle": 1}}), &[("cpu", "cpu.idle", "1")]),
        (
            "not_idle",
            json!({"cpu": {"idle": 0, "shares": 700}}),
            &[("cpu", "cpu.idle", "0"), ("cpu", "cpu.shares", "700")],
        ),
        (
            "burst",
            json!({"cpu": {"quota": 50_000, "period": 50_000, "burst": 20_000}}),
            &[
                ("cpu", "cpu.cfs_quota_us", "50000"),
                ("cpu", "cpu.cfs_period_us", "50000"),
                ("cpu", "cpu.cfs_burst_us", "20000"),
            ],
        ),
        ("weight", json!({"blockIO": {"weight": 500}}), &[("blkio", "blkio.bfq.weight", "500")]),
        (
            "weight_at_its_ends",
            json!({"blockIO": {"weight": 1000}}),
            &[("blkio", "blkio.bfq.weight", "1000")],
        ),
    ]
}

fn values_on_v1() -> Vec<Trial> {
    let mut all = Vec::new();
    for host in [Host::machine(), Host::v1()] {
        for (name, resources, wanted) in cases() {
            let named = format!("{name}_holds_on_{}", host.name);
            let host = host.clone();
            all.push(case(named, move || holds(&Bundle::holding(resources), host, wanted)));
        }
    }
    all
}

/// The control of all that is read back here.
fn without_resources_the_kernels_defaults_stand() {
    let defaults = [
        ("memory", "memory.limit_in_bytes", NO_LIMIT),
        ("memory", "memory.memsw.limit_in_bytes", NO_LIMIT),
        ("memory", "memory.swappiness", "60"),
        ("cpu", "cpu.idle", "0"),
        ("cpu", "cpu.shares", "1024"),
        ("cpu", "cpu.cfs_quota_us", "-1"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpu", "cpu.cfs_burst_us", "0"),
        ("cpu", "cpu.rt_runtime_us", "0"),
        ("blkio", "blkio.bfq.weight", "100"),
        ("blkio", "blkio.throttle.read_bps_device", ""),
        ("blkio", "blkio.throttle.write_iops_device", ""),
    ];
    holds(&Bundle::holding(json!({})), Host::machine(), &defaults);
}

fn memory_and_swap_below_memory_is_an_error_that_names_it() {
    let bundle = Bundle::sh("echo ran");
    for memory in [json!({"swap": 100 * MIB}), json!({"limit": 200 * MIB, "swap": 100 * MIB})] {
        bundle.set("/linux/resources", json!({"memory": memory}));
        bundle.run().refuses(&["linux.resources.memory.swap", "memory.memsw.limit_in_bytes", "EINVAL"]);
        bundle
            .on(Host::cgroup2())
            .output()
            .refuses(&["linux.resources.memory.swap", "memory.limit beside it"]);
    }
    bundle.set("/linux/resources", json!({"memory": {"limit": 100 * MIB, "swap": 200 * MIB}}));
    assert_eq!(bundle.run().text(), "ran");
}

fn realtime_runtime_and_period_are_set() {
    let bundle = Bundle::holding(json!({"cpu": {"realtimeRuntime": 2000, "realtimePeriod": 500_000}}));
    bundle.set("/linux/cgroupsPath", json!(format!("/{}realtime", mark())));
    let wanted = [("cpu", "cpu.rt_runtime_us", "2000"), ("cpu", "cpu.rt_period_us", "500000")];
    holds(&bundle, Host::machine(), &wanted);
}

fn realtime_that_the_cgroup_above_has_not_is_an_error_that_names_it() {
    let above = Made::new("cpu", "norealtime");
    let bundle = Bundle::holding(json!({"cpu": {"realtimeRuntime": 2000}}));
    bundle.set("/linux/cgroupsPath", above.place("/inner"));
    bundle.run().refuses(&["linux.resources.cpu.realtimeRuntime", "cpu.rt_runtime_us", "EINVAL"]);
    assert!(!above.0.join("inner").exists());
}

/// The machine's disks by number.
fn disk() -> (String, u64, u64) {
    for entry in fs::read_dir("/sys/block").unwrap().flatten() {
        if fs::read_to_string(entry.path().join("size")).unwrap().trim() != "0" {
            let number = read(entry.path().join("dev"));
            let (major, minor) = number.split_once(':').unwrap();
            return (number.clone(), major.parse().unwrap(), minor.parse().unwrap());
        }
    }
    panic!("no disk")
}

fn block_devices_are_throttled() {
    let (number, major, minor) = disk();
    let limit = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let bundle = Bundle::holding(json!({"blockIO": {
        "throttleReadBpsDevice": limit(1_048_576), "throttleWriteBpsDevice": limit(2_097_152),
        "throttleReadIOPSDevice": limit(300), "throttleWriteIOPSDevice": limit(400),
    }}));
    let live = bundle.held(Host::machine());
    for (file, rate) in
        [("read_bps", "1048576"), ("write_bps", "2097152"), ("read_iops", "300"), ("write_iops", "400")]
    {
        let text = read(folder(&live, "blkio").join(format!("blkio.throttle.{file}_device")));
        assert_eq!(text, format!("{number} {rate}"), "{file}");
    }
    live.finish().succeeds();
}

fn a_block_device_without_the_scheduler_for_weights_is_an_error() {
    let (number, major, minor) = disk();
    let bundle = Bundle::sh("true");
    let device = json!([{"major": major, "minor": minor, "weight": 300}]);
    bundle.set("/linux/resources", json!({"blockIO": {"weightDevice": device}}));
    bundle.run().refuses(&["linux.resources.blockIO.weightDevice", &format!("{number} 300")]);
    // Control: nothing is written for a weight of 0.
    bundle.set("/linux/resources/blockIO/weightDevice/0/weight", json!(0));
    bundle.run().succeeds();
}

/// A cgroup that is there with `before`, taken by a container with `resources`.
fn taken(controller: &str, name: &str, before: &[(&str, &str)], resources: Value, wanted: &[Wanted]) {
    let made = Made::new(controller, name);
    for (file, value) in before {
        fs::write(made.0.join(file), value).unwrap();
    }
    let bundle = Bundle::holding(resources);
    bundle.set("/linux/cgroupsPath", made.place(""));
    holds(&bundle, Host::machine(), wanted);
}

const MIB: u64 = 1 << 20;

/// At each moment memory must not be above memory and swap: which comes first depends on where the cgroup comes from.
fn memory_limits_go_up_and_down_in_a_cgroup_that_has_some() {
    let (limit, both) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
    let wanted = [("memory", limit, "209715200"), ("memory", both, "314572800")];
    let resources = json!({"memory": {"limit": 200 * MIB, "swap": 300 * MIB}});
    let lower = [(limit, "52428800"), (both, "62914560")];
    // Control: the order of a new cgroup fails here.
    let made = Made::new("memory", "control");
    for (file, value) in lower {
        fs::write(made.0.join(file), value).unwrap();
    }
    fs::write(made.0.join(limit), "209715200").expect_err("above memory and swap");
    taken("memory", "lower", &lower, resources.clone(), &wanted);
    taken("memory", "higher", &[(limit, "524288000"), (both, "629145600")], resources, &wanted);
    let none = [("memory", limit, NO_LIMIT), ("memory", both, NO_LIMIT)];
    taken("memory", "none", &lower, json!({"memory": {"limit": -1}}), &none);
}

/// A quota in its period is compared with that of the cgroup above at each write.
fn a_period_that_only_fits_the_new_quota_is_set() {
    let made = Made::new("cpu", "period");
    fs::write(made.0.join("cpu.cfs_quota_us"), "50000").unwrap();
    let inner = made.child("inner");
    fs::write(inner.join("cpu.cfs_quota_us"), "50000").unwrap();
    fs::write(inner.join("cpu.cfs_period_us"), "50000").expect_err("the control");
    let bundle = Bundle::holding(json!({"cpu": {"quota": 20_000, "period": 50_000}}));
    bundle.set("/linux/cgroupsPath", made.place("/inner"));
    let wanted = [("cpu", "cpu.cfs_quota_us", "20000"), ("cpu", "cpu.cfs_period_us", "50000")];
    holds(&bundle, Host::machine(), &wanted);
}

fn a_burst_that_only_fits_the_new_quota_is_set() {
    let before = [("cpu.cfs_quota_us", "50000"), ("cpu.cfs_burst_us", "40000")];
    let wanted = [("cpu", "cpu.cfs_quota_us", "20000"), ("cpu", "cpu.cfs_burst_us", "10000")];
    taken("cpu", "burst", &before, json!({"cpu": {"quota": 20_000, "burst": 10_000}}), &wanted);
    let before = [("cpu.cfs_quota_us", "20000"), ("cpu.cfs_burst_us", "10000")];
    let wanted = [("cpu", "cpu.cfs_quota_us", "50000"), ("cpu", "cpu.cfs_burst_us", "40000")];
    taken("cpu", "burst2", &before, json!({"cpu": {"quota": 50_000, "burst": 40_000}}), &wanted);
}

fn shares_of_a_cgroup_that_was_idle_are_set() {
    let wanted = [("cpu", "cpu.idle", "0"), ("cpu", "cpu.shares", "700")];
    taken("cpu", "idle", &[("cpu.idle", "1")], json!({"cpu": {"idle": 0, "shares": 700}}), &wanted);
    // An idle one takes no shares: that is an error, not a limit that is lost.
    let made = Made::new("cpu", "stays");
    fs::write(made.0.join("cpu.idle"), "1").unwrap();
    let bundle = Bundle::sh("true");
    bundle.set("/linux/cgroupsPath", made.place("")).set("/linux/resources", json!({"cpu": {"shares": 700}}));
    bundle.run().refuses(&["linux.resources.cpu.shares", "EINVAL"]);
}

fn without_the_oom_killer_the_process_waits() {
    let disabled = |live: &Live| {
        let text = read(folder(live, "memory").join("memory.oom_control"));
        text.lines().next().unwrap().to_owned()
    };
    for (disable, wanted) in [(true, "oom_kill_disable 1"), (false, "oom_kill_disable 0")] {
        let live = Bundle::holding(json!({"memory": {"disableOOMKiller": disable}})).held(Host::machine());
        assert_eq!(disabled(&live), wanted);
        live.finish().succeeds();
    }
}

/// As in runc, whose engines still write them.
fn kernel_memory_is_warned_about() {
    let bundle = Bundle::sh("echo ran");
    for (field, count) in [("kernel", 1), ("kernelTCP", 1), ("reservation", 0)] {
        bundle.set("/linux/resources", json!({"memory": {field: 67_108_864}}));
        let output = bundle.on(Host::machine()).output();
        output.exits(0);
        let said = output.err();
        let warned = said.lines().filter(|line| line.contains("Kernel memory settings are ignored"));
        assert_eq!(warned.count(), count, "{}", output.show());
    }
}

fn huge_pages_are_limited() {
    let limits = json!([{"pageSize": "2MB", "limit": 4_194_304}, {"pageSize": "1GB", "limit": 0}]);
    let wanted = [
        ("", "hugetlb.2MB.max", "4194304"),
        ("", "hugetlb.2MB.rsvd.max", "4194304"),
        ("", "hugetlb.1GB.max", "0"),
        ("", "hugetlb.1GB.rsvd.max", "0"),
    ];
    let defaults = [("", "hugetlb.2MB.max", NO_LIMIT), ("", "hugetlb.2MB.rsvd.max", NO_LIMIT)];
    for host in [Host::machine(), Host::cgroup2()] {
        holds(&Bundle::holding(json!({"hugepageLimits": limits})), host.clone(), &wanted);
        // Control: only the limit of the other size.
        let other = json!([{"pageSize": "1GB", "limit": 0}]);
        holds(&Bundle::holding(json!({"hugepageLimits": other})), host, &defaults);
    }
    Bundle::sh("true")
        .set("/linux/resources", json!({"hugepageLimits": limits}))
        .on(Host::v1())
        .output()
        .refuses(&["linux.resources.hugepageLimits", "hugetlb", "CONFIG_CGROUP_HUGETLB"]);
}

fn a_page_size_that_the_machine_lacks_is_an_error() {
    let bundle = Bundle::sh("true");
    bundle.set("/linux/resources", json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}));
    for host in [Host::machine(), Host::cgroup2()] {
        let words = ["linux.resources.hugepageLimits", "hugetlb.3MB.max", "CONFIG_CGROUP_HUGETLB"];
        bundle.on(host).output().refuses(&words);
    }
}

fn unified_files_are_written() {
    let files = json!({"unified": {"hugetlb.2MB.max": "6291456", "cgroup.max.depth": "3"}});
    for host in [Host::machine(), Host::cgroup2()] {
        let wanted = [("", "hugetlb.2MB.max", "6291456"), ("", "cgroup.max.depth", "3")];
        holds(&Bundle::holding(files.clone()), host.clone(), &wanted);
        let bundle = Bundle::sh("true");
        for file in ["hugetlb.2MB.no", "nothing.max", "plain"] {
            bundle.set("/linux/resources", json!({"unified": {file: "1"}}));
            bundle.on(host.clone()).output().refuses(&["linux.resources.unified", file]);
        }
    }
}

fn unified_is_refused_where_v1_carries_the_controller() {
    let bundle = Bundle::sh("echo ran");
    for (host, file) in [
        (Host::machine(), "memory.max"),
        (Host::machine(), "pids.max"),
        (Host::v1(), "hugetlb.2MB.max"),
        (Host::v1(), "cgroup.max.depth"),
    ] {
        bundle.set("/linux/resources", json!({"unified": {file: "1"}}));
        let said =
            if host.name == "v1" { "linux.resources.unified" } else { "cannot use unified on cgroup v1" };
        bundle.on(host).output().refuses(&["linux.resources.unified", said]);
    }
    bundle.set("/linux/resources", json!({"unified": {}}));
    assert_eq!(bundle.on(Host::v1()).output().text(), "ran");
}

fn a_limit_of_a_v1_controller_that_is_not_mounted_is_refused() {
    let priorities = json!({"network": {"priorities": [{"name": "lo", "priority": 3}]}});
    for (resources, field, option) in [
        (json!({"network": {"classID": 1_048_577}}), "network.classID", "CONFIG_CGROUP_NET_CLASSID"),
        (priorities, "network.priorities", "CONFIG_CGROUP_NET_PRIO"),
        (json!({"rdma": {"mlx5_1": {"hcaHandles": 3}}}), "rdma", "CONFIG_CGROUP_RDMA"),
    ] {
        for host in [Host::machine(), Host::v1(), Host::cgroup2(), Host::no_cgroup()] {
            let bundle = Bundle::sh("true");
            bundle.set("/linux/resources", resources.clone());
            if host.name == "no cgroup" {
                bundle.no_mount("/sys/fs/cgroup");
            }
            bundle.on(host).output().refuses(&[&format!("linux.resources.{field}"), option]);
        }
    }
}

fn what_v2_has_not_is_refused_there() {
    let bundle = Bundle::sh("echo ran");
    for (object, field, value) in [
        ("memory", "swappiness", json!(10)),
        ("memory", "disableOOMKiller", json!(true)),
        ("cpu", "realtimeRuntime", json!(1000)),
        ("cpu", "realtimePeriod", json!(1000)),
        ("blockIO", "leafWeight", json!(100)),
        ("network", "classID", json!(1)),
    ] {
        bundle.set("/linux/resources", json!({object: {field: value}}));
        let words = [format!("linux.resources.{object}.{field}"), "cgroup v2 has no such limit".into()];
        bundle.on(Host::cgroup2()).output().refuses(&[&words[0], &words[1]]);
    }
    let nothing =
        json!({"memory": {"swappiness": u64::MAX, "disableOOMKiller": false, "useHierarchy": true}});
    bundle.set("/linux/resources", nothing);
    assert_eq!(bundle.on(Host::cgroup2()).output().text(), "ran");
}

/// cgroups(7), "no internal processes".
fn a_controller_that_a_busy_cgroup_above_keeps_is_an_error() {
    let above = Made::new("", "busy");
    let sleeper = Sleeper::in_cgroup(&above.0);
    let bundle = Bundle::holding(json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}));
    bundle.set("/linux/cgroupsPath", above.place("/inner"));
    let words = ["linux.resources.hugepageLimits", "hugetlb.2MB.max", "a cgroup above has processes"];
    bundle.on(Host::cgroup2()).output().refuses(&words);
    assert!(!above.0.join("inner").exists());
    // Without a limit nothing is to be handed down.
    bundle.set("/linux/resources", json!({}));
    holds(&bundle, Host::cgroup2(), &[("", "cgroup.type", "domain")]);
    // Control: without the process the limit is set.
    drop(sleeper);
    bundle.set("/linux/resources", json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}));
    holds(&bundle, Host::cgroup2(), &[("", "hugetlb.2MB.max", "0")]);
}

/// cgroups(7), "Thread mode": below a threaded cgroup there are only threaded ones.
fn a_container_lives_below_a_threaded_cgroup() {
    let above = Made::new("", "threads");
    let threaded = above.child("threaded");
    fs::write(threaded.join("cgroup.type"), "threaded").unwrap();
    let control = threaded.join("control");
    fs::create_dir(&control).unwrap();
    assert_eq!(read(control.join("cgroup.type")), "domain invalid");
    fs::remove_dir(&control).unwrap();
    for below in ["/threaded/inner", "/threaded/a/b"] {
        let bundle = Bundle::sh("sleep 1000 & echo ready; cat");
        bundle.set("/linux/cgroupsPath", above.place(below)).set("/linux/resources", json!({}));
        let live = bundle.held(Host::cgroup2());
        let path = folder(&live, "");
        assert_eq!(read(path.join("cgroup.type")), "threaded");
        assert_eq!(read(path.join("cgroup.threads")).lines().count(), 2);
        live.finish().succeeds();
        assert!(!path.exists(), "{} is left", path.display());
        fs::remove_dir(threaded.join("a")).ok();
    }
    // A limit that counts for whole processes can't be set there.
    let bundle = Bundle::sh("true");
    bundle.set("/linux/cgroupsPath", above.place("/threaded/inner"));
    bundle.set("/linux/resources", json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}));
    bundle.on(Host::cgroup2()).output().refuses(&["linux.resources.hugepageLimits", "is threaded"]);
    assert!(!threaded.join("inner").exists());
    fs::remove_dir(&threaded).unwrap();
}

/// The kernel takes `a` for every device and every access.
fn device_rules_for_both_kinds_are_two_exceptions_on_v1() {
    let rules =
        json!([{"allow": false, "access": "rwm"}, {"allow": true, "major": 10, "minor": 229, "access": "r"}]);
    let live = Bundle::holding(json!({"devices": rules})).held(Host::machine());
    let list = read(folder(&live, "devices").join("devices.list"));
    assert!(list.contains("c 10:229 r") && list.contains("b 10:229 r") && !list.contains("a *:*"), "{list}");
    live.finish().succeeds();
}

fn a_hole_in_an_exception_for_many_devices_is_refused_on_v1() {
    let rules = json!([
        {"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "access": "rwm"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "w"}
    ]);
    let bundle = Bundle::sh("for how in r rw; do /probe open /dev/fuse $how; done");
    bundle.push("/linux/devices", json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}));
    bundle.set("/linux/resources/devices", rules);
    for host in [Host::machine(), Host::v1()] {
        bundle.on(host).output().refuses(&[
            "linux.resources.devices",
            "c 10:229 w",
            "c 10:* rwm",
            "punch hole",
        ]);
    }
    // Control: v2 does it.
    let lines = bundle.on(Host::cgroup2()).output().lines();
    assert!(lines[0].starts_with("ok") && lines[1].starts_with("EPERM"), "{lines:?}");
}
