//! The virtual machine suite, seen from outside: build what goes in, boot it, read the console, sum up.

mod boards;
mod console;
mod image;
mod modules;
mod qemu;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};
use boards::Board;
use clap::Parser;
use console::{Report, Verdict};
use hull_targets::family::{self, Family};
use hull_targets::{build, debian, kernel};
use qemu::{Boot, Ended};

/// Boots a kernel with hull as its init and runs tests inside.
#[derive(Parser)]
#[command(name = "tests/vm/run")]
pub struct Cli {
    /// Run only the tests whose names contain this.
    #[arg(default_value = "")]
    only: String,
    /// Kernels 5.10, 6.12 and 7.x and the boards that QEMU copies as well; HULL_LONG in the environment says the same.
    #[arg(long)]
    long: bool,
    /// A hull binary for x86_64, instead of building one.
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
    let long = cli.long || std::env::var_os("HULL_LONG").is_some();
    let boards = boards(cli, long)?;
    build::releases(boards.iter().map(|board| &board.family))?;
    let image = image::build(cli, &family)?;
    let mut report = Report::default();
    let others = boards::SUITES.iter().copied().map(Some);
    for suite in [None].into_iter().chain(others.filter(|_| long)) {
        let stand_in = cli.stand_in_init || cli.runtime.is_some();
        guest(cli, &family, Guest { suite, only: &cli.only, stand_in }, &image, &mut report)?;
    }
    if "containers".contains(&cli.only) && !cli.stand_in_init {
        // Those on what a container sees of the machine.
        guest(cli, &family, Guest { suite: None, only: "container", stand_in: true }, &image, &mut report)?;
    }
    checks(cli, &family, &image, &mut report)?;
    boot_boards(cli, boards, &mut report)?;
    Ok(report)
}

/// The boards to boot: none for another runtime than hull.
fn boards(cli: &Cli, long: bool) -> Result<Vec<Board>> {
    if cli.runtime.is_some() || cli.stand_in_init {
        return Ok(Vec::new());
    }
    let mut boards = boards::all(long)?;
    boards.retain(|board| board.name().contains(&cli.only) || cli.only.starts_with(&board.name()));
    Ok(boards)
}

/// A machine that runs the runtime's tests.
#[derive(Clone, Copy)]
struct Guest<'a> {
    /// The suite of Debian that the kernel is from.
    suite: Option<&'a str>,
    /// Which tests.
    only: &'a str,
    /// A busybox script as init, which stays on rootfs where hull leaves it.
    stand_in: bool,
}

/// The runtime's tests inside a machine.
fn guest(
    cli: &Cli,
    family: &Family,
    guest: Guest<'_>,
    image: &image::Image,
    report: &mut Report,
) -> Result<()> {
    let Guest { suite, only, stand_in } = guest;
    let kernel = kernel::cached(family, suite)?;
    println!("on Linux {}{}", kernel.version, if stand_in { ", its init stays on rootfs" } else { "" });
    let (initramfs, disk) = (modules::image(image, &kernel)?, modules::disk()?);
    let machine = qemu::Machine { family, kernel: &kernel, initramfs: &initramfs, disk: Some(&disk) };
    let (runtime, arguments) = (&image.runtime, cli.run_argument.join(","));
    let mut command_line = format!("vm.runtime={runtime} vm.arguments={arguments} vm.only={only}");
    command_line += &match stand_in {
        true => format!(" rdinit=/{}", image::STAND_IN),
        false => " vm.left=yes".to_owned(),
    };
    command_line += " -- /bin/guest";
    let what = if stand_in { "rootfs" } else { suite.unwrap_or("own") };
    report.begin();
    let boot = Boot { name: &format!("suite-{what}"), command_line: &command_line, processors: 2 };
    let ended = machine.boot(&boot, |line| report.line(line))?;
    report.end(&ended, !only.is_empty());
    report.sum(&format!(
        "Linux {}, the runtime inside{}",
        kernel.version,
        if stand_in { ", on rootfs" } else { "" }
    ));
    Ok(())
}

/// The boots of [`CHECKS`].
fn checks(cli: &Cli, family: &Family, image: &image::Image, report: &mut Report) -> Result<()> {
    let kernel = kernel::cached(family, None)?;
    let machine = qemu::Machine { family, kernel: &kernel, initramfs: &image.path, disk: None };
    let checks: Vec<_> = CHECKS.iter().filter(|check| check.name.contains(&cli.only)).collect();
    let ended = thread::scope(|scope| {
        let boots: Vec<_> =
            checks.iter().map(|check| scope.spawn(|| machine.boot(&check.boot(), |_| {}))).collect();
        boots.into_iter().map(|boot| boot.join().expect("a boot does not panic")).collect::<Result<Vec<_>>>()
    })?;
    report.begin();
    for (check, ended) in checks.iter().zip(ended) {
        report.verdict(check.name, (check.judge)(&ended), &ended);
    }
    report.sum("init");
    Ok(())
}

/// The machines of every board, two at a time: each has one processor.
fn boot_boards(cli: &Cli, mut boards: Vec<Board>, report: &mut Report) -> Result<()> {
    boards.reverse();
    let (left, report) = (Mutex::new(boards), Mutex::new(report));
    let work = || -> Result<()> {
        loop {
            let board = left.lock().map_err(|_| anyhow::anyhow!("another boot panicked"))?.pop();
            let Some(board) = board else { return Ok(()) };
            let name = board.name();
            let booted = boards::boot(board, cli.hull.as_deref());
            let mut report = report.lock().map_err(|_| anyhow::anyhow!("another boot panicked"))?;
            report.begin();
            let kernel = match booted {
                Ok(booted) => boards::judge(&booted, &mut report),
                Err(error) => {
                    report.count(&format!("{name}_boots"), Err(format!("{error:#}")));
                    "?".to_owned()
                }
            };
            report.sum(&format!("{name}, Linux {kernel}"));
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        let own = work();
        other.join().expect("a boot does not panic").and(own)
    })
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
        command_line: "-- /no/such/program",
        judge: |ended| {
            let said = "hull: init: execute \"/no/such/program\": ENOENT: no such file or directory";
            ended.says(said).and(ended.powered_off())
        },
    },
    // This image has no settings.
    Check {
        name: "init_with_nothing_to_do_says_so_and_powers_off",
        command_line: "",
        judge: |ended| ended.says("hull: init: read /etc/hull.json: ENOENT").and(ended.powered_off()),
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
