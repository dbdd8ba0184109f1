//! The host as the runtime sees it: the machine itself, or a private mount namespace in which something is missing.
//!
//! A `Host` is a list of system calls made between fork and exec, so nothing here ever changes the machine. All
//! memory they need is allocated before the fork.

use nix::libc;
use std::ffi::{CStr, CString};
use std::io;

/// A view of the machine, plus whatever is set up for the process before it runs.
#[derive(Clone)]
pub struct Host {
    pub name: &'static str,
    steps: Vec<Step>,
}

#[derive(Clone)]
enum Step {
    PrivateMounts,
    Detach(CString),
    Mount { source: CString, target: CString, kind: CString, flags: libc::c_ulong, data: CString },
    Filter(Vec<libc::sock_filter>),
    Limit { resource: libc::__rlimit_resource_t, soft: u64, hard: u64 },
    Umask(libc::mode_t),
    BlockAndIgnore,
    Pass { from: i32, to: i32 },
    NewSession { terminal_on: Option<i32> },
    DropCapabilities,
    User(u32),
}

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

impl Host {
    /// The machine as it booted: here cgroup v1 with a `unified` v2 mount beside it.
    pub fn machine() -> Host {
        Host { name: "machine", steps: Vec::new() }
    }

    /// cgroup v1 alone.
    pub fn v1() -> Host {
        Host::machine().named("v1").with(Step::PrivateMounts).with(Step::Detach(c("/sys/fs/cgroup/unified")))
    }

    /// cgroup v2 alone, at the usual place.
    pub fn cgroup2() -> Host {
        Host::bare("cgroup2").mount(
            "cgroup2",
            "/sys/fs/cgroup",
            "cgroup2",
            libc::MS_NOSUID | libc::MS_NODEV,
            "",
        )
    }

    /// No cgroup file system anywhere.
    pub fn no_cgroup() -> Host {
        Host::bare("no cgroup")
    }

    /// An empty tmpfs where the cgroup tree would be.
    pub fn empty_cgroup() -> Host {
        Host::bare("empty cgroup").mount("none", "/sys/fs/cgroup", "tmpfs", 0, "")
    }

    /// No /proc.
    pub fn no_proc() -> Host {
        Host::machine().named("no /proc").with(Step::PrivateMounts).with(Step::Detach(c("/proc")))
    }

    /// No /proc, and cgroup v2.
    pub fn no_proc_cgroup2() -> Host {
        let mut host = Host::cgroup2().named("no /proc, cgroup2");
        host.steps.push(Step::Detach(c("/proc")));
        host
    }

    /// Every view on which an ordinary container must come out the same.
    pub fn all() -> Vec<Host> {
        vec![
            Host::machine(),
            Host::v1(),
            Host::cgroup2(),
            Host::no_cgroup(),
            Host::empty_cgroup(),
            Host::no_proc(),
            Host::no_proc_cgroup2(),
        ]
    }

    fn bare(name: &'static str) -> Host {
        Host::machine().named(name).with(Step::PrivateMounts).with(Step::Detach(c("/sys/fs/cgroup")))
    }

    fn with(mut self, step: Step) -> Host {
        self.steps.push(step);
        self
    }

    /// The same host under another name.
    pub fn named(mut self, name: &'static str) -> Host {
        self.name = name;
        self
    }

    /// Mounts of its own before anything else is mounted.
    pub fn private(self) -> Host {
        if self.steps.iter().any(|step| matches!(step, Step::PrivateMounts)) {
            return self;
        }
        self.with(Step::PrivateMounts)
    }

    /// One more mount. The host must be a private one.
    pub fn mount(self, source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) -> Host {
        assert!(
            self.steps.iter().any(|step| matches!(step, Step::PrivateMounts)),
            "a mount on the machine itself"
        );
        let step = Step::Mount { source: c(source), target: c(target), kind: c(kind), flags, data: c(data) };
        self.with(step)
    }

    /// Unmounts lazily. The host must be a private one.
    pub fn detach(self, target: &str) -> Host {
        assert!(
            self.steps.iter().any(|step| matches!(step, Step::PrivateMounts)),
            "an umount on the machine itself"
        );
        self.with(Step::Detach(c(target)))
    }

    /// The named system calls fail with the given errno, in the runtime and in the container.
    pub fn without(self, calls: &[(&str, i32)]) -> Host {
        self.with(Step::Filter(crate::host::filter::refusing(calls)))
    }

    /// The system call fails with the given errno where a bit of `bits` is set in its argument `argument`.
    pub fn without_bits(self, call: &str, (argument, bits): (u32, u32), errno: i32) -> Host {
        self.with(Step::Filter(crate::host::filter::refusing_bits(call, (argument, bits), errno)))
    }

    /// Another limit on a resource.
    pub fn limit(self, resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> Host {
        self.with(Step::Limit { resource, soft, hard })
    }

    pub fn umask(self, mask: u32) -> Host {
        self.with(Step::Umask(mask))
    }

    /// The caller blocks every signal and ignores the usual ones, as careless supervisors do.
    pub fn signals_blocked_and_ignored(self) -> Host {
        self.with(Step::BlockAndIgnore)
    }

    /// The caller's descriptor `from` is open at `to`, not close-on-exec.
    pub fn pass(self, from: i32, to: i32) -> Host {
        self.with(Step::Pass { from, to })
    }

    /// Leads a session of its own, with descriptor `terminal_on` as controlling terminal if given.
    pub fn session(self, terminal_on: Option<i32>) -> Host {
        self.with(Step::NewSession { terminal_on })
    }

    /// Root without any capability.
    pub fn without_capabilities(self) -> Host {
        self.with(Step::DropCapabilities)
    }

    /// An ordinary user and group of this number, with no other groups. What follows is done without root's rights.
    pub fn user(self, id: u32) -> Host {
        self.with(Step::User(id))
    }

    /// Carries the steps out. Runs between fork and exec: system calls only.
    pub fn apply(&self) -> io::Result<()> {
        self.steps.iter().try_for_each(Step::apply)
    }
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: libc::c_ulong, data: &CStr) -> io::Result<()> {
    done(unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) })
}

impl Step {
    fn apply(&self) -> io::Result<()> {
        match self {
            Step::PrivateMounts => {
                done(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
                mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE, c"")
            }
            Step::Detach(target) => done(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }),
            Step::Mount { source, target, kind, flags, data } => mount(source, target, kind, *flags, data),
            Step::Filter(program) => install(program),
            Step::Limit { resource, soft, hard } => {
                let limit = libc::rlimit { rlim_cur: *soft, rlim_max: *hard };
                done(unsafe { libc::setrlimit(*resource, &limit) })
            }
            Step::Umask(mask) => {
                unsafe { libc::umask(*mask) };
                Ok(())
            }
            Step::BlockAndIgnore => block_and_ignore(),
            // A descriptor that is at its place already keeps its close-on-exec flag in dup2.
            Step::Pass { from, to } if from == to => done(unsafe { libc::fcntl(*from, libc::F_SETFD, 0) }),
            Step::Pass { from, to } => done(unsafe { libc::dup2(*from, *to) }),
            Step::NewSession { terminal_on } => {
                done(unsafe { libc::setsid() })?;
                terminal_on.map_or(Ok(()), |fd| done(unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) }))
            }
            Step::DropCapabilities => drop_capabilities(),
            Step::User(id) => become_user(*id),
        }
    }
}

fn block_and_ignore() -> io::Result<()> {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // The kernel's own structure: handler, flags, restorer, mask. The C library hides two numbers from its callers.
    let ignore = [libc::SIG_IGN as u64, 0, 0, 0];
    unsafe {
        for number in (1..=64).filter(|number| ![libc::SIGKILL, libc::SIGSTOP].contains(number)) {
            let none = std::ptr::null::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, number, ignore.as_ptr(), none, size_of::<u64>());
        }
        libc::sigfillset(all.as_mut_ptr());
        done(libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut()))
    }
}

/// The calls themselves: the C library's functions of these names would look for threads to take along.
fn become_user(id: u32) -> io::Result<()> {
    let none = std::ptr::null::<libc::gid_t>();
    for result in unsafe {
        [
            libc::syscall(libc::SYS_setgroups, 0, none),
            libc::syscall(libc::SYS_setresgid, id, id, id),
            libc::syscall(libc::SYS_setresuid, id, id, id),
        ]
    } {
        done(result as libc::c_int)?;
    }
    Ok(())
}

fn drop_capabilities() -> io::Result<()> {
    // capset, version 3: a header and two blocks of three words.
    let header = [0x2008_0522_u32, 0];
    let none = [0_u32; 6];
    for capability in 0..64 {
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    done(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } as libc::c_int)
}

fn install(program: &[libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    let mode = libc::SECCOMP_MODE_FILTER as libc::c_ulong;
    done(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &filter as *const libc::sock_fprog) })
}

pub mod filter {
    //! A seccomp program that makes chosen system calls fail: an older or stricter kernel, as far as a process can see.

    use nix::libc::{self, sock_filter};

    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const ANY: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;

    fn line(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
        sock_filter { code, jt, jf, k }
    }

    /// Calls as (name, errno); every other call is allowed.
    pub fn refusing(calls: &[(&str, i32)]) -> Vec<sock_filter> {
        let mut program = vec![line(LOAD, 0, 0, 0)];
        for (name, errno) in calls {
            program.push(line(EQUAL, 0, 1, number(name) as u32));
            program.push(line(RETURN, 0, 0, ERRNO | (*errno as u32 & 0xffff)));
        }
        program.push(line(RETURN, 0, 0, ALLOW));
        program
    }

    /// One call, where a bit of the low half of an argument is set.
    pub fn refusing_bits(name: &str, (argument, bits): (u32, u32), errno: i32) -> Vec<sock_filter> {
        vec![
            line(LOAD, 0, 0, 0),
            line(EQUAL, 0, 3, number(name) as u32),
            line(LOAD, 0, 0, 16 + 8 * argument),
            line(ANY, 0, 1, bits),
            line(RETURN, 0, 0, ERRNO | errno as u32),
            line(RETURN, 0, 0, ALLOW),
        ]
    }

    /// The number of a system call that some test blocks.
    pub fn number(name: &str) -> libc::c_long {
        let table = [
            ("clone3", libc::SYS_clone3),
            ("openat2", libc::SYS_openat2),
            ("ioprio_set", libc::SYS_ioprio_set),
            ("set_mempolicy", libc::SYS_set_mempolicy),
            ("sched_setattr", libc::SYS_sched_setattr),
            ("mount_setattr", libc::SYS_mount_setattr),
            ("open_tree", libc::SYS_open_tree),
            ("move_mount", libc::SYS_move_mount),
            ("fsopen", libc::SYS_fsopen),
            ("fsconfig", libc::SYS_fsconfig),
            ("fsmount", libc::SYS_fsmount),
            ("close_range", libc::SYS_close_range),
            ("memfd_create", libc::SYS_memfd_create),
            ("pidfd_open", libc::SYS_pidfd_open),
            ("pidfd_send_signal", libc::SYS_pidfd_send_signal),
            ("statx", libc::SYS_statx),
            ("faccessat2", libc::SYS_faccessat2),
            ("execveat", libc::SYS_execveat),
            ("bpf", libc::SYS_bpf),
            ("keyctl", libc::SYS_keyctl),
            ("signalfd4", libc::SYS_signalfd4),
            ("getrandom", libc::SYS_getrandom),
            ("setns", libc::SYS_setns),
            ("sethostname", libc::SYS_sethostname),
            ("pivot_root", libc::SYS_pivot_root),
            ("mount", libc::SYS_mount),
            ("unshare", libc::SYS_unshare),
            ("capset", libc::SYS_capset),
            ("seccomp", libc::SYS_seccomp),
        ];
        table.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no number for {name}")).1
    }
}
