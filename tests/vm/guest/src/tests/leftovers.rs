//! What is left on the machine after containers have come and gone.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::Test;
use crate::bundle::{Bundle, PARENT};
use crate::machine::{CGROUPS, Machine, names, read, same};

pub const TESTS: &[Test] = &[("many_runs_leave_nothing", many_runs_leave_nothing)];

const RUNS: usize = 64;

/// All that a run could leave behind.
#[derive(Debug, PartialEq)]
struct Traces {
    cgroups: BTreeSet<String>,
    state: BTreeSet<String>,
    mounts: String,
    processes: BTreeSet<String>,
}

fn traces(machine: &Machine) -> Result<Traces> {
    let is_process = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
    let is_kernels = |name: &String| read(format!("/proc/{name}/cmdline")).is_ok_and(|line| line.is_empty());
    Ok(Traces {
        cgroups: names(Path::new(CGROUPS).join(PARENT)),
        state: names(machine.state()),
        mounts: read("/proc/self/mountinfo")?,
        // Threads of the kernel come and go by themselves; a zombie would look like one, but its runtime has reaped it.
        processes: names("/proc").into_iter().filter(|name| is_process(name) && !is_kernels(name)).collect(),
    })
}

fn many_runs_leave_nothing(machine: &Machine) -> Result<()> {
    let limits = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 32}});
    let bundle = Bundle::new(machine, &["/bin/true"])?.set("/linux/resources", limits)?;
    let waiting = Bundle::sh(machine, "echo ready; read line")?;
    bundle.succeed()?;
    let before = traces(machine)?;
    for _ in 0..RUNS {
        bundle.succeed()?;
    }
    same("after the runs", traces(machine)?, before)?;

    let before = traces(machine)?;
    let held = waiting.hold()?;
    let during = traces(machine)?;
    same("code", held.release()?.code, 0)?;
    for (what, differs) in
        [("cgroup", during.cgroups != before.cgroups), ("process", during.processes != before.processes)]
    {
        anyhow::ensure!(differs, "control: no {what} of a running container is seen");
    }
    Ok(())
}
