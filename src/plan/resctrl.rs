//! `linux.intelRdt`: a class of service of resctrl for the container (config-linux.md, "IntelRdt").

use super::op::{HostOp, Resctrl};
use super::{Builder, refuse};
use crate::base::text::{Put, Sink};
use crate::config::{IntelRdt, List};
use crate::{c_join, put};
use core::ffi::CStr;

impl<'a> Builder<'a, '_> {
    /// The class is there before the clone, the process in it before anything of the bundle's runs.
    pub(super) fn resctrl(&mut self) {
        if let Some(wanted) = self.linux.intel_rdt() {
            self.class(&wanted);
        }
    }

    #[cold]
    #[inline(never)]
    fn class(&mut self, wanted: &IntelRdt<'a>) {
        let Some(root) = self.host.resctrl else {
            return refuse!(
                self,
                "linux.intelRdt: no resctrl is mounted (mount -t resctrl resctrl /sys/fs/resctrl; kernel option CONFIG_X86_CPU_RESCTRL)"
            );
        };
        let name = wanted.clos_id().filter(|name| !name.is_empty());
        let path = match name {
            Some(name) if name == c"/" => root,
            name => c_join!(self, root, "/", name.unwrap_or(self.request.id)),
        };
        let (cache, bandwidth) =
            (wanted.l3_cache_schema().unwrap_or(c""), wanted.mem_bw_schema().unwrap_or(c""));
        let first = c_join!(self, cache, end(cache), bandwidth, end(bandwidth));
        let class = Resctrl {
            path,
            named: name.is_some(),
            schemata: c_join!(self, first, Lines(wanted.schemata())),
            compared: first.to_bytes().len(),
            monitor: wanted
                .enable_monitoring()
                .then(|| &*c_join!(self, path, "/mon_groups/", self.request.id)),
        };
        if let Some(class) = self.noted(self.arena.one(class)) {
            self.first(HostOp::Resctrl(class));
            self.then(HostOp::EnterResctrl(class));
        }
    }
}

/// The end of a line; an empty one is left out whole.
fn end(line: &CStr) -> &'static str {
    if line.is_empty() { "" } else { "\n" }
}

/// Lines of a schemata file.
struct Lines<'a>(List<'a, &'a CStr>);

impl Put for Lines<'_> {
    fn put(&self, to: &mut dyn Sink) {
        for line in self.0 {
            put!(to, line, end(line));
        }
    }
}
