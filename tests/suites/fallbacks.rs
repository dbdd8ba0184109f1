//! Older and stricter kernels: with newer system calls blocked a container comes out the same, or the run is refused
//! in one clear line where carrying on would weaken it.
//!
//! `HULL_LONG` tries every errno for every call, and every pair of calls.

use hull_tests::host::filter;
use hull_tests::run::Output;
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, facts, json, suite};
use libtest_mimic::Trial;
use nix::libc::{EACCES, EINVAL, ENOSYS, EOPNOTSUPP, EPERM};
use std::fs;

suite!(
    the_filter_is_in_force_inside,
    the_facts_tell_two_different_containers_apart,
    without_any_newer_call_the_container_is_the_same,
    without_any_newer_call_a_recursive_read_only_bind_is_complete,
    without_any_newer_call_a_link_in_the_rootfs_leads_nowhere,
    without_any_newer_call_descriptors_stay_outside,
    without_bpf_device_rules_on_cgroup2_are_refused,
    without_keyctl_the_run_goes_on_or_says_so;
    each_call_blocked,
    the_long_campaign
);

/// Calls that some kernel since 4.9, or some sandbox, does not have.
const CALLS: [&str; 16] = [
    "clone3",
    "openat2",
    "mount_setattr",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "close_range",
    "memfd_create",
    "pidfd_open",
    "pidfd_send_signal",
    "statx",
    "faccessat2",
    "signalfd4",
    "getrandom",
];

/// Those that came after Linux 4.9.
const NEWER: [&str; 14] = [
    "clone3",
    "openat2",
    "mount_setattr",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "close_range",
    "pidfd_open",
    "pidfd_send_signal",
    "statx",
    "faccessat2",
    "bpf",
];

const SCRIPT: &str = "exec 2>&1; id; umask; pwd; hostname; cat /proc/self/status | grep -E '^(Cap|SigB|SigI|NoNew|Groups)'; \
    cat /proc/self/limits | grep -E 'open files'; /probe fds; ls -A /dev; stat -c '%n %F %t:%T %a %u:%g' /dev/* /srv /data /data/*; \
    cat /proc/sys/net/ipv4/ip_forward; touch /srv/x; touch /srv/sub/x; cat /etc/secret; touch /x; \
    touch /etc/frozen/x; cat /data/file; for ns in pid net ipc uts mnt cgroup; do readlink /proc/self/ns/$ns | grep -c :; done; \
    echo ---; cat /proc/self/mountinfo; exit 0";

/// A container that uses much of what has more than one way.
fn rich() -> Bundle {
    let bundle = Bundle::sh(SCRIPT);
    bundle.file("/data/file", 0o640, "copied up\n").file("/etc/secret", 0o644, "secret\n").file(
        "/etc/frozen/y",
        0o644,
        "",
    );
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000, "additionalGids": [7, 8], "umask": 0o27}));
    bundle.capabilities(
        &["CAP_NET_RAW", "CAP_CHOWN"],
        &["bounding", "effective", "permitted", "inheritable", "ambient"],
    );
    bundle.set("/process/cwd", json!("/tmp")).set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    bundle.mount("/data", "tmpfs", "tmpfs", &["nosuid", "tmpcopyup", "mode=755"]);
    bundle
        .push("/linux/maskedPaths", json!("/etc/secret"))
        .push("/linux/readonlyPaths", json!("/etc/frozen"));
    fs::create_dir_all(bundle.beside("source").join("sub")).unwrap();
    bundle.push(
        "/linux/devices",
        json!({"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "fileMode": 0o604}),
    );
    bundle
}

/// On this host, with a mount below the source of a recursive bind.
fn run(bundle: &Bundle, host: Host) -> Output {
    let source = bundle.dir.join("source");
    let sub = source.join("sub");
    let host = host.private().mount("submount", sub.to_str().unwrap(), "tmpfs", 0, "");
    if !bundle.get("/mounts").to_string().contains("\"/srv\"") {
        bundle.mount("/srv", "bind", source.to_str().unwrap(), &["rbind", "rro", "rnosuid"]);
    }
    bundle.on(host).output()
}

/// What must be the same: everything but numbers that the kernel hands out anew.
fn normal(bundle: &Bundle, output: &Output) -> Vec<String> {
    let text = output.text().replace(bundle.dir.to_str().unwrap(), "BUNDLE").replace(&bundle.id, "ID");
    let (lines, mounts) = text.split_once("---\n").expect("two parts");
    let mut all: Vec<String> = lines.lines().map(str::to_owned).collect();
    for mount in facts::mounts(mounts) {
        let (options, data) = (mount.options.join(","), mount.super_options.join(","));
        let tags: Vec<&str> = mount.propagation.iter().filter_map(|tag| tag.split(':').next()).collect();
        all.push(format!(
            "{} {} {} {options} {tags:?} {data} {}",
            mount.target, mount.kind, mount.root, mount.source
        ));
    }
    all
}

fn expected(host: &Host) -> Vec<String> {
    let bundle = rich();
    let output = run(&bundle, host.clone());
    normal(&bundle, &output)
}

#[track_caller]
fn same(host: &Host, blocked: &[(&str, i32)]) {
    let wanted = expected(host);
    let bundle = rich();
    let output = run(&bundle, host.clone().without(blocked));
    let seen = normal(&bundle, &output);
    let differences: Vec<_> = seen.iter().zip(&wanted).filter(|(one, other)| one != other).collect();
    assert!(
        differences.is_empty() && seen.len() == wanted.len(),
        "{} facts for {}: {differences:?}",
        seen.len(),
        wanted.len()
    );
}

fn the_filter_is_in_force_inside() {
    for (call, errno, name) in
        [("openat2", ENOSYS, "ENOSYS"), ("clone3", EPERM, "EPERM"), ("statx", EINVAL, "EINVAL")]
    {
        let bundle = Bundle::probe(&["syscall", &filter::number(call).to_string(), "-1", "0", "0", "0", "0"]);
        assert_eq!(bundle.on(Host::machine().without(&[(call, errno)])).output().text(), name);
        // Control.
        let free = bundle.run().text();
        assert_ne!((call, free.as_str()), (call, "ENOSYS"));
    }
}

fn the_facts_tell_two_different_containers_apart() {
    let wanted = expected(&Host::machine());
    let changes = [
        ("/linux/maskedPaths", json!([])),
        ("/process/user/umask", json!(0)),
        ("/mounts/7/options", json!(["nodev"])),
        ("/root/readonly", json!(false)),
    ];
    for (pointer, value) in changes {
        let bundle = rich();
        bundle.set(pointer, value);
        let output = run(&bundle, Host::machine());
        assert_ne!(normal(&bundle, &output), wanted);
    }
}

fn older(host: Host) -> Host {
    // bpf stays: on cgroup v2 there is no other way to have device rules.
    host.without(
        &NEWER.map(|call| (call, ENOSYS)).into_iter().filter(|(call, _)| *call != "bpf").collect::<Vec<_>>(),
    )
}

fn without_any_newer_call_the_container_is_the_same() {
    for host in [Host::machine(), Host::v1(), Host::cgroup2()] {
        let wanted = expected(&host);
        let bundle = rich();
        let output = run(&bundle, older(host.clone()));
        let seen = normal(&bundle, &output);
        let differences: Vec<_> = seen.iter().zip(&wanted).filter(|(one, other)| one != other).collect();
        assert!(differences.is_empty() && seen.len() == wanted.len(), "{}: {differences:?}", host.name);
    }
}

fn without_any_newer_call_a_recursive_read_only_bind_is_complete() {
    // The older way must reach every mount below, or refuse: a writable one among read-only ones is the worst outcome.
    for call in ["mount_setattr", "open_tree"] {
        let bundle = Bundle::sh(
            "touch /srv/x 2>/dev/null || echo refused; touch /srv/sub/x 2>/dev/null || echo refused",
        );
        fs::create_dir_all(bundle.beside("source").join("sub")).unwrap();
        let output = run(&bundle, Host::machine().without(&[(call, ENOSYS)]));
        if output.code == Some(0) {
            assert_eq!(output.lines(), ["refused", "refused"], "{call}");
        } else {
            output.refuses(&["/srv"]);
        }
    }
}

fn without_any_newer_call_a_link_in_the_rootfs_leads_nowhere() {
    let bundle = Bundle::sh("cat /link/deep/file");
    let outside = bundle.beside("outside");
    std::os::unix::fs::symlink(&outside, bundle.inside("/link")).unwrap();
    fs::write(bundle.beside("source").join("file"), "bound\n").unwrap();
    bundle.mount("/link/deep", "bind", bundle.dir.join("source").to_str().unwrap(), &["bind"]);
    for errno in [ENOSYS, EPERM, EINVAL] {
        let output = bundle.on(Host::machine().without(&[("openat2", errno)])).output();
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "made outside: {}", output.show());
        assert_eq!(output.text(), "bound");
    }
    for (from, to) in
        [("/up/x", "../../../../../../../../../../tmp"), ("/self/x", "/proc/self/cwd"), ("/round/x", "round")]
    {
        let name = from.trim_end_matches("/x");
        std::os::unix::fs::symlink(to, bundle.inside(name)).unwrap();
        bundle.set("/mounts/7/destination", json!(from));
        let output = bundle.on(Host::machine().without(&[("openat2", ENOSYS)])).output();
        assert!(output.code == Some(1), "{from}: {}", output.show());
        assert!(!std::path::Path::new("/tmp/x").exists());
    }
}

fn without_any_newer_call_descriptors_stay_outside() {
    use std::os::fd::AsRawFd;
    let file = fs::File::open("/etc/hostname").unwrap();
    let host = [3, 4, 17, 900].iter().fold(Host::machine(), |host, to| host.pass(file.as_raw_fd(), *to));
    assert_eq!(Bundle::probe(&["fds"]).on(older(host)).output().text(), "0 1 2");
    // The same where /proc can't be read for the list of them.
    let host = [3, 4, 17, 900].iter().fold(Host::no_proc(), |host, to| host.pass(file.as_raw_fd(), *to));
    let bundle = Bundle::probe(&["fds"]);
    bundle.no_mount("/sys/fs/cgroup").remove("/linux/resources");
    assert_eq!(bundle.on(older(host)).output().text(), "0 1 2");
}

fn without_bpf_device_rules_on_cgroup2_are_refused() {
    for errno in [ENOSYS, EPERM, EINVAL] {
        let bundle = Bundle::sh("echo ran");
        bundle.on(Host::cgroup2().without(&[("bpf", errno)])).output().refuses(&["device"]);
        // On v1 nobody asks for it.
        assert_eq!(bundle.on(Host::machine().without(&[("bpf", errno)])).output().text(), "ran");
    }
}

fn without_keyctl_the_run_goes_on_or_says_so() {
    let bundle = Bundle::sh("echo ran");
    // A kernel without keyrings has nothing to separate.
    assert_eq!(bundle.on(Host::machine().without(&[("keyctl", ENOSYS)])).output().text(), "ran");
    // One that refuses to give a new session keyring would leave the caller's in reach.
    let output = bundle.on(Host::machine().without(&[("keyctl", EPERM)])).output();
    if output.code != Some(0) {
        output.refuses(&["keyring"]);
    }
}

fn title(errno: i32) -> &'static str {
    match errno {
        ENOSYS => "ENOSYS",
        EPERM => "EPERM",
        EINVAL => "EINVAL",
        _ => "another errno",
    }
}

fn each_call_blocked() -> Vec<Trial> {
    let mut all = Vec::new();
    for errno in [ENOSYS, EPERM, EINVAL] {
        // The one call of the list that every kernel since 3.19 has: the protected copy of the binary is started by it.
        all.push(case(format!("the_same_or_refused_without_execveat_by_{}", title(errno)), move || {
            same_or_refused(&Host::machine(), &expected(&Host::machine()), &[("execveat", errno)]);
        }));
    }
    for call in CALLS {
        for errno in [ENOSYS, EPERM, EINVAL] {
            for host in [Host::machine(), Host::cgroup2()] {
                let name = format!("the_same_without_{call}_by_{}_on_{}", title(errno), host.name);
                all.push(case(name, move || same(&host, &[(call, errno)])));
            }
        }
    }
    all
}

/// The same container, or one line of refusal; nothing else is right whatever the kernel answers.
fn same_or_refused(host: &Host, wanted: &[String], blocked: &[(&str, i32)]) {
    let bundle = rich();
    let output = run(&bundle, host.clone().without(blocked));
    if output.code == Some(0) {
        assert_eq!(normal(&bundle, &output), wanted, "{blocked:?}");
    } else {
        output.refusal();
    }
}

fn the_long_campaign() -> Vec<Trial> {
    if std::env::var_os("HULL_LONG").is_none() {
        return Vec::new();
    }
    let mut all = Vec::new();
    for host in [Host::machine(), Host::cgroup2()] {
        for call in CALLS.into_iter().chain([
            "execveat",
            "bpf",
            "keyctl",
            "mount",
            "pivot_root",
            "unshare",
            "capset",
            "sethostname",
        ]) {
            let host = host.clone();
            all.push(case(format!("every_errno_of_{call}_on_{}", host.name), move || {
                let wanted = expected(&host);
                (1..134).for_each(|errno| same_or_refused(&host, &wanted, &[(call, errno)]));
            }));
        }
        for (index, one) in CALLS.into_iter().enumerate() {
            let host = host.clone();
            all.push(case(format!("{one}_and_another_call_blocked_on_{}", host.name), move || {
                let wanted = expected(&host);
                for other in &CALLS[index + 1..] {
                    for errno in [ENOSYS, EPERM, EACCES, EOPNOTSUPP] {
                        same_or_refused(&host, &wanted, &[(one, errno), (other, errno)]);
                    }
                }
            }));
        }
    }
    all
}
