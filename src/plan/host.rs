//! What the planner knows of the host: plain data, probed by `effect::probe` in a run, fixed in tests.

use crate::config::{Config, Linux, List, Namespace, Value};
use core::ffi::CStr;

/// Which generation of cgroups a hierarchy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// cgroups(7), version 1: one hierarchy for each set of controllers.
    V1,
    /// The unified hierarchy.
    V2,
}

/// One mounted cgroup hierarchy.
#[derive(Clone, Copy, Debug)]
pub struct Hierarchy<'a> {
    /// Version 1 or 2.
    pub version: Version,
    /// Its mount point, absolute, without a trailing slash.
    pub mount: &'a CStr,
    /// v1: the controllers as mount data (`cpu,cpuacct`, `name=systemd`); empty for v2.
    pub controllers: &'a CStr,
    /// hull's own cgroup in it, absolute within the mount; `/` where nobody asked.
    pub own: &'a CStr,
}

impl Hierarchy<'_> {
    /// Whether a v1 hierarchy carries `controller`.
    pub fn carries(&self, controller: &[u8]) -> bool {
        self.version == Version::V1
            && self.controllers.to_bytes().split(|&b| b == b',').any(|c| c == controller)
    }
}

/// The host as the planner sees it.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// The cgroup hierarchies; empty where there is no cgroup tree.
    pub cgroups: &'a [Hierarchy<'a>],
    /// CLONE_NEW* of the namespaces that the config joins by path and that are hull's own.
    pub own: u64,
    /// Where resctrl is mounted, if the config asks for it.
    pub resctrl: Option<&'a CStr>,
}

impl<'a> Host<'a> {
    /// The only hierarchy is v2.
    pub fn unified(&self) -> bool {
        matches!(self.cgroups, [only] if only.version == Version::V2)
    }

    /// The hierarchy that serves `controller`: a v1 one that carries it, else the v2 one.
    pub fn serving(&self, controller: &[u8]) -> Option<(u8, &'a Hierarchy<'a>)> {
        let numbered = || (0u8..).zip(self.cgroups.iter());
        numbered()
            .find(|(_, h)| h.carries(controller))
            .or_else(|| numbered().find(|(_, h)| h.version == Version::V2))
    }
}

/// What has to be probed for a config; nothing else is, because each look costs calls.
#[derive(Clone, Copy)]
pub struct Wants<'a> {
    /// hull's own cgroup, because the path in the config is relative or missing.
    pub own_cgroup: bool,
    /// Which of these that have a path are hull's own.
    pub namespaces: List<'a, Namespace<'a>>,
    /// Where resctrl is mounted.
    pub resctrl: bool,
}

impl<'a> Wants<'a> {
    /// What `config` makes the planner ask.
    pub fn of(config: &Config<'a>) -> Wants<'a> {
        let linux = config.linux().unwrap_or(Linux::ABSENT);
        let own_cgroup = linux.cgroups_path().is_none_or(|path| path.to_bytes().first() != Some(&b'/'));
        Wants { own_cgroup, namespaces: linux.namespaces(), resctrl: linux.intel_rdt().is_some() }
    }
}
