//! Config and Host become a [`Plan`]: the whole list of operations, before the first effect.
//!
//! Pure: no system call, no descriptor. `hull plan` prints what comes out; golden tests pin it with a fixed Host.
//! Must not import `sys` or `effect`.

mod cgroup;
pub mod device_filter;
mod devices;
#[cfg(test)]
mod golden;
mod hooks;
pub mod host;
mod knobs;
pub mod limits;
#[cfg(test)]
mod limits_tests;
mod mounts;
mod namespaces;
pub mod op;
mod process;
mod resctrl;
pub mod seccomp;
pub mod show;
mod unsupported;

pub use unsupported::refuses;

use crate::base::path;
use crate::base::text::{Template, Words};
use crate::base::words;
use crate::c_join;
use crate::config::{Config, Linux, Process, Resources, Root, Value};
use crate::error::{Error, Result};
use crate::rt::arena::{Arena, Full, List};
use core::cell::Cell;
use core::ffi::CStr;
use host::Host;
use linux_raw_sys::general as n;
use op::{HostOp, Joined, Mount, Op, Place, Plan};

/// What the command line asks for, beside the config.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a CStr,
    /// The bundle directory, absolute.
    pub bundle: &'a CStr,
    /// `--no-pivot`.
    pub no_pivot: bool,
    /// `--no-new-keyring`.
    pub no_new_keyring: bool,
    /// `--preserve-fds`.
    pub preserve_fds: u32,
    /// The process waits for `start` before its program (`create`).
    pub wait: bool,
    /// The caller's PATH, where newuidmap and newgidmap are looked for.
    pub path: &'a CStr,
}

#[cfg(test)]
impl Request<'static> {
    /// No flags.
    pub(crate) fn plain(id: &'static CStr) -> Self {
        Request {
            id,
            bundle: c"/bundle",
            no_pivot: false,
            no_new_keyring: false,
            preserve_fds: 0,
            wait: false,
            path: c"/usr/bin:/bin",
        }
    }
}

/// A plan under construction.
struct Builder<'a, 'b> {
    arena: &'b Arena<'a>,
    config: &'b Config<'a>,
    linux: Linux<'a>,
    process: Process<'a>,
    host: &'b Host<'a>,
    request: &'b Request<'a>,
    /// CLONE_NEW* that the bundle asks for.
    namespaces: u64,
    /// CLONE_NEW* of those that it joins.
    joined: u64,
    joins: List<'a, &'a Joined<'a>>,
    /// See [`Plan::helper`].
    helper: bool,
    before: List<'a, HostOp<'a>>,
    attend: List<'a, HostOp<'a>>,
    meanwhile: List<'a, HostOp<'a>>,
    child: List<'a, Op<'a>>,
    /// The hierarchies that get a cgroup of the container's own, bit by number.
    made: u64,
    /// Sources that the parent opens for the child.
    sources: u16,
    /// The first mistake, if any.
    mistake: Cell<Option<Error<'a>>>,
    /// See [`Plan::awaits`].
    awaits: bool,
    /// The mounts planned so far, for what lies inside which.
    mounts: List<'a, &'a Mount<'a>>,
}

/// Remembers a mistake in the config: `refuse!(self, "mounts[", index, "]: ...")`.
macro_rules! refuse {
    ($builder:expr, $($words:tt)+) => {
        $crate::message!({$builder.refuse} () "config.json: ", $($words)+)
    };
}
use refuse;

/// Makes the plan for `run` of `config` on `host`.
///
/// # Errors
/// A field that hull can't carry out yet, a missing root or process, an option that contradicts another, or a config
/// too large for the arena; each names the JSON path.
#[inline(never)]
pub fn plan<'a>(
    arena: &Arena<'a>,
    config: &Config<'a>,
    host: &Host<'a>,
    request: &Request<'a>,
) -> Result<'a, Plan<'a>> {
    let linux = config.linux().unwrap_or(Linux::ABSENT);
    let process = config.process().unwrap_or(Process::ABSENT);
    // per mount: itself, its seal, and for cgroup v1 one mount and up to four links for each hierarchy
    let mounts = config.mounts().len() * (host.cgroups.len() * 5 + 3);
    // in a user namespace every bind has a source that the parent opens
    let mut either = 128 + mounts + host.cgroups.len() * 4;
    let resources = linux.resources().unwrap_or(Resources::ABSENT);
    // a rule for both kinds of devices is two of cgroup v1
    either += resources.devices().len() * 2 + limits::most(&resources);
    either += linux.devices().len();
    either += linux.sysctl().len() + linux.net_devices().len();
    either += process.rlimits().len();
    let hooks = config.hooks().unwrap_or(crate::config::Hooks::ABSENT);
    either += hooks.create_container().len() + hooks.start_container().len();
    let paths = linux.masked_paths().len() + linux.readonly_paths().len();
    let mut builder = Builder {
        arena,
        config,
        linux,
        process,
        host,
        request,
        namespaces: 0,
        joined: 0,
        joins: arena.list(linux.namespaces().len())?,
        helper: false,
        before: arena.list(either)?,
        attend: arena.list(either)?,
        meanwhile: arena.list(1)?,
        child: arena.list(either + paths)?,
        made: 0,
        sources: 0,
        mistake: Cell::new(None),
        awaits: false,
        mounts: arena.list(mounts + 8)?,
    };
    let born_into = builder.all();
    let namespaces = builder.cloned();
    let hooks = builder.parents_hooks();
    match builder.mistake.get() {
        Some(mistake) => Err(mistake),
        None => Ok(Plan {
            before: builder.before.done(),
            namespaces,
            helper: builder.helper,
            awaits: builder.awaits,
            born_into,
            attend: builder.attend.done(),
            meanwhile: builder.meanwhile.done(),
            child: builder.child.done(),
            hooks,
            sources: builder.sources,
            terminal: process.terminal(),
        }),
    }
}

impl<'a> Builder<'a, '_> {
    /// Plans everything; returns the hierarchy whose cgroup the child is cloned into.
    #[inline(never)]
    fn all(&mut self) -> Option<u8> {
        self.unsupported();
        if self.config.process().is_none() {
            refuse!(self, "process is missing: there is nothing to run (add process.args and process.cwd)");
        }
        self.wanted();
        let root = self.config.root().unwrap_or(Root::ABSENT);
        if self.config.root().is_none() {
            refuse!(
                self,
                "root is missing: a container needs a root filesystem (add \"root\": {\"path\": \"rootfs\"})"
            );
        }
        let root_path = self.host_path(root.path());
        let born_into = self.cgroups();
        self.resctrl();
        self.ids();
        self.join();
        self.attend_process();
        self.net_devices();
        let cgroup_namespace = self.makes(n::CLONE_NEWCGROUP);
        // the child must not go on before its maps, its cgroups or its limits are there, nor before it is known
        self.awaits = self.helper
            || !self.attend.items().is_empty()
            || (cgroup_namespace && born_into.is_none() && !self.host.cgroups.is_empty());
        if self.awaits {
            self.op(Op::AwaitParent);
        }
        if self.has_users() {
            self.op(Op::AssumeRoot);
        }
        self.op(Op::NotDumpable);
        self.op(Op::NewSession);
        if cgroup_namespace {
            self.op(Op::UnshareCgroup);
        }
        self.root_mount(root_path);
        if self.makes(n::CLONE_NEWNET) {
            self.op(Op::Loopback);
        }
        self.all_mounts();
        self.all_devices();
        self.names_and_sysctls();
        self.before_modules();
        self.enter_root(root.readonly());
        self.identity();
        born_into
    }

    /// Whether the bundle asks for a new namespace of this kind.
    fn makes(&self, flag: u32) -> bool {
        self.namespaces & u64::from(flag) != 0
    }

    /// Whether the container has a user namespace that is not the caller's.
    fn has_users(&self) -> bool {
        (self.namespaces | self.joined) & u64::from(n::CLONE_NEWUSER) != 0
    }

    /// A path of the host: relative ones start at the bundle.
    fn host_path(&self, text: &'a CStr) -> &'a CStr {
        if path::is_absolute(text.to_bytes()) {
            return text;
        }
        c_join!(self, self.request.bundle, "/", text)
    }

    /// The place that a path of the config names.
    fn place(&self, text: &CStr) -> &'a Place<'a> {
        self.place_of(self.clean(text))
    }

    /// The place of a path that is clean already.
    fn place_of(&self, path: &'a CStr) -> &'a Place<'a> {
        let clean = path.to_bytes();
        let (parent, name) = match clean.iter().rposition(|&b| b == b'/') {
            Some(at) => (clean.get(..at).unwrap_or(&[]), clean.get(at + 1..).unwrap_or(&[])),
            None => (&[][..], clean),
        };
        let around = self.around(parent).filter(|m| is_ours(m));
        let fresh = around.is_some_and(|m| is_tmpfs(m) && m.place.path.to_bytes() == parent)
            && !self.mounts.items().iter().any(|m| path::is_within(m.place.path.to_bytes(), clean));
        let place =
            Place { path, parent: self.text(parent), name: self.text(name), ours: around.is_some(), fresh };
        self.noted(self.arena.one(place)).unwrap_or(&NOWHERE)
    }

    /// The last planned mount at or above `clean`.
    fn around(&self, clean: &[u8]) -> Option<&'a Mount<'a>> {
        self.mounts.items().iter().rev().find(|m| path::is_within(clean, m.place.path.to_bytes())).copied()
    }

    /// Adds an operation of the child. Kept out of line: there are fifty callers.
    #[inline(never)]
    fn op(&mut self, op: Op<'a>) {
        let pushed = self.child.push(op);
        self.noted(pushed);
    }

    /// Adds an operation of the parent before the clone.
    #[inline(never)]
    fn first(&mut self, op: HostOp<'a>) {
        let pushed = self.before.push(op);
        self.noted(pushed);
    }

    /// Adds an operation of the parent after the clone.
    #[inline(never)]
    fn then(&mut self, op: HostOp<'a>) {
        let pushed = self.attend.push(op);
        self.noted(pushed);
    }

    fn push_mount(&mut self, mount: &Mount<'a>) {
        let Some(mount) = self.noted(self.arena.one(*mount)) else { return };
        let pushed = self.mounts.push(mount);
        self.noted(pushed);
        self.op(Op::Mount(mount));
    }

    /// For the `refuse!` macro.
    #[inline(never)]
    #[cold]
    fn refuse(&self, template: Template, words: Words<'_>) {
        self.note(Error::new(self.arena, template, words));
    }

    /// Remembers a mistake. Planning goes on with a stand-in, which has no effect on anything: the first mistake is all
    /// that comes out. That keeps a way out of each of a hundred steps out of the code.
    #[inline(never)]
    #[cold]
    fn note(&self, mistake: Error<'a>) {
        if self.mistake.get().is_none() {
            self.mistake.set(Some(mistake));
        }
    }

    /// What a step gave; a failure is remembered.
    fn noted<T, E: Into<Error<'a>>>(&self, result: core::result::Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.note(mistake.into());
                None
            }
        }
    }

    /// As [`Arena::c_join`], an empty text where there is no room; for the `c_join!` macro.
    #[inline(never)]
    fn c_join(&self, template: Template, words: Words<'_>) -> &'a CStr {
        self.noted(self.arena.c_join(template, words)).unwrap_or(c"")
    }

    /// A copy of `bytes`, an empty text where there is no room.
    #[inline(never)]
    fn text(&self, bytes: &[u8]) -> &'a CStr {
        self.noted(self.arena.c_str(bytes)).unwrap_or(c"")
    }

    /// The cleaned form of a path, without the leading slash.
    fn clean(&self, text: &CStr) -> &'a CStr {
        let room = self.room(text);
        let len = path::clean_into(text.to_bytes(), room).unwrap_or(0);
        // what a `..` took back still stands behind
        if let Some(end) = room.get_mut(len) {
            *end = 0;
        }
        crate::rt::c_string::until_nul(room).unwrap_or(c"")
    }

    /// Zeroed room for a text as long as `text`, and its NUL byte.
    fn room(&self, text: &CStr) -> &'a mut [u8] {
        self.noted(self.arena.bytes(text.to_bytes_with_nul().len())).unwrap_or(&mut [])
    }

    /// A copy of the items of a config's list.
    fn list<T: Copy + crate::config::Value<'a>>(&self, items: crate::config::List<'a, T>) -> &'a [T] {
        let copy = || -> core::result::Result<_, Full> {
            let mut list = self.arena.list(items.len())?;
            items.iter().try_for_each(|item| list.push(item))?;
            Ok(&*list.done())
        };
        self.noted(copy()).unwrap_or(&[])
    }
}

/// What stands for a place where there is no room for one.
static NOWHERE: Place<'static> = Place { path: c"", parent: c"", name: c"", ours: false, fresh: false };

/// File systems whose directories only the kernel and this plan fill.
const OURS: &str = "proc sysfs tmpfs devpts mqueue cgroup cgroup2 ";

fn is_ours(mount: &Mount<'_>) -> bool {
    match mount.form {
        // what is copied up comes from the image and may hold symlinks
        op::Form::New { kind, .. } => !mount.copy_up && words::position(OURS, kind.to_bytes()).is_some(),
        op::Form::Cgroup2 { .. } => true,
        op::Form::Bind { .. } | op::Form::Change { .. } => false,
    }
}

fn is_tmpfs(mount: &Mount<'_>) -> bool {
    matches!(mount.form, op::Form::New { kind, .. } if kind == c"tmpfs")
}
