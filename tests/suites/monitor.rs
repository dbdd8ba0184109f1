//! The monitor of a detached container, from outside: what it keeps, what it costs, what happens without it, and that
//! nothing of it outlives the container's record.

use hull_tests::life::{Started, alive, until};
use hull_tests::{Bundle, Host, Life, Output, Value, hull, spawn, suite};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};

suite!(
    wait_tells_the_exit_code_before_and_after_the_end,
    wait_tells_a_signal,
    wait_without_a_monitor_says_that_it_does_not_know,
    wait_without_pidfds_and_without_a_monitor_ends_too,
    wait_of_an_unknown_id_is_an_error,
    a_waiting_command_hears_of_the_end_by_a_deletion,
    state_has_the_exit_status_of_a_stopped_container,
    a_killed_monitor_leaves_the_container_alone,
    a_hangup_does_not_end_the_monitor,
    logs_has_both_outputs_in_order,
    logs_follows_to_the_end,
    logs_follows_over_a_full_file,
    logs_are_of_limited_size,
    logs_without_a_monitor_is_an_error,
    a_log_file_of_the_callers_choice_is_kept,
    a_log_that_is_no_file_is_refused,
    a_full_disk_stops_nothing_and_is_noted,
    a_full_state_directory_keeps_the_exit_code,
    a_stopped_monitor_costs_no_output,
    the_terminal_is_kept_too,
    the_program_has_no_input_and_may_open_its_output_again,
    the_monitor_holds_nothing_of_the_caller,
    the_monitor_is_small,
    the_callers_pipe_ends,
    delete_force_ends_the_monitor,
    a_failed_start_is_the_callers_error,
    wrong_flags_are_refused,
);

/// Commands on one container with a monitor.
struct Watched(Life);

impl std::ops::Deref for Watched {
    type Target = Life;
    fn deref(&self) -> &Life {
        &self.0
    }
}

impl Watched {
    fn sh(script: &str) -> Watched {
        Watched(Life::of(Bundle::sh(script)))
    }

    fn on(script: &str, host: Host) -> Watched {
        Watched(Life::on(Bundle::sh(script), host))
    }

    /// Says that it is there, and waits for a file to come.
    fn holding(end: &str) -> Watched {
        Watched::sh(&format!("echo up; echo up > /up; while [ ! -e /go ]; do sleep 0.02; done; {end}"))
    }

    fn begin(&self, words: &[&str]) -> Started {
        self.start(&self.words(words))
    }

    fn run(&self, flags: &[&str]) -> Output {
        self.make("run", flags)
    }

    fn monitored(&self, flags: &[&str]) -> &Watched {
        self.run(&[&["--detach", "--monitor"][..], flags].concat()).succeeds();
        self
    }

    /// The container's parent.
    fn monitor(&self) -> i32 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        hull_tests::facts::status(&status)["PPid"].parse().unwrap()
    }

    fn until_up(&self) {
        self.until_there("up");
    }

    /// Lets the program end, which the caller waits for.
    fn let_go(&self) {
        fs::write(self.inside("go"), "").unwrap();
    }
}

/// A file system of 64 KB, beside the bundle: what is mounted in there counts as left by the container.
struct Disk(PathBuf);

impl Disk {
    fn of(life: &Life) -> Disk {
        let place = hull_tests::bundle::scratch().join(format!("{}-disk", life.id()));
        fs::create_dir(&place).unwrap();
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), &place, Some("tmpfs"), flags, Some("size=64k")).unwrap();
        Disk(place)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // the check at the end of the suite finds one that could not be unmounted
        nix::mount::umount(&self.0).ok();
        fs::remove_dir(&self.0).ok();
    }
}

fn ends(pid: i32) {
    until("the end of the monitor", || !alive(pid));
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn wait_tells_the_exit_code_before_and_after_the_end() {
    let life = Watched::holding("exit 7");
    life.monitored(&[]).until_up();
    let waiting = life.begin(&["wait", life.id()]);
    life.let_go();
    let said = waiting.ended();
    assert_eq!((said.code, said.out(), said.err()), (Some(7), "7\n".into(), String::new()));
    assert_eq!(life.verb("wait").exits(7).out(), "7\n");
    life.call(&["delete", life.id()]).succeeds();
    life.end();
}

fn wait_tells_a_signal() {
    let life = Watched::holding("exit 7");
    life.monitored(&[]).until_up();
    life.call(&["kill", life.id(), "KILL"]).succeeds();
    assert_eq!(life.verb("wait").exits(137).out(), "137\n");
    life.end();
}

fn unknown(said: &Output) {
    said.exits(253);
    assert!(said.out.is_empty() && said.err().lines().count() == 1, "{}", said.show());
    assert!(said.err().contains("exit code is unknown"), "{}", said.show());
}

fn wait_without_a_monitor_says_that_it_does_not_know() {
    let life = Watched::holding("exit 7");
    life.run(&["--detach"]).succeeds();
    life.until_up();
    let mut waiting = life.begin(&["wait", life.id()]);
    assert!(waiting.child.try_wait().unwrap().is_none());
    life.let_go();
    unknown(&waiting.ended());
    unknown(&life.verb("wait"));
    assert!(life.state().get("exitStatus").is_none());
    life.end();
}

fn wait_without_pidfds_and_without_a_monitor_ends_too() {
    let host = Host::machine().without(&[("pidfd_open", libc::ENOSYS)]);
    let life = Watched::on("echo up > /up; while [ ! -e /go ]; do sleep 0.02; done", host);
    life.run(&["--detach"]).succeeds();
    life.until_up();
    let waiting = life.begin(&["wait", life.id()]);
    // long enough for what it has looked at to fill any memory that is not used again
    std::thread::sleep(std::time::Duration::from_secs(3));
    life.let_go();
    unknown(&waiting.ended());
    life.end();
}

fn wait_of_an_unknown_id_is_an_error() {
    let life = Watched::sh("true");
    for verb in ["wait", "logs"] {
        life.verb(verb).refuses(&[verb, "container does not exist"]);
    }
}

fn a_waiting_command_hears_of_the_end_by_a_deletion() {
    let life = Watched::holding("exit 7");
    life.monitored(&[]).until_up();
    let waiting = life.begin(&["wait", life.id()]);
    let opened = format!("{}/exit", life.root.join(life.id()).display());
    until("the wait", || {
        let folder = format!("/proc/{}/fd", waiting.child.id());
        let entries = fs::read_dir(folder).unwrap();
        entries.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == Path::new(&opened)))
    });
    life.end();
    assert_eq!(waiting.ended().exits(137).out(), "137\n");
}

fn state_has_the_exit_status_of_a_stopped_container() {
    let life = Watched::holding("exit 9");
    life.monitored(&[]).until_up();
    assert!(life.state().get("exitStatus").is_none());
    life.let_go();
    life.verb("wait").exits(9);
    let state = life.state();
    assert_eq!((&state["status"], &state["exitStatus"]), (&"stopped".into(), &9.into()));
    let list = life.call(&["list", "--format", "json"]).succeeds().out();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["exitStatus"], 9);
    life.end();
}

fn a_killed_monitor_leaves_the_container_alone() {
    let life = Watched::holding("while [ ! -e /stop ]; do echo more; sleep 0.02; done; echo done > /done");
    life.monitored(&[]).until_up();
    let monitor = life.monitor();
    let waiting = life.begin(&["wait", life.id()]);
    let following = life.begin(&["logs", "--follow", life.id()]);
    signal(monitor, Signal::SIGKILL);
    ends(monitor);
    assert_eq!(following.ended().succeeds().out(), "up\n");
    assert_eq!(life.state()["status"], "running");
    // what it prints has no reader any more
    life.let_go();
    fs::write(life.bundle.inside("stop"), "").unwrap();
    let path = life.bundle.inside("done");
    until("the rest of the program", || path.exists());
    unknown(&waiting.ended());
    assert!(life.state().get("exitStatus").is_none());
    life.end();
}

fn a_hangup_does_not_end_the_monitor() {
    let life = Watched::holding("exit 5");
    life.monitored(&[]).until_up();
    let monitor = life.monitor();
    for each in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        signal(monitor, each);
    }
    life.let_go();
    life.verb("wait").exits(5);
    life.end();
}

fn logs_has_both_outputs_in_order() {
    let life = Watched::sh("echo one; echo two >&2; echo three");
    life.monitored(&[]);
    life.verb("wait").exits(0);
    assert_eq!(life.verb("logs").succeeds().out(), "one\ntwo\nthree\n");
    life.end();
}

fn logs_follows_to_the_end() {
    let life = Watched::holding("echo last");
    life.monitored(&[]).until_up();
    assert_eq!(life.verb("logs").succeeds().out(), "up\n");
    let following = life.begin(&["logs", "-f", life.id()]);
    until("what there is", || fs::read(&following.out).unwrap() == b"up\n");
    life.let_go();
    assert_eq!(following.ended().succeeds().out(), "up\nlast\n");
    assert_eq!(life.call(&["logs", "-f", life.id()]).succeeds().out(), "up\nlast\n");
    life.end();
}

fn logs_follows_over_a_full_file() {
    // slow enough for a reader that is woken at each file: what is renamed twice before it looks is lost, as documented
    let script = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); printf '%0500d\\n' $i; sleep 0.03; done";
    let life = Watched::holding(script);
    life.monitored(&["--log-size", "4096"]).until_up();
    let following = life.begin(&["logs", "-f", life.id()]);
    until("what there is", || fs::read(&following.out).unwrap() == b"up\n");
    life.let_go();
    let wanted: String = (1..=30).map(|i| format!("{i:0500}\n")).collect();
    assert_eq!(following.ended().succeeds().out(), format!("up\n{wanted}"));
    life.end();
}

fn logs_are_of_limited_size() {
    let life = Watched::sh("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; done");
    life.monitored(&["--log-size=5000"]);
    life.verb("wait").exits(0);
    let folder = life.root.join(life.id());
    for name in ["log", "log.1"] {
        let len = fs::metadata(folder.join(name)).unwrap().len();
        assert!(len <= 5000, "{name}: {len}");
    }
    let out = life.verb("logs").succeeds().out();
    assert!(out.ends_with("line 1999\nline 2000\n") && out.len() > 5000, "{} bytes", out.len());
    // the end of what was printed, without a gap
    let lines: Vec<&str> = out.lines().skip(1).collect();
    let first = 2001 - lines.len();
    assert!(lines.iter().zip(first..).all(|(line, number)| *line == format!("line {number}")));
    life.end();
}

fn logs_without_a_monitor_is_an_error() {
    let life = Watched::holding("true");
    life.run(&["--detach"]).succeeds();
    life.verb("logs").refuses(&["logs", "no output was kept", "--monitor"]);
    life.end();
}

fn a_log_file_of_the_callers_choice_is_kept() {
    let life = Watched::sh("echo from the container");
    let file = life.bundle.dir.join("output");
    fs::write(&file, "from before\n").unwrap();
    life.monitored(&["--log", file.to_str().unwrap()]);
    life.verb("wait").exits(0);
    let wanted = "from before\nfrom the container\n";
    assert_eq!(life.verb("logs").succeeds().out(), wanted);
    assert!(!life.root.join(life.id()).join("log").exists());
    life.end();
    assert_eq!(fs::read_to_string(file).unwrap(), wanted);
}

fn a_log_that_is_no_file_is_refused() {
    let life = Watched::sh("echo up > /up");
    let folder = life.bundle.dir.to_str().unwrap().to_owned();
    for (path, word) in
        [("/dev/null", "regular file"), (&*folder, "EISDIR"), ("/nowhere/at/all", "no such file")]
    {
        life.run(&["-d", "--monitor", "--log", path]).refuses(&["monitor", path, word]);
        life.verb("state").refuses(&["container does not exist"]);
    }
    assert!(!life.bundle.inside("up").exists());
    life.end();
}

fn a_full_disk_stops_nothing_and_is_noted() {
    let life = Watched::holding(
        "dd if=/dev/zero bs=1024 count=300 2>/dev/null; echo > /full; while [ ! -e /more ]; do sleep 0.02; done; echo last; exit 4",
    );
    let disk = Disk::of(&life);
    let file = disk.0.join("output");
    life.monitored(&["--log", file.to_str().unwrap(), "--log-size", "1000000"]).until_up();
    life.let_go();
    let path = life.bundle.inside("full");
    until("the program, which prints more than the disk holds", || path.exists());
    nix::mount::mount(Some("tmpfs"), &disk.0, None::<&str>, nix::mount::MsFlags::MS_REMOUNT, Some("size=1m"))
        .unwrap();
    fs::write(life.bundle.inside("more"), "").unwrap();
    life.verb("wait").exits(4);
    let out = life.verb("logs").succeeds().out();
    assert!(out.contains("bytes of output were lost here\n"), "{} bytes", out.len());
    assert!(out.starts_with("up\n") && out.ends_with("last\n"), "{} bytes", out.len());
    life.end();
}

fn a_full_state_directory_keeps_the_exit_code() {
    let mut life = Watched::sh("dd if=/dev/zero bs=1024 count=300 2>/dev/null; exit 4");
    let disk = Disk::of(&life);
    life.0.root = disk.0.join("state");
    life.0.globals = vec!["--root".into(), life.root.clone().into()];
    life.monitored(&["--log-size", "1000000"]);
    life.verb("wait").exits(4);
    // Control: it is full.
    assert!(fs::write(disk.0.join("more"), [b'x'; 8192]).is_err());
    fs::remove_file(disk.0.join("more")).unwrap();
    life.end();
}

fn a_stopped_monitor_costs_no_output() {
    let life = Watched::holding("echo last");
    life.monitored(&[]).until_up();
    let monitor = life.monitor();
    signal(monitor, Signal::SIGSTOP);
    life.let_go();
    until("the end", || life.state()["status"] == "stopped");
    // Control: it has not written yet.
    assert!(life.state().get("exitStatus").is_none());
    signal(monitor, Signal::SIGCONT);
    life.verb("wait").exits(0);
    assert_eq!(life.verb("logs").succeeds().out(), "up\nlast\n");
    life.end();
}

fn the_terminal_is_kept_too() {
    let life = Watched::holding("tty > /tty; test -t 0 && test -t 2 && echo bye; exit 6");
    life.bundle.set("/process/terminal", true.into());
    // Control: without a monitor somebody has to take the terminal.
    life.run(&["--detach"]).refuses(&["cannot allocate tty"]);
    life.monitored(&[]).until_up();
    life.let_go();
    life.verb("wait").exits(6);
    assert_eq!(life.verb("logs").succeeds().out(), "up\r\nbye\r\n");
    assert!(fs::read_to_string(life.bundle.inside("tty")).unwrap().starts_with("/dev/pts/"));
    life.end();
}

fn the_program_has_no_input_and_may_open_its_output_again() {
    let life = Watched::sh("cat; echo again > /dev/stdout; echo also > /dev/stderr; exit 2");
    life.bundle.set("/process/user", serde_json::json!({"uid": 1000, "gid": 1000}));
    life.monitored(&[]);
    life.verb("wait").exits(2);
    assert_eq!(life.verb("logs").succeeds().out(), "again\nalso\n");
    life.end();
}

fn the_monitor_holds_nothing_of_the_caller() {
    let life = Watched::holding("true");
    life.monitored(&[]).until_up();
    let monitor = life.monitor();
    let folder = life.root.join(life.id());
    let process = PathBuf::from(format!("/proc/{monitor}"));
    until("its own descriptors", || fs::read_link(process.join("fd/0")).unwrap() == Path::new("/dev/null"));
    until("its own working directory", || fs::read_link(process.join("cwd")).unwrap() == folder);
    let held = || -> Vec<String> {
        let mut held: Vec<String> = fs::read_dir(process.join("fd"))
            .unwrap()
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .map(|to| to.display().to_string())
            .map(|to| if to.starts_with("pipe:") { "pipe".into() } else { to })
            .filter(|to| to != "/dev/null")
            .collect();
        held.sort();
        held
    };
    let own = |name: &str| folder.join(name).display().to_string();
    let mut wanted =
        vec![own("exit"), own("log"), own("monitor"), "anon_inode:[signalfd]".into(), "pipe".into()];
    wanted.sort();
    until(&format!("what it holds alone: {:?}", held()), || held() == wanted);
    let status = fs::read_to_string(process.join("stat")).unwrap();
    let fields: Vec<&str> = status.rsplit(')').next().unwrap().split(' ').collect();
    // process group and session
    assert_eq!([fields[3], fields[4]], [monitor.to_string().as_str(); 2]);
    life.end();
}

fn the_monitor_is_small() {
    let life = Watched::holding(
        "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; while [ ! -e /end ]; do sleep 0.02; done",
    );
    // a config that takes half a megabyte once it is read
    let many: serde_json::Map<String, Value> =
        (0..400).map(|n| (format!("org.example.{n}"), format!("{n:060}").into())).collect();
    life.bundle.set("/annotations", many.into());
    life.monitored(&[]).until_up();
    let monitor = life.monitor();
    life.let_go();
    until("its lines", || life.verb("logs").out().ends_with("line 3000\n"));
    let rollup = fs::read_to_string(format!("/proc/{monitor}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    let rss: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap();
    println!("    resident size of a monitor: {rss} KB, budget 300");
    assert!(rss <= 300, "{rss} KB");
    fs::write(life.bundle.inside("end"), "").unwrap();
    life.verb("wait").exits(0);
    life.end();
}

fn the_callers_pipe_ends() {
    let life = Watched::holding("true");
    life.bundle.write();
    let script = format!(
        "'{}' --root '{}' run -d --monitor -b '{}' {} 2>&1 | cat; echo after",
        hull().display(),
        life.root.display(),
        life.bundle.dir.display(),
        life.id()
    );
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(script);
    let said = spawn::output(&mut shell);
    assert_eq!(String::from_utf8_lossy(&said.stdout), "after\n");
    assert_eq!(life.state()["status"], "running");
    life.end();
}

fn delete_force_ends_the_monitor() {
    let life = Watched::holding("true");
    life.monitored(&[]).until_up();
    let monitor = life.monitor();
    life.call(&["delete", life.id()]).refuses(&["not stopped"]);
    life.end();
    ends(monitor);
}

fn a_failed_start_is_the_callers_error() {
    let life = Watched::sh("true");
    life.bundle.set("/process/args", serde_json::json!(["/bin/nowhere"]));
    life.run(&["-d", "--monitor"]).refuses(&["no such file or directory"]);
    life.verb("state").refuses(&["container does not exist"]);
    life.end();
}

fn wrong_flags_are_refused() {
    let life = Watched::sh("true");
    for (flags, word) in [
        (&["--monitor"][..], "--monitor needs --detach"),
        (&["-d", "--log", "/x"], "need --monitor"),
        (&["-d", "--log-size", "5000"], "need --monitor"),
        (&["-d", "--monitor", "--console-socket", "/x"], "no --console-socket"),
        (&["-d", "--monitor", "--log-size", "0"], "from 4096 to 1073741824, not \"0\""),
        (&["-d", "--monitor", "--log-size", "4095"], "not \"4095\""),
        (&["-d", "--monitor", "--log-size", "1073741825"], "not \"1073741825\""),
        (&["-d", "--monitor", "--log-size", "64k"], "not \"64k\""),
    ] {
        life.run(flags).refuses(&[word]);
    }
    life.bundle.write();
    let dir = life.bundle.dir.to_str().unwrap();
    life.call(&["create", "--monitor", "-b", dir, life.id()]).refuses(&["unknown flag"]);
    fs::create_dir_all(&life.root).unwrap();
    life.end();
}
