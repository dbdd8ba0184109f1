//! Podman and Docker, whose command lines are alike. Docker's has a daemon behind it.

use crate::engine::{BROKEN, Engine, Options, say, until};
use crate::view::View;
use hull_tests::{Bundle, Host, Live, hull, spawn};
use nix::sys::signal::Signal;
use std::process::Command;

/// The image that both import.
const IMAGE: &str = "smoke";

pub struct Podman {
    view: View,
    /// The containers.conf that podman is pointed at, as seen in the view.
    config: Option<&'static str>,
}

pub struct Docker {
    view: View,
    daemon: Live,
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A tar of the usual root filesystem and a file that may not be executed, at /var/tmp/image.tar of the view.
fn image(view: &View) {
    let bundle = Bundle::new(&["true"]);
    bundle.file("/etc/plain", 0o644, "not a program\n");
    let tar = view.path("/var/tmp/image.tar");
    let output =
        spawn::output(Command::new("tar").arg("-C").arg(bundle.rootfs()).arg("-cf").arg(tar).arg("."));
    assert!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
}

/// The flags of `run` that both engines have.
fn flags(options: Options) -> Vec<String> {
    let mut flags = owned(&["--pull=never", "--network=none"]);
    let mut add = |wanted: bool, more: &[&str]| flags.extend(owned(if wanted { more } else { &[] }));
    add(options.named, &["--env=COLOUR=blue", "--hostname=box"]);
    add(options.input, &["--interactive"]);
    add(options.terminal, &["--tty"]);
    add(options.unconfined, &["--security-opt=seccomp=unconfined"]);
    add(options.limits, &["--memory=64m", "--cpu-period=100000", "--cpu-quota=50000", "--pids-limit=50"]);
    flags
}

impl Podman {
    pub fn new(name: &str, host: Host) -> Podman {
        let podman = Podman { view: View::new(name, host), config: None };
        image(&podman.view);
        say(&podman, &["import", "--quiet", "/var/tmp/image.tar", IMAGE]);
        podman
    }

    /// The same told that the runtime writes its errors as JSON, which podman takes for granted of known names only.
    pub fn that_reads_json(name: &str, host: Host) -> Podman {
        let mut podman = Podman::new(name, host);
        let text = "[engine]\nruntime_supports_json = [\"hull\", \"runc\", \"crun\"]\n";
        std::fs::write(podman.view.path("/var/lib/containers.conf"), text).expect("containers.conf");
        podman.config = Some("CONTAINERS_CONF=/var/lib/containers.conf");
        podman
    }

    fn flags(&self, options: Options) -> Vec<String> {
        let mut flags = flags(options);
        flags.push(format!("--cgroup-parent=/{}", self.view.cgroup));
        // What podman asks for by itself is above the hard limits of an ordinary machine.
        flags.extend(owned(&["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"]));
        if !options.limits {
            flags.push("--pids-limit=0".to_owned());
        }
        flags
    }

    fn of(&self, runtime: &str) -> Vec<String> {
        let mut words = owned(&["/usr/bin/env"]);
        words.extend(self.config.map(str::to_owned));
        words.extend(owned(&[
            "podman",
            "--storage-driver=vfs",
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
        ]));
        words.push(format!("--runtime={runtime}"));
        words
    }

    fn run(&self, how: &[&str], options: Options, args: &[&str]) -> Vec<String> {
        let tested = hull().display().to_string();
        let mut words = self.of(if options.broken { BROKEN } else { &tested });
        words.push("run".to_owned());
        words.extend(owned(how));
        words.extend(self.flags(options));
        words.push(IMAGE.to_owned());
        words.extend(owned(args));
        words
    }
}

impl Docker {
    pub fn new(name: &str, host: Host) -> Docker {
        let view = View::new(name, host);
        image(&view);
        let mut words = owned(&["dockerd", "--bridge=none", "--iptables=false", "--ip-forward=false"]);
        words.extend(owned(&["--storage-driver=vfs", "--exec-opt=native.cgroupdriver=cgroupfs"]));
        words.push(format!("--cgroup-parent=/{}", view.cgroup));
        words.push(format!("--add-runtime=tested={}", hull().display()));
        words.push(format!("--add-runtime=broken={BROKEN}"));
        let daemon = Live::spawn(view.command(&words));
        let docker = Docker { view, daemon };
        until(|| docker.view.output(&docker.words(&["version"])).code == Some(0));
        say(&docker, &["import", "/var/tmp/image.tar", IMAGE]);
        docker
    }

    fn run(&self, how: &[&str], options: Options, args: &[&str]) -> Vec<String> {
        let mut words = owned(&["docker", "run"]);
        words.push(format!("--runtime={}", if options.broken { "broken" } else { "tested" }));
        words.extend(owned(how));
        words.extend(flags(options));
        words.push(IMAGE.to_owned());
        words.extend(owned(args));
        words
    }
}

/// The part of the vocabulary whose words are the same.
macro_rules! alike {
    () => {
        fn view(&self) -> &View {
            &self.view
        }

        fn foreground(&self, name: &str, options: Options, args: &[&str]) -> Vec<String> {
            self.run(&["--rm", "--name", name], options, args)
        }

        fn background(&self, name: &str, options: Options, args: &[&str]) -> Vec<String> {
            self.run(&["--detach", "--name", name], options, args)
        }

        fn log(&self, name: &str) -> String {
            self.view.output(&self.words(&["logs", name])).out()
        }

        fn pid(&self, name: &str) -> i32 {
            say(self, &["inspect", "--format={{.State.Pid}}", name]).parse().expect("a pid")
        }

        fn stop(&self, name: &str) {
            say(self, &["stop", "--time=20", name]);
        }

        fn kill(&self, name: &str) {
            say(self, &["kill", name]);
        }

        fn wait(&self, name: &str) -> i32 {
            say(self, &["wait", name]).parse().expect("an exit code")
        }

        fn remove(&self, name: &str) {
            say(self, &["rm", name]);
        }

        fn containers(&self) -> Vec<String> {
            say(self, &["ps", "--all", "--format={{.Names}} {{.Status}}"])
                .lines()
                .map(str::to_owned)
                .collect()
        }

        fn cannot_execute(&self, code: i32) -> i32 {
            code
        }

        fn sets_host_name(&self) -> bool {
            true
        }
    };
}

impl Engine for Podman {
    alike!();

    fn words(&self, words: &[&str]) -> Vec<String> {
        let mut all = self.of(&hull().display().to_string());
        all.extend(owned(words));
        all
    }

    fn end(self: Box<Self>) -> Vec<String> {
        let state = format!("/run/{}", hull().file_name().expect("a program").to_string_lossy());
        self.view.end(&[&state, "/run/netns", "/var/lib/containers/storage/vfs-containers/userdata"])
    }
}

impl Engine for Docker {
    alike!();

    fn words(&self, words: &[&str]) -> Vec<String> {
        let mut all = owned(&["docker"]);
        all.extend(owned(words));
        all
    }

    fn end(self: Box<Self>) -> Vec<String> {
        let Docker { view, daemon } = *self;
        daemon.signal(Signal::SIGTERM);
        let output = daemon.finish();
        let mut found = view.end(&[
            "/run/docker/runtime-runc/moby",
            "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby",
            "/run/docker/netns",
            "/var/lib/docker/containers",
        ]);
        if output.code != Some(0) {
            found.push(format!("dockerd ended with {}", output.show()));
        }
        found
    }
}
