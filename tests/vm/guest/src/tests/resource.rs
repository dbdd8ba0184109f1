//! The other limits of `linux.resources`, on cgroup v2 with every controller and a disk, and on a tree of both versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde_json::{Value, json};

use crate::Test;
use crate::bundle::{Bundle, PARENT};
use crate::machine::{CGROUPS, Machine, read, same};

pub const TESTS: &[Test] = &[
    ("cpu_burst_and_idle_are_written", cpu_burst_and_idle_are_written),
    ("memory_without_swap_and_unlimited", memory_without_swap_and_unlimited),
    ("huge_pages_are_limited_on_v2", huge_pages_are_limited_on_v2),
    ("a_disk_is_throttled", a_disk_is_throttled),
    ("an_io_weight_without_bfq_is_converted", an_io_weight_without_bfq_is_converted),
    ("an_io_weight_of_bfq_is_written_as_it_is", an_io_weight_of_bfq_is_written_as_it_is),
    ("unified_files_are_written", unified_files_are_written),
    ("a_limit_below_the_use_is_refused_where_asked", a_limit_below_the_use_is_refused_where_asked),
    ("what_a_kernel_lacks_is_named", what_a_kernel_lacks_is_named),
    ("below_a_busy_cgroup_only_threads_are_limited", below_a_busy_cgroup_only_threads_are_limited),
    ("limits_go_to_the_version_that_has_the_controller", limits_go_to_the_version_that_has_the_controller),
];

const MIB: u64 = 1 << 20;
const WAIT: &str = "echo ready; read line";

/// A container with `resources` has `values` in its cgroup.
fn written(machine: &Machine, resources: Value, values: &[(&str, &str)]) -> Result<()> {
    let bundle = Bundle::sh(machine, WAIT)?.set("/linux/resources", resources)?;
    let held = bundle.hold()?;
    for (name, value) in values {
        same(name, held.cgroup_file(name)?.as_str(), *value)?;
    }
    same("code", held.release()?.code, 0)
}

/// It is refused with one line that holds these.
fn refused(bundle: Bundle, resources: Value, words: &[&str]) -> Result<()> {
    let output = bundle.set("/linux/resources", resources)?.run()?;
    ensure!(output.code == 1 && output.err.lines().count() == 1, "{output:?}");
    words.iter().try_for_each(|word| {
        ensure!(output.err.contains(word), "no {word}: {}", output.err);
        Ok(())
    })
}

fn cpu_burst_and_idle_are_written(machine: &Machine) -> Result<()> {
    written(
        machine,
        json!({"cpu": {"quota": 50_000, "burst": 20_000}}),
        &[("cpu.max", "50000 100000"), ("cpu.max.burst", "20000")],
    )?;
    written(machine, json!({"cpu": {"idle": 1}}), &[("cpu.idle", "1")])?;
    written(machine, json!({"cpu": {"idle": 0, "shares": 512}}), &[("cpu.idle", "0"), ("cpu.weight", "59")])
}

fn memory_without_swap_and_unlimited(machine: &Machine) -> Result<()> {
    let memory = json!({"memory": {"limit": 64 * MIB, "swap": 64 * MIB, "reservation": -1}});
    let values = [("memory.max", "67108864"), ("memory.swap.max", "0"), ("memory.low", "max")];
    written(machine, memory, &values)?;
    let memory = json!({"memory": {"limit": -1, "swap": 64 * MIB}});
    written(machine, memory, &[("memory.max", "max"), ("memory.swap.max", "67108864")])?;
    let bundle = Bundle::sh(machine, "true")?;
    refused(
        bundle,
        json!({"memory": {"swap": 64 * MIB}}),
        &["linux.resources.memory.swap", "memory.limit beside it"],
    )
}

fn huge_pages_are_limited_on_v2(machine: &Machine) -> Result<()> {
    let limits = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]});
    written(machine, limits, &[("hugetlb.2MB.max", "4194304"), ("hugetlb.2MB.rsvd.max", "4194304")])?;
    let limits = json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 4 * MIB}]});
    let words = ["linux.resources.hugepageLimits", "hugetlb.3MB.max", "CONFIG_CGROUP_HUGETLB"];
    refused(Bundle::sh(machine, "true")?, limits, &words)
}

/// Loads those modules that the harness put in whose names hold `part`.
fn load(part: &str) -> Result<()> {
    for path in read("/modules")?.lines().filter(|path| path.contains(part)) {
        let name = Path::new(path).file_stem().context("no name")?.to_string_lossy().replace('-', "_");
        if Path::new("/sys/module").join(&name).exists() {
            continue;
        }
        let status = Command::new("/bin/busybox").args(["insmod", path]).status()?;
        ensure!(status.success(), "insmod {path}: {status}");
    }
    Ok(())
}

/// The number of the virtio disk, `major:minor` and apart.
fn disk() -> Result<(String, u64, u64)> {
    load("virtio")?;
    let number = read("/sys/block/vda/dev")?;
    let (major, minor) = number.split_once(':').context("no number")?;
    let (major, minor) = (major.parse()?, minor.parse()?);
    Ok((number, major, minor))
}

fn a_disk_is_throttled(machine: &Machine) -> Result<()> {
    let (number, major, minor) = disk()?;
    let limit = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let io = json!({"blockIO": {
        "throttleReadBpsDevice": limit(MIB), "throttleWriteBpsDevice": limit(2 * MIB),
        "throttleReadIOPSDevice": limit(300), "throttleWriteIOPSDevice": limit(400),
    }});
    let all = format!("{number} rbps=1048576 wbps=2097152 riops=300 wiops=400");
    written(machine, io, &[("io.max", &all)])?;
    // No rate is no limit, as on v1.
    let one = format!("{number} rbps=1048576 wbps=max riops=max wiops=max");
    let io = json!({"blockIO": {"throttleReadBpsDevice": limit(MIB), "throttleWriteBpsDevice": limit(0)}});
    written(machine, io, &[("io.max", &one)])?;
    written(machine, json!({"pids": {"limit": 9}}), &[("io.max", "")])?;
    let io = json!({"blockIO": {"throttleReadBpsDevice": [{"major": 77, "minor": 7, "rate": 1}]}});
    let words = ["linux.resources.blockIO.throttleReadBpsDevice", "77:7 rbps=1", "ENODEV"];
    refused(Bundle::sh(machine, "true")?, io, &words)
}

/// 10 to 1000 become 1 to 10000. Before the next test, which loads the other scheduler.
fn an_io_weight_without_bfq_is_converted(machine: &Machine) -> Result<()> {
    let io = |weight: u64| json!({"blockIO": {"weight": weight}});
    let bundle = Bundle::sh(machine, WAIT)?.set("/linux/resources", json!({"unified": {"io.max": ""}}))?;
    let held = bundle.hold()?;
    let there = bundle.cgroup().join("io.weight").exists();
    same("code", held.release()?.code, 0)?;
    if !there {
        // A kernel without blk-iocost.
        let words = ["linux.resources.blockIO.weight", "io.weight", "CONFIG_BFQ_GROUP_IOSCHED"];
        return refused(Bundle::sh(machine, "true")?, io(500), &words);
    }
    for (weight, value) in [(10, "default 1"), (505, "default 5000"), (1000, "default 10000")] {
        written(machine, io(weight), &[("io.weight", value)])?;
    }
    Ok(())
}

fn an_io_weight_of_bfq_is_written_as_it_is(machine: &Machine) -> Result<()> {
    let (number, major, minor) = disk()?;
    load("bfq")?;
    fs::write("/sys/block/vda/queue/scheduler", "bfq")?;
    written(machine, json!({"blockIO": {"weight": 505}}), &[("io.bfq.weight", "default 505")])?;
    let io =
        json!({"blockIO": {"weight": 70, "weightDevice": [{"major": major, "minor": minor, "weight": 300}]}});
    let values = format!("default 70\n{number} 300");
    written(machine, io, &[("io.bfq.weight", &values)])?;
    written(machine, json!({"pids": {"limit": 9}}), &[("io.bfq.weight", "default 100")])
}

fn unified_files_are_written(machine: &Machine) -> Result<()> {
    let (number, ..) = disk()?;
    let limits = format!("{number} rbps=1048576\n{number} wiops=120");
    let files = json!({
        "memory.high": "33554432", "pids.max": "44", "cpu.weight": "77", "io.max": limits, "cgroup.max.depth": "2",
    });
    let all = format!("{number} rbps=1048576 wbps=max riops=max wiops=120");
    let values = [
        ("memory.high", "33554432"),
        ("pids.max", "44"),
        ("cpu.weight", "77"),
        ("io.max", &all),
        ("cgroup.max.depth", "2"),
    ];
    written(machine, json!({"unified": files}), &values)?;
    // They come last.
    let both = json!({"memory": {"limit": 64 * MIB}, "unified": {"memory.max": "50331648"}});
    written(machine, both, &[("memory.max", "50331648")])?;
    for file in ["memory.no", "none.max"] {
        let words = ["linux.resources.unified", file, "ENOENT"];
        refused(Bundle::sh(machine, "true")?, json!({"unified": {file: "1"}}), &words)?;
    }
    Ok(())
}

/// A cgroup of the test's own; it goes, with those in it, when this is dropped.
struct Made(PathBuf);

impl Made {
    fn new(name: &str) -> Result<Made> {
        let path = Path::new(CGROUPS).join(name);
        fs::create_dir(&path)?;
        Ok(Made(path))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            println!("{}: {error}", self.0.display());
        }
    }
}

/// Puts a process that sleeps into a cgroup.
fn sleeper(cgroup: &Path) -> Result<Child> {
    let child = Command::new("/bin/busybox").args(["sleep", "1000"]).spawn()?;
    fs::write(cgroup.join("cgroup.procs"), child.id().to_string())?;
    Ok(child)
}

fn end(mut child: Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

fn a_limit_below_the_use_is_refused_where_asked(machine: &Machine) -> Result<()> {
    // What is in a file of memory stays charged when the writer has ended.
    let cgroup = Made::new("used")?;
    let script =
        "echo $$ > /sys/fs/cgroup/used/cgroup.procs; dd if=/dev/zero of=/tmp/used bs=1M count=16 2>/dev/null";
    let status = Command::new("/bin/busybox").args(["sh", "-c", script]).status()?;
    ensure!(status.success(), "{status}");
    let used: u64 = read(cgroup.0.join("memory.current"))?.parse()?;
    ensure!(used > 8 * MIB, "only {used} bytes are in use");
    let bundle = |script: &str| Bundle::sh(machine, script)?.set("/linux/cgroupsPath", json!("/used"));
    let limit = |bytes: u64| json!({"memory": {"limit": bytes, "checkBeforeUpdate": true}});
    let words = ["linux.resources.memory.checkBeforeUpdate", "EBUSY", "more is in use than the new limit"];
    refused(bundle("true")?, limit(8 * MIB), &words)?;
    // The control; with the container the cgroup goes.
    fs::create_dir_all(&cgroup.0)?;
    bundle("true")?.set("/linux/resources", limit(64 * MIB))?.succeed()?;
    fs::create_dir_all(&cgroup.0)?;
    fs::remove_file("/tmp/used")?;
    Ok(())
}

fn what_a_kernel_lacks_is_named(machine: &Machine) -> Result<()> {
    let cases = [
        (json!({"memory": {"swappiness": 10}}), "memory.swappiness", "cgroup v2 has no such limit"),
        (json!({"cpu": {"realtimeRuntime": 10}}), "cpu.realtimeRuntime", "CONFIG_RT_GROUP_SCHED"),
        (json!({"blockIO": {"leafWeight": 10}}), "blockIO.leafWeight", "cgroup v2 has no such limit"),
        (json!({"network": {"classID": 10}}), "network.classID", "CONFIG_CGROUP_NET_CLASSID"),
        (json!({"rdma": {"mlx5_1": {"hcaHandles": 3}}}), "rdma", "mlx5_1 hca_handle=3 hca_object=max"),
    ];
    for (resources, field, word) in cases {
        let field = format!("linux.resources.{field}");
        refused(Bundle::sh(machine, "true")?, resources, &[&field, word])?;
    }
    Ok(())
}

/// cgroups(7): a cgroup with processes hands down only what counts for threads, and what is below it is threaded.
fn below_a_busy_cgroup_only_threads_are_limited(machine: &Machine) -> Result<()> {
    let cgroup = Made::new("busy")?;
    let child = sleeper(&cgroup.0)?;
    for below in ["inner", "one/two"] {
        let place = json!(format!("/busy/{below}"));
        let bundle = Bundle::sh(machine, WAIT)?.set("/linux/cgroupsPath", place)?;
        let limits = json!({"cpu": {"quota": 30_000}, "pids": {"limit": 9}});
        let bundle = bundle.set("/linux/resources", limits)?;
        let held = bundle.hold()?;
        let path = cgroup.0.join(below);
        for (file, value) in [("cgroup.type", "threaded"), ("cpu.max", "30000 100000"), ("pids.max", "9")] {
            same(file, read(path.join(file))?.as_str(), value)?;
        }
        ensure!(!read(path.join("cgroup.threads"))?.is_empty(), "nobody is in it");
        same("code", held.release()?.code, 0)?;
        ensure!(!path.exists(), "{} is left", path.display());
    }
    let bundle = Bundle::sh(machine, "true")?.set("/linux/cgroupsPath", json!("/busy/inner"))?;
    let words = ["linux.resources.memory.limit", "CONFIG_MEMCG", "a cgroup above has processes"];
    refused(bundle, json!({"memory": {"limit": 64 * MIB}}), &words)?;
    end(child)
}

/// In a mount namespace of its own: network and huge pages on v1, the rest on v2.
fn limits_go_to_the_version_that_has_the_controller(machine: &Machine) -> Result<()> {
    thread::scope(|scope| scope.spawn(|| hybrid(machine)).join()).map_err(|_| anyhow!("panicked"))?
}

fn hybrid(machine: &Machine) -> Result<()> {
    // What no cgroup of v2 uses can be mounted on v1.
    for directory in [Path::new(CGROUPS).join(PARENT), CGROUPS.into()] {
        if directory.is_dir() {
            fs::write(directory.join("cgroup.subtree_control"), "-hugetlb")?;
        }
    }
    // SAFETY: this thread ends with the test, and shares no descriptor table.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS)? };
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let root = Path::new(CGROUPS);
    unmount(root, UnmountFlags::DETACH)?;
    let at = |name: &str, kind: &str, data: &str| -> Result<()> {
        let place = root.join(name);
        fs::create_dir_all(&place)?;
        let data = std::ffi::CString::new(data)?;
        mount("cgroup", &place, kind, MountFlags::empty(), Some(data.as_c_str()))
            .with_context(|| format!("mount {kind} for {name}"))
    };
    at("", "tmpfs", "")?;
    at("net", "cgroup", "net_cls,net_prio")?;
    // The last cgroup that used it may still be on its way out.
    let mut left = 100;
    while let Err(error) = at("hugetlb", "cgroup", "hugetlb") {
        left -= 1;
        ensure!(left > 0, "{error:#}");
        thread::sleep(std::time::Duration::from_millis(100));
    }
    at("unified", "cgroup2", "")?;
    let resources = json!({
        "network": {"classID": 1_048_577, "priorities": [{"name": "lo", "priority": 7}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}],
        "memory": {"limit": 64 * MIB}, "pids": {"limit": 12}, "unified": {"memory.high": "50331648"},
    });
    let bundle = Bundle::sh(machine, WAIT)?.set("/linux/resources", resources)?;
    let held = bundle.hold()?;
    let file = |tree: &str, file: &str| read(root.join(tree).join(PARENT).join(&bundle.id).join(file));
    for (tree, name, value) in [
        ("net", "net_cls.classid", "1048577"),
        ("hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304"),
        ("hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes", "4194304"),
        ("unified", "memory.max", "67108864"),
        ("unified", "memory.high", "50331648"),
        ("unified", "pids.max", "12"),
    ] {
        same(name, file(tree, name)?.as_str(), value)?;
    }
    ensure!(file("net", "net_prio.ifpriomap")?.lines().any(|line| line == "lo 7"), "no priority");
    same("code", held.release()?.code, 0)?;
    // The control.
    let bundle = Bundle::sh(machine, WAIT)?.set("/linux/resources", json!({}))?;
    let held = bundle.hold()?;
    let file = |tree: &str, file: &str| read(root.join(tree).join(PARENT).join(&bundle.id).join(file));
    same("class", file("net", "net_cls.classid")?.as_str(), "0")?;
    ensure!(file("net", "net_prio.ifpriomap")?.lines().any(|line| line == "lo 0"), "a priority");
    same("code", held.release()?.code, 0)?;
    for tree in ["net", "hugetlb", "unified"] {
        fs::remove_dir(root.join(tree).join(PARENT)).ok();
    }
    Ok(())
}
