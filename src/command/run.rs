//! `hull run`: a container from start to end, in the foreground. `hull plan` is its first part, up to the plan, which is
//! printed and not carried out: it needs neither root nor the root filesystem.
//!
//! Whatever happens on the way, what was made is removed: the process, the cgroups, the state directory, the pid file
//! stays as in runc. `--keep` leaves state and cgroups.

use super::{Log, print, read_bundle, request, state_root};
use crate::base::path;
use crate::base::text::Template;
use crate::c_join;
use crate::cli::Options;
use crate::cli::flags::Verb;
use crate::compose;
use crate::effect::cgroup::Cgroups;
use crate::effect::probe;
use crate::error::Result;
use crate::fail;
use crate::message;
use crate::plan::host::{Host, Wants};
use crate::plan::op::Plan;
use crate::rt::arena::Arena;
use crate::rt::start::Start;
use crate::stage::{foreground, parent, protect};
use crate::state::{self, Facts, State};
use crate::sys::fault::Fault;
use crate::sys::{descriptor, open, process, stdio};
use crate::text;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::process::Pid;

/// Runs the container, or prints its plan; returns the exit code.
///
/// # Errors
/// The operation that failed; everything is cleaned up by then.
pub fn run<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>, log: &Log<'_, 'a>) -> Result<'a, u8> {
    let only_plan = options.verb == Some(Verb::Plan);
    if !only_plan {
        prepare(arena, start, options)?;
    }
    let pid_file = match options.pid_file {
        Some(file) => Some(absolute(arena, file)?),
        None => None,
    };
    let root = absolute(arena, state_root(arena, start, options)?)?;
    let bundle = read_bundle(arena, options.bundle, log)?;
    let host = probe::host(&bundle.arena, Wants::of(&bundle.config))
        .map_err(|fault| message!({fault.told} (arena) "look at the host's cgroups"))?;
    let request = request(options, bundle.path);
    let plan = crate::plan::plan(&bundle.arena, &bundle.config, &host, &request)?;
    if only_plan {
        return print(arena, &plan);
    }
    warn_without_cgroups(&bundle, &host, log);
    log.plan(&bundle.arena, &plan);
    let state = State::create(&bundle.arena, root, request.id)?;
    let container =
        Container { arena: &bundle.arena, plan: &plan, pid_file, id: request.id, bundle: bundle.path };
    let mut cgroups = Cgroups::new(&bundle.arena);
    let result = container.live(&state, &mut cgroups);
    if options.keep && result.is_ok() {
        return result;
    }
    let orphans = plan.namespaces & u64::from(n::CLONE_NEWPID) == 0;
    let removed = cgroups
        .remove(orphans)
        .map_err(|fault| message!({fault.told} (arena) "remove the container's cgroup"));
    let gone =
        state.remove().map_err(|errno| fail!(arena, errno => "remove the container's state directory"));
    // the first thing that went wrong is the one to tell
    let code = result?;
    removed?;
    gone?;
    Ok(code)
}

/// What must hold before the bundle is read: hull runs from its own copy, and no descriptor takes a place that was closed.
fn prepare<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, ()> {
    protect::ensure(arena, start)?;
    stdio::ensure_open()
        .map_err(|fault| message!({fault.told} (arena) "open /dev/null for a closed standard descriptor"))?;
    for number in (3i32..).take(options.preserve_fds as usize) {
        if !descriptor::is_open(number) {
            return Err(fail!(
                arena,
                "--preserve-fds ",
                options.preserve_fds,
                ": descriptor ",
                number,
                " is not open"
            ));
        }
    }
    Ok(())
}

/// A path of the command line, taken before hull changes into the bundle.
fn absolute<'a>(arena: &Arena<'a>, text: &'a CStr) -> Result<'a, &'a CStr> {
    if path::is_absolute(text.to_bytes()) {
        return Ok(text);
    }
    let here = crate::sys::directory::current(arena)
        .map_err(|fault| message!({fault.told} (arena) "find the working directory"))?;
    Ok(c_join!(arena, here, "/", text)?)
}

fn warn_without_cgroups<'a>(bundle: &super::Bundle<'a>, host: &Host<'a>, log: &Log<'_, 'a>) {
    let rules = bundle.config.linux().and_then(|l| l.resources()).is_some_and(|r| !r.devices().is_empty());
    if host.cgroups.is_empty() && rules {
        log.warning(
            &bundle.arena,
            &fail!(
                &bundle.arena,
                "linux.resources.devices: this host has no cgroup tree, so the device rules are not in force"
            ),
        );
    }
}

struct Container<'a, 'b> {
    arena: &'b Arena<'a>,
    plan: &'b Plan<'a>,
    pid_file: Option<&'a CStr>,
    id: &'a CStr,
    bundle: &'a CStr,
}

impl<'a> Container<'a, '_> {
    fn live(&self, state: &State<'a>, cgroups: &mut Cgroups<'a, '_>) -> Result<'a, u8> {
        let trouble = |text: Template| move |fault: Fault| message!({fault.told} (self.arena) text);
        process::block_signals().map_err(trouble(text!("block signals")))?;
        foreground::default_signals(self.arena).map_err(trouble(text!("set signals to their defaults")))?;
        // orphans of a container without a pid namespace come to hull, as they come to runc
        rustix::process::set_child_subreaper(Some(rustix::process::Pid::INIT))
            .map_err(|errno| trouble(text!("become a sub-reaper"))(errno.into()))?;
        let mut announce = |pid| self.tell(state, pid);
        let running = parent::launch(self.arena, self.plan, cgroups, &mut announce).map_err(|failure| {
            if let Some(child) = failure.child {
                foreground::end(child);
                self.forget_pid_file();
            }
            failure.error
        })?;
        let ended = match running.terminal {
            Some(master) => foreground::relay(running.pid, master, self.fixed_size()),
            None => foreground::wait_for(running.pid),
        };
        ended.map_err(|fault| {
            foreground::end(running.pid);
            self.forget_pid_file();
            message!({fault.told} (self.arena) "wait for the container")
        })
    }

    fn fixed_size(&self) -> bool {
        self.plan.child.iter().any(|op| matches!(op, crate::plan::op::Op::Terminal { size: Some(_) }))
    }

    fn tell(&self, state: &State<'a>, pid: Pid) -> Result<'a, ()> {
        let number = pid.as_raw_nonzero().get().unsigned_abs();
        if let Some(file) = self.pid_file {
            self.write_pid_file(file, number)?;
        }
        state.write(self.arena, &Facts { id: self.id, status: "running", pid: number, bundle: self.bundle })
    }

    /// A container that never ran, or that hull lost sight of, leaves no pid file.
    fn forget_pid_file(&self) {
        if let Some(file) = self.pid_file
            && fs::unlinkat(CWD, file, AtFlags::empty()).is_err()
        {
            // it was not there yet
        }
    }

    /// Whoever waits for the file never reads half a number.
    fn write_pid_file(&self, file: &'a CStr, pid: u32) -> Result<'a, ()> {
        let word = |errno| fail!(self.arena, errno => "write the pid file ", crate::base::text::quoted(file));
        let cut = file.to_bytes().iter().rposition(|&b| b == b'/').unwrap_or(0);
        let directory = self.arena.c_str(file.to_bytes().get(..cut.max(1)).unwrap_or(b"/"))?;
        let name = self.arena.c_str(path::last(file.to_bytes()))?;
        let beside = c_join!(self.arena, ".", name, ".", process::own_pid())?;
        let text = compose!(self.arena, pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let directory = open::open(CWD, directory, flags).map_err(word)?;
        use rustix::fd::AsFd;
        state::write_whole(directory.as_fd(), name, beside, text, Mode::from_raw_mode(0o644)).map_err(word)
    }
}
