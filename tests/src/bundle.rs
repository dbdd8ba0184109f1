//! A bundle on disk: a small busybox rootfs and a config.json that starts as `runc spec` writes it, terminal off.

use crate::run::{Live, Output, Run};
use crate::spawn;
use crate::{Host, PROBE};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

const APPLETS: &[&str] = &[
    "sh", "ash", "cat", "echo", "ls", "stat", "mount", "umount", "id", "env", "sleep", "true", "false",
    "test", "mkdir", "rm", "ln", "cp", "mv", "touch", "chmod", "chown", "readlink", "hostname", "ip",
    "ifconfig", "wc", "md5sum", "head", "tail", "grep", "sed", "tr", "cut", "sort", "dd", "mknod", "ps",
    "kill", "pwd", "umask", "find", "printf", "mkfifo", "seq", "tty", "stty", "date", "uname", "whoami",
    "setsid", "nc", "xargs", "realpath", "sysctl", "df",
];

/// Where busybox lies on this machine.
pub const BUSYBOX: &str = "/bin/busybox";

/// The folder of everything that this suite writes; removed at the end.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("hull-tests-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .expect("a scratch folder that others may enter");
        path
    })
}

/// The mark that every id, cgroup and path of this suite carries, so that leftovers are known by it.
pub fn mark() -> String {
    format!("hulltest-{}-", std::process::id())
}

fn next() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

/// A bundle; its folder goes when it is dropped.
pub struct Bundle {
    pub dir: PathBuf,
    /// The id that runs of it have unless told otherwise.
    pub id: String,
    config: RefCell<Value>,
}

impl Bundle {
    /// A bundle that runs `args`.
    pub fn new<S: AsRef<str>>(args: &[S]) -> Bundle {
        let bundle = Bundle::empty();
        fill_rootfs(&bundle.rootfs());
        let args: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
        bundle.set("/process/args", json!(args));
        bundle
    }

    /// A bundle that runs a script of busybox's shell.
    pub fn sh(script: &str) -> Bundle {
        Bundle::new(&["/bin/sh", "-c", script])
    }

    /// A bundle that runs the probe.
    pub fn probe(arguments: &[&str]) -> Bundle {
        Bundle::new(&[&["/probe"], arguments].concat())
    }

    /// A bundle that waits, with these `linux.resources`: see [`Bundle::held`].
    pub fn holding(resources: Value) -> Bundle {
        let bundle = Bundle::probe(&["hold"]);
        bundle.set("/linux/resources", resources);
        bundle
    }

    /// A bundle whose rootfs is an empty folder.
    pub fn empty() -> Bundle {
        let id = format!("{}{}", mark(), next());
        let dir = scratch().join(&id);
        fs::create_dir_all(dir.join("rootfs")).expect("a bundle's folder");
        Bundle { dir, id, config: RefCell::new(plain_config()) }
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// A path inside the rootfs, seen from the host.
    pub fn inside(&self, path: &str) -> PathBuf {
        self.rootfs().join(path.trim_start_matches('/'))
    }

    /// A folder inside the bundle, beside the rootfs.
    pub fn beside(&self, name: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::create_dir_all(&path).expect("a folder in the bundle");
        path
    }

    /// Writes a file of the rootfs, with the folders above it.
    pub fn file(&self, path: &str, mode: u32, text: &str) -> &Bundle {
        let path = self.inside(path);
        fs::create_dir_all(path.parent().expect("a folder above it")).expect("folders");
        spawn::write(&path, mode, text.as_bytes());
        self
    }

    /// Sets a value by its JSON pointer, with the objects above it.
    pub fn set(&self, pointer: &str, value: Value) -> &Bundle {
        *place(&mut self.config.borrow_mut(), pointer) = value;
        self
    }

    /// Appends to a list by its JSON pointer.
    pub fn push(&self, pointer: &str, value: Value) -> &Bundle {
        let mut config = self.config.borrow_mut();
        let list = place(&mut config, pointer);
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().expect("a list").push(value);
        drop(config);
        self
    }

    pub fn remove(&self, pointer: &str) -> &Bundle {
        let (above, name) = pointer.rsplit_once('/').expect("a JSON pointer");
        place(&mut self.config.borrow_mut(), above).as_object_mut().expect("an object").remove(name);
        self
    }

    pub fn get(&self, pointer: &str) -> Value {
        self.config.borrow().pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// Another config altogether.
    pub fn replace(&self, config: Value) -> &Bundle {
        *self.config.borrow_mut() = config;
        self
    }

    /// One more mount.
    pub fn mount(&self, destination: &str, kind: &str, source: &str, options: &[&str]) -> &Bundle {
        let mount = json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.push("/mounts", mount)
    }

    /// Leaves out the mount at `destination`.
    pub fn no_mount(&self, destination: &str) -> &Bundle {
        let mut config = self.config.borrow_mut();
        let mounts = place(&mut config, "/mounts").as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["destination"] != destination);
        drop(config);
        self
    }

    /// The new namespaces, by the names of the spec.
    pub fn namespaces(&self, kinds: &[&str]) -> &Bundle {
        let list: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
        self.set("/linux/namespaces", Value::Array(list))
    }

    /// All capabilities, as the caller has them, in the three sets that runc fills.
    pub fn privileged(&self) -> &Bundle {
        let names = ALL_CAPABILITIES.map(|name| format!("CAP_{name}"));
        self.capabilities(&names.each_ref().map(String::as_str), &["bounding", "effective", "permitted"])
    }

    pub fn capabilities(&self, names: &[&str], sets: &[&str]) -> &Bundle {
        let mut value = json!({});
        for set in sets {
            value[*set] = json!(names);
        }
        self.set("/process/capabilities", value)
    }

    /// Writes config.json as it stands.
    pub fn write(&self) {
        let text = serde_json::to_vec_pretty(&*self.config.borrow()).expect("JSON");
        fs::write(self.dir.join("config.json"), text).expect("config.json");
    }

    /// Writes these bytes as config.json.
    pub fn write_raw(&self, text: &[u8]) {
        fs::write(self.dir.join("config.json"), text).expect("config.json");
    }

    /// A run still to be described; config.json is written.
    pub fn on(&self, host: Host) -> Run {
        self.write();
        Run::new(self, host)
    }

    /// The container of a probe that holds, once it is there.
    pub fn held(&self, host: Host) -> Live {
        let mut live = self.on(host).start();
        live.until("ready");
        live
    }

    /// A command of the test's own that runs this bundle: what it leaves behind is looked at all the same.
    pub fn spawn(&self, command: std::process::Command) -> Live {
        Live::of(self, command)
    }

    /// Runs it on the machine to its end.
    pub fn run(&self) -> Output {
        self.on(Host::machine()).output()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::check::sweep(&self.id);
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            // The check at the end of the suite fails on what is left.
            eprintln!("{}: {error}", self.dir.display());
        }
    }
}

/// The capabilities that a machine without CAP_SYS_RESOURCE still has.
pub const ALL_CAPABILITIES: [&str; 40] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The value at a JSON pointer; objects on the way are made.
fn place<'a>(value: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').skip(1).fold(value, |here, name| {
        if let (Value::Array(list), Ok(index)) = (&*here, name.parse::<usize>()) {
            assert!(index < list.len(), "{pointer}: only {} items", list.len());
            return &mut here[index];
        }
        if here.is_null() {
            *here = json!({});
        }
        &mut here[name]
    })
}

/// Busybox with its usual names, the probe, and the folders an image has.
pub fn fill_rootfs(rootfs: &Path) {
    for folder in ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/bin", "var"] {
        fs::create_dir_all(rootfs.join(folder)).expect("a folder of the rootfs");
    }
    link_or_copy(Path::new(BUSYBOX), &rootfs.join("bin/busybox"));
    link_or_copy(Path::new(PROBE), &rootfs.join("probe"));
    for applet in APPLETS {
        symlink("busybox", rootfs.join("bin").join(applet)).expect("an applet");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
    fs::write(rootfs.join("etc/passwd"), passwd).expect("passwd");
    fs::write(rootfs.join("etc/group"), "root:x:0:\nalice:x:1000:\n").expect("group");
}

/// One copy a suite, hard links from then on: what containers run must never be written to.
fn link_or_copy(from: &Path, to: &Path) {
    static COPYING: Mutex<()> = Mutex::new(());
    let shared = scratch().join(".shared").join(from.file_name().expect("a file"));
    let guard = COPYING.lock();
    if !shared.exists() {
        fs::create_dir_all(shared.parent().expect("a folder")).expect("a folder");
        spawn::copy(from, &shared);
    }
    drop(guard);
    fs::hard_link(&shared, to).expect("a hard link");
}

/// What `runc spec` writes, without the terminal.
pub fn plain_config() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.2.1",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "hull",
        "mounts": plain_mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "cgroup"}
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

fn plain_mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
         "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
    ])
}
