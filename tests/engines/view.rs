//! A view of the machine in which an engine is installed and everything that it writes is private.
//!
//! The packages lie over /usr and /etc, and /run and /var are folders of the suite, in a mount and a network namespace
//! that one idle process holds. Every command of the engine enters the two, so what one leaves the next one finds.

use crate::packages;
use hull_tests::bundle::{mark, scratch};
use hull_tests::run::{self, DEADLINE};
use hull_tests::{Host, Live, Output, check, facts};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub struct View {
    /// The cgroup below which the engine keeps its containers; it carries the suite's mark.
    pub cgroup: String,
    folder: PathBuf,
    holder: Live,
    mounts: Vec<String>,
}

impl View {
    /// Makes the view `name` on a host whose cgroup mounts it keeps.
    pub fn new(name: &str, host: Host) -> View {
        static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
        let packages = PACKAGES.get_or_init(packages::unpacked);
        let cgroup = format!("{}{name}", mark());
        let folder = scratch().join(&cgroup);
        let hidden = |path: &Path| path.starts_with("/run") || path.starts_with("/var");
        assert!(!hidden(&folder) && !hidden(&hull_tests::hull()), "TMPDIR or HULL lies in /run or /var");
        for inside in ["run", "var/lib", "var/log", "var/cache", "var/tmp", "upper", "work"] {
            fs::create_dir_all(folder.join(inside)).expect("a folder of the view");
        }
        symlink("/run", folder.join("var/run")).expect("/var/run");
        let at = |inside: &str| folder.join(inside).display().to_string();
        let layers = |top: &str| format!("lowerdir={}:/{top}", packages.join(top).display());
        let writable = format!("{},upperdir={},workdir={}", layers("etc"), at("upper"), at("work"));
        let host = host
            .private()
            .mount("overlay", "/usr", "overlay", 0, &layers("usr"))
            .mount("overlay", "/etc", "overlay", 0, &writable)
            .mount(&at("run"), "/run", "none", libc::MS_BIND, "")
            .mount(&at("var"), "/var", "none", libc::MS_BIND, "")
            // As under systemd: a container's mounts would come back to the view.
            .mount("none", "/", "none", libc::MS_REC | libc::MS_SHARED, "");
        let idle = ["/usr/bin/unshare", "--net", "/bin/sh", "-c", "ip link set lo up; echo ready; exec cat"];
        let mut holder = Live::spawn(run::command(&idle.map(OsString::from), &host));
        holder.until("ready");
        let mut view = View { cgroup, folder, holder, mounts: Vec::new() };
        view.mounts = view.mounted();
        view
    }

    /// A file of the view, as the suite sees it: of /run or /var.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.join(inside.trim_start_matches('/'))
    }

    /// A command in the view, still to be started.
    pub fn command(&self, words: &[String]) -> std::process::Command {
        let namespace = |kind: &str, file: &str| format!("--{kind}=/proc/{}/ns/{file}", self.holder.pid());
        let mut all = vec![
            "/usr/bin/nsenter".to_owned(),
            namespace("mount", "mnt"),
            namespace("net", "net"),
            "--".into(),
        ];
        all.extend(words.iter().cloned());
        let all: Vec<OsString> = all.into_iter().map(OsString::from).collect();
        let mut command = run::command(&all, &Host::machine());
        command.env("HOME", "/run").env("TMPDIR", "/var/tmp");
        command
    }

    /// The command to its end.
    pub fn output(&self, words: &[String]) -> Output {
        Live::spawn(self.command(words)).finish()
    }

    /// The processes of the engine and of its containers.
    fn processes(&self) -> Vec<i32> {
        let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        let ours = namespace(self.holder.pid());
        let contained = |pid: i32| {
            fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(&self.cgroup))
        };
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        // A process that has ended has no namespace; whether it is reaped is told by the check of the suite.
        pids.filter(|pid| *pid != self.holder.pid())
            .filter(|pid| namespace(*pid).is_some_and(|kind| Some(kind) == ours || contained(*pid)))
            .collect()
    }

    fn mounted(&self) -> Vec<String> {
        let text = fs::read_to_string(format!("/proc/{}/mountinfo", self.holder.pid())).expect("mountinfo");
        facts::mounts(&text).iter().map(|mount| format!("{} on {}", mount.kind, mount.target)).collect()
    }

    /// Ends the view, with whatever is still in it, and tells what that was. `empty` are folders that must be so.
    pub fn end(self, empty: &[&str]) -> Vec<String> {
        let begun = Instant::now();
        // Shims and monitors end by themselves soon after their container or their daemon.
        while !self.processes().is_empty() && begun.elapsed() < DEADLINE / 10 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut found = Vec::new();
        for pid in self.processes() {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            found.push(format!("process {pid}: {}", String::from_utf8_lossy(&command).replace('\0', " ")));
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
        // The kernel lists it as long as something can still reach it: a container's network namespace too.
        found.extend(
            self.mounted()
                .iter()
                .filter(|mount| !self.mounts.contains(mount))
                .map(|mount| format!("mount {mount}")),
        );
        for folder in empty {
            let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
            found.extend(entries.map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy())));
        }
        for path in
            check::cgroup_folders().iter().filter(|path| path.to_string_lossy().contains(&self.cgroup))
        {
            // The engines leave these two, by design; rmdir says whether they were empty.
            if !path.ends_with(&self.cgroup) && !path.ends_with(format!("{}/conmon", self.cgroup)) {
                found.push(format!("cgroup {}", path.display()));
            }
        }
        check::sweep(&self.cgroup);
        self.holder.finish();
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            found.push(format!("{}: {error}", self.folder.display()));
        }
        found
    }
}
