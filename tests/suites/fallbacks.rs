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
use nix::mount::MsFlags;
use std::fs;
use std::os::unix::fs::PermissionsExt;

suite!(
    the_filter_is_in_force_inside,
    the_facts_tell_two_different_containers_apart,
    without_any_newer_call_the_container_is_the_same,
    without_any_newer_call_a_recursive_read_only_bind_is_complete,
    without_mount_setattr_a_hidden_mount_is_refused,
    without_any_newer_call_a_new_mount_takes_recursive_options,
    without_any_newer_call_a_root_on_shared_mounts_is_entered,
    without_any_newer_call_a_file_is_masked_where_no_proc_is_mounted,
    without_any_newer_call_a_folder_on_a_file_is_refused,
    without_mount_setattr_a_user_namespace_gets_its_binds,
    without_any_newer_call_a_link_in_the_rootfs_leads_nowhere,
    without_any_newer_call_descriptors_stay_outside,
    without_bpf_device_rules_on_cgroup2_are_refused,
    without_keyctl_the_run_goes_on_or_says_so;
    each_call_blocked,
    each_recursive_option_without_newer_calls,
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
    // Newer kernels list mounts by their ids, and a clone may have its id before its turn to be attached.
    let mut mounts = facts::mounts(mounts);
    mounts.sort_by(|one, other| one.target.cmp(&other.target));
    for mount in mounts {
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

/// What mounts are made and changed by, blocked one by one and all together; statx(2) tells a mount's id.
const MOUNTING: [&[&str]; 5] = [
    &["mount_setattr"],
    &["mount_setattr", "statx"],
    &["open_tree"],
    &["move_mount", "mount_setattr"],
    &["open_tree", "move_mount", "mount_setattr", "statx", "openat2"],
];

fn missing(calls: &[&'static str]) -> Vec<(&'static str, i32)> {
    calls.iter().map(|call| (*call, ENOSYS)).collect()
}

fn without_any_newer_call_a_recursive_read_only_bind_is_complete() {
    let bundle = Bundle::sh(
        "touch /srv/x 2>/dev/null || echo refused; touch /srv/sub/x 2>/dev/null || echo refused; touch /srv/y",
    );
    fs::create_dir_all(bundle.beside("source").join("sub")).unwrap();
    for calls in MOUNTING {
        let output = run(&bundle, Host::machine().without(&missing(calls)));
        assert_eq!(output.out(), "refused\nrefused\n", "{calls:?}: {}", output.show());
    }
    // Control.
    bundle.set("/mounts/7/options", json!(["rbind"]));
    assert_eq!(run(&bundle, Host::machine().without(&missing(MOUNTING[0]))).text(), "");
}

/// A source whose mounts have different flags, one lying in another, one by a name that mountinfo escapes.
fn layered(bundle: &Bundle) -> Host {
    let source = bundle.beside("source");
    let sub = source.join("sub");
    fs::create_dir_all(sub.join("deep")).unwrap();
    fs::create_dir_all(source.join("with space\\")).unwrap();
    let at = |name: &str| source.join(name).to_str().unwrap().to_owned();
    let flags = |flags: MsFlags| flags.bits();
    Host::machine()
        .private()
        .mount(&at(""), &at(""), "none", flags(MsFlags::MS_BIND), "")
        .mount(&at("sub"), &at("sub"), "none", flags(MsFlags::MS_BIND), "")
        .mount("none", &at("sub"), "none", flags(REMOUNT | MsFlags::MS_NODEV | MsFlags::MS_NOATIME), "")
        .mount("deep", &at("sub/deep"), "tmpfs", flags(MsFlags::MS_STRICTATIME | MsFlags::MS_NODIRATIME), "")
        .mount("space", &at("with space\\"), "tmpfs", flags(MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC), "")
        .mount("none", &at("with space\\"), "none", flags(REMOUNT | ALL), "")
}

const REMOUNT: MsFlags = MsFlags::MS_REMOUNT.union(MsFlags::MS_BIND);

/// Every flag that an option can take away.
const ALL: MsFlags = MsFlags::MS_RDONLY
    .union(MsFlags::MS_NOSUID)
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC)
    .union(MsFlags::MS_NOATIME)
    .union(MsFlags::MS_NODIRATIME)
    .union(MsFlags::from_bits_retain(256));

/// What the container's own mountinfo says of the mounts below /srv.
fn below_srv(output: &Output) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<_> = facts::mounts(&output.text())
        .into_iter()
        .filter(|mount| mount.target.starts_with("/srv"))
        .map(|mount| (mount.target, mount.options))
        .collect();
    all.sort();
    all
}

fn each_recursive_option_without_newer_calls() -> Vec<Trial> {
    const OPTIONS: [&str; 16] = [
        "rro",
        "rrw",
        "rnosuid",
        "rsuid",
        "rnodev",
        "rdev",
        "rnoexec",
        "rexec",
        "rnodiratime",
        "rdiratime",
        "rnoatime",
        "rrelatime",
        "rnorelatime",
        "rstrictatime",
        "rnosymfollow",
        "rsymfollow",
    ];
    let test = |option: &'static str| {
        move || {
            let bundle = Bundle::new(&["/bin/cat", "/proc/self/mountinfo"]);
            let host = layered(&bundle);
            let source = bundle.dir.join("source");
            let seen = |options: &[&str], blocked: &[&'static str]| {
                bundle.mount("/srv", "bind", source.to_str().unwrap(), options);
                let output = bundle.on(host.clone().without(&missing(blocked))).output();
                bundle.no_mount("/srv");
                below_srv(&output)
            };
            let wanted = seen(&["rbind", option, "nodev"], &[]);
            assert_eq!(wanted.len(), 4, "{wanted:?}");
            // Control: the option changes something.
            assert_ne!(wanted, seen(&["rbind", "nodev"], &[]));
            for calls in MOUNTING {
                assert_eq!(seen(&["rbind", option, "nodev"], calls), wanted, "{calls:?}");
            }
        }
    };
    OPTIONS.map(|option| case(format!("the_same_{option}_without_newer_calls"), test(option))).into()
}

fn without_mount_setattr_a_hidden_mount_is_refused() {
    let bundle = Bundle::sh("cat /srv/sub/file; touch /srv/sub/x 2>/dev/null || echo refused");
    let source = bundle.beside("source");
    fs::create_dir_all(source.join("sub/deep")).unwrap();
    let at = |name: &str| source.join(name).to_str().unwrap().to_owned();
    bundle.mount("/srv", "bind", &at(""), &["rbind", "rro"]);
    // Over the mount itself, and over a folder on the way to it.
    for hidden in ["sub", "sub/deep"] {
        let host = Host::machine().private().mount("lower", &at(hidden), "tmpfs", 0, "").mount(
            "upper",
            &at("sub"),
            "tmpfs",
            0,
            "",
        );
        let output = bundle.on(host.clone().without(&missing(&["mount_setattr"]))).output();
        output.refuses(&["\"/srv\"", "hidden", "5.12"]);
        // Control: with the call both are changed.
        assert_eq!(bundle.on(host).output().out(), "refused\n");
    }
}

fn without_any_newer_call_a_new_mount_takes_recursive_options() {
    for calls in MOUNTING {
        let bundle =
            Bundle::sh("touch /srv/x 2>/dev/null || echo refused; grep ' /srv ' /proc/self/mountinfo");
        bundle.mount("/srv", "tmpfs", "tmpfs", &["nosuid", "rro"]);
        let text = bundle.on(Host::machine().without(&missing(calls))).output().text();
        assert!(text.starts_with("refused") && text.contains("ro,nosuid"), "{calls:?}: {text}");
    }
}

fn without_any_newer_call_a_root_on_shared_mounts_is_entered() {
    for propagation in ["shared", "rshared", "private", "rslave"] {
        let bundle = Bundle::sh("ls -d /probe; ls -d /tmp/hull-tests-*; echo done");
        bundle.set("/linux/rootfsPropagation", json!(propagation));
        let flags = (MsFlags::MS_SHARED | MsFlags::MS_REC).bits();
        let host = Host::machine().private().mount("none", "/", "none", flags, "");
        // Behind a mount of its own, so that the mount that the root lies on is not "/".
        let own = bundle.dir.to_str().unwrap();
        let host = host.mount(own, own, "none", MsFlags::MS_BIND.bits(), "");
        let output = bundle.on(older(host)).output();
        assert_eq!(output.code, Some(0), "{propagation}: {}", output.show());
        assert_eq!(output.out(), "/probe\ndone\n", "{propagation}");
    }
}

fn without_any_newer_call_a_file_is_masked_where_no_proc_is_mounted() {
    let bundle = Bundle::sh("cat /etc/secret /etc/open; touch /etc/fixed 2>/dev/null || echo refused");
    for name in ["/etc/secret", "/etc/open", "/etc/fixed"] {
        bundle.file(name, 0o644, "text\n");
    }
    bundle.no_mount("/proc").set("/linux/maskedPaths", json!(["/etc/secret"]));
    bundle.set("/linux/readonlyPaths", json!(["/etc/fixed"])).set("/root/readonly", json!(false));
    for host in [older(Host::machine()), Host::machine()] {
        assert_eq!(bundle.on(host).output().out(), "text\nrefused\n");
    }
}

fn without_any_newer_call_a_folder_on_a_file_is_refused() {
    let bundle = Bundle::sh("echo ran");
    bundle.file("/srv", 0o644, "").mount(
        "/srv",
        "bind",
        bundle.beside("source").to_str().unwrap(),
        &["bind"],
    );
    for calls in MOUNTING.into_iter().chain([&[][..]]) {
        let host = Host::machine().without(&missing(calls));
        bundle.on(host).output().refuses(&["\"/srv\"", "ENOTDIR"]);
    }
}

fn without_mount_setattr_a_user_namespace_gets_its_binds() {
    // Behind a folder that only root may enter: the child can't go by the path.
    let bundle =
        Bundle::sh("cat /tmp/file; touch /tmp/hull-test-fallbacks-x 2>/dev/null || echo refused; id -u");
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
    let source = bundle.beside("private").join("source");
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("file"), "bound\n").unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(bundle.dir.join("private"), fs::Permissions::from_mode(0o700)).unwrap();
    bundle.mount("/tmp", "bind", source.to_str().unwrap(), &["rbind", "rro", "nodev"]);
    for calls in [&[][..], &["mount_setattr"], &["mount_setattr", "statx"]] {
        let output = bundle.on(Host::machine().without(&missing(calls))).output();
        assert_eq!(output.out(), "bound\nrefused\n0\n", "{calls:?}: {}", output.show());
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
        assert!(!std::path::Path::new("/tmp/hull-test-fallbacks-x").exists());
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
