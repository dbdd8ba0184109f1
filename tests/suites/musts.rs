//! The MUSTs of runtime-spec 1.3.0, runtime.md: a test named after each. The sections are named above the tests.

use hull_tests::life::{Life, alive, until};
use hull_tests::{Bundle, Value, json, suite};
use std::fs;

suite!(
    // "State"
    the_id_must_be_unique_across_all_containers_of_the_host,
    the_state_must_have_version_id_status_and_bundle,
    the_pid_must_be_there_when_created_or_running,
    // "Lifecycle"
    the_environment_must_be_created_according_to_the_config_or_an_error_generated,
    the_program_must_not_run_before_start,
    updates_of_the_config_after_create_must_not_affect_the_container,
    prestart_hooks_must_run_and_a_failure_must_stop_the_container,
    create_runtime_hooks_must_run_and_a_failure_must_stop_the_container,
    create_container_hooks_must_run_and_a_failure_must_stop_the_container,
    start_container_hooks_must_run_and_a_failure_must_stop_the_container,
    poststart_hooks_must_run_and_a_failure_must_stop_the_container,
    the_program_must_run_at_start,
    delete_must_undo_the_steps_of_create,
    poststop_hooks_must_run_and_a_failure_must_only_be_a_warning,
    // "Errors"
    an_error_must_leave_the_environment_as_if_nothing_was_tried,
    // "Query State"
    state_must_fail_without_an_id,
    state_of_a_container_that_is_not_there_must_fail,
    state_must_return_the_state,
    // "Create"
    create_must_fail_without_an_id_or_a_bundle,
    create_must_refuse_an_id_that_is_in_use_or_not_valid,
    a_property_that_cannot_be_applied_must_fail_create,
    // "Start"
    start_must_fail_without_an_id,
    start_of_what_is_not_created_must_fail_and_have_no_effect,
    a_container_without_a_process_must_be_an_error,
    // "Kill"
    kill_must_fail_without_an_id,
    kill_of_what_neither_is_created_nor_runs_must_fail_and_have_no_effect,
    kill_must_send_the_signal_to_the_process,
    // "Delete"
    delete_must_fail_without_an_id,
    delete_of_what_is_not_stopped_must_fail_and_have_no_effect,
    delete_must_not_remove_what_create_did_not_make,
    the_id_may_be_used_again_after_delete
);

fn the_id_must_be_unique_across_all_containers_of_the_host() {
    let life = Life::holding();
    life.create().succeeds();
    let pid = life.pid();
    life.create().refuses(&["container with given ID already exists"]);
    assert_eq!((life.status().as_str(), life.pid()), ("created", pid));
    life.end();
}

fn the_state_must_have_version_id_status_and_bundle() {
    let life = Life::holding();
    life.bundle.set("/annotations", json!({"a.key": "a value"}));
    life.create().succeeds();
    let state = life.state();
    assert_eq!(state["id"], json!(life.id()));
    assert_eq!(state["status"], json!("created"));
    assert_eq!(state["bundle"], json!(life.bundle.dir.to_str().unwrap()));
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."), "{state}");
    assert_eq!(state["annotations"], json!({"a.key": "a value"}));
    life.end();
}

fn the_pid_must_be_there_when_created_or_running() {
    let life = Life::holding();
    life.create().succeeds();
    let pid = life.pid();
    assert!(alive(pid));
    life.verb("start").succeeds();
    life.until_there("up");
    assert_eq!((life.status().as_str(), life.pid()), ("running", pid));
    life.go();
    assert!(!alive(pid));
    life.end();
}

fn the_environment_must_be_created_according_to_the_config_or_an_error_generated() {
    let life = Life::holding();
    life.bundle.set("/hostname", json!("as-configured"));
    life.create().succeeds();
    let own = fs::read_link("/proc/self/ns/uts").unwrap();
    assert_ne!(fs::read_link(format!("/proc/{}/ns/uts", life.pid())).unwrap(), own);
    life.end();
    life.bundle.mount("/data", "no-such-file-system", "none", &[]);
    life.create().refuses(&["/data"]);
    life.nothing_left();
}

fn the_program_must_not_run_before_start() {
    let life = Life::holding();
    life.create().succeeds();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!life.inside("up").exists());
    life.verb("start").succeeds();
    life.until_there("up");
    life.end();
}

fn updates_of_the_config_after_create_must_not_affect_the_container() {
    let life = Life::of(Bundle::sh("echo first > /said"));
    life.create().succeeds();
    life.bundle.set("/process/args", json!(["/bin/sh", "-c", "echo second > /said"])).write();
    life.verb("start").succeeds();
    life.until_stopped();
    assert_eq!(life.read("said"), "first");
    life.end();
}

/// The hooks of `kind` run when `verb` does, and one that fails fails it and stops the container.
fn hooks_must_run(kind: &str, verb: &str) {
    let life = Life::holding();
    let hook = |line: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", line]}]);
    let place = format!("/hooks/{kind}");
    // only a startContainer hook has the container's root for its own
    let (file, seen) = match kind {
        "startContainer" => (life.inside("hooked"), "/hooked".to_owned()),
        _ => (life.bundle.dir.join("hooked"), life.bundle.dir.join("hooked").display().to_string()),
    };
    life.bundle.set(&place, hook(&format!("echo > {seen}")));
    life.create().succeeds();
    if verb == "start" {
        assert!(!file.exists(), "a {kind} hook before start");
        life.verb("start").succeeds();
    }
    until("the hook's file", || file.exists());
    life.end();
    fs::remove_file(&file).unwrap();
    life.bundle.set(&place, hook("exit 7"));
    if verb == "create" {
        life.create().refuses(&[kind]);
        life.nothing_left();
        assert!(!life.inside("up").exists(), "the program ran");
        return;
    }
    life.create().succeeds();
    let pid = life.pid();
    life.verb("start").refuses(&[kind]);
    until("the end of the process", || !alive(pid));
    life.end();
}

fn prestart_hooks_must_run_and_a_failure_must_stop_the_container() {
    hooks_must_run("prestart", "create");
}

fn create_runtime_hooks_must_run_and_a_failure_must_stop_the_container() {
    hooks_must_run("createRuntime", "create");
}

fn create_container_hooks_must_run_and_a_failure_must_stop_the_container() {
    hooks_must_run("createContainer", "create");
}

fn start_container_hooks_must_run_and_a_failure_must_stop_the_container() {
    hooks_must_run("startContainer", "start");
}

fn poststart_hooks_must_run_and_a_failure_must_stop_the_container() {
    hooks_must_run("poststart", "start");
}

fn the_program_must_run_at_start() {
    let life = Life::of(Bundle::sh("echo ran > /said"));
    life.create().succeeds();
    assert!(!life.inside("said").exists());
    life.verb("start").succeeds();
    life.until_stopped();
    assert_eq!(life.read("said"), "ran");
    life.end();
}

fn delete_must_undo_the_steps_of_create() {
    let life = Life::of(Bundle::sh("exit 0"));
    life.create().succeeds();
    assert!(!hull_tests::check::cgroups_named(life.id()).is_empty(), "the control: it has a cgroup");
    life.verb("start").succeeds();
    life.until_stopped();
    life.verb("delete").succeeds();
    life.nothing_left();
    assert!(hull_tests::check::cgroups_named(life.id()).is_empty());
}

fn poststop_hooks_must_run_and_a_failure_must_only_be_a_warning() {
    let life = Life::of(Bundle::sh("exit 0"));
    let file = life.bundle.dir.join("after");
    let later = format!("echo > {}", file.display());
    life.bundle.set(
        "/hooks/poststop",
        json!([
            {"path": "/bin/sh", "args": ["sh", "-c", "exit 7"]},
            {"path": "/bin/sh", "args": ["sh", "-c", later]}
        ]),
    );
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_stopped();
    assert!(!file.exists());
    let deleted = life.verb("delete");
    deleted.exits(0);
    assert!(deleted.err().contains("warning") && deleted.err().contains("poststop"), "{}", deleted.err());
    assert!(file.exists(), "the hooks after the one that failed");
    life.nothing_left();
}

fn an_error_must_leave_the_environment_as_if_nothing_was_tried() {
    let life = Life::holding();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    life.bundle.set("/process/args", json!(["/no/such/program"]));
    life.create().refuses(&["no such file or directory"]);
    life.nothing_left();
    assert_eq!(mounts(), before);
}

fn state_must_fail_without_an_id() {
    Life::holding().call(&["state"]).refuses(&["id is missing"]);
}

fn state_of_a_container_that_is_not_there_must_fail() {
    Life::holding().verb("state").refuses(&["container does not exist"]);
}

fn state_must_return_the_state() {
    let life = Life::of(Bundle::sh("exit 0"));
    life.create().succeeds();
    assert_eq!(life.status(), "created");
    life.verb("start").succeeds();
    life.until_stopped();
    let state: Value = life.state();
    assert_eq!((&state["status"], &state["id"]), (&json!("stopped"), &json!(life.id())));
    life.end();
}

fn create_must_fail_without_an_id_or_a_bundle() {
    let life = Life::holding();
    life.bundle.write();
    life.call(&["create", "--bundle", life.bundle.dir.to_str().unwrap()]).refuses(&["id is missing"]);
    life.call(&["create", "--bundle", "/no/such/bundle", life.id()]).refuses(&["/no/such/bundle"]);
    life.nothing_left();
}

fn create_must_refuse_an_id_that_is_in_use_or_not_valid() {
    let life = Life::holding();
    life.create().succeeds();
    life.create().refuses(&["already exists"]);
    let dir = life.bundle.dir.to_str().unwrap();
    for id in ["../escape", "a/b", "..", ".", "a b"] {
        life.call(&["create", "--bundle", dir, id]).refuses(&["id"]);
    }
    assert_eq!(fs::read_dir(&life.root).unwrap().count(), 1);
    life.end();
}

fn a_property_that_cannot_be_applied_must_fail_create() {
    let life = Life::holding();
    life.bundle.set("/linux/sysctl", json!({"net.ipv4.no_such_parameter": "1"}));
    life.create().refuses(&["no_such_parameter"]);
    life.nothing_left();
}

fn start_must_fail_without_an_id() {
    Life::holding().call(&["start"]).refuses(&["id is missing"]);
}

fn start_of_what_is_not_created_must_fail_and_have_no_effect() {
    let life = Life::holding();
    life.verb("start").refuses(&["container does not exist"]);
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    let pid = life.pid();
    life.verb("start").refuses(&["cannot start"]);
    assert_eq!((life.status().as_str(), life.pid()), ("running", pid));
    life.go();
    life.verb("start").refuses(&["cannot start"]);
    assert_eq!(life.status(), "stopped");
    life.end();
}

fn a_container_without_a_process_must_be_an_error() {
    let life = Life::holding();
    life.bundle.remove("/process");
    life.create().refuses(&["process is missing"]);
    life.nothing_left();
}

fn kill_must_fail_without_an_id() {
    Life::holding().call(&["kill"]).refuses(&["id is missing"]);
}

fn kill_of_what_neither_is_created_nor_runs_must_fail_and_have_no_effect() {
    let life = Life::of(Bundle::sh("exit 0"));
    life.verb("kill").refuses(&["container does not exist"]);
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_stopped();
    life.call(&["kill", life.id(), "KILL"]).refuses(&["container not running"]);
    assert_eq!(life.status(), "stopped");
    life.end();
}

fn kill_must_send_the_signal_to_the_process() {
    let script = "trap 'echo got > /said; exit 0' USR1; echo > /up; while true; do sleep 0.02; done";
    let life = Life::of(Bundle::sh(script));
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    life.call(&["kill", life.id(), "USR1"]).succeeds();
    life.until_stopped();
    assert_eq!(life.read("said"), "got");
    life.end();
}

fn delete_must_fail_without_an_id() {
    Life::holding().call(&["delete"]).refuses(&["id is missing"]);
}

fn delete_of_what_is_not_stopped_must_fail_and_have_no_effect() {
    let life = Life::holding();
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_there("up");
    let pid = life.pid();
    life.verb("delete").refuses(&["is not stopped"]);
    assert_eq!((life.status().as_str(), life.pid()), ("running", pid));
    assert!(alive(pid));
    life.end();
}

fn delete_must_not_remove_what_create_did_not_make() {
    let life = Life::of(Bundle::sh("echo > /made; exit 0"));
    let kept = life.bundle.dir.join("kept");
    fs::write(&kept, "").unwrap();
    life.create().succeeds();
    life.verb("start").succeeds();
    life.until_stopped();
    life.verb("delete").succeeds();
    assert!(kept.exists() && life.inside("made").exists() && life.bundle.dir.join("config.json").exists());
    life.nothing_left();
}

fn the_id_may_be_used_again_after_delete() {
    let life = Life::of(Bundle::sh("exit 0"));
    for _ in 0..2 {
        life.create().succeeds();
        life.verb("start").succeeds();
        life.until_stopped();
        life.verb("delete").succeeds();
    }
    life.nothing_left();
}
