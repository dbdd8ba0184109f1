//! Which namespaces are new, and the maps and offsets that go with them.

use super::Builder;
use super::op::HostOp;
use crate::base::text::Put;
use crate::c_join;
use crate::config::{Config, IdMapping, List, TimeOffset};
use crate::error::Result;
use crate::fail;
use crate::rt::arena::Arena;
use linux_raw_sys::general as n;

/// CLONE_NEW* of the namespaces that the bundle asks for.
///
/// # Errors
/// A namespace to be joined by path (not yet), or no mount namespace at all.
pub fn wanted<'a>(arena: &Arena<'a>, config: &Config<'a>) -> Result<'a, u64> {
    let mut flags = 0;
    if let Some(linux) = config.linux() {
        for (i, namespace) in linux.namespaces().iter().enumerate() {
            if namespace.path().is_some_and(|path| !path.is_empty()) {
                return Err(fail!(
                    arena,
                    "config.json: linux.namespaces[",
                    i,
                    "].path: hull can't join an existing namespace yet"
                ));
            }
            flags |= namespace.kind().clone_flag();
        }
    }
    if flags & u64::from(n::CLONE_NEWNS) == 0 {
        return Err(fail!(
            arena,
            "config.json: linux.namespaces: no \"mount\" namespace: hull does not mount into the host's own (add {\"type\": \"mount\"})"
        ));
    }
    Ok(flags)
}

impl<'a> Builder<'a, '_> {
    /// User and group maps, time offsets.
    pub(super) fn ids(&mut self) {
        let Some(linux) = self.linux else { return };
        if self.makes(n::CLONE_NEWUSER) {
            for (file, map, field) in [
                (c"uid_map", linux.uid_mappings(), "linux.uidMappings"),
                (c"gid_map", linux.gid_mappings(), "linux.gidMappings"),
            ] {
                if map.is_empty() {
                    return self.refuse(field, "a new user namespace needs at least one mapping");
                }
                let text = c_join!(self, Lines(map));
                self.then(HostOp::WriteMap { file, text });
            }
        }
        if let Some(offsets) = linux.time_offsets() {
            let text = c_join!(
                self,
                Offset("monotonic ", offsets.monotonic()),
                Offset("boottime ", offsets.boottime())
            );
            self.first(HostOp::TimeOffsets { text });
        }
    }
}

/// A line of /proc/PID/timens_offsets (time_namespaces(7)).
struct Offset<'a>(&'static str, Option<TimeOffset<'a>>);

impl Put for Offset<'_> {
    fn put(&self, to: &mut dyn crate::base::text::Sink) {
        let (secs, nanosecs) = self.1.map_or((0, 0), |o| (o.secs().unwrap_or(0), o.nanosecs().unwrap_or(0)));
        crate::put!(to, self.0, secs, " ", nanosecs, "\n");
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
