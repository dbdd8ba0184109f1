//! One cgroup in every hierarchy that needs one, with limits and device rules.
//!
//! Paths as runc reads them: an absolute `cgroupsPath` starts at the hierarchy's mount point; a relative or missing one
//! lies beside hull's own cgroup on v2 (a v2 cgroup with processes in it can't hand controllers down) and below it on v1.

use super::Builder;
use super::device_filter;
use super::host::{Hierarchy, Version};
use super::op::HostOp;
use crate::base::path;
use crate::base::text::{Put, Sink};
use crate::c_join;
use crate::config::Resources;
use crate::fail;
use crate::rt::arena::List;
use core::ffi::CStr;

/// A limit: its field below `linux.resources`, its controller, its file on v1 and on v2 (empty: nothing is written).
struct Limit {
    field: &'static str,
    controller: &'static str,
    v1: &'static CStr,
    v2: &'static CStr,
}

const fn limit(field: &'static str, controller: &'static str, v1: &'static CStr, v2: &'static CStr) -> Limit {
    Limit { field, controller, v1, v2 }
}

static MEMORY: Limit = limit("memory.limit", "memory", c"memory.limit_in_bytes", c"memory.max");
static SWAP: Limit = limit("memory.swap", "memory", c"memory.memsw.limit_in_bytes", c"memory.swap.max");
static RESERVATION: Limit =
    limit("memory.reservation", "memory", c"memory.soft_limit_in_bytes", c"memory.low");
static SHARES: Limit = limit("cpu.shares", "cpu", c"cpu.shares", c"cpu.weight");
static PERIOD: Limit = limit("cpu.period", "cpu", c"cpu.cfs_period_us", c"");
static QUOTA: Limit = limit("cpu.quota", "cpu", c"cpu.cfs_quota_us", c"");
/// Quota and period in one, on v2.
static BANDWIDTH: Limit = limit("cpu.quota", "cpu", c"", c"cpu.max");
static CPUS: Limit = limit("cpu.cpus", "cpuset", c"cpuset.cpus", c"cpuset.cpus");
static MEMS: Limit = limit("cpu.mems", "cpuset", c"cpuset.mems", c"cpuset.mems");
static PIDS: Limit = limit("pids.limit", "pids", c"pids.max", c"pids.max");

/// Limits at most.
const MOST: usize = 10;

/// A value for a file of a cgroup; an empty file stands for none.
#[derive(Clone, Copy)]
struct File<'a> {
    tree: u8,
    file: &'static CStr,
    value: &'a CStr,
}

/// A number, or `max` for a negative one.
struct OrMax(i64);

impl Put for OrMax {
    fn put(&self, to: &mut dyn Sink) {
        if self.0 < 0 { to.push(b"max") } else { self.0.put(to) }
    }
}

impl<'a> Builder<'a, '_> {
    /// Plans the cgroups; returns the hierarchy whose cgroup the child is cloned into.
    pub(super) fn cgroups(&mut self) -> Option<u8> {
        let resources = self.linux.and_then(|l| l.resources());
        let mut list = self.noted(self.arena.list(MOST))?;
        if let Some(resources) = resources {
            self.limits(&resources, &mut list);
        }
        if self.host.cgroups.is_empty() {
            return None;
        }
        let limits: &[File<'a>] = list.done();
        let unified = self.host.unified();
        for (tree, hierarchy) in (0u8..).zip(self.host.cgroups.iter()) {
            let wanted = limits.iter().any(|limit| limit.tree == tree);
            // on a hybrid host the v2 tree gets a cgroup only where it carries a limit
            if hierarchy.version == Version::V2 && !unified && !wanted && !self.filters_on(tree) {
                continue;
            }
            self.made |= 1u64.checked_shl(u32::from(tree)).unwrap_or(0);
            let path = self.cgroup_path(hierarchy);
            self.first(HostOp::MakeCgroup {
                tree,
                mount: hierarchy.mount,
                path,
                controllers: hierarchy.version == Version::V2 && wanted,
                cpuset: hierarchy.carries(b"cpuset"),
            });
            if !unified {
                self.then(HostOp::EnterCgroup { tree });
            }
        }
        for File { tree, file, value } in limits.iter().copied().filter(|limit| !limit.file.is_empty()) {
            self.first(HostOp::CgroupFile { tree, file, value });
        }
        self.device_rules(resources);
        unified.then_some(0)
    }

    /// Whether the device program goes to hierarchy `tree`.
    fn filters_on(&self, tree: u8) -> bool {
        self.host.serving(b"devices").is_some_and(|(t, h)| t == tree && h.version == Version::V2)
    }

    /// Adds a limit with its value on v1 and on v2.
    fn limit(&self, list: &mut List<'a, File<'a>>, limit: &Limit, v1: &dyn Put, v2: &dyn Put) {
        let Some((tree, hierarchy)) = self.host.serving(limit.controller.as_bytes()) else {
            return self.note(if self.host.cgroups.is_empty() {
                fail!(
                    self.arena, "config.json: linux.resources.", limit.field,
                    ": this host has no cgroup tree to carry the limit (mount cgroup2 on /sys/fs/cgroup, kernel option CONFIG_CGROUPS)"
                )
            } else {
                fail!(
                    self.arena, "config.json: linux.resources.", limit.field,
                    ": no cgroup hierarchy of this host carries the controller ", limit.controller
                )
            });
        };
        let (file, word) = match hierarchy.version {
            Version::V1 => (limit.v1, v1),
            Version::V2 => (limit.v2, v2),
        };
        let value = c_join!(self, word);
        self.noted(list.push(File { tree, file, value }));
    }

    fn device_rules(&mut self, resources: Option<Resources<'a>>) {
        let own = resources.map(|r| r.devices());
        let rules = device_filter::in_force(self.arena, own.iter().flat_map(|list| list.iter()));
        let rules = self.noted(rules).unwrap_or(&[]);
        let Some((tree, hierarchy)) = self.host.serving(b"devices") else { return };
        if hierarchy.version == Version::V2 {
            let program = self.noted(device_filter::program(self.arena, rules)).unwrap_or(&[]);
            // the verifier takes its time, and nothing but the program is bound by the rules
            self.meanwhile = Some(HostOp::DeviceProgram { tree, program });
            return;
        }
        for rule in rules {
            let value = c_join!(self, rule);
            self.first(HostOp::CgroupFile { tree, file: rule.file(), value });
        }
    }

    /// The container's cgroup in a hierarchy, absolute within its mount: `/a/b`.
    fn cgroup_path(&self, hierarchy: &Hierarchy<'a>) -> &'a CStr {
        let wanted = self.linux.and_then(|l| l.cgroups_path()).filter(|p| !p.is_empty());
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
            self.refuse("linux.cgroupsPath", "names the root of the cgroup tree");
        }
        c_join!(self, "/", clean)
    }

    /// The cgroup of the container's process in hierarchy `tree` as a path of the host.
    pub(super) fn cgroup_directory(&self, tree: u8) -> &'a CStr {
        let Some(hierarchy) = self.host.cgroups.get(usize::from(tree)) else { return c"/sys/fs/cgroup" };
        // a v2 tree beside v1 may have none for this container: then its process is in hull's
        let made = self.made >> tree & 1 == 1;
        let path = if made { self.cgroup_path(hierarchy) } else { hierarchy.own };
        c_join!(self, hierarchy.mount, path)
    }

    /// Zero and empty values ask for nothing, as in runc.
    fn limits(&self, resources: &Resources<'a>, list: &mut List<'a, File<'a>>) {
        let signed = |value: Option<i64>| value.filter(|n| *n != 0);
        if let Some(memory) = resources.memory() {
            let limit = signed(memory.limit());
            if let Some(n) = limit {
                self.limit(list, &MEMORY, &n, &OrMax(n));
            }
            if let Some(n) = signed(memory.swap()) {
                self.limit(list, &SWAP, &n, &OrMax(self.swap_v2(n, limit)));
            }
            if let Some(n) = signed(memory.reservation()) {
                self.limit(list, &RESERVATION, &n, &OrMax(n));
            }
        }
        if let Some(cpu) = resources.cpu() {
            if let Some(n) = cpu.shares().filter(|n| *n != 0) {
                self.limit(list, &SHARES, &n, &weight(n));
            }
            let (quota, period) = (signed(cpu.quota()), cpu.period().filter(|n| *n != 0));
            if let Some(n) = period {
                self.limit(list, &PERIOD, &n, &"");
            }
            if let Some(n) = quota {
                self.limit(list, &QUOTA, &n, &"");
            }
            if quota.is_some() || period.is_some() {
                let both = c_join!(self, OrMax(quota.unwrap_or(-1)), " ", period.unwrap_or(100_000));
                self.limit(list, &BANDWIDTH, &"", &both);
            }
            for (limit, value) in [(&CPUS, cpu.cpus()), (&MEMS, cpu.mems())] {
                if let Some(value) = value.filter(|v| !v.is_empty()) {
                    self.limit(list, limit, &value, &value);
                }
            }
        }
        if let Some(n) = signed(resources.pids().and_then(|p| p.limit())) {
            self.limit(list, &PIDS, &OrMax(n), &OrMax(n));
        }
    }

    /// On v2 swap is counted by itself; in the config it is memory and swap together.
    fn swap_v2(&self, swap: i64, limit: Option<i64>) -> i64 {
        match limit {
            _ if swap < 0 => return -1,
            Some(limit) if limit > 0 && swap >= limit => return swap.saturating_sub(limit),
            Some(limit) if limit > 0 => self.refuse(
                "linux.resources.memory.swap",
                "counts memory and swap together, so it can't be less than linux.resources.memory.limit",
            ),
            _ => self.refuse("linux.resources.memory.swap", "needs linux.resources.memory.limit beside it"),
        }
        0
    }
}

/// cpu.shares (2 to 262144) as cpu.weight (1 to 10000), as runc does since 1.3.2: ceil(10^((l^2 + 125 l) / 612 - 7/34))
/// with l = log2(shares), so that the defaults 1024 and 100 meet. In whole numbers, because a float would bring its own
/// library along; equal to the float formula for every share count.
fn weight(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    let l = log2(shares.min(262_144));
    // 7/34 = 126/612
    let goal = ((((l * l) >> BITS) + 125 * l - (126 << BITS)) * log2(10)) >> BITS;
    let (mut low, mut high) = (1, 10_000);
    while low < high {
        let middle = (low + high) / 2;
        // slack: above the rounding of log2, far below the distance of two weights
        if 612 * log2(middle) + (1 << 16) >= goal { high = middle } else { low = middle + 1 }
    }
    low
}

/// Fractional bits of [`log2`].
const BITS: u32 = 56;

/// log2 of `n` (not 0) with `BITS` fractional bits, one bit a squaring.
fn log2(n: u64) -> u128 {
    let whole = 63u32.saturating_sub(n.leading_zeros());
    let mut x = u128::from(n) << 63u32.saturating_sub(whole);
    let mut l = u128::from(whole) << BITS;
    for bit in (0..BITS).rev() {
        x = (x * x) >> 63;
        if x >> 64 != 0 {
            x >>= 1;
            l |= 1 << bit;
        }
    }
    l
}

#[cfg(test)]
mod tests {
    use super::weight;

    #[test]
    fn shares_become_weights_as_in_runc() {
        assert_eq!([2, 1024, 262_144, 1, u64::MAX].map(weight), [1, 100, 10_000, 1, 10_000]);
        assert_eq!([512, 2000, 22_000, 3].map(weight), [59, 170, 1204, 2]);
    }
}
