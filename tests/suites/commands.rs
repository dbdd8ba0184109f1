//! A container's life in single commands, after runtime.md's MUSTs: create, start, state, kill, delete, list, detached
//! runs. What a container does is seen in a file of its root and in the kernel's view of its process.

use hull_tests::life::{until, wait};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Life, Value, check, run, spawn, suite};
use libtest_mimic::Trial;
use nix::libc;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

suite!(
    state_of_an_unknown_id_is_an_error,
    create_refuses_an_id_in_use_and_leaves_the_other_alone,
    of_many_creates_of_one_id_one_wins,
    create_does_not_run_the_program,
    a_program_that_is_missing_fails_create,
    a_program_that_may_not_be_executed_fails_create,
    changes_of_the_config_after_create_have_no_effect,
    start_refuses_what_is_not_created,
    a_program_that_the_kernel_refuses_fails_start,
    state_has_every_member,
    annotations_come_back_in_the_state,
    a_process_that_took_the_pid_over_is_not_the_container,
    kill_reaches_the_program,
    kill_ends_a_created_container,
    kill_refuses_one_that_has_stopped,
    kill_refuses_a_signal_that_is_none,
    kill_all_reaches_every_process,
    a_shared_pid_namespace_is_killed_whole,
    delete_refuses_one_that_runs,
    delete_removes_a_created_container,
    delete_force_removes_one_that_runs,
    delete_takes_several_ids,
    the_id_is_free_after_delete,
    list_has_three_forms,
    run_detached_leaves_the_container,
    the_parent_of_a_detached_container_is_the_nearest_reaper,
    the_pid_file_names_the_process,
    the_console_socket_gets_the_terminal,
    who_keeps_the_terminal_is_told,
    the_pidfd_socket_gets_the_process;
    every_signal_by_name_and_number
);

fn state_of_an_unknown_id_is_an_error() {
    let life = Life::holding();
    for verb in ["state", "start", "kill", "delete"] {
        life.verb(verb).refuses(&[verb, "container does not exist"]);
    }
    life.call(&["delete", "--force", life.id()]).succeeds();
}

fn create_refuses_an_id_in_use_and_leaves_the_other_alone() {
    let life = Life::holding();
    life.create().succeeds();
    let before = life.state();
    life.create().refuses(&["container with given ID already exists"]);
    assert_eq!(life.state(), before);
    life.end();
}

fn of_many_creates_of_one_id_one_wins() {
    let life = Life::holding();
    life.bundle.write();
    let dir = life.bundle.dir.to_str().unwrap().to_owned();
    let words = life.words(&["create", "--bundle", &dir, life.id()]);
    let mut children: Vec<_> = (0..8)
        .map(|_| {
            let mut command = run::command(&words, &life.host);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            spawn::spawn(&mut command).unwrap()
        })
        .collect();
    let won = children.iter_mut().filter_map(|child| wait(child).success().then_some(())).count();
    assert_eq!(won, 1);
    assert_eq!(life.status(), "created");
    life.end();
}

fn create_does_not_run_the_program() {
    let life = Life::holding();
    life.create().succeeds();
    assert_eq!(life.status(), "created");
    assert!(!life.inside("up").exists());
    life.verb("start").succeeds();
    life.until_there("up");
    assert_eq!(life.status(), "running");
    fs::write(life.inside("go"), "").unwrap();
    life.until_stopped();
    life.end();
}

fn a_program_that_is_missing_fails_create() {
    for (args, words) in [
        (&["nowhere"][..], "executable file not found in $PATH"),
        (&["/bin/nowhere"], "no such file or directory"),
        (&["/bin"], "is a directory"),
    ] {
        let life = Life::of(Bundle::new(args));
        life.create().refuses(&["create", words]);
        life.verb("state").refuses(&["container does not exist"]);
        assert!(check::cgroups_named(life.id()).is_empty());
    }
}

fn a_program_that_may_not_be_executed_fails_create() {
    let life = Life::of(Bundle::new(&["/file"]));
    life.bundle.file("file", 0o644, "text");
    life.create().refuses(&["permission denied"]);
    assert!(check::cgroups_named(life.id()).is_empty());
}

fn changes_of_the_config_after_create_have_no_effect() {
    let life = Life::of(Bundle::sh("echo first > /which"));
    life.create().succeeds();
    fs::write(life.bundle.dir.join("config.json"), "{}").unwrap();
    life.verb("start").succeeds();
    life.until_there("which");
    life.until_stopped();
    assert_eq!(fs::read_to_string(life.inside("which")).unwrap(), "first\n");
    life.end();
}

fn start_refuses_what_is_not_created() {
    let life = Life::holding();
    life.create().succeeds();
    life.verb("start").succeeds();
    life.verb("start").refuses(&["cannot start an already running container"]);
    life.until_there("up");
    fs::write(life.inside("go"), "").unwrap();
    life.until_stopped();
    life.verb("start").refuses(&["cannot start a container that has stopped"]);
    life.end();
}

fn a_program_that_the_kernel_refuses_fails_start() {
    let life = Life::of(Bundle::new(&["/file"]));
    life.bundle.file("file", 0o755, "no program");
    life.create().succeeds();
    life.verb("start").refuses(&["exec: \"/file\"", "exec format error"]);
    life.until_stopped();
    life.end();
}

fn state_has_every_member() {
    let life = Life::holding();
    life.create().succeeds();
    let state = life.state();
    assert_eq!(state["ociVersion"], life.bundle.get("/ociVersion"));
    assert_eq!(state["id"], life.id());
    assert_eq!(state["bundle"], life.bundle.dir.to_str().unwrap());
    assert_eq!(state["rootfs"], life.bundle.rootfs().to_str().unwrap());
    assert_eq!(state["owner"], "root");
    assert!(state.get("annotations").is_none());
    let created = state["created"].as_str().unwrap();
    assert!(created.starts_with("20") && created.ends_with('Z') && created.len() == 30, "{created}");
    let root = fs::read_link(format!("/proc/{}/root", life.pid()));
    assert!(root.is_ok(), "{root:?}");
    life.end();
}

fn annotations_come_back_in_the_state() {
    let life = Life::holding();
    life.bundle.set("/annotations", serde_json::json!({"org.example.key": "value \"quoted\"\n", "b": ""}));
    life.create().succeeds();
    assert_eq!(life.state()["annotations"], life.bundle.get("/annotations"));
    life.end();
}

fn a_process_that_took_the_pid_over_is_not_the_container() {
    let life = Life::holding();
    life.create().succeeds();
    let pid = life.pid();
    // Control: the record as it is leads to a process.
    assert_eq!(life.status(), "created");
    let file = life.root.join(life.id()).join("state.json");
    let text = fs::read_to_string(&file).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let started = format!("\"started\":{}", record["started"]);
    fs::write(&file, text.replace(&started, "\"started\":1")).unwrap();
    assert_eq!(life.status(), "stopped");
    life.verb("kill").refuses(&["container not running"]);
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    fs::write(&file, text).unwrap();
    life.end();
}

fn kill_reaches_the_program() {
    let life = Life::of(Bundle::sh(
        "trap 'echo term > /got; exit 5' TERM; echo up > /up; while :; do sleep 0.02; done",
    ));
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    life.verb("kill").succeeds();
    life.until_there("got");
    life.until_stopped();
    life.end();
}

fn kill_ends_a_created_container() {
    for signal in ["TERM", "KILL", "2"] {
        let life = Life::holding();
        life.create().succeeds();
        life.call(&["kill", life.id(), signal]).succeeds();
        life.until_stopped();
        assert!(!life.inside("up").exists());
        life.end();
    }
}

fn kill_refuses_one_that_has_stopped() {
    let life = Life::of(Bundle::sh("true"));
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_stopped();
    life.verb("kill").refuses(&["container not running"]);
    life.end();
}

fn kill_refuses_a_signal_that_is_none() {
    let life = Life::holding();
    life.create().succeeds();
    for signal in ["", "0", "65", "NOPE", "-9", "SIGRTMAX+1", "9 "] {
        life.call(&["kill", life.id(), signal]).refuses(&["unknown signal"]);
    }
    assert_eq!(life.status(), "created");
    life.end();
}

/// Processes that have `mark` on their command line.
fn processes_named(mark: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<i32>().is_ok()))
        .filter(|entry| {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(mark)
        })
        .count()
}

/// Three processes with a mark of their own on their command lines.
fn three(shared: bool) -> (Life, String) {
    // two tests use this at once: each has a number of its own
    let mark = format!("31{:05}{}", std::process::id(), u8::from(shared));
    let script = format!("sleep {mark} & sleep {mark} & echo up > /up; sleep {mark}");
    let life = Life::of(Bundle::sh(&script));
    if shared {
        life.bundle.namespaces(&["network", "ipc", "uts", "mount", "cgroup"]);
    }
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    let line = format!("sleep\0{mark}");
    until("three processes", || processes_named(&line) == 3);
    (life, line)
}

fn kill_all_reaches_every_process() {
    let (life, line) = three(false);
    life.call(&["kill", "--all", life.id(), "KILL"]).succeeds();
    until("the end of all", || processes_named(&line) == 0);
    life.until_stopped();
    life.end();
}

fn a_shared_pid_namespace_is_killed_whole() {
    let (life, line) = three(true);
    life.call(&["kill", life.id(), "KILL"]).succeeds();
    until("the end of all", || processes_named(&line) == 0);
    life.until_stopped();
    life.end();
}

fn delete_refuses_one_that_runs() {
    let life = Life::holding();
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    life.verb("delete").refuses(&["cannot delete container", "that is not stopped: running"]);
    assert_eq!(life.status(), "running");
    fs::write(life.inside("go"), "").unwrap();
    life.until_stopped();
    life.verb("delete").succeeds();
    life.verb("state").refuses(&["container does not exist"]);
    assert!(check::cgroups_named(life.id()).is_empty());
    assert!(fs::read_dir(&life.root).unwrap().next().is_none());
}

fn delete_removes_a_created_container() {
    let life = Life::holding();
    life.create().succeeds();
    let pid = life.pid();
    life.verb("delete").succeeds();
    assert!(check::cgroups_named(life.id()).is_empty());
    until("the end of the process", || !alive(pid));
}

fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !stat.is_empty() && !rest.starts_with(" Z"))
}

fn delete_force_removes_one_that_runs() {
    for host in [Host::machine(), Host::cgroup2(), Host::no_cgroup(), Host::no_proc()] {
        let life = Life::on(Bundle::sh("echo up > /up; sleep 1000"), host);
        if life.host.name == "no cgroup" {
            life.bundle.remove("/linux/resources");
        }
        life.create().succeeds();
        life.verb("start").succeeds();
        life.until_there("up");
        let pid = life.pid();
        life.end();
        assert!(!alive(pid), "{}", life.host.name);
    }
}

fn delete_takes_several_ids() {
    let life = Life::holding();
    life.bundle.write();
    let dir = life.bundle.dir.to_str().unwrap();
    let ids = ["a", "b", "c"].map(|letter| format!("{}-{letter}", life.id()));
    for id in &ids {
        life.call(&["create", "-b", dir, id]).succeeds();
    }
    let [a, b, c] = &ids;
    let output = life.call(&["delete", a, "nobody", c]);
    output.exits(1);
    assert!(output.err().contains("delete nobody: container does not exist"), "{}", output.show());
    assert_eq!(life.call(&["list", "-q"]).succeeds().text(), *b);
    life.call(&["delete", "-f", b]).succeeds();
    assert!(check::cgroups_named(life.id()).is_empty());
}

fn the_id_is_free_after_delete() {
    let life = Life::holding();
    for _ in 0..3 {
        life.create().succeeds();
        life.verb("delete").succeeds();
    }
    assert!(check::cgroups_named(life.id()).is_empty());
}

fn list_has_three_forms() {
    let life = Life::holding();
    assert_eq!(life.call(&["list", "-f", "json"]).succeeds().text(), "null");
    life.create().succeeds();
    assert_eq!(life.call(&["list", "--quiet"]).succeeds().text(), life.id());
    let json: Value = serde_json::from_str(&life.call(&["list", "--format=json"]).succeeds().out()).unwrap();
    assert_eq!(json, Value::Array(vec![life.state()]));
    let table = life.call(&["list"]).succeeds().out();
    let [head, row] = table.lines().collect::<Vec<_>>()[..] else { panic!("{table}") };
    let heads = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), heads);
    let state = life.state();
    let pid = state["pid"].to_string();
    let cells = [
        life.id(),
        &pid,
        "created",
        life.bundle.dir.to_str().unwrap(),
        state["created"].as_str().unwrap(),
        "root",
    ];
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), cells);
    for (name, cell) in heads.iter().zip(cells) {
        assert_eq!(head.find(name), row.find(cell), "{table}");
    }
    life.call(&["list", "-f", "xml"]).refuses(&["table or json"]);
    life.end();
}

fn run_detached_leaves_the_container() {
    let life = Life::holding();
    life.make("run", &["--detach"]).succeeds();
    life.until_there("up");
    assert_eq!(life.status(), "running");
    fs::write(life.inside("go"), "").unwrap();
    life.until_stopped();
    life.end();
}

fn the_parent_of_a_detached_container_is_the_nearest_reaper() {
    let life = Life::holding();
    life.create().succeeds();
    let stat = fs::read_to_string(format!("/proc/{}/stat", life.pid())).unwrap();
    let parent = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().to_owned();
    // the suite made itself the sub-reaper of all that it starts
    assert_eq!(parent, std::process::id().to_string());
    life.end();
}

fn the_pid_file_names_the_process() {
    let life = Life::holding();
    let file = life.bundle.dir.join("pid");
    life.make("create", &["--pid-file", file.to_str().unwrap()]).succeeds();
    assert_eq!(fs::read_to_string(&file).unwrap(), life.pid().to_string());
    life.end();
    fs::remove_file(file).unwrap();
}

/// The one descriptor that comes over a connection, and the bytes beside it.
fn receive(listener: &UnixListener) -> (String, OwnedFd) {
    let (connection, _) = listener.accept().unwrap();
    let mut bytes = [0u8; 256];
    let mut control = nix::cmsg_space!([i32; 1]);
    let mut vector = [std::io::IoSliceMut::new(&mut bytes)];
    let flags = nix::sys::socket::MsgFlags::empty();
    let message =
        nix::sys::socket::recvmsg::<()>(connection.as_raw_fd(), &mut vector, Some(&mut control), flags)
            .unwrap();
    let len = message.bytes;
    let mut fds = message.cmsgs().unwrap().filter_map(|one| match one {
        nix::sys::socket::ControlMessageOwned::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fd = fds.next().and_then(|fds| fds.first().copied()).expect("a descriptor");
    drop(fds);
    // SAFETY: the kernel made it for this process.
    (String::from_utf8_lossy(&bytes[..len]).into_owned(), unsafe { OwnedFd::from_raw_fd(fd) })
}

fn the_console_socket_gets_the_terminal() {
    let life =
        Life::of(Bundle::sh("tty > /tty; echo to the terminal; while [ ! -e /go ]; do sleep 0.02; done"));
    life.bundle.set("/process/terminal", true.into());
    let path = life.bundle.dir.join("console");
    let listener = UnixListener::bind(&path).unwrap();
    life.make("create", &["--console-socket", path.to_str().unwrap()]).succeeds();
    let (_, master) = receive(&listener);
    life.verb("start").succeeds();
    let mut text = String::new();
    let mut file = File::from(master);
    let mut byte = [0u8];
    while !text.ends_with('\n') {
        file.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    assert_eq!(text, "to the terminal\r\n");
    assert!(fs::read_to_string(life.inside("tty")).unwrap().starts_with("/dev/pts/"));
    fs::write(life.inside("go"), "").unwrap();
    life.until_stopped();
    life.end();
    fs::remove_file(path).unwrap();
}

fn who_keeps_the_terminal_is_told() {
    let life = Life::holding();
    let path = life.bundle.dir.join("console");
    life.make("create", &["--console-socket", path.to_str().unwrap()])
        .refuses(&["cannot use console socket if hull will not detach or allocate tty"]);
    life.bundle.set("/process/terminal", true.into());
    life.create().refuses(&["cannot allocate tty if hull will detach without setting console socket"]);
    life.make("run", &["--console-socket", path.to_str().unwrap()])
        .refuses(&["cannot use console socket if hull will not detach or allocate tty"]);
    life.make("create", &["--console-socket", path.to_str().unwrap()]).refuses(&["console socket"]);
    assert!(check::cgroups_named(life.id()).is_empty());
}

fn the_pidfd_socket_gets_the_process() {
    let life = Life::holding();
    let path = life.bundle.dir.join("pidfd");
    let listener = UnixListener::bind(&path).unwrap();
    life.make("create", &["--pidfd-socket", path.to_str().unwrap()]).succeeds();
    let (_, descriptor) = receive(&listener);
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).unwrap();
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().to_owned();
    assert_eq!(pid, life.pid().to_string());
    life.end();
    fs::remove_file(path).unwrap();
}

fn every_signal_by_name_and_number() -> Vec<Trial> {
    let signals = [
        ("HUP", 1),
        ("int", 2),
        ("SIGQUIT", 3),
        ("ABRT", 6),
        ("USR1", 10),
        ("sigusr2", 12),
        ("ALRM", 14),
        ("15", 15),
        ("CONT", 18),
        ("WINCH", 28),
        ("IO", 29),
        ("PWR", 30),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-14", 50),
        ("64", 64),
    ];
    let test = |name: &'static str, number: i32| {
        move || {
            let life = Life::of(Bundle::probe(&["signals", "1"]));
            life.create().succeeds();
            let copy = File::open(format!("/proc/{}/fd/1", life.pid())).unwrap();
            life.verb("start").succeeds();
            let text = || {
                let mut file = copy.try_clone().unwrap();
                std::io::Seek::rewind(&mut file).unwrap();
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                text
            };
            until("the probe", || text().contains("ready"));
            life.call(&["kill", life.id(), name]).succeeds();
            until("the signal", || text().contains(&format!("got {number}\n")));
            life.until_stopped();
            life.end();
        }
    };
    let mut all: Vec<Trial> = signals
        .into_iter()
        .map(|(name, number)| case(format!("kill_{name}_sends_signal_{number}"), test(name, number)))
        .collect();
    all.push(case("signals_are_numbered_as_the_kernel_does", || {
        assert_eq!((libc::SIGUSR1, libc::SIGPWR, libc::SIGRTMIN()), (10, 30, 34));
    }));
    all
}
