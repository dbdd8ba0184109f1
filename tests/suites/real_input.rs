//! Input as users have it: exported tars, unpacked images, configs that real engines wrote, many containers at once.

use hull_tests::bundle::fill_rootfs;
use hull_tests::facts::{self, capability_mask, mask, mount_at, mounts};
use hull_tests::pty::{Terminal, wait};
use hull_tests::run::{Live, hull_in};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Value, check, json, spawn, suite, tests_dir};
use libtest_mimic::Trial;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

suite!(
    an_exported_tar_runs,
    an_unpacked_image_runs_with_its_own_env_user_cwd_and_args,
    an_image_unpacked_without_root_rights_runs,
    spec_unchanged_gives_a_shell_on_a_terminal,
    spec_unchanged_gives_a_shell_on_pipes,
    spec_rootless_unchanged_gives_a_shell,
    a_bundle_runs_from_a_folder_of_another_user,
    ten_different_containers_run_at_once;
    configs_of_real_engines
);

fn tool(program: &str, arguments: &[&str], dir: &Path) -> String {
    let output = spawn::output(Command::new(program).args(arguments).current_dir(dir));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {err}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `docker export` writes of a small image: folders with modes and owners, a set-uid file, hard and soft links.
fn exported(bundle: &Bundle) -> PathBuf {
    let path = bundle.dir.join("export.tar.gz");
    let file = fs::File::create(&path).unwrap();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::fast()));
    let entry = |kind: tar::EntryType, mode: u32, owner: u64, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_size(size);
        header
    };
    for folder in
        ["bin/", "dev/", "etc/", "home/", "home/alice/", "proc/", "sys/", "tmp/", "var/", "var/empty/"]
    {
        let (mode, owner) = if folder == "tmp/" {
            (0o1777, 0)
        } else {
            (0o755, if folder.contains("alice") { 1000 } else { 0 })
        };
        tar.append_data(&mut entry(tar::EntryType::Directory, mode, owner, 0), folder, std::io::empty())
            .unwrap();
    }
    let busybox = fs::read(hull_tests::bundle::BUSYBOX).unwrap();
    tar.append_data(
        &mut entry(tar::EntryType::Regular, 0o4755, 0, busybox.len() as u64),
        "bin/busybox",
        &*busybox,
    )
    .unwrap();
    for applet in ["sh", "cat", "stat", "id", "ls"] {
        tar.append_link(
            &mut entry(tar::EntryType::Symlink, 0o777, 0, 0),
            format!("bin/{applet}"),
            "/bin/busybox",
        )
        .unwrap();
    }
    tar.append_link(&mut entry(tar::EntryType::Link, 0o755, 0, 0), "bin/hard", "bin/busybox").unwrap();
    let text = b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
    tar.append_data(
        &mut entry(tar::EntryType::Regular, 0o644, 0, text.len() as u64),
        "etc/passwd",
        &text[..],
    )
    .unwrap();
    tar.append_link(&mut entry(tar::EntryType::Symlink, 0o777, 0, 0), "etc/mtab", "/proc/mounts").unwrap();
    tar.append_data(&mut entry(tar::EntryType::Regular, 0, 0, 0), ".dockerenv", std::io::empty()).unwrap();
    tar.append_data(&mut entry(tar::EntryType::Regular, 0o755, 0, 0), "dev/console", std::io::empty())
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    path
}

fn an_exported_tar_runs() {
    let bundle = Bundle::empty();
    let archive = exported(&bundle);
    tool("tar", &["-xzf", archive.to_str().unwrap(), "-C", "rootfs"], &bundle.dir);
    let script = "cd; pwd; id -u; stat -c '%a %u' /tmp /home/alice /bin/busybox; cat /etc/mtab | cat > /dev/null && echo mtab; \
                  stat -c %h /bin/hard; stat -c %t:%T /dev/null";
    bundle.set("/process/args", json!(["sh", "-c", script]));
    bundle
        .set("/process/user", json!({"uid": 1000, "gid": 1000}))
        .set("/process/noNewPrivileges", json!(false));
    for host in [Host::machine(), Host::cgroup2()] {
        let lines = bundle.on(host).output().lines();
        assert_eq!(lines, ["/home/alice", "1000", "1777 0", "755 1000", "4755 0", "mtab", "2", "1:3"]);
    }
}

/// An image made by umoci from nothing: busybox, a user, and a config of its own.
fn image(bundle: &Bundle) -> PathBuf {
    let layout = bundle.dir.join("layout");
    let source = bundle.beside("source");
    fill_rootfs(&source);
    for folder in ["dev", "proc", "sys"] {
        fs::remove_dir(source.join(folder)).unwrap();
    }
    fs::create_dir_all(source.join("home/alice/work")).unwrap();
    let script = "#!/bin/sh\necho \"$COLOUR|$*|$(pwd)|$(id -u):$(id -g)|$HOME\"\n";
    fs::write(source.join("usr/bin/entry"), script).unwrap();
    fs::set_permissions(source.join("usr/bin/entry"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = layout.to_str().unwrap();
    let tagged = format!("{path}:made");
    tool("umoci", &["init", "--layout", path], &bundle.dir);
    tool("umoci", &["new", "--image", &tagged], &bundle.dir);
    tool("umoci", &["insert", "--image", &tagged, source.to_str().unwrap(), "/"], &bundle.dir);
    let config = [
        "config",
        "--image",
        &tagged,
        "--config.user",
        "alice",
        "--config.env",
        "COLOUR=dark red",
        "--config.env",
        "PATH=/usr/bin:/bin",
        "--config.workingdir",
        "/home/alice/work",
        "--config.entrypoint",
        "entry",
        "--config.cmd",
        "one",
        "--config.cmd",
        "two words",
    ];
    tool("umoci", &config, &bundle.dir);
    let copied = bundle.dir.join("copied");
    let (from, to) = (format!("oci:{tagged}"), format!("oci:{}:copy", copied.display()));
    tool("skopeo", &["--insecure-policy", "copy", "--quiet", &from, &to], &bundle.dir);
    copied
}

fn unpacked(flags: &[&str]) -> (Bundle, PathBuf) {
    let bundle = Bundle::empty();
    let layout = image(&bundle);
    let target = bundle.dir.join("unpacked");
    let image = format!("{}:copy", layout.display());
    let words = [&["unpack"], flags, &["--image", &image, target.to_str().unwrap()]].concat();
    tool("umoci", &words, &bundle.dir);
    (bundle, target)
}

fn an_unpacked_image_runs_with_its_own_env_user_cwd_and_args() {
    let (bundle, target) = unpacked(&[]);
    let wanted = "dark red|one two words|/home/alice/work|1000:1000|/home/alice";
    for host in [Host::machine(), Host::cgroup2()] {
        // As umoci wrote it: it wants a terminal, and there is none outside.
        let output = bundle.on(host.session(None)).bundle(&target).output();
        output.exits(0);
        assert_eq!(output.out().trim_end(), wanted, "{}", output.show());
    }
}

fn an_image_unpacked_without_root_rights_runs() {
    let (bundle, target) = unpacked(&["--rootless"]);
    let path = target.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // The mapping of a rootless unpack has one id: the image's user is not in it, on any runtime.
    config["process"]["user"] = json!({"uid": 0, "gid": 0});
    if !Path::new("/etc/resolv.conf").exists() {
        config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/etc/resolv.conf");
    }
    fs::write(&path, config.to_string()).unwrap();
    let output = bundle.on(Host::machine().session(None)).bundle(&target).output();
    output.exits(0);
    assert_eq!(
        output.out().trim_end(),
        "dark red|one two words|/home/alice/work|0:0|/home/alice",
        "{}",
        output.show()
    );
}

fn spec_bundle(flags: &[&str]) -> Bundle {
    let bundle = Bundle::empty();
    fill_rootfs(&bundle.rootfs());
    hull_in(&bundle.dir, &[&["spec"], flags].concat()).succeeds();
    let text = fs::read(bundle.dir.join("config.json")).unwrap();
    // `on` writes the config again: the same value.
    bundle.replace(serde_json::from_slice(&text).unwrap());
    bundle
}

fn spec_unchanged_gives_a_shell_on_a_terminal() {
    for host in [Host::machine(), Host::v1(), Host::cgroup2(), Host::no_proc()] {
        let bundle = spec_bundle(&[]);
        let mut terminal = Terminal::new(90, 33);
        let mut child = terminal.start(&bundle.on(terminal.control(host)));
        terminal.until("# ");
        terminal.send("echo $((40+2)) $(id -u) $(hostname) $$; stty size\r");
        assert!(terminal.until("33 90").contains("42 0 hull 1"), "hostname or pid");
        terminal.send("exit 7\r");
        assert_eq!(wait(&mut child), 7);
        check::nothing_left_of(&bundle);
    }
}

fn spec_unchanged_gives_a_shell_on_pipes() {
    let bundle = spec_bundle(&[]);
    let output = bundle.on(Host::machine().session(None)).stdin(b"echo $((40+2)); exit 5\n").output();
    output.exits(5);
    assert!(output.out().contains("42"), "{}", output.show());
}

fn spec_rootless_unchanged_gives_a_shell() {
    let bundle = spec_bundle(&["--rootless"]);
    let output = bundle.on(Host::machine().session(None)).stdin(b"echo $((40+2)); exit 5\n").output();
    output.exits(5);
    assert!(output.out().contains("42"), "{}", output.show());
}

fn a_bundle_runs_from_a_folder_of_another_user() {
    let bundle = Bundle::sh("id -u; cat /private/file");
    bundle.file("/private/file", 0o600, "mine\n");
    for path in ["rootfs/private/file", "rootfs/private", "rootfs", "."] {
        std::os::unix::fs::chown(bundle.dir.join(path), Some(4711), Some(4711)).unwrap();
    }
    fs::set_permissions(&bundle.dir, fs::Permissions::from_mode(0o700)).unwrap();
    bundle.set("/process/user", json!({"uid": 4711, "gid": 4711}));
    assert_eq!(bundle.run().lines(), ["4711", "mine"]);
}

const FACTS: &str =
    "id -u; id -g; pwd; hostname; cat /proc/self/status; echo ---; cat /proc/self/mountinfo; echo ---; env";

/// A config of a real engine, with what belongs to that engine's machine replaced.
fn adapted(name: &str, host: &Host) -> Bundle {
    let text = fs::read(tests_dir().join("configs/real").join(format!("{name}.json"))).unwrap();
    let mut config: Value = serde_json::from_slice(&text).unwrap();
    let bundle = Bundle::empty();
    fill_rootfs(&bundle.rootfs());
    config["root"]["path"] = json!("rootfs");
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/bin/sh", "-c", FACTS]);
    let linux = config["linux"].as_object_mut().unwrap();
    if linux.contains_key("cgroupsPath") {
        linux.insert("cgroupsPath".into(), json!(format!("/{}", bundle.id)));
    }
    if host.name == "cgroup2" && linux.contains_key("resources") {
        // The machine's v2 tree has no such controller.
        linux["resources"].as_object_mut().unwrap().remove("cpu");
    }
    for mount in config["mounts"].as_array_mut().unwrap() {
        let source = PathBuf::from(mount["source"].as_str().unwrap_or_default());
        let bind = mount["options"].to_string().contains("bind");
        if bind && !source.starts_with("/sys") {
            let own = bundle
                .dir
                .join(format!("source{}", mount["destination"].as_str().unwrap().replace('/', "-")));
            let folder = mount["destination"].as_str().unwrap().ends_with("shm");
            if folder {
                fs::create_dir(&own).unwrap()
            } else {
                fs::write(&own, "of the engine\n").unwrap()
            }
            mount["source"] = json!(own);
        }
    }
    // Limits of the machine they were written on may be above the hard ones here.
    for limit in config["process"]["rlimits"].as_array_mut().into_iter().flatten() {
        limit["soft"] = json!(limit["soft"].as_u64().unwrap().min(1024));
        limit["hard"] = json!(limit["hard"].as_u64().unwrap().min(1024));
    }
    // An engine gives the image to the mapped root. The programs in it are shared with other bundles.
    if let Some(owner) = config["linux"]["uidMappings"][0]["hostID"].as_u64() {
        let owner = format!("{owner}:{owner}");
        tool("find", &["rootfs", "-type", "d", "-exec", "chown", &owner, "{}", "+"], &bundle.dir);
    }
    // In a user namespace devices are bound, and that machine had one which this one has not.
    if let Some(devices) = config["linux"]["devices"].as_array_mut() {
        devices.retain(|device| Path::new(device["path"].as_str().unwrap()).exists());
    }
    let mapped = config["linux"]["uidMappings"][0]["size"].as_u64().unwrap_or(u64::MAX);
    if config["process"]["user"]["uid"].as_u64().unwrap() >= mapped {
        config["process"]["user"] = json!({"uid": 0, "gid": 0});
    }
    bundle.replace(config);
    bundle
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn check_real(name: &str, host: Host) {
    let bundle = adapted(name, &host);
    let text = bundle.on(host).output().text();
    let parts: Vec<&str> = text.split("---\n").collect();
    let lines: Vec<&str> = parts[0].lines().collect();
    assert_eq!(lines[0], bundle.get("/process/user/uid").to_string());
    assert_eq!(lines[1], bundle.get("/process/user/gid").to_string());
    assert_eq!(json!(lines[2]), bundle.get("/process/cwd"));
    if let Some(hostname) = bundle.get("/hostname").as_str() {
        assert_eq!(lines[3], hostname);
    }
    let status = facts::status(parts[0]);
    let bounding = bundle.get("/process/capabilities/bounding");
    assert_eq!(mask(&status, "CapBnd"), capability_mask(&names(&bounding)));
    assert_eq!(status["NoNewPrivs"], u8::from(bundle.get("/process/noNewPrivileges") == true).to_string());
    let filtered = bundle.get("/linux/seccomp").is_object();
    assert_eq!(status["Seccomp"], if filtered { "2" } else { "0" });
    let all = mounts(parts[1]);
    for wanted in bundle.get("/mounts").as_array().unwrap() {
        let mount = mount_at(&all, wanted["destination"].as_str().unwrap());
        for option in names(&wanted["options"])
            .into_iter()
            .filter(|word| ["ro", "nosuid", "nodev", "noexec"].contains(word))
        {
            // The v1 tree is a tmpfs with one mount for each hierarchy in it.
            assert!(
                mount.has(option) || mount.target == "/sys/fs/cgroup",
                "{option} at {}: {mount:?}",
                mount.target
            );
        }
    }
    for path in ["/proc/bus", "/proc/sys"] {
        assert!(mount_at(&all, path).has("ro"), "{path}");
    }
    for entry in names(&bundle.get("/process/env")) {
        let (variable, value) = entry.split_once('=').unwrap();
        assert!(
            variable == "HOME" || parts[2].contains(&format!("{variable}={value}\n")),
            "{entry}: {}",
            parts[2]
        );
    }
}

fn configs_of_real_engines() -> Vec<Trial> {
    let folder = tests_dir().join("configs/real");
    let mut found: Vec<String> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .collect();
    found.sort();
    assert!(found.len() >= 9, "only {found:?}");
    let mut all = Vec::new();
    for name in found {
        for host in [Host::machine(), Host::v1(), Host::cgroup2()] {
            let name = name.clone();
            let title = format!("the_config_{name}_runs_on_{}", host.name);
            all.push(case(title, move || check_real(&name, host)));
        }
    }
    all
}

/// A container among ten: what makes it different, and what it must say for itself.
fn different(index: usize) -> (Bundle, String) {
    let script = "read go; echo $(id -u):$(id -g) $(hostname) $(cat /mnt/file) $(ls /tmp | wc -l) $(ulimit -n) $$ \
                  $(readlink /proc/self/ns/net) $(cut -d' ' -f1-2 /proc/sys/kernel/msgmax) $(pwd)";
    let bundle = Bundle::sh(script);
    let uid = 1000 + index;
    bundle
        .set("/process/user", json!({"uid": uid, "gid": uid + 1}))
        .set("/hostname", json!(format!("host-{index}")));
    fs::write(bundle.beside("source").join("file"), format!("content-{index}\n")).unwrap();
    fs::create_dir(bundle.inside("/mnt")).unwrap();
    bundle.mount("/mnt", "bind", "source", &["bind", "ro"]);
    bundle.mount("/tmp", "tmpfs", "tmpfs", &["mode=1777"]);
    for extra in 0..index {
        bundle.mount(&format!("/tmp/m{extra}"), "tmpfs", "tmpfs", &[]);
    }
    let files = 100 + index;
    bundle.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": files, "hard": files}]));
    bundle.set("/process/cwd", json!(if index.is_multiple_of(2) { "/tmp" } else { "/usr/bin" }));
    bundle.set("/linux/sysctl", json!({"kernel.msgmax": (9000 + index).to_string()}));
    if index.is_multiple_of(3) {
        bundle.push("/linux/namespaces", json!({"type": "user"}));
        let mapping = json!([{"containerID": 0, "hostID": 100_000 * (index + 1), "size": 65536}]);
        bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
    }
    let own_network = index.is_multiple_of(4);
    if own_network {
        let kept = ["pid", "ipc", "uts", "mount", "cgroup", "user"];
        let list: Vec<&str> =
            kept.into_iter().filter(|kind| *kind != "user" || index.is_multiple_of(3)).collect();
        bundle.namespaces(&list);
        if index.is_multiple_of(3) {
            // Only who owns the network namespace may mount its sysfs.
            bundle.no_mount("/sys/fs/cgroup").no_mount("/sys");
        }
    }
    let network = if own_network { "host" } else { "own" };
    let cwd = if index.is_multiple_of(2) { "/tmp" } else { "/usr/bin" };
    let wanted = format!(
        "{uid}:{} host-{index} content-{index} {index} {files} 1 {network} {} {cwd}",
        uid + 1,
        9000 + index
    );
    (bundle, wanted)
}

fn ten_different_containers_run_at_once() {
    let host_network = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    let all: Vec<(Bundle, String)> = (0..10).map(different).collect();
    let hosts = [Host::machine(), Host::cgroup2(), Host::v1()];
    let mut lives: Vec<Live> = all
        .iter()
        .zip(hosts.iter().cycle())
        .map(|((bundle, _), host)| bundle.on(host.clone()).start())
        .collect();
    // All are there before the first may go on.
    lives.iter_mut().for_each(|live| live.send("go\n"));
    let mut networks = Vec::new();
    for (mut live, (_, wanted)) in lives.into_iter().zip(&all) {
        let line = live.line();
        let network = line
            .split(' ')
            .find(|word| word.starts_with("net:"))
            .unwrap_or_else(|| panic!("{line}"))
            .to_owned();
        let shown = if network == host_network { "host" } else { "own" };
        assert_eq!(line.replace(&network, shown), *wanted);
        networks.push(network);
        live.finish().succeeds();
    }
    networks.retain(|network| *network != host_network);
    let count = networks.len();
    networks.sort();
    networks.dedup();
    assert_eq!(networks.len(), count, "two containers share a network");
}
