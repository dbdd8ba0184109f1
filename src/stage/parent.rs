//! The parent: carries out its own operations, clones the child, attends it, and hears how it went.
//!
//! Order matters twice. The cgroup and its limits are there before the clone, so that the child is never outside of
//! them. The maps, the v1 cgroups and what only the host may set follow while the child waits.

use super::child;
use super::wire::{self, Message};
use crate::base::text::quoted;
use crate::c_join;
use crate::effect::bind::{self, Look};
use crate::effect::cgroup::{Cgroups, Make};
use crate::effect::hook;
use crate::effect::identity::{self, privileged};
use crate::effect::idmap;
use crate::effect::inside::UNDRESSED;
use crate::effect::namespace;
use crate::effect::netdev;
use crate::effect::probe::is_rootless;
use crate::effect::procfs::Proc;
use crate::effect::resctrl;
use crate::effect::root::missing_root;
use crate::effect::seccomp;
use crate::effect::{Fault, Hint, Outcome};
use crate::error::{Error, Result};
use crate::fail;
use crate::message;
use crate::plan::limits;
use crate::plan::op::{HostOp, Op, Plan, Source};
use crate::rt::arena::{Arena, Full};
use crate::sys::descriptor::OwnedFd;
use crate::sys::mount::mount_setattr;
use crate::sys::process::{self, Cloned};
use crate::sys::{bpf, descriptor, limit, socket};
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::process::{Pid, WaitOptions};

/// A container whose program runs.
pub struct Running {
    /// Its first process, in hull's pid namespace.
    pub pid: Pid,
    /// The master of its terminal.
    pub terminal: Option<BorrowedFd<'static>>,
    /// hull's end of the channel.
    channel: BorrowedFd<'static>,
}

impl Running {
    /// Lets a process wait for `start`: it can be found again.
    ///
    /// # Errors
    /// As send(2).
    pub fn recorded<'a>(&self, arena: &Arena<'a>) -> Result<'a, ()> {
        go_on(arena, self.channel)
    }
}

/// The descriptors that matter to both sides.
#[derive(Clone, Copy)]
pub struct Ends<'h> {
    /// Stays the parent's alone.
    pub lock: BorrowedFd<'h>,
    /// The socket on which the process waits for `start`, if it does.
    pub start: Option<BorrowedFd<'h>>,
    /// The program's standard descriptors; none where they are hull's.
    pub stdio: &'h [BorrowedFd<'h>],
}

/// Carries `plan` out up to the program's exec, or up to its wait for `start`. `announce` is called before that, once the
/// process is there. The cgroups in `cgroups` are the caller's to remove, whatever comes, and a process in `child` is to be
/// ended and reaped where this fails.
///
/// # Errors
/// The failed operation in words.
pub fn launch<'a>(
    arena: &Arena<'a>,
    plan: &Plan<'a>,
    cgroups: &mut Cgroups<'a, '_>,
    ends: Ends<'_>,
    announce: &mut dyn FnMut(Pid) -> Result<'a, ()>,
    facts: child::Facts<'_, 'a>,
    child: &mut Option<Pid>,
) -> Result<'a, Running> {
    let mut sources = Sources { numbers: arena.slice(usize::from(plan.sources), -1)? };
    for op in plan.before {
        before(cgroups, &mut sources, op).map_err(|fault| word(arena, op, fault))?;
    }
    let (ours, theirs) = socket::pair()
        .map_err(|fault| fail!(arena, fault.errno() => "make a socket pair for the container's start"))?;
    let ours = descriptor::leave_open(ours);
    let mut pid = start(arena, plan, cgroups, &sources, theirs, (ends, ours.as_raw_fd(), facts))
        .map_err(|fault| message!({fault.told} (arena) "clone the container's process"))?;
    if plan.helper {
        pid.0 = sibling(arena, plan, pid.0, ours)?;
    }
    *child = Some(pid.0);
    attend(plan, cgroups, pid, ours).map_err(|(op, fault)| match op {
        Some(op) => word(arena, op, fault),
        None => message!({fault.told} (arena) "let the container's process go on"),
    })?;
    // what the child need not wait for goes on beside its own work, up to its exec
    for op in plan.meanwhile {
        before(cgroups, &mut sources, op).map_err(|fault| word(arena, op, fault))?;
    }
    announce(pid.0)?;
    go_on(arena, ours)?;
    let terminal = listen(arena, plan, ours, ends.start.is_some(), (pid.0, facts))?;
    Ok(Running { pid: pid.0, terminal, channel: ours })
}

fn word<'a>(arena: &Arena<'a>, op: &HostOp<'a>, fault: Fault) -> Error<'a> {
    match op {
        HostOp::CgroupFile { row, .. } if fault.hint() == Hint::NoController => {
            message!({fault.told} (arena) op, " (kernel option CONFIG_", limits::about(*row).1, ")")
        }
        _ => message!({fault.told} (arena) op),
    }
}

/// Clones of host paths that the child inherits, by slot.
struct Sources<'a> {
    numbers: &'a mut [RawFd],
}

impl Sources<'_> {
    /// The one that was opened for `source`.
    fn number(&self, source: &Source<'_>) -> Option<RawFd> {
        self.numbers.get(usize::from(source.slot?)).copied().filter(|number| *number >= 0)
    }

    /// Opens one; a kernel without open_tree leaves -1, and the child goes by the path.
    fn open(&mut self, source: &Source<'_>, look: &Look) -> Outcome<()> {
        let tree = match bind::detached(bind::Source::Path(source.path), look.recursive) {
            Err(fault) if fault.is_missing() => return Ok(()),
            // the root is the first source of a plan
            Err(fault) if source.slot == Some(0) => return Err(missing_root(fault)),
            other => other?,
        };
        // made in the host's mount namespace it is a peer of the host's mount: whatever the container mounts on it would
        // appear on the host
        let dressed = match mount_setattr(tree.as_fd(), true, 0, 0, n::MS_SLAVE) {
            Err(fault) if fault.is_missing() => false,
            other => other.and_then(|()| bind::set(tree.as_fd(), look))?,
        };
        let tree = descriptor::leave_open(tree);
        let mark = if dressed { 0 } else { UNDRESSED };
        if let Some(number) = source.slot.and_then(|slot| self.numbers.get_mut(usize::from(slot))) {
            *number = tree.as_raw_fd() | mark;
        }
        Ok(())
    }
}

fn before<'a>(cgroups: &mut Cgroups<'a, '_>, sources: &mut Sources<'a>, op: &HostOp<'a>) -> Outcome<()> {
    match op {
        HostOp::OpenSource { source, recursive, attributes, tree } => {
            sources.open(source, &Look { recursive: *recursive, attributes: *attributes, tree: *tree })
        }
        HostOp::MapSource { source, map } => match sources.number(source) {
            Some(number) => idmap::map(cgroups.arena(), descriptor::borrow(number & !UNDRESSED), map),
            None => Err(idmap::unmappable(Errno::NOSYS.into())),
        },
        HostOp::MakeCgroup { tree, mount, path, controllers, cpuset, optional } => {
            let (controllers, cpuset, optional) = (*controllers, *cpuset, *optional);
            cgroups.make(&Make { tree: *tree, mount, path, controllers, cpuset, optional })
        }
        HostOp::OwnCgroup { tree, uid } => cgroups.own(*tree, *uid),
        // an ordinary user goes without the cgroup, or without device rules, which only the host's root may set
        HostOp::CgroupFile { tree, .. } | HostOp::DeviceProgram { tree, .. } if !cgroups.has(*tree) => Ok(()),
        HostOp::CgroupFile { file, .. } => match cgroups.set(op) {
            Err(fault) if file.to_bytes().starts_with(b"devices.") => refused(cgroups, fault),
            other => other,
        },
        HostOp::DeviceProgram { tree, program } => {
            let directory = cgroups.directory(*tree)?;
            bpf::use_device_program(directory, program).or_else(|fault| refused(cgroups, fault))
        }
        HostOp::TimeOffsets { text } => {
            process::unshare_namespace(n::CLONE_NEWTIME).map_err(|fault| fault.hinted(Hint::NoNamespace))?;
            Proc::open()?.write(c"self/timens_offsets", text)
        }
        HostOp::Resctrl(class) => resctrl::prepare(cgroups.arena(), class),
        // these need the child
        HostOp::EnterCgroup { .. }
        | HostOp::WriteMap { .. }
        | HostOp::ChildRlimit { .. }
        | HostOp::OomScoreAdj { .. }
        | HostOp::EnterResctrl(_)
        | HostOp::NetDevice(_)
        | HostOp::Knob(_) => Err(Errno::SRCH.into()),
    }
}

/// Device rules that were refused.
#[cold]
#[inline(never)]
fn refused(cgroups: &Cgroups<'_, '_>, fault: Fault) -> Outcome<()> {
    match fault.errno() {
        Errno::PERM if is_rootless(cgroups.arena()) => Ok(()),
        Errno::PERM | Errno::INVAL | Errno::NOSYS => Err(fault.hinted(Hint::NoBpf)),
        _ => Err(fault),
    }
}

/// Clones into the cgroup; where the kernel can't, the child waits until it was put there. Returns the pid and whether it waits.
fn start<'a>(
    arena: &Arena<'a>,
    plan: &Plan<'a>,
    cgroups: &Cgroups<'a, '_>,
    sources: &Sources<'a>,
    theirs: OwnedFd,
    (ends, ours, facts): (Ends<'_>, RawFd, child::Facts<'_, 'a>),
) -> Outcome<(Pid, bool)> {
    let directory = match plan.born_into {
        Some(tree) if cgroups.has(tree) => Some(cgroups.directory(tree)?),
        _ => None,
    };
    let flags = if plan.helper { 0 } else { plan.namespaces };
    let cloned = match namespace::clone(flags, directory) {
        // an ordinary user made it, but may not move a process into it from where hull is
        Err(fault) if fault.is(Errno::ACCESS) && cgroups.goes_without(plan.born_into) => {
            namespace::clone(flags, None)
        }
        other => other,
    };
    match cloned? {
        (Cloned::Parent(pid), waits) => Ok((pid, waits)),
        (Cloned::Child, waits) => {
            let channel = theirs.as_fd();
            let Ends { lock, start, stdio } = ends;
            let not_ours = [ours, lock.as_raw_fd()];
            child::run(
                arena,
                plan,
                &child::Handed { channel, sources: sources.numbers, waits, start, stdio, facts, not_ours },
            )
        }
    }
}

type Attended<'p, 'a> = core::result::Result<(), (Option<&'p HostOp<'a>>, Fault)>;

fn attend<'p, 'a>(
    plan: &'p Plan<'a>,
    cgroups: &Cgroups<'a, '_>,
    (pid, waits): (Pid, bool),
    channel: BorrowedFd<'_>,
) -> Attended<'p, 'a> {
    if waits && let Some(tree) = plan.born_into {
        cgroups.enter(tree, pid).map_err(|fault| (None, fault))?;
    }
    let mut proc = None;
    for op in plan.attend {
        one(cgroups, pid, &mut proc, op).map_err(|fault| (Some(op), fault))?;
    }
    if waits || plan.awaits {
        go(channel).map_err(|fault| (None, fault))?;
    }
    Ok(())
}

/// Tells the child to go on; where it died early, `listen` finds out how.
fn go(channel: BorrowedFd<'_>) -> Outcome<()> {
    match wire::tell(channel, &[wire::GO]) {
        // a child that ended with an earlier GO unread resets the channel, once
        Err(fault) if !fault.is(Errno::PIPE) && !fault.is(Errno::CONNRESET) => Err(fault),
        _ => Ok(()),
    }
}

#[inline(never)]
fn go_on<'a>(arena: &Arena<'a>, channel: BorrowedFd<'_>) -> Result<'a, ()> {
    go(channel).map_err(|fault| message!({fault.told} (arena) "let the container's process go on"))
}

fn one<'a>(cgroups: &Cgroups<'a, '_>, pid: Pid, proc: &mut Option<Proc>, op: &HostOp<'a>) -> Outcome<()> {
    let number = pid.as_raw_nonzero().get().unsigned_abs();
    match op {
        HostOp::EnterCgroup { tree } => cgroups.enter(*tree, pid),
        HostOp::ChildRlimit { resource, soft, hard } => {
            limit::set_limit(number, *resource, *soft, *hard).map_err(privileged)
        }
        HostOp::Knob(knob) => identity::knob(number, knob),
        HostOp::NetDevice(device) => netdev::enter(cgroups.arena(), number, device),
        HostOp::EnterResctrl(class) => resctrl::enter(cgroups.arena(), class, pid),
        HostOp::WriteMap { .. } => write_map(cgroups, proc, number, op),
        HostOp::OomScoreAdj { value } => write_proc(cgroups, proc, number, c"oom_score_adj", value),
        // these came before the clone
        HostOp::OpenSource { .. }
        | HostOp::MapSource { .. }
        | HostOp::Resctrl(_)
        | HostOp::MakeCgroup { .. }
        | HostOp::OwnCgroup { .. }
        | HostOp::CgroupFile { .. }
        | HostOp::DeviceProgram { .. }
        | HostOp::TimeOffsets { .. } => Err(Errno::INVAL.into()),
    }
}

/// user_namespaces(7): whoever lacks the right to map any ids may map the own one; the own group only once setgroups(2) is
/// given up. All else is for newuidmap(1) and newgidmap(1), which see to /etc/subuid and /etc/subgid.
#[inline(never)]
#[cold]
fn write_map<'a>(
    cgroups: &Cgroups<'a, '_>,
    proc: &mut Option<Proc>,
    pid: u32,
    op: &HostOp<'a>,
) -> Outcome<()> {
    let HostOp::WriteMap { file, text, path } = op else { return Err(Errno::INVAL.into()) };
    let written = write_proc(cgroups, proc, pid, file, text);
    let group = *file == c"gid_map";
    match written {
        Err(fault) if fault.is(Errno::PERM) => {}
        other => return other,
    }
    let bytes = text.to_bytes();
    if group && bytes.ends_with(b" 1\n") && bytes.iter().filter(|&&b| b == b'\n').count() == 1 {
        write_proc(cgroups, proc, pid, c"setgroups", c"deny")?;
        match write_proc(cgroups, proc, pid, file, text) {
            Err(fault) if fault.is(Errno::PERM) => {}
            other => return other,
        }
    }
    let name = if group { c"newgidmap" } else { c"newuidmap" };
    identity::map_by(cgroups.arena(), name, path, pid, text)
}

#[inline(never)]
fn write_proc(
    cgroups: &Cgroups<'_, '_>,
    proc: &mut Option<Proc>,
    pid: u32,
    file: &core::ffi::CStr,
    text: &core::ffi::CStr,
) -> Outcome<()> {
    if proc.is_none() {
        *proc = Some(Proc::open()?);
    }
    let Some(proc) = proc else { return Err(Errno::BADF.into()) };
    let path = c_join!(cgroups.arena(), pid, "/", file)?;
    proc.write(path, text).map_err(|fault| {
        if fault.is(Errno::ACCESS) { fault.hinted(Hint::NotPrivileged) } else { privileged(fault) }
    })
}

/// The container's process, which the process `maker` makes beside itself. It has ended by then, so whatever it had to say
/// lies there: one that was killed must not be waited for. Where it told of none, there may still be one.
#[inline(never)]
#[cold]
fn sibling<'a>(arena: &Arena<'a>, plan: &Plan<'a>, maker: Pid, channel: BorrowedFd<'_>) -> Result<'a, Pid> {
    ended(maker);
    let mut bytes = [0u8; wire::LONGEST];
    let len = recv(channel, &mut bytes[..], RecvFlags::DONTWAIT).map_or(0, |(len, _)| len);
    let message = wire::decode(bytes.get(..len).unwrap_or(&[]));
    if !matches!(message, Ok(Message::Cloned(_))) {
        end_group(maker);
    }
    while let Err(Errno::INTR) = rustix::process::waitpid(Some(maker), WaitOptions::empty()) {}
    match message {
        Ok(Message::Failed(report)) => Err(told(arena, plan, report)),
        Ok(Message::Cloned(pid)) => {
            Pid::from_raw(pid).ok_or(fail!(arena, Errno::PROTO => "understand the container's process"))
        }
        _ => Err(fail!(arena, "the process that joins the container's namespaces was killed")),
    }
}

/// Waits for the end of a child, and leaves it a zombie, so that its number stays its own.
fn ended(pid: Pid) {
    while process::ended(pid).is_err_and(|fault| fault.is(Errno::INTR)) {}
}

/// Ends a child and its process group, all of it children, and reaps the group.
#[cold]
fn end_group(leader: Pid) {
    // it makes no other process once it is dead
    if process::kill(leader, n::SIGKILL as i32).is_err() {
        // gone already, which is what is wanted
    }
    ended(leader);
    for _ in 0..2 {
        if process::kill_group(leader, n::SIGKILL as i32).is_ok() {
            break;
        }
    }
    while process::reap_of_group(leader).is_ok() {}
}

/// Hears the child until its exec: the terminal, READY, then the end of the stream.
fn listen<'a>(
    arena: &Arena<'a>,
    plan: &Plan<'a>,
    channel: BorrowedFd<'_>,
    waits: bool,
    (pid, facts): (Pid, child::Facts<'_, 'a>),
) -> Result<'a, Option<BorrowedFd<'static>>> {
    let mut master = None;
    let mut ready = false;
    loop {
        let mut bytes = [0u8; wire::LONGEST];
        let (len, fd) = match socket::receive(channel, &mut bytes) {
            // a child that ended with our GO unread is reported once, in front of what it said itself
            Err(Errno::INTR | Errno::CONNRESET) => continue,
            other => other.map_err(|errno| fail!(arena, errno => "hear from the container's process"))?,
        };
        match wire::decode(bytes.get(..len).unwrap_or(&[])) {
            Ok(Message::Terminal) => master = fd.map(descriptor::leave_open),
            Ok(Message::Hooks) => {
                let state = facts(pid.as_raw_nonzero().get().unsigned_abs(), false);
                for it in plan.hooks {
                    hook::run(arena, it, state).map_err(|fault| message!({fault.told} (arena) it))?;
                }
                go_on(arena, channel)?;
            }
            Ok(Message::Ready) if waits => return Ok(master),
            Ok(Message::Ready) => ready = true,
            Ok(Message::Failed(report)) => return Err(told(arena, plan, report)),
            Ok(Message::End) if ready => return Ok(master),
            Ok(Message::End) => {
                let error =
                    fail!(arena, "the container's process was killed before it could start its program");
                return Err(error.hint(arena, Hint::MemoryLimit.text()));
            }
            Ok(Message::Listener(number)) => listener(arena, plan, (pid, number), facts, channel)?,
            // it was heard before this began, and who sent it has ended
            Ok(Message::Cloned(_)) => {}
            Err(errno) => return Err(fail!(arena, errno => "understand the container's process")),
        }
    }
}

/// The child has loaded a filter and waits until the one who decides on calls has its listener, descriptor `number` of it.
#[cold]
#[inline(never)]
fn listener<'a>(
    arena: &Arena<'a>,
    plan: &Plan<'a>,
    (pid, number): (Pid, RawFd),
    facts: child::Facts<'_, 'a>,
    channel: BorrowedFd<'_>,
) -> Result<'a, ()> {
    let filter = plan.child.iter().find_map(|op| match op {
        Op::Seccomp { filter, .. } => Some(*filter),
        _ => None,
    });
    let Some(filter) = filter else { return Err(Full.into()) };
    let state = facts(pid.as_raw_nonzero().get().unsigned_abs(), false);
    seccomp::hand_over(arena, filter, (pid, number), state).and_then(|()| go(channel)).map_err(|fault| {
        message!({fault.told} (arena) "send the seccomp listener to ", quoted(filter.listener.unwrap_or(c"")))
    })
}

/// The child's report in words, from the parent's own copy of the plan.
pub fn told<'a>(arena: &Arena<'a>, plan: &Plan<'a>, report: wire::Report) -> Error<'a> {
    let Some(op) = plan.child.get(usize::from(report.operation)) else {
        return fail!(arena, report.fault.errno() => "the container's process failed in an unknown operation");
    };
    match report.fault.hint() {
        // runc's words, which engines look for
        Hint::NotInPath => fail!(arena, op, ": executable file not found in $PATH"),
        Hint::NotOrdinary => {
            fail!(arena, report.fault.errno() => op, " failed: it must be mounted on ordinary directory, without a symlink on the way")
        }
        _ => message!({report.fault.told} (arena) op),
    }
}
