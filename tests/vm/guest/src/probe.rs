//! What this program does when it is started inside a container, where no busybox applet does it.
//!
//! Prints facts; the test outside judges.

use std::hint::black_box;
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, mkdir};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, chroot};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustix::time::{ClockId, clock_gettime};

use crate::machine::MARKER;

pub fn main(name: &str, arguments: &[String]) -> ExitCode {
    match run(name, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("probe {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, arguments: &[String]) -> Result<()> {
    let number = || -> Result<usize> { Ok(arguments.first().context("needs a number")?.parse()?) };
    match name {
        "memory" => memory(number()?),
        "processes" => processes(number()?),
        "leave-chroot" => leave_chroot(),
        "below" => below(),
        "clocks" => clocks(),
        "open" => open(arguments.first().context("needs a path")?),
        _ => bail!("no such probe"),
    }
}

/// Has this many MiB at once, each page written to.
fn memory(mebibytes: usize) -> Result<()> {
    let mut bytes = vec![0u8; mebibytes << 20];
    bytes.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    println!("has {} MiB", black_box(&bytes).len() >> 20);
    Ok(())
}

/// Starts this many processes that stay, as far as it is let; says how many, and ends them.
fn processes(wanted: usize) -> Result<()> {
    let mut children = Vec::new();
    for _ in 0..wanted {
        match Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn() {
            Ok(child) => children.push(child),
            Err(error) => {
                println!("stopped by {error}");
                break;
            }
        }
    }
    println!("started {}", children.len());
    for mut child in children {
        drop(child.stdin.take());
        child.wait()?;
    }
    Ok(())
}

/// The old way out of a bare chroot: a second one below, then up from a directory that is outside of it.
fn leave_chroot() -> Result<()> {
    mkdir("/tmp/below", Mode::RWXU)?;
    chdir("/")?;
    chroot("/tmp/below")?;
    for _ in 0..64 {
        chdir("..")?;
    }
    chroot(".")?;
    println!("{}", if std::fs::exists(MARKER)? { "out" } else { "in" });
    Ok(())
}

/// What the mount namespace has below the root of a privileged container: takes the root away, and enters the namespace anew.
fn below() -> Result<()> {
    let own = std::fs::File::open("/proc/self/ns/mnt")?;
    let seen = std::fs::exists(MARKER)?;
    unmount("/", UnmountFlags::DETACH).context("unmount /")?;
    // Where there is nothing, there is nothing to enter.
    let entered = move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Mount)).is_ok();
    let out = entered && std::fs::exists(MARKER)?;
    println!("{} {}", if seen { "seen" } else { "hidden" }, if out { "out" } else { "in" });
    Ok(())
}

fn clocks() -> Result<()> {
    println!("{} {}", clock_gettime(ClockId::Monotonic).tv_sec, clock_gettime(ClockId::Boottime).tv_sec);
    Ok(())
}

fn open(path: &str) -> Result<()> {
    match std::fs::File::open(path) {
        Ok(_) => println!("opened"),
        Err(error) => println!("errno {}", error.raw_os_error().unwrap_or_default()),
    }
    Ok(())
}
