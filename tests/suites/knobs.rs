//! Properties of the process beside who it is: scheduling, I/O priority, personality, memory policy, security modules.

use hull_tests::life::{HOLDING, Life};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Value, json, suite};
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};

suite!(
    nice_of_a_time_sharing_policy_is_set,
    a_deadline_is_set_with_its_flags,
    scheduling_of_another_user_is_set_before_rights_are_given_up,
    scheduling_in_a_user_namespace_is_set_by_the_parent,
    without_a_scheduler_policy_and_nice_are_the_callers,
    a_policy_that_the_kernel_refuses_is_named,
    an_io_priority_of_another_class_is_no_accident,
    linux32_changes_what_uname_says,
    a_memory_policy_binds_to_its_nodes,
    nodes_that_are_not_there_are_refused_by_name,
    more_nodes_than_the_kernel_has_are_refused_by_name,
    an_exec_affinity_changes_nothing_for_run,
    an_apparmor_profile_without_apparmor_is_an_error,
    a_selinux_label_without_selinux_is_an_error,
    a_mount_label_without_selinux_is_an_error,
    a_mount_label_is_not_for_proc_sys_and_binds,
    labels_are_written_through_the_hosts_procfs,
    without_resctrl_an_intel_rdt_is_refused,
    a_class_of_its_own_comes_and_goes_with_the_container,
    a_class_of_its_own_gets_all_lines_in_order,
    a_named_class_is_made_and_stays,
    a_named_class_without_lines_must_be_there,
    a_named_class_that_is_there_must_have_the_lines,
    a_monitoring_group_goes_with_the_container,
    the_default_class_is_the_root,
    a_failed_start_leaves_no_class;
    every_policy,
    every_io_priority
);

/// Fields 18, 19, 40 and 41 of proc_pid_stat(5): priority, nice, real-time priority, policy.
fn stat(bundle: &Bundle) -> [i64; 4] {
    // a cpu cgroup of v1 gives no real-time before it is told to
    let text = bundle.on(Host::cgroup2()).output().text();
    let fields: Vec<&str> = text.rsplit_once(')').expect("a stat").1.split_whitespace().collect();
    [15, 16, 37, 38].map(|at| fields[at].parse().expect("a number"))
}

fn scheduled(scheduler: Value) -> Bundle {
    let bundle = Bundle::new(&["/bin/cat", "/proc/self/stat"]);
    bundle.set("/process/scheduler", scheduler);
    bundle
}

fn every_policy() -> Vec<Trial> {
    let policies = [
        ("SCHED_OTHER", 0, json!({}), 0),
        ("SCHED_FIFO", 1, json!({"priority": 7}), 7),
        ("SCHED_RR", 2, json!({"priority": 99}), 99),
        ("SCHED_BATCH", 3, json!({"nice": 3}), 0),
        ("SCHED_IDLE", 5, json!({}), 0),
    ];
    let trial = |(name, number, mut fields, priority): (&'static str, i64, Value, i64)| {
        case(format!("policy_{name}"), move || {
            fields["policy"] = json!(name);
            let [_, _, seen, policy] = stat(&scheduled(fields));
            assert_eq!((policy, seen), (number, priority));
        })
    };
    policies.into_iter().map(trial).collect()
}

fn nice_of_a_time_sharing_policy_is_set() {
    for nice in [19, 5, -3] {
        let [priority, seen, _, policy] = stat(&scheduled(json!({"policy": "SCHED_OTHER", "nice": nice})));
        assert_eq!((seen, priority, policy), (nice, nice + 20, 0));
    }
}

fn a_deadline_is_set_with_its_flags() {
    let bundle = Bundle::sh("cat /proc/self/sched; cat /proc/1/stat");
    bundle.set(
        "/process/scheduler",
        json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 50_000_000, "period": 100_000_000,
               "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
    );
    let text = bundle.run().text();
    let stat = text.lines().last().expect("a stat");
    // Field 41 of the first process, and those that it forked are back at the default policy.
    assert_eq!(stat.split_whitespace().nth(40), Some("6"), "{stat}");
    let own = text.lines().find(|line| line.starts_with("policy")).expect("a policy");
    assert!(own.trim_end().ends_with(" 0"), "{own}");
    // Control: without the flag the kernel lets such a process fork none.
    bundle.set("/process/scheduler/flags", json!([]));
    let output = bundle.run();
    assert!(output.err().contains("fork"), "{}", output.show());
}

fn scheduling_of_another_user_is_set_before_rights_are_given_up() {
    let bundle = scheduled(json!({"policy": "SCHED_FIFO", "priority": 1}));
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(stat(&bundle)[2..], [1, 1]);
}

fn in_users(bundle: &Bundle) {
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    for map in ["/linux/uidMappings", "/linux/gidMappings"] {
        bundle.set(map, json!([{"containerID": 0, "hostID": 0, "size": 65536}]));
    }
}

fn scheduling_in_a_user_namespace_is_set_by_the_parent() {
    let bundle = scheduled(json!({"policy": "SCHED_RR", "priority": 2}));
    in_users(&bundle);
    assert_eq!(stat(&bundle)[2..], [2, 2]);
    let bundle = priority("IOPRIO_CLASS_RT", Some(1));
    in_users(&bundle);
    assert_eq!(bundle.run().text(), format!("ok {}", 1 << 13 | 1));
}

fn without_a_scheduler_policy_and_nice_are_the_callers() {
    let bundle = Bundle::new(&["/bin/cat", "/proc/self/stat"]);
    assert_eq!(stat(&bundle)[1..], [0, 0, 0]);
}

fn a_policy_that_the_kernel_refuses_is_named() {
    let hopeless = scheduled(json!({"policy": "SCHED_FIFO", "priority": 1}));
    let output = hopeless.on(Host::v1().without(&[("sched_setattr", nix::libc::EPERM)])).output();
    output.refuses(&["process.scheduler", "EPERM", "linux.resources.cpu.realtimeRuntime"]);
    scheduled(json!({"policy": "SCHED_ISO"})).run().refuses(&["process.scheduler", "EINVAL"]);
    scheduled(json!({"policy": "SCHED_FIFO", "priority": 100}))
        .run()
        .refuses(&["process.scheduler", "EINVAL"]);
    scheduled(json!({"policy": "SCHED_FIFO", "priority": -1}))
        .run()
        .refuses(&["process.scheduler", "EINVAL"]);
}

/// Prints ioprio_get(2) of itself.
fn priority(class: &str, level: Option<u32>) -> Bundle {
    let bundle = Bundle::probe(&["syscall", &nix::libc::SYS_ioprio_get.to_string(), "1", "0"]);
    bundle.set("/process/ioPriority", json!({"class": class}));
    if let Some(level) = level {
        bundle.set("/process/ioPriority/priority", json!(level));
    }
    bundle
}

fn every_io_priority() -> Vec<Trial> {
    let all = [
        ("IOPRIO_CLASS_RT", Some(0), 1 << 13),
        ("IOPRIO_CLASS_RT", Some(7), 1 << 13 | 7),
        ("IOPRIO_CLASS_BE", Some(3), 2 << 13 | 3),
        ("IOPRIO_CLASS_BE", None, 2 << 13),
        ("IOPRIO_CLASS_IDLE", None, 3 << 13),
    ];
    let trial = |(class, level, wanted): (&'static str, Option<u32>, u32)| {
        case(format!("io_priority_{class}_{}", level.unwrap_or(9)), move || {
            assert_eq!(priority(class, level).run().text(), format!("ok {wanted}"));
        })
    };
    all.into_iter().map(trial).collect()
}

fn an_io_priority_of_another_class_is_no_accident() {
    let bundle = priority("IOPRIO_CLASS_BE", Some(3));
    bundle.remove("/process/ioPriority");
    assert_ne!(bundle.run().text(), format!("ok {}", 2 << 13 | 3));
    priority("IOPRIO_CLASS_RT", Some(1))
        .on(Host::machine().without(&[("ioprio_set", nix::libc::ENOSYS)]))
        .output()
        .refuses(&["process.ioPriority", "ENOSYS", "CONFIG_BLOCK"]);
}

fn linux32_changes_what_uname_says() {
    let bundle = Bundle::sh("uname -m");
    let native = bundle.run().text();
    bundle.set("/linux/personality", json!({"domain": "LINUX"}));
    assert_eq!(bundle.run().text(), native);
    bundle.set("/linux/personality", json!({"domain": "LINUX32"}));
    let other = bundle.run().text();
    assert!(other != native || !native.ends_with("64"), "{other}");
}

fn policy(value: Value) -> Bundle {
    let bundle = Bundle::new(&["/bin/cat", "/proc/self/numa_maps"]);
    bundle.set("/linux/memoryPolicy", value);
    bundle
}

fn a_memory_policy_binds_to_its_nodes() {
    for (mode, nodes, flags, shown) in [
        ("MPOL_BIND", "0", json!([]), "bind:0"),
        ("MPOL_BIND", "0", json!(["MPOL_F_STATIC_NODES"]), "bind=static:0"),
        ("MPOL_PREFERRED", "0", json!([]), "prefer:0"),
        ("MPOL_PREFERRED_MANY", "0", json!([]), "prefer (many):0"),
        ("MPOL_INTERLEAVE", "0", json!(["MPOL_F_RELATIVE_NODES"]), "interleave=relative:0"),
        ("MPOL_WEIGHTED_INTERLEAVE", "0", json!([]), "weighted interleave:0"),
        ("MPOL_LOCAL", "", json!([]), "local"),
        ("MPOL_PREFERRED", "", json!([]), "local"),
        ("MPOL_DEFAULT", "", json!([]), "default"),
    ] {
        let text = policy(json!({"mode": mode, "nodes": nodes, "flags": flags})).run().text();
        let line = text.lines().find(|line| line.contains("heap")).or_else(|| text.lines().next());
        assert!(line.expect("a mapping").contains(&format!(" {shown} ")), "{mode}: {text}");
    }
}

fn nodes_that_are_not_there_are_refused_by_name() {
    policy(json!({"mode": "MPOL_BIND", "nodes": "1000"})).run().refuses(&["linux.memoryPolicy", "EINVAL"]);
    let host = Host::machine().without(&[("set_mempolicy", nix::libc::ENOSYS)]);
    let bundle = policy(json!({"mode": "MPOL_BIND", "nodes": "0"}));
    bundle.on(host).output().refuses(&["linux.memoryPolicy", "ENOSYS", "CONFIG_NUMA"]);
    for (mode, nodes) in
        [("MPOL_BIND", ""), ("MPOL_DEFAULT", "0"), ("MPOL_LOCAL", "0"), ("MPOL_INTERLEAVE", "")]
    {
        policy(json!({"mode": mode, "nodes": nodes})).run().refuses(&["linux.memoryPolicy.nodes"]);
    }
}

fn more_nodes_than_the_kernel_has_are_refused_by_name() {
    policy(json!({"mode": "MPOL_BIND", "nodes": "0,8191"})).run().refuses(&["linux.memoryPolicy", "EINVAL"]);
    policy(json!({"mode": "MPOL_BIND", "nodes": "0,8192"})).run().refuses(&["linux.memoryPolicy.nodes"]);
    policy(json!({"mode": "MPOL_BIND", "nodes": "3-1"})).run().refuses(&["linux.memoryPolicy.nodes"]);
}

fn an_exec_affinity_changes_nothing_for_run() {
    let bundle = Bundle::new(&["/bin/grep", "Cpus_allowed_list", "/proc/self/status"]);
    let before = bundle.run().text();
    bundle.set("/process/execCPUAffinity", json!({"initial": "0", "final": "0-0, 1"}));
    assert_eq!(bundle.run().text(), before);
    for wrong in ["1-0", ",", "all", "0-"] {
        bundle.set("/process/execCPUAffinity/final", json!(wrong));
        bundle.run().refuses(&["process.execCPUAffinity.final", wrong]);
    }
}

fn an_apparmor_profile_without_apparmor_is_an_error() {
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.set("/process/apparmorProfile", json!(""));
    bundle.run().succeeds();
    bundle.set("/process/apparmorProfile", json!("docker-default"));
    bundle.run().refuses(&["process.apparmorProfile", "exec docker-default", "CONFIG_SECURITY_APPARMOR"]);
}

fn a_selinux_label_without_selinux_is_an_error() {
    let label = "system_u:system_r:container_t:s0:c1,c2";
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.set("/process/selinuxLabel", json!(label));
    bundle.run().refuses(&["process.selinuxLabel", label, "CONFIG_SECURITY_SELINUX"]);
    bundle
        .on(Host::machine())
        .flags(&["--no-new-keyring"])
        .output()
        .refuses(&["process.selinuxLabel", label]);
    bundle.set("/process/selinuxLabel", json!(""));
    bundle.run().succeeds();
}

fn a_mount_label_without_selinux_is_an_error() {
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.set("/linux/mountLabel", json!("system_u:object_r:container_file_t:s0:c1,c2"));
    bundle.run().refuses(&["mount", "/dev", "EINVAL", "CONFIG_SECURITY_SELINUX"]);
    bundle.set("/mounts", json!([{"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}]));
    bundle.run().refuses(&["linux.mountLabel", "/dev/mqueue", "container_file_t", "CONFIG_SECURITY_SELINUX"]);
}

fn a_mount_label_is_not_for_proc_sys_and_binds() {
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.set(
        "/mounts",
        json!([{"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}]),
    );
    bundle
        .mount("/srv", "bind", "/usr", &["bind"])
        .remove("/linux/maskedPaths")
        .remove("/linux/readonlyPaths");
    bundle.set("/linux/mountLabel", json!("system_u:object_r:container_file_t:s0"));
    bundle.run().succeeds();
}

/// What a bundle mounts over its procfs must never get the text that is meant for the kernel (CVE-2019-16884).
fn labels_are_written_through_the_hosts_procfs() {
    let bundle = Bundle::new(&["/bin/true"]);
    let trap = bundle.dir.join("trap");
    fs::create_dir_all(&trap).unwrap();
    for file in ["exec", "keycreate"] {
        fs::write(trap.join(file), "").unwrap();
    }
    bundle.mount("/proc/self/attr", "bind", "trap", &["bind"]);
    bundle.set("/process/apparmorProfile", json!("p"));
    bundle.run().refuses(&["process.apparmorProfile"]);
    for file in ["exec", "keycreate"] {
        assert_eq!(fs::read(trap.join(file)).unwrap(), b"");
    }
}

/// A host on which `tree` is a mounted resctrl, as far as mountinfo tells.
fn resctrl(bundle: &Bundle, tree: &Path) -> Host {
    let file = bundle.dir.join("mountinfo");
    let own = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = format!("999 1 0:99 / {} rw,relatime - resctrl resctrl rw\n", tree.display());
    fs::write(&file, own + &line).unwrap();
    let source = file.to_str().unwrap();
    Host::machine().private().mount(source, "/proc/self/mountinfo", "", nix::libc::MS_BIND, "")
}

/// A made-up tree on disk, where no file appears by itself.
fn tree(bundle: &Bundle) -> PathBuf {
    let tree = bundle.dir.join("resctrl");
    fs::create_dir_all(tree.join("mon_groups")).unwrap();
    tree
}

fn life(rdt: Value) -> (Life, PathBuf) {
    let bundle = Bundle::sh(HOLDING);
    bundle.set("/linux/intelRdt", rdt);
    let tree = tree(&bundle);
    let host = resctrl(&bundle, &tree);
    (Life::on(bundle, host), tree)
}

fn tasks(group: &Path) -> Vec<String> {
    fs::read_to_string(group.join("tasks")).unwrap().lines().map(str::to_owned).collect()
}

fn without_resctrl_an_intel_rdt_is_refused() {
    let bundle = Bundle::new(&["/bin/true"]);
    bundle.set("/linux/intelRdt", json!({}));
    bundle.run().refuses(&["linux.intelRdt", "resctrl", "CONFIG_X86_CPU_RESCTRL"]);
    bundle.set("/linux/intelRdt", json!({"closID": "..", "l3CacheSchema": "L3:0=f"}));
    bundle.run().refuses(&["linux.intelRdt.closID"]);
    bundle.set("/linux/intelRdt", json!({"schemata": ["L3:0=f\nMB:0=1"]}));
    bundle.run().refuses(&["linux.intelRdt.schemata[0]", "one line"]);
}

/// On a tree of the kernel's, in which a new directory has its `tasks` and goes by rmdir(2): one of cgroup v1.
fn a_class_of_its_own_comes_and_goes_with_the_container() {
    let bundle = Bundle::sh(HOLDING);
    bundle.set("/linux/intelRdt", json!({}));
    let tree = PathBuf::from(format!("/sys/fs/cgroup/freezer/{}-tree", bundle.id));
    fs::create_dir(&tree).unwrap();
    let host = resctrl(&bundle, &tree);
    let life = Life::on(bundle, host);
    life.create().succeeds();
    let class = tree.join(life.id());
    assert_eq!(tasks(&class), [life.pid().to_string()]);
    life.verb("start").succeeds();
    life.until_there("up");
    assert!(tasks(&class).contains(&life.pid().to_string()));
    life.go();
    life.verb("delete").succeeds();
    assert!(!class.exists());
    // One that was there is used, and stays.
    fs::remove_file(life.inside("go")).unwrap();
    fs::create_dir(&class).unwrap();
    life.create().succeeds();
    assert_eq!(tasks(&class), [life.pid().to_string()]);
    life.call(&["delete", "--force", life.id()]).succeeds();
    assert!(class.exists());
    fs::remove_dir(&class).unwrap();
    fs::remove_dir(&tree).unwrap();
}

fn a_class_of_its_own_gets_all_lines_in_order() {
    let (life, tree) = life(json!({"memBwSchema": "MB:0=20;1=70", "l3CacheSchema": "L3:0=7f0;1=1f",
        "schemata": ["L2:0=f", "L2:1=3"]}));
    life.create().succeeds();
    let class = tree.join(life.id());
    let text = fs::read_to_string(class.join("schemata")).unwrap();
    assert_eq!(text, "L3:0=7f0;1=1f\nMB:0=20;1=70\nL2:0=f\nL2:1=3\n");
    assert_eq!(tasks(&class), [life.pid().to_string()]);
    // The kernel's files would not keep the directory from going.
    for file in ["schemata", "tasks"] {
        fs::remove_file(class.join(file)).unwrap();
    }
    life.call(&["delete", "--force", life.id()]).succeeds();
    assert!(!class.exists());
}

fn a_named_class_is_made_and_stays() {
    let (life, tree) = life(json!({"closID": "gold", "schemata": ["MB:0=20"]}));
    life.create().succeeds();
    assert_eq!(fs::read_to_string(tree.join("gold/schemata")).unwrap(), "MB:0=20\n");
    assert_eq!(tasks(&tree.join("gold")), [life.pid().to_string()]);
    life.call(&["delete", "--force", life.id()]).succeeds();
    assert!(tree.join("gold").is_dir() && !tree.join(life.id()).exists());
}

fn a_named_class_without_lines_must_be_there() {
    let (life, tree) = life(json!({"closID": "gold"}));
    life.create().refuses(&["linux.intelRdt", "gold", "ENOENT"]);
    fs::create_dir(tree.join("gold")).unwrap();
    life.create().succeeds();
    assert!(!tree.join("gold/schemata").exists());
    life.call(&["delete", "--force", life.id()]).succeeds();
    assert_eq!(tasks(&tree.join("gold")).len(), 1);
}

fn a_named_class_that_is_there_must_have_the_lines() {
    for (wanted, right) in [
        (json!({"closID": "gold", "l3CacheSchema": "L3:0=7f0;1=1f", "memBwSchema": "MB:0=20"}), true),
        (json!({"closID": "gold", "l3CacheSchema": "L3:0=7f0"}), true),
        (json!({"closID": "gold", "l3CacheSchema": "L3:0=7f1"}), false),
        (json!({"closID": "gold", "memBwSchema": "MB:0=30"}), false),
    ] {
        let (life, tree) = life(wanted);
        fs::create_dir(tree.join("gold")).unwrap();
        let text = "    MB:0= 20;1=100\n    L3:0=007f0;1=0001f\n";
        fs::write(tree.join("gold/schemata"), text).unwrap();
        if right {
            life.create().succeeds();
            life.call(&["delete", "--force", life.id()]).succeeds();
        } else {
            life.create().refuses(&["linux.intelRdt", "gold", "other schemata"]);
            assert_eq!(fs::read_to_string(tree.join("gold/schemata")).unwrap(), text);
        }
    }
}

fn a_monitoring_group_goes_with_the_container() {
    let (life, tree) = life(json!({"closID": "gold", "enableMonitoring": true}));
    fs::create_dir_all(tree.join("gold/mon_groups")).unwrap();
    life.create().succeeds();
    let group = tree.join("gold/mon_groups").join(life.id());
    assert_eq!(tasks(&group), [life.pid().to_string()]);
    assert_eq!(tasks(&tree.join("gold")), [life.pid().to_string()]);
    fs::remove_file(group.join("tasks")).unwrap();
    life.call(&["delete", "--force", life.id()]).succeeds();
    assert!(!group.exists() && tree.join("gold/mon_groups").exists());
    // Without room for one it is an error.
    fs::remove_dir(tree.join("gold/mon_groups")).unwrap();
    life.create().refuses(&["linux.intelRdt", "mon_groups", "ENOENT"]);
}

fn the_default_class_is_the_root() {
    let (life, tree) = life(json!({"closID": "/", "enableMonitoring": true}));
    life.create().succeeds();
    assert_eq!(tasks(&tree), [life.pid().to_string()]);
    let group = tree.join("mon_groups").join(life.id());
    fs::remove_file(group.join("tasks")).unwrap();
    life.call(&["delete", "--force", life.id()]).succeeds();
    assert!(tree.is_dir() && !group.exists());
}

fn a_failed_start_leaves_no_class() {
    let bundle = Bundle::new(&["/no/such/program"]);
    bundle.set("/linux/intelRdt", json!({}));
    let tree = PathBuf::from(format!("/sys/fs/cgroup/freezer/{}-tree", bundle.id));
    fs::create_dir(&tree).unwrap();
    bundle.on(resctrl(&bundle, &tree)).output().refuses(&["/no/such/program"]);
    // Control: the root of the tree alone is left, so it goes by rmdir.
    fs::remove_dir(&tree).unwrap();
}
