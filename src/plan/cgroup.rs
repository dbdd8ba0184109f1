//! One cgroup in every hierarchy that needs one, with limits and device rules.
//!
//! Paths as runc reads them: an absolute `cgroupsPath` starts at the hierarchy's mount point; a relative or missing one
//! lies beside hull's own cgroup on v2 (a v2 cgroup with processes in it can't hand controllers down) and below it on v1.

use super::device_filter;
use super::host::{Hierarchy, Version};
use super::limits::{DEVICES, limits};
use super::op::{HostOp, How};
use super::{Builder, refuse};
use crate::base::path;
use crate::c_join;
use crate::config::{self, DeviceRule, Resources, Value};
use core::ffi::CStr;

impl<'a> Builder<'a, '_> {
    /// Plans the cgroups; returns the hierarchy whose cgroup the child is cloned into; none where it is
    /// moved into each.
    #[inline(never)]
    pub(super) fn cgroups(&mut self) -> Option<u8> {
        let resources = self.linux.resources().unwrap_or(Resources::ABSENT);
        let limits = self.noted(limits(self.arena, self.host, &resources))?;
        if self.host.cgroups.is_empty() {
            return None;
        }
        let unified = self.host.unified();
        // before Linux 6.4 a cpuset binds who is moved into its cgroup, and not who is born there
        let born = unified && resources.wish("cpu.cpus").or(resources.wish("cpu.mems")).is_none();
        for (tree, hierarchy) in (0u8..).zip(self.host.cgroups.iter()) {
            let wanted = limits.carried & 1u64.wrapping_shl(u32::from(tree)) != 0;
            // on a hybrid host the v2 tree gets a cgroup only where it carries a limit
            if hierarchy.version == Version::V2 && !unified && !wanted && !self.filters_on(tree) {
                continue;
            }
            self.made |= 1u64.wrapping_shl(u32::from(tree));
            let path = self.cgroup_path(hierarchy);
            self.first(HostOp::MakeCgroup {
                tree,
                mount: hierarchy.mount,
                path,
                controllers: hierarchy.version == Version::V2 && wanted,
                cpuset: hierarchy.carries(b"cpuset"),
                optional: !wanted && self.linux.cgroups_path().is_none_or(CStr::is_empty),
            });
            if !born {
                self.then(HostOp::EnterCgroup { tree });
            }
        }
        for write in limits.writes {
            self.first(*write);
        }
        self.device_rules(resources.devices());
        born.then_some(0)
    }

    /// Whether the device program goes to hierarchy `tree`.
    fn filters_on(&self, tree: u8) -> bool {
        self.host.serving(b"devices").is_some_and(|(t, h)| t == tree && h.version == Version::V2)
    }

    fn device_rules(&mut self, own: config::List<'a, DeviceRule<'a>>) {
        let rules = device_filter::in_force(self.arena, own);
        let rules = self.noted(rules).unwrap_or(&[]);
        let Some((tree, hierarchy)) = self.host.serving(b"devices") else { return };
        if hierarchy.version == Version::V2 {
            let program = self.noted(device_filter::program(self.arena, rules)).unwrap_or(&[]);
            // the verifier takes its time, and nothing but the program is bound by the rules
            let pushed = self.meanwhile.push(HostOp::DeviceProgram { tree, program });
            self.noted(pushed);
            return;
        }
        for rule in self.noted(device_filter::lines(self.arena, rules)).unwrap_or(&[]) {
            let value = c_join!(self, rule);
            self.first(HostOp::CgroupFile { tree, file: rule.file(), value, row: DEVICES, how: How::Once });
        }
    }

    /// The container's cgroup in a hierarchy, absolute within its mount: `/a/b`.
    fn cgroup_path(&self, hierarchy: &Hierarchy<'a>) -> &'a CStr {
        let wanted = self.linux.cgroups_path().filter(|p| !p.is_empty());
        let text = match wanted {
            Some(path) if path::is_absolute(path.to_bytes()) => path,
            other => {
                let relative = other.unwrap_or(self.request.id);
                let own = hierarchy.own.to_bytes();
                let base = match hierarchy.version {
                    Version::V1 => own,
                    Version::V2 => {
                        own.get(..own.iter().rposition(|&b| b == b'/').unwrap_or(0)).unwrap_or(&[])
                    }
                };
                c_join!(self, base, "/", relative)
            }
        };
        let clean = self.clean(text);
        if clean.is_empty() {
            refuse!(self, "linux.cgroupsPath: names the root of the cgroup tree");
        }
        c_join!(self, "/", clean)
    }

    /// The cgroup of the container's process in hierarchy `tree` as a path of the host.
    pub(super) fn cgroup_directory(&self, tree: u8) -> &'a CStr {
        let Some(hierarchy) = self.host.cgroups.get(usize::from(tree)) else { return c"/sys/fs/cgroup" };
        // a v2 tree beside v1 may have none for this container: then its process is in hull's
        let made = self.made & 1u64.wrapping_shl(u32::from(tree)) != 0;
        let path = if made { self.cgroup_path(hierarchy) } else { hierarchy.own };
        c_join!(self, hierarchy.mount, path)
    }
}
