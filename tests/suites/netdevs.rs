//! Network devices that go into the container. Each test has a network namespace of its own, with veth pairs in it, so the
//! machine's network is never touched.

use hull_tests::holder::{PLAIN, map_users};
use hull_tests::{Bundle, Host, Output, json, suite};

suite!(
    a_device_is_moved_and_comes_up,
    a_device_is_renamed_on_the_way,
    several_devices_are_moved,
    global_permanent_addresses_are_kept,
    other_addresses_are_left,
    a_name_that_is_taken_inside_is_refused_before_anything_moves,
    a_template_gets_the_first_free_number,
    a_template_may_stand_within_a_name,
    a_device_that_is_not_there_is_refused,
    a_device_that_cannot_leave_is_refused,
    without_a_network_namespace_it_is_refused,
    in_the_callers_own_network_namespace_it_is_refused,
    a_user_namespace_changes_nothing,
    a_joined_network_namespace_gets_the_device_and_keeps_it,
    a_virtual_device_ends_with_its_namespace,
    names_that_no_device_can_have_are_refused,
    without_rights_it_is_refused,
    loopback_comes_up_beside_it
);

/// With devices `v0` and `w0` (the other ends `v1` and `w1` stay outside), and what `setup` does.
fn on_net(bundle: &Bundle, setup: &str) -> Output {
    on_net_after(bundle, setup, "")
}

/// The same, with a script at the end that sees what is left outside.
fn on_net_after(bundle: &Bundle, setup: &str, after: &str) -> Output {
    let script = format!(
        "set -e; ip link add v0 type veth peer name v1; ip link add w0 type veth peer name w1; {setup}\n\
         code=0; \"$@\" || code=$?; {after}\nexit $code"
    );
    bundle.on(Host::machine()).under(&["unshare", "--net", "sh", "-c", &script, "sh"]).output()
}

fn moving(devices: hull_tests::Value, script: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.set("/linux/netDevices", devices);
    bundle
}

const LINKS: &str = "busybox ip -o link | sed 's/^[0-9]*: //;s/@[^:]*//' | cut -d: -f1; ";

fn a_device_is_moved_and_comes_up() {
    let script = format!("{LINKS} busybox ip -o link show v0");
    let output = on_net_after(&moving(json!({"v0": {}}), &script), "", "ip -o link show >&2");
    let text = output.out();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["lo", "v0"], "{}", output.show());
    assert!(lines[2].contains(",UP") || lines[2].contains("<UP"), "{}", lines[2]);
    assert!(!output.err().contains(" v0@") && output.err().contains("w0@"), "{}", output.show());
}

fn a_device_is_renamed_on_the_way() {
    let output = on_net(&moving(json!({"v0": {"name": "eth0"}}), LINKS), "");
    assert_eq!(output.lines(), ["lo", "eth0"]);
    // a device that was up is moved as well, and one whose name is the longest
    let bundle = moving(json!({"v0": {"name": "abcdefghijklmno"}}), LINKS);
    assert_eq!(on_net(&bundle, "ip link set v0 up").lines(), ["lo", "abcdefghijklmno"]);
    // the name outside may be one that is taken inside
    let bundle = moving(json!({"v0": {"name": "w0"}, "w0": {"name": "v0"}}), LINKS);
    let mut lines = on_net(&bundle, "").lines();
    lines.sort();
    assert_eq!(lines, ["lo", "v0", "w0"]);
}

fn several_devices_are_moved() {
    let output = on_net(&moving(json!({"w0": {"name": "a"}, "v0": {}, "v1": {"name": "b"}}), LINKS), "");
    let mut lines = output.lines();
    lines.sort();
    assert_eq!(lines, ["a", "b", "lo", "v0"]);
}

const ADDRESSES: &str = "busybox ip -o addr show dev eth0 | awk '{print $3, $4, $5, $6}' | grep -v fe80";

fn global_permanent_addresses_are_kept() {
    let setup = "ip addr add 192.0.2.7/24 dev v0; ip addr add 198.51.100.1/32 peer 198.51.100.9 dev v0; \
                 ip addr add 2001:db8::7/64 dev v0 nodad; ip link set v0 up; ip addr add 203.0.113.5/16 dev w0";
    let bundle = moving(json!({"v0": {"name": "eth0"}}), "busybox ip -o addr show dev eth0");
    let output = on_net(&bundle, setup);
    let text = output.text();
    assert!(text.contains("inet 192.0.2.7/24"), "{}", output.show());
    assert!(text.contains("inet 198.51.100.1 peer 198.51.100.9"), "{}", output.show());
    assert!(text.contains("inet6 2001:db8::7/64"), "{}", output.show());
    assert!(!text.contains("203.0.113.5") && !text.contains(" v0"), "{}", output.show());
    let bundle = moving(json!({"v0": {"name": "eth0"}}), ADDRESSES);
    assert_eq!(on_net(&bundle, setup).lines().len(), 3);
}

fn other_addresses_are_left() {
    // of link scope; with a lifetime
    let setup = "ip addr add 198.51.100.7/24 dev v0 scope link; \
                 ip addr add 192.0.2.9/24 dev v0 valid_lft 1000 preferred_lft 900; ip addr add 192.0.2.10/24 dev v0";
    let output = on_net(&moving(json!({"v0": {"name": "eth0"}}), ADDRESSES), setup);
    assert_eq!(output.lines().len(), 1, "{}", output.show());
    assert!(output.text().contains("192.0.2.10/24"), "{}", output.show());
}

fn a_name_that_is_taken_inside_is_refused_before_anything_moves() {
    for devices in [json!({"v0": {"name": "lo"}}), json!({"v0": {"name": "e"}, "w0": {"name": "e"}})] {
        let output = on_net_after(&moving(devices, "true"), "", "ip -o link >&2");
        output.exits(1);
        assert!(
            output.err().contains("network device") && output.err().contains("EEXIST"),
            "{}",
            output.show()
        );
        assert!(output.err().contains("w0@w1"), "{}", output.show());
    }
    let output = on_net_after(&moving(json!({"v0": {"name": "lo"}}), "true"), "", "ip -o link >&2");
    assert!(output.err().contains("v0@v1"), "{}", output.show());
}

fn a_template_gets_the_first_free_number() {
    let bundle = moving(json!({"v0": {"name": "eth%d"}, "w0": {"name": "eth%d"}}), LINKS);
    let mut lines = on_net(&bundle, "").lines();
    lines.sort();
    assert_eq!(lines, ["eth0", "eth1", "lo"]);
}

fn a_template_may_stand_within_a_name() {
    assert_eq!(on_net(&moving(json!({"v0": {"name": "a%db"}}), LINKS), "").lines(), ["lo", "a0b"]);
}

fn a_device_that_is_not_there_is_refused() {
    on_net(&moving(json!({"nope": {}}), "true"), "").refuses(&["network device", "nope", "ENODEV"]);
}

fn a_device_that_cannot_leave_is_refused() {
    on_net(&moving(json!({"lo": {"name": "x"}}), "true"), "").refuses(&["network device", "lo", "EINVAL"]);
}

fn without_a_network_namespace_it_is_refused() {
    let bundle = moving(json!({"v0": {}}), "true");
    bundle.namespaces(&["pid", "mount", "ipc", "uts", "cgroup"]).no_mount("/sys");
    on_net(&bundle, "").refuses(&["linux.netDevices", "without a NET namespace"]);
    // Control: without the device it runs.
    bundle.remove("/linux/netDevices");
    on_net(&bundle, "").exits(0);
}

fn in_the_callers_own_network_namespace_it_is_refused() {
    let bundle = moving(json!({"v0": {}}), "true");
    bundle.namespaces(&["pid", "mount", "ipc", "uts", "cgroup"]);
    bundle.push("/linux/namespaces", json!({"type": "network", "path": "/proc/self/ns/net"}));
    on_net(&bundle, "").refuses(&["linux.netDevices", "without a NET namespace"]);
}

fn a_user_namespace_changes_nothing() {
    let bundle = moving(json!({"v0": {"name": "eth0"}}), &format!("{LINKS}{ADDRESSES}"));
    bundle.namespaces(&[&PLAIN[..], &["user"]].concat());
    map_users(&bundle, 100_000);
    let output = on_net(&bundle, "ip addr add 192.0.2.7/24 dev v0");
    assert_eq!(output.lines()[..2], ["lo", "eth0"], "{}", output.show());
    assert!(output.text().contains("192.0.2.7/24"), "{}", output.show());
}

fn a_joined_network_namespace_gets_the_device_and_keeps_it() {
    let bundle = moving(json!({"v0": {"name": "eth0"}}), &format!("{LINKS}{ADDRESSES}"));
    bundle.namespaces(&["pid", "mount", "ipc", "uts", "cgroup"]).no_mount("/sys");
    let file = bundle.dir.join("netns");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    bundle.push("/linux/namespaces", json!({"type": "network", "path": file}));
    let setup = format!(
        "ip addr add 192.0.2.7/24 dev v0; mount --make-rprivate /; \
         unshare --net sh -c 'mount --bind /proc/self/ns/net {file}'"
    );
    let after = format!("nsenter --net={file} ip -o addr show dev eth0 >&2; umount {file}");
    let script = format!(
        "set -e; ip link add v0 type veth peer name v1; {setup}\ncode=0; \"$@\" || code=$?; {after}\nexit $code"
    );
    let output = bundle
        .on(Host::machine())
        .under(&["unshare", "--net", "--mount", "sh", "-c", &script, "sh"])
        .output();
    output.exits(0);
    assert!(output.out().starts_with("lo\neth0\n"), "{}", output.show());
    assert!(output.err().contains("192.0.2.7/24"), "{}", output.show());
}

fn a_virtual_device_ends_with_its_namespace() {
    // the pair ends with one of its two
    let after = "for i in 1 2 3 4 5 6 7 8 9 10; do ip link show v1 >/dev/null 2>&1 || break; sleep 0.3; done; \
                 ip link show v1 >&2 || true";
    let output = on_net_after(&moving(json!({"v0": {}}), "true"), "", after);
    assert!(output.err().contains("does not exist"), "{}", output.show());
}

fn names_that_no_device_can_have_are_refused() {
    for name in ["a b", "a/b", "a:b", "..", "abcdefghijklmnop"] {
        let bundle = moving(json!({"v0": {"name": name}}), "true");
        on_net(&bundle, "").refuses(&["linux.netDevices", "network device"]);
        on_net(&moving(json!({name: {}}), "true"), "").refuses(&["linux.netDevices", "network device"]);
    }
    // a template whose number makes it too long
    on_net(&moving(json!({"v0": {"name": "abcdefghijklm%d"}}), LINKS), "").exits(0);
}

fn without_rights_it_is_refused() {
    let bundle = moving(json!({"v0": {}}), "true");
    let output = bundle
        .on(Host::machine())
        .under(&["unshare", "--net", "sh", "-c",
            "ip link add v0 type veth peer name v1; exec setpriv --bounding-set=-net_admin --inh-caps=-net_admin \"$@\"", "sh"])
        .output();
    output.refuses(&["network device", "v0", "EPERM"]);
}

fn loopback_comes_up_beside_it() {
    let output = on_net(&moving(json!({"v0": {}}), "busybox ip -o link show lo"), "");
    assert!(output.text().contains("UP"), "{}", output.show());
}
