//! The virtual machine suite, seen from outside: build what goes in, boot it, read the console, sum up.

mod console;
mod image;
mod kernel;
mod qemu;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use clap::Parser;
use console::{Report, Verdict};
use hull_targets::{debian, family};
use qemu::{Boot, Ended};

/// Boots a kernel with hull as its init and runs tests inside.
#[derive(Parser)]
#[command(name = "tests/vm/run")]
pub struct Cli {
    /// Run only the tests whose names contain this.
    #[arg(default_value = "")]
    only: String,
    /// A hull binary, instead of building one.
    #[arg(long)]
    hull: Option<PathBuf>,
    /// Another runtime to put through the same tests; it comes with the libraries that it needs.
    #[arg(long, value_name = "PATH")]
    runtime: Option<PathBuf>,
    /// An argument for its `run`, as in --run-argument=--no-pivot.
    #[arg(long, value_name = "ARGUMENT", requires = "runtime")]
    run_argument: Vec<String>,
    /// Use a busybox script as the machine's init, instead of hull.
    #[arg(long)]
    stand_in_init: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(report) => {
            println!("{} passed, {} failed", report.passed, report.failed);
            if report.passed > 0 && report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("tests/vm/run: {error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<Report> {
    let family = family::named("x86_64")?.pop().context("no such family")?;
    let system = format!("/usr/bin/{}", family.qemu.system);
    debian::install(&[
        (&system, &family.qemu.package),
        ("/bin/busybox", "busybox-static"),
        ("/usr/bin/xz", "xz-utils"),
    ])?;
    let kernel = kernel::cached(&family)?;
    let image = image::build(cli, &family)?;
    let machine = qemu::Machine { family: &family, kernel: &kernel, initramfs: &image.path };
    let mut report = Report::default();

    let arguments = cli.run_argument.join(",");
    let command_line = format!(
        "hull.run=/bin/guest vm.runtime={} vm.arguments={arguments} vm.only={}",
        image.runtime, cli.only
    );
    let boot = Boot { name: "suite", command_line: &command_line, processors: 2 };
    let log = machine.boot(&boot, |line| report.line(line))?;
    report.end(&log);

    let checks: Vec<_> = CHECKS.iter().filter(|check| check.name.contains(&cli.only)).collect();
    let ended = thread::scope(|scope| {
        let boots: Vec<_> =
            checks.iter().map(|check| scope.spawn(|| machine.boot(&check.boot(), |_| {}))).collect();
        boots.into_iter().map(|boot| boot.join().expect("a boot does not panic")).collect::<Result<Vec<_>>>()
    })?;
    for (check, ended) in checks.iter().zip(ended) {
        report.verdict(check.name, (check.judge)(&ended), &ended);
    }
    Ok(report)
}

/// A boot of its own that has to end in a certain way.
struct Check {
    name: &'static str,
    command_line: &'static str,
    judge: fn(&Ended) -> Verdict,
}

impl Check {
    fn boot(&self) -> Boot<'_> {
        Boot { name: self.name, command_line: self.command_line, processors: 1 }
    }
}

const CHECKS: &[Check] = &[
    Check {
        name: "init_runs_the_program_after_two_dashes",
        command_line: "-- /bin/busybox false",
        judge: |ended| ended.says("hull: init: /bin/busybox exited with 1").and(ended.powered_off()),
    },
    Check {
        name: "init_survives_a_missing_program",
        command_line: "hull.run=/no/such/program",
        judge: |ended| ended.says("/no/such/program").and(ended.powered_off()),
    },
    // The control: a machine whose first process ends does panic, and that is seen.
    Check {
        name: "a_panic_would_be_seen",
        command_line: "rdinit=/bin/busybox -- false",
        judge: |ended| match ended.powered_off() {
            Ok(()) => Err("the kernel did not panic when its first process ended".into()),
            Err(_) => ended.says("Kernel panic - not syncing: Attempted to kill init!"),
        },
    },
];
