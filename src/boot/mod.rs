//! hull as `/init` of an initramfs or of a root image, first stage: the root, the mounts that everything needs, the image's
//! bundles one after the other, each by a starter of its own, then power off or reboot.
//!
//! PID 1 never exits and never panics the kernel: what fails on the way is said and passed over, and every way out of
//! [`main`] ends the machine from a child. It parses /etc/hull.json, which is the machine's own, and never a bundle. In the
//! place of the bundles the kernel command line can name a program, with its arguments, behind `--`.

mod settings;

use crate::base::text::{Message, Template, Words, quoted};
use crate::effect::{Outcome, call, cgroup};
use crate::error::EXIT_FAILURE;
use crate::rt::arena::Full;
use crate::rt::c_string;
use crate::rt::region;
use crate::rt::start::{Start, Strings};
use crate::stage::foreground;
use crate::sys::errno::Named;
use crate::sys::open;
use crate::sys::process::{self, Cloned, Vector};
use crate::sys::stdio::{Line, write_error};
use crate::{c_join, put};
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fs::{self, CWD, OFlags};
use rustix::io::Errno;
use rustix::process::{WaitOptions, chdir, chroot};
use settings::{End, Settings};

/// Writes one line of words to standard error.
macro_rules! say {
    ($($words:tt)+) => { $crate::message!({print} () $($words)+) };
}

/// Whether this process is the init of a machine: called `init`, with pid 1.
pub fn is_init(start: &Start) -> bool {
    let name = start.args().next().map_or(&[][..], |name| crate::base::path::last(name.to_bytes()));
    name == b"init" && process::own_pid() == 1
}

/// What is mounted before anything runs: target and type of each.
const MOUNTS: &[u8] = b"/proc\0proc\0/sys\0sysfs\0/dev\0devtmpfs\0/run\0tmpfs\0/sys/fs/cgroup\0cgroup2\0";
/// The flags of each, in the order of [`MOUNTS`].
const FLAGS: [u32; 5] = [SAFE, SAFE, n::MS_NOSUID, n::MS_NOSUID | n::MS_NODEV, SAFE];
const SAFE: u32 = n::MS_NOSUID | n::MS_NODEV | n::MS_NOEXEC;

/// PID 1; never returns.
#[cold]
pub fn main(start: &Start) -> u8 {
    let arena = region::small();
    let mut settings = Settings::read(&arena);
    if let Some(device) = settings.root() {
        // it has to have a name
        early_mount(c"/dev", c"devtmpfs", n::MS_NOSUID);
        load_modules(&settings);
        enter(device, settings.rootfstype(), n::MS_RDONLY);
        settings = Settings::read(&arena);
    } else {
        // the kernel's own rootfs, which pivot_root(2) refuses to leave: a bind mount of it can be left
        enter(c"/", c"", n::MS_BIND);
        load_modules(&settings);
    }
    let mut rest = MOUNTS;
    let mut next = || {
        let text = c_string::until_nul(rest).unwrap_or(c"");
        rest = rest.get(text.count_bytes().wrapping_add(1)..).unwrap_or(&[]);
        text
    };
    for flags in FLAGS {
        early_mount(next(), next(), flags);
    }
    let vector = |words: Strings| Vector::new(&arena, words.count(), words);
    let mut words = start.args();
    words.next();
    if let Some(name) = { words }.next() {
        supervise(name, name, vector(words), vector(start.env()));
    } else {
        for name in settings.bundles() {
            if let Ok(path) = c_join!(arena, "/bundles/", name) {
                let argv = [c"hull", c"run", c"-b", path, name];
                supervise(
                    name,
                    c"/proc/self/exe",
                    Vector::new(&arena, 5, argv.into_iter()),
                    vector(start.env()),
                );
            }
        }
    }
    end(settings.end())
}

/// Ends the machine from a child: where the kernel can't do it, the call ends the process that makes it, and the end of
/// PID 1 is a panic.
fn end(end: Option<End>) -> ! {
    say!(end.unwrap_or(End::PowerOff).word());
    fs::sync();
    if !matches!(process::clone(0), Ok(Cloned::Parent(_))) {
        let command = match end {
            Some(End::Reboot) => rustix::system::RebootCommand::Restart,
            _ => rustix::system::RebootCommand::PowerOff,
        };
        check("call", c"reboot", rustix::system::reboot(command).map_err(Into::into));
    }
    loop {
        rustix::event::pause();
    }
}

/// Loads the modules in the order given, which is one in which each finds what it needs.
fn load_modules(settings: &Settings<'_>) {
    for path in settings.modules() {
        let loaded = open::open(CWD, path, OFlags::RDONLY)
            .and_then(|file| Ok(rustix::system::finit_module(file, c"", 0)?));
        check("load", path, loaded);
    }
}

/// Mounts the file system and makes it the root. What it is on may still have to appear: a card reader answers when it
/// likes, so there are ten seconds for it.
fn enter(device: &CStr, kind: &CStr, flags: u32) {
    make_directory(c"/run");
    let mut left = 100u8;
    let entered = loop {
        match call::mount(device, c"/run", kind, flags, None) {
            Err(fault) if left > 0 && (fault.is(Errno::NOENT) || fault.is(Errno::NXIO)) => {
                left = left.wrapping_sub(1);
                cgroup::rest(100_000_000);
            }
            other => break other,
        }
    };
    let entered = entered
        .and_then(|()| Ok(chdir(c"/run")?))
        .and_then(|()| call::mount(c".", c"/", c"", n::MS_MOVE, None))
        .and_then(|()| Ok(chroot(c".")?));
    check("enter", device, entered);
}

fn print(template: Template, words: Words<'_>) {
    let mut line = Line::new();
    put!(&mut line, "hull: init: ", Message(template, words), "\n");
    write_error(line.bytes());
}

/// Says what failed.
#[inline(never)]
fn check(operation: &str, object: &CStr, outcome: Outcome<()>) {
    if let Err(fault) = outcome {
        say!(operation, " ", quoted(object), ": ", Named(fault.errno()));
    }
}

fn make_directory(path: &CStr) {
    // where it can't be made, the mount says so
    match call::make_directory(CWD, path, 0o755) {
        Ok(()) | Err(_) => {}
    }
}

fn early_mount(target: &CStr, kind: &CStr, flags: u32) {
    make_directory(target);
    // only a tmpfs, which devtmpfs is as well, has a mode to give
    match call::mount(kind, target, kind, flags, (flags != SAFE).then_some(c"mode=755")) {
        // mounted already, by the kernel or by whoever was init before
        Err(fault) if fault.is(Errno::BUSY) => {}
        mounted => check("mount", target, mounted),
    }
}

/// Runs a program to its end, reaping whatever else ends.
fn supervise(name: &CStr, path: &CStr, argv: Result<Vector<'_>, Full>, envp: Result<Vector<'_>, Full>) {
    match run(path, argv, envp) {
        Ok(code) => say!(name, " exited with ", code.unwrap_or(EXIT_FAILURE)),
        failed => check("run", name, failed.map(|_| ())),
    }
}

fn run(path: &CStr, argv: Result<Vector<'_>, Full>, envp: Result<Vector<'_>, Full>) -> Outcome<Option<u8>> {
    let (argv, envp) = (argv?, envp?);
    match process::clone(0)? {
        Cloned::Parent(pid) => foreground::reap(pid, WaitOptions::empty()),
        Cloned::Child => {
            let session = rustix::process::setsid();
            let errno = session.err().unwrap_or_else(|| process::execve(path, &argv, &envp));
            check("execute", path, Err(errno.into()));
            process::exit(127)
        }
    }
}
