//! The operations of a plan: small, plain data, each put into words in one place, here.
//!
//! Two lists run in the parent ([`HostOp`]), before the clone and after it, and one in the child ([`Op`]). The words
//! are both what `hull plan` prints and what an error names: `mount "proc" on "/proc"`.
//!
//! Must not do: hold a descriptor, a probed fact of the moment, or a decision left open. What an operation comes to is
//! fixed here; `effect` chooses only among listed ways to the same outcome.

use super::limits;
use crate::base::bpf::{Classic, Instruction};
use crate::base::knob::Knob;
use crate::base::text::{Hex, Octal, Part, Put, Sink, quoted};
use crate::base::words;
use crate::names::namespaces::NamespaceKind;
use crate::put;
use core::ffi::CStr;

/// A place inside the container: a cleaned path relative to its root, without leading or trailing slash.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The whole path; empty for the root itself.
    pub path: &'a CStr,
    /// Its directory; empty for the root.
    pub parent: &'a CStr,
    /// Its last component.
    pub name: &'a CStr,
    /// `parent` lies in a file system that this plan makes (proc, sysfs, a fresh tmpfs, ...): nobody else can put a
    /// symlink there, so `name` may be used as it stands. Anywhere else the path is resolved inside the root, fd by fd.
    pub ours: bool,
    /// `parent` is such a tmpfs, and nothing else was made at this place: it must be created.
    pub fresh: bool,
}

impl Put for Place<'_> {
    fn put(&self, to: &mut dyn Sink) {
        put!(to, "\"/", self.path, "\"");
    }
}

/// A path of the host that is bound into the container.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Where it is, absolute.
    pub path: &'a CStr,
    /// Where the parent left an open clone of it, because the child's user namespace may not reach it.
    pub slot: Option<u16>,
}

impl Put for Source<'_> {
    fn put(&self, to: &mut dyn Sink) {
        quoted(self.path).put(to);
    }
}

/// How the new mount comes to be.
#[derive(Clone, Copy, Debug)]
pub enum Form<'a> {
    /// A file system of its own: mount(2) with type, source and data.
    New { kind: &'a CStr, source: &'a CStr, data: Option<&'a CStr> },
    /// A view of a host path.
    Bind { source: Source<'a>, recursive: bool },
    /// What is mounted there, changed: the mount alone where `bind`, else its file system too, with data of its own.
    Change { bind: bool, data: Option<&'a CStr> },
    /// The cgroup v2 tree of the container; `host` is its directory on the host, bound where cgroup2 can't be mounted
    /// anew (no cgroup namespace of its own, or a user namespace that may not).
    Cgroup2 { host: Option<&'a CStr>, bind: bool },
}

/// How the ids of a mount are mapped: by a user namespace (mount_setattr(2), "ID-mapped mounts").
#[derive(Clone, Copy, Debug)]
pub struct IdMap<'a> {
    /// One that is there; else one with these maps is made for it.
    pub path: Option<&'a CStr>,
    /// Lines of uid_map and gid_map (user_namespaces(7)).
    pub maps: [&'a CStr; 2],
    /// The whole tree.
    pub recursive: bool,
}

/// One mount.
#[derive(Clone, Copy, Debug)]
pub struct Mount<'a> {
    /// Where.
    pub place: &'a Place<'a>,
    /// What.
    pub form: Form<'a>,
    /// MS_* for mount(2), for a new file system.
    pub flags: u32,
    /// MOUNT_ATTR_* bits to set and clear on a bind mount itself.
    pub attributes: (u32, u32),
    /// MOUNT_ATTR_* bits to set and clear on the whole tree.
    pub recursive: (u32, u32),
    /// MS_* propagations, each applied in turn; unused ones are 0.
    pub propagation: [u32; 2],
    /// The directory below is copied into the new tmpfs.
    pub copy_up: bool,
    /// A tmpfs without a mode of its own: it takes that of the directory it covers, as in runc.
    pub inherit_mode: bool,
    /// The target must be a directory of the root itself, reached without a symlink: /proc and /sys of an image could
    /// otherwise point anywhere (CVE-2019-19921, CVE-2023-27561).
    pub ordinary: bool,
    /// It becomes read-only once everything in it is there, by an operation of its own.
    pub sealed: bool,
}

/// A device node.
#[derive(Clone, Copy, Debug)]
pub struct Device<'a> {
    /// Where.
    pub place: &'a Place<'a>,
    /// S_IFCHR, S_IFBLK or S_IFIFO, and the permission bits.
    pub mode: u32,
    /// Major and minor number.
    pub number: (u32, u32),
    /// Owner and group inside the container.
    pub owner: (u32, u32),
    /// The host's node, bound instead where mknod is refused: known beforehand in a user namespace (then with a slot), or
    /// found out (device rules that forbid it).
    pub host: Source<'a>,
}

/// Capability sets, bit n for capability n (capabilities(7)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub bounding: u64,
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
    pub ambient: u64,
}

/// The program to run.
#[derive(Clone, Copy, Debug)]
pub struct Exec<'a> {
    /// argv, at least one.
    pub args: &'a [&'a CStr],
    /// The environment, without HOME where `home` is set.
    pub env: &'a [&'a CStr],
    /// The value of PATH, searched where the program's name has no slash.
    pub path: Option<&'a CStr>,
    /// HOME is taken from the container's /etc/passwd for this uid.
    pub home: Option<u32>,
    /// Descriptors from 3 on that stay open.
    pub preserve_fds: u32,
}

/// A filter of system calls.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Its instructions.
    pub program: &'a [Classic],
    /// SECCOMP_FILTER_FLAG_* (seccomp(2)).
    pub flags: u32,
    /// More of them, which go where the kernel lacks them.
    pub wish: u32,
    /// The socket of the one who decides on calls, by a descriptor that he is sent.
    pub listener: Option<&'a CStr>,
    /// Text for him.
    pub metadata: &'a CStr,
}

/// A hook (config.md, "POSIX-platform Hooks").
#[derive(Clone, Copy, Debug)]
pub struct Hook<'a> {
    /// Which list it stands in; empty for a tool of hull's own choice, whose output nobody sees.
    pub kind: &'static str,
    /// The program, absolute.
    pub path: &'a CStr,
    /// argv; the path alone where the config gives none.
    pub args: &'a [&'a CStr],
    /// All of the environment.
    pub env: &'a [&'a CStr],
    /// Seconds.
    pub timeout: Option<u32>,
}

impl Put for Hook<'_> {
    fn put(&self, to: &mut dyn Sink) {
        put!(to, "run the ", self.kind, " hook ", quoted(self.path));
    }
}

/// A namespace of others that the process joins.
#[derive(Clone, Copy, Debug)]
pub struct Joined<'a> {
    /// What it must be.
    pub kind: NamespaceKind,
    /// A file of nsfs, absolute (namespaces(7)).
    pub path: &'a CStr,
    /// Its place among those that are joined.
    pub slot: u8,
}

impl Put for Joined<'_> {
    fn put(&self, to: &mut dyn Sink) {
        put!(to, "the ", self.kind.word(), " namespace ", quoted(self.path));
    }
}

/// A file in /proc/thread-self/attr (proc_pid_attr(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `apparmor/exec`, or `exec` before Linux 5.8.
    AppArmorExec,
    /// `exec`, for SELinux.
    Exec,
    /// `keycreate`, for SELinux.
    KeyCreate,
}

/// An operation of the child, in the container's namespaces.
#[derive(Clone, Copy, Debug)]
pub enum Op<'a> {
    /// Waits until the parent has done what only it can (maps, cgroups): never returns if the parent is gone.
    AwaitParent,
    /// Opens a namespace: all are opened before the first is joined, because a joined mount namespace has other paths.
    OpenNamespace(&'a Joined<'a>),
    /// setns(2). `early`: before the user namespace is joined, for what only the host's rights reach; one that they don't
    /// reach is left for the second try, with the rights in the user namespace.
    JoinNamespace { joined: &'a Joined<'a>, early: bool },
    /// The joined user namespace has the mapping of the config: lines of `file` (user_namespaces(7)).
    SameMap { file: &'static CStr, text: &'a CStr },
    /// The process that joined makes the container's, as its sibling, and ends.
    Clone { namespaces: u64 },
    /// The process's own oom_score_adj, with the host's rights.
    OomScoreAdj { value: &'a CStr },
    /// uid and gid 0 of the user namespace.
    AssumeRoot,
    /// prctl(PR_SET_DUMPABLE, 0): nobody may trace or open this process until it execs.
    NotDumpable,
    /// setsid(2).
    NewSession,
    /// A cgroup namespace rooted at the container's own cgroup.
    UnshareCgroup,
    /// Propagation (MS_*) of the whole inherited tree, so that what is mounted here stays here.
    Propagation { flags: u32 },
    /// The mount that holds the root becomes private: pivot_root(2) refuses a shared one.
    ParentPrivate,
    /// The root directory as a mount of its own.
    BindRoot { root: Source<'a> },
    /// The loopback device of a new network namespace comes up.
    Loopback,
    /// See [`Mount`].
    Mount(&'a Mount<'a>),
    /// See [`Device`].
    Device(&'a Device<'a>),
    /// A symlink; one that is there already stays.
    Link { place: &'a Place<'a>, to: &'a CStr },
    /// A new terminal from the container's devpts, its master handed to the parent, bound to /dev/console.
    Terminal { size: Option<(u16, u16)> },
    /// sethostname(2).
    Hostname { name: &'a CStr },
    /// setdomainname(2).
    Domainname { name: &'a CStr },
    /// One file of /proc/sys; `path` is relative to it.
    Sysctl { path: &'a CStr, value: &'a CStr },
    /// A mount becomes read-only, after everything was made in it; `keep` holds MS_* of its first mount.
    ReadOnlyMount { place: &'a Place<'a>, keep: u32 },
    /// The root takes the place of the host's; by MS_MOVE and chroot where `pivot` is false or impossible.
    EnterRoot { pivot: bool, shared: bool },
    /// Propagation of the container's root.
    RootPropagation { flags: u32 },
    /// The container's root mount becomes read-only.
    ReadOnlyRoot,
    /// A path that can only be read; left out where it does not exist. `keep` holds MS_* of the mount it lies in.
    ReadOnlyPath { place: &'a Place<'a>, keep: u32 },
    /// A path that shows nothing; left out where it does not exist. `file`: a file, by all that is known of its name.
    MaskPath { place: &'a Place<'a>, file: bool },
    /// A new session keyring.
    Keyring { name: &'a CStr },
    /// See [`Knob`].
    Knob(Knob<'a>),
    /// A procfs is opened while the host's is still in reach.
    OpenProcfs,
    /// What a security module is to do at the exec, or with a new key.
    Attribute { of: Attribute, value: &'a CStr },
    /// The SELinux label of a mount's root.
    Label { place: &'a Place<'a>, label: &'a CStr },
    /// setrlimit(2).
    Rlimit { resource: u32, soft: u64, hard: u64 },
    /// prctl(PR_SET_NO_NEW_PRIVS).
    NoNewPrivileges,
    /// See [`Filter`]. `before`: all that the program needs is made ready first, so that its exec is the only call under the
    /// filter.
    Seccomp { filter: &'a Filter<'a>, before: Option<&'a Exec<'a>> },
    /// Everything but these capabilities leaves the bounding set.
    BoundingSet { keep: u64 },
    /// setgroups, setresgid, setresuid; `keep` carries the permitted set across a change from uid 0.
    User { uid: u32, gid: u32, groups: Option<&'a [u32]>, keep: bool },
    /// capset(2) and the ambient set.
    CapabilitySets(&'a Capabilities),
    /// umask(2).
    Umask { mask: u32 },
    /// chdir(2), the directory made if it is not there; it must lie inside the root.
    WorkingDirectory { path: &'a CStr },
    /// The parent is told that the mounts are there, and runs its hooks meanwhile.
    AwaitHooks,
    /// See [`Hook`].
    Hook(&'a Hook<'a>),
    /// The program is looked for now, so that one that is missing fails `create` (runc's rule).
    FindProgram(&'a Exec<'a>),
    /// The parent is told that all is ready; then the process waits on its socket until `start` says go.
    AwaitStart,
    /// The program takes over.
    Exec(&'a Exec<'a>),
}

/// How a value goes into a file of a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is written.
    Once,
    /// It is written; a kernel without the file does what the value says.
    Optional,
    /// It is written, and where the kernel refuses it or has no such file, another write for the same field follows.
    First,
    /// That other write, which is left out where the first went well.
    Again,
    /// The number in the file must be less; where there is none, it is.
    Below,
}

/// An operation of the parent, in the host's namespaces.
#[derive(Clone, Copy, Debug)]
pub enum HostOp<'a> {
    /// A cgroup directory: `path` below the mount point of hierarchy `tree`, made with its parents. `controllers`:
    /// all of them are handed down (v2). `cpuset`: cpus and mems are filled from the parent (v1). `optional`: nothing in
    /// the config asks for it, so an ordinary user who may not make it goes without, as in runc.
    MakeCgroup { tree: u8, mount: &'a CStr, path: &'a CStr, controllers: bool, cpuset: bool, optional: bool },
    /// The cgroup of hierarchy `tree` and the files that make it manageable belong to `uid` (cgroups(7), "Delegation").
    OwnCgroup { tree: u8, uid: u32 },
    /// An open clone of a host path for the child, with MOUNT_ATTR_* set and cleared on it and on its whole tree.
    OpenSource { source: Source<'a>, recursive: bool, attributes: (u32, u32), tree: (u32, u32) },
    /// The ids of such a clone are mapped.
    MapSource { source: Source<'a>, map: &'a IdMap<'a> },
    /// A value into a file of the cgroup of hierarchy `tree`, for the field of `row`.
    CgroupFile { tree: u8, file: &'a CStr, value: &'a CStr, row: u8, how: How },
    /// The device program of a v2 cgroup.
    DeviceProgram { tree: u8, program: &'a [Instruction] },
    /// A time namespace for the child, with its offsets set.
    TimeOffsets { text: &'a CStr },
    /// The child enters the cgroup of hierarchy `tree`.
    EnterCgroup { tree: u8 },
    /// /proc/PID/uid_map or gid_map of the child. `path`: where newuidmap and newgidmap are looked for, if hull itself may
    /// not.
    WriteMap { file: &'a CStr, text: &'a CStr, path: &'a CStr },
    /// A resource limit of the child, set by the parent because the child's user namespace may not raise it.
    ChildRlimit { resource: u32, soft: u64, hard: u64 },
    /// /proc/PID/oom_score_adj of the child.
    OomScoreAdj { value: &'a CStr },
    /// The class of service is there, as the config wants it.
    Resctrl(&'a Resctrl<'a>),
    /// The child enters it.
    EnterResctrl(&'a Resctrl<'a>),
    /// See [`NetDevice`].
    NetDevice(&'a NetDevice<'a>),
    /// See [`Knob`]: of the child, because its user namespace gives no right to it.
    Knob(Knob<'a>),
}

/// A network device of the host's that goes into the container (config-linux.md, "Network Devices").
#[derive(Clone, Copy, Debug)]
pub struct NetDevice<'a> {
    /// Its name outside.
    pub name: &'a CStr,
    /// Its name inside; `%d` in it stands for the first number that makes it new.
    pub new: &'a CStr,
    /// The network namespace, where the container has joined one.
    pub namespace: Option<&'a CStr>,
}

/// A class of service of resctrl (config-linux.md, "IntelRdt").
#[derive(Clone, Copy, Debug)]
pub struct Resctrl<'a> {
    /// Its directory, absolute.
    pub path: &'a CStr,
    /// The config names it: it stays when the container goes, and without lines to write it must be there.
    pub named: bool,
    /// Lines for its schemata file.
    pub schemata: &'a CStr,
    /// The first bytes of these, which one that is there already must have in its file.
    pub compared: usize,
    /// The container's own monitoring group in it.
    pub monitor: Option<&'a CStr>,
}

/// A whole plan.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// In the parent, before the clone.
    pub before: &'a [HostOp<'a>],
    /// CLONE_NEW* of the clone.
    pub namespaces: u64,
    /// A process of the host's namespaces joins those of others, and clones the container's process.
    pub helper: bool,
    /// The child waits for what the parent does for it.
    pub awaits: bool,
    /// The hierarchy whose cgroup the child is born into (v2), if any.
    pub born_into: Option<u8>,
    /// In the parent, while the child waits.
    pub attend: &'a [HostOp<'a>],
    /// In the parent, beside the child's work, before its exec.
    pub meanwhile: &'a [HostOp<'a>],
    /// In the child.
    pub child: &'a [Op<'a>],
    /// Hooks of the parent, while the child waits.
    pub hooks: &'a [Hook<'a>],
    /// How many sources the parent opens.
    pub sources: u16,
    /// What should be said before anything is done.
    pub terminal: bool,
}

impl Put for Form<'_> {
    fn put(&self, to: &mut dyn Sink) {
        match self {
            Form::New { source, .. } => quoted(source).put(to),
            Form::Bind { source, .. } => source.put(to),
            Form::Change { .. } => to.push(b"what is there"),
            Form::Cgroup2 { .. } => to.push(b"\"cgroup\""),
        }
    }
}

impl Mount<'_> {
    /// Everything that `hull plan` says beyond the words of an error.
    pub fn details(&self, to: &mut dyn Sink) {
        match self.form {
            Form::New { kind, data, .. } => {
                put!(to, " type=", kind);
                if let Some(data) = data {
                    put!(to, " data=", quoted(data));
                }
            }
            Form::Bind { recursive, .. } => put!(to, if recursive { " rbind" } else { " bind" }),
            Form::Change { bind, data } => {
                put!(
                    to,
                    if bind { " bind remount" } else { " remount" },
                    data.map(|_| " data="),
                    data.map(quoted)
                );
            }
            Form::Cgroup2 { bind, host } => {
                put!(to, if bind { " bind" } else { " type=cgroup2" });
                if let Some(host) = host {
                    put!(to, " host=", quoted(host));
                }
            }
        }
        let names = "flags set clear rset rclear propagation propagation ";
        let ((set, clear), (rset, rclear), [first, second]) =
            (self.attributes, self.recursive, self.propagation);
        for (name, bits) in words::iter(names).zip([self.flags, set, clear, rset, rclear, first, second]) {
            if bits != 0 {
                put!(to, " ", name, "=", Hex(u64::from(bits)));
            }
        }
        if self.copy_up {
            put!(to, " copy-up");
        }
    }
}

impl Put for Op<'_> {
    fn put(&self, to: &mut dyn Sink) {
        match self {
            Op::AwaitParent => put!(to, "wait for the parent"),
            Op::OpenNamespace(joined) => put!(to, "open ", *joined),
            Op::JoinNamespace { joined, .. } => put!(to, "join ", *joined),
            Op::SameMap { file, text } => {
                put!(to, "compare ", quoted(text), " with the joined user namespace's ", *file)
            }
            Op::Clone { namespaces } => Namespaces(*namespaces).put(to),
            Op::OomScoreAdj { value } => put!(to, "set the process's oom_score_adj to ", *value),
            Op::AssumeRoot => put!(to, "become root of the user namespace"),
            Op::NotDumpable => put!(to, "make the process undumpable"),
            Op::NewSession => put!(to, "start a new session"),
            Op::UnshareCgroup => put!(to, "unshare the cgroup namespace"),
            Op::Propagation { flags } => put!(to, "set the propagation of \"/\" to ", Hex(u64::from(*flags))),
            Op::ParentPrivate => put!(to, "make the mount that holds the root private"),
            Op::BindRoot { root } => put!(to, "bind the root ", root),
            Op::Loopback => put!(to, "bring the loopback device up"),
            Op::Mount(mount) => put!(to, "mount ", mount.form, " on ", mount.place),
            Op::Device(device) => put!(to, "make the device ", device.place),
            Op::Link { place, to: target } => put!(to, "link ", place, " to ", quoted(target)),
            Op::Terminal { .. } => put!(to, "open a terminal on \"/dev/console\""),
            Op::Hostname { name } => put!(to, "set the hostname to ", quoted(name)),
            Op::Domainname { name } => put!(to, "set the domainname to ", quoted(name)),
            Op::Sysctl { path, value } => put!(to, "write ", quoted(value), " to \"/proc/sys/", *path, "\""),
            Op::ReadOnlyMount { place, .. } => put!(to, "make the mount ", place, " read-only"),
            Op::EnterRoot { pivot: true, .. } => put!(to, "pivot_root into the container's root"),
            Op::EnterRoot { .. } => put!(to, "move into the container's root without pivot_root"),
            Op::RootPropagation { flags } => {
                put!(to, "set the propagation of the container's root to ", Hex(u64::from(*flags)));
            }
            Op::ReadOnlyRoot => put!(to, "make the root read-only"),
            Op::ReadOnlyPath { place, .. } => put!(to, "make ", place, " read-only"),
            Op::MaskPath { place, .. } => put!(to, "mask ", place),
            Op::Keyring { name } => put!(to, "join the session keyring ", quoted(name)),
            Op::Knob(knob) => set(to, knob),
            Op::OpenProcfs => put!(to, "open a procfs"),
            Op::Attribute { of: Attribute::AppArmorExec, value } => {
                put!(to, "set process.apparmorProfile ", quoted(value))
            }
            Op::Attribute { value, .. } => put!(to, "set process.selinuxLabel ", quoted(value)),
            Op::Label { place, label } => put!(to, "set linux.mountLabel ", quoted(label), " on ", place),
            Op::Rlimit { resource, soft, hard } => limit(to, *resource, *soft, *hard),
            Op::NoNewPrivileges => put!(to, "set no_new_privs"),
            Op::Seccomp { filter, .. } => {
                put!(to, "load a seccomp filter of ", filter.program.len(), " instructions");
            }
            Op::BoundingSet { keep } => put!(to, "limit the bounding set to ", Hex(*keep)),
            Op::User { uid, gid, groups, .. } => {
                put!(to, "become uid ", *uid, ", gid ", *gid);
                if let Some(groups) = groups {
                    put!(to, ", groups [");
                    for (i, group) in groups.iter().enumerate() {
                        put!(to, if i > 0 { " " } else { "" }, *group);
                    }
                    put!(to, "]");
                }
            }
            Op::CapabilitySets(sets) => put!(
                to,
                "set the capabilities: effective ",
                Hex(sets.effective),
                ", permitted ",
                Hex(sets.permitted),
                ", inheritable ",
                Hex(sets.inheritable),
                ", ambient ",
                Hex(sets.ambient)
            ),
            Op::Umask { mask } => put!(to, "set the umask to ", Octal(*mask)),
            Op::WorkingDirectory { path } => put!(to, "chdir to cwd (", quoted(path), ") set in config.json"),
            Op::AwaitHooks => put!(to, "wait for the parent's hooks"),
            Op::Hook(hook) => hook.put(to),
            Op::AwaitStart => put!(to, "wait for start"),
            Op::FindProgram(exec) | Op::Exec(exec) => {
                put!(to, "exec: ", exec.args.first().map(|program| quoted(program)))
            }
        }
    }
}

/// A clone into new namespaces, by CLONE_NEW*.
pub struct Namespaces(pub u64);

impl Put for Namespaces {
    fn put(&self, to: &mut dyn Sink) {
        put!(to, "clone the process into new namespaces:");
        for kind in NamespaceKind::ALL {
            if self.0 & kind.clone_flag() != 0 {
                put!(to, " ", kind.word());
            }
        }
    }
}

fn limit(to: &mut dyn Sink, resource: u32, soft: u64, hard: u64) {
    let value = |value| if value == u64::MAX { Part::Text(b"unlimited") } else { Part::Number(value) };
    put!(to, "set ", crate::names::rlimits::Named(resource), " to ", value(soft), ":", value(hard));
}

#[cold]
fn set(to: &mut dyn Sink, knob: &Knob<'_>) {
    let (field, number) = match *knob {
        Knob::Scheduler(scheduling) => ("process.scheduler", scheduling.policy),
        Knob::IoPriority(value) => ("process.ioPriority", value),
        Knob::Personality(domain) => ("linux.personality", domain),
        Knob::MemoryPolicy(mode, _) => ("linux.memoryPolicy", mode),
    };
    put!(to, "set ", field, " to ", Hex(number.into()));
}

impl Put for HostOp<'_> {
    fn put(&self, to: &mut dyn Sink) {
        match self {
            HostOp::MakeCgroup { mount, path, .. } => put!(to, "make the cgroup \"", *mount, *path, "\""),
            HostOp::OwnCgroup { uid, .. } => put!(to, "give the cgroup to uid ", *uid),
            HostOp::OpenSource { source, .. } => put!(to, "open the mount source ", source),
            HostOp::MapSource { source, .. } => put!(to, "map the ids of the mount source ", source),
            HostOp::CgroupFile { file, value, row, how, .. } => {
                let verb = if *how == How::Below { "compare " } else { "write " };
                let again = if *how == How::Again { " (where that was refused)" } else { "" };
                let field = limits::about(*row).0;
                put!(
                    to,
                    verb,
                    quoted(value),
                    " to the cgroup's ",
                    *file,
                    " for linux.resources.",
                    field,
                    again
                );
            }
            HostOp::DeviceProgram { program, .. } => {
                put!(to, "attach a device filter of ", program.len(), " instructions to the cgroup");
            }
            HostOp::TimeOffsets { text } => put!(to, "make a time namespace with offsets ", quoted(text)),
            HostOp::EnterCgroup { tree } => {
                put!(to, "put the process into its cgroup (hierarchy ", *tree, ")")
            }
            HostOp::WriteMap { file, text, .. } => {
                put!(to, "write ", quoted(text), " to the process's ", *file)
            }
            HostOp::ChildRlimit { resource, soft, hard } => limit(to, *resource, *soft, *hard),
            HostOp::OomScoreAdj { value } => put!(to, "set the process's oom_score_adj to ", *value),
            HostOp::Knob(knob) => set(to, knob),
            HostOp::NetDevice(device) => {
                put!(
                    to,
                    "move the network device ",
                    quoted(device.name),
                    " into the container as ",
                    quoted(device.new)
                )
            }
            HostOp::Resctrl(class) => {
                put!(to, "prepare linux.intelRdt ", quoted(class.monitor.unwrap_or(class.path)));
            }
            HostOp::EnterResctrl(class) => {
                put!(to, "put the process into linux.intelRdt ", quoted(class.path))
            }
        }
    }
}
