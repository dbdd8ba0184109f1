//! Someone whose namespaces others join, and what a process sees of its own.

use crate::life::reap;
use crate::{Bundle, Life, Live, json};
use std::fs;
use std::process::Command;

/// Kind in the config, name below /proc/PID/ns, the flags that make unshare(1) hold one.
pub const KINDS: [(&str, &str, &str); 8] = [
    ("network", "net", "--net"),
    ("ipc", "ipc", "--ipc"),
    ("uts", "uts", "--uts"),
    ("pid", "pid", "--pid"),
    ("mount", "mnt", "--mount"),
    ("cgroup", "cgroup", "--cgroup"),
    ("time", "time", "--time"),
    ("user", "user", ""),
];

pub const PLAIN: [&str; 6] = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
pub const POD: [&str; 4] = ["network", "ipc", "uts", "pid"];

pub fn name(kind: &str) -> &'static str {
    KINDS.iter().find(|(known, ..)| *known == kind).unwrap().1
}

pub fn own(kind: &str) -> String {
    link("self", kind)
}

pub fn link(pid: &str, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{}", name(kind))).unwrap().display().to_string()
}

/// Someone whose namespaces are joined; all end with it.
pub enum Holder {
    /// unshare(1): its child is the first process of what is new.
    Process(Live),
    /// A created container, for a user namespace with maps.
    Container(Box<Life>),
}

impl Holder {
    pub fn of(kinds: &[&str]) -> Holder {
        let mut command = Command::new("unshare");
        command.arg("--fork");
        for kind in kinds {
            command.arg(KINDS.iter().find(|(known, ..)| known == kind).unwrap().2);
        }
        let mut live = Live::spawn({
            command.arg("cat");
            command
        });
        // It answers once it is what it shall be.
        live.send("up\n");
        assert_eq!(live.line(), "up");
        Holder::Process(live)
    }

    pub fn with_users() -> Holder {
        let life = Life::holding();
        life.bundle.namespaces(&[&PLAIN[..], &["user"]].concat());
        map_users(&life.bundle, 100_000);
        life.create().succeeds();
        Holder::Container(Box::new(life))
    }

    /// The one that holds a namespace of this kind.
    pub fn holding(kind: &str) -> Holder {
        if kind == "user" { Holder::with_users() } else { Holder::of(&[kind]) }
    }

    pub fn pid(&self) -> i32 {
        match self {
            Holder::Process(live) => live.container_pid(),
            Holder::Container(life) => life.pid(),
        }
    }

    pub fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{}", self.pid(), name(kind))
    }

    pub fn link(&self, kind: &str) -> String {
        link(&self.pid().to_string(), kind)
    }

    /// It is still there, and goes now.
    #[track_caller]
    pub fn end(self) {
        match self {
            Holder::Process(mut live) => {
                live.send("still up\n");
                assert_eq!(live.line(), "still up");
                reap();
                live.finish().exits(0);
            }
            Holder::Container(life) => {
                assert_eq!(life.status(), "created");
                life.end();
            }
        }
    }
}

/// A mapping of all the ids that a process may use, from `first` on outside.
pub fn map_users(bundle: &Bundle, first: u32) -> &Bundle {
    let mapping = json!([{"containerID": 0, "hostID": first, "size": 65536}]);
    bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping)
}

/// These kinds as another has them, and these anew.
pub fn join(bundle: &Bundle, holder: &Holder, joined: &[&str], new: &[&str]) {
    bundle.namespaces(new);
    for kind in joined {
        bundle.push("/linux/namespaces", json!({"type": kind, "path": holder.path(kind)}));
    }
    if !new.contains(&"uts") {
        bundle.remove("/hostname");
    }
}

/// What of the plain kinds is not joined, and so is new.
pub fn others(joined: &[&str]) -> Vec<&'static str> {
    PLAIN.into_iter().filter(|kind| !joined.contains(kind)).collect()
}

pub fn links_script() -> String {
    KINDS.map(|(kind, name, _)| format!("echo {kind} $(readlink /proc/self/ns/{name})")).join("; ")
}

pub fn seen<'l>(lines: &'l [String], kind: &str) -> &'l str {
    let found = lines.iter().find_map(|line| line.strip_prefix(&format!("{kind} ")));
    found.unwrap_or_else(|| panic!("no {kind} in {lines:?}"))
}

/// The joined kinds are the holder's, the new ones neither its nor the caller's.
#[track_caller]
pub fn check_links(lines: &[String], holder: &Holder, joined: &[&str], new: &[&str]) {
    for kind in joined {
        assert_eq!(seen(lines, kind), holder.link(kind), "joined: {kind}");
        assert_ne!(seen(lines, kind), own(kind), "the control: {kind}");
    }
    for kind in new {
        assert_ne!(seen(lines, kind), own(kind), "new: {kind}");
        assert_ne!(seen(lines, kind), holder.link(kind), "new: {kind}");
    }
}
