//! Mounts: from the config's entries to operations, and everything about the root.

use super::host::Version;
use super::namespaces::Lines;
use super::op::{Form, HostOp, IdMap, Mount, Op, Place, Source};
use super::{Builder, refuse};
use crate::base::path;
use crate::base::text::{Template, after, quoted};
use crate::base::words;
use crate::c_join;
use crate::config;
use crate::names::mount_options::{self, Meaning};
use crate::names::namespaces::NamespaceKind;
use crate::text;
use core::ffi::CStr;
use linux_raw_sys::general as n;

/// Paths that engines mask and that are files on every kernel that has them: trying the right way first saves a call.
const FILES: &str = "/proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug \
    /proc/interrupts ";

/// The types of mount that are treated in ways of their own, and their places.
const TYPES: &str = "tmpfs proc sysfs bind cgroup cgroup2 none mqueue ";
const TMPFS: usize = 0;
const PROC: usize = 1;
const SYSFS: usize = 2;
const BIND: usize = 3;
const CGROUP: usize = 4;
const CGROUP2: usize = 5;
const NONE: usize = 6;
const MQUEUE: usize = 7;

/// A mount while its option words are read.
struct Reading<'a> {
    /// With the MS_* bits to set as its flags.
    mount: Mount<'a>,
    /// MS_* bits to clear.
    cleared: u32,
    /// MS_BIND, and MS_REC where recursive.
    bind: u32,
    /// There are words for the file system.
    data: bool,
    /// What is mounted there is changed.
    remount: bool,
    /// The ids are mapped, of the whole tree where true.
    map: Option<bool>,
}

impl<'a> Builder<'a, '_> {
    /// The inherited tree and the root's own mount.
    pub(super) fn root_mount(&mut self, root: &'a CStr) {
        let wanted = self.root_propagation();
        // a slave at first, so that nothing mounted here reaches the host and what the host unmounts goes away here too;
        // only a root that is to be shared stays a peer of the host's
        let shared = wanted.filter(|flags| flags & n::MS_SHARED != 0);
        self.op(Op::Propagation { flags: shared.unwrap_or(n::MS_SLAVE | n::MS_REC) });
        if wanted.is_some_and(|flags| flags & n::MS_SHARED != 0) {
            self.op(Op::ParentPrivate);
        }
        let root = self.source(root, true, (0, 0), (0, 0));
        self.op(Op::BindRoot { root })
    }

    /// A host path that the child binds. A new user namespace may not reach it (a directory of root's alone on the way), so
    /// there the parent opens it before the clone, and the child inherits the descriptor.
    pub(super) fn source(
        &mut self,
        path: &'a CStr,
        recursive: bool,
        attributes: (u32, u32),
        tree: (u32, u32),
    ) -> Source<'a> {
        if !self.has_users() {
            return Source { path, slot: None };
        }
        self.opened(path, recursive, attributes, tree)
    }

    /// The same, whether the child could reach it or not.
    #[inline(never)]
    fn opened(
        &mut self,
        path: &'a CStr,
        recursive: bool,
        attributes: (u32, u32),
        tree: (u32, u32),
    ) -> Source<'a> {
        let source = Source { path, slot: Some(self.sources) };
        self.sources = self.sources.saturating_add(1);
        self.first(HostOp::OpenSource { source, recursive, attributes, tree });
        source
    }

    fn root_propagation(&self) -> Option<u32> {
        let word = self.linux.rootfs_propagation()?;
        match mount_options::meaning(word.word().as_bytes())? {
            Meaning::Propagation(flags) => Some(flags),
            _ => None,
        }
    }

    pub(super) fn all_mounts(&mut self) {
        let mounts = self.config.mounts();
        let mut n = 0;
        while let Some(entry) = mounts.get(n) {
            self.one_mount(n, &entry);
            n += 1;
        }
    }

    #[inline(never)]
    fn one_mount(&mut self, index: usize, entry: &config::Mount<'a>) {
        let place = self.place(entry.destination());
        if place.path.is_empty() {
            return self.refuse_mount(index, text!("destination: \"/\" is the root itself (use root.path)"));
        }
        let kind = entry.kind().unwrap_or(c"none");
        let known = words::position(TYPES, kind.to_bytes()).unwrap_or(usize::MAX);
        let mut reading = Reading {
            mount: Mount {
                place,
                form: Form::New { kind, source: entry.source().unwrap_or(kind), data: None },
                flags: 0,
                attributes: (0, 0),
                recursive: (0, 0),
                propagation: [0; 2],
                copy_up: false,
                inherit_mode: known == TMPFS,
                ordinary: matches!(known, PROC | SYSFS),
                sealed: false,
            },
            cleared: 0,
            bind: 0,
            data: false,
            remount: false,
            map: (!entry.uid_mappings().is_empty()).then_some(false),
        };
        for word in entry.options().iter() {
            self.option(index, word, &mut reading);
        }
        let Reading { mount, cleared, bind, data, remount, map } = &mut reading;
        mount.attributes = mount_options::attributes(mount.flags, *cleared);
        let text = data.then(|| &*c_join!(self, Data(entry.options())));
        let binds = *bind != 0 || known == BIND;
        if map.is_some() && (!binds || *remount) {
            return self.refuse_mount(index, text!("options: only the ids of new bind mounts can be mapped"));
        }
        if *remount {
            mount.form = Form::Change { bind: binds, data: text };
            mount.inherit_mode = false;
        } else if binds {
            let source = entry.source().unwrap_or(c"");
            if source.is_empty() {
                return self.refuse_mount(index, text!("source: missing, and a bind mount needs one"));
            }
            let recursive = *bind & n::MS_REC != 0;
            let source = self.host_path(source);
            let source = match *map {
                None => self.source(source, recursive, mount.attributes, mount.recursive),
                Some(whole) => self.mapped(index, entry, source, recursive, mount, whole),
            };
            mount.form = Form::Bind { source, recursive };
        } else if mount.copy_up && known != TMPFS {
            return self.refuse_mount(index, text!("options: tmpcopyup is for type tmpfs only"));
        } else if matches!(known, CGROUP | CGROUP2) {
            return self.cgroup_mount(mount);
        } else if known == NONE {
            return self.refuse_mount(index, text!("type: missing, and options have neither bind nor rbind"));
        } else {
            // as in runc: SELinux does not take labels for procfs and sysfs, and that of an mqueue is its root's
            let label = self.mount_label().filter(|_| !matches!(known, PROC | SYSFS | MQUEUE));
            if let Form::New { data, .. } = &mut mount.form {
                *data = label.map_or(text, |label| Some(self.labelled(text, label)));
            }
            mount.sealed = known == TMPFS && mount.flags & n::MS_RDONLY != 0;
        }
        if mount.sealed {
            // other mounts and devices are made in it first
            mount.flags &= !n::MS_RDONLY;
        }
        self.push_mount(mount);
        if known == MQUEUE
            && let Some(label) = self.mount_label()
        {
            self.op(Op::Label { place, label });
        }
    }

    /// A source whose ids are mapped; that is for the host's root, so the parent opens it.
    #[inline(never)]
    #[cold]
    fn mapped(
        &mut self,
        index: usize,
        entry: &config::Mount<'a>,
        path: &'a CStr,
        recursive: bool,
        mount: &Mount<'a>,
        whole: bool,
    ) -> Source<'a> {
        let source = self.opened(path, recursive, mount.attributes, mount.recursive);
        let (mut uids, mut gids) = (entry.uid_mappings(), entry.gid_mappings());
        let mut path = None;
        if uids.is_empty() {
            (uids, gids) = (self.linux.uid_mappings(), self.linux.gid_mappings());
            path = self.joins.items().iter().find(|ns| ns.kind == NamespaceKind::User).map(|ns| ns.path);
        }
        if path.is_none() && uids.is_empty() {
            self.refuse_mount(
                index,
                text!("options: idmap needs uidMappings and gidMappings, or a user namespace"),
            );
        }
        let maps = [uids, gids].map(|map| c_join!(self, Lines(map)));
        if let Some(map) = self.noted(self.arena.one(IdMap { path, maps, recursive: whole })) {
            self.first(HostOp::MapSource { source, map });
        }
        source
    }

    fn mount_label(&self) -> Option<&'a CStr> {
        self.linux.mount_label().filter(|label| !label.is_empty())
    }

    /// Mount data with a label behind it; in quotes, because its categories have commas between them.
    #[inline(never)]
    #[cold]
    fn labelled(&self, data: Option<&CStr>, label: &CStr) -> &'a CStr {
        let comma = if data.is_some() { "," } else { "" };
        c_join!(self, data, comma, "context=", quoted(label))
    }

    #[inline(never)]
    #[cold]
    fn refuse_mount(&self, index: usize, what: Template) {
        refuse!(self, "mounts[", index, "].", what);
    }

    /// Mounts that become read-only once everything in them is there.
    pub(super) fn seal_mounts(&mut self) {
        let mut n = 0;
        while let Some(&mount) = self.mounts.items().get(n) {
            if mount.sealed {
                self.op(Op::ReadOnlyMount { place: mount.place, keep: mount.flags });
            }
            n += 1;
        }
    }

    /// Reads one option word. By itself, so that what has been read so far stays in one place in memory.
    #[inline(never)]
    fn option(&self, index: usize, word: &CStr, reading: &mut Reading<'_>) {
        let Reading { mount, cleared, bind, data, remount, map } = reading;
        match mount_options::meaning(word.to_bytes()) {
            Some(Meaning::Set(bits)) => change(&mut mount.flags, cleared, bits),
            Some(Meaning::Clear(bits)) => change(cleared, &mut mount.flags, bits),
            Some(Meaning::Recursive(set, clear)) => {
                let (to_set, to_clear) = mount.recursive;
                mount.recursive = (to_set & !clear | set, to_clear & !set | clear);
            }
            Some(Meaning::Propagation(flags)) => match &mut mount.propagation {
                [first, _] if *first == 0 => *first = flags,
                [_, second] if *second == 0 => *second = flags,
                _ => self.refuse_mount(index, text!("options: more than two propagation options")),
            },
            Some(Meaning::Bind(flags)) => *bind |= n::MS_BIND | flags,
            Some(Meaning::CopyUp) => mount.copy_up = true,
            Some(Meaning::Remount) => *remount = true,
            Some(Meaning::IdMap(whole)) => *map = Some(whole),
            None if !word.is_empty() => {
                mount.inherit_mode &= !word.to_bytes().starts_with(b"mode=");
                *data = true;
            }
            Some(Meaning::Nothing) | None => {}
        }
    }

    #[inline(never)]
    fn cgroup_mount(&mut self, mount: &mut Mount<'a>) {
        let own_view = (self.namespaces | self.joined) & u64::from(n::CLONE_NEWCGROUP) != 0;
        if self.host.cgroups.is_empty() {
            return;
        }
        let top = mount.place;
        let flags = mount.flags;
        if !self.host.unified() {
            let data = Some(c"mode=755");
            let data = self.mount_label().map_or(data, |label| Some(self.labelled(data, label)));
            mount.form = Form::New { kind: c"tmpfs", source: c"tmpfs", data };
            mount.flags &= !n::MS_RDONLY;
            self.push_mount(mount);
            mount.flags = flags;
            mount.propagation = [0; 2];
            mount.recursive = (0, 0);
        }
        for (tree, hierarchy) in (0u8..).zip(self.host.cgroups.iter()) {
            let name = path::last(hierarchy.mount.to_bytes());
            if !self.host.unified() {
                mount.place = self.below(top, name);
            }
            // a root that can write there manages what lies below (cgroups(7), "Cgroups delegation"; runc's rule)
            if hierarchy.version == Version::V2
                && flags & n::MS_RDONLY == 0
                && self.makes(n::CLONE_NEWCGROUP)
                && self.has_users()
                && let Some(map) = self.linux.uid_mappings().iter().find(|map| map.container_id() == 0)
            {
                self.first(HostOp::OwnCgroup { tree, uid: map.host_id() });
            }
            let host = self.cgroup_directory(tree);
            mount.form = match hierarchy.version {
                Version::V2 => Form::Cgroup2 { host: Some(host), bind: !own_view },
                Version::V1 if own_view => {
                    Form::New { kind: c"cgroup", source: c"cgroup", data: Some(hierarchy.controllers) }
                }
                Version::V1 => {
                    let source = self.source(host, true, mount.attributes, (0, 0));
                    Form::Bind { source, recursive: true }
                }
            };
            self.push_mount(mount);
            let controllers = hierarchy.controllers.to_bytes();
            if !controllers.contains(&b',') {
                continue;
            }
            for controller in controllers.split(|&b| b == b',') {
                if controller != name && after(controller, b"name=").is_none() {
                    let place = self.below(top, controller);
                    self.op(Op::Link { place, to: self.text(name) });
                }
            }
        }
        if !self.host.unified() && flags & n::MS_RDONLY != 0 {
            self.op(Op::ReadOnlyMount { place: top, keep: flags & !n::MS_RDONLY });
        }
    }

    fn below(&self, top: &Place<'a>, name: &[u8]) -> &'a Place<'a> {
        self.place_of(c_join!(self, top.path, "/", name))
    }

    /// From the last mount to the container's own root.
    pub(super) fn enter_root(&mut self, read_only: bool) {
        let wanted = self.root_propagation();
        let shared = wanted.is_some_and(|flags| flags & n::MS_SHARED != 0);
        self.hooks_before_root();
        self.op(Op::EnterRoot { pivot: !self.request.no_pivot, shared });
        for text in self.linux.readonly_paths().iter() {
            let place = self.place(text);
            let keep = self.around(place.path.to_bytes()).map_or(0, |m| m.flags & !n::MS_RDONLY);
            self.op(Op::ReadOnlyPath { place, keep });
        }
        for text in self.linux.masked_paths().iter() {
            let place = self.place(text);
            let file = words::position(FILES, text.to_bytes()).is_some();
            self.op(Op::MaskPath { place, file });
        }
        if let Some(flags) = wanted {
            // behind the binds above: an unbindable mount could not be bound any more
            self.op(Op::RootPropagation { flags });
        }
        self.op(Op::WorkingDirectory { path: self.process.cwd() });
        if read_only {
            self.op(Op::ReadOnlyRoot);
        }
    }
}

/// Puts bits among one kind and takes them out of the other; the last word on a bit decides.
fn change(into: &mut u32, out_of: &mut u32, bits: u32) {
    *into |= bits;
    *out_of &= !bits;
}

/// The option words that mean nothing here, with commas between them: data for the file system.
struct Data<'a>(config::List<'a, &'a CStr>);

impl crate::base::text::Put for Data<'_> {
    fn put(&self, to: &mut dyn crate::base::text::Sink) {
        let mut comma = "";
        for word in
            self.0.iter().filter(|word| !word.is_empty() && mount_options::meaning(word.to_bytes()).is_none())
        {
            crate::put!(to, comma, word);
            comma = ",";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_stand_at_their_places() {
        for (place, word) in [
            (TMPFS, "tmpfs"),
            (PROC, "proc"),
            (SYSFS, "sysfs"),
            (BIND, "bind"),
            (CGROUP, "cgroup"),
            (CGROUP2, "cgroup2"),
            (NONE, "none"),
            (MQUEUE, "mqueue"),
        ] {
            assert_eq!(words::position(TYPES, word.as_bytes()), Some(place));
        }
    }
}
