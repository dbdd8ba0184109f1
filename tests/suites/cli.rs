//! The command line: what runc's users type, and what they read when something is wrong.

use hull_tests::run::{command, hull_in, hull_says};
use hull_tests::suite::case;
use hull_tests::{Bundle, Host, Live, bundle, hull, json, spawn, state_root, suite};
use libtest_mimic::Trial;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

suite!(
    help_names_every_command,
    without_a_command_help_is_shown,
    help_of_run_names_every_flag,
    help_of_every_command_works,
    version_is_three_lines,
    an_unknown_command_is_one_line,
    an_unknown_global_flag_is_one_line,
    an_unknown_flag_of_a_command_is_one_line,
    a_flag_without_its_value_is_one_line,
    run_without_an_id_is_refused,
    run_with_two_ids_is_refused,
    control_bytes_in_arguments_stay_out_of_the_error,
    flags_may_follow_the_id,
    a_flag_takes_its_value_after_an_equals_sign,
    two_dashes_end_the_flags,
    the_bundle_is_the_working_directory_unless_named,
    a_relative_bundle_is_found,
    an_id_in_use_is_refused_and_its_container_unharmed,
    an_id_is_free_again_after_its_end,
    root_moves_the_state,
    a_root_that_cannot_be_made_is_refused,
    a_bundle_that_is_missing_is_named,
    a_bundle_that_is_a_file_is_named,
    a_bundle_without_config_is_named,
    a_config_that_is_a_folder_is_refused,
    a_config_that_is_a_pipe_is_refused_and_not_waited_for,
    a_broken_config_names_line_and_column,
    a_wrong_type_names_its_json_path,
    a_rootfs_that_is_missing_is_named,
    a_rootfs_that_is_a_file_is_named,
    a_log_file_gets_the_error_too,
    a_log_in_json_has_level_message_and_time,
    json_goes_to_stderr_without_a_log_file,
    a_log_file_is_appended_to,
    a_log_file_of_a_good_run_has_no_error,
    a_log_file_that_cannot_be_opened_is_refused,
    an_unknown_log_format_is_refused,
    debug_tells_more_and_leaves_stdout_alone,
    output_that_cannot_be_written_is_an_error;
    bad_ids_are_refused,
    good_ids_run
);

fn help_names_every_command() {
    for flag in ["--help", "-h", "help"] {
        let help = hull_says(&[flag]).text();
        for word in ["run", "spec", "plan", "--root", "--log", "--log-format", "--debug", "--version"] {
            assert!(help.contains(word), "{word} is not in the help of {flag}: {help}");
        }
    }
}

fn without_a_command_help_is_shown() {
    assert!(hull_says::<&str>(&[]).text().contains("spec"));
}

fn help_of_run_names_every_flag() {
    let help = hull_says(&["run", "--help"]).text();
    let flags =
        ["--bundle", "-b", "--pid-file", "--no-pivot", "--no-new-keyring", "--preserve-fds", "--keep"];
    for flag in flags {
        assert!(help.contains(flag), "{flag} is not in {help}");
    }
}

fn help_of_every_command_works() {
    for verb in ["run", "spec", "plan"] {
        for flag in ["--help", "-h"] {
            let help = hull_says(&[verb, flag]).text();
            assert!(help.contains(verb) && help.lines().count() > 2, "{verb} {flag}: {help}");
        }
    }
}

fn version_is_three_lines() {
    for flag in ["--version", "-v"] {
        let lines = hull_says(&[flag]).lines();
        let [version, commit, spec] = lines.as_slice() else { panic!("not three lines: {lines:?}") };
        assert!(version.starts_with("hull version ") && version.len() > "hull version ".len(), "{version}");
        assert!(commit.starts_with("commit: ") && commit.len() > "commit: ".len(), "{commit}");
        assert_eq!(spec, "spec: 1.3.0");
    }
}

fn an_unknown_command_is_one_line() {
    hull_says(&["frobnicate"]).refuses(&["frobnicate"]);
}

fn an_unknown_global_flag_is_one_line() {
    hull_says(&["--frobnicate", "run", "x"]).refuses(&["-frobnicate"]);
}

fn an_unknown_flag_of_a_command_is_one_line() {
    hull_says(&["run", "--frobnicate", "x"]).refuses(&["-frobnicate"]);
    hull_says(&["run", "x", "--frobnicate"]).refuses(&["-frobnicate"]);
    hull_says(&["run", "-Z", "x"]).refuses(&["-Z"]);
    hull_says(&["spec", "--frobnicate"]).refuses(&["-frobnicate"]);
}

fn a_flag_without_its_value_is_one_line() {
    hull_says(&["run", "x", "--bundle"]).refuses(&["bundle"]);
    hull_says(&["--root"]).refuses(&["root"]);
    hull_says(&["run", "--preserve-fds", "many", "x"]).refuses(&["preserve-fds", "many"]);
    hull_says(&["run", "--preserve-fds", "-1", "x"]).refuses(&["preserve-fds"]);
}

fn run_without_an_id_is_refused() {
    hull_says(&["run"]).refuses(&["run"]);
}

fn run_with_two_ids_is_refused() {
    let bundle = Bundle::sh("echo ran");
    bundle.on(Host::machine()).trailing(&["another"]).output().refuses(&["run"]);
}

fn control_bytes_in_arguments_stay_out_of_the_error() {
    let line = hull_says(&["run", "--fro\x1b[31mb\n\rnicate", "x"]).refusal();
    assert!(!line.contains(['\x1b', '\r']), "{line:?}");
}

fn flags_may_follow_the_id() {
    let bundle = Bundle::sh("echo ran");
    bundle.write();
    let pid_file = bundle.dir.join("pid");
    let words =
        ["run", &bundle.id, "-b", bundle.dir.to_str().unwrap(), "--pid-file", pid_file.to_str().unwrap()];
    assert_eq!(hull_says(&words).text(), "ran");
    assert!(pid_file.exists());
}

fn a_flag_takes_its_value_after_an_equals_sign() {
    let bundle = Bundle::sh("echo ran");
    bundle.write();
    for form in ["--bundle=", "-b="] {
        assert_eq!(hull_says(&["run", &format!("{form}{}", bundle.dir.display()), &bundle.id]).text(), "ran");
    }
}

fn two_dashes_end_the_flags() {
    let bundle = Bundle::sh("echo ran");
    bundle.write();
    assert_eq!(hull_in(&bundle.dir, &["run", "--", &bundle.id]).text(), "ran");
}

fn the_bundle_is_the_working_directory_unless_named() {
    assert_eq!(Bundle::sh("echo ran").on(Host::machine()).in_bundle().output().text(), "ran");
}

fn a_relative_bundle_is_found() {
    let bundle = Bundle::sh("echo ran");
    bundle.write();
    let name = bundle.dir.file_name().unwrap().to_owned();
    let dir = bundle.dir.parent().unwrap();
    assert_eq!(hull_in(dir, &["run".into(), "-b".into(), name, OsString::from(&bundle.id)]).text(), "ran");
}

fn bad_ids_are_refused() -> Vec<Trial> {
    let long = "a".repeat(2000);
    let ids = [
        ("empty", ""),
        ("dot", "."),
        ("dotdot", ".."),
        ("slash", "a/b"),
        ("leaves_the_root", "../a"),
        ("absolute", "/a"),
        ("space", "a b"),
        ("newline", "a\nb"),
        ("umlaut", "b\u{e4}r"),
        ("percent", "a%b"),
        ("star", "a*"),
        ("colon", "a:b"),
        ("too_long", &long),
    ];
    let test = |id: String| {
        move || {
            let bundle = Bundle::sh("echo ran");
            bundle.on(Host::machine()).id(&id).output().refuses(&["container ID"]);
        }
    };
    ids.map(|(name, id)| case(format!("the_id_{name}_is_refused"), test(id.to_owned()))).into()
}

fn good_ids_run() -> Vec<Trial> {
    let long = format!("{}{}", bundle::mark(), "x".repeat(200));
    let ids = [
        ("of_every_character", "aZ09_+.-"),
        ("of_three_dots", "..."),
        ("of_200_characters", &long),
        ("of_one", "0"),
    ];
    let test = |id: String| {
        move || {
            let bundle = Bundle::sh("echo ran");
            assert_eq!(bundle.on(Host::machine()).id(&id).output().text(), "ran");
        }
    };
    ids.map(|(name, id)| case(format!("the_id_{name}_runs"), test(id.to_owned()))).into()
}

fn an_id_in_use_is_refused_and_its_container_unharmed() {
    let bundle = Bundle::sh("echo ready; read line; echo still $line");
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    let other = Bundle::sh("echo ran");
    let output = Live::spawn(other.on(Host::machine()).id(&bundle.id).command()).finish();
    output.refuses(&["container with given ID already exists"]);
    assert!(state_root().join(&bundle.id).exists(), "its state is gone");
    live.send("here\n");
    assert_eq!(live.line(), "still here");
    live.finish().succeeds();
}

fn an_id_is_free_again_after_its_end() {
    let bundle = Bundle::sh("echo ran");
    for _ in 0..3 {
        assert_eq!(bundle.run().text(), "ran");
    }
}

fn root_moves_the_state() {
    let bundle = Bundle::sh("echo ready; read line");
    // Not there yet: the runtime makes it.
    let root = bundle.dir.join("some/where");
    let mut live = bundle.on(Host::machine()).globals(&["--root", root.to_str().unwrap()]).start();
    live.until("ready");
    assert!(root.join(&bundle.id).is_dir(), "no state below --root");
    assert!(!state_root().join(&bundle.id).exists(), "state at the usual place too");
    live.send("\n");
    live.finish().succeeds();
    assert!(!root.join(&bundle.id).exists(), "state left behind");
}

fn a_root_that_cannot_be_made_is_refused() {
    let bundle = Bundle::sh("echo ran");
    bundle.on(Host::machine()).globals(&["--root", "/proc/nowhere"]).output().refuses(&["/proc/nowhere"]);
    let file = bundle.dir.join("file");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    bundle.on(Host::machine()).globals(&["--root", file]).output().refuses(&[file, "not a directory"]);
}

fn a_bundle_that_is_missing_is_named() {
    let bundle = Bundle::sh("echo ran");
    let gone = bundle.dir.join("gone");
    let words = [gone.to_str().unwrap(), "no such file or directory"];
    bundle.on(Host::machine()).bundle(&gone).output().refuses(&words);
}

fn a_bundle_that_is_a_file_is_named() {
    let bundle = Bundle::sh("echo ran");
    let file = bundle.dir.join("config.json");
    bundle.on(Host::machine()).bundle(&file).output().refuses(&[file.to_str().unwrap(), "not a directory"]);
}

fn a_bundle_without_config_is_named() {
    let bundle = Bundle::sh("echo ran");
    let run = bundle.on(Host::machine());
    fs::remove_file(bundle.dir.join("config.json")).unwrap();
    run.output().refuses(&["config.json"]);
}

fn a_config_that_is_a_folder_is_refused() {
    let bundle = Bundle::sh("echo ran");
    let run = bundle.on(Host::machine());
    fs::remove_file(bundle.dir.join("config.json")).unwrap();
    fs::create_dir(bundle.dir.join("config.json")).unwrap();
    run.output().refuses(&["config.json"]);
}

fn a_config_that_is_a_pipe_is_refused_and_not_waited_for() {
    let bundle = Bundle::sh("echo ran");
    let run = bundle.on(Host::machine());
    fs::remove_file(bundle.dir.join("config.json")).unwrap();
    nix::unistd::mkfifo(&bundle.dir.join("config.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    run.output().refuses(&["config.json"]);
}

fn a_broken_config_names_line_and_column() {
    let bundle = Bundle::sh("echo ran");
    let run = bundle.on(Host::machine());
    bundle.write_raw(b"{\n  \"ociVersion\": \"1.2.1\",\n  \"process\": {\"args\": [\"sh\",]}\n}\n");
    let line = run.output().refuses(&["config.json", "3", "29"]);
    assert!(line.contains("3:29") || (line.contains("line 3") && line.contains("column 29")), "{line}");
}

fn a_wrong_type_names_its_json_path() {
    let bundle = Bundle::sh("echo ran");
    bundle.set("/linux/resources/memory/limit", json!("much"));
    bundle.run().refuses(&["linux.resources.memory.limit"]);
}

fn a_rootfs_that_is_missing_is_named() {
    let bundle = Bundle::sh("echo ran");
    bundle.set("/root/path", json!("no-rootfs"));
    bundle.run().refuses(&["no-rootfs", "no such file or directory"]);
}

fn a_rootfs_that_is_a_file_is_named() {
    let bundle = Bundle::sh("echo ran");
    bundle.set("/root/path", json!("config.json"));
    bundle.run().refuses(&["config.json", "not a directory"]);
}

/// A run that fails, with a log file.
fn failing(flags: &[&str]) -> (Bundle, String, String) {
    let bundle = Bundle::sh("echo ran");
    bundle.set("/root/path", json!("no-rootfs"));
    let log = bundle.dir.join("log");
    fs::write(&log, "before\n").unwrap();
    let globals = [&["--log", log.to_str().unwrap()], flags].concat();
    let line = bundle.on(Host::machine()).globals(&globals).output().refusal();
    let text = fs::read_to_string(&log).unwrap();
    (bundle, line, text)
}

fn a_log_file_gets_the_error_too() {
    let (_bundle, line, log) = failing(&[]);
    assert!(line.contains("no-rootfs"), "{line}");
    assert!(log.contains("no-rootfs") && log.contains("level=error"), "{log}");
}

fn a_log_in_json_has_level_message_and_time() {
    let (_bundle, line, log) = failing(&["--log-format", "json"]);
    assert!(line.contains("no-rootfs"), "{line}");
    let entry = log.lines().nth(1).expect("a second line");
    let entry: hull_tests::Value =
        serde_json::from_str(entry).unwrap_or_else(|error| panic!("{error}: {entry}"));
    assert_eq!(entry["level"], "error");
    assert!(entry["msg"].as_str().unwrap().contains("no-rootfs"), "{entry}");
    check_time(entry["time"].as_str().unwrap());
}

/// RFC 3339, in UTC or with an offset.
fn check_time(time: &str) {
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert!(shape.starts_with("0000-00-00T00:00:00"), "{time}");
    let zone = &shape["0000-00-00T00:00:00".len()..];
    assert!(["Z", "+00:00", "-00:00"].contains(&zone), "{time}");
    let date = spawn::output(std::process::Command::new("date").args(["-u", "-d", time, "+%s"]));
    let seconds: u64 = String::from_utf8_lossy(&date.stdout).trim().parse().expect("date understands it");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(seconds <= now && now - seconds < 3600, "{time} is not now");
}

fn json_goes_to_stderr_without_a_log_file() {
    let bundle = Bundle::sh("echo ran");
    bundle.set("/root/path", json!("no-rootfs"));
    let line = bundle.on(Host::machine()).globals(&["--log-format", "json"]).output().refusal();
    let entry: hull_tests::Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!(entry["level"], "error");
}

fn a_log_file_is_appended_to() {
    let (_bundle, _, log) = failing(&[]);
    assert!(log.starts_with("before\n") && log.lines().count() == 2, "{log}");
}

fn a_log_file_of_a_good_run_has_no_error() {
    let bundle = Bundle::sh("echo ran");
    let log = bundle.dir.join("log");
    let run = bundle.on(Host::machine()).globals(&["--log", log.to_str().unwrap(), "--log-format", "json"]);
    assert_eq!(run.output().text(), "ran");
    assert!(!fs::read_to_string(&log).unwrap().contains("error"));
}

fn a_log_file_that_cannot_be_opened_is_refused() {
    let bundle = Bundle::sh("echo ran");
    let log = bundle.dir.join("no/such/folder");
    let log = log.to_str().unwrap();
    bundle.on(Host::machine()).globals(&["--log", log]).output().refuses(&[log, "no such file or directory"]);
}

fn an_unknown_log_format_is_refused() {
    let bundle = Bundle::sh("echo ran");
    bundle.on(Host::machine()).globals(&["--log-format", "xml"]).output().refuses(&["log", "format", "xml"]);
}

fn debug_tells_more_and_leaves_stdout_alone() {
    let bundle = Bundle::sh("echo ran");
    let log = bundle.dir.join("log");
    let globals = ["--debug", "--log", log.to_str().unwrap(), "--log-format", "json"];
    assert_eq!(bundle.on(Host::machine()).globals(&globals).output().text(), "ran");
    let text = fs::read_to_string(&log).unwrap();
    let levels: Vec<hull_tests::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(levels.iter().any(|entry| entry["level"] == "debug"), "{text}");
}

fn output_that_cannot_be_written_is_an_error() {
    for words in [["--help"], ["--version"]] {
        let mut all = vec![hull().into_os_string()];
        all.extend(words.iter().map(OsString::from));
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = |out: File| {
            let mut command = command(&all, &Host::machine());
            spawn::spawn(command.stdout(out).stderr(Stdio::null())).unwrap().wait().unwrap()
        };
        let status = run(full);
        assert!(!status.success(), "{words:?} to a full device");
        // Control.
        let null = File::create("/dev/null").unwrap();
        assert!(run(null).success());
    }
    assert_eq!(fs::metadata("/dev/full").unwrap().permissions().mode() & 0o777, 0o666);
}
