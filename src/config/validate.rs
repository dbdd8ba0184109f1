//! Checks that need more than one field, and no host: what makes a config impossible on every machine.
//!
//! What a single value's own text can tell is in the schema tables ([`super::rules`]) and was checked by the reader. runc
//! rules where runtime-spec is silent, and its words are kept where engines may look for them. Invariant: time stays
//! linear in the text, so each list is walked once, and a warning about items of a list is given once for the list.
//!
//! Must not do: look at the host, or ask for what only carrying a config out needs (root, process, a network namespace for
//! net devices): files without are valid, and the plan says what is missing. The plan also has to find out whether a
//! namespace that is joined by path is another one than the caller's before it sets a sysctl there.

use super::{
    Config, Linux, List, Map, Memory, MemoryPolicy, MemoryPolicyMode, NamespaceKind, Process, Rlimit,
    Scheduler, SchedulerPolicy, Seccomp, SeccompAction, rules, sysctl, version,
};
use crate::base::path::is_absolute;
use crate::base::text::{Template, Words, quoted};
use crate::base::words::Listed;
use crate::error::{Error, Result};
use crate::json::locate::{Path, Source};
use crate::json::view::Value;
use crate::message;
use crate::names::{capabilities, rlimits};
use crate::rt::arena::Arena;
use crate::text;
use core::ffi::CStr;

/// A place in the config, written as cheaply as it can be, since most checks pass: fields from the root with dots between
/// them, and `[]` where the item or the member of [`Part`] comes in: `process.rlimits[].soft`.
type At = &'static str;

/// What `[]` in a place stands for.
#[derive(Clone, Copy)]
enum Part<'p> {
    Item(usize),
    Member(&'p [u8]),
}

/// The path of a place, for `give`.
fn locate<'a>(at: At, part: Part<'_>, give: &dyn Fn(&Path<'_>) -> Error<'a>) -> Error<'a> {
    let root = Path::ROOT;
    let Some(end) = at.bytes().position(|b| b == b'[') else { return give(&root.field(at)) };
    let holder = root.field(at.get(..end).unwrap_or(at));
    let part = match part {
        Part::Item(n) => holder.item(n),
        Part::Member(key) => holder.member(key),
    };
    match at.get(end.saturating_add(3)..) {
        Some(field) if !field.is_empty() => give(&part.field(field)),
        _ => give(&part),
    }
}

/// Checks a config that [`super::parse`] gave; `warn` gets what is odd but carried out.
///
/// # Errors
/// The first thing that can't be carried out whatever the host is, with its place.
#[inline(never)]
pub fn validate<'a>(
    arena: &Arena<'a>,
    config: &Config<'a>,
    warn: &mut dyn FnMut(&Error<'a>),
) -> Result<'a, ()> {
    let mut checker = Checker { arena, source: config.source, warn, listed: 0, new: 0 };
    checker.version(config)?;
    if let Some(linux) = config.linux() {
        checker.namespaces(&linux)?;
    }
    checker.owners(config)?;
    if let Some(process) = config.process() {
        checker.process(&process)?;
    }
    checker.mounts(config)?;
    if let Some(linux) = config.linux() {
        checker.linux(&linux)?;
    }
    checker.keys(config.annotations(), "annotations[]", &|key| {
        key.is_empty().then_some(text!("a key must not be empty"))
    })
}

/// What all checks share.
pub(super) struct Checker<'c, 'a> {
    arena: &'c Arena<'a>,
    source: Source<'a>,
    warn: &'c mut dyn FnMut(&Error<'a>),
    /// CLONE_NEW* of all namespaces that the config lists.
    listed: u64,
    /// Of those among them that have no path.
    new: u64,
}

impl<'a> Checker<'_, 'a> {
    /// An error at a place; `n` is the item where it has one.
    fn refuse(&self, at: At, n: usize, text: Template) -> Error<'a> {
        self.complain(at, Part::Item(n), text, Words::NONE)
    }

    fn complain(&self, at: At, part: Part<'_>, text: Template, words: Words<'_>) -> Error<'a> {
        locate(at, part, &|path| self.source.complain(self.arena, path, text, words))
    }

    fn unexpected(&self, at: At, n: usize, wanted: Template, words: Words<'_>) -> Error<'a> {
        locate(at, Part::Item(n), &|path| self.source.unexpected(self.arena, path, wanted, words))
    }

    fn warn(&mut self, at: At, n: usize, text: Template, words: Words<'_>) {
        let warning = self.complain(at, Part::Item(n), text, words);
        (self.warn)(&warning);
    }

    /// Whether the config lists a namespace of this kind, new or joined.
    pub(super) fn has(&self, kind: NamespaceKind) -> bool {
        self.listed & kind.clone_flag() != 0
    }

    /// Whether the config asks for a new namespace of this kind.
    pub(super) fn makes(&self, kind: NamespaceKind) -> bool {
        self.new & kind.clone_flag() != 0
    }

    /// config.md, "Specification version"; semver.org.
    fn version(&mut self, config: &Config<'a>) -> Result<'a, ()> {
        let at = "ociVersion";
        let Some(version) = version::read(config.oci_version().to_bytes()) else {
            return Err(message!({self.unexpected} (at, 0) "a version such as \"1.3.0\" (semver.org)"));
        };
        if version.major != version::MAJOR {
            return Err(message!({self.unexpected} (at, 0) "a version 1.x of the runtime-spec"));
        }
        // Engines of this day write 1.0.2-dev: what came out since is known whole.
        let text = if version.pre_release && version.minor >= version::MINOR {
            text!(" is a pre-release: read as the release")
        } else if version.minor > version::MINOR {
            text!(" is newer than 1.3, which hull follows: what it added is ignored")
        } else {
            return Ok(());
        };
        message!({self.warn} (at, 0) quoted(config.oci_version()), text);
        Ok(())
    }

    /// Collects the kinds; each may be there once.
    fn namespaces(&mut self, linux: &Linux<'a>) -> Result<'a, ()> {
        for (n, namespace) in linux.namespaces().iter().enumerate() {
            let bit = namespace.kind().clone_flag();
            if self.listed & bit != 0 {
                return Err(
                    message!({self.complain} ("linux.namespaces[]", Part::Item(n)) "duplicated namespace \"", namespace.kind().word(), "\""),
                );
            }
            self.listed |= bit;
            if namespace.path().is_none_or(CStr::is_empty) {
                self.new |= bit;
            }
        }
        Ok(())
    }

    /// Fields that only mean something in a namespace of a certain kind; the texts are runc's.
    fn owners(&self, config: &Config<'a>) -> Result<'a, ()> {
        let named = |name: Option<&CStr>| name.is_some_and(|name| !name.is_empty());
        let text = text!("unable to set hostname without a private UTS namespace");
        self.owner(named(config.hostname()), NamespaceKind::Uts, "hostname", text)?;
        let text = text!("unable to set domainname without a private UTS namespace");
        self.owner(named(config.domainname()), NamespaceKind::Uts, "domainname", text)?;
        let Some(linux) = config.linux() else { return Ok(()) };
        let text = text!("User namespace mappings specified, but USER namespace isn't enabled in the config");
        self.owner(!linux.uid_mappings().is_empty(), NamespaceKind::User, "linux.uidMappings", text)?;
        self.owner(!linux.gid_mappings().is_empty(), NamespaceKind::User, "linux.gidMappings", text)?;
        let text = text!("time namespace offsets specified, but time namespace isn't enabled in the config");
        // the clocks of one that is joined run already
        let there = linux.time_offsets().is_some() && !self.makes(NamespaceKind::Time);
        if there { Err(self.refuse("linux.timeOffsets", 0, text)) } else { Ok(()) }
    }

    fn owner(&self, there: bool, kind: NamespaceKind, at: At, text: Template) -> Result<'a, ()> {
        if there && !self.has(kind) { Err(self.refuse(at, 0, text)) } else { Ok(()) }
    }

    fn process(&mut self, process: &Process<'a>) -> Result<'a, ()> {
        match process.args().get(0) {
            None => return Err(self.refuse("process.args", 0, text!("args must not be empty"))),
            Some(program) if program.is_empty() => {
                return Err(message!({self.unexpected} ("process.args[]", 0) "the name of a program"));
            }
            Some(_) => {}
        }
        let mut seen = 0u32;
        for (n, limit) in process.rlimits().iter().enumerate() {
            self.rlimit(n, &limit, &mut seen)?;
        }
        if let Some(sets) = process.capabilities() {
            let mut n = 0;
            while let Some((name, set)) = sets.set(n) {
                self.capabilities(name, set);
                n += 1;
            }
        }
        process.scheduler().map_or(Ok(()), |scheduler| self.scheduler(&scheduler))
    }

    fn capabilities(&mut self, name: &str, set: List<'a, &'a CStr>) {
        let mut first = None;
        let mut unknown = 0usize;
        for (n, word) in set.iter().enumerate() {
            if capabilities::number(word.to_bytes()).is_none() {
                first = first.or(Some((n, word)));
                unknown += 1;
            }
        }
        if let Some((n, word)) = first {
            let root = Path::ROOT;
            let sets = root.field("process.capabilities");
            let set = sets.field(name);
            let item = set.item(n);
            (self.warn)(&message!(
                {self.source.complain} (self.arena, &item) unknown, " unknown and ignored, the first is ", quoted(word)
            ));
        }
    }

    fn rlimit(&self, n: usize, limit: &Rlimit<'a>, seen: &mut u32) -> Result<'a, ()> {
        let Some(number) = rlimits::number(limit.kind().to_bytes()) else {
            return Err(
                message!({self.unexpected} ("process.rlimits[].type", n) "one of ", Listed(rlimits::WORDS)),
            );
        };
        let bit = 1u32.checked_shl(number).unwrap_or(0);
        if *seen & bit != 0 {
            return Err(message!(
                {self.complain} ("process.rlimits[]", Part::Item(n)) "duplicated limit ", quoted(limit.kind())
            ));
        }
        *seen |= bit;
        if limit.soft() > limit.hard() {
            return Err(message!(
                {self.complain} ("process.rlimits[].soft", Part::Item(n))
                "the soft limit ", limit.soft(), " is above the hard limit ", limit.hard()
            ));
        }
        Ok(())
    }

    /// sched(7): which parameter belongs to which policy.
    fn scheduler(&self, scheduler: &Scheduler<'a>) -> Result<'a, ()> {
        let policy = scheduler.policy();
        let takes_priority = matches!(policy, SchedulerPolicy::Fifo | SchedulerPolicy::RoundRobin);
        let [_, _, priority, _, runtime, deadline, period] = scheduler.numbers();
        if priority != 0 && !takes_priority {
            return Err(self.refuse(
                "process.scheduler.priority",
                0,
                text!("only SCHED_FIFO and SCHED_RR take it"),
            ));
        }
        for (value, at) in [
            (runtime, "process.scheduler.runtime"),
            (deadline, "process.scheduler.deadline"),
            (period, "process.scheduler.period"),
        ] {
            if value != 0 && policy != SchedulerPolicy::Deadline {
                return Err(self.refuse(at, 0, text!("only SCHED_DEADLINE takes it")));
            }
        }
        Ok(())
    }

    fn mounts(&mut self, config: &Config<'a>) -> Result<'a, ()> {
        let mut warned = false;
        for (n, mount) in config.mounts().iter().enumerate() {
            if mount.uid_mappings().is_empty() != mount.gid_mappings().is_empty() {
                return Err(self.refuse(
                    "mounts[]",
                    n,
                    text!("uidMappings and gidMappings must be given together"),
                ));
            }
            if !is_absolute(mount.destination().to_bytes()) && !warned {
                warned = true;
                let path = quoted(mount.destination());
                message!({self.warn} ("mounts[].destination", n) "relative path ", path, " is taken as relative to /");
            }
        }
        Ok(())
    }

    fn linux(&mut self, linux: &Linux<'a>) -> Result<'a, ()> {
        self.keys(linux.sysctl(), "linux.sysctl[]", &|key| sysctl::wrong(self, key))?;
        self.keys(linux.net_devices(), "linux.netDevices[]", &|key| {
            let right = !key.is_empty() && rules::is_interface(key);
            (!right).then_some(text!("a key must be the name of a network device"))
        })?;
        if let Some(resources) = linux.resources() {
            let memory = resources.memory().unwrap_or(Memory::ABSENT);
            // as in runc: kernels of today have no such limits
            if memory.kernel().max(memory.kernel_tcp()).is_some_and(|limit| limit > 0) {
                message!({self.warn} ("linux.resources.memory", 0) "Kernel memory settings are ignored");
            }
            self.keys(resources.unified(), "linux.resources.unified[]", &|key| {
                let wrong = key.is_empty() || key.contains(&b'/');
                wrong.then_some(text!("a key must be a file name (no slashes)"))
            })?;
        }
        for (n, device) in linux.devices().iter().enumerate() {
            if device.kind() != c"p" && (device.major().is_none() || device.minor().is_none()) {
                return Err(self.refuse(
                    "linux.devices[]",
                    n,
                    text!("only a FIFO goes without \"major\" and \"minor\""),
                ));
            }
        }
        if linux.personality().is_some_and(|p| !p.flags().is_empty()) {
            message!({self.warn} ("linux.personality.flags", 0) "no flag is defined: ignored");
        }
        if let Some(policy) = linux.memory_policy() {
            self.memory_policy(&policy)?;
        }
        linux.seccomp().map_or(Ok(()), |seccomp| self.seccomp(&seccomp))
    }

    /// set_mempolicy(2): which modes take nodes.
    fn memory_policy(&self, policy: &MemoryPolicy<'a>) -> Result<'a, ()> {
        let nodes = policy.nodes().is_some_and(|nodes| !nodes.is_empty());
        let text = match policy.mode() {
            MemoryPolicyMode::Default | MemoryPolicyMode::Local if nodes => {
                text!("MPOL_DEFAULT and MPOL_LOCAL take none")
            }
            MemoryPolicyMode::Default | MemoryPolicyMode::Local | MemoryPolicyMode::Preferred => {
                return Ok(());
            }
            _ if nodes => return Ok(()),
            _ => text!("this mode needs at least one"),
        };
        Err(self.refuse("linux.memoryPolicy.nodes", 0, text))
    }

    /// Refuses the first key that `wrong` has a word on.
    fn keys<T: Value<'a>>(
        &self,
        map: Map<'a, T>,
        at: At,
        wrong: &dyn Fn(&[u8]) -> Option<Template>,
    ) -> Result<'a, ()> {
        for key in map.keys() {
            if let Some(text) = wrong(key) {
                return Err(self.complain(at, Part::Member(key), text, Words::NONE));
            }
        }
        Ok(())
    }

    /// config-linux.md, "Seccomp", and what libseccomp would refuse for runc.
    fn seccomp(&self, seccomp: &Seccomp<'a>) -> Result<'a, ()> {
        if seccomp.default_action() == SeccompAction::Notify {
            let text = text!("SCMP_ACT_NOTIFY cannot be used as default action");
            return Err(self.refuse("linux.seccomp.defaultAction", 0, text));
        }
        let takes_errno = |action| matches!(action, SeccompAction::Errno | SeccompAction::Trace);
        let errno = text!("only SCMP_ACT_ERRNO and SCMP_ACT_TRACE take an errno");
        if seccomp.default_errno_ret().is_some() && !takes_errno(seccomp.default_action()) {
            return Err(self.refuse("linux.seccomp.defaultErrnoRet", 0, errno));
        }
        let needs = text!("needs linux.seccomp.listenerPath");
        let listener = seccomp.listener_path().is_some_and(|path| !path.is_empty());
        if !listener && seccomp.listener_metadata().is_some_and(|text| !text.is_empty()) {
            return Err(self.refuse("linux.seccomp.listenerMetadata", 0, needs));
        }
        for (n, rule) in seccomp.syscalls().iter().enumerate() {
            if rule.names().is_empty() {
                return Err(self.refuse(
                    "linux.seccomp.syscalls[].names",
                    n,
                    text!("names must not be empty"),
                ));
            }
            if rule.errno_ret().is_some() && !takes_errno(rule.action()) {
                return Err(self.refuse("linux.seccomp.syscalls[].errnoRet", n, errno));
            }
            if rule.action() != SeccompAction::Notify {
                continue;
            }
            if !listener {
                return Err(self.refuse("linux.seccomp.syscalls[].action", n, needs));
            }
            // the write that hands the listener its descriptor would wait for that listener
            if rule.names().iter().any(|name| name == c"write") {
                let text = text!("SCMP_ACT_NOTIFY cannot be used for the write syscall");
                return Err(self.refuse("linux.seccomp.syscalls[].names", n, text));
            }
        }
        Ok(())
    }
}
