//! `hull create` and `hull run`: from a bundle to a container (runtime.md, "Create").
//!
//! `create` leaves the process waiting for `start`; `run` goes on to the program, and in the foreground to its end. Whatever
//! goes wrong, what was made is removed: the process, the cgroups, the state directory. `run --keep` leaves state and
//! cgroups. `hull plan` is the first part, up to the plan, which is printed and not carried out: it needs neither root nor
//! the root filesystem.

use super::container::remove;
use super::hooks;
use super::{Bundle, Log, print, read_bundle, request, state_root};
use crate::base::path;
use crate::base::text::{Template, quoted};
use crate::c_join;
use crate::cli::Options;
use crate::cli::flags::Verb;
use crate::compose;
use crate::config::{Hooks, Value};
use crate::effect::cgroup::{self, Cgroups};
use crate::effect::{Fault, probe, process as look};
use crate::error::{EXIT_FAILURE, Result, borrowed};
use crate::fail;
use crate::json::schema::Slot;
use crate::message;
use crate::plan::host::{Host, Wants};
use crate::plan::op::{HostOp, Op, Plan, Resctrl};
use crate::rt::arena::{Arena, Full};
use crate::rt::start::Start;
use crate::stage::monitor::{self, Monitor, Side};
use crate::stage::{foreground, parent, protect};
use crate::state::record::{Draft, Slots, Status};
use crate::state::{self, State};
use crate::sys::descriptor::OwnedFd;
use crate::sys::{descriptor, open, process, socket, stdio, time};
use crate::text;
use core::ffi::CStr;
use linux_raw_sys::general as n;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

/// Creates the container, for `run` starts it, or prints its plan; returns the exit code.
///
/// # Errors
/// The operation that failed; everything is cleaned up by then.
#[inline(never)]
pub fn create<'a>(
    arena: &Arena<'a>,
    start: &Start,
    options: &Options<'a>,
    log: &Log<'_, 'a>,
) -> Result<'a, u8> {
    let only_plan = options.verb == Some(Verb::Plan);
    if !only_plan {
        prepare(arena, start, options)?;
    }
    let outside = Outside::new(arena, start, options);
    let outside = borrowed(&outside)?;
    let bundle = read_bundle(arena, options.bundle, log);
    let bundle = borrowed(&bundle)?;
    let host = probe::host(&bundle.arena, Wants::of(&bundle.config));
    let host = host.as_ref().map_err(|fault| message!({fault.told} (arena) "look at the host's cgroups"))?;
    let request = request(start, options, bundle.path);
    let plan = crate::plan::plan(&bundle.arena, &bundle.config, host, &request);
    let plan = borrowed(&plan)?;
    if only_plan {
        return print(arena, plan);
    }
    outside.check(arena, plan)?;
    let mut caller = None;
    if outside.log.is_some() {
        caller =
            match monitor::split(arena).map_err(|fault| message!({fault.told} (arena) "fork the monitor"))? {
                Side::Caller(code @ 0..=EXIT_FAILURE) => return Ok(code),
                Side::Caller(_) => {
                    return Err(fail!(arena, "the monitor was killed before the container was there"));
                }
                Side::Monitor(caller) => Some(caller),
            };
    }
    warn_without_cgroups(bundle, host, log);
    log.plan(&bundle.arena, plan);
    let maker = Maker { arena: &bundle.arena, bundle, plan, outside, id: request.id, caller };
    let slots = maker.draft()?.0;
    let state = State::create(&bundle.arena, outside.root, request.id)?;
    let mut cgroups = Cgroups::new(&bundle.arena);
    let result = maker.make(&state, &mut cgroups, slots);
    if result.is_ok() && (options.keep || !outside.foreground()) {
        return result;
    }
    let [.., groups] = slots;
    let gone = remove(arena, &mut cgroups, maker.shares_pids(), &state, groups);
    // what was never made has nothing to be told of; a container that failed on the way has
    if let Some(hooks) = bundle.config.hooks() {
        hooks::poststop(&bundle.arena, hooks, slots, log);
    }
    // the first thing that went wrong is the one to tell
    let code = result?;
    gone.map(|()| code)
}

fn config_hooks<'a>(bundle: &Bundle<'a>) -> Hooks<'a> {
    bundle.config.hooks().unwrap_or(Hooks::ABSENT)
}

/// What must hold before the bundle is read: hull runs from its own copy, and no descriptor takes a place that was closed.
#[inline(never)]
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

fn warn_without_cgroups<'a>(bundle: &Bundle<'a>, host: &Host<'a>, log: &Log<'_, 'a>) {
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

/// What the command line says of the host's side. Paths are absolute: hull changes into the bundle.
struct Outside<'a> {
    root: &'a CStr,
    pid_file: Option<&'a CStr>,
    console_socket: Option<&'a CStr>,
    pidfd_socket: Option<&'a CStr>,
    /// The log of the monitor, if there is to be one.
    log: Option<&'a CStr>,
    /// Bytes of it at most.
    log_size: u32,
    /// `create`: the process waits for `start`.
    waits: bool,
    detach: bool,
}

impl<'a> Outside<'a> {
    #[inline(never)]
    fn new(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, Outside<'a>> {
        let root = state_root(arena, start, options)?;
        let mut log = options.output;
        let right = match options.monitor {
            true => options.detach && options.console_socket.is_none(),
            false => log.is_none() && options.log_size == 0,
        };
        if !right {
            return Err(fail!(
                arena,
                "--monitor needs --detach and keeps the terminal itself (no --console-socket); --log and --log-size need --monitor"
            ));
        }
        if options.monitor && log.is_none() {
            log = Some(c_join!(arena, root, "/", options.id, "/log")?);
        }
        let mut paths = [Some(root), options.pid_file, options.console_socket, options.pidfd_socket, log];
        for path in paths.iter_mut().flatten() {
            *path = absolute(arena, path)?;
        }
        let [root, pid_file, console_socket, pidfd_socket, log] = paths;
        Ok(Outside {
            root: root.unwrap_or(c""),
            pid_file,
            console_socket,
            pidfd_socket,
            log,
            log_size: options.log_size,
            waits: options.verb == Some(Verb::Create),
            detach: options.detach,
        })
    }

    /// hull stays until the end.
    fn foreground(&self) -> bool {
        !self.waits && !self.detach
    }

    /// runc's rules on who keeps the terminal, in its words.
    fn check(&self, arena: &Arena<'a>, plan: &Plan<'a>) -> Result<'a, ()> {
        let left = !self.foreground();
        match (plan.terminal, self.console_socket) {
            (true, None) if left && self.log.is_none() => {
                Err(fail!(arena, "cannot allocate tty if hull will detach without setting console socket"))
            }
            (terminal, Some(_)) if !left || !terminal => {
                Err(fail!(arena, "cannot use console socket if hull will not detach or allocate tty"))
            }
            _ => Ok(()),
        }
    }
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

/// The directory of a file by its absolute path, and its name there.
#[inline(never)]
fn beside<'a>(
    arena: &Arena<'a>,
    file: &CStr,
) -> Result<'a, (core::result::Result<OwnedFd, Errno>, &'a CStr)> {
    let bytes = file.to_bytes();
    let cut = bytes.iter().rposition(|&b| b == b'/').unwrap_or(0);
    let directory = arena.c_str(bytes.get(..cut.max(1)).unwrap_or(b"/"))?;
    let name = arena.c_str(path::last(bytes))?;
    Ok((open::open(CWD, directory, OFlags::PATH | OFlags::DIRECTORY).map_err(|fault| fault.errno()), name))
}

struct Maker<'a, 'b> {
    arena: &'b Arena<'a>,
    bundle: &'b Bundle<'a>,
    plan: &'b Plan<'a>,
    outside: &'b Outside<'a>,
    id: &'a CStr,
    /// Where the monitor tells that the container is there.
    caller: Option<BorrowedFd<'static>>,
}

impl<'a> Maker<'a, '_> {
    /// A process that was made and did not get as far as it should is ended, and leaves no pid file.
    #[inline(never)]
    fn make(&self, state: &State<'a>, cgroups: &mut Cgroups<'a, '_>, slots: Slots<'a>) -> Result<'a, u8> {
        let mut child = None;
        let result = self.run(state, cgroups, slots, &mut child);
        if let (Err(_), Some(child)) = (&result, child) {
            foreground::end(child);
            if let Some(file) = self.outside.pid_file
                && fs::unlinkat(CWD, file, AtFlags::empty()).is_err()
            {
                // it was not there yet
            }
        }
        result
    }

    fn run(
        &self,
        state: &State<'a>,
        cgroups: &mut Cgroups<'a, '_>,
        slots: Slots<'a>,
        child: &mut Option<Pid>,
    ) -> Result<'a, u8> {
        let trouble = |text: Template| move |fault: Fault| message!({fault.told} (self.arena) text);
        let mut draft = Draft(slots);
        // first of all: whoever finds the directory of a killed creator knows what else there may be
        state.write(self.arena, &draft)?;
        process::block_signals().map_err(trouble(text!("block signals")))?;
        foreground::default_signals(self.arena).map_err(trouble(text!("set signals to their defaults")))?;
        if self.outside.foreground() {
            // orphans of a container without a pid namespace come to hull, as they come to runc
            rustix::process::set_child_subreaper(Some(Pid::INIT))
                .map_err(|errno| trouble(text!("become a sub-reaper"))(errno.into()))?;
        }
        let start = match self.outside.waits {
            true => Some(self.start_socket(state)?),
            false => None,
        };
        let mut stdio = [stdio::standard(stdio::IN); 3];
        let mut ours = None;
        if self.caller.is_some() {
            ours = Some(self.watch(state, &mut stdio)?);
        }
        let stdio = if ours.is_some() && !self.plan.terminal { &stdio[..] } else { &[] };
        let facts = |pid, created| {
            hooks::state(self.arena, slots, pid, if created { Status::Created } else { Status::Creating })
        };
        let mut announce = |pid| self.announce(state, &mut draft, pid);
        let running = parent::launch(
            self.arena,
            self.plan,
            cgroups,
            parent::Ends { lock: state.directory(), start, stdio },
            &mut announce,
            &facts,
            child,
        )?;
        if !self.outside.waits {
            let pid = running.pid.as_raw_nonzero().get().unsigned_abs();
            hooks::poststart(
                self.arena,
                config_hooks(self.bundle),
                hooks::state(self.arena, slots, pid, Status::Running),
            )?;
        }
        if !self.outside.foreground() {
            return self.hand_over(state, &mut draft, running, ours);
        }
        match running.terminal {
            Some(master) => foreground::relay(running.pid, master, self.fixed_size()),
            None => foreground::wait_for(running.pid),
        }
        .map_err(trouble(text!("wait for the container")))
    }

    /// The container's processes don't end with the first.
    fn shares_pids(&self) -> bool {
        self.plan.namespaces & u64::from(n::CLONE_NEWPID) == 0
    }

    /// The record before there is a process.
    fn draft(&self) -> Result<'a, Draft<'a>> {
        let mut groups = self.arena.list(self.plan.before.len())?;
        let mut going = Slot::Absent;
        for op in self.plan.before {
            if let HostOp::Resctrl(class) = op {
                going = self.going(class)?;
            }
            if let HostOp::MakeCgroup { mount, path, .. } = op {
                let (path, existed) = cgroup::ahead(self.arena, mount, path)?;
                let group = self.arena.one([Slot::Text(path), Slot::Signed(existed.into())])?;
                groups.push(Slot::Object(group))?;
            }
        }
        let (seconds, nanoseconds) = time::now();
        let config = &self.bundle.config;
        let root = config.root().map_or(c"", |root| root.path());
        Ok(Draft([
            Slot::Text(config.oci_version()),
            Slot::Text(self.id),
            Slot::Signed(0),
            Slot::Word(Status::Creating as usize),
            Slot::Text(self.bundle.path),
            Slot::Text(match path::is_absolute(root.to_bytes()) {
                true => root,
                false => c_join!(self.arena, self.bundle.path, "/", root)?,
            }),
            Slot::Text(c_join!(self.arena, crate::base::date::Date(seconds, Some(nanoseconds)))?),
            config.annotations().into_slot(),
            Slot::Absent,
            Slot::Absent,
            self.outside.log.map_or(Slot::Absent, Slot::Text),
            Slot::Unsigned(0),
            Slot::Bool(self.shares_pids()),
            Slot::List(groups.done()),
            config.hooks().map_or(Slot::Absent, |hooks| hooks.into_slot()),
            going,
        ]))
    }

    /// What goes with the container of its class of service: nothing that was there before, or that the config names.
    #[cold]
    #[inline(never)]
    fn going(&self, class: &Resctrl<'a>) -> core::result::Result<Slot<'a>, Full> {
        let own = !class.named && fs::access(class.path, fs::Access::EXISTS).is_err();
        let mut groups = self.arena.list(2)?;
        for group in [class.monitor, own.then_some(class.path)].into_iter().flatten() {
            groups.push(Slot::Text(group))?;
        }
        Ok(Slot::List(groups.done()))
    }

    /// The socket that the process waits on. It is bound from within the directory: its whole path may be too long for a
    /// socket address.
    fn start_socket(&self, state: &State<'a>) -> Result<'a, BorrowedFd<'static>> {
        let word =
            |fault: Fault| message!({fault.told} (self.arena) "make the socket that start will speak to");
        let listener = socket::listen(state.directory(), state::START).map_err(word)?;
        rustix::process::chdir(self.bundle.path).map_err(|errno| word(errno.into()))?;
        Ok(descriptor::leave_open(listener))
    }

    /// What the monitor will hold, made while a failure can still be told; `stdio` gets what the program's output goes to.
    #[inline(never)]
    #[cold]
    fn watch(&self, state: &State<'a>, stdio: &mut [BorrowedFd<'static>; 3]) -> Result<'a, Monitor> {
        let path = self.outside.log.unwrap_or(c"");
        let (directory, name) = beside(self.arena, path)?;
        let stdio = if self.plan.terminal { None } else { Some(stdio) };
        directory
            .map_err(Fault::from)
            .and_then(|at| Monitor::new(self.arena, state.directory(), at, name, self.outside.log_size, stdio))
            .map_err(|fault| message!({fault.told} (self.arena) "prepare the monitor, with its log ", quoted(path)))
    }

    /// The process is there: its pid goes to the pid file, for a run also into the record.
    fn announce(&self, state: &State<'a>, draft: &mut Draft<'a>, pid: Pid) -> Result<'a, ()> {
        if let Some(file) = self.outside.pid_file {
            self.write_pid_file(file, pid.as_raw_nonzero().get().unsigned_abs())?;
        }
        if let Some(path) = self.outside.pidfd_socket {
            let word = |fault: Fault| message!({fault.told} (self.arena) "send the process's pidfd to ", quoted(path));
            let descriptor = process::descriptor_of(pid).map_err(word)?;
            // runc's word for a container's first process
            socket::hand_over(path, b"standard", descriptor.as_fd()).map_err(word)?;
        }
        match self.outside.waits {
            true => Ok(()),
            false => self.record(state, draft, pid),
        }
    }

    fn record(&self, state: &State<'a>, draft: &mut Draft<'a>, pid: Pid) -> Result<'a, ()> {
        let seen = look::look(self.arena, pid)
            .map_err(|fault| message!({fault.told} (self.arena) "look at the container's process"))?;
        let number = pid.as_raw_nonzero().get().unsigned_abs();
        let started = seen.map_or(0, |seen| seen.started);
        draft.created(number, started);
        state.write(self.arena, draft)
    }

    /// hull's part is over, the container goes on.
    fn hand_over(
        &self,
        state: &State<'a>,
        draft: &mut Draft<'a>,
        running: parent::Running,
        monitor: Option<Monitor>,
    ) -> Result<'a, u8> {
        if let (Some(path), Some(master)) = (self.outside.console_socket, running.terminal) {
            socket::hand_over(path, b"/dev/ptmx", master).map_err(
                |fault| message!({fault.told} (self.arena) "send the terminal to the console socket ", quoted(path)),
            )?;
        }
        if self.outside.waits {
            self.record(state, draft, running.pid)?;
            running.recorded(self.arena)?;
        }
        let (Some(caller), Some(mut monitor)) = (self.caller, monitor) else { return Ok(0) };
        let word =
            |fault: Fault| message!({fault.told} (self.arena) "hand the container over to its monitor");
        monitor.pid = Some(running.pid);
        if let Some(master) = running.terminal {
            monitor.source = descriptor::high(master).map_err(word)?;
        }
        monitor::detach(caller).map_err(word)?;
        self.arena.leave(monitor, monitor::main)
    }

    fn fixed_size(&self) -> bool {
        self.plan.child.iter().any(|op| matches!(op, Op::Terminal { size: Some(_) }))
    }

    /// Whoever waits for the file never reads half a number.
    fn write_pid_file(&self, file: &'a CStr, pid: u32) -> Result<'a, ()> {
        let word = |errno| fail!(self.arena, errno => "write the pid file ", quoted(file));
        let (directory, name) = beside(self.arena, file)?;
        let other = c_join!(self.arena, ".", name, ".", process::own_pid())?;
        let text = compose!(self.arena, pid);
        let directory = directory.map_err(word)?;
        state::write_whole(directory.as_fd(), name, other, text, Mode::from_raw_mode(0o644)).map_err(word)
    }
}
