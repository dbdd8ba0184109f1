//! What this program does when it is started inside a container, where no busybox applet does it.
//!
//! Prints facts; the test outside judges.

use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, mkdir};
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::process::{chdir, chroot, pivot_root};
use rustix::thread::{UnshareFlags, unshare_unsafe};
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
        "pivot-root" => leave_by_pivot_root(arguments.first().context("needs a path")?),
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

/// Makes `path` the root of a mount namespace of its own.
fn leave_by_pivot_root(path: &str) -> Result<()> {
    // SAFETY: this program has one thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_bind(path, path)?;
    chdir(path)?;
    match pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH)?,
        Err(errno) => bail!("pivot_root: {errno}"),
    }
    println!("{}", if std::fs::exists(MARKER)? { "sees the machine" } else { "left" });
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
