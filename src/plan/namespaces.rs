//! Which namespaces are new, and the maps and offsets that go with them.

use super::op::HostOp;
use super::{Builder, refuse};
use crate::base::text::Put;
use crate::c_join;
use crate::config::{IdMapping, List, TimeOffset, Value};
use core::ffi::CStr;
use linux_raw_sys::general as n;

impl<'a> Builder<'a, '_> {
    /// CLONE_NEW* of the namespaces that the bundle asks for. Refused: a namespace to be joined by path (not yet), or no
    /// mount namespace at all.
    pub(super) fn wanted(&mut self) {
        let namespaces = self.linux.namespaces();
        let mut i = 0;
        while let Some(namespace) = namespaces.get(i) {
            if namespace.path().is_some_and(|path| !path.is_empty()) {
                refuse!(self, "linux.namespaces[", i, "].path: hull can't join an existing namespace yet");
            }
            self.namespaces |= namespace.kind().clone_flag();
            i += 1;
        }
        if !self.makes(n::CLONE_NEWNS) {
            refuse!(
                self,
                "linux.namespaces: no \"mount\" namespace: hull does not mount into the host's own (add {\"type\": \"mount\"})"
            );
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

    fn map(&mut self, file: &'static CStr, kind: &str, map: List<'a, IdMapping<'a>>) {
        if map.is_empty() {
            refuse!(self, "linux.", kind, "Mappings: a new user namespace needs at least one mapping");
        }
        let text = c_join!(self, Lines(map));
        self.then(HostOp::WriteMap { file, text });
    }
}

/// Lines of user_namespaces(7): first id inside, first id outside, length.
struct Lines<'a>(List<'a, IdMapping<'a>>);

impl Put for Lines<'_> {
    fn put(&self, to: &mut dyn crate::base::text::Sink) {
        for map in self.0.iter() {
            crate::put!(to, map.container_id(), " ", map.host_id(), " ", map.size(), "\n");
        }
    }
}
