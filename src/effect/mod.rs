//! Effects: one function an operation, each carrying out exactly what the plan says.
//!
//! A function here may choose only among listed ways to the same outcome (a newer call, its fallback on an errno set);
//! it never decides what the outcome is. Results are errnos with an optional hint: the child can only send numbers
//! home, and the parent words them from its own copy of the plan.

pub mod bind;
pub mod call;
pub mod cgroup;
pub mod copy;
pub mod device;
pub mod exec;
pub mod hook;
pub mod identity;
pub mod idmap;
pub mod inside;
pub mod mount;
pub mod namespace;
pub mod netdev;
pub mod probe;
pub mod process;
pub mod procfs;
pub mod resctrl;
pub mod resolve;
pub mod root;
pub mod seccomp;
pub mod terminal;

use crate::base::text::{Template, Words};
use crate::error::Error;
use crate::rt::arena::Arena;
pub use crate::sys::fault::{Fault, Outcome};
use crate::text;
use rustix::io::Errno;

impl Fault {
    /// An errno with a hint.
    pub const fn new(errno: Errno, hint: Hint) -> Fault {
        Fault::with(errno, hint as u8)
    }

    /// The same with a hint.
    pub const fn hinted(self, hint: Hint) -> Fault {
        self.noted(hint as u8)
    }

    /// Whether this means "this kernel or a filter in front of it does not have the call": vendor kernels and seccomp
    /// profiles return any of these for a call they don't know.
    #[inline(never)]
    pub fn is_missing(self) -> bool {
        matches!(self.errno(), Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP)
    }

    /// What hull knows beside it.
    pub fn hint(self) -> Hint {
        Hint::from_code(self.byte())
    }

    /// In words, as an error with its hint; by `message!({fault.told} (arena) "clone the process")`.
    #[cold]
    #[inline(never)]
    pub fn told<'a>(self, arena: &Arena<'a>, template: Template, words: Words<'_>) -> Error<'a> {
        Error::of(arena, self.errno(), template, words).hint(arena, self.hint().text())
    }
}

macro_rules! hints {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal,)+) => {
        /// A hint by number, so that it fits into the child's report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Hint { $($(#[$doc])* $name = $code,)+ }
        impl Hint {
            /// The hint's text; empty for `None`.
            pub fn text(self) -> Template { crate::texts![$($text),+].nth(self as usize).unwrap_or(text!("")) }
            /// The hint of `code`.
            pub fn from_code(code: u8) -> Hint { match code { $($code => Hint::$name,)+ _ => Hint::None } }
        }
    };
}
hints! {
    /// Nothing to add.
    None = 0 "",
    /// CVE-2019-19921 and kin.
    NotOrdinary = 1 "must be mounted on ordinary directory of the root, without a symlink on the way",
    /// CVE-2024-21626.
    OutsideRoot = 2 "the directory lies outside the container's root",
    /// A read-only image without the mount's target.
    MissingTarget = 3 "the target does not exist and the root is read-only: create it in the image",
    /// PATH was searched.
    NotInPath = 4 "executable file not found in $PATH",
    /// The rootfs is not there.
    NoRoot = 5 "root.path in config.json must name the directory with the root filesystem",
    /// /dev/null of the container is something else (CVE-2025-31133).
    NotNull = 6 "the container's /dev/null is not the null device",
    /// A recursive option on an old kernel.
    NeedsSetattr = 7 "a mount of the tree is hidden below another: recursive options reach it with mount_setattr (Linux 5.12)",
    /// A controller that is not there.
    NoController = 8 "the cgroup has no such file: the kernel lacks the option, the boot option cgroup_enable= is missing, or a cgroup above has processes of its own or is threaded",
    /// Somebody else's processes.
    CgroupBusy = 9 "container's cgroup is not empty: choose another linux.cgroupsPath",
    /// No eBPF for cgroups.
    NoBpf = 10 "device rules on cgroup v2 need the kernel options CONFIG_CGROUP_BPF and CONFIG_BPF_SYSCALL, and CAP_SYS_ADMIN",
    /// No procfs to be had.
    NoProc = 11 "no /proc is mounted and this kernel can't make a private one (fsopen, Linux 5.2)",
    /// pivot_root is impossible and so is the other way.
    NoPivot = 12 "the host's root can't be left by pivot_root (initramfs), and the other way needs a procfs to find its mounts",
    /// The kernel lacks a kind of namespace.
    NoNamespace = 13 "the kernel may lack this kind of namespace (CONFIG_USER_NS, CONFIG_PID_NS, CONFIG_NET_NS, CONFIG_UTS_NS, CONFIG_IPC_NS, CONFIG_TIME_NS, CONFIG_CGROUPS), or a limit in /proc/sys/user is reached",
    /// No devpts in the container.
    NoPts = 14 "process.terminal needs a devpts mounted on /dev/pts in the container",
    /// Ids that the user namespace does not map.
    NotMapped = 15 "is the id mapped in the user namespace (linux.uidMappings, linux.gidMappings)?",
    /// Capabilities or limits that hull itself does not have.
    NotPrivileged = 16 "hull itself lacks the privilege that this needs",
    /// The parent died.
    ParentGone = 17 "the parent is gone",
    /// A memory limit that is smaller than what the start needs.
    MemoryLimit = 18 "the memory limit is too small to start the container",
    /// A hook ended with a failure.
    HookFailed = 19 "the hook ended with a failure",
    /// A hook took longer than its timeout.
    HookLate = 20 "the hook was killed after its timeout",
    /// A log must make nobody wait.
    NotAFile = 21 "the log must be a regular file",
    /// A path that leads to something else.
    NotNamespace = 22 "the path must be that of a namespace of this kind",
    /// Mappings beside a joined user namespace.
    OtherMap = 23 "the joined user namespace has other mappings: leave those of the config out",
    /// A pid namespace without its first process.
    NoInit = 24 "has the first process of the joined pid namespace ended?",
    /// Something left by somebody.
    CgroupFrozen = 25 "container's cgroup unexpectedly frozen",
    /// More ids than an ordinary user may map.
    NoMapper = 26 "an ordinary user needs newuidmap and newgidmap (package uidmap), and the ids in /etc/subuid and /etc/subgid",
    /// setgroups is denied.
    NoGroups = 27 "cannot set any additional groups in a rootless container",
    /// A value that only some kernels know.
    NoKnob = 28 "a wrong value, or the kernel lacks it (CONFIG_NUMA, CONFIG_BLOCK, CONFIG_UCLAMP_TASK, CONFIG_COMPAT)",
    /// A security module that is not there, or a profile.
    NoModule = 29 "is the module on (CONFIG_SECURITY_APPARMOR, CONFIG_SECURITY_SELINUX, boot option lsm=), and the profile loaded?",
    /// Priority over the host's processes.
    NoPriority = 30 "hull needs CAP_SYS_NICE for this, and in a v1 cgroup linux.resources.cpu.realtimeRuntime too",
    /// A class of service that others set.
    OtherSchemata = 31 "the class of service is there with other schemata",
    /// No id-mapped mount here.
    NoIdMap = 32 "id-mapped mounts need Linux 5.12, the host's root, and a file system that takes part",
    /// A limit that would make the OOM killer come at once.
    InUse = 33 "more is in use than the new limit",
    /// Filters, flags and actions that an older kernel lacks.
    NoSeccomp = 34 "does the kernel have CONFIG_SECCOMP_FILTER, and each action and flag of linux.seccomp?",
}
