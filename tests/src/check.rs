//! What is left on the machine: after each run, and once more after each suite.

use crate::bundle::{mark, scratch};
use crate::run::{DEADLINE, Output};
use crate::{facts, state_root};
use nix::libc;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Every folder below the machine's cgroup mounts, private views included: their hierarchies are the same.
pub fn cgroup_folders() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
                found.push(entry.path());
            }
        }
    }
    found
}

/// The cgroups whose own name holds this text.
pub fn cgroups_named(text: &str) -> Vec<PathBuf> {
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(text));
    cgroup_folders().into_iter().filter(named).collect()
}

/// The pids of a process's children.
pub fn children(pid: i32) -> Vec<i32> {
    let mut all = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return all };
    for thread in threads.flatten() {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|word| word.parse::<i32>().ok()));
    }
    all
}

/// Children, their children, and so on.
pub fn descendants(pid: i32) -> Vec<i32> {
    let mut all = children(pid);
    let mut index = 0;
    while let Some(next) = all.get(index).copied() {
        all.extend(children(next));
        index += 1;
    }
    all
}

/// After a run: no state, no cgroup, no mount of this bundle.
#[track_caller]
pub fn nothing_left(id: &str, dir: &Path, output: &Output) {
    let found = leftovers(id, dir);
    assert!(found.is_empty(), "left behind: {found:?} by a run with {}", output.show());
}

/// The same for a bundle whose run a test has watched in its own way.
#[track_caller]
pub fn nothing_left_of(bundle: &crate::Bundle) {
    let found = leftovers(&bundle.id, &bundle.dir);
    assert!(found.is_empty(), "left behind: {found:?}");
}

fn leftovers(id: &str, dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let exact = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy() == id);
    found.extend(cgroup_folders().iter().filter(|path| exact(path)).map(|path| path.display().to_string()));
    if is_id(id) && state_root().join(id).exists() {
        found.push(state_root().join(id).display().to_string());
    }
    found.extend(mounts_under(dir));
    found
}

/// Ends and removes what a failed test's container left: the failure is reported, the machine stays usable.
pub fn sweep(id: &str) {
    let below =
        |path: &PathBuf| path.components().any(|part| part.as_os_str().to_string_lossy().contains(id));
    let cgroups: Vec<PathBuf> = cgroup_folders().into_iter().filter(below).collect();
    for cgroup in &cgroups {
        let pids = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        for pid in pids.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1) {
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    for cgroup in cgroups.iter().rev() {
        // A cgroup is busy until its killed processes are gone.
        (0..200)
            .take_while(|_| fs::remove_dir(cgroup).is_err())
            .for_each(|_| std::thread::sleep(Duration::from_millis(5)));
    }
    if is_id(id) {
        fs::remove_dir_all(state_root().join(id)).ok();
    }
}

/// An id that is also a plain file name.
fn is_id(id: &str) -> bool {
    !id.is_empty() && id != "." && id != ".." && !id.contains('/')
}

fn mounts_under(dir: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let own = dir.to_string_lossy().into_owned();
    let under = |mount: &facts::Mount| mount.target == own || mount.target.starts_with(&format!("{own}/"));
    facts::mounts(&text)
        .iter()
        .filter(|mount| under(mount))
        .map(|mount| format!("mount {}", mount.target))
        .collect()
}

/// The machine as it should be found again.
pub struct Machine {
    mounts: Vec<String>,
    folders: Vec<(String, Vec<String>)>,
}

const WATCHED: [&str; 8] =
    ["/", "/dev", "/dev/shm", "/proc/sys/fs/binfmt_misc", "/etc", "/usr/bin", "/var", "/root"];

impl Machine {
    pub fn now() -> Machine {
        let text = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let line = |mount: &facts::Mount| {
            format!("{} {} {} {:?}", mount.target, mount.kind, mount.source, mount.options)
        };
        let mounts = facts::mounts(&text).iter().map(line).collect();
        let folders = WATCHED.iter().map(|folder| ((*folder).to_owned(), names(folder))).collect();
        Machine { mounts, folders }
    }

    /// Every difference to an earlier look, and everything that carries this suite's mark.
    pub fn differences(&self, earlier: &Machine) -> Vec<String> {
        let mut found = Vec::new();
        compare("mount", &earlier.mounts, &self.mounts, &mut found);
        for ((folder, before), (_, after)) in earlier.folders.iter().zip(&self.folders) {
            compare(folder, before, after, &mut found);
        }
        found.extend(cgroups_named(&mark()).iter().map(|path| format!("cgroup {}", path.display())));
        for folder in ["/run", "/tmp", "/dev/shm", "/dev/mqueue", "/var/run"]
            .map(PathBuf::from)
            .iter()
            .chain([&state_root()])
        {
            let ours = names(&folder.to_string_lossy()).into_iter().filter(|name| name.contains(&mark()));
            found.extend(ours.map(|name| format!("{}/{name}", folder.display())));
        }
        found.extend(
            names(&scratch().to_string_lossy())
                .iter()
                .filter(|name| *name != ".shared")
                .map(|name| format!("scratch {name}")),
        );
        found
    }
}

fn compare(what: &str, before: &[String], after: &[String], found: &mut Vec<String>) {
    found.extend(
        after.iter().filter(|line| !before.contains(line)).map(|line| format!("new: {what}: {line}")),
    );
    found.extend(
        before.iter().filter(|line| !after.contains(line)).map(|line| format!("gone: {what}: {line}")),
    );
}

fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Makes orphans of every run come to this process, so that none is missed.
pub fn adopt_orphans() {
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    assert_eq!(result, 0, "PR_SET_CHILD_SUBREAPER");
}

/// The processes that outlived their runs. Those that are ending are waited for.
pub fn orphans() -> Vec<String> {
    let begun = Instant::now();
    loop {
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
        let left = children(std::process::id() as i32);
        if left.is_empty() || begun.elapsed() > DEADLINE / 10 {
            return left.iter().map(|pid| describe(*pid)).collect();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn describe(pid: i32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let last = cgroup.lines().next().unwrap_or_default();
    format!("process {pid}: {} in {last}", String::from_utf8_lossy(&command).replace('\0', " "))
}
