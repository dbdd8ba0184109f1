//! Without root: containers of an ordinary user, and of the root of a user namespace that has no rights outside.

use hull_tests::life::HOLDING;
use hull_tests::pty::{Terminal, wait};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Life, Output, Value, facts, hull, json, run, spawn, suite};
use libtest_mimic::Trial;
use nix::libc::MS_BIND;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

suite!(
    the_own_id_is_root_inside_and_nobody_else_is_there,
    the_process_is_the_users_outside,
    the_exit_code_is_kept,
    standard_input_reaches_the_program,
    hostname_and_sysctl_are_set_inside_only,
    without_a_user_namespace_there_is_one_clear_line,
    another_id_than_the_own_one_is_refused_without_a_range,
    the_state_lies_in_the_runtime_directory,
    a_root_flag_names_another_place,
    single_commands_do_as_they_do_for_root,
    kill_all_ends_every_process,
    a_detached_run_leaves_the_container,
    a_failed_create_leaves_nothing,
    other_groups_are_refused,
    a_limit_is_an_error_where_there_is_no_permission,
    a_cgroups_path_is_an_error_where_there_is_no_permission,
    a_cgroup_that_belongs_to_the_user_is_used,
    device_nodes_are_those_of_the_host,
    a_device_that_is_asked_for_is_bound,
    bind_mounts_of_own_files_work,
    a_terminal_in_the_foreground_works,
    hooks_run_as_the_user,
    many_ids_are_mapped_by_the_helpers,
    a_range_that_is_not_the_users_is_refused,
    without_the_helpers_there_is_one_clear_line,
    a_new_network_namespace_is_the_users_own,
    root_of_a_user_namespace_runs_containers,
    an_ordinary_user_as_root_of_a_user_namespace_runs_containers;
    it_runs_on_every_host
);

/// No user of this machine.
const USER: u32 = 65533;
/// The first of the ids that the tests let it have.
const RANGE: u32 = 300_000;

/// A container of `USER`, by the config that `spec --rootless` writes.
fn of_user(script: &str) -> Life {
    on(Host::machine(), script)
}

fn on(host: Host, script: &str) -> Life {
    let mut life = Life::of(Bundle::sh(script));
    give(&life.bundle.dir);
    life.host = host.user(USER);
    life.program = reachable();
    life.globals.clear();
    let runtime = life.bundle.beside("runtime");
    chown(&runtime, Some(USER), Some(USER)).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
    life.environment = vec![("XDG_RUNTIME_DIR".into(), runtime.to_str().unwrap().into())];
    life.root = runtime.join("hull");
    let dir = life.bundle.dir.to_str().unwrap().to_owned();
    life.call(&["spec", "--rootless", "--bundle", &dir]).succeeds();
    let args = life.bundle.get("/process/args");
    let text = fs::read(life.bundle.dir.join("config.json")).unwrap();
    life.bundle.replace(serde_json::from_slice(&text).unwrap());
    life.bundle.set("/process/args", args).set("/process/terminal", json!(false));
    life.bundle.set("/root/readonly", json!(false));
    life
}

/// The runtime where any user may run it.
fn reachable() -> PathBuf {
    static COPY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    COPY.get_or_init(|| {
        let folder = hull_tests::bundle::scratch().join(".shared");
        fs::create_dir_all(&folder).unwrap();
        let copy = folder.join("hull");
        spawn::copy(&hull(), &copy);
        copy
    })
    .clone()
}

/// Makes every folder below the user's; the programs are links that other bundles share.
fn give(folder: &Path) {
    chown(folder, Some(USER), Some(USER)).unwrap();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            give(&entry.path());
        }
    }
}

/// A run in the foreground.
fn ran(life: &Life) -> Output {
    let output = live(life, &[]).finish();
    life.nothing_left();
    output
}

fn live(life: &Life, flags: &[&str]) -> hull_tests::Live {
    life.bundle.write();
    let mut words: Vec<OsString> = vec![life.program.clone().into()];
    words.extend(life.globals.iter().cloned());
    words.extend(["run", "--bundle", life.bundle.dir.to_str().unwrap()].map(OsString::from));
    words.extend(flags.iter().map(OsString::from));
    words.push(life.id().into());
    let mut command = run::command(&words, &life.host);
    command.envs(life.environment.iter().cloned());
    life.bundle.spawn(command)
}

fn words(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn the_own_id_is_root_inside_and_nobody_else_is_there() {
    let life = of_user(
        "id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; stat -c %u /bin/busybox; echo x > /f; stat -c %u:%g /f",
    );
    let map = format!("0 {USER} 1");
    assert_eq!(words(&ran(&life).text()), ["0", "0", &map, &map, "deny", "65534", "0:0"]);
    let file = fs::metadata(life.inside("f")).unwrap();
    assert_eq!((file.uid(), file.gid()), (USER, USER));
}

fn the_process_is_the_users_outside() {
    let life = of_user("echo $$; read line");
    let mut live = live(&life, &[]);
    assert_eq!(live.line(), "1");
    let pid = live.container_pid();
    let status = facts::status(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap());
    assert_eq!(status["Uid"], format!("{USER} {USER} {USER} {USER}"));
    for kind in ["user", "pid", "mnt", "ipc", "uts"] {
        let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_ne!(link(&pid.to_string()), link("self"), "{kind}");
    }
    live.finish().exits(1);
    life.nothing_left();
}

fn the_exit_code_is_kept() {
    ran(&of_user("exit 0")).exits(0);
    ran(&of_user("exit 42")).exits(42);
    ran(&of_user("kill -9 $$; sleep 5; exit 3")).exits(3);
    ran(&of_user("sh -c 'kill -9 $$'; exit $?")).exits(137);
}

fn standard_input_reaches_the_program() {
    let life = of_user("read line; echo \"got $line\"; echo err >&2");
    let mut live = live(&life, &[]);
    live.send("words\n");
    let output = live.finish();
    assert_eq!((output.out().as_str(), output.err().as_str()), ("got words\n", "err\n"));
}

fn hostname_and_sysctl_are_set_inside_only() {
    let before = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let life = of_user("hostname; cat /proc/sys/kernel/msgmax");
    life.bundle.set("/hostname", json!("of-a-user")).set("/linux/sysctl", json!({"kernel.msgmax": "4321"}));
    assert_eq!(ran(&life).lines(), ["of-a-user", "4321"]);
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), before);
}

fn without_a_user_namespace_there_is_one_clear_line() {
    let life = of_user("echo ran");
    life.bundle.namespaces(&["pid", "ipc", "uts", "mount", "cgroup"]);
    life.bundle.remove("/linux/uidMappings").remove("/linux/gidMappings");
    ran(&life).refuses(&["clone", "EPERM"]);
}

fn another_id_than_the_own_one_is_refused_without_a_range() {
    let life = of_user("echo ran");
    life.bundle.set("/linux/uidMappings/0/hostID", json!(USER - 1));
    let output = ran(&life);
    output.exits(1);
    assert!(output.out.is_empty(), "{}", output.show());
    assert!(output.err().lines().last().unwrap().contains("/etc/subuid"), "{}", output.show());
}

fn the_state_lies_in_the_runtime_directory() {
    let life = of_user(HOLDING);
    life.create().succeeds();
    let folder = life.root.join(life.id());
    let owner = fs::metadata(&folder).unwrap();
    assert_eq!((owner.uid(), owner.mode() & 0o007), (USER, owner.mode() & 0o001));
    assert!(!hull_tests::state_root().join(life.id()).exists());
    life.end();
}

fn a_root_flag_names_another_place() {
    let mut life = of_user(HOLDING);
    life.root = life.bundle.dir.join("state");
    life.globals = vec!["--root".into(), life.root.clone().into()];
    life.create().succeeds();
    assert!(life.root.join(life.id()).exists());
    life.end();
}

fn single_commands_do_as_they_do_for_root() {
    let life = of_user(HOLDING);
    life.create().succeeds();
    assert_eq!(life.status(), "created");
    assert!(!life.inside("up").exists());
    life.verb("start").succeeds();
    life.until_there("up");
    assert_eq!(life.status(), "running");
    assert!(life.call(&["list", "--quiet"]).text().contains(life.id()));
    life.verb("delete").refuses(&["that is not stopped: running"]);
    life.call(&["kill", life.id(), "KILL"]).succeeds();
    life.until_stopped();
    life.verb("kill").refuses(&["container not running"]);
    life.verb("delete").succeeds();
    life.verb("state").refuses(&["container does not exist"]);
    life.nothing_left();
}

fn kill_all_ends_every_process() {
    let life = of_user("sleep 1000 & sleep 1000 & echo up > /up; wait");
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    let all = hull_tests::check::descendants(life.pid());
    assert_eq!(all.len(), 2);
    life.call(&["kill", "--all", life.id(), "KILL"]).succeeds();
    life.until_stopped();
    hull_tests::life::until("the end of all", || !all.iter().any(|pid| hull_tests::life::alive(*pid)));
    life.end();
}

fn a_detached_run_leaves_the_container() {
    let life = of_user(HOLDING);
    life.make("run", &["--detach"]).succeeds();
    life.until_there("up");
    assert_eq!(life.status(), "running");
    life.go();
    life.end();
}

fn a_failed_create_leaves_nothing() {
    let life = of_user(HOLDING);
    life.bundle.set("/process/args", json!(["/bin/nowhere"]));
    life.create().refuses(&["no such file or directory"]);
    life.nothing_left();
}

fn other_groups_are_refused() {
    let life = of_user("id -G");
    life.bundle.set("/process/user/additionalGids", json!([0]));
    ran(&life).refuses(&["cannot set any additional groups in a rootless container"]);
    // Control.
    life.bundle.set("/process/user/additionalGids", json!([]));
    assert_eq!(ran(&life).text().split(' ').next(), Some("0"));
}

fn a_limit_is_an_error_where_there_is_no_permission() {
    for host in [Host::machine(), Host::cgroup2()] {
        let life = on(host, "echo ran");
        life.bundle.no_mount("/sys/fs/cgroup");
        assert_eq!(ran(&life).text(), "ran", "the control");
        life.bundle.set("/linux/resources", json!({"pids": {"limit": 20}}));
        ran(&life).refuses(&["cgroup"]);
    }
}

fn a_cgroups_path_is_an_error_where_there_is_no_permission() {
    for host in [Host::machine(), Host::cgroup2()] {
        let life = on(host, "echo ran");
        life.bundle.no_mount("/sys/fs/cgroup");
        life.bundle.set("/linux/cgroupsPath", json!(format!("/{}", life.id())));
        ran(&life).refuses(&["cgroup"]);
    }
}

/// Where the v2 tree is on this machine.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// A delegated folder as cgroups(7) describes it: the folder and what moves processes belong to the user, and the runtime
/// starts within it.
fn a_cgroup_that_belongs_to_the_user_is_used() {
    let life = on(Host::cgroup2(), "cat /proc/self/cgroup");
    life.bundle.no_mount("/sys/fs/cgroup").namespaces(&["pid", "user", "ipc", "uts", "mount"]);
    let folder = Path::new(UNIFIED).join(format!("{}delegated", life.id()));
    let start = folder.join("start");
    fs::create_dir_all(&start).unwrap();
    for path in [&folder, &start] {
        chown(path, Some(USER), Some(USER)).unwrap();
        chown(path.join("cgroup.procs"), Some(USER), Some(USER)).unwrap();
    }
    life.bundle.write();
    // The shell moves itself before it gives up its rights.
    let script = format!(
        "echo $$ > {}/cgroup.procs && exec setpriv --reuid {USER} --regid {USER} --clear-groups \"$@\"",
        Path::new("/sys/fs/cgroup").join(start.strip_prefix(UNIFIED).unwrap()).display()
    );
    let mut words: Vec<OsString> = ["/bin/sh", "-c", &script, "sh"].map(OsString::from).into();
    words.push(life.program.clone().into());
    words.extend(["run", "--bundle", life.bundle.dir.to_str().unwrap(), life.id()].map(OsString::from));
    let mut command = run::command(&words, &Host::cgroup2());
    command.envs(life.environment.iter().cloned());
    let output = life.bundle.spawn(command).finish();
    let removed = [&start, &folder].map(fs::remove_dir);
    assert!(output.text().ends_with(&format!("delegated/{}", life.id())), "{}", output.show());
    assert!(removed.iter().all(Result::is_ok), "{removed:?}");
    life.nothing_left();
}

const DEVICES: &str = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; \
    head -c 3 /dev/random | wc -c; stat -c '%t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; \
    readlink /dev/fd; echo x 2>&1 > /dev/full | grep -c 'space left'";

fn device_nodes_are_those_of_the_host() {
    let lines = ran(&of_user(DEVICES)).lines();
    assert_eq!(lines, ["4", "3", "3", "1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "/proc/self/fd", "1"]);
}

fn a_device_that_is_asked_for_is_bound() {
    let life = of_user("stat -c '%t:%T' /dev/kmsg");
    life.bundle.set("/linux/devices", json!([{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]));
    assert_eq!(ran(&life).text(), "1:b");
}

fn bind_mounts_of_own_files_work() {
    let life = of_user("cat /data/file; echo y > /data/file");
    let folder = life.bundle.beside("data");
    fs::create_dir_all(life.inside("data")).unwrap();
    fs::write(folder.join("file"), "x\n").unwrap();
    chown(folder.join("file"), Some(USER), Some(USER)).unwrap();
    life.bundle.mount("/data", "bind", folder.to_str().unwrap(), &["rbind", "rw"]);
    assert_eq!(ran(&life).text(), "x");
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "y\n");
    let last = life.bundle.get("/mounts").as_array().unwrap().len() - 1;
    life.bundle.set(&format!("/mounts/{last}/options"), json!(["rbind", "ro"]));
    let output = ran(&life);
    assert!(output.err().contains("Read-only file system"), "{}", output.show());
}

fn a_terminal_in_the_foreground_works() {
    let life = of_user("tty; stty size; read line; echo \"got $line\"; exit 6");
    life.bundle.set("/process/terminal", json!(true));
    life.bundle.write();
    let mut terminal = Terminal::new(90, 33);
    let mut run = run::Run::new(&life.bundle, terminal.control(Host::machine()));
    for (name, value) in &life.environment {
        run = run.env(name, value);
    }
    let user = USER.to_string();
    let run = run.under(&["/usr/bin/setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"]);
    let mut child = terminal.start(&run);
    terminal.until("/dev/pts/0");
    terminal.until("33 90");
    terminal.send("words\n");
    terminal.until("got words");
    assert_eq!(wait(&mut child), 6);
    life.nothing_left();
}

fn hooks_run_as_the_user() {
    let life = of_user("echo program");
    let log = life.bundle.beside("runtime").join("log");
    let script = format!("/usr/bin/id -u >> {}", log.display());
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    life.bundle.set("/hooks", json!({"createRuntime": hook, "poststop": hook}));
    assert_eq!(ran(&life).text(), "program");
    assert_eq!(fs::read_to_string(log).unwrap(), format!("{USER}\n{USER}\n"));
}

/// A host on which the user has a name, and 65536 more ids. Nothing of this is seen outside of the run.
fn with_range(life: &Life, base: Host) -> Host {
    let mut host = base.private();
    let range = format!("hulltest:{RANGE}:65536\n");
    let passwd = format!("root:x:0:0::/:/bin/sh\nhulltest:x:{USER}:{USER}::/:/bin/sh\n");
    for (name, text) in [("subuid", &range), ("subgid", &range), ("passwd", &passwd)] {
        let file = life.bundle.beside("etc").join(name);
        fs::write(&file, text).unwrap();
        host = host.mount(file.to_str().unwrap(), &format!("/etc/{name}"), "none", MS_BIND, "");
    }
    host
}

fn maps(first: u32, size: u32) -> Value {
    json!([
        {"containerID": 0, "hostID": USER, "size": 1},
        {"containerID": 1, "hostID": first, "size": size}
    ])
}

fn ranged(script: &str, first: u32, size: u32) -> Life {
    let mut life = of_user(script);
    life.host = with_range(&life, Host::machine()).user(USER);
    life.bundle.set("/linux/uidMappings", maps(first, size)).set("/linux/gidMappings", maps(first, size));
    let capabilities = ["CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"];
    life.bundle.capabilities(&capabilities, &["bounding", "effective", "permitted"]);
    life
}

fn many_ids_are_mapped_by_the_helpers() {
    let life = ranged(
        "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; echo x > /f; chown 1:2 /f; stat -c %u:%g /f",
        RANGE,
        65535,
    );
    let range = format!("1 {RANGE} 65535");
    let own = format!("0 {USER} 1");
    assert_eq!(words(&ran(&life).text()), [&own, &range, &own, &range, "allow", "1:2"]);
    let file = fs::metadata(life.inside("f")).unwrap();
    assert_eq!((file.uid(), file.gid()), (RANGE, RANGE + 1));
    // Another user inside, with groups.
    let life = ranged("id -u; id -g; id -G", RANGE, 65535);
    life.bundle.set("/process/user", json!({"uid": 7, "gid": 8, "additionalGids": [9, 65000]}));
    assert_eq!(ran(&life).lines(), ["7", "8", "8 9 65000"]);
}

fn a_range_that_is_not_the_users_is_refused() {
    for (first, size) in [(RANGE - 1, 10), (RANGE, 65537)] {
        let output = ran(&ranged("echo ran", first, size));
        output.exits(1);
        assert!(output.out.is_empty(), "{}", output.show());
        // The helper says on the same stream what it does not like.
        let err = output.err();
        let ours: Vec<_> = err.lines().filter(|line| line.starts_with("hull: ")).collect();
        assert!(ours.len() == 1 && ours[0].contains("/etc/subuid"), "{}", output.show());
    }
}

fn without_the_helpers_there_is_one_clear_line() {
    let mut life = ranged("echo ran", RANGE, 65535);
    life.environment.push(("PATH".into(), "/nowhere:/bin/busybox".into()));
    ran(&life).refuses(&["newuidmap", "uidmap"]);
}

fn a_new_network_namespace_is_the_users_own() {
    let life = of_user("cat /sys/class/net/lo/flags; ls /sys/class/net");
    life.bundle.push("/linux/namespaces", json!({"type": "network"}));
    life.bundle.no_mount("/sys").no_mount("/sys/fs/cgroup");
    life.bundle.mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]);
    let lines = ran(&life).lines();
    assert_eq!(lines[0], "0x9");
}

/// The config of `spec` as it is, but for what the owner of a new user namespace may not mount.
fn inside_of_unshare(user: u32, wrapper: &[&str]) {
    let host = if user == 0 { Host::machine() } else { Host::machine().user(user) };
    let life = of_user("true");
    chown(life.bundle.dir.join("runtime"), Some(user), Some(user)).unwrap();
    life.bundle.replace(hull_tests::bundle::plain_config());
    life.bundle.set(
        "/process/args",
        json!(["/bin/sh", "-c", "id -u; hostname; cat /sys/class/net/lo/flags; exit 4"]),
    );
    life.bundle.no_mount("/sys/fs/cgroup");
    // gid 5 is not mapped
    let mounts = life.bundle.get("/mounts");
    let at = mounts.as_array().unwrap().iter().position(|mount| mount["destination"] == "/dev/pts").unwrap();
    life.bundle
        .set(&format!("/mounts/{at}/options"), json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666"]));
    life.bundle.write();
    let mut words: Vec<OsString> = wrapper.iter().map(OsString::from).collect();
    words.push(life.program.clone().into());
    words.push("--root".into());
    words.push(life.root.clone().into());
    words.extend(["run", "--bundle", life.bundle.dir.to_str().unwrap(), life.id()].map(OsString::from));
    let mut command = run::command(&words, &host);
    command.stdin(Stdio::null());
    let output = life.bundle.spawn(command).finish();
    output.exits(4);
    assert_eq!(output.out(), "0\nhull\n0x9\n", "{}", output.show());
    life.nothing_left();
}

fn root_of_a_user_namespace_runs_containers() {
    inside_of_unshare(0, &["/usr/bin/unshare", "--map-root-user"]);
}

fn an_ordinary_user_as_root_of_a_user_namespace_runs_containers() {
    inside_of_unshare(USER, &["/usr/bin/unshare", "--map-root-user"]);
    inside_of_unshare(USER, &["/usr/bin/unshare", "--map-root-user", "--mount"]);
}

fn it_runs_on_every_host() -> Vec<Trial> {
    [Host::machine(), Host::v1(), Host::cgroup2(), Host::no_cgroup(), Host::empty_cgroup()]
        .into_iter()
        .map(|host| {
            case(format!("it_runs_on_{}", host.name.replace(' ', "_")), move || {
                let life = on(host, "id -u; cat /proc/self/setgroups");
                assert_eq!(ran(&life).lines(), ["0", "deny"]);
            })
        })
        .collect()
}
