//! Mounts: each kind and each option of the spec, seen in the container's own mountinfo.

use hull_tests::facts::{Mount, mount_at, mounts};
use hull_tests::run::Output;
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, json, suite};
use libtest_mimic::Trial;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

suite!(
    the_mounts_of_the_plain_spec_are_all_there,
    the_cgroup_mount_shows_every_v1_hierarchy,
    the_cgroup_mount_is_cgroup2_where_the_host_is,
    options_that_contradict_each_other_leave_the_last,
    a_bind_without_options_keeps_what_the_source_has,
    a_bind_can_be_made_read_only,
    a_bind_shows_later_changes_of_the_source,
    a_plain_bind_leaves_submounts_out,
    a_recursive_bind_brings_submounts_along,
    a_plain_read_only_bind_leaves_submounts_writable,
    a_bind_by_option_needs_no_type,
    a_relative_bind_source_is_in_the_bundle,
    a_file_is_bound_onto_a_missing_target,
    a_folder_is_bound_onto_a_missing_target,
    a_file_is_bound_onto_a_file,
    a_missing_bind_source_is_named,
    a_source_with_spaces_is_bound,
    a_tmpfs_takes_its_data_options,
    a_tmpfs_without_a_mode_takes_that_of_its_target,
    a_bad_tmpfs_option_is_an_error_that_names_the_mount,
    tmpcopyup_copies_files_folders_and_links,
    tmpcopyup_keeps_modes_owners_and_times,
    tmpcopyup_of_a_missing_folder_is_an_empty_tmpfs,
    without_tmpcopyup_a_tmpfs_is_empty,
    tmpcopyup_is_refused_on_other_kinds,
    a_read_only_tmpfs_is_read_only,
    an_unknown_kind_is_an_error_that_names_it,
    an_unknown_option_goes_to_the_file_system,
    mounts_come_in_the_order_of_the_config,
    a_later_mount_covers_an_earlier_one,
    a_hundred_mounts_come_out,
    private_is_the_default_propagation;
    every_option_of_a_mount,
    every_recursive_option,
    every_propagation
);

fn info(output: &Output) -> Vec<Mount> {
    mounts(&output.text())
}

fn mountinfo() -> Bundle {
    Bundle::new(&["/bin/cat", "/proc/self/mountinfo"])
}

fn the_mounts_of_the_plain_spec_are_all_there() {
    for host in [Host::machine(), Host::v1(), Host::cgroup2()] {
        let all = info(&mountinfo().on(host).output());
        let check = |target: &str, kind: &str, options: &[&str], data: &[&str]| {
            let mount = mount_at(&all, target);
            assert_eq!(mount.kind, kind, "{target}");
            let mut seen: Vec<&str> = mount.options.iter().map(String::as_str).collect();
            seen.retain(|option| *option != "relatime");
            assert_eq!(seen, options, "{target}");
            for option in data {
                assert!(mount.super_has(option), "{option} at {target}: {:?}", mount.super_options);
            }
        };
        check("/proc", "proc", &["rw"], &[]);
        check("/dev", "tmpfs", &["rw", "nosuid"], &["size=65536k", "mode=755"]);
        check("/dev/pts", "devpts", &["rw", "nosuid", "noexec"], &["gid=5", "mode=620", "ptmxmode=666"]);
        check("/dev/shm", "tmpfs", &["rw", "nosuid", "nodev", "noexec"], &["size=65536k"]);
        check("/dev/mqueue", "mqueue", &["rw", "nosuid", "nodev", "noexec"], &[]);
        check("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"], &[]);
        assert!(mount_at(&all, "/").has("ro"));
        // strictatime was asked for /dev alone.
        assert!(!mount_at(&all, "/dev").has("relatime") && mount_at(&all, "/proc").has("relatime"));
        assert!(all.iter().all(|mount| mount.propagation.is_empty()), "not private: {all:?}");
    }
}

fn the_cgroup_mount_shows_every_v1_hierarchy() {
    for host in [Host::machine(), Host::v1()] {
        let all = info(&mountinfo().on(host).output());
        let top = mount_at(&all, "/sys/fs/cgroup");
        assert_eq!(top.kind, "tmpfs");
        for name in ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"] {
            let mount = mount_at(&all, &format!("/sys/fs/cgroup/{name}"));
            assert_eq!(mount.kind, "cgroup");
            assert!(mount.super_has(name), "{:?}", mount.super_options);
            assert!(
                ["ro", "nosuid", "nodev", "noexec"].iter().all(|option| mount.has(option)),
                "{:?}",
                mount.options
            );
        }
        assert_eq!(mount_at(&all, "/sys/fs/cgroup/systemd").super_options, ["rw", "name=systemd"]);
    }
}

fn the_cgroup_mount_is_cgroup2_where_the_host_is() {
    let all = info(&mountinfo().on(Host::cgroup2()).output());
    let mount = mount_at(&all, "/sys/fs/cgroup");
    assert_eq!(mount.kind, "cgroup2");
    assert!(
        ["ro", "nosuid", "nodev", "noexec"].iter().all(|option| mount.has(option)),
        "{:?}",
        mount.options
    );
    assert!(!all.iter().any(|mount| mount.target.starts_with("/sys/fs/cgroup/")));
    // The container's root of it is its own cgroup.
    let output = Bundle::sh("cat /sys/fs/cgroup/cgroup.procs").on(Host::cgroup2()).output();
    assert!(output.lines().contains(&"1".to_owned()), "{}", output.show());
}

/// Option, and what it shows in the mount's own options or in the file system's.
const OPTIONS: &[(&str, &[&str], &[&str])] = &[
    ("ro", &["ro"], &["rw"]),
    ("rw", &["rw"], &["ro"]),
    ("nosuid", &["nosuid"], &[]),
    ("suid", &[], &["nosuid"]),
    ("nodev", &["nodev"], &[]),
    ("dev", &[], &["nodev"]),
    ("noexec", &["noexec"], &[]),
    ("exec", &[], &["noexec"]),
    ("noatime", &["noatime"], &["relatime"]),
    ("atime", &["relatime"], &["noatime"]),
    ("nodiratime", &["nodiratime"], &[]),
    ("diratime", &[], &["nodiratime"]),
    ("relatime", &["relatime"], &["noatime"]),
    ("norelatime", &[], &["noatime"]),
    ("strictatime", &[], &["relatime", "noatime"]),
    ("nostrictatime", &["relatime"], &["noatime"]),
    ("nosymfollow", &["nosymfollow"], &[]),
    ("symfollow", &[], &["nosymfollow"]),
    ("sync", &["sync"], &[]),
    ("async", &[], &["sync"]),
    ("dirsync", &["dirsync"], &[]),
    ("mand", &[], &[]),
    ("nomand", &[], &["mand"]),
    ("silent", &[], &[]),
    ("loud", &[], &[]),
    ("iversion", &[], &[]),
    ("noiversion", &[], &["iversion"]),
    ("lazytime", &[], &[]),
    ("nolazytime", &[], &["lazytime"]),
    ("defaults", &["rw"], &["nosuid", "nodev", "noexec"]),
    ("acl", &[], &[]),
    ("noacl", &[], &[]),
];

fn shows(mount: &Mount, option: &str) -> bool {
    mount.has(option) || (option != "rw" && option != "ro" && mount.super_has(option))
}

fn every_option_of_a_mount() -> Vec<Trial> {
    let test = |option: &'static str, present: &'static [&'static str], absent: &'static [&'static str]| {
        move || {
            let bundle = mountinfo();
            bundle.mount("/tmp", "tmpfs", "tmpfs", &[option]);
            let all = info(&bundle.run());
            let mount = mount_at(&all, "/tmp");
            assert_eq!(mount.kind, "tmpfs");
            for word in present {
                assert!(shows(mount, word), "{word} is missing: {mount:?}");
            }
            for word in absent {
                assert!(!shows(mount, word), "{word} is there: {mount:?}");
            }
        }
    };
    OPTIONS
        .iter()
        .map(|(option, yes, no)| case(format!("the_option_{option}"), test(option, yes, no)))
        .collect()
}

fn options_that_contradict_each_other_leave_the_last() {
    let bundle = mountinfo();
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["ro", "nosuid", "rw", "suid", "noexec"]);
    bundle.mount("/var", "tmpfs", "tmpfs", &["rw", "suid", "ro", "nosuid"]);
    let all = info(&bundle.run());
    let (first, second) = (mount_at(&all, "/tmp"), mount_at(&all, "/var"));
    assert!(first.has("rw") && !first.has("nosuid") && first.has("noexec"), "{first:?}");
    assert!(second.has("ro") && second.has("nosuid"), "{second:?}");
}

/// A host with a tmpfs at `dir`, its folder `sub` being another tmpfs.
fn with_submount(dir: &Path, options: MsFlags) -> Host {
    fs::create_dir_all(dir).unwrap();
    let dir = dir.to_str().unwrap();
    let sub = format!("{dir}/sub");
    // The lower folder must be there for the upper mount: a file system of its own cannot have it beforehand.
    fs::create_dir_all(&sub).unwrap();
    Host::machine().private().mount(dir, dir, "none", MsFlags::MS_BIND.bits(), "").mount(
        "submount",
        &sub,
        "tmpfs",
        options.bits(),
        "",
    )
}

fn every_recursive_option() -> Vec<Trial> {
    const CASES: &[(&str, &str, bool)] = &[
        ("rro", "ro", true),
        ("rrw", "ro", false),
        ("rnosuid", "nosuid", true),
        ("rsuid", "nosuid", false),
        ("rnodev", "nodev", true),
        ("rdev", "nodev", false),
        ("rnoexec", "noexec", true),
        ("rexec", "noexec", false),
        ("rnodiratime", "nodiratime", true),
        ("rdiratime", "nodiratime", false),
        ("rnoatime", "noatime", true),
        ("rrelatime", "relatime", true),
        ("rnorelatime", "noatime", false),
        ("rstrictatime", "relatime", false),
        ("rnosymfollow", "nosymfollow", true),
        ("rsymfollow", "nosymfollow", false),
    ];
    let test = |option: &'static str, seen: &'static str, there: bool| {
        move || {
            let bundle = mountinfo();
            // Where the option takes something away, the submount has it at first.
            let flags = match (there, seen) {
                (true, _) => MsFlags::empty(),
                (false, "ro") => MsFlags::MS_RDONLY,
                (false, "nosuid") => MsFlags::MS_NOSUID,
                (false, "nodev") => MsFlags::MS_NODEV,
                (false, "noexec") => MsFlags::MS_NOEXEC,
                (false, "nodiratime") => MsFlags::MS_NODIRATIME,
                (false, "nosymfollow") => MsFlags::from_bits_retain(256),
                _ => MsFlags::empty(),
            };
            let source = bundle.dir.join("source");
            let host = with_submount(&source, flags);
            bundle.mount("/tmp", "bind", source.to_str().unwrap(), &["rbind", option]);
            let all = info(&bundle.on(host).output());
            for target in ["/tmp", "/tmp/sub"] {
                let mount = mount_at(&all, target);
                assert_eq!(mount.has(seen), there, "{seen} at {target}: {mount:?}");
            }
        }
    };
    CASES
        .iter()
        .map(|(option, seen, there)| {
            case(format!("the_recursive_option_{option}"), test(option, seen, *there))
        })
        .collect()
}

fn every_propagation() -> Vec<Trial> {
    const CASES: &[(&str, &[&str], bool)] = &[
        ("private", &[], false),
        ("rprivate", &[], true),
        ("shared", &["shared:"], false),
        ("rshared", &["shared:"], true),
        ("slave", &["master:"], false),
        ("rslave", &["master:"], true),
        ("unbindable", &["unbindable"], false),
        ("runbindable", &["unbindable"], true),
    ];
    let test = |option: &'static str, tags: &'static [&'static str], recursive: bool| {
        move || {
            let bundle = mountinfo();
            let source = bundle.dir.join("source");
            let mut host = with_submount(&source, MsFlags::empty());
            // Something to be a slave of: the source's peers live in the private host.
            let flags = (MsFlags::MS_SHARED | MsFlags::MS_REC).bits();
            host = host.mount("none", source.to_str().unwrap(), "none", flags, "");
            bundle.set("/linux/rootfsPropagation", json!("slave"));
            bundle.mount("/tmp", "bind", source.to_str().unwrap(), &["rbind", option]);
            let all = info(&bundle.on(host).output());
            let top = mount_at(&all, "/tmp");
            let sub = mount_at(&all, "/tmp/sub");
            for tag in ["shared:", "unbindable"] {
                let wanted = tags.contains(&tag);
                assert_eq!(top.propagates(tag), wanted, "{tag} at /tmp: {top:?}");
                if recursive {
                    assert_eq!(sub.propagates(tag), wanted, "{tag} at /tmp/sub: {sub:?}");
                }
            }
            if option.ends_with("slave") {
                assert!(top.propagates("master:"), "{top:?}");
            }
            if option.ends_with("private") {
                assert!(top.propagation.is_empty(), "{top:?}");
            }
        }
    };
    CASES
        .iter()
        .map(|(option, tags, recursive)| {
            case(format!("the_propagation_{option}"), test(option, tags, *recursive))
        })
        .collect()
}

fn private_is_the_default_propagation() {
    let bundle = mountinfo();
    let source = bundle.beside("source");
    bundle.mount("/tmp", "bind", source.to_str().unwrap(), &["bind"]);
    let all = info(&bundle.run());
    assert!(mount_at(&all, "/tmp").propagation.is_empty());
}

/// A bundle with `source/file` beside its rootfs, bound at /tmp with these options.
fn bound(script: &str, options: &[&str]) -> Bundle {
    let bundle = Bundle::sh(script);
    let source = bundle.beside("source");
    fs::write(source.join("file"), "from the host\n").unwrap();
    bundle.mount("/tmp", "bind", source.to_str().unwrap(), options);
    bundle
}

fn a_bind_without_options_keeps_what_the_source_has() {
    let bundle = mountinfo();
    let source = bundle.beside("source");
    let at = source.to_str().unwrap();
    let flags = (MsFlags::MS_NOSUID | MsFlags::MS_NODEV).bits();
    let host = Host::machine().private().mount("tmpfs", at, "tmpfs", flags, "");
    bundle.mount("/tmp", "bind", at, &["bind"]);
    let all = info(&bundle.on(host).output());
    let mount = mount_at(&all, "/tmp");
    assert!(mount.has("nosuid") && mount.has("nodev") && mount.has("rw"), "{mount:?}");
}

fn a_bind_can_be_made_read_only() {
    let script = "cat /tmp/file; touch /tmp/new 2>/dev/null && echo written || echo refused";
    assert_eq!(bound(script, &["bind", "ro"]).run().lines(), ["from the host", "refused"]);
    // Control: without it the bind is writable, and the host sees what was written.
    let bundle = bound(script, &["bind"]);
    assert_eq!(bundle.run().lines(), ["from the host", "written"]);
    assert!(bundle.dir.join("source/new").exists());
}

fn a_bind_shows_later_changes_of_the_source() {
    let bundle = bound("echo ready; read line; cat /tmp/later", &["bind"]);
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    fs::write(bundle.dir.join("source/later"), "seen\n").unwrap();
    live.send("\n");
    assert_eq!(live.line(), "seen");
    live.finish().succeeds();
}

fn submount_bundle(script: &str, options: &[&str]) -> (Bundle, Host) {
    let bundle = Bundle::sh(script);
    let source = bundle.dir.join("source");
    let host = with_submount(&source, MsFlags::empty());
    bundle.mount("/tmp", "bind", source.to_str().unwrap(), options);
    (bundle, host)
}

fn a_plain_bind_leaves_submounts_out() {
    let (bundle, host) = submount_bundle("grep -c ' /tmp/sub ' /proc/self/mountinfo || true", &["bind"]);
    assert_eq!(bundle.on(host).output().text(), "0");
}

fn a_recursive_bind_brings_submounts_along() {
    let (bundle, host) = submount_bundle("grep -c ' /tmp/sub ' /proc/self/mountinfo || true", &["rbind"]);
    assert_eq!(bundle.on(host).output().text(), "1");
}

fn a_plain_read_only_bind_leaves_submounts_writable() {
    let script = "touch /tmp/sub/a && echo written; touch /tmp/a 2>/dev/null || echo refused";
    let (bundle, host) = submount_bundle(script, &["rbind", "ro"]);
    assert_eq!(bundle.on(host).output().lines(), ["written", "refused"]);
    let (bundle, host) = submount_bundle("touch /tmp/sub/a 2>/dev/null || echo refused", &["rbind", "rro"]);
    assert_eq!(bundle.on(host).output().lines(), ["refused"]);
}

fn a_bind_by_option_needs_no_type() {
    for kind in [json!(null), json!("none"), json!("bind"), json!("")] {
        let bundle = Bundle::sh("cat /tmp/file");
        let source = bundle.beside("source");
        fs::write(source.join("file"), "here\n").unwrap();
        let mut entry = json!({"destination": "/tmp", "source": source.to_str(), "options": ["rbind"]});
        if !kind.is_null() {
            entry["type"] = kind;
        }
        bundle.push("/mounts", entry);
        assert_eq!(bundle.run().text(), "here");
    }
}

fn a_relative_bind_source_is_in_the_bundle() {
    let bundle = Bundle::sh("cat /tmp/file");
    fs::write(bundle.beside("source").join("file"), "here\n").unwrap();
    bundle.mount("/tmp", "bind", "source", &["bind"]);
    assert_eq!(bundle.run().text(), "here");
}

fn a_file_is_bound_onto_a_missing_target() {
    let bundle = Bundle::sh("cat /etc/deep/er/name; stat -c %F /etc/deep/er");
    fs::write(bundle.dir.join("file"), "a file\n").unwrap();
    bundle.mount("/etc/deep/er/name", "bind", bundle.dir.join("file").to_str().unwrap(), &["bind"]);
    assert_eq!(bundle.run().lines(), ["a file", "directory"]);
    assert!(bundle.inside("/etc/deep/er/name").is_file());
    assert_eq!(fs::metadata(bundle.inside("/etc/deep")).unwrap().permissions().mode() & 0o777, 0o755);
}

fn a_folder_is_bound_onto_a_missing_target() {
    let bundle = Bundle::sh("ls /srv/a/b");
    fs::write(bundle.beside("source").join("file"), "").unwrap();
    bundle.mount("/srv/a/b", "bind", bundle.dir.join("source").to_str().unwrap(), &["rbind"]);
    assert_eq!(bundle.run().text(), "file");
    assert!(bundle.inside("/srv/a/b").is_dir());
}

fn a_file_is_bound_onto_a_file() {
    let bundle = Bundle::sh("cat /etc/hosts");
    bundle.file("/etc/hosts", 0o644, "of the image\n");
    fs::write(bundle.dir.join("hosts"), "of the engine\n").unwrap();
    bundle.mount("/etc/hosts", "bind", bundle.dir.join("hosts").to_str().unwrap(), &["rbind", "rprivate"]);
    assert_eq!(bundle.run().text(), "of the engine");
    assert_eq!(fs::read_to_string(bundle.inside("/etc/hosts")).unwrap(), "of the image\n");
}

fn a_missing_bind_source_is_named() {
    let bundle = Bundle::sh("true");
    bundle.mount("/tmp", "bind", "/no/such/source", &["bind"]);
    bundle.run().refuses(&["/no/such/source", "no such file or directory"]);
}

fn a_source_with_spaces_is_bound() {
    let bundle = Bundle::sh("cat '/srv/my data/file'");
    fs::write(bundle.beside("my \"source\"").join("file"), "here\n").unwrap();
    bundle.mount("/srv/my data", "bind", bundle.dir.join("my \"source\"").to_str().unwrap(), &["bind"]);
    assert_eq!(bundle.run().text(), "here");
}

fn a_tmpfs_takes_its_data_options() {
    let bundle = Bundle::sh("stat -c '%a %u %g' /tmp; grep ' /tmp ' /proc/self/mountinfo");
    let options = ["nosuid", "mode=2750", "size=1m", "uid=1000", "gid=1001", "nr_inodes=100"];
    bundle.mount("/tmp", "tmpfs", "scratch", &options);
    let lines = bundle.run().lines();
    assert_eq!(lines[0], "2750 1000 1001");
    let all = mounts(&lines[1]);
    let mount = mount_at(&all, "/tmp");
    assert_eq!(mount.source, "scratch");
    for option in ["size=1024k", "nr_inodes=100", "mode=2750", "uid=1000", "gid=1001"] {
        assert!(mount.super_has(option), "{mount:?}");
    }
}

fn a_tmpfs_without_a_mode_takes_that_of_its_target() {
    let bundle = Bundle::sh("stat -c %a /srv/old /srv/new");
    fs::create_dir_all(bundle.inside("/srv/old")).unwrap();
    fs::set_permissions(bundle.inside("/srv/old"), fs::Permissions::from_mode(0o3751)).unwrap();
    bundle.mount("/srv/old", "tmpfs", "tmpfs", &[]).mount("/srv/new", "tmpfs", "tmpfs", &[]);
    let modes = bundle.run().lines();
    assert_eq!(modes[0], "3751");
    // Nothing was there: the kernel's default, or that of the folder which was made.
    assert!(["1777", "755"].contains(&modes[1].as_str()), "{modes:?}");
}

fn a_bad_tmpfs_option_is_an_error_that_names_the_mount() {
    let bundle = Bundle::sh("true");
    bundle.mount("/srv", "tmpfs", "tmpfs", &["size=much"]);
    bundle.run().refuses(&["/srv", "invalid argument"]);
}

/// A rootfs with something in /data.
fn with_data(script: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.privileged();
    bundle.file("/data/one", 0o640, "1\n").file("/data/sub/two", 0o4755, "22\n").file(
        "/data/sub/deep/er/three",
        0o600,
        "3",
    );
    symlink("sub/two", bundle.inside("/data/link")).unwrap();
    symlink("/nowhere", bundle.inside("/data/dangling")).unwrap();
    fs::create_dir(bundle.inside("/data/empty")).unwrap();
    fs::set_permissions(bundle.inside("/data/empty"), fs::Permissions::from_mode(0o1700)).unwrap();
    fs::set_permissions(bundle.inside("/data"), fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::chown(bundle.inside("/data/one"), Some(1000), Some(1001)).unwrap();
    std::os::unix::fs::lchown(bundle.inside("/data/link"), Some(12), Some(13)).unwrap();
    std::os::unix::fs::chown(bundle.inside("/data/sub"), Some(5), Some(6)).unwrap();
    bundle
}

fn tmpcopyup_copies_files_folders_and_links() {
    let script = "cd /data; find . | sort; cat one link sub/deep/er/three; echo; readlink dangling; \
                  rm -r sub one && touch new && ls; grep -c ' /data .* tmpfs ' /proc/self/mountinfo";
    let bundle = with_data(script);
    bundle.mount("/data", "tmpfs", "tmpfs", &["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]);
    let lines = bundle.run().lines().join(" ");
    let names =
        ". ./dangling ./empty ./link ./one ./sub ./sub/deep ./sub/deep/er ./sub/deep/er/three ./sub/two";
    assert_eq!(lines, format!("{names} 1 22 3 /nowhere dangling empty link new 1"));
    // What the container removed is still in the image.
    assert!(bundle.inside("/data/one").exists() && !bundle.inside("/data/new").exists());
}

fn tmpcopyup_keeps_modes_owners_and_times() {
    let script =
        "cd /data; stat -c '%n %a %u %g %F' . one sub sub/two empty link sub/deep/er/three; stat -c %Y one";
    let bundle = with_data(script);
    let plain = bundle.run().lines();
    bundle.mount("/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let copied = bundle.run().lines();
    assert_eq!(copied[..copied.len() - 1], plain[..plain.len() - 1]);
    assert!(copied.iter().any(|line| line == "one 640 1000 1001 regular file"), "{copied:?}");
    assert!(copied.iter().any(|line| line.starts_with("link 777 12 13")), "{copied:?}");
}

fn tmpcopyup_of_a_missing_folder_is_an_empty_tmpfs() {
    let bundle = Bundle::sh("ls -A /srv/new | wc -l; touch /srv/new/a && echo written");
    bundle.mount("/srv/new", "tmpfs", "tmpfs", &["tmpcopyup"]);
    assert_eq!(bundle.run().lines(), ["0", "written"]);
}

fn without_tmpcopyup_a_tmpfs_is_empty() {
    let bundle = with_data("ls -A /data | wc -l");
    bundle.mount("/data", "tmpfs", "tmpfs", &[]);
    assert_eq!(bundle.run().text(), "0");
}

fn tmpcopyup_is_refused_on_other_kinds() {
    let bundle = with_data("true");
    bundle.mount("/data", "bind", "/usr", &["bind", "tmpcopyup"]);
    let output = bundle.run();
    // runc takes it silently on a bind; an error that names it is better, a silent copy would be worst.
    if output.code != Some(0) {
        output.refuses(&["tmpcopyup"]);
    }
    assert!(!Path::new("/usr/one").exists());
}

fn a_read_only_tmpfs_is_read_only() {
    let bundle = with_data("cat /data/one; touch /data/x 2>/dev/null || echo refused");
    bundle.mount("/data", "tmpfs", "tmpfs", &["ro", "tmpcopyup"]);
    assert_eq!(bundle.run().lines(), ["1", "refused"]);
}

fn an_unknown_kind_is_an_error_that_names_it() {
    let bundle = Bundle::sh("true");
    bundle.mount("/tmp", "dreamfs", "dream", &[]);
    bundle.run().refuses(&["/tmp", "no such device"]);
}

fn an_unknown_option_goes_to_the_file_system() {
    let bundle = Bundle::sh("true");
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["dreaming"]);
    bundle.run().refuses(&["/tmp", "invalid argument"]);
    // Control: one that the file system knows is taken.
    let bundle = mountinfo();
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["huge=never"]);
    bundle.run().succeeds();
}

fn mounts_come_in_the_order_of_the_config() {
    let bundle = mountinfo();
    bundle.mount("/tmp", "tmpfs", "one", &[]).mount("/tmp/a", "tmpfs", "two", &[]).mount(
        "/tmp/a/b",
        "tmpfs",
        "three",
        &[],
    );
    let all = info(&bundle.run());
    let ours: Vec<&str> = all
        .iter()
        .filter(|mount| mount.target.starts_with("/tmp"))
        .map(|mount| mount.source.as_str())
        .collect();
    assert_eq!(ours, ["one", "two", "three"]);
}

fn a_later_mount_covers_an_earlier_one() {
    let bundle = Bundle::sh("ls /tmp; grep -c ' /tmp ' /proc/self/mountinfo");
    bundle.mount("/tmp", "bind", "/usr", &["bind"]).mount("/tmp", "tmpfs", "tmpfs", &[]);
    assert_eq!(bundle.run().lines(), ["2"]);
}

fn a_hundred_mounts_come_out() {
    let bundle = Bundle::sh("grep -c ' /tmp/m' /proc/self/mountinfo; ls /tmp | wc -l");
    bundle.mount("/tmp", "tmpfs", "tmpfs", &[]);
    for index in 0..100 {
        bundle.mount(&format!("/tmp/m{index}"), "tmpfs", "tmpfs", &["nosuid"]);
    }
    assert_eq!(bundle.run().lines(), ["100", "100"]);
    assert_eq!(fs::metadata(bundle.inside("/tmp")).unwrap().nlink(), 2, "targets were made below the tmpfs");
    // Nothing of it is left mounted here.
    let here = mount(Some("none"), "/no/such/target", Some("tmpfs"), MsFlags::empty(), None::<&str>);
    assert!(here.is_err());
}
