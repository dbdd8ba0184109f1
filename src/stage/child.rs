//! The child: walks the plan's operations in the new namespaces and execs, or reports which one failed.
//!
//! It inherits the plan by the clone and decides nothing. It never returns into the parent's code.

use super::wire::{self, Report};
use crate::c_join;
use crate::compose;
use crate::effect::inside::Inside;
use crate::effect::{Hint, Outcome, device, exec, hook, identity, mount, namespace, root, seccomp, terminal};
use crate::plan::op::{Exec, Filter, Op, Plan};
use crate::rt::arena::Arena;
use crate::sys::descriptor::{self, OwnedFd};
use crate::sys::process::{self, Cloned};
use crate::sys::{net, socket, stdio};
use linux_raw_sys::general as n;
use rustix::fd::{BorrowedFd, RawFd};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::DumpableBehavior;

/// The state for a hook, from the pid and whether the container is created.
pub type Facts<'h, 'a> = &'h dyn Fn(u32, bool) -> &'a [u8];

/// What the child has from the parent beside plan and arena.
pub struct Handed<'h, 'a> {
    /// Its end of the channel.
    pub channel: BorrowedFd<'h>,
    /// Clones of host paths, by slot.
    pub sources: &'h [RawFd],
    /// It is put into its cgroup first.
    pub waits: bool,
    /// Where it listens for `start`, if it is to wait.
    pub start: Option<BorrowedFd<'h>>,
    /// Its program's standard descriptors; none where they are hull's.
    pub stdio: &'h [BorrowedFd<'h>],
    /// What hooks are told.
    pub facts: Facts<'h, 'a>,
    /// The parent's end of the channel and its lock: a copy of the one would hide the parent's death, a copy of the other
    /// would outlive the parent as a lock.
    pub not_ours: [RawFd; 2],
}

/// Everything from the clone to exec.
pub fn run<'a>(arena: &Arena<'a>, plan: &Plan<'a>, handed: &Handed<'_, 'a>) -> ! {
    let [ours, lock] = handed.not_ours;
    descriptor::close(ours);
    descriptor::close(lock);
    let &Handed { channel, sources, waits, start, stdio, facts, .. } = handed;
    // only the container's own process is put there
    let must_wait = waits && !plan.helper;
    let mut inside = Inside::new(arena, channel, sources);
    // what is made in the container has exactly the mode it is made with
    rustix::process::umask(Mode::empty());
    if must_wait && wire::await_go(channel).is_err() {
        process::exit(1);
    }
    for (index, op) in (0u16..).zip(plan.child) {
        inside.sweep();
        if let Err(fault) = perform(&mut inside, op, must_wait, (start, stdio, facts)) {
            let report = Report { operation: index, fault };
            let told = if inside.started {
                // `start` has no plan to word it from
                wire::write(inside.channel, compose!(arena, super::parent::told(arena, plan, report)))
            } else {
                wire::write(channel, &report.encode())
            };
            if told.is_err() {
                // the parent is gone: it has said why, or was killed
            }
            process::exit(1);
        }
    }
    process::exit(1)
}

fn perform<'a>(
    inside: &mut Inside<'a, '_>,
    op: &Op<'a>,
    waited: bool,
    (start, files, facts): (Option<BorrowedFd<'_>>, &[BorrowedFd<'_>], Facts<'_, 'a>),
) -> Outcome<()> {
    match op {
        Op::AwaitParent if waited => Ok(()),
        Op::AwaitParent => wire::await_go(inside.channel),
        Op::OpenNamespace(joined) => namespace::open(inside, joined),
        Op::JoinNamespace { joined, early } => namespace::join(inside, joined, *early),
        Op::SameMap { file, text } => namespace::same_map(inside, file, text),
        Op::Clone { namespaces } => sibling(inside, *namespaces),
        Op::OomScoreAdj { value } => inside.proc()?.write(c"self/oom_score_adj", value),
        Op::AssumeRoot => identity::assume_root(),
        Op::NotDumpable => Ok(rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?),
        Op::NewSession => Ok(rustix::process::setsid().map(|_| ())?),
        Op::UnshareCgroup => {
            process::unshare_namespace(n::CLONE_NEWCGROUP).map_err(|fault| fault.hinted(Hint::NoNamespace))
        }
        Op::Propagation { flags } => root::propagation(*flags),
        Op::ParentPrivate => root::parent_private(),
        Op::BindRoot { root } => root::bind_root(inside, root),
        Op::Loopback => net::loopback_up(),
        Op::Mount(mount) => mount::mount(inside, mount),
        Op::Device(device) => device::device(inside, device),
        Op::Link { place, to } => device::link(inside, place, to),
        Op::Terminal { size } => terminal::open(inside, *size),
        Op::Hostname { name } => Ok(rustix::system::sethostname(name.to_bytes())?),
        Op::Domainname { name } => Ok(rustix::system::setdomainname(name.to_bytes())?),
        Op::Sysctl { path, value } => sysctl(inside, path, value),
        Op::ReadOnlyMount { place, .. } => mount::read_only_mount(inside, place),
        Op::EnterRoot { pivot, shared } => root::enter(inside, *pivot, *shared),
        Op::RootPropagation { flags } => root::own_propagation(*flags),
        Op::ReadOnlyRoot => root::read_only(inside),
        Op::ReadOnlyPath { place, keep } => mount::read_only_path(inside, place, *keep),
        Op::MaskPath { place, file } => mount::mask(inside, place, *file),
        Op::Keyring { name } => identity::keyring(name),
        Op::Knob(knob) => identity::knob(0, knob),
        Op::OpenProcfs => inside.proc().map(|_| ()),
        Op::Attribute { of, value } => identity::attribute(inside, *of, value),
        Op::Label { place, label } => mount::label(inside, place, label),
        Op::Rlimit { resource, soft, hard } => identity::rlimit(*resource, *soft, *hard),
        Op::NoNewPrivileges => Ok(rustix::thread::set_no_new_privs(true)?),
        Op::Seccomp { filter, before } => {
            if let Some(program) = before {
                last_steps(inside, files, program)?;
            }
            load(inside, filter)
        }
        Op::BoundingSet { keep } => identity::bounding_set(*keep),
        Op::User { uid, gid, groups, keep } => identity::user(inside, *uid, *gid, *groups, *keep),
        Op::CapabilitySets(sets) => identity::capability_sets(sets),
        Op::Umask { mask } => {
            rustix::process::umask(Mode::from_raw_mode(*mask));
            Ok(())
        }
        Op::WorkingDirectory { path } => exec::working_directory(inside, path),
        Op::AwaitHooks => {
            announced(inside)?;
            wire::write(inside.channel, &[wire::HOOKS])?;
            wire::await_go(inside.channel)
        }
        Op::Hook(it) => {
            // what runs before the program runs in a container that is created, also where nobody waits in between
            let created = it.kind == "startContainer";
            hook::run(inside.arena, it, facts(process::own_pid(), created))
        }
        Op::FindProgram(program) => exec::find(inside, program),
        Op::AwaitStart => {
            ready(inside)?;
            // the record names this process by then: one that nobody could find again must not wait on
            wire::await_go(inside.channel)?;
            let connection = await_start(start.ok_or(Errno::BADF)?)?;
            inside.channel = descriptor::leave_open(connection);
            inside.started = true;
            wire::await_go(inside.channel)
        }
        Op::Exec(program) => {
            last_steps(inside, files, program)?;
            Err(exec::exec(inside, program))
        }
    }
}

/// What comes before the exec: nothing but a filter may come after.
fn last_steps<'a>(inside: &mut Inside<'a, '_>, files: &[BorrowedFd<'_>], program: &Exec<'a>) -> Outcome<()> {
    if inside.vectors.is_some() {
        return Ok(());
    }
    // not before: what fails or warns until here is for the caller
    stdio::replace(files)?;
    if !inside.started {
        ready(inside)?;
    }
    exec::prepare(inside, program)
}

/// Loads the filter. Its listener goes to the parent by number: no call but write(2) is sure not to wait for the one who
/// is to get it, as no profile may have him decide on that one.
fn load(inside: &mut Inside<'_, '_>, filter: &Filter<'_>) -> Outcome<()> {
    if filter.listener.is_some() {
        announced(inside)?;
    }
    let Some(number) = seccomp::load(filter)? else { return Ok(()) };
    wire::write(inside.channel, &wire::numbers(wire::LISTENER, 0, 0, number))?;
    wire::await_go(inside.channel)?;
    // with a copy here, calls would wait for one who is gone
    descriptor::close(number);
    Ok(())
}

/// Makes the container's process beside this one, which tells of it and ends: what comes back is the new one.
fn sibling(inside: &mut Inside<'_, '_>, namespaces: u64) -> Outcome<()> {
    // what it clones is in its group until that makes a session: the parent ends the group where it hears of no clone
    process::lead_group()?;
    match namespace::clone(namespaces | u64::from(n::CLONE_PARENT), None)? {
        (Cloned::Child, _) => Ok(()),
        (Cloned::Parent(pid), _) => {
            let message = wire::numbers(wire::CLONED, 0, 0, pid.as_raw_nonzero().get());
            process::exit(wire::write(inside.channel, &message).is_err().into())
        }
    }
}

/// Waits until the parent has told the world about the container; it says so once.
fn announced(inside: &mut Inside<'_, '_>) -> Outcome<()> {
    if !inside.announced {
        wire::await_go(inside.channel)?;
        inside.announced = true;
    }
    Ok(())
}

/// By now the parent has told the world about the container, and its device rules are in force.
fn ready(inside: &mut Inside<'_, '_>) -> Outcome<()> {
    announced(inside)?;
    wire::write(inside.channel, &[wire::READY])
}

/// Waits until `start` connects. All signals are blocked, and as the first process of a pid namespace this one would
/// not even die of most: those that would end a program end it here.
fn await_start(start: BorrowedFd<'_>) -> Outcome<OwnedFd> {
    use rustix::event::{PollFd, PollFlags, poll};
    let signals = process::signal_descriptor()?;
    loop {
        let mut fds = [PollFd::new(&start, PollFlags::IN), PollFd::new(&signals, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
        let [connected, signalled] = fds.map(|fd| !fd.revents().is_empty());
        if signalled {
            let signal = process::next_signal()?.unsigned_abs();
            if !matches!(signal, n::SIGCHLD | n::SIGCONT | n::SIGURG | n::SIGWINCH) {
                process::exit(128u8.saturating_add(signal as u8));
            }
        }
        if connected {
            return socket::accept(start);
        }
    }
}

/// /proc/sys is written through the trusted procfs; its namespaced files show those of the writing process.
fn sysctl<'a>(inside: &mut Inside<'a, '_>, path: &core::ffi::CStr, value: &core::ffi::CStr) -> Outcome<()> {
    let file = c_join!(inside.arena, "sys/", path)?;
    inside.proc()?.write(file, value)
}
