//! Where a scenario is played: a mount namespace of the thread's own with its view of cgroups, a bundle, a state root.
//!
//! Knows what is there before a scenario and therefore what one has left. The thread must be used for nothing else.

use super::session::Session;
use crate::{Bundle, Host, facts, hull, json};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the container is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As `runc spec` writes it, with limits.
    Plain,
    /// With everything that has operations of its own.
    Rich,
    /// In a user namespace.
    User,
    /// In a new user namespace beside a joined namespace, so that another process makes the container's.
    Joined,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::Rich => "rich",
            Kind::User => "user",
            Kind::Joined => "joined",
        }
    }

    /// A bundle whose program prints what it is; `stay`: and lives until it is killed. `limits`: the host's controllers
    /// can be had.
    fn bundle(self, stay: bool, limits: bool) -> Bundle {
        let bundle = Bundle::probe(&["facts", if stay { "stay" } else { "end" }]);
        bundle.set("/linux/cgroupsPath", json!(format!("/{}/leaf", bundle.id)));
        if limits {
            bundle.set("/linux/resources/pids", json!({"limit": 77}));
            bundle.set("/linux/resources/memory", json!({"limit": 64 << 20}));
        }
        bundle.file("/etc/secret", 0o644, "secret\n").file("/etc/frozen/file", 0o666, "");
        match self {
            Kind::Plain => {}
            Kind::Rich => rich(&bundle),
            Kind::User | Kind::Joined => {
                if self == Kind::Joined {
                    filtered(&bundle).set("/process/noNewPrivileges", json!(false));
                    bundle.namespaces(&["pid", "network", "ipc", "mount", "cgroup"]).remove("/hostname");
                    bundle.push("/linux/namespaces", json!({"type": "uts", "path": "/proc/self/ns/uts"}));
                }
                let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
                bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
                bundle.push("/linux/namespaces", json!({"type": "user"}));
                bundle.push("/linux/maskedPaths", json!("/etc/secret"));
            }
        }
        bundle.write();
        bundle
    }
}

/// With a filter of system calls, which the facts know of.
fn filtered(bundle: &Bundle) -> &Bundle {
    let rule = json!({"names": ["personality"], "action": "SCMP_ACT_ERRNO"});
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
}

fn rich(bundle: &Bundle) {
    filtered(bundle);
    let ids = json!({"uid": 1000, "gid": 1000, "additionalGids": [7, 8], "umask": 0o27});
    let sets = ["bounding", "effective", "permitted", "inheritable", "ambient"];
    bundle.set("/process/user", ids).capabilities(&["CAP_NET_RAW", "CAP_CHOWN"], &sets);
    bundle
        .set("/process/cwd", json!("/tmp"))
        .set("/process/oomScoreAdj", json!(300))
        .set("/domainname", json!("harbour"))
        .set("/linux/rootfsPropagation", json!("slave"))
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
    bundle.file("/data/file", 0o640, "copied up\n").file("/data/deep/file", 0o600, "");
    bundle.mount("/data", "tmpfs", "tmpfs", &["nosuid", "tmpcopyup", "mode=755"]);
    let source = bundle.beside("source");
    fs::create_dir_all(source.join("sub")).expect("a folder of the bundle");
    bundle.mount("/srv", "bind", &source.to_string_lossy(), &["rbind", "ro", "nosuid", "rprivate"]);
    fs::create_dir_all(bundle.inside("/srv")).expect("the mount's target");
    bundle.push("/linux/maskedPaths", json!("/etc/secret")).push("/linux/maskedPaths", json!("/root"));
    bundle.push("/linux/readonlyPaths", json!("/etc/frozen"));
    let denied = json!({"path": "/dev/denied", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666});
    bundle.push("/linux/devices", denied);
}

/// One trial's place.
pub struct World {
    pub bundle: Bundle,
    pub host: &'static str,
    /// Mounts, and the bundle's files, as they are without a container.
    mounts: Vec<String>,
    files: Vec<String>,
}

/// What a command has said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// What is on stderr beside warnings: of a host without cgroups hull says that device rules are not in force.
    pub fn complaints(&self) -> Vec<&str> {
        self.err.lines().filter(|line| !line.contains(": warning: ")).collect()
    }

    /// A child that has said that only its exec is left counts as the container's program: hull returns how it ended.
    pub fn is_the_programs_end(&self) -> bool {
        self.code == 137 && self.complaints().is_empty()
    }

    /// For a reader.
    pub fn short(&self) -> String {
        let out = self.out.lines().next().unwrap_or_default();
        format!("exit code {}, stderr {:?}, stdout {out:?}...", self.code, self.err)
    }
}

impl World {
    /// Enters a mount namespace for this thread. Its mounts are shared among themselves, as systemd leaves them, so that
    /// whatever a container's mounts would do to the host's is seen here.
    pub fn enter(host: &Host, kind: Kind, stay: bool) -> World {
        host.clone().private().apply().unwrap_or_else(|error| panic!("{}: {error}", host.name));
        // The machine's own view comes without steps of its own.
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>)
            .expect("shared mounts");
        let bundle = kind.bundle(stay, Path::new("/sys/fs/cgroup/pids").is_dir());
        for name in ["pid", "output"] {
            bundle.beside(name);
        }
        World { bundle, host: host.name, mounts: Vec::new(), files: Vec::new() }
    }

    /// From now on, what is there is what should be there.
    pub fn remember(&mut self) {
        self.mounts = mounts();
        self.files = self.listing();
    }

    fn state(&self) -> PathBuf {
        self.bundle.dir.join("state")
    }

    fn pid_file(&self) -> PathBuf {
        self.bundle.dir.join("pid/file")
    }

    /// What an earlier scenario may leave: the root of all states, and the pid file of a container that ran.
    pub fn tidy(&self) {
        fs::remove_dir(self.state()).ok();
        fs::remove_file(self.pid_file()).ok();
    }

    /// hull with these words; BUNDLE, ID, PID-FILE, and OUTPUT for its own, stand for this world's.
    pub fn command(&self, index: usize, words: &[&str]) -> Command {
        let mut command = Command::new(hull());
        command.arg("--root").arg(self.state());
        for word in words {
            match *word {
                "BUNDLE" => command.arg(&self.bundle.dir),
                "ID" => command.arg(&self.bundle.id),
                "OUTPUT" => command.arg(self.output(index, "out")),
                "PID-FILE" => command.arg(self.pid_file()),
                word => command.arg(word),
            };
        }
        let file = |name: &str| File::create(self.output(index, name)).expect("a file for output");
        command.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
        command
    }

    fn output(&self, index: usize, name: &str) -> PathBuf {
        self.bundle.dir.join(format!("output/{name}.{index}"))
    }

    /// What the command of this index has written so far.
    pub fn said(&self, index: usize, code: i32) -> Said {
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(self.output(index, name)).unwrap_or_default()).into_owned()
        };
        Said { code, out: read("out"), err: read("err") }
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let tops = hierarchies.chain([root.to_owned()]).map(|path| path.join(&self.bundle.id));
        tops.flat_map(|top| [top.join("leaf"), top]).filter(|path| path.exists()).collect()
    }

    fn listing(&self) -> Vec<String> {
        let mut open = vec![self.bundle.dir.clone()];
        let mut found = Vec::new();
        let own = ["state", "output"].map(|name| self.bundle.dir.join(name));
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let Ok(facts) = path.symlink_metadata() else { continue };
                if own.contains(&path) {
                    continue;
                }
                if facts.is_dir() {
                    open.push(path.clone());
                }
                let size = if facts.is_file() { facts.size() } else { 0 };
                found.push(format!("{} {:o} {size}", path.display(), facts.mode()));
            }
        }
        found.sort();
        found
    }

    /// Everything that is there and should not be. `ran`: the container did, so its pid file stays.
    pub fn leftovers(&self, session: &Session, ran: bool) -> Vec<String> {
        let mut found: Vec<String> =
            session.living().iter().map(|pid| format!("process {pid} {}", describe(*pid))).collect();
        found.extend(self.cgroups().iter().map(|path| format!("cgroup {}", path.display())));
        let states = fs::read_dir(self.state()).into_iter().flatten().flatten();
        found.extend(states.map(|entry| format!("state {}", entry.file_name().display())));
        found.extend(difference("mount", &self.mounts, &mounts()));
        let pid_file = self.pid_file().display().to_string();
        let now: Vec<String> =
            self.listing().into_iter().filter(|line| !(ran && line.starts_with(&pid_file))).collect();
        found.extend(difference("file", &self.files, &now));
        found
    }

    /// Removes whatever was left, so that the next scenario finds nothing of it.
    pub fn sweep(&self, session: &mut Session) {
        session.end();
        for path in self.cgroups() {
            // A cgroup is busy until its killed processes are gone.
            (0..200)
                .take_while(|_| fs::remove_dir(&path).is_err_and(|error| error.raw_os_error() == Some(16)))
                .for_each(|_| std::thread::sleep(Duration::from_millis(5)));
        }
        fs::remove_dir_all(self.state()).ok();
        fs::remove_dir_all(self.bundle.dir.join("pid")).ok();
        self.bundle.beside("pid");
    }

    /// The container's facts without what the kernel hands out anew each time, or what hull may do in two ways.
    pub fn normal(&self, out: &str) -> Vec<String> {
        let text = out.replace(&*self.bundle.dir.to_string_lossy(), "BUNDLE").replace(&self.bundle.id, "ID");
        text.lines().filter_map(line).collect()
    }
}

/// A device that mknod refuses to make is bound from the host, as in runc.
const DEVICES: [&str; 7] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/denied"];

fn line(text: &str) -> Option<String> {
    if let Some(mount) = text.strip_prefix("mountinfo ") {
        let all = facts::mounts(mount);
        let mount = all.first()?;
        if DEVICES.contains(&mount.target.as_str()) {
            return None;
        }
        // A masked file is under the container's null device, made or bound.
        if mount.root == "/null" && ["tmpfs", "devtmpfs"].contains(&mount.kind.as_str()) {
            return Some(format!("mount {} null", mount.target));
        }
        // Whether it still hears of the host's mounts depends on the way; that the host hears of it would be a fault.
        let tags: Vec<&str> = mount
            .propagation
            .iter()
            .filter_map(|tag| tag.split(':').next())
            .filter(|tag| *tag != "master")
            .collect();
        let (options, data) = (mount.options.join(","), mount.super_options.join(","));
        return Some(format!(
            "mount {} {} {} {options} {tags:?} {data}",
            mount.target, mount.kind, mount.root
        ));
    }
    if let Some(link) = text.strip_prefix("namespace ") {
        let kind = link.trim_matches('"').split(':').next()?.to_owned();
        let ours = fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap_or_default();
        let whose = if format!("{ours:?}") == link { "the host's" } else { "its own" };
        return Some(format!("namespace {kind}: {whose}"));
    }
    if let Some((_, described)) = text.split_once(" keyring;") {
        // Without a name where one of that name is still going away.
        return Some(format!("keyring;{}", described.split(";_ses").next()?));
    }
    Some(text.to_owned())
}

fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo");
    text.lines().map(str::to_owned).collect()
}

/// Lines that are new, and lines that are gone.
pub fn difference(what: &str, before: &[String], after: &[String]) -> Vec<String> {
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("new {what} {line}"));
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("lost {what} {line}"));
    new.chain(gone).collect()
}

fn describe(pid: i32) -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    format!("({} in {})", read("cmdline").replace('\0', " ").trim(), read("wchan"))
}
