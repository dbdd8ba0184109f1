//! Terminals: a new one inside with and without a terminal outside, its size, its mode, and how it ends.

use hull_tests::pty::{Terminal, wait};
use hull_tests::{Bundle, Host, check, json, suite};
use nix::sys::signal::Signal;
use nix::sys::termios::LocalFlags;

suite!(
    the_process_has_a_terminal_of_its_own,
    without_terminal_in_the_config_there_is_none,
    the_terminal_controls_the_session_inside,
    input_and_output_pass,
    the_callers_terminal_is_raw_while_it_runs_and_restored_after,
    the_callers_terminal_is_restored_after_an_error,
    the_callers_terminal_is_restored_after_a_signal,
    the_size_of_the_callers_terminal_is_passed_on,
    a_new_size_of_the_callers_terminal_is_passed_on,
    console_size_in_the_config_wins_at_the_start,
    control_c_reaches_the_process_and_not_the_runtime,
    the_console_is_bound_at_dev_console,
    the_terminal_belongs_to_the_devpts_of_the_container,
    the_exit_code_passes,
    everything_written_before_the_end_arrives,
    without_a_callers_terminal_streams_are_relayed,
    without_a_callers_terminal_the_end_of_stdin_is_told,
    a_terminal_without_devpts_is_refused,
    a_terminal_works_as_another_user,
    a_terminal_works_in_a_user_namespace,
    a_terminal_works_on_every_host
);

fn with_terminal(script: &str) -> Bundle {
    let bundle = Bundle::sh(script);
    bundle.set("/process/terminal", json!(true));
    bundle
}

struct Session {
    terminal: Terminal,
    child: std::process::Child,
    bundle: Bundle,
}

impl Session {
    fn start(bundle: Bundle, host: Host, columns: u16, rows: u16) -> Session {
        let mut terminal = Terminal::new(columns, rows);
        let child = terminal.start(&bundle.on(terminal.control(host)));
        Session { terminal, child, bundle }
    }

    fn new(script: &str) -> Session {
        Session::start(with_terminal(script), Host::machine(), 100, 30)
    }

    #[track_caller]
    fn ends(mut self, code: i32) {
        let seen = wait(&mut self.child);
        assert_eq!(seen, code, "{:?}", self.terminal.rest());
        check::nothing_left_of(&self.bundle);
    }
}

fn the_process_has_a_terminal_of_its_own() {
    let mut session = Session::new("tty; for fd in 0 1 2; do test -t $fd && echo yes; done; echo end");
    let text = session.terminal.until("end\r\n");
    assert_eq!(text, "/dev/pts/0\r\nyes\r\nyes\r\nyes\r\nend\r\n");
    session.ends(0);
}

fn without_terminal_in_the_config_there_is_none() {
    // The caller's terminal or pipes to it: either way none that the container has a name for.
    let bundle = Bundle::sh("tty; ls /dev/pts; test -e /dev/console || echo none; echo end");
    let mut session = Session::start(bundle, Host::machine(), 80, 24);
    let text = session.terminal.until("end");
    assert!(text.contains("not a tty") && text.contains("ptmx") && text.contains("none"), "{text}");
    assert!(!text.contains("/dev/pts/"), "{text}");
    session.ends(0);
}

fn the_terminal_controls_the_session_inside() {
    let bundle = Bundle::probe(&["session"]);
    bundle.set("/process/terminal", json!(true));
    let mut session = Session::start(bundle, Host::machine(), 80, 24);
    assert_eq!(session.terminal.until("\n").trim(), "pid=1 session=1 group=1 foreground=1 tty=1,1,1");
    session.ends(0);
}

fn input_and_output_pass() {
    let mut session =
        Session::new("echo ready; read line; echo \"<$line>\"; read line; echo \"<$line>\"; exit 3");
    session.terminal.until("ready");
    session.terminal.send("one two\r");
    session.terminal.until("<one two>");
    // The kernel's line editing is the inner terminal's.
    session.terminal.send("thre\x7fee\r");
    session.terminal.until("<three>");
    session.ends(3);
}

/// True if the terminal hands every byte on at once and interprets none.
fn is_raw(terminal: &Terminal) -> bool {
    let flags = terminal.settings().local_flags;
    !flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
}

fn the_callers_terminal_is_raw_while_it_runs_and_restored_after() {
    let mut terminal = Terminal::new(80, 24);
    let before = terminal.settings();
    assert!(!is_raw(&terminal));
    let bundle = with_terminal("echo ready; read line");
    let child = terminal.start(&bundle.on(terminal.control(Host::machine())));
    let mut session = Session { terminal, child, bundle };
    session.terminal.until("ready");
    assert!(is_raw(&session.terminal));
    session.terminal.send("\r");
    assert_eq!(wait(&mut session.child), 0);
    assert_eq!(session.terminal.settings(), before);
}

fn the_callers_terminal_is_restored_after_an_error() {
    for broken in [json!(["/no/such/program"]), json!(["/etc/passwd"])] {
        let mut terminal = Terminal::new(80, 24);
        let before = terminal.settings();
        let bundle = with_terminal("true");
        bundle.set("/process/args", broken);
        let mut child = terminal.start(&bundle.on(terminal.control(Host::machine())));
        assert_eq!(wait(&mut child), 1);
        assert_eq!(terminal.settings(), before);
    }
}

fn the_callers_terminal_is_restored_after_a_signal() {
    let mut terminal = Terminal::new(80, 24);
    let before = terminal.settings();
    let bundle = with_terminal("trap 'exit 42' TERM; echo ready; while :; do read line; done");
    let mut child = terminal.start(&bundle.on(terminal.control(Host::machine())));
    terminal.until("ready");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    terminal.send("\r");
    assert_eq!(wait(&mut child), 42);
    assert_eq!(terminal.settings(), before);
}

fn winsize_bundle() -> Bundle {
    let bundle = Bundle::probe(&["winsizes"]);
    bundle.set("/process/terminal", json!(true));
    bundle
}

fn the_size_of_the_callers_terminal_is_passed_on() {
    for (columns, rows) in [(100, 30), (1, 1), (500, 300)] {
        let bundle = Bundle::sh("read go; /probe winsize");
        bundle.set("/process/terminal", json!(true));
        let mut session = Session::start(bundle, Host::machine(), columns, rows);
        session.terminal.send("\r");
        session.terminal.until(&format!("{columns}x{rows}\r\n"));
        session.ends(0);
    }
}

fn a_new_size_of_the_callers_terminal_is_passed_on() {
    let mut session = Session::start(winsize_bundle(), Host::machine(), 80, 24);
    session.terminal.until("\n");
    for (columns, rows) in [(81, 25), (200, 50), (40, 10)] {
        session.terminal.resize(columns, rows);
        session.terminal.until(&format!("{columns}x{rows}\r\n"));
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(session.child.id() as i32), Signal::SIGTERM).unwrap();
    session.ends(0);
}

fn console_size_in_the_config_wins_at_the_start() {
    // Without a terminal outside there is nothing else to take the size from.
    let bundle = Bundle::probe(&["winsize"]);
    bundle
        .set("/process/terminal", json!(true))
        .set("/process/consoleSize", json!({"width": 132, "height": 43}));
    let output = bundle.on(Host::machine().session(None)).output();
    assert_eq!(output.out().trim_end(), "132x43", "{}", output.show());
}

fn control_c_reaches_the_process_and_not_the_runtime() {
    let mut session =
        Session::new("trap 'echo interrupted; exit 5' INT; echo ready; while :; do read line; done");
    session.terminal.until("ready");
    session.terminal.send("\x03");
    session.terminal.until("interrupted");
    session.ends(5);
}

fn the_console_is_bound_at_dev_console() {
    let script = "stat -c %t:%T /dev/console /dev/pts/0; echo through > /dev/console; \
                  grep -c ' /dev/console ' /proc/self/mountinfo; echo end";
    let mut session = Session::new(script);
    let text = session.terminal.until("end\r\n");
    assert_eq!(text, "88:0\r\n88:0\r\nthrough\r\n1\r\nend\r\n");
    session.ends(0);
    // Control: without a terminal there is no such mount.
    assert_eq!(Bundle::sh("grep -c ' /dev/console ' /proc/self/mountinfo || true").run().text(), "0");
}

fn the_terminal_belongs_to_the_devpts_of_the_container() {
    let mut session = Session::new("ls /dev/pts; stat -c '%U %a' /dev/pts/0; echo end");
    let text = session.terminal.until("end\r\n");
    assert!(text.contains('0') && text.contains("ptmx") && text.contains("root 620"), "{text}");
    session.ends(0);
}

fn the_exit_code_passes() {
    for code in [0, 1, 77, 255] {
        Session::new(&format!("exit {code}")).ends(code);
    }
    let session = Session::start(with_terminal("exit 12"), Host::cgroup2(), 80, 24);
    session.ends(12);
}

fn everything_written_before_the_end_arrives() {
    let mut session = Session::new("seq 1 20000; exit 9");
    let text = session.terminal.until("20000\r\n");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 20000);
    assert!(lines.iter().enumerate().all(|(index, line)| *line == (index + 1).to_string()));
    session.ends(9);
}

fn without_a_callers_terminal_streams_are_relayed() {
    let bundle =
        with_terminal("stty -echo; tty; echo ready; read line; echo \"<$line>\"; seq 1 5000; exit 6");
    let mut live = bundle.on(Host::machine().session(None)).start();
    assert_eq!(live.line(), "/dev/pts/0");
    live.until("ready");
    live.send("through a pipe\n");
    assert_eq!(live.line(), "<through a pipe>");
    let lines: Vec<String> = (0..5000).map(|_| live.line()).collect();
    assert!(lines.iter().enumerate().all(|(index, line)| *line == (index + 1).to_string()));
    live.finish().exits(6);
}

fn without_a_callers_terminal_the_end_of_stdin_is_told() {
    // A pipe that ends is an end of file for whoever reads the terminal inside.
    let bundle = with_terminal("stty -echo; echo ready; cat; echo ended; exit 8");
    let mut live = bundle.on(Host::machine().session(None)).start();
    live.until("ready");
    live.send("line\n");
    assert_eq!(live.line(), "line");
    live.close_stdin();
    assert_eq!(live.line(), "ended");
    live.finish().exits(8);
}

fn a_terminal_without_devpts_is_refused() {
    let bundle = with_terminal("true");
    bundle.no_mount("/dev/pts").no_mount("/dev/shm").no_mount("/dev/mqueue").no_mount("/dev");
    bundle.on(Host::machine().session(None)).output().refuses(&["terminal", "devpts"]);
}

fn a_terminal_works_as_another_user() {
    let bundle =
        with_terminal("id -u; stat -c %u /dev/pts/0; echo x > /dev/tty; echo y > /proc/self/fd/1; echo end");
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let mut session = Session::start(bundle, Host::machine(), 80, 24);
    assert_eq!(session.terminal.until("end\r\n"), "1000\r\n1000\r\nx\r\ny\r\nend\r\n");
    session.ends(0);
}

fn a_terminal_works_in_a_user_namespace() {
    let bundle = with_terminal("tty; stat -c %u /dev/pts/0; echo x > /dev/tty; echo end");
    bundle.push("/linux/namespaces", json!({"type": "user"}));
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
    let mut session = Session::start(bundle, Host::machine(), 80, 24);
    assert_eq!(session.terminal.until("end\r\n"), "/dev/pts/0\r\n0\r\nx\r\nend\r\n");
    session.ends(0);
}

fn a_terminal_works_on_every_host() {
    for host in [Host::v1(), Host::cgroup2(), Host::no_proc(), Host::no_proc_cgroup2()] {
        let mut session = Session::start(with_terminal("tty; read line; echo \"<$line>\""), host, 80, 24);
        session.terminal.until("/dev/pts/0");
        session.terminal.send("hello\r");
        session.terminal.until("<hello>");
        session.ends(0);
    }
}
