//! One cgroup in every hierarchy that needs one, with limits and device rules.
//!
//! Paths as runc reads them: an absolute `cgroupsPath` starts at the hierarchy's mount point; a relative or missing one
//! lies beside hull's own cgroup on v2 (a v2 cgroup with processes in it can't hand controllers down) and below it on v1.

use super::device_filter;
use super::host::{Hierarchy, Version};
use super::op::HostOp;
use super::{Builder, refuse};
use crate::base::path;
use crate::base::text::Part;
use crate::base::words;
use crate::c_join;
use crate::config::{self, DeviceRule, Resources, Value};
use crate::rt::arena::List;
use core::ffi::CStr;

/// The limits, three words each: the field below `linux.resources`, the file on v1, whose name begins with the controller's,
/// and the file on v2.
const LIMITS: &str = "memory.limit memory.limit_in_bytes memory.max \
    memory.swap memory.memsw.limit_in_bytes memory.swap.max \
    memory.reservation memory.soft_limit_in_bytes memory.low \
    cpu.shares cpu.shares cpu.weight \
    cpu.period cpu.cfs_period_us cpu.max \
    cpu.quota cpu.cfs_quota_us cpu.max \
    cpu.cpus cpuset.cpus cpuset.cpus \
    cpu.mems cpuset.mems cpuset.mems \
    pids.limit pids.max pids.max ";

impl<'a> Builder<'a, '_> {
    /// Plans the cgroups; returns the hierarchy whose cgroup the child is cloned into; none where it is
    /// moved into each.
    #[inline(never)]
    pub(super) fn cgroups(&mut self) -> Option<u8> {
        let resources = self.linux.resources().unwrap_or(Resources::ABSENT);
        let mut files = self.noted(self.arena.list(words::iter(LIMITS).count()))?;
        let limited = self.limits(&resources, &mut files);
        if self.host.cgroups.is_empty() {
            return None;
        }
        let unified = self.host.unified();
        // before Linux 6.4 a cpuset binds who is moved into its cgroup, and not who is born there
        let born = unified && resources.wish("cpu.cpus").or(resources.wish("cpu.mems")).is_none();
        for (tree, hierarchy) in (0u8..).zip(self.host.cgroups.iter()) {
            let wanted = limited & 1u64.wrapping_shl(u32::from(tree)) != 0;
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
        for file in files.items() {
            self.first(*file);
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
        for rule in rules {
            let value = c_join!(self, rule);
            self.first(HostOp::CgroupFile { tree, file: rule.file(), value });
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

    /// Adds what is to be written for each limit; returns the hierarchies that carry one, bit by number. Zero and empty
    /// values ask for nothing, as in runc.
    fn limits(&self, resources: &Resources<'a>, files: &mut List<'a, HostOp<'a>>) -> u64 {
        let mut limited = 0;
        let mut words = words::iter(LIMITS);
        while let (Some(field), Some(v1), Some(v2)) = (words.next(), words.next(), words.next()) {
            let Some(wish) = resources.wish(field) else { continue };
            let mut on_v2 = wish;
            self.on_v2(resources, v2, &mut on_v2);
            let controller = v1.as_bytes().split(|&b| b == b'.').next().unwrap_or(&[]);
            let Some((tree, hierarchy)) = self.host.serving(controller) else {
                if self.host.cgroups.is_empty() {
                    refuse!(
                        self,
                        "linux.resources.",
                        field,
                        ": this host has no cgroup tree to carry the limit (mount cgroup2 on /sys/fs/cgroup, kernel option CONFIG_CGROUPS)"
                    );
                } else {
                    refuse!(
                        self,
                        "linux.resources.",
                        field,
                        ": no cgroup hierarchy of this host carries the controller ",
                        controller
                    );
                }
                continue;
            };
            limited |= 1u64.wrapping_shl(u32::from(tree));
            let (file, value) = match hierarchy.version {
                // quota and period are one file there
                Version::V2 if field == "cpu.quota" && resources.wish("cpu.period").is_some() => continue,
                Version::V1 if v1 != v2 => (v1, wish),
                _ => (v2, on_v2),
            };
            let (file, value) = (c_join!(self, file), c_join!(self, value));
            self.noted(files.push(HostOp::CgroupFile { tree, file, value }));
        }
        limited
    }

    /// Makes of `wish`, which is in v1's terms, what stands in a v2 cgroup's `file`.
    #[inline(never)]
    fn on_v2(&self, resources: &Resources<'a>, file: &str, wish: &mut Part<'a>) {
        *wish = match (file, *wish) {
            ("memory.swap.max", Part::Signed(swap)) if swap >= 0 => {
                self.swap_v2(swap, resources.wish("memory.limit"))
            }
            ("cpu.weight", Part::Number(shares)) => Part::Number(weight(shares)),
            ("cpu.max", _) => {
                let mut quota = resources.wish("cpu.quota").unwrap_or(Part::Signed(-1));
                or_max(&mut quota);
                let period = resources.wish("cpu.period").unwrap_or(Part::Number(100_000));
                Part::Text(c_join!(self, quota, " ", period).to_bytes())
            }
            _ => return or_max(wish),
        };
    }

    /// On v2 swap is counted by itself; in the config it is memory and swap together.
    fn swap_v2(&self, swap: i64, limit: Option<Part<'a>>) -> Part<'a> {
        let limit = if let Some(Part::Signed(limit)) = limit { limit } else { 0 };
        if limit <= 0 {
            refuse!(self, "linux.resources.memory.swap: needs linux.resources.memory.limit beside it");
        } else if swap < limit {
            refuse!(
                self,
                "linux.resources.memory.swap: counts memory and swap together, so it can't be less than linux.resources.memory.limit",
            );
        }
        Part::Signed(swap.wrapping_sub(limit))
    }
}

/// Puts `max` in the place of a negative number.
#[inline(never)]
fn or_max(word: &mut Part<'_>) {
    if let Part::Signed(..0) = word {
        *word = Part::Text(b"max");
    }
}

/// cpu.shares (2 to 262144) as cpu.weight (1 to 10000), as runc does since 1.3.2: ceil(10^((l^2 + 125 l) / 612 - 7/34))
/// with l = log2(shares), so that the defaults 1024 and 100 meet. In whole numbers, because a float would bring its own
/// library along; equal to the float formula for every share count.
fn weight(shares: u64) -> u64 {
    let l = log2(shares.clamp(2, 262_144));
    // 7/34 = 126/612
    let goal = times(times(l, l) + 125 * l - (126 << BITS), LOG2_10);
    // the largest weight whose logarithm stays below, bit by bit, is one less than the smallest that reaches the goal
    let mut below = 0;
    for bit in (0..14).rev() {
        let weight = below | 1 << bit;
        // slack: above the rounding of log2, far below the distance of two weights
        if 612 * log2(weight) + SLACK < goal {
            below = weight;
        }
    }
    below + 1
}

/// Fractional bits of [`log2`].
const BITS: u32 = 48;
const SLACK: u64 = 1 << 16;
const LOG2_10: u64 = log2(10);

/// Product of two numbers with `BITS` fractional bits.
fn times(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> BITS) as u64
}

/// log2 of `n` (not 0) with `BITS` fractional bits, one bit a squaring.
const fn log2(n: u64) -> u64 {
    let mut x = n << n.leading_zeros();
    let mut l = 63 - n.leading_zeros() as u64;
    let mut bit = 0;
    while bit < BITS {
        x = ((x as u128 * x as u128) >> 64) as u64;
        l = l << 1 | x >> 63;
        x <<= 1 - (x >> 63);
        bit += 1;
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

    #[test]
    fn every_share_count_becomes_the_weight_of_the_float_formula() {
        for shares in 2..=262_144u64 {
            let l = (shares as f64).log2();
            let float = 10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0).ceil();
            assert_eq!(weight(shares), float as u64, "{shares}");
        }
    }
}
