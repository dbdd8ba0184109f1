//! containerd, through its own ctr.

use crate::engine::{BROKEN, Engine, Options, say, until};
use crate::view::View;
use hull_tests::{Bundle, Host, Live, Value, hull, json, tests_dir};
use nix::sys::signal::Signal;
use std::fs;

pub struct Ctr {
    view: View,
    daemon: Live,
    bundle: Bundle,
    /// With a config of the suite instead of containerd's own, whose cpu shares need a controller.
    config: bool,
}

/// containerd's own filter, as it is in a config that containerd wrote.
fn profile() -> Value {
    let text = fs::read_to_string(tests_dir().join("configs/real/containerd.json")).expect("a config");
    let config: Value = serde_json::from_str(&text).expect("JSON");
    config["linux"]["seccomp"].clone()
}

impl Ctr {
    pub fn new(name: &str, host: Host) -> Ctr {
        Ctr::start(name, host, false)
    }

    /// The containers get the config of `Bundle`.
    pub fn with_config(name: &str, host: Host) -> Ctr {
        Ctr::start(name, host, true)
    }

    fn start(name: &str, host: Host, config: bool) -> Ctr {
        let bundle = Bundle::new(&["true"]);
        bundle.file("/etc/plain", 0o644, "not a program\n");
        bundle.set("/root", json!({"path": bundle.rootfs()}));
        let view = View::new(name, host);
        let daemon = Live::spawn(view.command(&["containerd".to_owned()]));
        let ctr = Ctr { view, daemon, bundle, config };
        until(|| ctr.view.output(&ctr.words(&["version"])).code == Some(0));
        ctr
    }

    fn run(&self, how: &[&str], name: &str, options: Options, args: &[&str]) -> Vec<String> {
        let mut words = self.words(&["run"]);
        let mut add = |more: &[&str]| words.extend(more.iter().map(|word| (*word).to_owned()));
        let tested = hull().display().to_string();
        add(&["--runc-binary", if options.broken { BROKEN } else { &tested }]);
        add(how);
        if self.config {
            let (colour, host) = if options.named { ("COLOUR=blue", "box") } else { ("COLOUR=", "plain") };
            self.bundle.set("/process/args", json!(args));
            self.bundle.set("/process/env", json!(["PATH=/bin", colour]));
            self.bundle.set("/hostname", json!(host));
            self.bundle.set("/linux/seccomp", if options.unconfined { Value::Null } else { profile() });
            self.bundle.set("/linux/cgroupsPath", json!(format!("/{}/{name}", self.view.cgroup)));
            self.bundle.write();
            // A file of its own: several containers may be on their way.
            let config = self.bundle.dir.join(name);
            fs::rename(self.bundle.dir.join("config.json"), &config).expect("a config");
            add(&["--config", &config.display().to_string(), name]);
            return words;
        }
        add(&["--rootfs", "--env", "PATH=/bin"]);
        add(if options.named { &["--env", "COLOUR=blue"] } else { &[] });
        add(if options.unconfined { &[] } else { &["--seccomp"] });
        add(if options.limits {
            &["--memory-limit=67108864", "--cpu-period=100000", "--cpu-quota=50000"]
        } else {
            &[]
        });
        add(&[&self.bundle.rootfs().display().to_string(), name]);
        add(args);
        words
    }

    fn status(&self, name: &str) -> Vec<String> {
        let tasks = say(self, &["task", "list"]);
        let line = tasks.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }
}

impl Engine for Ctr {
    fn view(&self) -> &View {
        &self.view
    }

    fn words(&self, words: &[&str]) -> Vec<String> {
        // The namespace is also the cgroup above a container's own.
        let all = [&["ctr", "--namespace", &self.view.cgroup], words].concat();
        all.into_iter().map(str::to_owned).collect()
    }

    fn foreground(&self, name: &str, options: Options, args: &[&str]) -> Vec<String> {
        self.run(&["--rm"], name, options, args)
    }

    fn background(&self, name: &str, options: Options, args: &[&str]) -> Vec<String> {
        self.run(&["--detach", "--log-uri", &format!("file:///var/log/{name}")], name, options, args)
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.view.path("/var/log").join(name)).unwrap_or_default()
    }

    fn pid(&self, name: &str) -> i32 {
        self.status(name).get(1).expect("a task").parse().expect("a pid")
    }

    fn stop(&self, name: &str) {
        say(self, &["task", "kill", "--signal", "SIGTERM", name]);
    }

    fn kill(&self, name: &str) {
        say(self, &["task", "kill", "--signal", "SIGKILL", name]);
    }

    fn wait(&self, name: &str) -> i32 {
        until(|| self.status(name).get(2).is_some_and(|status| status == "STOPPED"));
        // The code is in a warning of the command that removes the task.
        let output = self.view.output(&self.words(&["task", "delete", name]));
        output.exits(0);
        let err = output.err();
        let code = err
            .rsplit_once("non-zero exit code ")
            .map_or("0", |(_, rest)| rest.trim_end().trim_end_matches('"'));
        code.parse().unwrap_or_else(|_| panic!("no exit code: {}", output.show()))
    }

    fn remove(&self, name: &str) {
        say(self, &["container", "delete", name]);
    }

    fn containers(&self) -> Vec<String> {
        let both = [say(self, &["container", "list", "--quiet"]), say(self, &["task", "list", "--quiet"])];
        both.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
    }

    /// ctr has one code for all of its failures.
    fn cannot_execute(&self, _code: i32) -> i32 {
        1
    }

    fn sets_host_name(&self) -> bool {
        self.config
    }

    fn end(self: Box<Self>) -> Vec<String> {
        let Ctr { view, daemon, .. } = *self;
        daemon.signal(Signal::SIGTERM);
        let output = daemon.finish();
        let states = format!("/run/containerd/runc/{}", view.cgroup);
        let bundles = format!("/run/containerd/io.containerd.runtime.v2.task/{}", view.cgroup);
        let mut found = view.end(&[&states, &bundles]);
        if output.code != Some(0) {
            found.push(format!("containerd ended with {}", output.show()));
        }
        found
    }
}
