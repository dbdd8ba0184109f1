//! The private place that everything is measured in: a mount namespace with its own view of cgroups, and a folder.
//!
//! Invariant: the machine's own mounts are never touched (all mounting happens after `unshare`), and what was made is
//! removed on drop: the folder, and cgroups that a failed runtime left behind.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tempfile::TempDir;

const CGROUP_ROOT: &str = "/sys/fs/cgroup";
const STATE: &str = "state";

/// Which cgroup hierarchy the runtimes see.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// The machine's own version 1 mounts, as they are
    V1,
    /// A private cgroup2 mount on /sys/fs/cgroup
    V2,
}

impl View {
    pub fn name(self) -> &'static str {
        match self {
            View::V1 => "v1",
            View::V2 => "v2",
        }
    }
}

/// The place; dropping it cleans up.
pub struct Sandbox {
    folder: TempDir,
    prefix: String,
    serial: AtomicUsize,
    interrupted: Arc<AtomicBool>,
}

impl Sandbox {
    /// Enters a private mount namespace: call it before any thread is started.
    pub fn enter(view: View) -> Result<Sandbox> {
        unshare(CloneFlags::CLONE_NEWNS).context("unshare the mount namespace (measuring needs root)")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("make / private")?;
        match view {
            View::V2 => {
                // Nothing may be mounted there: that is no failure.
                let _ = umount2(CGROUP_ROOT, MntFlags::MNT_DETACH);
                mount(Some("cgroup2"), CGROUP_ROOT, Some("cgroup2"), MsFlags::empty(), none)
                    .context("mount a private cgroup2")?;
            }
            View::V1 if Path::new(CGROUP_ROOT).join("cgroup.procs").exists() => {
                bail!("this machine has no cgroup v1 mounts")
            }
            View::V1 => {}
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("catch signals")?;
        }
        let folder = tempfile::Builder::new().prefix("hull-bench-").tempdir().context("make a folder")?;
        let state = folder.path().join(STATE);
        fs::create_dir(&state).context("make the state folder")?;
        mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .context("mount the state folder")?;
        Ok(Sandbox {
            folder,
            prefix: format!("hull-bench-{}", std::process::id()),
            serial: AtomicUsize::new(0),
            interrupted,
        })
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where runtimes keep their state: on a tmpfs, as /run is.
    pub fn state(&self) -> PathBuf {
        self.folder().join(STATE)
    }

    /// A container id (also fit for a cgroup's name) that was not used before.
    pub fn fresh_id(&self) -> String {
        format!("{}-{}", self.prefix, self.serial.fetch_add(1, Ordering::Relaxed))
    }

    /// A cgroup's name that `drop` finds again, for bundles that name theirs.
    pub fn cgroup_name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.prefix)
    }

    /// Errors once the user has asked to stop, so that everything is dropped on the way out.
    pub fn check_interrupt(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) { bail!("interrupted") } else { Ok(()) }
    }

    /// A folder on a cgroup2 mount, for the floor program.
    pub fn cgroup2(&self) -> Result<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("read /proc/self/mounts")?;
        let on_cgroup2 = |line: &str| {
            let mut words = line.split(' ');
            let place = words.nth(1)?;
            (words.next()? == "cgroup2").then(|| PathBuf::from(place))
        };
        mounts
            .lines()
            .rev()
            .find_map(on_cgroup2)
            .context("no cgroup2 is mounted: the floor program needs one")
    }

    /// Removes cgroups of ours that are still there, and returns their paths.
    fn remove_cgroups(&self) -> Vec<PathBuf> {
        let mut roots = vec![PathBuf::from(CGROUP_ROOT)];
        roots.extend(folders(Path::new(CGROUP_ROOT)));
        let ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&self.prefix))
        };
        let mut removed = Vec::new();
        for path in roots.iter().flat_map(|root| folders(root)).filter(ours) {
            for inner in folders(&path) {
                // A cgroup with processes stays, and the next line says so.
                let _ = fs::remove_dir(inner);
            }
            match fs::remove_dir(&path) {
                Ok(()) => removed.push(path),
                Err(error) => eprintln!("hull-bench: can't remove {}: {error}", path.display()),
            }
        }
        removed
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // So that the folder below it can be removed; the mount would else live as long as this process.
        let _ = umount2(&self.state(), MntFlags::MNT_DETACH);
        for path in self.remove_cgroups() {
            eprintln!("hull-bench: removed a cgroup that a runtime left behind: {}", path.display());
        }
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_dir).map(|entry| entry.path()).collect()
}
