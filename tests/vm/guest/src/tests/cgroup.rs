//! Resources on cgroup v2 with every controller: the values as the kernel took them, and that they bite.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::Test;
use crate::bundle::{Bundle, Held};
use crate::machine::{Machine, same};

pub const TESTS: &[Test] = &[
    ("memory_limits_are_written", memory_limits_are_written),
    ("memory_beyond_the_limit_kills", memory_beyond_the_limit_kills),
    ("processes_beyond_the_limit_are_refused", processes_beyond_the_limit_are_refused),
    ("cpu_quota_and_period_are_written", cpu_quota_and_period_are_written),
    ("cpu_shares_become_a_weight", cpu_shares_become_a_weight),
    ("a_cpuset_holds_the_process", a_cpuset_holds_the_process),
    ("without_resources_nothing_is_limited", without_resources_nothing_is_limited),
    ("the_cgroup_is_removed_after_the_run", the_cgroup_is_removed_after_the_run),
];

const WAIT: &str = "echo ready; read line";

fn waiting<'a>(machine: &'a Machine, resources: Value) -> Result<Bundle<'a>> {
    Bundle::sh(machine, WAIT)?.set("/linux/resources", resources)
}

/// The files of the container's cgroup hold these values while it runs.
fn holds(held: &Held, values: &[(&str, &str)]) -> Result<()> {
    values.iter().try_for_each(|(name, value)| same(name, held.cgroup_file(name)?.as_str(), *value))
}

/// A container with `resources` has `values` in its cgroup.
fn written(machine: &Machine, resources: Value, values: &[(&str, &str)]) -> Result<()> {
    let bundle = waiting(machine, resources)?;
    let held = bundle.hold()?;
    holds(&held, values)?;
    same("code", held.release()?.code, 0)
}

/// `swap` of the spec is memory and swap together; the kernel's file is swap alone.
fn memory_limits_are_written(machine: &Machine) -> Result<()> {
    const MIB: u64 = 1 << 20;
    let memory = json!({"memory": {"limit": 64 * MIB, "swap": 96 * MIB, "reservation": 16 * MIB}});
    written(
        machine,
        memory,
        &[("memory.max", "67108864"), ("memory.swap.max", "33554432"), ("memory.low", "16777216")],
    )?;
    written(
        machine,
        json!({"memory": {"limit": -1, "swap": -1}}),
        &[("memory.max", "max"), ("memory.swap.max", "max")],
    )
}

fn memory_beyond_the_limit_kills(machine: &Machine) -> Result<()> {
    for (mebibytes, code, said) in [("16", 0, "has 16 MiB\n"), ("128", 137, "")] {
        let bundle = Bundle::new(machine, &["/bin/guest", "memory", mebibytes])?;
        let output = bundle.set("/linux/resources/memory", json!({"limit": 48 << 20}))?.run()?;
        ensure!((output.code, output.out.as_str()) == (code, said), "{mebibytes} MiB: {output:?}");
    }
    Ok(())
}

/// One of the limit is the process that starts the others.
fn processes_beyond_the_limit_are_refused(machine: &Machine) -> Result<()> {
    let said = |limit: u64| {
        let bundle = Bundle::new(machine, &["/bin/guest", "processes", "40"])?;
        bundle.set("/linux/resources/pids", json!({"limit": limit}))?.succeed()
    };
    same("control", said(60)?.as_str(), "started 40\n")?;
    let bounded = said(10)?;
    ensure!(bounded.starts_with("stopped by ") && bounded.ends_with("\nstarted 9\n"), "{bounded}");
    written(machine, json!({"pids": {"limit": 10}}), &[("pids.max", "10")])
}

fn cpu_quota_and_period_are_written(machine: &Machine) -> Result<()> {
    written(machine, json!({"cpu": {"quota": 25000, "period": 50000}}), &[("cpu.max", "25000 50000")])?;
    written(machine, json!({"cpu": {"quota": 30000}}), &[("cpu.max", "30000 100000")])?;
    written(machine, json!({"cpu": {"quota": -1, "period": 50000}}), &[("cpu.max", "max 50000")])
}

/// The conversion of runc since 1.3.2 and of newer crun, through (2, 1), (1024, 100) and (262144, 10000):
/// weight = ceil(10 ^ ((l^2 + 125 l) / 612 - 7 / 34)), where l is the binary logarithm of the shares.
fn cpu_shares_become_a_weight(machine: &Machine) -> Result<()> {
    for (shares, weight) in
        [(2, "1"), (512, "59"), (1024, "100"), (2000, "170"), (22_000, "1204"), (262_144, "10000")]
    {
        written(machine, json!({"cpu": {"shares": shares}}), &[("cpu.weight", weight)])?;
    }
    Ok(())
}

fn a_cpuset_holds_the_process(machine: &Machine) -> Result<()> {
    let allowed = |resources: Value| {
        let bundle = Bundle::sh(machine, "grep Cpus_allowed_list /proc/self/status")?;
        bundle.set("/linux/resources", resources)?.succeed()
    };
    same("control", allowed(json!({}))?.as_str(), "Cpus_allowed_list:\t0-1\n")?;
    same(
        "one of two",
        allowed(json!({"cpu": {"cpus": "1", "mems": "0"}}))?.as_str(),
        "Cpus_allowed_list:\t1\n",
    )?;
    written(
        machine,
        json!({"cpu": {"cpus": "1", "mems": "0"}}),
        &[("cpuset.cpus", "1"), ("cpuset.mems", "0")],
    )
}

/// The control of all that is above. A controller that nobody asked for need not be there.
fn without_resources_nothing_is_limited(machine: &Machine) -> Result<()> {
    let defaults = [
        ("memory.max", "max"),
        ("memory.low", "0"),
        ("pids.max", "max"),
        ("cpu.max", "max 100000"),
        ("cpu.weight", "100"),
        ("cpuset.cpus", ""),
    ];
    let bundle = waiting(machine, json!({}))?;
    let held = bundle.hold()?;
    for (name, value) in defaults {
        if bundle.cgroup().join(name).exists() {
            same(name, held.cgroup_file(name)?.as_str(), value)?;
        }
    }
    same("code", held.release()?.code, 0)
}

fn the_cgroup_is_removed_after_the_run(machine: &Machine) -> Result<()> {
    let bundle = waiting(machine, json!({"pids": {"limit": 10}}))?;
    let held = bundle.hold()?;
    ensure!(bundle.cgroup().is_dir(), "there is none while it runs");
    same("code", held.release()?.code, 0)?;
    ensure!(!fs::exists(bundle.cgroup())?, "it is still there");
    Ok(())
}
