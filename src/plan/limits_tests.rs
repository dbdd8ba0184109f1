//! Each field of `linux.resources` on each layout: which file gets which value, in which order.

use super::golden::{HYBRID, UNIFIED};
use super::host::{Hierarchy, Host, Version};
use super::limits::limits;
use super::{Request, plan};
use crate::compose;
use crate::config;
use crate::error::test_arena;

const fn v1(controllers: &'static std::ffi::CStr) -> Hierarchy<'static> {
    Hierarchy { version: Version::V1, mount: c"/sys/fs/cgroup/x", controllers, own: c"/" }
}

/// Every controller on v1.
const V1: [Hierarchy<'static>; 8] = [
    v1(c"cpu,cpuacct"),
    v1(c"cpuset"),
    v1(c"memory"),
    v1(c"pids"),
    v1(c"blkio"),
    v1(c"hugetlb"),
    v1(c"net_cls,net_prio"),
    v1(c"rdma"),
];

/// The writes for `resources`, one a line: `file = value`, with a mark in front of those that depend on others.
fn written(cgroups: &'static [Hierarchy<'static>], resources: &str) -> Result<Vec<String>, String> {
    let arena = test_arena(16 << 20);
    let text = format!(r#"{{"ociVersion": "1.3.0", "linux": {{"resources": {resources}}}}}"#);
    let config = config::parse(&arena, "config.json", text.into_bytes().leak()).expect(resources);
    let resources = config.linux().unwrap().resources().unwrap();
    let limits = limits(&arena, &Host { cgroups, own: 0, resctrl: None }, &resources);
    let limits = limits.map_err(|error| String::from_utf8_lossy(error.text()).into_owned())?;
    let words = |op| String::from_utf8_lossy(compose!(arena, op)).into_owned();
    let short = |line: String| {
        let (value, rest) = line.split_once(" to the cgroup's ").unwrap();
        let (file, field) = rest.split_once(" for linux.resources.").unwrap();
        let value = value.strip_prefix("write ").unwrap_or(value);
        assert!(!field.is_empty());
        format!(
            "{file} = {}{}",
            value.replace('"', ""),
            if field.contains(" (where") { " again" } else { "" }
        )
    };
    Ok(limits.writes.iter().map(|op| short(words(op))).collect())
}

/// Resources, what they are on v1, and what on v2; a lone text that ends with a colon is the start of an error.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const NO_V2: &str = "cgroup v2 has no such limit:";

const CASES: &[Case] = &[
    (r#"{}"#, &[], &[]),
    (r#"{"devices": [{"allow": false}]}"#, &[], &[]),
    (r#"{"memory": {}, "cpu": {}, "blockIO": {}, "pids": {"limit": 0}, "unified": {}}"#, &[], &[]),
    (r#"{"memory": {"limit": 100}}"#, &["memory.limit_in_bytes = 100"], &["memory.max = 100"]),
    (
        r#"{"memory": {"limit": 100, "swap": 300}}"#,
        &[
            "memory.limit_in_bytes = 100",
            "memory.memsw.limit_in_bytes = 300",
            "memory.limit_in_bytes = 100 again",
        ],
        &["memory.max = 100", "memory.swap.max = 200"],
    ),
    (
        r#"{"memory": {"limit": 100, "swap": 100}}"#,
        &[
            "memory.limit_in_bytes = 100",
            "memory.memsw.limit_in_bytes = 100",
            "memory.limit_in_bytes = 100 again",
        ],
        &["memory.max = 100", "memory.swap.max = 0"],
    ),
    (
        r#"{"memory": {"limit": -1}}"#,
        &[
            "memory.limit_in_bytes = -1",
            "memory.memsw.limit_in_bytes = -1",
            "memory.limit_in_bytes = -1 again",
        ],
        &["memory.max = max", "memory.swap.max = max"],
    ),
    (
        r#"{"memory": {"limit": -1, "swap": 500}}"#,
        &[
            "memory.limit_in_bytes = -1",
            "memory.memsw.limit_in_bytes = 500",
            "memory.limit_in_bytes = -1 again",
        ],
        &["memory.max = max", "memory.swap.max = 500"],
    ),
    (r#"{"memory": {"swap": -1}}"#, &["memory.memsw.limit_in_bytes = -1"], &["memory.swap.max = max"]),
    (
        r#"{"memory": {"swap": 5}}"#,
        &["memory.memsw.limit_in_bytes = 5"],
        &["memory.swap: counts memory and swap together:"],
    ),
    (
        r#"{"memory": {"limit": 9, "swap": 5}}"#,
        &["memory.limit_in_bytes = 9", "memory.memsw.limit_in_bytes = 5", "memory.limit_in_bytes = 9 again"],
        &["memory.swap: counts memory and swap together:"],
    ),
    (r#"{"memory": {"reservation": 7}}"#, &["memory.soft_limit_in_bytes = 7"], &["memory.low = 7"]),
    (r#"{"memory": {"reservation": -1}}"#, &["memory.soft_limit_in_bytes = -1"], &["memory.low = max"]),
    (r#"{"memory": {"kernel": 7, "kernelTCP": 7}}"#, &[], &[]),
    (r#"{"memory": {"swappiness": 0}}"#, &["memory.swappiness = 0"], &[NO_V2]),
    (r#"{"memory": {"swappiness": 100}}"#, &["memory.swappiness = 100"], &[NO_V2]),
    (r#"{"memory": {"swappiness": 101}}"#, &["memory.swappiness: valid range is 0-100:"], &[NO_V2]),
    (r#"{"memory": {"swappiness": 18446744073709551615}}"#, &[], &[]),
    (r#"{"memory": {"disableOOMKiller": true}}"#, &["memory.oom_control = 1"], &[NO_V2]),
    (r#"{"memory": {"disableOOMKiller": false, "useHierarchy": false}}"#, &[], &[]),
    (r#"{"memory": {"useHierarchy": true}}"#, &["memory.use_hierarchy = 1"], &[]),
    (
        r#"{"memory": {"limit": 100, "checkBeforeUpdate": true}}"#,
        &["memory.limit_in_bytes = 100"],
        &["memory.current = compare 100", "memory.max = 100"],
    ),
    (r#"{"memory": {"checkBeforeUpdate": true}}"#, &[], &[]),
    (r#"{"cpu": {"shares": 512}}"#, &["cpu.shares = 512"], &["cpu.weight = 59"]),
    (r#"{"cpu": {"shares": 1}}"#, &["cpu.shares: the minimum allowed cpu-shares is 2:"], &["cpu.weight = 1"]),
    (
        r#"{"cpu": {"shares": 262145}}"#,
        &["cpu.shares: the maximum allowed cpu-shares is 262144:"],
        &["cpu.weight = 10000"],
    ),
    (
        r#"{"cpu": {"shares": 1024, "idle": 1}}"#,
        &["cpu.shares = 1024", "cpu.idle = 1", "cpu.shares = 1024 again"],
        &["cpu.weight = 100", "cpu.idle = 1", "cpu.weight = 100 again"],
    ),
    (r#"{"cpu": {"idle": 0}}"#, &["cpu.idle = 0"], &["cpu.idle = 0"]),
    (r#"{"cpu": {"quota": 5}}"#, &["cpu.cfs_quota_us = 5"], &["cpu.max = 5 100000"]),
    (r#"{"cpu": {"quota": -1}}"#, &["cpu.cfs_quota_us = -1"], &["cpu.max = max 100000"]),
    (r#"{"cpu": {"period": 9}}"#, &["cpu.cfs_period_us = 9"], &["cpu.max = max 9"]),
    (
        r#"{"cpu": {"quota": 5, "period": 9}}"#,
        &["cpu.cfs_period_us = 9", "cpu.cfs_quota_us = 5", "cpu.cfs_period_us = 9 again"],
        &["cpu.max = 5 9"],
    ),
    (
        r#"{"cpu": {"quota": 5, "burst": 3}}"#,
        &["cpu.cfs_burst_us = 3", "cpu.cfs_quota_us = 5", "cpu.cfs_burst_us = 3 again"],
        &["cpu.max.burst = 3", "cpu.max = 5 100000", "cpu.max.burst = 3 again"],
    ),
    (
        r#"{"cpu": {"quota": 5, "burst": 0}}"#,
        &["cpu.cfs_burst_us = 0", "cpu.cfs_quota_us = 5"],
        &["cpu.max.burst = 0", "cpu.max = 5 100000"],
    ),
    (r#"{"cpu": {"burst": 3}}"#, &["cpu.cfs_burst_us = 3"], &["cpu.max.burst = 3"]),
    (r#"{"cpu": {"realtimeRuntime": 4}}"#, &["cpu.rt_runtime_us = 4"], &[NO_V2]),
    (
        r#"{"cpu": {"realtimeRuntime": 4, "realtimePeriod": 6}}"#,
        &["cpu.rt_period_us = 6", "cpu.rt_runtime_us = 4", "cpu.rt_period_us = 6 again"],
        &[NO_V2],
    ),
    (
        r#"{"cpu": {"cpus": "0-1", "mems": "0"}}"#,
        &["cpuset.cpus = 0-1", "cpus = 0-1 again", "cpuset.mems = 0", "mems = 0 again"],
        &["cpuset.cpus = 0-1", "cpuset.mems = 0"],
    ),
    (r#"{"pids": {"limit": 8}}"#, &["pids.max = 8"], &["pids.max = 8"]),
    (r#"{"pids": {"limit": -1}}"#, &["pids.max = max"], &["pids.max = max"]),
    (
        r#"{"blockIO": {"weight": 505}}"#,
        &["blkio.weight = 505", "blkio.bfq.weight = 505 again"],
        &["io.bfq.weight = 505", "io.weight = 5000 again"],
    ),
    (
        r#"{"blockIO": {"weight": 1000}}"#,
        &["blkio.weight = 1000", "blkio.bfq.weight = 1000 again"],
        &["io.bfq.weight = 1000", "io.weight = 10000 again"],
    ),
    (
        r#"{"blockIO": {"weight": 10}}"#,
        &["blkio.weight = 10", "blkio.bfq.weight = 10 again"],
        &["io.bfq.weight = 10", "io.weight = 1 again"],
    ),
    (r#"{"blockIO": {"leafWeight": 300}}"#, &["blkio.leaf_weight = 300"], &[NO_V2]),
    (
        r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 1, "weight": 10}, {"major": 9, "minor": 2, "weight": 20, "leafWeight": 0}]}}"#,
        &[
            "blkio.weight_device = 8:1 10",
            "blkio.bfq.weight_device = 8:1 10 again",
            "blkio.weight_device = 9:2 20",
            "blkio.bfq.weight_device = 9:2 20 again",
        ],
        &[
            "io.bfq.weight = 8:1 10",
            "io.weight = 8:1 1 again",
            "io.bfq.weight = 9:2 20",
            "io.weight = 9:2 102 again",
        ],
    ),
    (
        r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 1, "leafWeight": 30}]}}"#,
        &["blkio.leaf_weight_device = 8:1 30"],
        &[NO_V2],
    ),
    (
        r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 1}]}}"#,
        &["blockIO.weightDevice: needs weight or leafWeight:"],
        &["blockIO.weightDevice: needs weight or leafWeight:"],
    ),
    (
        r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}, {"major": 8, "minor": 16, "rate": 0}],
            "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 18446744073709551615}],
            "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 4}]}}"#,
        &[
            "blkio.throttle.read_bps_device = 8:0 600",
            "blkio.throttle.read_bps_device = 8:16 0",
            "blkio.throttle.write_bps_device = 8:0 18446744073709551615",
            "blkio.throttle.read_iops_device = 8:0 3",
            "blkio.throttle.write_iops_device = 8:0 4",
        ],
        &[
            "io.max = 8:0 rbps=600",
            "io.max = 8:16 rbps=max",
            "io.max = 8:0 wbps=18446744073709551615",
            "io.max = 8:0 riops=3",
            "io.max = 8:0 wiops=4",
        ],
    ),
    (
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 0}, {"pageSize": "1GB", "limit": 99}]}"#,
        &[
            "hugetlb.2MB.limit_in_bytes = 0",
            "hugetlb.1GB.limit_in_bytes = 99",
            "hugetlb.2MB.rsvd.limit_in_bytes = 0",
            "hugetlb.1GB.rsvd.limit_in_bytes = 99",
        ],
        &[
            "hugetlb.2MB.max = 0",
            "hugetlb.1GB.max = 99",
            "hugetlb.2MB.rsvd.max = 0",
            "hugetlb.1GB.rsvd.max = 99",
        ],
    ),
    (r#"{"network": {"classID": 1048577}}"#, &["net_cls.classid = 1048577"], &[NO_V2]),
    (
        r#"{"network": {"priorities": [{"name": "lo", "priority": 0}, {"name": "e 1", "priority": 9}]}}"#,
        &["net_prio.ifpriomap = lo 0", "net_prio.ifpriomap = e 1 9"],
        &[NO_V2],
    ),
    (
        r#"{"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10}, "rxe3": {"hcaObjects": 0}}}"#,
        &["rdma.max = mlx5_1 hca_handle=3 hca_object=10", "rdma.max = rxe3 hca_handle=max hca_object=0"],
        &["rdma.max = mlx5_1 hca_handle=3 hca_object=10", "rdma.max = rxe3 hca_handle=max hca_object=0"],
    ),
    (
        r#"{"rdma": {"a": {}}}"#,
        &["rdma: needs hcaHandles or hcaObjects:"],
        &["rdma: needs hcaHandles or hcaObjects:"],
    ),
    (
        r#"{"unified": {"io.max": "8:0 rbps=1\n8:16 wiops=2", "memory.high": "5", "cgroup.max.depth": "1"}}"#,
        &["unified: cannot use unified on cgroup v1:"],
        &["io.max = 8:0 rbps=1", "io.max = 8:16 wiops=2", "memory.high = 5", "cgroup.max.depth = 1"],
    ),
];

fn check(cgroups: &'static [Hierarchy<'static>], resources: &str, wanted: &[&str]) {
    let seen = written(cgroups, resources);
    match (wanted, seen) {
        ([start], Err(text)) if start.ends_with(':') => {
            assert!(text.contains(start.trim_end_matches(':')), "{resources}: {text}");
            assert!(text.starts_with("config.json: linux.resources."), "{text}");
        }
        (_, Ok(lines)) => assert_eq!(lines, wanted, "{resources}"),
        (_, Err(text)) => panic!("{resources}: {text}"),
    }
}

#[test]
fn each_field_comes_to_its_files() {
    for (resources, on_v1, on_v2) in CASES {
        check(&V1, resources, on_v1);
        check(&UNIFIED, resources, on_v2);
    }
}

#[test]
fn without_any_hierarchy_what_asks_for_something_is_refused_by_name() {
    for (resources, on_v1, _) in CASES {
        match written(&[], resources) {
            Ok(lines) => assert!(lines.is_empty() && on_v1.is_empty(), "{resources}: {lines:?}"),
            Err(text) => assert!(text.starts_with("config.json: linux.resources."), "{text}"),
        }
    }
    let text = written(&[], r#"{"network": {"classID": 1}}"#).unwrap_err();
    assert!(
        text.starts_with("config.json: linux.resources.network.classID: this host has no cgroup tree"),
        "{text}"
    );
}

#[test]
fn a_controller_that_no_hierarchy_carries_is_named_with_its_option() {
    let text = written(&V1[..1], r#"{"pids": {"limit": 1}}"#).unwrap_err();
    assert_eq!(
        text,
        "config.json: linux.resources.pids.limit: no cgroup hierarchy of this host carries the controller (\"pids\": kernel option CONFIG_CGROUP_PIDS)"
    );
    let text =
        written(&UNIFIED, r#"{"network": {"priorities": [{"name": "lo", "priority": 1}]}}"#).unwrap_err();
    assert!(text.contains("\"net_prio\": kernel option CONFIG_CGROUP_NET_PRIO"), "{text}");
}

/// What the v1 hierarchies of a hybrid host lack, its v2 tree carries.
#[test]
fn on_a_hybrid_host_each_limit_goes_where_its_controller_is() {
    check(&HYBRID, r#"{"pids": {"limit": 8}, "cpu": {"shares": 8}}"#, &["cpu.shares = 8", "pids.max = 8"]);
    check(
        &HYBRID,
        r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4}]}"#,
        &["hugetlb.2MB.max = 4", "hugetlb.2MB.rsvd.max = 4"],
    );
    check(&HYBRID, r#"{"unified": {"pids.max": "4"}}"#, &["pids.max = 4"]);
    check(&HYBRID, r#"{"unified": {"memory.max": "4"}}"#, &["unified: cannot use unified on cgroup v1:"]);
    check(&HYBRID, r#"{"memory": {"swappiness": 4}}"#, &["memory.swappiness = 4"]);
}

#[test]
fn a_hostile_key_stays_in_quotes() {
    let text = written(&V1, r#"{"unified": {"memory\n.max": "4"}}"#).unwrap_err();
    assert!(!text.contains('\n') && text.contains("memory\\n"), "{text}");
}

/// There is room for whatever a config asks for.
#[test]
fn thousands_of_limits_fit() {
    let list: Vec<String> = (0..2000)
        .map(|n| format!(r#"{{"major": 8, "minor": {n}, "weight": 10, "leafWeight": 10}}"#))
        .collect();
    let lines = written(&V1, &format!(r#"{{"blockIO": {{"weightDevice": [{}]}}}}"#, list.join(","))).unwrap();
    assert_eq!(lines.len(), 6000);
    let text = "8:0 rbps=1\\n".repeat(2000);
    assert_eq!(written(&UNIFIED, &format!(r#"{{"unified": {{"io.max": "{text}"}}}}"#)).unwrap().len(), 2001);
}

/// In a whole plan the limits stand behind the cgroup that they are for, and hand its controllers down.
#[test]
fn a_plan_makes_the_cgroup_first() {
    let arena = test_arena(1 << 20);
    let text = br#"{"ociVersion": "1.3.0", "root": {"path": "r"}, "process": {"args": ["a"], "cwd": "/"},
        "linux": {"resources": {"unified": {"memory.high": "5"}}, "namespaces": [{"type": "mount"}]}}"#;
    let config = config::parse(&arena, "config.json", text.to_vec().leak()).unwrap();
    let request = Request::plain(c"x");
    let plan = plan(&arena, &config, &Host { cgroups: &UNIFIED, own: 0, resctrl: None }, &request).unwrap();
    use super::op::HostOp;
    let [HostOp::MakeCgroup { controllers: true, optional: false, .. }, HostOp::CgroupFile { .. }, ..] =
        plan.before
    else {
        panic!("{:?}", plan.before);
    };
}
