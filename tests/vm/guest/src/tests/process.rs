//! The process of a container: how its end is told, and what only a fully privileged runtime can give it.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process};
use serde_json::json;

use crate::Test;
use crate::bundle::Bundle;
use crate::machine::{Machine, read, same};

pub const TESTS: &[Test] = &[
    ("the_exit_code_is_passed_on", the_exit_code_is_passed_on),
    ("a_signal_is_told_as_128_more", a_signal_is_told_as_128_more),
    ("a_missing_program_is_named", a_missing_program_is_named),
    ("a_hard_limit_is_raised", a_hard_limit_is_raised),
    ("oom_score_adj_is_lowered", oom_score_adj_is_lowered),
    ("orphans_are_reaped_by_the_machines_init", orphans_are_reaped_by_the_machines_init),
];

fn the_exit_code_is_passed_on(machine: &Machine) -> Result<()> {
    for code in [0, 1, 42, 126, 255] {
        same("code", Bundle::sh(machine, &format!("exit {code}"))?.run()?.code, code)?;
    }
    Ok(())
}

/// From inside, where its own pid namespace would protect the first process, and from outside, where KILL always works.
fn a_signal_is_told_as_128_more(machine: &Machine) -> Result<()> {
    for (name, code) in [("TERM", 143), ("ABRT", 134), ("KILL", 137)] {
        let bundle = Bundle::sh(machine, &format!("kill -{name} $$; sleep 1000"))?.remove_namespace("pid")?;
        same(name, bundle.run()?.code, code)?;
    }
    let bundle = Bundle::sh(machine, "echo ready; read line")?;
    let held = bundle.hold()?;
    let pid = Pid::from_raw(held.pid()?.parse()?).context("no process")?;
    kill_process(pid, Signal::KILL)?;
    same("from outside", held.release()?.code, 137)
}

fn a_missing_program_is_named(machine: &Machine) -> Result<()> {
    let output = Bundle::new(machine, &["no-such-program"])?.run()?;
    ensure!(output.code == 1, "{output:?}");
    ensure!(
        output.err.contains("no-such-program") && output.err.contains("executable file not found in $PATH"),
        "{output:?}"
    );
    Ok(())
}

fn a_hard_limit_is_raised(machine: &Machine) -> Result<()> {
    let own = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let wanted = own + 1000;
    let limit = json!([{"type": "RLIMIT_NOFILE", "soft": wanted - 1, "hard": wanted}]);
    let bundle = Bundle::sh(machine, "ulimit -Sn; ulimit -Hn")?.set("/process/rlimits", limit)?;
    same("limits", bundle.succeed()?, format!("{}\n{wanted}\n", wanted - 1))
}

fn oom_score_adj_is_lowered(machine: &Machine) -> Result<()> {
    same("the machine's", read("/proc/self/oom_score_adj")?.as_str(), "0")?;
    let bundle =
        Bundle::sh(machine, "cat /proc/self/oom_score_adj")?.set("/process/oomScoreAdj", json!(-500))?;
    same("the container's", bundle.succeed()?.as_str(), "-500\n")
}

fn orphans_are_reaped_by_the_machines_init(_: &Machine) -> Result<()> {
    let script = "sleep 0.2 >/dev/null & echo $!";
    let said = std::process::Command::new("/bin/busybox").args(["sh", "-c", script]).output()?.stdout;
    let orphan = format!("/proc/{}", String::from_utf8(said)?.trim_end());
    // Whoever never reaps it makes the harness's limit end this.
    while std::fs::exists(&orphan)? {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}
