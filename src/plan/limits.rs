//! The limits of `linux.resources` as writes into files of the cgroup: a table of fields, and what each comes to on v1 and
//! on v2.
//!
//! Nothing but the resources and the host's hierarchies goes in, so that limits can be planned for a container that runs as
//! well as for one that starts: whatever the cgroup held before, each write, or the second one of it, is one that the kernel
//! takes. Conversions are those of runc. Must not look at the rest of a config.

use super::host::{Host, Version};
use super::op::{HostOp, How};
use crate::base::text::{Part, Template, Words, quoted};
use crate::base::words;
use crate::c_join;
use crate::config::{self, BlockIo, BlockIoThrottle, Network, Resources, Value};
use crate::error::{Error, Result};
use crate::message;
use crate::rt::arena::{self, Arena};
use core::cell::Cell;
use core::ffi::CStr;

macro_rules! rows {
    ($( $name:ident $field:literal $v1:literal $v2:literal $option:literal $partner:literal; )+) => {
        /// A place in [`ROWS`].
        #[derive(Clone, Copy, Debug)]
        #[repr(u8)]
        #[allow(dead_code)]
        pub enum Row { $( $name, )+ }

        /// Five words a row: the field below `linux.resources`; the file on v1, whose name begins with the controller's; the
        /// file on v2; the kernel option without `CONFIG_`; the field with which it has to agree.
        ///
        /// `a|b` is `a`, or `b` where the kernel has no `a`. What stands behind a colon goes in front of the number. A plus
        /// is what that layout does anyway, a hyphen what it can't do.
        const ROWS: &str = concat!($( $field, " ", $v1, " ", $v2, " ", $option, " ", $partner, " ", )+);
    };
}
rows! {
    Check "memory.checkBeforeUpdate" "memory.+" "memory.current" "MEMCG" "-";
    Limit "memory.limit" "memory.limit_in_bytes" "memory.max" "MEMCG" "memory.swap";
    Swap "memory.swap" "memory.memsw.limit_in_bytes" "memory.swap.max" "SWAP" "-";
    Reservation "memory.reservation" "memory.soft_limit_in_bytes" "memory.low" "MEMCG" "-";
    Swappiness "memory.swappiness" "memory.swappiness" "-" "MEMCG_V1" "-";
    DisableOomKiller "memory.disableOOMKiller" "memory.oom_control" "-" "MEMCG_V1" "-";
    UseHierarchy "memory.useHierarchy" "memory.use_hierarchy" "memory.+" "MEMCG_V1" "-";
    Shares "cpu.shares" "cpu.shares" "cpu.weight" "FAIR_GROUP_SCHED" "cpu.idle";
    Idle "cpu.idle" "cpu.idle" "cpu.idle" "FAIR_GROUP_SCHED" "-";
    Period "cpu.period" "cpu.cfs_period_us" "cpu.max" "CFS_BANDWIDTH" "cpu.quota";
    Burst "cpu.burst" "cpu.cfs_burst_us" "cpu.max.burst" "CFS_BANDWIDTH" "cpu.quota";
    Quota "cpu.quota" "cpu.cfs_quota_us" "cpu.max" "CFS_BANDWIDTH" "-";
    RealtimePeriod "cpu.realtimePeriod" "cpu.rt_period_us" "-" "RT_GROUP_SCHED" "cpu.realtimeRuntime";
    RealtimeRuntime "cpu.realtimeRuntime" "cpu.rt_runtime_us" "-" "RT_GROUP_SCHED" "-";
    // a cpuset mounted with `noprefix` has the short names
    Cpus "cpu.cpus" "cpuset.cpus|cpus" "cpuset.cpus" "CPUSETS" "-";
    Mems "cpu.mems" "cpuset.mems|mems" "cpuset.mems" "CPUSETS" "-";
    Pids "pids.limit" "pids.max" "pids.max" "CGROUP_PIDS" "-";
    Weight "blockIO.weight" "blkio.weight|blkio.bfq.weight" "io.bfq.weight|io.weight" "BFQ_GROUP_IOSCHED" "-";
    LeafWeight "blockIO.leafWeight" "blkio.leaf_weight" "-" "CFQ_GROUP_IOSCHED" "-";
    WeightDevice "blockIO.weightDevice" "blkio.weight_device|blkio.bfq.weight_device" "io.bfq.weight|io.weight" "BFQ_GROUP_IOSCHED" "-";
    LeafWeightDevice "blockIO.weightDevice.leafWeight" "blkio.leaf_weight_device" "-" "CFQ_GROUP_IOSCHED" "-";
    ReadBps "blockIO.throttleReadBpsDevice" "blkio.throttle.read_bps_device" "io.max:rbps=" "BLK_DEV_THROTTLING" "-";
    WriteBps "blockIO.throttleWriteBpsDevice" "blkio.throttle.write_bps_device" "io.max:wbps=" "BLK_DEV_THROTTLING" "-";
    ReadIops "blockIO.throttleReadIOPSDevice" "blkio.throttle.read_iops_device" "io.max:riops=" "BLK_DEV_THROTTLING" "-";
    WriteIops "blockIO.throttleWriteIOPSDevice" "blkio.throttle.write_iops_device" "io.max:wiops=" "BLK_DEV_THROTTLING" "-";
    Hugepages "hugepageLimits" "hugetlb.limit_in_bytes" "hugetlb.max" "CGROUP_HUGETLB" "-";
    ClassId "network.classID" "net_cls.classid" "-" "CGROUP_NET_CLASSID" "-";
    Priorities "network.priorities" "net_prio.ifpriomap" "-" "CGROUP_NET_PRIO" "-";
    Rdma "rdma" "rdma.max" "rdma.max" "CGROUP_RDMA" "-";
    Unified "unified" "-" "-" "CGROUPS" "-";
    Devices "devices" "-" "-" "CGROUP_DEVICE" "-";
}

/// What a kernel does that lacks the file: writing that into it asks for nothing.
const UNTOUCHED: &str = "0 max -1 ";
/// The files that older kernels, or those without swap, lack.
const RECENT: &str = "memory.swap cpu.burst cpu.idle ";

const V2: u8 = Version::V2 as u8;

/// One row of [`ROWS`].
struct Line {
    row: u8,
    field: &'static str,
    v1: &'static str,
    v2: &'static str,
    partner: &'static str,
}

fn lines() -> impl Iterator<Item = Line> {
    let mut words = words::iter(ROWS);
    let mut row = 0;
    core::iter::from_fn(move || {
        let (field, v1, v2) = (words.next()?, words.next()?, words.next()?);
        let partner = words.nth(1)?;
        row += 1;
        Some(Line { row: row - 1, field, v1, v2, partner })
    })
}

/// The field of a row, below `linux.resources`.
pub fn field(row: u8) -> &'static str {
    words::nth(ROWS, usize::from(row) * 5)
}

/// The kernel option that a row needs, without `CONFIG_`.
pub fn option(row: u8) -> &'static str {
    words::nth(ROWS, usize::from(row) * 5 + 3)
}

/// What the limits of a container come to.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The hierarchies that carry one, bit by number.
    pub carried: u64,
    /// The writes, in order.
    pub writes: &'a [HostOp<'a>],
}

/// How many writes there are at most.
pub fn most(resources: &Resources<'_>) -> usize {
    if !resources.limits() {
        return 0;
    }
    let io = resources.block_io().unwrap_or(BlockIo::ABSENT);
    let lists = io.weight_device().len() * 3
        + io.throttle_read_bps_device().len()
        + io.throttle_write_bps_device().len()
        + io.throttle_read_iops_device().len()
        + io.throttle_write_iops_device().len();
    let files = resources.unified();
    let lines: usize = files.iter().map(|(_, text)| text.to_bytes().split(|&b| b == b'\n').count()).sum();
    let priorities = resources.network().map_or(0, |network| network.priorities().len());
    lists
        + lines
        + priorities
        + resources.hugepage_limits().len() * 2
        + resources.rdma().len()
        + 2 * (Row::Devices as usize)
}

/// Plans the limits of `resources` on a host; device rules are not among them. Zero and empty values ask for nothing, as in
/// runc.
///
/// # Errors
/// A limit that no hierarchy of the host can carry, or whose value has no meaning there.
pub fn limits<'a>(arena: &Arena<'a>, host: &Host<'a>, resources: &Resources<'a>) -> Result<'a, Limits<'a>> {
    let writes = arena.list(most(resources))?;
    let mut draft =
        Draft { arena, host, resources: *resources, writes, carried: 0, mistake: Cell::new(None) };
    if resources.limits() {
        lines().for_each(|line| draft.line(&line));
        draft.unified();
        lines().for_each(|line| draft.again(&line));
    }
    match draft.mistake.get() {
        Some(mistake) => Err(mistake),
        None => Ok(Limits { carried: draft.carried, writes: draft.writes.done() }),
    }
}

/// Limits under construction.
struct Draft<'a, 'b> {
    arena: &'b Arena<'a>,
    host: &'b Host<'a>,
    resources: Resources<'a>,
    writes: arena::List<'a, HostOp<'a>>,
    carried: u64,
    /// The first mistake, as in the builder of a plan.
    mistake: Cell<Option<Error<'a>>>,
}

/// `refuse!(self, field, ": ...")`.
macro_rules! refuse {
    ($draft:expr, $field:expr, $($words:tt)+) => {
        message!({$draft.refuse} () "config.json: linux.resources.", $field, ": ", $($words)+)
    };
}

impl<'a> Draft<'a, '_> {
    #[inline(never)]
    #[cold]
    fn refuse(&self, template: Template, words: Words<'_>) {
        self.note(Error::new(self.arena, template, words));
    }

    #[cold]
    fn note(&self, mistake: Error<'a>) {
        if self.mistake.get().is_none() {
            self.mistake.set(Some(mistake));
        }
    }

    #[inline(never)]
    fn c_join(&self, template: Template, words: Words<'_>) -> &'a CStr {
        self.arena.c_join(template, words).unwrap_or_else(|full| {
            self.note(full.into());
            c""
        })
    }

    /// What the bundle asks for at `field`, if it is one value.
    #[inline(never)]
    fn wish(&self, field: &str) -> Option<Part<'a>> {
        match (field, self.resources.wish(field)) {
            // no limit on memory is none on memory and swap, as in runc
            ("memory.swap", None) => {
                self.wish("memory.limit").filter(|limit| matches!(limit, Part::Signed(..0)))
            }
            // Docker's way to say nothing
            ("memory.swappiness", Some(Part::Number(u64::MAX))) => None,
            (_, wish) => wish,
        }
    }

    fn line(&mut self, line: &Line) {
        let resources = self.resources;
        let io = resources.block_io().unwrap_or(BlockIo::ABSENT);
        let network = resources.network().unwrap_or(Network::ABSENT);
        const CHECK: u8 = Row::Check as u8;
        const READ_BPS: u8 = Row::ReadBps as u8;
        const WRITE_BPS: u8 = Row::WriteBps as u8;
        const READ_IOPS: u8 = Row::ReadIops as u8;
        const WRITE_IOPS: u8 = Row::WriteIops as u8;
        const WEIGHT_DEVICE: u8 = Row::WeightDevice as u8;
        const LEAF_WEIGHT_DEVICE: u8 = Row::LeafWeightDevice as u8;
        const HUGEPAGES: u8 = Row::Hugepages as u8;
        const PRIORITIES: u8 = Row::Priorities as u8;
        const RDMA: u8 = Row::Rdma as u8;
        match line.row {
            CHECK => self.check(line),
            READ_BPS => self.throttles(line, io.throttle_read_bps_device()),
            WRITE_BPS => self.throttles(line, io.throttle_write_bps_device()),
            READ_IOPS => self.throttles(line, io.throttle_read_iops_device()),
            WRITE_IOPS => self.throttles(line, io.throttle_write_iops_device()),
            WEIGHT_DEVICE | LEAF_WEIGHT_DEVICE => {
                for device in io.weight_device() {
                    let (weight, leaf) = (device.weight(), device.leaf_weight());
                    if weight.or(leaf).is_none() {
                        refuse!(self, line.field, "needs weight or leafWeight");
                    }
                    let weight = if line.row == WEIGHT_DEVICE { weight } else { leaf }.unwrap_or(0);
                    if weight != 0 {
                        self.of_device(line, (device.major(), device.minor()), weight.into());
                    }
                }
            }
            HUGEPAGES => self.hugepages(line),
            PRIORITIES => {
                for priority in network.priorities() {
                    let number = Part::Number(priority.priority().into());
                    self.set(line, How::Once, c_join!(self, priority.name(), " "), number);
                }
            }
            RDMA => {
                for (device, limit) in resources.rdma() {
                    let (handles, objects) = (limit.hca_handles(), limit.hca_objects());
                    if handles.or(objects).is_none() {
                        refuse!(self, line.field, quoted(device), " needs hcaHandles or hcaObjects");
                    }
                    let mut text = device;
                    for (key, number) in [(" hca_handle=", handles), (" hca_object=", objects)] {
                        if let Some(number) = number {
                            text = c_join!(self, text, key, number);
                        }
                    }
                    self.set(line, How::Once, c"", Part::Text(text.to_bytes()));
                }
            }
            _ => {
                let Some(wish) = self.wish(line.field) else { return };
                let how = if self.wish(line.partner).is_some() { How::First } else { How::Once };
                self.set(line, how, c"", wish);
            }
        }
    }

    /// What had to agree with a limit that came later is tried once more behind it: one of the two orders is right, whichever
    /// way the limits go.
    fn again(&mut self, line: &Line) {
        if self.wish(line.partner).is_some()
            && let Some(wish) = self.wish(line.field)
        {
            self.set(line, How::Again, c"", wish);
        }
    }

    /// On v1 the kernel itself refuses a limit below what is in use.
    fn check(&mut self, line: &Line) {
        let limit = self.wish("memory.limit").filter(|limit| matches!(limit, Part::Signed(1..)));
        if self.wish(line.field).is_some()
            && let Some(limit) = limit
        {
            self.set(line, How::Below, c"", limit);
        }
    }

    fn throttles(&mut self, line: &Line, devices: config::List<'a, BlockIoThrottle<'a>>) {
        for device in devices {
            self.of_device(line, (device.major(), device.minor()), device.rate());
        }
    }

    #[inline(never)]
    fn of_device(&mut self, line: &Line, (major, minor): (i64, i64), number: u64) {
        self.set(line, How::Once, c_join!(self, major, ":", minor, " "), Part::Number(number));
    }

    /// config-linux.md, "Huge page limits": reservations are limited where the kernel can (Linux 5.7), faults anyway.
    fn hugepages(&mut self, line: &Line) {
        for limit in self.resources.hugepage_limits() {
            let Some((tree, version)) = self.place(line, line.v2) else { return };
            let name = if version == Version::V2 { line.v2 } else { line.v1 };
            let behind = name.strip_prefix("hugetlb").unwrap_or(name);
            for reserved in ["", ".rsvd"] {
                let file = c_join!(self, "hugetlb.", limit.page_size(), reserved, behind);
                let value = c_join!(self, limit.limit());
                let may_lack = !reserved.is_empty();
                self.push(HostOp::CgroupFile { tree, file, value, row: line.row, how: How::Once, may_lack });
            }
        }
    }

    /// config-linux.md, "Unified": each line is a write, since files such as io.max take one device a write.
    fn unified(&mut self) {
        let row = Row::Unified as u8;
        for (file, text) in self.resources.unified() {
            let controller = file.to_bytes().split(|&b| b == b'.').next().unwrap_or(&[]);
            match self.host.serving(controller) {
                Some((tree, hierarchy)) if hierarchy.version == Version::V2 => {
                    self.carried |= 1u64.wrapping_shl(u32::from(tree));
                    for line in text.to_bytes().split(|&b| b == b'\n') {
                        let value = c_join!(self, line);
                        self.push(HostOp::CgroupFile {
                            tree,
                            file,
                            value,
                            row,
                            how: How::Once,
                            may_lack: false,
                        });
                    }
                }
                _ => refuse!(self, field(row), "cannot use unified on cgroup v1 (", quoted(file), ")"),
            }
        }
    }

    /// The hierarchy that carries a limit; `v2` is the file there.
    fn place(&mut self, line: &Line, v2: &str) -> Option<(u8, Version)> {
        let controller = line.v1.as_bytes().split(|&b| b == b'.').next().unwrap_or(&[]);
        let option = option(line.row);
        match self.host.serving(controller) {
            Some((tree, hierarchy)) if hierarchy.version == Version::V1 || v2 != "-" => {
                self.carried |= 1u64.wrapping_shl(u32::from(tree));
                return Some((tree, hierarchy.version));
            }
            Some(_) => refuse!(
                self,
                line.field,
                "cgroup v2 has no such limit, and no v1 hierarchy of this host carries the controller ",
                controller,
                " (kernel option CONFIG_",
                option,
                ")"
            ),
            None if self.host.cgroups.is_empty() => refuse!(
                self,
                line.field,
                "this host has no cgroup tree to carry the limit (mount cgroup2 on /sys/fs/cgroup, kernel option CONFIG_CGROUPS)"
            ),
            None => refuse!(
                self,
                line.field,
                "no cgroup hierarchy of this host carries the controller ",
                controller,
                " (kernel option CONFIG_",
                option,
                ")"
            ),
        }
        None
    }

    /// Adds the writes of one value; `prefix` goes in front of it.
    #[inline(never)]
    fn set(&mut self, line: &Line, mut how: How, prefix: &'a CStr, wish: Part<'a>) {
        let Some((tree, version)) = self.place(line, line.v2) else { return };
        let v2 = version as u8 == V2;
        let name = if v2 { line.v2 } else { line.v1 };
        // quota and period are one file there
        if name.ends_with('+') || v2 && line.row == Row::Period as u8 && self.wish(line.partner).is_some() {
            return;
        }
        // memory and swap are counted apart there, so they need not agree
        if v2 && line.row == Row::Limit as u8 {
            if how == How::Again {
                return;
            }
            how = How::Once;
        }
        let (name, key) = name.split_once(':').unwrap_or((name, ""));
        let two = name.contains('|');
        for (n, name) in name.split('|').enumerate() {
            let number = self.converted(name, v2, wish);
            let value = c_join!(self, prefix, key, number);
            let file = c_join!(self, name);
            let how = match (two, n) {
                (false, _) => how,
                (true, 0) => How::First,
                (true, _) => How::Again,
            };
            let may_lack = words::position(RECENT, line.field.as_bytes()).is_some()
                && words::position(UNTOUCHED, value.to_bytes()).is_some();
            self.push(HostOp::CgroupFile { tree, file, value, row: line.row, how, may_lack });
        }
    }

    fn push(&mut self, write: HostOp<'a>) {
        if let Err(full) = self.writes.push(write) {
            self.note(full.into());
        }
    }

    /// What stands in `file` for a wish, which is in v1's terms.
    fn converted(&self, file: &str, v2: bool, wish: Part<'a>) -> Part<'a> {
        match (file, wish) {
            ("memory.swap.max", Part::Signed(swap @ 0..)) => self.swap_v2(swap),
            ("memory.swappiness", Part::Number(101..)) => {
                refuse!(self, "memory.swappiness", "valid range is 0-100");
                wish
            }
            // the kernel would take the nearest it knows
            ("cpu.shares", Part::Number(..2)) => {
                refuse!(self, file, "the minimum allowed cpu-shares is 2");
                wish
            }
            ("cpu.shares", Part::Number(262_145..)) => {
                refuse!(self, file, "the maximum allowed cpu-shares is 262144");
                wish
            }
            ("cpu.weight", Part::Number(shares)) => Part::Number(weight(shares)),
            ("cpu.max", _) => {
                let quota = match self.wish("cpu.quota") {
                    Some(Part::Signed(quota @ 0..)) => Part::Signed(quota),
                    _ => Part::Text(b"max"),
                };
                let period = self.wish("cpu.period").unwrap_or(Part::Number(100_000));
                Part::Text(c_join!(self, quota, " ", period).to_bytes())
            }
            // 10 to 1000 become 1 to 10000
            ("io.weight", Part::Number(weight)) => {
                Part::Number((1 + (weight as u32).saturating_sub(10) * 9999 / 990).into())
            }
            ("io.max", Part::Number(0)) => Part::Text(b"max"),
            (_, Part::Signed(..0)) if v2 || file == "pids.max" => Part::Text(b"max"),
            _ => wish,
        }
    }

    /// On v2 swap is counted by itself; in the config it is memory and swap together.
    fn swap_v2(&self, swap: i64) -> Part<'a> {
        let limit = match self.wish("memory.limit") {
            Some(Part::Signed(..0)) => return Part::Signed(swap),
            Some(Part::Signed(limit)) => limit,
            _ => {
                refuse!(self, "memory.swap", "needs linux.resources.memory.limit beside it");
                0
            }
        };
        if swap < limit {
            refuse!(
                self,
                "memory.swap",
                "counts memory and swap together, so it can't be less than linux.resources.memory.limit",
            );
        }
        Part::Signed(swap.wrapping_sub(limit))
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
