//! The main function of every suite: runs its tests, then shows that they left the machine as they found it.

use crate::{bundle, check, run};
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

/// A test of a suite.
pub type Test = fn();

/// Runs the tests of `suite!`, or those that the command line chooses.
pub fn main(tests: Vec<Trial>) -> ExitCode {
    run::settle();
    check::adopt_orphans();
    bundle::scratch();
    let before = check::Machine::now();
    let arguments = Arguments::from_args();
    let mut verdict = libtest_mimic::run(&arguments, tests).exit_code();
    if !arguments.list {
        let last = Trial::test("leaves_the_machine_as_it_was", move || leaves_the_machine_as_it_was(&before));
        let again = Arguments { filter: None, ..arguments };
        if libtest_mimic::run(&again, vec![last]).has_failed() {
            verdict = ExitCode::FAILURE;
        }
    }
    std::fs::remove_dir_all(bundle::scratch()).ok();
    verdict
}

fn leaves_the_machine_as_it_was(before: &check::Machine) -> Result<(), Failed> {
    let mut found = check::orphans();
    found.extend(check::Machine::now().differences(before));
    if found.is_empty() { Ok(()) } else { Err(found.join("\n").into()) }
}

/// A named test from a closure: for tests that are one behaviour over many values.
pub fn case(name: impl Into<String>, body: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        body();
        Ok(())
    })
}

/// The suite's main function, from its test functions (and, after `+`, functions that return a `Vec<Trial>`).
#[macro_export]
macro_rules! suite {
    ($($test:ident),* $(,)? $(; $($more:ident),* $(,)?)?) => {
        fn main() -> std::process::ExitCode {
            let mut tests = vec![$($crate::suite::case(stringify!($test), $test)),*];
            $($(tests.extend($more());)*)?
            $crate::suite::main(tests)
        }
    };
}
