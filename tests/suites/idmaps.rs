//! Mounts that change what is there: mapped ids, remounts, and options that only newer kernels know.

use hull_tests::facts::{mount_at, mounts};
use hull_tests::holder::{Holder, PLAIN, join, map_users};
use hull_tests::{Bundle, Host, Value, json, suite};
use nix::libc;
use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

suite!(
    own_mappings_show_other_owners,
    own_mappings_go_without_the_option_too,
    files_made_inside_have_the_owner_of_the_source,
    without_a_mapping_owners_are_the_sources,
    the_mapping_of_a_new_user_namespace_is_used,
    the_mapping_of_a_joined_user_namespace_is_used,
    own_mappings_in_a_user_namespace_are_their_own,
    a_file_is_mapped_too,
    idmap_leaves_submounts_alone_and_ridmap_does_not,
    a_mapped_mount_keeps_its_other_options,
    idmap_without_mappings_or_users_is_refused,
    ids_of_a_new_file_system_are_refused,
    half_a_mapping_is_refused,
    a_kernel_without_mapped_mounts_is_named,
    mapping_needs_the_hosts_root,
    no_process_is_left_where_mapping_fails,
    a_remount_changes_the_file_system,
    a_remount_gets_data,
    a_bind_remount_changes_the_mount_alone,
    a_remount_of_what_is_no_mount_is_refused,
    a_remount_of_what_is_not_there_is_refused,
    what_lies_in_a_changed_mount_is_still_made_right,
    nosymfollow_follows_nothing
);

/// A bundle whose mount /srv is a folder with files `0`, `1000` and `70000`, named by their owners.
fn owned(options: &[&str], mappings: Option<Value>) -> (Bundle, PathBuf) {
    let bundle = Bundle::sh("cd /srv; stat -c '%n %u %g' *");
    let source = bundle.dir.join("source");
    fs::create_dir_all(&source).unwrap();
    fs::create_dir_all(bundle.inside("/srv")).unwrap();
    for owner in [0, 1000, 70_000] {
        let file = source.join(owner.to_string());
        fs::write(&file, "").unwrap();
        chown(&file, Some(owner), Some(owner)).unwrap();
    }
    let mut mount = json!({"destination": "/srv", "type": "bind", "source": source.to_str().unwrap(), "options": options});
    if let Some(mappings) = mappings {
        mount["uidMappings"] = mappings.clone();
        mount["gidMappings"] = mappings;
    }
    bundle.push("/mounts", mount);
    (bundle, source)
}

fn mapping(outside: u32) -> Option<Value> {
    Some(json!([{"containerID": 0, "hostID": outside, "size": 65536}]))
}

const SHIFTED: [&str; 3] = ["0 5000 5000", "1000 6000 6000", "70000 65534 65534"];
const PLAINLY: [&str; 3] = ["0 0 0", "1000 1000 1000", "70000 70000 70000"];
/// As root of a user namespace that maps 65536 ids sees what is mapped by the same.
const INSIDE: [&str; 3] = ["0 0 0", "1000 1000 1000", "70000 65534 65534"];

fn own_mappings_show_other_owners() {
    for option in ["idmap", "ridmap"] {
        assert_eq!(owned(&["rbind", option], mapping(5000)).0.run().lines(), SHIFTED);
    }
    let (bundle, _) = owned(
        &["bind", "idmap"],
        Some(
            json!([{"containerID": 1000, "hostID": 7, "size": 1}, {"containerID": 0, "hostID": 1, "size": 1}]),
        ),
    );
    assert_eq!(bundle.run().lines(), ["0 1 1", "1000 7 7", "70000 65534 65534"]);
}

fn own_mappings_go_without_the_option_too() {
    assert_eq!(owned(&["bind"], mapping(5000)).0.run().lines(), SHIFTED);
}

fn files_made_inside_have_the_owner_of_the_source() {
    let (bundle, source) = owned(&["bind", "idmap"], mapping(5000));
    bundle.set("/process/args", json!(["sh", "-c", "touch /srv/new"]));
    bundle.set("/process/user", json!({"uid": 5000, "gid": 5000}));
    bundle.run().succeeds();
    let meta = fs::metadata(source.join("new")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!((meta.uid(), meta.gid()), (0, 0));
}

fn without_a_mapping_owners_are_the_sources() {
    assert_eq!(owned(&["bind"], None).0.run().lines(), PLAINLY);
}

fn the_mapping_of_a_new_user_namespace_is_used() {
    let (bundle, _) = owned(&["bind", "idmap"], None);
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    map_users(&bundle, 100_000);
    assert_eq!(bundle.run().lines(), INSIDE);
    // Control: without the option nobody inside owns the files.
    let (bundle, _) = owned(&["bind"], None);
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    map_users(&bundle, 100_000);
    assert_eq!(bundle.run().lines()[0], "0 65534 65534");
}

fn the_mapping_of_a_joined_user_namespace_is_used() {
    let holder = Holder::with_users();
    let (bundle, _) = owned(&["bind", "idmap"], None);
    join(&bundle, &holder, &["user"], &PLAIN);
    assert_eq!(bundle.run().lines(), INSIDE);
    holder.end();
}

fn own_mappings_in_a_user_namespace_are_their_own() {
    let (bundle, _) = owned(&["bind", "idmap"], mapping(100_007));
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    map_users(&bundle, 100_000);
    assert_eq!(bundle.run().lines(), ["0 7 7", "1000 1007 1007", "70000 65534 65534"]);
}

fn a_file_is_mapped_too() {
    let (bundle, source) = owned(&["bind", "idmap"], mapping(5000));
    let file = source.join("1000");
    let last = bundle.get("/mounts").as_array().unwrap().len() - 1;
    bundle.set(&format!("/mounts/{last}/source"), json!(file.to_str().unwrap()));
    bundle.set(&format!("/mounts/{last}/destination"), json!("/etc/hostname"));
    bundle.set("/process/args", json!(["stat", "-c", "%u", "/etc/hostname"]));
    assert_eq!(bundle.run().text(), "6000");
}

fn idmap_leaves_submounts_alone_and_ridmap_does_not() {
    for (option, wanted) in [("idmap", "5000\n0"), ("ridmap", "5000\n5000")] {
        let (bundle, source) = owned(&["rbind", option], mapping(5000));
        let below = source.join("below");
        fs::create_dir(&below).unwrap();
        bundle.set("/process/args", json!(["sh", "-c", "stat -c %u /srv/0 /srv/below"]));
        let host = Host::machine().private().mount("below", below.to_str().unwrap(), "tmpfs", 0, "");
        assert_eq!(bundle.on(host).output().text(), wanted, "{option}");
    }
}

fn a_mapped_mount_keeps_its_other_options() {
    let (bundle, _) = owned(&["bind", "idmap", "ro", "nosuid"], mapping(5000));
    bundle.set("/process/args", json!(["cat", "/proc/self/mountinfo"]));
    let all = mounts(&bundle.run().text());
    let mount = mount_at(&all, "/srv");
    assert!(["ro", "nosuid", "idmapped"].iter().all(|option| mount.has(option)), "{mount:?}");
    assert!(mount.propagation.is_empty(), "{mount:?}");
}

fn idmap_without_mappings_or_users_is_refused() {
    for option in ["idmap", "ridmap"] {
        owned(&["bind", option], None).0.run().refuses(&["mounts[", "options", "idmap", "uidMappings"]);
    }
}

fn ids_of_a_new_file_system_are_refused() {
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.push(
        "/mounts",
        json!({"destination": "/srv", "type": "tmpfs", "source": "tmpfs", "options": ["idmap"],
               "uidMappings": mapping(1), "gidMappings": mapping(1)}),
    );
    bundle.run().refuses(&["mounts[", "bind"]);
}

fn half_a_mapping_is_refused() {
    let (bundle, _) = owned(&["bind", "idmap"], mapping(1));
    let last = bundle.get("/mounts").as_array().unwrap().len() - 1;
    bundle.remove(&format!("/mounts/{last}/gidMappings"));
    bundle.run().refuses(&["mounts[", "uidMappings", "gidMappings"]);
}

fn a_kernel_without_mapped_mounts_is_named() {
    for call in ["mount_setattr", "open_tree"] {
        let host = Host::machine().without(&[(call, libc::ENOSYS)]);
        let (bundle, source) = owned(&["bind", "idmap"], mapping(5000));
        bundle.on(host).output().refuses(&["map the ids", source.to_str().unwrap(), "Linux 5.12"]);
    }
    // procfs takes no part
    let (bundle, _) = owned(&["bind", "idmap"], mapping(5000));
    let last = bundle.get("/mounts").as_array().unwrap().len() - 1;
    bundle.set(&format!("/mounts/{last}/source"), json!("/proc"));
    bundle.run().refuses(&["map the ids", "/proc", "EINVAL"]);
}

fn mapping_needs_the_hosts_root() {
    let (bundle, _) = owned(&["bind", "idmap"], mapping(5000));
    let output = bundle.on(Host::machine().without_capabilities()).output();
    output.exits(1);
}

fn no_process_is_left_where_mapping_fails() {
    // the suite looks for processes that nobody waits for at its end
    let (bundle, _) = owned(
        &["bind", "idmap"],
        Some(json!([{"containerID": 0, "hostID": 1, "size": 2}, {"containerID": 1, "hostID": 9, "size": 2}])),
    );
    bundle.run().refuses(&["map the ids", "EINVAL"]);
}

fn info(bundle: &Bundle) -> Vec<hull_tests::facts::Mount> {
    mounts(&bundle.run().text())
}

fn a_remount_changes_the_file_system() {
    let bundle = Bundle::sh("cat /proc/self/mountinfo");
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["nosuid"]).mount("/tmp", "tmpfs", "tmpfs", &["remount", "ro"]);
    let all = info(&bundle);
    let mount = mount_at(&all, "/tmp");
    assert!(mount.has("ro") && mount.super_has("ro") && !mount.has("nosuid"), "{mount:?}");
    assert_eq!(all.iter().filter(|mount| mount.target == "/tmp").count(), 1);
}

fn a_remount_gets_data() {
    let bundle = Bundle::sh("cat /proc/self/mountinfo");
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["size=64k"]).mount(
        "/tmp",
        "none",
        "x",
        &["remount", "size=128k"],
    );
    assert!(mount_at(&info(&bundle), "/tmp").super_has("size=128k"));
    bundle.mount("/tmp", "none", "x", &["remount", "size=many"]);
    bundle.run().refuses(&["mount", "/tmp", "EINVAL"]);
}

fn a_bind_remount_changes_the_mount_alone() {
    let bundle = Bundle::sh("cat /proc/self/mountinfo");
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["nosuid"]);
    bundle.mount("/tmp", "bind", "", &["bind", "remount", "ro"]);
    let all = info(&bundle);
    let mount = mount_at(&all, "/tmp");
    assert!(mount.has("ro") && mount.has("nosuid") && mount.super_has("rw"), "{mount:?}");
    // so does an older kernel's way
    let host = Host::machine().without(&[("mount_setattr", libc::ENOSYS)]);
    let all = mounts(&bundle.on(host).output().text());
    let mount = mount_at(&all, "/tmp");
    assert!(mount.has("ro") && mount.has("nosuid") && mount.super_has("rw"), "{mount:?}");
}

fn a_remount_of_what_is_no_mount_is_refused() {
    for options in [&["remount", "ro"][..], &["bind", "remount", "ro"]] {
        let bundle = Bundle::new(&["/bin/true"]);
        bundle.mount("/usr", "none", "none", options);
        bundle.run().refuses(&["/usr", "EINVAL"]);
    }
}

fn a_remount_of_what_is_not_there_is_refused() {
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.set("/root/readonly", json!(false)).mount("/no/such", "none", "none", &["remount"]);
    bundle.run().refuses(&["/no/such", "ENOENT"]);
    assert!(!bundle.inside("/no").exists());
}

fn what_lies_in_a_changed_mount_is_still_made_right() {
    let bundle = Bundle::sh("cat /proc/self/mountinfo");
    bundle.mount("/tmp", "tmpfs", "tmpfs", &[]).mount("/tmp", "bind", "", &["bind", "remount", "nosuid"]);
    bundle.mount("/tmp/inner", "tmpfs", "tmpfs", &[]).set("/linux/readonlyPaths", json!(["/tmp/inner"]));
    let all = info(&bundle);
    assert!(mount_at(&all, "/tmp").has("nosuid"));
    assert!(mount_at(&all, "/tmp/inner").has("ro"));
}

fn nosymfollow_follows_nothing() {
    let bundle =
        Bundle::sh("ln -s /etc/passwd /tmp/link; cat /tmp/link >/dev/null 2>&1 && echo follows || echo not");
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["nosymfollow"]);
    assert_eq!(bundle.run().text(), "not");
    let last = bundle.get("/mounts").as_array().unwrap().len() - 1;
    bundle.set(&format!("/mounts/{last}/options"), json!([]));
    assert_eq!(bundle.run().text(), "follows");
}
