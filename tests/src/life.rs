//! A container's life in single commands, each with the same host, environment and state root.

use crate::run::{self, DEADLINE, Output};
use crate::{Bundle, Host, check, hull, spawn};
use nix::libc;
use serde_json::Value;
use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a program runs that shows itself by a file `up` in its root and ends with code 3 once there is a file `go`.
pub const HOLDING: &str = "echo up > /up; while [ ! -e /go ]; do sleep 0.02; done; exit 3";

/// Commands on one container.
pub struct Life {
    pub bundle: Bundle,
    pub host: Host,
    /// The runtime; a copy where its user can't reach the one under test.
    pub program: PathBuf,
    /// Flags before the command.
    pub globals: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    /// The folder of all states.
    pub root: PathBuf,
    calls: Cell<u32>,
}

impl Life {
    /// With a state root of its own, and a root file system that may be written to.
    pub fn of(bundle: Bundle) -> Life {
        let root = bundle.beside("state");
        bundle.set("/root/readonly", false.into());
        Life {
            bundle,
            host: Host::machine(),
            program: hull(),
            globals: vec!["--root".into(), root.clone().into()],
            environment: Vec::new(),
            root,
            calls: Cell::new(0),
        }
    }

    /// A program that waits, as `HOLDING`.
    pub fn holding() -> Life {
        Life::of(Bundle::sh(HOLDING))
    }

    /// The same, on another host.
    pub fn on(bundle: Bundle, host: Host) -> Life {
        let mut life = Life::of(bundle);
        life.host = host;
        life
    }

    /// A command as the system gets it.
    pub fn words(&self, words: &[&str]) -> Vec<OsString> {
        let mut all: Vec<OsString> = vec![self.program.clone().into()];
        all.extend(self.globals.iter().cloned());
        all.extend(words.iter().map(OsString::from));
        all
    }

    /// Starts any command, with what it writes in files: a container may keep a pipe open.
    pub fn start(&self, words: &[OsString]) -> Started {
        let number = self.calls.replace(self.calls.get() + 1);
        let [out, err] = ["stdout", "stderr"].map(|name| self.bundle.dir.join(format!("{name}.{number}")));
        let mut command = run::command(words, &self.host);
        command.envs(self.environment.iter().cloned()).stdin(Stdio::null());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        Started { child: spawn::spawn(&mut command).unwrap(), out, err }
    }

    /// Any command, to its end.
    pub fn call(&self, words: &[&str]) -> Output {
        self.start(&self.words(words)).ended()
    }

    pub fn id(&self) -> &str {
        &self.bundle.id
    }

    /// `create` or `run` with flags.
    pub fn make(&self, verb: &str, flags: &[&str]) -> Output {
        self.bundle.write();
        let dir = self.bundle.dir.to_str().unwrap();
        self.call(&[&[verb, "--bundle", dir][..], flags, &[self.id()]].concat())
    }

    pub fn create(&self) -> Output {
        self.make("create", &[])
    }

    /// A command with the id alone.
    pub fn verb(&self, verb: &str) -> Output {
        self.call(&[verb, self.id()])
    }

    pub fn state(&self) -> Value {
        serde_json::from_str(&self.verb("state").succeeds().out()).unwrap()
    }

    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.state()["pid"].as_i64().unwrap()).unwrap()
    }

    pub fn inside(&self, name: &str) -> PathBuf {
        self.bundle.inside(name)
    }

    /// What a file of the root holds.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.inside(name)).unwrap().trim_end().to_owned()
    }

    pub fn until_there(&self, name: &str) {
        let path = self.inside(name);
        until(&format!("{name} in the root"), || path.exists());
    }

    pub fn until_stopped(&self) {
        until("the end of the container", || {
            reap();
            self.status() == "stopped"
        });
    }

    /// Lets a `HOLDING` program end.
    pub fn go(&self) {
        fs::write(self.inside("go"), "").unwrap();
        self.until_stopped();
    }

    /// Removes it, and checks that nothing is left.
    #[track_caller]
    pub fn end(&self) {
        self.call(&["delete", "--force", self.id()]).succeeds();
        reap();
        self.nothing_left();
    }

    /// No state, no cgroup, no mount.
    #[track_caller]
    pub fn nothing_left(&self) {
        check::nothing_left_of(&self.bundle);
        let left: Vec<_> = fs::read_dir(&self.root).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.call(&["delete", "--force", self.id()]);
        }
    }
}

/// A command that runs.
pub struct Started {
    pub child: Child,
    pub out: PathBuf,
    pub err: PathBuf,
}

impl Started {
    /// Waits for its end.
    pub fn ended(mut self) -> Output {
        let status = wait(&mut self.child);
        Output {
            out: fs::read(self.out).unwrap(),
            err: fs::read(self.err).unwrap(),
            code: status.code(),
            signal: status.signal(),
        }
    }
}

/// Waits for an event.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let from = Instant::now();
    while !happened() {
        assert!(from.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for the end of a command; one that hangs is ended.
pub fn wait(child: &mut Child) -> ExitStatus {
    let from = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if from.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the command hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reaps what created containers left to this process, which adopts orphans: a pid namespace ends only once nobody in it
/// is left, not even a zombie. What other tests started themselves is in no pid namespace of its own.
pub fn reap() {
    for pid in check::children(std::process::id() as i32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        if numbers.split_whitespace().count() > 1 {
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) };
        }
    }
}

/// Whether a process is there and no zombie.
pub fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])))
}
