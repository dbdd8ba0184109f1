//! Which namespaces are new, and the maps and offsets that go with them.

use super::op::{HostOp, Joined, NetDevice, Op};
use super::{Builder, refuse};
use crate::base::text::Put;
use crate::c_join;
use crate::config::{IdMapping, List, NamespaceKind, TimeOffset, Value};
use core::ffi::CStr;
use linux_raw_sys::general as n;

impl<'a> Builder<'a, '_> {
    /// What the bundle asks for: CLONE_NEW* of what is new, and what is joined. Refused: no mount namespace, or the caller's
    /// own.
    pub(super) fn wanted(&mut self) {
        let namespaces = self.linux.namespaces();
        let mut slot = 0;
        while let Some(namespace) = namespaces.get(slot.into()) {
            let kind = namespace.kind();
            match namespace.path().filter(|path| !path.is_empty()) {
                None => self.namespaces |= kind.clone_flag(),
                Some(path) => {
                    self.joined |= kind.clone_flag();
                    if let Some(joined) = self.noted(self.arena.one(Joined { kind, path, slot })) {
                        let pushed = self.joins.push(joined);
                        self.noted(pushed);
                    }
                }
            }
            // a kind is given once, so there are eight at most
            slot = slot.wrapping_add(1);
        }
        if (self.namespaces | self.joined & !self.host.own) & u64::from(n::CLONE_NEWNS) == 0 {
            refuse!(
                self,
                "linux.namespaces: no \"mount\" namespace: hull does not mount into the host's own (add {\"type\": \"mount\"})"
            );
        }
    }

    /// CLONE_NEW* of the clone: CLONE_NEWTIME is done by unshare before it where there are offsets, CLONE_NEWCGROUP by the
    /// child.
    pub(super) fn cloned(&self) -> u64 {
        let time = if self.linux.time_offsets().is_some() { n::CLONE_NEWTIME } else { 0 };
        self.namespaces & !u64::from(n::CLONE_NEWCGROUP | time)
    }

    /// The way into the namespaces of others. Nobody in them may trace the process meanwhile (CVE-2016-9962), unless the
    /// maps of a new user namespace are still to be written. A joined pid namespace holds only children, and a new user
    /// namespace has no rights over what is joined: there a process of its own joins and then clones.
    #[inline(never)]
    pub(super) fn join(&mut self) {
        if self.joined == 0 {
            return;
        }
        if !self.makes(n::CLONE_NEWUSER) {
            if let Some(score) = self.process.oom_score_adj() {
                let value = c_join!(self, score);
                self.op(Op::OomScoreAdj { value });
            }
            self.op(Op::NotDumpable);
        }
        let users = self.joined & u64::from(n::CLONE_NEWUSER) != 0;
        // all are opened; what the host's rights reach is joined; then the user namespace; then the rest
        for round in 0..4u8 {
            let mut n = 0;
            while let Some(&joined) = self.joins.items().get(n) {
                n += 1;
                self.op(match (round, joined.kind == NamespaceKind::User) {
                    (0, _) => Op::OpenNamespace(joined),
                    (1, false) if users => Op::JoinNamespace { joined, early: true },
                    (2, true) | (3, false) => Op::JoinNamespace { joined, early: false },
                    _ => continue,
                });
            }
        }
        if users {
            for (file, map) in
                [(c"uid_map", self.linux.uid_mappings()), (c"gid_map", self.linux.gid_mappings())]
            {
                if !map.is_empty() {
                    let text = c_join!(self, Lines(map));
                    self.op(Op::SameMap { file, text });
                }
            }
        }
        self.helper =
            self.makes(n::CLONE_NEWUSER) || self.joined & u64::from(n::CLONE_NEWUSER | n::CLONE_NEWPID) != 0;
        if self.helper {
            self.op(Op::Clone { namespaces: self.cloned() });
        }
    }

    /// User and group maps, time offsets.
    pub(super) fn ids(&mut self) {
        if self.makes(n::CLONE_NEWUSER) {
            self.map(c"uid_map", "uid", self.linux.uid_mappings());
            self.map(c"gid_map", "gid", self.linux.gid_mappings());
        }
        if let Some(offsets) = self.linux.time_offsets() {
            let monotonic = offsets.monotonic().unwrap_or(TimeOffset::ABSENT);
            let boottime = offsets.boottime().unwrap_or(TimeOffset::ABSENT);
            // lines of /proc/PID/timens_offsets (time_namespaces(7))
            let text = c_join!(
                self,
                "monotonic ",
                monotonic.secs().unwrap_or(0),
                " ",
                monotonic.nanosecs().unwrap_or(0),
                "\nboottime ",
                boottime.secs().unwrap_or(0),
                " ",
                boottime.nanosecs().unwrap_or(0),
                "\n"
            );
            self.first(HostOp::TimeOffsets { text });
        }
    }

    /// Devices of the host's for the container's network namespace.
    pub(super) fn net_devices(&mut self) {
        for (name, device) in self.linux.net_devices() {
            self.net_device(name, device.name());
        }
    }

    #[cold]
    #[inline(never)]
    fn net_device(&mut self, name: &'a CStr, new: Option<&'a CStr>) {
        if (self.namespaces | self.joined & !self.host.own) & u64::from(n::CLONE_NEWNET) == 0 {
            refuse!(self, "linux.netDevices: unable to move network devices without a NET namespace");
        }
        let joined = self.joins.items().iter().find(|joined| joined.kind == NamespaceKind::Network);
        let new = new.filter(|new| !new.is_empty()).unwrap_or(name);
        let device = NetDevice { name, new, namespace: joined.map(|joined| joined.path) };
        if let Some(device) = self.noted(self.arena.one(device)) {
            self.then(HostOp::NetDevice(device));
        }
    }

    fn map(&mut self, file: &'static CStr, kind: &str, map: List<'a, IdMapping<'a>>) {
        if map.is_empty() {
            refuse!(self, "linux.", kind, "Mappings: a new user namespace needs at least one mapping");
        }
        let text = c_join!(self, Lines(map));
        self.then(HostOp::WriteMap { file, text, path: self.request.path });
    }
}

/// Lines of user_namespaces(7): first id inside, first id outside, length.
pub(super) struct Lines<'a>(pub(super) List<'a, IdMapping<'a>>);

impl Put for Lines<'_> {
    fn put(&self, to: &mut dyn crate::base::text::Sink) {
        for map in self.0.iter() {
            crate::put!(to, map.container_id(), " ", map.host_id(), " ", map.size(), "\n");
        }
    }
}
