//! The rootfs: targets are made inside it and never outside, links in it lead nowhere else, and what the config wants
//! hidden or read-only is.

use hull_tests::facts::{mount_at, mounts};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, bundle, json, spawn, suite};
use libtest_mimic::Trial;
use nix::mount::MsFlags;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

suite!(
    a_destination_with_dots_stays_inside,
    a_destination_through_an_absolute_link_stays_inside,
    a_destination_through_a_relative_link_stays_inside,
    a_destination_that_is_a_link_stays_inside,
    a_destination_below_a_common_link_appears_there,
    a_dangling_link_as_a_file_target_is_filled_in,
    a_loop_of_links_is_refused,
    a_folder_on_a_file_is_refused,
    a_file_in_the_way_of_a_target_is_refused,
    proc_as_a_link_is_refused,
    sys_as_a_link_is_refused,
    dev_as_a_link_leaves_the_host_alone,
    a_link_as_cwd_stays_inside,
    a_cwd_through_a_descriptor_or_a_magic_link_is_inside_or_refused,
    a_read_only_file_system_below_the_rootfs_runs,
    a_missing_target_on_a_read_only_file_system_is_named,
    an_empty_rootfs_gets_its_targets_and_lacks_the_program,
    an_empty_rootfs_runs_a_bound_program,
    an_absolute_root_path_runs,
    a_root_path_with_dots_runs,
    a_rootfs_that_is_a_mount_point_runs,
    a_rootfs_with_spaces_runs,
    two_bundles_share_one_rootfs,
    a_read_only_root_is_read_only,
    a_masked_file_is_empty,
    a_masked_folder_is_empty_and_read_only,
    absent_masked_and_read_only_paths_are_passed_over,
    the_usual_masked_paths_hide_what_they_should,
    a_mask_made_of_a_fake_null_device_hides_or_is_refused,
    a_read_only_file_is_read_only,
    a_read_only_folder_is_read_only,
    the_usual_read_only_paths_are_so,
    a_read_only_path_keeps_the_flags_of_its_mount,
    nothing_reaches_a_host_whose_mounts_are_shared,
    a_slave_sees_later_mounts_of_the_host_and_a_private_one_does_not,
    without_pivot_the_root_is_the_rootfs,
    the_host_is_out_of_reach;
    every_rootfs_propagation
);

/// A folder of the host that no rootfs knows, with one file in it.
struct Outside(PathBuf);

impl Outside {
    fn new(bundle: &Bundle) -> Outside {
        let path = bundle::scratch().join(format!("outside-{}", bundle.id));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("file"), "of the host\n").unwrap();
        Outside(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    #[track_caller]
    fn untouched(&self) {
        let names: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["file"], "the host's folder was changed");
        assert_eq!(fs::read_to_string(self.0.join("file")).unwrap(), "of the host\n");
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn bound(script: &str, destination: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    fs::write(bundle.beside("source").join("file"), "bound\n").unwrap();
    bundle.mount(destination, "bind", bundle.dir.join("source").to_str().unwrap(), &["bind"]);
    bundle
}

fn a_destination_with_dots_stays_inside() {
    for destination in ["/../../../../srv/x", "/srv/../../srv/x", "/srv/./x", "//srv//x/"] {
        let bundle = bound("cat /srv/x/file", destination);
        assert_eq!(bundle.run().text(), "bound", "{destination}");
        assert!(bundle.inside("/srv/x").is_dir());
    }
    assert!(!Path::new("/srv/x").exists());
}

fn a_destination_through_an_absolute_link_stays_inside() {
    let bundle = Bundle::sh("cat /link/deep/file");
    let outside = Outside::new(&bundle);
    symlink(outside.path(), bundle.inside("/link")).unwrap();
    fs::write(bundle.beside("source").join("file"), "bound\n").unwrap();
    bundle.mount("/link/deep", "bind", bundle.dir.join("source").to_str().unwrap(), &["bind"]);
    assert_eq!(bundle.run().text(), "bound");
    outside.untouched();
    assert!(bundle.inside(outside.path()).join("deep").is_dir(), "not made inside the rootfs");
    // Control: the link does lead to the host's folder for whoever follows it there.
    assert!(bundle.inside("/link").join("file").exists());
}

fn a_destination_through_a_relative_link_stays_inside() {
    let bundle = bound("cat /srv/x/file", "/a/link/x");
    fs::create_dir_all(bundle.inside("/a")).unwrap();
    symlink("../../../../../../../../../../srv", bundle.inside("/a/link")).unwrap();
    fs::create_dir_all(bundle.inside("/srv")).unwrap();
    assert_eq!(bundle.run().text(), "bound");
    assert!(!Path::new("/srv/x").exists());
}

fn a_destination_that_is_a_link_stays_inside() {
    let bundle = bound("true", "/link");
    let outside = Outside::new(&bundle);
    symlink(outside.path(), bundle.inside("/link")).unwrap();
    bundle.set("/process/args", json!(["/bin/cat", "/link/file"]));
    assert_eq!(bundle.run().text(), "bound");
    outside.untouched();
}

fn a_destination_below_a_common_link_appears_there() {
    let bundle = bound("cat /run/secrets/file", "/var/run/secrets");
    symlink("/run", bundle.inside("/var/run")).unwrap();
    assert_eq!(bundle.run().text(), "bound");
    assert!(bundle.inside("/run/secrets").is_dir());
}

fn a_dangling_link_as_a_file_target_is_filled_in() {
    let bundle = Bundle::sh("cat /etc/resolv.conf");
    symlink("/run/resolver/stub.conf", bundle.inside("/etc/resolv.conf")).unwrap();
    fs::write(bundle.dir.join("resolv"), "nameserver 192.0.2.1\n").unwrap();
    bundle.mount("/etc/resolv.conf", "bind", bundle.dir.join("resolv").to_str().unwrap(), &["rbind", "ro"]);
    assert_eq!(bundle.run().text(), "nameserver 192.0.2.1");
    assert!(bundle.inside("/run/resolver/stub.conf").is_file());
    assert!(!Path::new("/run/resolver").exists());
}

fn a_loop_of_links_is_refused() {
    let bundle = bound("true", "/loop/x");
    symlink("loop2", bundle.inside("/loop")).unwrap();
    symlink("loop", bundle.inside("/loop2")).unwrap();
    bundle.run().refuses(&["/loop"]);
}

fn a_folder_on_a_file_is_refused() {
    let bundle = bound("true", "/etc/passwd");
    bundle.run().refuses(&["/etc/passwd", "not a directory"]);
}

fn a_file_in_the_way_of_a_target_is_refused() {
    let bundle = bound("true", "/etc/passwd/below");
    bundle.run().refuses(&["/etc/passwd", "not a directory"]);
}

fn refused_as_a_link(name: &str, to: &str) {
    let bundle = Bundle::sh("echo ran");
    let outside = Outside::new(&bundle);
    for target in [to, outside.path(), "tmp"] {
        fs::remove_dir(bundle.inside(name)).or_else(|_| fs::remove_file(bundle.inside(name))).unwrap();
        symlink(target, bundle.inside(name)).unwrap();
        bundle.run().refuses(&[name]);
    }
    outside.untouched();
    // Control: an ordinary folder there runs.
    fs::remove_file(bundle.inside(name)).unwrap();
    fs::create_dir(bundle.inside(name)).unwrap();
    assert_eq!(bundle.run().text(), "ran");
}

fn proc_as_a_link_is_refused() {
    refused_as_a_link("/proc", "/etc");
}

fn sys_as_a_link_is_refused() {
    refused_as_a_link("/sys", "/etc");
}

fn dev_as_a_link_leaves_the_host_alone() {
    let bundle = Bundle::sh("echo ran");
    let outside = Outside::new(&bundle);
    fs::remove_dir(bundle.inside("/dev")).unwrap();
    symlink(outside.path(), bundle.inside("/dev")).unwrap();
    let with_mounts = bundle.run();
    outside.untouched();
    let devices_only = Bundle::sh("echo ran");
    for mount in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
        devices_only.no_mount(mount);
    }
    fs::remove_dir(devices_only.inside("/dev")).unwrap();
    symlink(outside.path(), devices_only.inside("/dev")).unwrap();
    let without_mounts = devices_only.run();
    outside.untouched();
    for output in [with_mounts, without_mounts] {
        if output.code != Some(0) {
            output.refuses(&["/dev"]);
        }
    }
}

fn a_link_as_cwd_stays_inside() {
    let bundle = Bundle::sh("/bin/readlink /proc/self/cwd; ls");
    let outside = Outside::new(&bundle);
    fs::create_dir_all(bundle.inside(outside.path())).unwrap();
    fs::write(bundle.inside(outside.path()).join("inner"), "").unwrap();
    symlink(outside.path(), bundle.inside("/link")).unwrap();
    bundle.set("/process/cwd", json!("/link"));
    assert_eq!(bundle.run().lines(), [outside.path(), "inner"]);
    outside.untouched();
}

fn a_cwd_through_a_descriptor_or_a_magic_link_is_inside_or_refused() {
    // Every descriptor that the runtime might still hold when it changes directory, and its own folders by magic link.
    let numbers = (0..30).map(|number| format!("/proc/self/fd/{number}"));
    let links = ["/proc/self/cwd", "/proc/self/root", "/proc/1/cwd", "/proc/1/root"].map(str::to_owned);
    for path in numbers.chain(links) {
        let bundle = Bundle::sh(
            "for up in . .. ../.. ../../.. ../../../.. ../../../../..; do test -e $up/boot && echo host; done; true",
        );
        bundle.set("/process/cwd", json!(path));
        let output = bundle.run();
        if output.code == Some(0) {
            assert_eq!(output.text(), "", "{path}");
        } else {
            output.refuses(&[&path]);
        }
    }
    // Control: the host's root is known by that folder, and no rootfs of ours has it.
    assert!(Path::new("/boot").exists());
}

/// A host on which the bundle's rootfs lies on a read-only file system.
fn read_only_host(bundle: &Bundle) -> Host {
    let rootfs = bundle.rootfs();
    let at = rootfs.to_str().unwrap();
    let again = (MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY).bits();
    Host::machine()
        .private()
        .mount(at, at, "none", MsFlags::MS_BIND.bits(), "")
        .mount("none", at, "none", again, "")
}

fn a_read_only_file_system_below_the_rootfs_runs() {
    let bundle = Bundle::sh("touch /x 2>/dev/null || echo refused; echo y > /dev/shm/y; cat /dev/shm/y");
    bundle.set("/root/readonly", json!(false));
    let host = read_only_host(&bundle);
    assert_eq!(bundle.on(host).output().lines(), ["refused", "y"]);
}

fn a_missing_target_on_a_read_only_file_system_is_named() {
    let bundle = bound("true", "/no/target/here");
    let host = read_only_host(&bundle);
    bundle.on(host).output().refuses(&["/no/target/here", "read-only file system"]);
    // Control: on a writable one it is made.
    bundle.run().succeeds();
}

fn an_empty_rootfs_gets_its_targets_and_lacks_the_program() {
    let bundle = Bundle::empty();
    bundle.set("/process/args", json!(["sh"]));
    bundle.run().refuses(&["sh", "executable file not found in $PATH"]);
    let mut names: Vec<_> =
        fs::read_dir(bundle.rootfs()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["dev", "proc", "sys"]);
}

fn an_empty_rootfs_runs_a_bound_program() {
    let bundle = Bundle::empty();
    bundle.set("/process/args", json!(["/a/probe", "args", "x"]));
    bundle.mount("/a/probe", "bind", hull_tests::PROBE, &["bind", "ro"]);
    assert_eq!(bundle.run().lines(), ["/a/probe", "args", "x"]);
}

fn an_absolute_root_path_runs() {
    let bundle = Bundle::sh("echo ran");
    let elsewhere = Bundle::sh("true");
    bundle.set("/root/path", json!(elsewhere.rootfs().to_str()));
    fs::remove_dir_all(bundle.rootfs()).unwrap();
    assert_eq!(bundle.run().text(), "ran");
}

fn a_root_path_with_dots_runs() {
    let bundle = Bundle::sh("echo ran");
    bundle.beside("other");
    for path in ["./rootfs", "other/../rootfs", "rootfs/", "rootfs/."] {
        bundle.set("/root/path", json!(path));
        assert_eq!(bundle.run().text(), "ran", "{path}");
    }
}

fn a_rootfs_that_is_a_mount_point_runs() {
    let bundle = Bundle::sh("cat /from-tmpfs/file; grep -c ' /from-tmpfs ' /proc/self/mountinfo");
    let at = bundle.rootfs();
    let at = at.to_str().unwrap();
    let sub = bundle.inside("/from-tmpfs");
    fs::create_dir(&sub).unwrap();
    let source = bundle.beside("source");
    fs::write(source.join("file"), "mounted below the rootfs\n").unwrap();
    let host = Host::machine().private().mount(at, at, "none", MsFlags::MS_BIND.bits(), "").mount(
        source.to_str().unwrap(),
        sub.to_str().unwrap(),
        "none",
        MsFlags::MS_BIND.bits(),
        "",
    );
    assert_eq!(bundle.on(host).output().lines(), ["mounted below the rootfs", "1"]);
}

fn a_rootfs_with_spaces_runs() {
    let bundle = Bundle::sh("echo ran");
    fs::rename(bundle.rootfs(), bundle.dir.join("my root\tfs \\040")).unwrap();
    bundle.set("/root/path", json!("my root\tfs \\040"));
    assert_eq!(bundle.run().text(), "ran");
}

fn two_bundles_share_one_rootfs() {
    let first = Bundle::sh("echo ready; read line; ls /dev/shm | wc -l; touch /dev/shm/a");
    let second = Bundle::sh("touch /dev/shm/b; ls /dev/shm");
    second.set("/root/path", json!(first.rootfs().to_str()));
    let mut live = first.on(Host::machine()).start();
    live.until("ready");
    assert_eq!(second.run().text(), "b");
    live.send("\n");
    assert_eq!(live.line(), "0");
    live.finish().succeeds();
}

fn a_read_only_root_is_read_only() {
    let script = "touch /new 2>&1 || true; echo x > /dev/shm/x && echo y > /tmp/y && cat /dev/shm/x";
    let bundle = Bundle::sh(script);
    bundle.mount("/tmp", "tmpfs", "tmpfs", &[]);
    assert_eq!(bundle.run().lines(), ["touch: /new: Read-only file system", "x"]);
    // Control.
    bundle.set("/root/readonly", json!(false));
    assert_eq!(bundle.run().lines(), ["x"]);
    assert!(bundle.inside("/new").exists());
}

fn with_secret(script: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.set("/root/readonly", json!(false)).privileged();
    bundle.file("/secret", 0o644, "secret\n").file("/secrets/one", 0o644, "secret\n");
    bundle
}

fn a_masked_file_is_empty() {
    let bundle = with_secret("cat /secret; stat -c '%F %t:%T' /secret; umount /secret && cat /secret");
    bundle.set("/linux/maskedPaths", json!(["/secret"]));
    assert_eq!(bundle.run().lines(), ["character special file 1:3", "secret"]);
    // Control.
    bundle.set("/linux/maskedPaths", json!([]));
    assert!(bundle.on(Host::machine()).output().out().starts_with("secret\n"));
}

fn a_masked_folder_is_empty_and_read_only() {
    let bundle = with_secret("ls -A /secrets | wc -l; touch /secrets/x 2>/dev/null || echo refused");
    bundle.set("/linux/maskedPaths", json!(["/secrets"]));
    assert_eq!(bundle.run().lines(), ["0", "refused"]);
    bundle.set("/linux/maskedPaths", json!([]));
    assert_eq!(bundle.run().lines(), ["1"]);
}

fn absent_masked_and_read_only_paths_are_passed_over() {
    let bundle = with_secret("echo ran; ls -d /absent 2>/dev/null || true");
    bundle.set("/linux/maskedPaths", json!(["/absent", "/absent/below"]));
    bundle.set("/linux/readonlyPaths", json!(["/absent", "/absent/below"]));
    assert_eq!(bundle.run().lines(), ["ran"]);
    assert!(!bundle.inside("/absent").exists());
}

fn the_usual_masked_paths_hide_what_they_should() {
    let script = "for path in /proc/kcore /proc/keys /proc/timer_list; do test ! -e $path || stat -c %t:%T $path; done; \
                  ls -A /sys/firmware /proc/acpi /proc/scsi 2>/dev/null | grep -v : | wc -w";
    let lines = Bundle::sh(script).run().lines();
    assert!(lines.len() >= 2 && lines[..lines.len() - 1].iter().all(|line| line == "1:3"), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "0");
}

fn a_mask_made_of_a_fake_null_device_hides_or_is_refused() {
    let bundle = with_secret("cat /secret");
    // The image brings a /dev of its own, in which null leads to a file that the attacker chose.
    bundle.file("/decoy", 0o644, "decoy\n");
    for mount in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
        bundle.no_mount(mount);
    }
    let dev = bundle.beside("dev");
    symlink("/decoy", dev.join("null")).unwrap();
    bundle.mount("/dev", "bind", dev.to_str().unwrap(), &["bind"]);
    bundle.set("/linux/maskedPaths", json!(["/secret"]));
    let output = bundle.run();
    assert!(!output.out().contains("decoy") && !output.out().contains("secret"), "{}", output.show());
}

fn a_read_only_file_is_read_only() {
    let bundle = with_secret("(echo x >> /secret) 2>/dev/null || echo refused; cat /secret");
    bundle.set("/linux/readonlyPaths", json!(["/secret"]));
    assert_eq!(bundle.run().lines(), ["refused", "secret"]);
    bundle.set("/linux/readonlyPaths", json!([]));
    assert_eq!(bundle.run().lines(), ["secret", "x"]);
}

fn a_read_only_folder_is_read_only() {
    let bundle = with_secret("touch /secrets/x 2>/dev/null || echo refused; cat /secrets/one");
    bundle.set("/linux/readonlyPaths", json!(["/secrets"]));
    assert_eq!(bundle.run().lines(), ["refused", "secret"]);
    bundle.set("/linux/readonlyPaths", json!([]));
    assert_eq!(bundle.run().lines(), ["secret"]);
}

fn the_usual_read_only_paths_are_so() {
    let bundle = Bundle::new(&["/bin/cat", "/proc/self/mountinfo"]);
    let all = mounts(&bundle.run().text());
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"] {
        assert!(mount_at(&all, path).has("ro"), "{path}");
    }
    assert!(mount_at(&all, "/proc").has("rw"));
}

fn a_read_only_path_keeps_the_flags_of_its_mount() {
    let bundle = Bundle::new(&["/bin/cat", "/proc/self/mountinfo"]);
    bundle.set("/mounts/0/options", json!(["nosuid", "noexec", "nodev"]));
    let all = mounts(&bundle.run().text());
    let mount = mount_at(&all, "/proc/sys");
    assert!(["ro", "nosuid", "noexec", "nodev"].iter().all(|option| mount.has(option)), "{mount:?}");
}

fn shared(host: Host) -> Host {
    host.private().mount("none", "/", "none", (MsFlags::MS_SHARED | MsFlags::MS_REC).bits(), "")
}

fn every_rootfs_propagation() -> Vec<Trial> {
    const CASES: &[(&str, &str)] = &[
        ("private", ""),
        ("rprivate", ""),
        ("slave", "master:"),
        ("rslave", "master:"),
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ];
    let test = |value: &'static str, tag: &'static str| {
        move || {
            let bundle = Bundle::new(&["/bin/cat", "/proc/self/mountinfo"]);
            bundle.set("/linux/rootfsPropagation", json!(value));
            let all = mounts(&bundle.on(shared(Host::machine())).output().text());
            let root = mount_at(&all, "/");
            for known in ["shared:", "unbindable", "master:"] {
                // A shared root may still be a slave of the host's.
                let free = tag == "shared:" && known == "master:";
                assert!(free || root.propagates(known) == (known == tag), "{known}: {root:?}");
            }
        }
    };
    CASES
        .iter()
        .map(|(value, tag)| case(format!("the_rootfs_propagation_{value}"), test(value, tag)))
        .collect()
}

fn nothing_reaches_a_host_whose_mounts_are_shared() {
    for propagation in ["private", "slave", "shared", "rslave"] {
        let bundle = Bundle::sh("mount -t tmpfs inner /tmp; echo ready; read line");
        bundle.privileged().set("/linux/rootfsPropagation", json!(propagation));
        let mut live = bundle.on(shared(Host::machine())).start();
        live.until("ready");
        let text = fs::read_to_string(format!("/proc/{}/mountinfo", live.pid())).unwrap();
        let own = bundle.dir.to_str().unwrap();
        let leaked: Vec<&str> =
            text.lines().filter(|line| line.contains(own) || line.contains("inner")).collect();
        assert!(leaked.is_empty(), "{propagation}: {leaked:?}");
        live.send("\n");
        live.finish().succeeds();
    }
}

fn a_slave_sees_later_mounts_of_the_host_and_a_private_one_does_not() {
    for (option, seen) in [("rslave", "seen"), ("rshared", "seen"), ("rprivate", "unseen")] {
        let bundle = Bundle::sh("echo ready; read line; test -e /srv/sub/file && echo seen || echo unseen");
        let source = bundle.beside("source");
        fs::create_dir(source.join("sub")).unwrap();
        fs::write(bundle.beside("later").join("file"), "").unwrap();
        bundle.set("/linux/rootfsPropagation", json!("rslave"));
        bundle.mount("/srv", "bind", source.to_str().unwrap(), &["rbind", option]);
        let mut live = bundle.on(shared(Host::machine())).start();
        live.until("ready");
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &live.pid().to_string(), "-m", "mount", "--bind"])
            .args([bundle.dir.join("later"), source.join("sub")]);
        assert!(spawn::output(&mut command).status.success());
        live.send("\n");
        assert_eq!(live.line(), seen, "{option}");
        live.finish().succeeds();
    }
}

fn without_pivot_the_root_is_the_rootfs() {
    for host in [Host::machine(), Host::cgroup2(), Host::no_proc()] {
        let bundle =
            Bundle::sh("ls /; cat /proc/self/mountinfo | cut -d' ' -f5 | head -1; ls /../..; test -e /probe");
        let output = bundle.on(host).flags(&["--no-pivot"]).output();
        let lines = output.lines();
        assert!(lines.contains(&"/".to_owned()) && !lines.contains(&"boot".to_owned()), "{lines:?}");
    }
}

fn the_host_is_out_of_reach() {
    let bundle = Bundle::sh("stat -c %d:%i / /.. /proc/1/root/. /proc/self/root/../..; mount | grep -c vda");
    bundle.privileged();
    let lines = bundle.run().lines();
    let meta = fs::metadata(bundle.rootfs()).unwrap();
    let inside = format!("{}:{}", meta.dev(), meta.ino());
    assert_eq!(lines[..4], [inside.as_str(); 4]);
    assert_eq!(lines[4], "1", "more than the rootfs comes from the host");
}
