//! Properties of the process beside who it is: scheduling, I/O priority, personality, memory policy, security modules.

use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Value, json, suite};
use libtest_mimic::Trial;
use std::fs;

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
    labels_are_written_through_the_hosts_procfs;
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
