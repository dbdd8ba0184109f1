//! Namespaces that show or need more than an ordinary test machine has.

use std::os::unix::fs::{MetadataExt, chown};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::Test;
use crate::bundle::{Bundle, PARENT};
use crate::machine::{Machine, read, same};

pub const TESTS: &[Test] = &[
    ("a_cgroup_namespace_hides_the_path", a_cgroup_namespace_hides_the_path),
    ("a_user_namespace_maps_every_id", a_user_namespace_maps_every_id),
    ("time_offsets_move_the_clocks", time_offsets_move_the_clocks),
];

fn a_cgroup_namespace_hides_the_path(machine: &Machine) -> Result<()> {
    // v1 hierarchies of another test may still be there
    let script = "grep ^0:: /proc/self/cgroup";
    let without = Bundle::sh(machine, script)?.remove_namespace("cgroup")?;
    same("control", without.succeed()?, format!("0::/{PARENT}/{}\n", without.id))?;
    let mut with = Bundle::sh(machine, script)?.remove_namespace("cgroup")?;
    with = with.add_namespace("cgroup")?;
    same("hidden", with.succeed()?.as_str(), "0::/\n")
}

fn a_user_namespace_maps_every_id(machine: &Machine) -> Result<()> {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    let script = "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map; echo ready; read line";
    let bundle = Bundle::sh(machine, script)?.add_namespace("user")?;
    let bundle = bundle.set("/linux/uidMappings", map.clone())?.set("/linux/gidMappings", map)?;
    // As engines do: what the container makes in its root belongs to its own root user.
    chown(bundle.rootfs(), Some(100_000), Some(100_000))?;
    let held = bundle.hold()?;
    let owner = std::fs::metadata(format!("/proc/{}", held.pid()?))?;
    same("owner outside", (owner.uid(), owner.gid()), (100_000, 100_000))?;
    let output = held.release()?;
    let words: Vec<&str> = output.out.split_whitespace().collect();
    same("inside", words, vec!["0", "0", "0", "100000", "65536", "0", "100000", "65536", "ready"])
}

fn time_offsets_move_the_clocks(machine: &Machine) -> Result<()> {
    const DAY: u64 = 86_400;
    let offsets = json!({"monotonic": {"secs": 7 * DAY}, "boottime": {"secs": 30 * DAY, "nanosecs": 5}});
    let bundle = Bundle::new(machine, &["/bin/guest", "clocks"])?.add_namespace("time")?;
    let out = bundle.set("/linux/timeOffsets", offsets)?.succeed()?;
    let clocks = out.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let uptime: f64 = read("/proc/uptime")?.split(' ').next().context("no uptime")?.parse()?;
    ensure!(uptime < DAY as f64, "control: the machine has been up for {uptime} s");
    let days: Vec<u64> = clocks.iter().map(|seconds| seconds / DAY).collect();
    same("days since boot, by each clock", days, vec![7, 30])
}
