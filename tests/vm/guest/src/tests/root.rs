//! A container's root when the machine's own is the initramfs, which pivot_root(2) refuses to leave.

use std::ffi::c_char;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::null;

use anyhow::{Context, Result, ensure};
use rustix::fs::statfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::Test;
use crate::bundle::Bundle;
use crate::machine::{MARKER, Machine, read, same};

pub const TESTS: &[Test] = &[
    ("the_machine_is_on_an_initramfs", the_machine_is_on_an_initramfs),
    ("a_container_sees_only_its_own_root", a_container_sees_only_its_own_root),
    ("no_mount_of_the_machine_is_left_in_a_container", no_mount_of_the_machine_is_left_in_a_container),
    ("a_chroot_inside_a_container_leads_nowhere", a_chroot_inside_a_container_leads_nowhere),
    ("pivot_root_leaves_the_machine_for_a_container", pivot_root_leaves_the_machine_for_a_container),
    ("a_writable_root_keeps_what_is_written", a_writable_root_keeps_what_is_written),
    ("the_mounts_of_the_config_are_there", the_mounts_of_the_config_are_there),
    ("runs_without_proc_on_the_machine", runs_without_proc_on_the_machine),
];

/// The premise of this file, and so its control.
fn the_machine_is_on_an_initramfs(_: &Machine) -> Result<()> {
    let mounts = read("/proc/self/mountinfo")?;
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).context("no root")?;
    ensure!(root.contains(" - rootfs "), "{root}");
    ensure!(fs::exists(MARKER)?);
    Ok(())
}

fn a_container_sees_only_its_own_root(machine: &Machine) -> Result<()> {
    let script = "ls -a /; echo up; ls -a /../..; echo init; ls -a /proc/1/root/; echo cwd; pwd";
    let out = Bundle::sh(machine, script)?.succeed()?;
    let own = ".\n..\nbin\ndev\nproc\nsys\ntmp\n";
    same("what it sees", out, format!("{own}up\n{own}init\n{own}cwd\n/\n"))
}

fn no_mount_of_the_machine_is_left_in_a_container(machine: &Machine) -> Result<()> {
    let out = Bundle::sh(machine, "cat /proc/self/mountinfo")?.succeed()?;
    let mut roots = 0;
    for line in out.lines() {
        let point = line.split(' ').nth(4).with_context(|| format!("not mountinfo: {line}"))?;
        roots += usize::from(point == "/");
        let known = ["/proc", "/sys", "/dev"]
            .iter()
            .any(|top| point.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
        ensure!(known || point == "/", "{line}");
    }
    same("roots", roots, 1)
}

fn a_chroot_inside_a_container_leads_nowhere(machine: &Machine) -> Result<()> {
    let bundle = Bundle::new(machine, &["/bin/guest", "leave-chroot"])?;
    let bundle = bundle.add_capability("CAP_SYS_CHROOT")?.set("/root/readonly", false.into())?;
    same("after the chroot", bundle.succeed()?.trim_end(), "in")
}

/// hull as init moves onto a bind mount of rootfs, which pivot_root(2) takes, so a container needs no other way. The control is
/// another init, with which the containers of this file need it.
fn pivot_root_leaves_the_machine_for_a_container(machine: &Machine) -> Result<()> {
    let bundle = Bundle::new(machine, &["/bin/true"])?;
    let mut guest = Command::new("/bin/guest");
    let output = guest.arg("pivot-root").arg(bundle.rootfs()).output()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match machine.left {
        true => ensure!(out == "left\n", "{out}{err}"),
        false => ensure!(err.starts_with("probe pivot-root: pivot_root: Invalid argument"), "{out}{err}"),
    }
    Ok(())
}

fn a_writable_root_keeps_what_is_written(machine: &Machine) -> Result<()> {
    let read_only = Bundle::sh(machine, "echo x >/tmp/file")?;
    let output = read_only.set("/root/readonly", true.into())?.run()?;
    ensure!(output.code == 1 && output.err.contains("Read-only file system"), "{output:?}");

    let bundle = Bundle::sh(machine, "echo kept >/tmp/file")?.set("/root/readonly", false.into())?;
    bundle.succeed()?;
    same("the file", read(bundle.rootfs().join("tmp/file"))?, "kept".to_owned())
}

fn the_mounts_of_the_config_are_there(machine: &Machine) -> Result<()> {
    let out = Bundle::sh(machine, "cat /proc/mounts")?.succeed()?;
    let expected = [
        ("/proc", "proc"),
        ("/dev", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/dev/shm", "tmpfs"),
        ("/dev/mqueue", "mqueue"),
        ("/sys", "sysfs"),
        ("/sys/fs/cgroup", "cgroup2"),
    ];
    for (point, kind) in expected {
        let mut found = out.lines().map(|line| line.split(' ').skip(1).take(2).collect::<Vec<_>>());
        ensure!(found.any(|fields| fields == [point, kind]), "no {kind} on {point}: {out}");
    }
    Ok(())
}

/// The kernel's number for procfs, as statfs(2) gives it.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

fn runs_without_proc_on_the_machine(machine: &Machine) -> Result<()> {
    let bundle = Bundle::sh(machine, "cat /proc/self/comm; hostname")?.set("/hostname", "inside".into())?;
    let release = read("/proc/sys/kernel/osrelease")?;
    let _mounted_again = WithoutProc::new()?;
    if let Err(error) = executes_by_descriptor() {
        // TOMOYO before Linux 6.12, where Debian did not mend it: no program starts from a descriptor, so hull can't protect itself
        ensure!(release.starts_with("5.") && error.kind() == ErrorKind::NotFound, "{release}: {error}");
        let output = bundle.run()?;
        let told = "execute a sealed copy of hull's own binary";
        ensure!(output.code == 1 && output.err.contains(told) && output.err.contains("ENOENT"), "{output:?}");
        return Ok(());
    }
    same("what it says", bundle.succeed()?, "cat\ninside\n".to_owned())
}

/// Whether the kernel starts a program that it is given as a descriptor alone.
fn executes_by_descriptor() -> std::io::Result<()> {
    let busybox = fs::File::open("/bin/busybox")?;
    let mut command = Command::new("/bin/busybox");
    // SAFETY: execveat(2) is all that happens between fork and exec; both vectors end with NULL.
    unsafe {
        command.pre_exec(move || {
            let argv = [c"true".as_ptr(), null()];
            let envp = [null::<c_char>()];
            let (file, empty) = (busybox.as_raw_fd(), libc::AT_EMPTY_PATH);
            libc::syscall(libc::SYS_execveat, file, c"".as_ptr(), argv.as_ptr(), envp.as_ptr(), empty);
            Err(std::io::Error::last_os_error())
        });
    }
    command.status().map(|_| ())
}

/// The machine without /proc, until this is dropped.
struct WithoutProc;

impl WithoutProc {
    fn new() -> Result<WithoutProc> {
        unmount("/proc", UnmountFlags::DETACH).context("umount /proc")?;
        let guard = WithoutProc;
        ensure!(statfs("/proc")?.f_type as u64 != PROC_SUPER_MAGIC, "/proc is mounted twice");
        Ok(guard)
    }
}

impl Drop for WithoutProc {
    fn drop(&mut self) {
        if let Err(error) = mount("proc", "/proc", "proc", MountFlags::empty(), None) {
            println!("mount /proc again: {error}");
        }
    }
}
