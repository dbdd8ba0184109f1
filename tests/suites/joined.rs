//! Namespaces that are joined by path: of every kind, alone and in mixes with new ones beside them, and what is refused.

use hull_tests::holder::{
    Holder, KINDS, PLAIN, check_links, join, links_script, map_users, others, own, seen,
};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, json, suite};
use libtest_mimic::Trial;
use nix::libc::ENOSYS;
use std::fs;
use std::os::fd::AsRawFd;

suite!(
    a_joined_user_namespace_owns_what_is_new_beside_it,
    everything_of_another_container_is_joined_at_once,
    a_new_user_namespace_stands_beside_joined_ones,
    the_joined_user_namespaces_mappings_may_be_repeated,
    other_mappings_than_the_joined_user_namespaces_are_refused,
    the_callers_own_network_may_be_joined,
    a_path_that_is_not_there_is_refused,
    a_path_that_is_not_absolute_is_refused,
    a_path_of_something_else_is_refused,
    a_fifo_in_the_place_of_a_namespace_is_refused,
    a_namespace_of_another_kind_is_refused,
    a_pid_namespace_whose_first_process_has_ended_is_refused,
    the_callers_own_mount_namespace_is_refused,
    a_sysctl_in_the_callers_own_namespace_is_refused,
    a_hostname_in_the_callers_own_namespace_is_refused,
    offsets_for_a_joined_time_namespace_are_refused;
    each_kind_is_joined,
    each_kind_is_joined_without_clone3
);

fn joins_by_run(host: &Host, kind: &str) {
    let holder = Holder::holding(kind);
    let new = others(&[kind]);
    let bundle = Bundle::sh(&links_script());
    join(&bundle, &holder, &[kind], &new);
    check_links(&bundle.on(host.clone()).output().lines(), &holder, &[kind], &new);
    // Control: the same config without the path.
    bundle.namespaces(&[&new[..], &[kind]].concat());
    if kind == "user" {
        map_users(&bundle, 100_000);
    }
    assert_ne!(seen(&bundle.run().lines(), kind), holder.link(kind));
    holder.end();
}

fn each_kind_is_joined() -> Vec<Trial> {
    KINDS
        .map(|(kind, ..)| {
            case(format!("a_{kind}_namespace_is_joined"), move || joins_by_run(&Host::machine(), kind))
        })
        .into()
}

fn each_kind_is_joined_without_clone3() -> Vec<Trial> {
    let host = Host::machine().without(&[("clone3", ENOSYS)]);
    KINDS
        .iter()
        .map(|(kind, ..)| {
            let host = host.clone();
            case(format!("without_clone3_a_{kind}_namespace_is_joined"), move || joins_by_run(&host, kind))
        })
        .collect()
}

/// A bundle that tells its namespaces; what belongs to the host's can't be mounted anew from a user namespace.
fn telling(holder: &Holder, joined: &[&str], new: &[&str]) -> Bundle {
    let bundle = Bundle::sh(&links_script());
    join(&bundle, holder, joined, new);
    bundle.no_mount("/sys/fs/cgroup");
    bundle
}

fn a_joined_user_namespace_owns_what_is_new_beside_it() {
    let holder = Holder::with_users();
    let bundle = telling(&holder, &["user"], &PLAIN);
    check_links(&bundle.run().lines(), &holder, &["user"], &PLAIN);
    holder.end();
}

fn everything_of_another_container_is_joined_at_once() {
    let holder = Holder::with_users();
    let joined = ["user", "network", "ipc", "uts", "pid", "cgroup"];
    let bundle = telling(&holder, &joined, &["mount"]);
    check_links(&bundle.run().lines(), &holder, &joined, &["mount"]);
    holder.end();
}

fn a_new_user_namespace_stands_beside_joined_ones() {
    let joined = ["network", "ipc", "uts"];
    let holder = Holder::of(&joined);
    let bundle = telling(&holder, &joined, &["pid", "mount", "user"]);
    map_users(&bundle, 200_000);
    // they belong to the host's user namespace
    bundle.no_mount("/sys").no_mount("/dev/mqueue");
    check_links(&bundle.run().lines(), &holder, &joined, &["pid", "mount", "user"]);
    holder.end();
}

fn the_joined_user_namespaces_mappings_may_be_repeated() {
    let holder = Holder::with_users();
    let bundle = telling(&holder, &["user"], &PLAIN);
    map_users(&bundle, 100_000);
    check_links(&bundle.run().lines(), &holder, &["user"], &PLAIN);
    holder.end();
}

fn other_mappings_than_the_joined_user_namespaces_are_refused() {
    let holder = Holder::with_users();
    let bundle = telling(&holder, &["user"], &PLAIN);
    map_users(&bundle, 300_000);
    bundle.run().refuses(&["uid_map", "has other mappings"]);
    holder.end();
}

/// A bundle with one kind at this path, the rest new.
fn at(kind: &str, path: &str) -> Bundle {
    let bundle = Bundle::sh(&links_script());
    bundle.namespaces(&others(&[kind])).push("/linux/namespaces", json!({"type": kind, "path": path}));
    if kind == "uts" {
        bundle.remove("/hostname");
    }
    bundle
}

fn the_callers_own_network_may_be_joined() {
    assert_eq!(seen(&at("network", "/proc/self/ns/net").run().lines(), "network"), own("network"));
}

fn a_path_that_is_not_there_is_refused() {
    for (kind, ..) in KINDS {
        at(kind, "/nowhere/ns").run().refuses(&[kind, "/nowhere/ns", "no such file or directory"]);
    }
}

fn a_path_that_is_not_absolute_is_refused() {
    at("network", "relative/path").run().refuses(&["linux.namespaces", "an absolute path"]);
}

const WRONG: &str = "must be that of a namespace of this kind";

fn a_path_of_something_else_is_refused() {
    for (kind, ..) in KINDS {
        for path in ["/etc/passwd", "/dev/null"] {
            at(kind, path).run().refuses(&[kind, path, WRONG]);
        }
    }
    at("network", "/etc").run().refuses(&["network", "/etc"]);
}

fn a_fifo_in_the_place_of_a_namespace_is_refused() {
    let bundle = at("network", "/dev/null");
    let fifo = bundle.dir.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let last = bundle.get("/linux/namespaces").as_array().expect("a list").len() - 1;
    bundle.set(&format!("/linux/namespaces/{last}/path"), json!(fifo));
    bundle.run().refuses(&["fifo", WRONG]);
}

fn a_namespace_of_another_kind_is_refused() {
    let holder = Holder::of(&["network", "uts"]);
    for (kind, ..) in KINDS {
        let other = if kind == "network" { "uts" } else { "network" };
        let path = holder.path(other);
        at(kind, &path).run().refuses(&[kind, &path, WRONG]);
    }
    holder.end();
}

fn a_pid_namespace_whose_first_process_has_ended_is_refused() {
    let holder = Holder::of(&["pid"]);
    // An open file keeps the namespace when its processes are gone.
    let kept = fs::File::open(holder.path("pid")).expect("the namespace");
    holder.end();
    let path = format!("/proc/{}/fd/{}", std::process::id(), kept.as_raw_fd());
    at("pid", &path).run().refuses(&["ENOMEM", "has the first process of the joined pid namespace ended?"]);
}

/// A namespace of this process, which is that of hull too.
fn of_the_caller(name: &str) -> String {
    format!("/proc/{}/ns/{name}", std::process::id())
}

fn the_callers_own_mount_namespace_is_refused() {
    at("mount", &of_the_caller("mnt")).run().refuses(&["linux.namespaces: no \"mount\" namespace"]);
}

fn a_sysctl_in_the_callers_own_namespace_is_refused() {
    let bundle = at("network", &of_the_caller("net"));
    bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    bundle.run().refuses(&["net.ipv4.ip_forward", "the host's own network namespace"]);
}

fn a_hostname_in_the_callers_own_namespace_is_refused() {
    let bundle = at("uts", &of_the_caller("uts"));
    bundle.run().succeeds();
    bundle.set("/hostname", json!("stolen"));
    bundle.run().refuses(&["hostname", "the host's own uts namespace"]);
}

fn offsets_for_a_joined_time_namespace_are_refused() {
    let holder = Holder::of(&["time"]);
    let bundle = Bundle::sh("true");
    join(&bundle, &holder, &["time"], &others(&["time"]));
    bundle.run().succeeds();
    bundle.set("/linux/timeOffsets", json!({"monotonic": {"secs": 5}}));
    bundle.run().refuses(&["linux.timeOffsets"]);
    holder.end();
}
