//! The tests that need a machine of their own: every cgroup v2 controller, all privileges, hull on an initramfs.
//!
//! Each test says what it does on the console, one line an event, for the harness outside to read:
//! `BEGIN name`, then `TEST name ok` or `TEST name FAILED reason` (newlines in it escaped), at the end
//! `DONE passed failed`. There is no time limit here: the harness has one.
//!
//! The same program is also put into containers, to do there what no busybox applet does (`probe`).

mod bundle;
mod machine;
mod probe;
mod tests;

use std::panic::catch_unwind;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use machine::Machine;

/// A test: what it pins, and how.
type Test = (&'static str, fn(&Machine) -> Result<()>);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = &arguments[..] {
        return probe::main(first, rest);
    }
    match Machine::look().map(|machine| run_all(&machine)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("TEST machine FAILED {}", one_line(&format!("{error:#}")));
            println!("DONE 0 1");
            ExitCode::FAILURE
        }
    }
}

fn run_all(machine: &Machine) -> bool {
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in tests::all().filter(|(name, _)| machine.is_wanted(name)) {
        println!("BEGIN {name}");
        let outcome = catch_unwind(|| test(machine)).unwrap_or_else(|_| Err(anyhow!("panicked")));
        match outcome {
            Ok(()) => {
                passed += 1;
                println!("TEST {name} ok");
            }
            Err(error) => {
                failed += 1;
                println!("TEST {name} FAILED {}", one_line(&format!("{error:#}")));
            }
        }
    }
    println!("DONE {passed} {failed}");
    passed > 0 && failed == 0
}

fn one_line(text: &str) -> String {
    text.trim_end().replace('\\', "\\\\").replace('\r', "").replace('\n', "\\n")
}
