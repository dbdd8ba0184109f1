//! What the behaviours ask of an engine, in one vocabulary for all three.

use crate::view::View;
use hull_tests::run::DEADLINE;
use hull_tests::{Live, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How a container differs from the plainest one.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// `COLOUR=blue` in its environment, and `box` for its host name where the engine sets it.
    pub named: bool,
    /// With the caller's stdin.
    pub input: bool,
    /// With a terminal of its own.
    pub terminal: bool,
    /// 64 MiB of memory, half a processor, and 50 processes where the engine has a flag for it.
    pub limits: bool,
    /// Without the engine's own filter of system calls.
    pub unconfined: bool,
    /// On a runtime that always fails, instead of the one under test.
    pub broken: bool,
}

/// The runtime for `Options::broken`.
pub const BROKEN: &str = "/bin/false";

pub trait Engine {
    fn view(&self) -> &View;

    /// A command line of the engine.
    fn words(&self, words: &[&str]) -> Vec<String>;

    /// Runs a container to its end and removes it.
    fn foreground(&self, name: &str, options: Options, args: &[&str]) -> Vec<String>;

    /// Starts a container that stays.
    fn background(&self, name: &str, options: Options, args: &[&str]) -> Vec<String>;

    /// What a container in the background has printed.
    fn log(&self, name: &str) -> String;

    /// The host's pid of its first process.
    fn pid(&self, name: &str) -> i32;

    /// SIGTERM, in the way that the engine ends containers.
    fn stop(&self, name: &str);

    /// SIGKILL.
    fn kill(&self, name: &str);

    /// Waits for the end of a container, and returns its exit code.
    fn wait(&self, name: &str) -> i32;

    fn remove(&self, name: &str);

    /// The containers that the engine knows.
    fn containers(&self) -> Vec<String>;

    /// The engine's own exit code where a shell would give this one for a command that can't be executed.
    fn cannot_execute(&self, code: i32) -> i32;

    /// True if the engine has a way to set a container's host name.
    fn sets_host_name(&self) -> bool;

    /// Ends the engine and its view, and tells what was left.
    fn end(self: Box<Self>) -> Vec<String>;
}

/// A name that no other container has.
pub fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("smoke{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A command of the engine that must go well; its stdout without the last newline.
#[track_caller]
pub fn say(engine: &dyn Engine, words: &[&str]) -> String {
    let output = engine.view().output(&engine.words(words));
    output.exits(0);
    output.out().trim_end_matches('\n').to_owned()
}

/// A container to its end.
pub fn run(engine: &dyn Engine, options: Options, args: &[&str]) -> Output {
    start(engine, options, args).finish()
}

/// A container in the foreground that is still to be talked to.
pub fn start(engine: &dyn Engine, options: Options, args: &[&str]) -> Live {
    Live::spawn(engine.view().command(&engine.foreground(&name(), options, args)))
}

/// Starts a container in the background, and waits for the line `up` of it. Returns its name.
#[track_caller]
pub fn detach(engine: &dyn Engine, options: Options, script: &str) -> String {
    let name = name();
    let words = engine.background(&name, options, &["sh", "-c", script]);
    engine.view().output(&words).exits(0);
    until(|| engine.log(&name).contains("up\n"));
    name
}

/// Waits for what the engine does on its own time; the deadline only ends a hang.
#[track_caller]
pub fn until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}
