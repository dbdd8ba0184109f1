//! `spec` writes a config that means what runc's means; `plan` prints what a bundle would cause, and does nothing.

use hull_tests::run::{command, hull_in, hull_says};
use hull_tests::{Bundle, Host, Value, bundle, hull, json, spawn, suite};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

suite!(
    spec_means_what_runc_writes,
    spec_goes_into_the_named_bundle,
    spec_never_overwrites,
    spec_into_a_missing_folder_is_refused,
    spec_ends_with_a_newline_and_is_readable,
    spec_rootless_means_what_runc_writes,
    plan_needs_neither_root_nor_rootfs,
    plan_names_every_mount_and_namespace,
    plan_does_nothing,
    plan_refuses_what_run_refuses
);

fn spec(flags: &[&str]) -> Value {
    let bundle = Bundle::empty();
    let words = [&["spec"], flags].concat();
    hull_in(&bundle.dir, &words).succeeds();
    serde_json::from_slice(&fs::read(bundle.dir.join("config.json")).unwrap()).expect("JSON")
}

fn set(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(|item| item.as_str().expect("a string").to_owned()).collect()
}

fn kinds(config: &Value) -> BTreeSet<String> {
    let list = config["linux"]["namespaces"].as_array().expect("namespaces");
    list.iter().map(|entry| entry["type"].as_str().expect("a type").to_owned()).collect()
}

/// Destination, type, source and options of every mount; the order counts, the options' does not.
fn mounts(config: &Value) -> Vec<(String, String, String, BTreeSet<String>)> {
    let word = |value: &Value| value.as_str().expect("a string").to_owned();
    let list = config["mounts"].as_array().expect("mounts");
    list.iter()
        .map(|entry| {
            (
                word(&entry["destination"]),
                word(&entry["type"]),
                word(&entry["source"]),
                set(&entry["options"]),
            )
        })
        .collect()
}

fn check_common(config: &Value) {
    let runc = bundle::plain_config();
    assert!(config["ociVersion"].as_str().unwrap().starts_with("1."), "{}", config["ociVersion"]);
    for field in ["user", "args", "env", "cwd", "rlimits", "noNewPrivileges"] {
        assert_eq!(
            config["process"][field],
            if field == "args" { json!(["sh"]) } else { runc["process"][field].clone() }
        );
    }
    assert_eq!(config["process"]["terminal"], true);
    for kind in ["bounding", "effective", "permitted"] {
        let ours = set(&config["process"]["capabilities"][kind]);
        assert_eq!(ours, set(&runc["process"]["capabilities"][kind]), "{kind}");
    }
    for kind in ["inheritable", "ambient"] {
        assert!(set(&config["process"]["capabilities"][kind]).is_empty(), "{kind}");
    }
    assert_eq!(config["root"], json!({"path": "rootfs", "readonly": true}));
    assert!(config["hostname"].is_string());
    assert!(set(&config["linux"]["maskedPaths"]).is_superset(&set(&runc["linux"]["maskedPaths"])));
    assert_eq!(set(&config["linux"]["readonlyPaths"]), set(&runc["linux"]["readonlyPaths"]));
}

fn spec_means_what_runc_writes() {
    let config = spec(&[]);
    let runc = bundle::plain_config();
    check_common(&config);
    assert_eq!(kinds(&config), kinds(&runc));
    assert_eq!(mounts(&config), mounts(&runc));
    assert_eq!(config["linux"]["resources"]["devices"], json!([{"allow": false, "access": "rwm"}]));
    assert!(config["linux"]["uidMappings"].is_null());
}

fn spec_goes_into_the_named_bundle() {
    for form in ["--bundle", "-b"] {
        let bundle = Bundle::empty();
        hull_says(&["spec", form, bundle.dir.to_str().unwrap()]).succeeds();
        assert!(bundle.dir.join("config.json").is_file());
    }
}

fn spec_never_overwrites() {
    let bundle = Bundle::empty();
    bundle.write_raw(b"mine");
    hull_in(&bundle.dir, &["spec"]).refuses(&["config.json", "exist"]);
    assert_eq!(fs::read(bundle.dir.join("config.json")).unwrap(), b"mine");
}

fn spec_into_a_missing_folder_is_refused() {
    let bundle = Bundle::empty();
    let gone = bundle.dir.join("gone");
    hull_says(&["spec", "-b", gone.to_str().unwrap()]).refuses(&["gone", "no such file or directory"]);
    assert!(!gone.exists());
}

fn spec_ends_with_a_newline_and_is_readable() {
    let bundle = Bundle::empty();
    hull_in(&bundle.dir, &["spec"]).succeeds();
    let text = fs::read_to_string(bundle.dir.join("config.json")).unwrap();
    assert!(text.lines().count() > 100, "not indented");
    assert!(text.ends_with('\n'));
    assert_eq!(fs::metadata(bundle.dir.join("config.json")).unwrap().permissions().mode() & 0o111, 0);
}

fn spec_rootless_means_what_runc_writes() {
    let config = spec(&["--rootless"]);
    check_common(&config);
    let plain: BTreeSet<String> = ["pid", "ipc", "uts", "mount", "cgroup", "user"].map(str::to_owned).into();
    assert_eq!(kinds(&config), plain);
    let own = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    assert_eq!(config["linux"]["uidMappings"], own);
    assert_eq!(config["linux"]["gidMappings"], own);
    assert!(config["linux"]["resources"].is_null());
    let mounts = mounts(&config);
    let at = |wanted: &str| mounts.iter().find(|mount| mount.0 == wanted).expect("the mount");
    assert!(!at("/dev/pts").3.contains("gid=5"));
    assert!(at("/sys").2 == "/sys" && at("/sys").3.contains("rbind") && at("/sys").3.contains("ro"));
}

/// The runtime and a bundle without rootfs, where an ordinary user can reach both.
fn for_nobody(bundle: &Bundle) -> Vec<OsString> {
    let binary = bundle.dir.join("hull-copy");
    spawn::copy(&hull(), &binary);
    fs::remove_dir(bundle.rootfs()).unwrap();
    bundle.write();
    vec![binary.into_os_string(), "plan".into(), "-b".into(), bundle.dir.clone().into_os_string()]
}

fn plan_needs_neither_root_nor_rootfs() {
    let bundle = Bundle::empty();
    let output = spawn::output(command(&for_nobody(&bundle), &Host::machine()).uid(65534).gid(65534));
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(output.stdout.iter().filter(|byte| **byte == b'\n').count() > 20, "{output:?}");
}

fn plan_names_every_mount_and_namespace() {
    let bundle = Bundle::empty();
    bundle.mount("/srv/data", "bind", "/usr", &["rbind", "ro"]);
    bundle.write();
    let text = hull_says(&["plan", "-b", bundle.dir.to_str().unwrap(), "web"]).text();
    for word in
        ["/srv/data", "/proc", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "pid", "uts", "/proc/kcore"]
    {
        assert!(text.contains(word), "{word} is not in the plan: {text}");
    }
}

fn plan_does_nothing() {
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.set("/root/readonly", json!(false)).mount("/new/target", "bind", "/usr", &["rbind"]);
    bundle.write();
    hull_in(&bundle.dir, &["plan"]).succeeds();
    assert!(!bundle.inside("/new").exists());
    assert!(!Path::new("/run/hull").join(&bundle.id).exists());
    // Control: running it does make the target.
    bundle.run().succeeds();
    assert!(bundle.inside("/new/target").exists());
}

fn plan_refuses_what_run_refuses() {
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.set("/linux/sysctl", json!({"vm.swappiness": "1"}));
    bundle.write();
    hull_in(&bundle.dir, &["plan"]).refuses(&["vm.swappiness"]);
    bundle.run().refuses(&["vm.swappiness"]);
}
