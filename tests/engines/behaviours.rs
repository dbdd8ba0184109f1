//! What an engine does with a container when its runtime is right. Seen from outside: output, exit codes, the kernel.

use crate::engine::{Engine, Options, detach, run, say, start, until};
use hull_tests::{Live, Output, facts};
use std::fs;
use std::path::Path;

pub type Behaviour = (&'static str, fn(&dyn Engine));

pub const EVERYWHERE: &[Behaviour] = &[
    ("output_and_exit_code_come_through", output_and_exit_code_come_through),
    ("a_runtime_that_fails_is_seen", a_runtime_that_fails_is_seen),
    ("environment_and_host_name_are_set", environment_and_host_name_are_set),
    ("the_engines_own_filter_is_in_force", the_engines_own_filter_is_in_force),
    ("input_goes_in", input_goes_in),
    ("a_command_that_is_not_in_path", a_command_that_is_not_in_path),
    ("a_command_that_is_not_there", a_command_that_is_not_there),
    ("a_command_that_may_not_be_executed", a_command_that_may_not_be_executed),
    ("a_container_in_the_background_is_stopped", a_container_in_the_background_is_stopped),
    ("a_container_in_the_background_is_killed", a_container_in_the_background_is_killed),
    ("a_container_that_ends_by_itself_is_waited_for", a_container_that_ends_by_itself_is_waited_for),
    ("several_run_at_once", several_run_at_once),
];

/// For engines that keep a container after its end and have a terminal without one of their own.
pub const KEPT: &[Behaviour] = &[
    ("a_stopped_container_is_started_again", a_stopped_container_is_started_again),
    ("a_running_container_is_removed_by_force", a_running_container_is_removed_by_force),
    ("a_terminal_is_its_own", a_terminal_is_its_own),
];

/// For hosts with every controller.
pub const LIMITS: &[Behaviour] = &[("limits_reach_the_cgroup", limits_reach_the_cgroup)];

/// For engines with a flag for it.
pub const PROCESSES: &[Behaviour] =
    &[("a_limit_on_processes_reaches_the_cgroup", a_limit_on_processes_reaches_the_cgroup)];

/// What reading the runtime's errors in another way could change.
pub const ERRORS: &[Behaviour] = &[
    ("a_command_that_is_not_in_path", a_command_that_is_not_in_path),
    ("a_command_that_is_not_there", a_command_that_is_not_there),
    ("a_command_that_may_not_be_executed", a_command_that_may_not_be_executed),
];

const PLAIN: Options =
    Options { named: false, input: false, terminal: false, limits: false, unconfined: false, broken: false };

/// Ends at once on SIGTERM, which the first process of a pid namespace otherwise never sees.
const TRAPS: &str = "trap 'echo got TERM; exit 5' TERM; echo up; while :; do sleep 0.1; done";

const STREAMS: [&str; 3] = ["sh", "-c", "echo to stdout; echo to stderr >&2; exit 7"];

fn came_through(output: &Output) -> bool {
    (output.code, output.out().as_str(), output.err().as_str()) == (Some(7), "to stdout\n", "to stderr\n")
}

fn output_and_exit_code_come_through(engine: &dyn Engine) {
    let output = run(engine, PLAIN, &STREAMS);
    assert!(came_through(&output), "{}", output.show());
}

/// The control of all others: it is the runtime named that the engine starts, and its failure is one of the test.
fn a_runtime_that_fails_is_seen(engine: &dyn Engine) {
    let output = run(engine, Options { broken: true, ..PLAIN }, &STREAMS);
    assert!(!came_through(&output), "{}", output.show());
    assert!(output.code != Some(0) && output.out.is_empty(), "{}", output.show());
}

fn environment_and_host_name_are_set(engine: &dyn Engine) {
    let script = ["sh", "-c", "echo $COLOUR; hostname"];
    let [named, plain] = [true, false].map(|named| run(engine, Options { named, ..PLAIN }, &script).lines());
    assert_eq!(named[0], "blue");
    assert!(!engine.sets_host_name() || named[1] == "box", "{named:?}");
    // Control: neither is so by itself.
    assert!(plain[0].is_empty() && plain[1] != "box", "{plain:?}");
}

/// Whether there is a filter, and what becomes of a personality(2) that every engine's default profile refuses.
fn the_engines_own_filter_is_in_force(engine: &dyn Engine) {
    let script = ["sh", "-c", "grep ^Seccomp: /proc/self/status; /probe syscall 135 0x40000"];
    let under = |unconfined| run(engine, Options { unconfined, ..PLAIN }, &script).lines();
    let lines = under(false);
    assert_eq!(lines[0], "Seccomp:\t2");
    // podman's profile says that there is no such call
    assert!(matches!(lines[1].as_str(), "EPERM" | "ENOSYS"), "{lines:?}");
    // Control: without it the call goes through.
    assert_eq!(under(true), ["Seccomp:\t0", "ok 0"]);
}

fn input_goes_in(engine: &dyn Engine) {
    let mut live = start(engine, Options { input: true, ..PLAIN }, &["sh", "-c", "cat; exit 9"]);
    live.send("some\nlines\n");
    // ctr forgets an end of its stdin that comes before the task is there.
    live.until("lines");
    let output = live.finish();
    output.exits(9);
    assert_eq!(output.out(), "some\nlines\n");
}

#[track_caller]
fn refuses(engine: &dyn Engine, command: &str, code: i32, phrases: &[&str]) {
    let output = run(engine, PLAIN, &[command]);
    output.exits(engine.cannot_execute(code));
    let text = output.err().to_lowercase();
    for phrase in phrases {
        assert!(text.contains(&phrase.to_lowercase()), "{phrase:?} is missing: {}", output.show());
    }
}

fn a_command_that_is_not_in_path(engine: &dyn Engine) {
    refuses(engine, "nosuch", 127, &["executable file", "not found in $PATH", "nosuch"]);
}

fn a_command_that_is_not_there(engine: &dyn Engine) {
    refuses(engine, "/no/such", 127, &["/no/such", "no such file or directory"]);
}

fn a_command_that_may_not_be_executed(engine: &dyn Engine) {
    refuses(engine, "/etc/plain", 126, &["permission denied"]);
}

fn a_container_in_the_background_is_stopped(engine: &dyn Engine) {
    let name = detach(engine, PLAIN, TRAPS);
    let pid = engine.pid(&name);
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process");
    assert!(cgroup.contains(&engine.view().cgroup), "{cgroup}");
    for kind in ["mnt", "pid", "net", "ipc", "uts"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
        assert_ne!(of("self"), of(&pid.to_string()), "{kind}");
    }
    engine.stop(&name);
    assert_eq!(engine.wait(&name), 5);
    assert_eq!(engine.log(&name), "up\ngot TERM\n");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    gone(engine, &name);
}

/// Removes a container, and looks that the engine knows it no more.
#[track_caller]
fn gone(engine: &dyn Engine, name: &str) {
    engine.remove(name);
    let left = engine.containers();
    assert!(!left.iter().any(|line| line.contains(name)), "{left:?}");
}

fn a_container_in_the_background_is_killed(engine: &dyn Engine) {
    let name = detach(engine, PLAIN, "echo up; exec sleep 1000");
    engine.kill(&name);
    assert_eq!(engine.wait(&name), 137);
    gone(engine, &name);
}

fn a_container_that_ends_by_itself_is_waited_for(engine: &dyn Engine) {
    let name = detach(engine, PLAIN, "echo up; exit 3");
    assert_eq!(engine.wait(&name), 3);
    gone(engine, &name);
}

fn several_run_at_once(engine: &dyn Engine) {
    let script = ["sh", "-c", "echo ready; read line; echo $line"];
    let mut all: Vec<Live> =
        (0..4).map(|_| start(engine, Options { input: true, ..PLAIN }, &script)).collect();
    for live in &mut all {
        live.until("ready");
    }
    for (number, live) in all.iter_mut().enumerate() {
        live.send(&format!("to {number}\n"));
    }
    for (number, live) in all.into_iter().enumerate() {
        let output = live.finish();
        assert_eq!(
            (output.code, output.out()),
            (Some(0), format!("ready\nto {number}\n")),
            "{}",
            output.err()
        );
    }
}

fn a_stopped_container_is_started_again(engine: &dyn Engine) {
    let name = detach(engine, PLAIN, "echo up; exit 4");
    assert_eq!(engine.wait(&name), 4);
    let again = engine.view().output(&engine.words(&["start", "--attach", &name]));
    again.exits(4);
    assert_eq!(again.out(), "up\n");
    gone(engine, &name);
}

fn a_running_container_is_removed_by_force(engine: &dyn Engine) {
    let name = detach(engine, PLAIN, TRAPS);
    let pid = engine.pid(&name);
    say(engine, &["rm", "--force", &name]);
    until(|| !Path::new(&format!("/proc/{pid}")).exists());
    assert!(!engine.containers().iter().any(|line| line.contains(&name)));
}

fn a_terminal_is_its_own(engine: &dyn Engine) {
    let script = "test -t 0 && test -t 1 && test -t 2 && tty && test -c /dev/console; exit 6";
    let output = run(engine, Options { terminal: true, ..PLAIN }, &["sh", "-c", script]);
    output.exits(6);
    assert_eq!(output.out(), "/dev/pts/0\r\n", "{}", output.err());
    // Control: without the flag there is none.
    let output = run(engine, PLAIN, &["sh", "-c", "test -t 1; echo $?"]);
    assert_eq!(output.out(), "1\n");
}

/// A file of the container's cgroup in a hierarchy of v1.
fn of_cgroup(pid: i32, controller: &str, file: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process");
    let path = format!("/sys/fs/cgroup/{controller}{}/{file}", facts::cgroups(&text)[controller]);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim_end().to_owned()
}

fn limits_reach_the_cgroup(engine: &dyn Engine) {
    let name = detach(engine, Options { limits: true, ..PLAIN }, TRAPS);
    let pid = engine.pid(&name);
    let memory = of_cgroup(pid, "memory", "memory.limit_in_bytes");
    let (period, quota) =
        (of_cgroup(pid, "cpu", "cpu.cfs_period_us"), of_cgroup(pid, "cpu", "cpu.cfs_quota_us"));
    engine.stop(&name);
    engine.wait(&name);
    gone(engine, &name);
    assert_eq!((memory.as_str(), period.as_str(), quota.as_str()), ("67108864", "100000", "50000"));
}

fn a_limit_on_processes_reaches_the_cgroup(engine: &dyn Engine) {
    let name = detach(engine, Options { limits: true, ..PLAIN }, TRAPS);
    let limit = of_cgroup(engine.pid(&name), "pids", "pids.max");
    engine.stop(&name);
    engine.wait(&name);
    gone(engine, &name);
    assert_eq!(limit, "50");
}
