//! `features`: the structure of runtime-spec 1.3.0, and whether it is true.

use hull_tests::run::hull_says;
use hull_tests::{Bundle, Value, json, project, suite};
use oci_spec::runtime::Features;
use std::fs;

suite!(
    the_structure_is_the_golden_one,
    the_types_of_the_spec_take_it,
    both_ends_of_the_versions_are_accepted,
    every_mount_option_is_recognized,
    every_word_is_recognized_where_it_belongs,
    what_is_refused_is_not_claimed,
    it_takes_no_argument_and_needs_no_right
);

fn features() -> Value {
    serde_json::from_str(&hull_says(&["features"]).text()).expect("JSON")
}

/// `HULL_BLESS=1` writes the golden file anew; read the difference before committing it.
fn the_structure_is_the_golden_one() {
    let mut now = features();
    let commit = &mut now["annotations"]["hull.commit"];
    assert!(commit.is_string());
    *commit = json!("");
    let file = project().join("tests/golden/features.json");
    if std::env::var_os("HULL_BLESS").is_some() {
        fs::write(&file, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    let kept: Value = serde_json::from_slice(&fs::read(&file).expect("the golden file")).expect("JSON");
    assert_eq!(now, kept);
}

fn the_types_of_the_spec_take_it() {
    let mut now = features();
    // The crate knows fewer architectures than runtime-spec 1.3.0.
    let archs = now["linux"]["seccomp"]["archs"].as_array_mut().unwrap();
    archs.retain(|arch| serde_json::from_value::<oci_spec::runtime::Arch>(arch.clone()).is_ok());
    assert!(archs.len() > 15, "{archs:?}");
    let read: Features = serde_json::from_value(now.clone()).expect("a features structure");
    assert_eq!(read.oci_version_max(), "1.3.0");
    let linux = read.linux().as_ref().unwrap();
    assert_eq!(linux.cgroup().as_ref().unwrap().v2(), &Some(true));
    assert_eq!(linux.capabilities().as_ref().unwrap().len(), 41);
    // What the crate made of it is in the structure: no field has another shape.
    let again = serde_json::to_value(&read).unwrap();
    assert!(within(&again, &now), "{again}");
}

/// Whether everything in `part` but nulls is in `whole`.
fn within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Null, _) => true,
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(key, value)| value.is_null() || whole.get(key).is_some_and(|there| within(value, there))),
        (part, whole) => part == whole,
    }
}

fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    assert!(!list.is_empty());
    list.iter().map(|word| word.as_str().expect("a string").to_owned()).collect()
}

/// Plans a config; what is written to standard error.
fn planned(bundle: &Bundle) -> String {
    bundle.write();
    let output = hull_says(&["plan", "-b", bundle.dir.to_str().unwrap(), "x"]);
    output.exits(0);
    output.err()
}

fn both_ends_of_the_versions_are_accepted() {
    let features = features();
    for end in ["ociVersionMin", "ociVersionMax"] {
        let bundle = Bundle::new(&["/bin/true"]);
        bundle.set("/ociVersion", features[end].clone());
        assert_eq!(planned(&bundle), "");
        bundle.run().succeeds();
    }
}

fn every_mount_option_is_recognized() {
    for option in words(&features()["mountOptions"]) {
        let bundle = Bundle::empty();
        match option.as_str() {
            "tmpcopyup" => bundle.mount("/srv", "tmpfs", "tmpfs", &[&option]),
            "idmap" | "ridmap" => {
                bundle.push("/linux/namespaces", json!({"type": "user"}));
                hull_tests::holder::map_users(&bundle, 100_000);
                bundle.mount("/srv", "bind", "/usr", &["bind", &option])
            }
            _ => bundle.mount("/srv", "bind", "/usr", &["bind", &option]),
        };
        bundle.write();
        let text = hull_says(&["plan", "-b", bundle.dir.to_str().unwrap(), "x"]).text();
        // What is not recognized is data for the file system.
        let mount = text.lines().find(|line| line.contains("mount ") && line.contains("\"/srv\"")).unwrap();
        assert!(!mount.contains("data="), "{mount}");
    }
}

fn every_word_is_recognized_where_it_belongs() {
    let features = features();
    let linux = &features["linux"];
    let bundle = Bundle::empty();
    let all = words(&linux["capabilities"]);
    let words_of: Vec<&str> = all.iter().map(String::as_str).collect();
    bundle.capabilities(&words_of, &["bounding", "effective", "permitted", "inheritable", "ambient"]);
    let kinds: Vec<String> = words(&linux["namespaces"]).into_iter().filter(|kind| kind != "user").collect();
    bundle.namespaces(&kinds.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(planned(&bundle), "");
    for mode in words(&linux["memoryPolicy"]["modes"]) {
        let nodes = if ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&mode.as_str()) { "" } else { "0" };
        bundle.set("/linux/memoryPolicy", json!({"mode": mode, "nodes": nodes}));
        bundle.set("/linux/memoryPolicy/flags", linux["memoryPolicy"]["flags"].clone());
        assert_eq!(planned(&bundle), "");
    }
    for hook in words(&features["hooks"]) {
        bundle.set(&format!("/hooks/{hook}"), json!([{"path": "/bin/true"}]));
        assert_eq!(planned(&bundle), "");
    }
}

/// The fields whose support is told by a flag, and a config that needs them.
fn what_is_refused_is_not_claimed() {
    let features = features();
    for (claim, field, value) in [
        ("/linux/seccomp/enabled", "/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"})),
        ("/linux/cgroup/rdma", "/linux/resources/rdma", json!({"mlx5_1": {"hcaHandles": 3}})),
        ("/linux/netDevices/enabled", "/linux/netDevices", json!({"eth0": {}})),
        ("/linux/apparmor/enabled", "/process/apparmorProfile", json!("x")),
        ("/linux/selinux/enabled", "/process/selinuxLabel", json!("x")),
    ] {
        let bundle = Bundle::empty();
        bundle.set(field, value);
        bundle.write();
        let output = hull_says(&["plan", "-b", bundle.dir.to_str().unwrap(), "x"]);
        let refused = output.err().contains("hull can't carry this out yet");
        assert_eq!(features.pointer(claim), Some(&json!(!refused)), "{claim}: {}", output.show());
    }
}

fn it_takes_no_argument_and_needs_no_right() {
    hull_says(&["features", "x"]).refuses(&["features", "x"]);
    let bundle = Bundle::empty();
    let life = hull_tests::Life::on(bundle, hull_tests::Host::machine().without_capabilities());
    assert_eq!(life.call(&["features"]).text(), hull_says(&["features"]).text());
}
