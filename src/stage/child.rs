//! The child: walks the plan's operations in the new namespaces and execs, or reports which one failed.
//!
//! It inherits the plan by the clone and decides nothing. It never returns into the parent's code.

use super::wire::{self, Report};
use crate::c_join;
use crate::effect::inside::Inside;
use crate::effect::{Hint, Outcome, device, exec, identity, mount, root, terminal};
use crate::plan::op::{Op, Plan};
use crate::rt::arena::Arena;
use crate::sys::net;
use crate::sys::process;
use linux_raw_sys::general as n;
use rustix::fd::{BorrowedFd, RawFd};
use rustix::fs::Mode;
use rustix::process::DumpableBehavior;

/// Everything from the clone to exec.
pub fn run<'a>(
    arena: &Arena<'a>,
    plan: &Plan<'a>,
    channel: BorrowedFd<'_>,
    sources: &[RawFd],
    must_wait: bool,
) -> ! {
    let mut inside = Inside::new(arena, channel, sources);
    // what is made in the container has exactly the mode it is made with
    rustix::process::umask(Mode::empty());
    if must_wait && wire::await_go(channel).is_err() {
        process::exit(1);
    }
    for (index, op) in (0u16..).zip(plan.child) {
        inside.sweep();
        if let Err(fault) = perform(&mut inside, op, must_wait) {
            let report = Report { operation: index, fault };
            if wire::tell(channel, &report.encode()).is_err() {
                // the parent is gone: it has said why, or was killed
            }
            process::exit(1);
        }
    }
    process::exit(1)
}

fn perform<'a>(inside: &mut Inside<'a, '_>, op: &Op<'a>, waited: bool) -> Outcome<()> {
    match op {
        Op::AwaitParent if waited => Ok(()),
        Op::AwaitParent => wire::await_go(inside.channel),
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
        Op::Rlimit { resource, soft, hard } => identity::rlimit(*resource, *soft, *hard),
        Op::NoNewPrivileges => Ok(rustix::thread::set_no_new_privs(true)?),
        Op::BoundingSet { keep } => identity::bounding_set(*keep),
        Op::User { uid, gid, groups, keep } => identity::user(*uid, *gid, *groups, *keep),
        Op::CapabilitySets(sets) => identity::capability_sets(sets),
        Op::Umask { mask } => {
            rustix::process::umask(Mode::from_raw_mode(*mask));
            Ok(())
        }
        Op::WorkingDirectory { path } => exec::working_directory(inside, path),
        Op::Exec(program) => {
            // by now the parent has told the world about the container, and its device rules are in force
            wire::await_go(inside.channel)?;
            wire::tell(inside.channel, &[wire::READY])?;
            Err(exec::exec(inside, program))
        }
    }
}

/// /proc/sys is written through the trusted procfs; its namespaced files show those of the writing process.
fn sysctl<'a>(inside: &mut Inside<'a, '_>, path: &core::ffi::CStr, value: &core::ffi::CStr) -> Outcome<()> {
    let file = c_join!(inside.arena, "sys/", path)?;
    inside.proc()?.write(file, value)
}
