//! Device rules, held by an eBPF program on cgroup v2.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::Test;
use crate::bundle::Bundle;
use crate::machine::{Machine, same};

pub const TESTS: &[Test] = &[
    ("a_device_without_a_rule_is_refused", a_device_without_a_rule_is_refused),
    ("a_rule_allows_its_device_and_its_access_only", a_rule_allows_its_device_and_its_access_only),
    ("the_default_devices_work", the_default_devices_work),
];

/// A container that makes the node of /dev/kmsg and runs `script`. Its capabilities and mode bits would let it.
fn with_kmsg<'a>(machine: &'a Machine, rules: Value, script: &str) -> Result<Bundle<'a>> {
    let script = format!("mknod /dev/node c 1 11 && {script}");
    let bundle = Bundle::sh(machine, &script)?.add_capability("CAP_MKNOD")?.add_capability("CAP_SYSLOG")?;
    bundle.set("/linux/resources/devices", rules)
}

const DENY_ALL: &str = r#"{"allow": false, "access": "rwm"}"#;

fn rules(further: &[Value]) -> Result<Value> {
    let mut all = vec![serde_json::from_str(DENY_ALL)?];
    all.extend_from_slice(further);
    Ok(Value::Array(all))
}

fn a_device_without_a_rule_is_refused(machine: &Machine) -> Result<()> {
    const EPERM: &str = "errno 1\n";
    same(
        "refused",
        with_kmsg(machine, rules(&[])?, "/bin/guest open /dev/node")?.succeed()?.as_str(),
        EPERM,
    )?;
    let allowed = rules(&[json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rm"})])?;
    same("control", with_kmsg(machine, allowed, "/bin/guest open /dev/node")?.succeed()?.as_str(), "opened\n")
}

fn a_rule_allows_its_device_and_its_access_only(machine: &Machine) -> Result<()> {
    let script = "/bin/guest open /dev/node; (echo text >/dev/node) 2>&1; true";
    let rule = |access: &str| {
        rules(&[json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": access})])
    };
    let out = with_kmsg(machine, rule("r")?, script)?.succeed()?;
    ensure!(out.starts_with("opened\n") && out.contains("Operation not permitted"), "{out}");
    let out = with_kmsg(machine, rule("w")?, script)?.succeed()?;
    same("writing only", out.as_str(), "errno 1\n")
}

fn the_default_devices_work(machine: &Machine) -> Result<()> {
    let script = "echo text >/dev/null && cat </dev/null && for name in zero full random urandom tty; do
        /bin/guest open /dev/$name; done";
    let bundle = Bundle::sh(machine, script)?.set("/linux/resources/devices", rules(&[])?)?;
    // ENXIO from /dev/tty: the rule let it through, there is only no terminal.
    same("opened", bundle.succeed()?.as_str(), "opened\nopened\nopened\nopened\nerrno 6\n")
}
