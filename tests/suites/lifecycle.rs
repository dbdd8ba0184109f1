//! A run in the foreground: exit codes, signals, orphans, pid file, streams, and a machine left as it was found.

use hull_tests::bundle::{mark, scratch};
use hull_tests::check::{self, cgroups_named};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, json, spawn, state_root, suite};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;

suite!(
    the_runtime_ends_with_the_process_and_not_before,
    a_signal_to_the_runtime_is_not_its_own_end,
    a_killed_container_ends_the_runtime,
    a_process_killed_inside_gives_its_signal,
    orphans_are_reaped_without_a_pid_namespace,
    orphans_do_not_outlive_a_container_without_a_pid_namespace,
    a_second_process_of_a_pid_namespace_ends_with_the_first,
    an_orphans_exit_code_is_not_the_containers,
    the_pid_file_has_the_hosts_pid,
    the_pid_file_is_whole_as_soon_as_it_is_there,
    a_pid_file_that_cannot_be_written_is_an_error,
    a_relative_pid_file_is_in_the_working_directory,
    sixteen_megabytes_go_in,
    sixteen_megabytes_come_out,
    sixteen_megabytes_go_both_ways,
    stdin_that_ends_ends_inside,
    stdout_and_stderr_stay_apart,
    a_closed_stdout_reaches_the_process,
    closed_descriptors_of_the_caller_do_no_harm,
    keep_leaves_state_and_cgroup,
    state_is_there_while_it_runs,
    state_is_for_root_alone,
    ten_runs_at_once_with_one_id_let_one_through,
    an_id_is_free_after_its_runtime_was_killed_and_cleaned_up_by_hand,
    nothing_is_left_of_a_container_that_left_mounts_and_processes;
    every_exit_code,
    every_fatal_signal,
    every_forwarded_signal,
    errors_at_every_stage
);

fn every_exit_code() -> Vec<Trial> {
    // All 256, in blocks: one container each.
    (0..8)
        .map(|block: i32| {
            let (first, last) = (block * 32, block * 32 + 31);
            case(format!("exit_codes_{first}_to_{last}"), move || {
                let bundle = Bundle::probe(&[]);
                for code in first..=last {
                    bundle.set("/process/args", json!(["/probe", "exit", code.to_string()]));
                    bundle.run().exits(code);
                }
            })
        })
        .collect()
}

fn every_fatal_signal() -> Vec<Trial> {
    let fatal = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 29, 30, 31, 34, 50, 64];
    let test = |number: i32| {
        move || {
            // The first process of a pid namespace is safe from its own signals: another one dies here.
            let bundle = Bundle::probe(&["die", &number.to_string()]);
            bundle.namespaces(&["network", "ipc", "uts", "mount", "cgroup"]);
            let output = bundle.run();
            output.exits(128 + number);
            assert!(output.err.is_empty(), "{}", output.show());
        }
    };
    fatal.map(|number| case(format!("death_by_signal_{number}_is_{}", 128 + number), test(number))).into()
}

fn every_forwarded_signal() -> Vec<Trial> {
    // KILL and STOP can't be caught; CHLD, CONT and the terminal's own are the runtime's business or the kernel's.
    let signals = [1, 2, 3, 6, 10, 12, 14, 15, 18, 25, 26, 27, 28, 29, 30, 34, 40, 64];
    let test = |number: i32| {
        move || {
            let bundle = Bundle::probe(&["signals", "1"]);
            let mut live = bundle.on(Host::machine()).start();
            live.until("ready");
            assert_eq!(unsafe { nix::libc::kill(live.pid(), number) }, 0);
            assert_eq!(live.line(), format!("got {number}"));
            live.finish().exits(0);
        }
    };
    signals.map(|number| case(format!("signal_{number}_is_forwarded"), test(number))).into()
}

fn the_runtime_ends_with_the_process_and_not_before() {
    let bundle = Bundle::sh("echo ready; read line; exit 7");
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    let pid = live.container_pid();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    live.send("\n");
    live.finish().exits(7);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

fn a_signal_to_the_runtime_is_not_its_own_end() {
    let bundle = Bundle::probe(&["signals", "3"]);
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    for (signal, number) in [(Signal::SIGTERM, 15), (Signal::SIGINT, 2), (Signal::SIGTERM, 15)] {
        live.signal(signal);
        assert_eq!(live.line(), format!("got {number}"));
    }
    live.finish().succeeds();
}

fn a_killed_container_ends_the_runtime() {
    let bundle = Bundle::probe(&["hold"]);
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    kill(Pid::from_raw(live.container_pid()), Signal::SIGKILL).unwrap();
    live.finish().exits(137);
}

fn a_process_killed_inside_gives_its_signal() {
    let bundle = Bundle::sh("kill -KILL $$; echo no");
    bundle.namespaces(&["network", "ipc", "uts", "mount", "cgroup"]);
    bundle.run().exits(137);
    // Control: number one of a pid namespace is not to be killed from inside.
    assert_eq!(Bundle::sh("kill -KILL $$; echo still here").run().text(), "still here");
}

/// True while the pid is a process, ended but unreaped ones included.
fn exists(pid: &str) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// True while the pid is a process that has not ended.
fn alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    hull_tests::facts::status(&status).get("State").is_some_and(|state| !state.starts_with(['Z', 'X']))
}

fn gone(pid: &str) -> bool {
    soon(|| !exists(pid))
}

/// Waits for something that the runtime does on its own time; the deadline only ends a hang.
fn soon(holds: impl Fn() -> bool) -> bool {
    let begun = std::time::Instant::now();
    while !holds() {
        if begun.elapsed() > hull_tests::run::DEADLINE {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    true
}

fn orphans_are_reaped_without_a_pid_namespace() {
    // A grandchild whose parent is gone, then ends: nobody but the runtime can reap it.
    let script = "mkfifo /tmp/f; (sh -c 'read x < /tmp/f; exit 3' & echo $!); echo ready; read line; \
                  echo go > /tmp/f; read line; exit 5";
    let bundle = Bundle::sh(script);
    bundle.namespaces(&["network", "ipc", "uts", "mount", "cgroup"]).mount("/tmp", "tmpfs", "tmpfs", &[]);
    let mut live = bundle.on(Host::machine()).start();
    let orphan = live.line();
    live.until("ready");
    let status = fs::read_to_string(format!("/proc/{orphan}/status")).unwrap();
    let parent = hull_tests::facts::status(&status)["PPid"].clone();
    assert_eq!(parent, live.pid().to_string(), "the orphan is not the runtime's");
    live.send("\n");
    assert!(gone(&orphan), "the orphan was not reaped");
    live.send("\n");
    live.finish().exits(5);
}

fn orphans_do_not_outlive_a_container_without_a_pid_namespace() {
    let bundle = Bundle::sh("(sh -c 'read x < /tmp/f' & echo $!); exit 0");
    bundle.namespaces(&["network", "ipc", "uts", "mount", "cgroup"]).mount("/tmp", "tmpfs", "tmpfs", &[]);
    bundle.set(
        "/process/args",
        json!(["/bin/sh", "-c", "mkfifo /tmp/f; (sh -c 'read x < /tmp/f' >/dev/null & echo $!); exit 0"]),
    );
    for host in [Host::machine(), Host::cgroup2()] {
        let orphan = bundle.on(host).output().text();
        assert!(!alive(&orphan), "{orphan} lives on");
    }
}

fn a_second_process_of_a_pid_namespace_ends_with_the_first() {
    let bundle = Bundle::sh("mkfifo /tmp/f; (read x < /tmp/f) & echo ready; read line; exit 9");
    bundle.mount("/tmp", "tmpfs", "tmpfs", &[]);
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    let all = check::descendants(live.pid());
    assert_eq!(all.len(), 2, "{all:?}");
    live.send("\n");
    live.finish().exits(9);
    assert!(all.iter().all(|pid| !exists(&pid.to_string())), "{all:?}");
}

fn an_orphans_exit_code_is_not_the_containers() {
    for kinds in [
        &["network", "ipc", "uts", "mount", "cgroup"][..],
        &["pid", "network", "ipc", "uts", "mount", "cgroup"],
    ] {
        let bundle = Bundle::sh("(sh -c 'exit 3' &); (sh -c 'kill -9 $$' &); read line; exit 6");
        bundle.namespaces(kinds);
        bundle.on(Host::machine()).stdin(b"\n").output().exits(6);
    }
}

fn the_pid_file_has_the_hosts_pid() {
    let bundle = Bundle::probe(&["hold"]);
    let path = bundle.dir.join("pid");
    fs::write(&path, "something longer than a pid that was there before\n").unwrap();
    let mut live = bundle.on(Host::machine()).flags(&["--pid-file", path.to_str().unwrap()]).start();
    live.until("ready");
    // It comes at the latest soon after the start; a number without a newline, as runc writes it.
    let wanted = live.container_pid().to_string();
    assert!(soon(|| fs::read_to_string(&path).unwrap() == wanted), "{:?}", fs::read_to_string(&path));
    live.finish().succeeds();
}

fn the_pid_file_is_whole_as_soon_as_it_is_there() {
    // It is renamed into place, and what it was renamed from is gone.
    let bundle = Bundle::probe(&["hold"]);
    let path = bundle.dir.join("pid");
    let mut live = bundle.on(Host::machine()).flags(&["--pid-file", path.to_str().unwrap()]).start();
    // Looked at without a pause: half a number would be seen.
    assert!(soon(|| path.exists()));
    let wanted = fs::read_to_string(&path).unwrap();
    live.until("ready");
    assert_eq!(wanted, live.container_pid().to_string());
    let names: Vec<_> = fs::read_dir(&bundle.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "config.json, rootfs and pid alone: {names:?}");
    live.finish().succeeds();
}

fn a_pid_file_that_cannot_be_written_is_an_error() {
    let bundle = Bundle::sh("echo ran");
    let output = bundle.on(Host::machine()).flags(&["--pid-file", "/proc/no/such/pid"]).output();
    // The process may have run by then; it is not left running.
    output.exits(1);
    assert!(
        output.err().lines().count() == 1 && output.err().contains("/proc/no/such/pid"),
        "{}",
        output.show()
    );
}

fn a_relative_pid_file_is_in_the_working_directory() {
    let bundle = Bundle::sh("echo ran");
    let dir = bundle.beside("elsewhere");
    let run = bundle.on(Host::machine()).cwd(&dir).flags(&["--pid-file", "my.pid"]);
    assert_eq!(run.output().text(), "ran");
    assert!(dir.join("my.pid").is_file());
}

const BIG: usize = 16 * 1024 * 1024;

fn pattern(bytes: usize) -> Vec<u8> {
    let mut command = std::process::Command::new(hull_tests::PROBE);
    let output = spawn::output(command.args(["pattern", &bytes.to_string()]));
    assert_eq!(output.stdout.len(), bytes);
    output.stdout
}

fn sixteen_megabytes_go_in() {
    let bytes = pattern(BIG);
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let bundle = Bundle::probe(&["digest"]);
    assert_eq!(bundle.on(Host::machine()).stdin(&bytes).output().text(), format!("{BIG} {hash:016x}"));
}

fn sixteen_megabytes_come_out() {
    let output = Bundle::probe(&["pattern", &BIG.to_string()]).run();
    output.succeeds();
    assert!(output.out == pattern(BIG));
}

fn sixteen_megabytes_go_both_ways() {
    let bytes = pattern(BIG);
    let output = Bundle::new(&["/bin/cat"]).on(Host::machine()).stdin(&bytes).output();
    output.succeeds();
    assert!(output.out == bytes, "{} bytes came back", output.out.len());
}

fn stdin_that_ends_ends_inside() {
    assert_eq!(
        Bundle::sh("cat; echo ended").on(Host::machine()).stdin(b"a line\n").output().lines(),
        ["a line", "ended"]
    );
}

fn stdout_and_stderr_stay_apart() {
    let output = Bundle::sh("echo to stdout; echo to stderr >&2; exit 4").run();
    output.exits(4);
    assert_eq!((output.out(), output.err()), ("to stdout\n".into(), "to stderr\n".into()));
}

fn a_closed_stdout_reaches_the_process() {
    let bundle = Bundle::probe(&["pattern", "1000000"]);
    let mut command = bundle.on(Host::machine()).command();
    let mut child = spawn::spawn(command.stdout(std::process::Stdio::piped())).unwrap();
    drop(child.stdout.take());
    // The probe's own answer to a pipe that nobody reads.
    assert_eq!(child.wait().unwrap().code(), Some(97));
}

fn closed_descriptors_of_the_caller_do_no_harm() {
    // Without 0, 1 and 2, whatever the runtime opens first must not end up as the container's stdin or stdout.
    for closed in ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"] {
        let bundle =
            Bundle::sh("readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 > /out/fds; exit 3");
        let out = bundle.beside("out");
        bundle.mount("/out", "bind", out.to_str().unwrap(), &["bind"]);
        bundle.write();
        let script = format!("exec \"$0\" \"$@\" {closed}");
        let mut words = vec!["/bin/sh".into(), "-c".into(), script.into()];
        let command = bundle.on(Host::machine()).command();
        words.push(command.get_program().to_owned());
        words.extend(command.get_args().map(ToOwned::to_owned));
        let output = bundle.spawn(hull_tests::run::command(&words, &Host::machine())).finish();
        output.exits(3);
        let seen = fs::read_to_string(out.join("fds")).unwrap();
        let harmless = |line: &str| line.starts_with("pipe:") || line == "/dev/null" || line == "/out/fds";
        assert!(seen.lines().all(harmless), "{closed}: {seen}");
    }
}

fn keep_leaves_state_and_cgroup() {
    let bundle = Bundle::sh("echo ran");
    let output = bundle.on(Host::machine()).flags(&["--keep"]).kept().output();
    assert_eq!(output.text(), "ran");
    let state = state_root().join(&bundle.id);
    let cgroups = cgroups_named(&bundle.id);
    let kept = state.join("state.json");
    assert!(kept.is_file(), "no {}", kept.display());
    assert!(cgroups.len() > 1, "{cgroups:?}");
    let again = bundle.on(Host::machine()).kept().output();
    fs::remove_dir_all(&state).unwrap();
    for cgroup in cgroups {
        fs::remove_dir(cgroup).unwrap();
    }
    again.refuses(&["container with given ID already exists"]);
}

fn state_is_there_while_it_runs() {
    let bundle = Bundle::probe(&["hold"]);
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    let path = state_root().join(&bundle.id).join("state.json");
    assert!(soon(|| path.exists()));
    let text = fs::read_to_string(&path).unwrap();
    let state: hull_tests::Value = serde_json::from_str(&text).expect("JSON");
    assert!(text.contains(&live.container_pid().to_string()), "{state}");
    assert!(text.contains(bundle.dir.to_str().unwrap()), "{state}");
    live.finish().succeeds();
}

fn state_is_for_root_alone() {
    use std::os::unix::fs::PermissionsExt;
    let bundle = Bundle::probe(&["hold"]);
    let mut live = bundle.on(Host::machine().umask(0)).start();
    live.until("ready");
    assert!(soon(|| state_root().join(&bundle.id).join("state.json").exists()));
    for path in [state_root().join(&bundle.id), state_root().join(&bundle.id).join("state.json")] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o022, 0, "{} is writable by others: {mode:o}", path.display());
    }
    let mode = fs::metadata(state_root()).unwrap().permissions().mode();
    assert_eq!(mode & 0o066, 0, "{mode:o}");
    live.finish().succeeds();
}

fn ten_runs_at_once_with_one_id_let_one_through() {
    let bundle = Bundle::sh("echo through; read line");
    let run = bundle.on(Host::machine());
    let mut all: Vec<_> = (0..10).map(|_| hull_tests::Live::spawn(run.command())).collect();
    // The winner stays until its stdin ends; the others are refused while it is there.
    let outputs: Vec<_> =
        all.drain(1..).collect::<Vec<_>>().into_iter().chain(all).map(hull_tests::Live::finish).collect();
    let through = outputs.iter().filter(|output| output.out() == "through\n").count();
    let refused = outputs
        .iter()
        .filter(|output| output.err().contains("container with given ID already exists"))
        .count();
    // Finishing one may free the id for none of the others: all had been started before.
    assert!(
        through >= 1 && through + refused == 10,
        "{through} through, {refused} refused: {:?}",
        outputs.iter().map(hull_tests::Output::err).collect::<Vec<_>>()
    );
    check::nothing_left_of(&bundle);
}

fn an_id_is_free_after_its_runtime_was_killed_and_cleaned_up_by_hand() {
    // SIGKILL can't be forwarded. Nobody is there to clean up: what matters is that the id can be cleaned by hand.
    let bundle = Bundle::probe(&["hold"]);
    let mut live = bundle.on(Host::machine()).kept().start();
    live.until("ready");
    let pid = live.container_pid();
    live.signal(Signal::SIGKILL);
    let output = live.finish();
    assert_eq!(output.signal, Some(9));
    kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
    // It is an orphan now, so it came to this process.
    nix::sys::wait::waitpid(Pid::from_raw(pid), None).unwrap();
    assert!(state_root().join(&bundle.id).is_dir());
    check::sweep(&bundle.id);
    // And the id is free again.
    bundle.set("/process/args", json!(["/bin/echo", "again"]));
    assert_eq!(bundle.run().text(), "again");
}

fn nothing_is_left_of_a_container_that_left_mounts_and_processes() {
    let script = "mkdir /tmp/a /tmp/b; mount -t tmpfs x /tmp/a; mount --bind /tmp/a /tmp/b; (sleep 1000 &) ; \
                  (setsid sleep 1000 &); test -d /sys/fs/cgroup/pids && cd /sys/fs/cgroup/pids || cd /sys/fs/cgroup; \
                  mkdir below && mkdir below/deeper";
    for host in [Host::machine(), Host::cgroup2()] {
        let bundle = Bundle::sh(script);
        bundle.privileged().mount("/tmp", "tmpfs", "tmpfs", &[]);
        bundle.set("/mounts/6/options", json!(["nosuid", "noexec", "nodev"]));
        bundle.on(host).output().succeeds();
        assert!(cgroups_named(&mark()).iter().all(|path| !path.to_string_lossy().contains(&bundle.id)));
    }
}

fn change(bundle: &Bundle, pointer: &str, value: hull_tests::Value) {
    bundle.set(pointer, value);
}

fn one_more(bundle: &Bundle, mount: hull_tests::Value) {
    bundle.push("/mounts", mount);
}

/// A stage of a run, and a change of the bundle that makes it fail there.
type Stage = (&'static str, fn(&Bundle));

/// Faults of a bundle, by the stage that meets them.
fn errors_at_every_stage() -> Vec<Trial> {
    let stages: [Stage; 12] = [
        ("config", |bundle| change(bundle, "/process/args", json!([]))),
        ("plan", |bundle| change(bundle, "/linux/sysctl", json!({"vm.swappiness": "1"}))),
        ("rootfs", |bundle| change(bundle, "/root/path", json!("gone"))),
        ("mount", |bundle| {
            one_more(bundle, json!({"destination": "/x", "source": "/no/such", "options": ["bind"]}))
        }),
        ("file system", |bundle| {
            one_more(bundle, json!({"destination": "/x", "type": "dreamfs", "source": "none"}))
        }),
        ("sysctl", |bundle| change(bundle, "/linux/sysctl", json!({"net.ipv4.dream": "1"}))),
        ("device", |bundle| {
            change(
                bundle,
                "/linux/devices",
                json!([{"path": "/etc/passwd/x", "type": "c", "major": 1, "minor": 3}]),
            );
        }),
        ("cwd", |bundle| change(bundle, "/process/cwd", json!("/etc/passwd"))),
        ("user", |bundle| change(bundle, "/process/user", json!({"uid": -1, "gid": 0}))),
        ("program", |bundle| change(bundle, "/process/args", json!(["/no/such/program"]))),
        ("format", |bundle| {
            bundle.file("/bad", 0o755, "\u{1}\u{2}").set("/process/args", json!(["/bad"]));
        }),
        ("limits", |bundle| change(bundle, "/linux/resources/memory", json!({"limit": 1}))),
    ];
    let test = |host: Host, stage: &'static str, fault: fn(&Bundle)| {
        move || {
            let bundle = Bundle::sh("echo ran");
            fault(&bundle);
            let pid_file = bundle.dir.join("pid");
            let output = bundle.on(host).flags(&["--pid-file", pid_file.to_str().unwrap()]).output();
            if output.code != Some(137) {
                output.refusal();
            }
            assert!(stage == "format" || !pid_file.exists(), "a pid file of a container that never was");
            assert!(scratch().join(&bundle.id).exists());
        }
    };
    let hosts = [Host::machine(), Host::cgroup2()];
    let mut all = Vec::new();
    for host in hosts {
        for (stage, fault) in &stages {
            if *stage == "limits" && host.name == "cgroup2" {
                continue;
            }
            all.push(case(
                format!("nothing_is_left_after_a_fault_of_{stage}_on_{}", host.name),
                test(host.clone(), stage, *fault),
            ));
        }
    }
    all
}
