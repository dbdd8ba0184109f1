//! hull as `/init` of an initramfs, first stage: the mounts that everything needs, one program, its end, power off.
//!
//! PID 1 never exits and never panics the kernel: every way out of [`main`] is a power-off, and what fails on the way is
//! said and passed over. The program comes from the kernel command line: `hull.run=/path`, or words behind `--`.

use crate::base::text::{Message, Template, Words, after, quoted};
use crate::effect::procfs;
use crate::put;
use crate::rt::arena::Arena;
use crate::rt::c_string;
use crate::rt::region;
use crate::rt::start::Start;
use crate::sys::open;
use crate::sys::process::{self, Cloned};
use crate::sys::stdio::{Line, write_error};
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{self, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};

/// Writes one line of words to standard error.
macro_rules! say {
    ($($words:tt)+) => { $crate::message!({print} () $($words)+) };
}

/// Whether this process is the init of a machine: called `init`, with pid 1.
pub fn is_init(start: &Start) -> bool {
    let name = start.args().next().map_or(&[][..], |name| crate::base::path::last(name.to_bytes()));
    name == b"init" && process::own_pid() == 1
}

/// What is mounted before anything else: target and type of each.
const MOUNTS: &[u8] = b"/proc\0proc\0/sys\0sysfs\0/dev\0devtmpfs\0/run\0tmpfs\0/sys/fs/cgroup\0cgroup2\0";
/// The flags of each, in the order of [`MOUNTS`].
const FLAGS: [MountFlags; 5] =
    [SAFE, SAFE, MountFlags::NOSUID, MountFlags::NOSUID.union(MountFlags::NODEV), SAFE];
const SAFE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// PID 1. Returns only where the power-off is refused, with the exit code that would panic the kernel.
pub fn main(start: &Start) -> u8 {
    let arena = region::small();
    let mut rest = MOUNTS;
    let mut next = || {
        let text = c_string::until_nul(rest).unwrap_or(c"");
        rest = rest.get(text.count_bytes().wrapping_add(1)..).unwrap_or(&[]);
        text
    };
    for flags in FLAGS {
        let (target, kind) = (next(), next());
        // only a tmpfs, which devtmpfs is as well, has a mode to give
        early_mount(target, kind, flags, (flags != SAFE).then_some(c"mode=755"));
    }
    let code = match program(&arena, start) {
        Some(args) => supervise(&arena, start, args),
        None => {
            say!("nothing to run (kernel command line: hull.run=/path/to/program)");
            1
        }
    };
    say!("powering off, exit code ", code);
    fs::sync();
    if let Err(errno) = rustix::system::reboot(rustix::system::RebootCommand::PowerOff) {
        say!("power off: ", crate::sys::errno::Named(errno));
    }
    loop {
        rustix::event::pause();
    }
}

fn print(template: Template, words: Words<'_>) {
    let mut line = Line::new();
    put!(&mut line, "hull: init: ", Message(template, words), "\n");
    write_error(line.bytes());
}

fn early_mount(target: &CStr, kind: &CStr, flags: MountFlags, data: Option<&CStr>) {
    match fs::mkdirat(CWD, target, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => say!("make ", quoted(target), ": ", crate::sys::errno::Named(errno)),
    }
    match mount(kind, target, kind, flags, data) {
        // mounted already, by the kernel or by whoever was init before
        Ok(()) | Err(Errno::BUSY) => {}
        Err(errno) => say!("mount ", quoted(target), ": ", crate::sys::errno::Named(errno)),
    }
}

/// The program and its arguments.
fn program(arena: &Arena<'static>, start: &Start) -> Option<&'static [&'static CStr]> {
    let mut list = arena.list::<&'static CStr>(64).ok()?;
    for word in start.args().skip(1).take(64) {
        list.push(word).ok()?;
    }
    if list.items().is_empty() {
        let file = open::open(CWD, c"/proc/cmdline", OFlags::RDONLY).ok()?;
        let line = procfs::read_all(arena, file.as_fd(), 16 << 10).ok()?;
        let path = line.split(|b| b.is_ascii_whitespace()).find_map(|word| after(word, b"hull.run="))?;
        list.push(arena.c_str(path).ok()?).ok()?;
    }
    Some(list.done())
}

/// Runs the program to its end, reaping whatever else ends.
fn supervise(arena: &Arena<'static>, start: &Start, args: &[&'static CStr]) -> u8 {
    let Some(name) = args.first() else { return 1 };
    let child = match process::clone(0) {
        Ok(Cloned::Parent(pid)) => pid,
        Ok(Cloned::Child) => execute(arena, start, args),
        Err(fault) => {
            say!("start ", quoted(name), ": ", crate::sys::errno::Named(fault.errno()));
            return 1;
        }
    };
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => {
                let code = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => code as u8,
                    (_, Some(signal)) => 128u8.saturating_add(signal as u8),
                    _ => 1,
                };
                say!(*name, " exited with ", code);
                return code;
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                say!("wait: ", crate::sys::errno::Named(errno));
                return 1;
            }
        }
    }
}

fn execute(arena: &Arena<'static>, start: &Start, args: &[&'static CStr]) -> ! {
    let failed = |text: &str| {
        say!(text);
        process::exit(127)
    };
    if rustix::process::setsid().is_err() {
        failed("setsid failed");
    }
    let Ok(argv) = process::Vector::new(arena, args.len(), args.iter().copied()) else { failed("no memory") };
    let Ok(envp) = process::Vector::new(arena, start.env().count(), start.env()) else { failed("no memory") };
    let errno = process::execve(args.first().copied().unwrap_or(c""), &argv, &envp);
    say!("execute ", args.first().map(|name| quoted(name)), ": ", crate::sys::errno::Named(errno));
    process::exit(127)
}
