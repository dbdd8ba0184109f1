//! The limits of `linux.resources` as writes into files of the cgroup: a table of fields, and what each comes to on v1 and
//! on v2.
//!
//! Nothing but the resources and the host's hierarchies goes in, so that limits can be planned for a container that runs as
//! well as for one that starts: whatever the cgroup held before, each write, or the second one of it, is one that the kernel
//! takes. Conversions are those of runc. Must not look at the rest of a config.

use super::host::{Host, Version};
use super::op::{HostOp, How};
use crate::base::parts::parts;
use crate::base::text::{Part, Put, Quoted, Sink, Template, Words};
use crate::base::words;
use crate::c_join;
use crate::config::Resources;
use crate::error::{Error, Result};
use crate::message;
use crate::rt::arena::{Arena, List};
use core::cell::Cell;
use core::ffi::CStr;

macro_rules! rows {
    ($( $name:ident $text:literal; )+) => {
        #[repr(u8)]
        #[allow(dead_code)]
        enum Place { $( $name, )+ }

        /// Places in [`ROWS`].
        #[allow(dead_code, non_upper_case_globals)]
        mod row { $( pub const $name: u8 = super::Place::$name as u8; )+ }

        /// Five words a row: the field below `linux.resources`; the file on v1, whose name begins with the controller's; the
        /// file on v2; the kernel option without `CONFIG_`; the field with which it has to agree.
        ///
        /// `=` is the word before (for an option that of the row before), `a|b` is `a`, or `b` where the kernel has no `a`.
        /// Behind `@` stands how the value is written, the number at the end: digits are the fields of a list's item, 3 the
        /// key of a map's member, `~` is a blank. A plus is what that layout does anyway, a hyphen what it can't do.
        const ROWS: &str = concat!($( $text, " ", )+);
    };
}
rows! {
    Check "memory.checkBeforeUpdate memory.+ memory.current MEMCG -";
    Limit "memory.limit memory.limit_in_bytes memory.max = memory.swap";
    Reservation "memory.reservation memory.soft_limit_in_bytes memory.low = -";
    Swappiness "memory.swappiness = - = -";
    DisableOomKiller "memory.disableOOMKiller memory.oom_control - = -";
    UseHierarchy "memory.useHierarchy memory.use_hierarchy memory.+ = -";
    Swap "memory.swap memory.memsw.limit_in_bytes memory.swap.max SWAP -";
    Shares "cpu.shares = cpu.weight FAIR_GROUP_SCHED cpu.idle";
    Idle "cpu.idle = = = -";
    Burst "cpu.burst cpu.cfs_burst_us cpu.max.burst CFS_BANDWIDTH cpu.quota";
    Period "cpu.period cpu.cfs_period_us cpu.max = cpu.quota";
    Quota "cpu.quota cpu.cfs_quota_us cpu.max = -";
    RealtimePeriod "cpu.realtimePeriod cpu.rt_period_us - RT_GROUP_SCHED cpu.realtimeRuntime";
    RealtimeRuntime "cpu.realtimeRuntime cpu.rt_runtime_us - = -";
    // a cpuset mounted with `noprefix` has the short names
    Cpus "cpu.cpus cpuset.cpus|cpus cpuset.cpus CPUSETS -";
    Mems "cpu.mems cpuset.mems|mems cpuset.mems = -";
    Pids "pids.limit pids.max = CGROUP_PIDS -";
    Weight "blockIO.weight blkio.weight|blkio.bfq.weight io.bfq.weight|io.weight BFQ_GROUP_IOSCHED -";
    WeightDevice "blockIO.weightDevice blkio.weight_device|blkio.bfq.weight_device@0:1~2 io.bfq.weight|io.weight@0:1~2 = -";
    LeafWeight "blockIO.leafWeight blkio.leaf_weight - CFQ_GROUP_IOSCHED -";
    LeafWeightDevice "blockIO.weightDevice.leafWeight blkio.leaf_weight_device@0:1~3 - = -";
    ReadBps "blockIO.throttleReadBpsDevice blkio.throttle.read_bps_device@0:1~2 io.max@0:1~rbps=2 BLK_DEV_THROTTLING -";
    WriteBps "blockIO.throttleWriteBpsDevice blkio.throttle.write_bps_device@0:1~2 io.max@0:1~wbps=2 = -";
    ReadIops "blockIO.throttleReadIOPSDevice blkio.throttle.read_iops_device@0:1~2 io.max@0:1~riops=2 = -";
    WriteIops "blockIO.throttleWriteIOPSDevice blkio.throttle.write_iops_device@0:1~2 io.max@0:1~wiops=2 = -";
    // config-linux.md, "Huge page limits": reservations where the kernel can (Linux 5.7), faults anyway
    Hugepages "hugepageLimits hugetlb.0.limit_in_bytes@1 hugetlb.0.max@1 CGROUP_HUGETLB -";
    Reserved "hugepageLimits hugetlb.0.rsvd.limit_in_bytes@1 hugetlb.0.rsvd.max@1 = -";
    ClassId "network.classID net_cls.classid - CGROUP_NET_CLASSID -";
    Priorities "network.priorities net_prio.ifpriomap@0~1 - CGROUP_NET_PRIO -";
    Rdma "rdma rdma.max@3~hca_handle=0~hca_object=1 = CGROUP_RDMA -";
    Unified "unified - 3 CGROUPS -";
    Devices "devices - - CGROUP_DEVICE -";
}

/// The row of device rules, which are planned elsewhere.
pub const DEVICES: u8 = row::Devices;

/// One row of [`ROWS`].
struct Line {
    row: u8,
    field: &'static str,
    v1: &'static str,
    v2: &'static str,
    option: &'static str,
    partner: &'static str,
}

#[inline(never)]
fn lines() -> impl Iterator<Item = Line> {
    let mut words = words::iter(ROWS);
    let mut row = 0;
    let mut last = "";
    core::iter::from_fn(move || {
        let mut next = |same: &'static str| words.next().map(|word| if word == "=" { same } else { word });
        let field = next("")?;
        let v1 = next(field)?;
        let v2 = next(v1)?;
        let option = next(last)?;
        let partner = next("")?;
        last = option;
        row += 1;
        Some(Line { row: row - 1, field, v1, v2, option, partner })
    })
}

/// The field of a row, below `linux.resources`, and the kernel option that it needs, without `CONFIG_`.
#[inline(never)]
pub fn about(row: u8) -> (&'static str, &'static str) {
    lines().nth(row.into()).map_or(("", ""), |line| (line.field, line.option))
}

/// What the limits of a container come to.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The hierarchies that carry one, bit by number.
    pub carried: u64,
    /// The writes, in order.
    pub writes: &'a [HostOp<'a>],
}

/// How many writes there are at most: a value is written twice where it has to agree with another, and a device's weights
/// come to three writes.
#[inline(never)]
pub fn most(resources: &Resources<'_>) -> usize {
    let values = resources.values();
    if values == resources.devices().len() { 0 } else { values * 3 }
}

/// Plans the limits of `resources` on a host; device rules are not among them. Zero and empty values ask for nothing, as in
/// runc.
///
/// # Errors
/// A limit that no hierarchy of the host can carry, or whose value has no meaning there.
#[inline(never)]
pub fn limits<'a>(arena: &Arena<'a>, host: &Host<'a>, resources: &Resources<'a>) -> Result<'a, Limits<'a>> {
    let most = most(resources);
    let writes = arena.list(most)?;
    let mut draft =
        Draft { arena, host, resources: *resources, writes, carried: 0, mistake: Cell::new(None) };
    for again in [false, true].into_iter().filter(|_| most > 0) {
        lines().take(DEVICES.into()).for_each(|line| draft.line(&line, again));
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
    writes: List<'a, HostOp<'a>>,
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

    #[inline(never)]
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
    fn wish(&self, field: &str) -> Option<Part<'a>> {
        self.resources.wish(field)
    }

    /// The limit on memory, if it is no limit.
    #[inline(never)]
    fn unlimited(&self) -> Option<Part<'a>> {
        self.wish("memory.limit").filter(|limit| matches!(limit, Part::Signed(..0)))
    }

    /// The writes of one row. What has to agree with a limit that comes later is tried before it and, where that was refused,
    /// behind it (`again`): one of the two orders is right, whichever way the limits go.
    #[inline(never)]
    fn line(&mut self, line: &Line, again: bool) {
        let agrees = match line.row {
            row::Limit if self.unlimited().is_some() => true,
            _ => self.wish(line.partner).is_some(),
        };
        if again && !agrees {
            return;
        }
        let wish = match self.wish(line.field) {
            // no limit on memory is none on memory and swap, as in runc
            None if line.row == row::Swap => self.unlimited(),
            Some(_) if line.row == row::Check => self.wish("memory.limit"),
            // Docker's way to say nothing
            Some(Part::Number(u64::MAX)) if line.row == row::Swappiness => None,
            wish => wish,
        };
        let Some(wish) = wish else {
            let resources = self.resources;
            return resources.each(line.field, &mut |values| self.item(line, values));
        };
        let how = match line.row {
            row::Check => How::Below,
            _ if again => How::Again,
            _ if agrees => How::First,
            _ => How::Once,
        };
        self.set(line, how, &mut [Some(wish), None, None, None]);
    }

    /// The writes of one item of a list or member of a map.
    #[inline(never)]
    fn item(&mut self, line: &Line, mut values: [Option<Part<'a>>; 4]) {
        let [first, second, third, fourth] = &mut values;
        let mut how = How::Once;
        match line.row {
            row::Reserved => how = How::Optional,
            row::Rdma => {
                if first.or(*second).is_none() {
                    refuse!(self, line.field, "needs hcaHandles or hcaObjects");
                }
                *first = first.or(Some(MAX));
                *second = second.or(Some(MAX));
            }
            row::Unified => {
                // each line is a write, since files such as io.max take one device a write
                if let Some(Part::Text(text)) = *first {
                    for text in parts(text, b'\n') {
                        self.set(line, how, &mut [Some(Part::Text(text)), None, None, *fourth]);
                    }
                }
                return;
            }
            row::WeightDevice | row::LeafWeightDevice => {
                if third.or(*fourth).is_none() {
                    refuse!(self, line.field, "needs weight or leafWeight");
                }
                let weight = if line.row == row::WeightDevice { third } else { fourth };
                if let None | Some(Part::Signed(0)) = weight {
                    return;
                }
            }
            _ => {}
        }
        self.set(line, how, &mut values);
    }

    /// The hierarchy that carries a limit, and whether it is v2; `file` is the file there.
    #[inline(never)]
    fn place(&mut self, line: &Line, key: Option<Part<'a>>) -> Option<(u8, bool)> {
        let name = match (line.row, key) {
            (row::Unified, Some(Part::Text(key))) => key,
            _ => line.v1.as_bytes(),
        };
        let controller = parts(name, b'.').next().unwrap_or(name);
        let found = self.host.serving(controller);
        if let Some((tree, hierarchy)) = found {
            let v2 = hierarchy.version == Version::V2;
            let name = if v2 { line.v2 } else { line.v1 };
            if name != "-" {
                self.carried |= 1u64.wrapping_shl(u32::from(tree));
                return Some((tree, v2));
            }
        }
        let why = if self.host.cgroups.is_empty() {
            "this host has no cgroup tree to carry the limit (mount cgroup2 on /sys/fs/cgroup)"
        } else if line.row == row::Unified {
            "cannot use unified on cgroup v1"
        } else if found.is_some() {
            "cgroup v2 has no such limit, and no v1 hierarchy of this host carries the controller"
        } else {
            "no cgroup hierarchy of this host carries the controller"
        };
        refuse!(self, line.field, why, " (", Quoted(controller), ": kernel option CONFIG_", line.option, ")");
        None
    }

    /// Adds the writes of one limit.
    #[inline(never)]
    fn set(&mut self, line: &Line, mut how: How, values: &mut [Option<Part<'a>>; 4]) {
        let Some((tree, v2)) = self.place(line, values.last().copied().flatten()) else { return };
        let name = if v2 { line.v2 } else { line.v1 };
        match line.row {
            _ if name.ends_with('+') => return,
            // quota and period are one file there
            row::Period if v2 && how != How::Once => return,
            // memory and swap are counted apart there, so they need not agree
            row::Limit if v2 && how == How::Again => return,
            row::Limit if v2 => how = How::Once,
            _ => {}
        }
        let mut halves = parts(name.as_bytes(), b'@');
        let names = halves.next().unwrap_or(&[]);
        let format = halves.next().unwrap_or(b"0");
        let number = format.last().map_or(0, |digit| usize::from(digit.wrapping_sub(b'0')));
        let wish = values.get(number).copied().flatten();
        for name in parts(names, b'|') {
            if names.len() > name.len() {
                how = if how == How::Once { How::First } else { How::Again };
            }
            if let (Some(wish), Some(place)) = (wish, values.get_mut(number)) {
                *place = Some(self.converted(line.row, v2, how, wish));
            }
            let value = c_join!(self, Formatted(format, values));
            let file = c_join!(self, Formatted(name, values));
            if RECENT.contains(&line.row) && words::position(UNTOUCHED, value.to_bytes()).is_some() {
                if how == How::Again {
                    return;
                }
                how = How::Optional;
            }
            let pushed = self.writes.push(HostOp::CgroupFile { tree, file, value, row: line.row, how });
            if let Err(full) = pushed {
                self.note(full.into());
            }
        }
    }

    /// What a file takes for a wish, which is in v1's terms.
    #[inline(never)]
    fn converted(&self, row: u8, v2: bool, how: How, wish: Part<'a>) -> Part<'a> {
        match (row, wish) {
            (row::Swap, Part::Signed(swap @ 0..)) if v2 => return self.swap_v2(swap),
            (row::Swappiness, Part::Number(101..)) => refuse!(self, about(row).0, "valid range is 0-100"),
            (row::Shares, Part::Number(shares)) if v2 => return Part::Number(weight(shares)),
            // the kernel would take the nearest that it knows
            (row::Shares, Part::Number(shares @ (..2 | 262_145..))) => {
                let (word, limit) = if shares < 2 { ("minimum", 2) } else { ("maximum", 262_144) };
                refuse!(self, about(row).0, "the ", word, " allowed cpu-shares is ", limit);
            }
            (row::Period | row::Quota, _) if v2 => {
                let quota = self.wish("cpu.quota").filter(|quota| matches!(quota, Part::Signed(0..)));
                let period = self.wish("cpu.period").unwrap_or(Part::Number(100_000));
                return Part::Text(c_join!(self, quota.unwrap_or(MAX), " ", period).to_bytes());
            }
            // io.weight: 10 to 1000 become 1 to 10000
            (row::Weight | row::WeightDevice, Part::Signed(weight)) if v2 && how == How::Again => {
                return Part::Number((1 + (weight as u32).saturating_sub(10) * 9999 / 990).into());
            }
            (_, Part::Number(0)) if v2 && (row::ReadBps..=row::WriteIops).contains(&row) => return MAX,
            (_, Part::Signed(..0)) if v2 || row == row::Pids => return MAX,
            _ => {}
        }
        wish
    }

    /// On v2 swap is counted by itself; in the config it is memory and swap together.
    #[inline(never)]
    fn swap_v2(&self, swap: i64) -> Part<'a> {
        let limit = match self.wish("memory.limit") {
            Some(Part::Signed(limit)) => limit.max(0),
            _ => i64::MAX,
        };
        if limit > swap {
            refuse!(
                self,
                "memory.swap",
                "counts memory and swap together, so it needs linux.resources.memory.limit beside it and can't be less",
            );
        }
        Part::Signed(swap.wrapping_sub(limit))
    }
}

const MAX: Part<'static> = Part::Text(b"max");
/// What a kernel does that lacks the file: writing that into it asks for nothing.
const UNTOUCHED: &str = "0 max -1 ";
/// The limits whose files older kernels, or those without swap, lack.
const RECENT: [u8; 3] = [row::Swap, row::Burst, row::Idle];

/// A text of [`ROWS`] with the values in their places.
struct Formatted<'f, 'a>(&'f [u8], &'f [Option<Part<'a>>; 4]);

impl Put for Formatted<'_, '_> {
    fn put(&self, to: &mut dyn Sink) {
        for byte in self.0 {
            match self.1.get(usize::from(byte.wrapping_sub(b'0'))) {
                Some(value) => value.put(to),
                None => to.push(if *byte == b'~' { b" " } else { core::slice::from_ref(byte) }),
            }
        }
    }
}

/// cpu.shares (2 to 262144) as cpu.weight (1 to 10000), as runc does since 1.3.2: ceil(10^((l^2 + 125 l) / 612 - 7/34))
/// with l = log2(shares), so that the defaults 1024 and 100 meet. In whole numbers, because a float would bring its own
/// library along; equal to the float formula for every share count.
#[inline(never)]
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
