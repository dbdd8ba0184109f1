//! `linux.resources`: limits of the cgroup (config-linux.md, "Control groups").

use super::rules;
use super::{RESOURCES, asks, find};
use crate::base::text::Part;
use crate::base::words;
use crate::json::schema::{Kind, Slot};
use crate::json::view::{List, Map, object};
use core::ffi::CStr;

object! {
    /// Limits of the cgroup.
    Resources {
        /// Files of the v2 cgroup and what to write into them.
        unified "unified": plain Map<'a, &'a CStr>;
        /// Which devices may be used, in order; the last match decides.
        devices "devices": plain List<'a, DeviceRule<'a>>;
        /// Number of processes.
        pids "pids": optional Pids<'a>;
        /// Block devices.
        block_io "blockIO": optional BlockIo<'a>;
        /// Processors.
        cpu "cpu": optional Cpu<'a>;
        /// Huge pages.
        hugepage_limits "hugepageLimits": plain List<'a, HugepageLimit<'a>>;
        /// Memory.
        memory "memory": optional Memory<'a>;
        /// Network, v1 only.
        network "network": optional Network<'a>;
        /// RDMA devices by name.
        rdma "rdma": plain Map<'a, Rdma<'a>>;
    }
}

/// Fields of which zero is a wish like any other number.
const ZEROS: &str = "memory.swappiness cpu.burst cpu.idle ";

impl<'a> Resources<'a> {
    /// How many values there are, items and members of lists and maps, and lines of text in these.
    #[inline(never)]
    pub fn values(&self) -> usize {
        let of = |slot: &Slot<'_>| match slot {
            Slot::Object(slots) => slots.iter().map(values).sum(),
            other => values(other),
        };
        self.slots.iter().map(of).sum()
    }

    /// The number or the text at `field` (such as `cpu.shares`), 1 for true; `None` where it asks for nothing (see
    /// `Config::asks`).
    #[inline(never)]
    pub fn wish(&self, field: &str) -> Option<Part<'a>> {
        let slot = find(self.slots, RESOURCES, field);
        if asks(slot) || words::position(ZEROS, field.as_bytes()).is_some() { part(&slot) } else { None }
    }

    /// Gives each item or member of the list or map at `field`: the values of its own fields in their order or, where it has
    /// none, its own; of a member the key is the last.
    #[inline(never)]
    pub fn each(&self, field: &str, give: &mut dyn FnMut([Option<Part<'a>>; 4])) {
        let mut give = |key: Option<&'a CStr>, value: &Slot<'a>| {
            let mut all = [None; 4];
            let fields = if let Slot::Object(fields) = value { fields } else { core::slice::from_ref(value) };
            for (place, field) in all.iter_mut().zip(fields) {
                *place = part(field);
            }
            if let (Some(key), Some(place)) = (key, all.last_mut()) {
                *place = Some(Part::Text(key.to_bytes()));
            }
            give(all);
        };
        match find(self.slots, RESOURCES, field) {
            Slot::List(items) => items.iter().for_each(|item| give(None, item)),
            Slot::Map(members) => members.iter().for_each(|member| give(Some(member.key), &member.value)),
            _ => {}
        }
    }
}

#[inline(never)]
fn values(slot: &Slot<'_>) -> usize {
    match slot {
        Slot::Absent => 0,
        Slot::List(items) => items.len(),
        Slot::Map(members) => members.iter().map(|member| values(&member.value)).sum(),
        Slot::Text(text) => text.to_bytes().split(|&b| b == b'\n').count(),
        _ => 1,
    }
}

#[inline(never)]
fn part<'a>(slot: &Slot<'a>) -> Option<Part<'a>> {
    match *slot {
        Slot::Bool(value) => Some(Part::Number(value.into())),
        Slot::Signed(number) => Some(Part::Signed(number)),
        Slot::Unsigned(number) => Some(Part::Number(number)),
        Slot::Text(text) => Some(Part::Text(text.to_bytes())),
        _ => None,
    }
}

object! {
    /// One rule on devices.
    DeviceRule {
        /// Whether the access is allowed.
        allow "allow": required bool;
        /// `c` character, `b` block, `a` (or empty, or absent) all.
        kind "type": optional &'a CStr = Kind::Text(rules::RULE_TYPE);
        /// Major number; absent or -1 is every one.
        major "major": optional i64;
        /// Minor number; absent or -1 is every one.
        minor "minor": optional i64;
        /// Any of `r`, `w`, `m`; absent is all.
        access "access": optional &'a CStr = Kind::Text(rules::ACCESS);
    }
}

object! {
    /// Number of processes.
    Pids {
        /// At most; -1 is no limit. Newer specs let it be absent.
        limit "limit": optional i64;
    }
}

object! {
    /// Memory, in bytes; -1 is no limit.
    Memory {
        /// The limit.
        limit "limit": optional i64;
        /// The soft limit.
        reservation "reservation": optional i64;
        /// Memory and swap together.
        swap "swap": optional i64;
        /// Kernel memory, v1 only.
        kernel "kernel": optional i64;
        /// Kernel memory for TCP, v1 only.
        kernel_tcp "kernelTCP": optional i64;
        /// How eagerly to swap, v1 only.
        swappiness "swappiness": optional u64;
        /// No OOM killer, v1 only.
        disable_oom_killer "disableOOMKiller": plain bool;
        /// Children count with the parent, v1 only.
        use_hierarchy "useHierarchy": plain bool;
        /// Refuse a limit below the use.
        check_before_update "checkBeforeUpdate": plain bool;
    }
}

object! {
    /// Processors.
    Cpu {
        /// Relative share, v1's scale.
        shares "shares": optional u64;
        /// Microseconds in each period; -1 is no limit.
        quota "quota": optional i64;
        /// Microseconds on top of the quota.
        burst "burst": optional u64;
        /// Microseconds.
        period "period": optional u64;
        /// Microseconds of real-time in each real-time period.
        realtime_runtime "realtimeRuntime": optional i64;
        /// Microseconds.
        realtime_period "realtimePeriod": optional u64;
        /// Which CPUs, such as `0-3,7`.
        cpus "cpus": optional &'a CStr = Kind::Text(rules::CPU_LIST);
        /// Which memory nodes.
        mems "mems": optional &'a CStr = Kind::Text(rules::CPU_LIST);
        /// 1 is SCHED_IDLE for the group.
        idle "idle": optional i64;
    }
}

object! {
    /// Block devices.
    BlockIo {
        /// Weight.
        weight "weight": optional u16;
        /// Weight against child groups, v1 only.
        leaf_weight "leafWeight": optional u16;
        /// Weights for single devices.
        weight_device "weightDevice": plain List<'a, BlockIoWeight<'a>>;
        /// Read limits in bytes a second.
        throttle_read_bps_device "throttleReadBpsDevice": plain List<'a, BlockIoThrottle<'a>>;
        /// Write limits in bytes a second.
        throttle_write_bps_device "throttleWriteBpsDevice": plain List<'a, BlockIoThrottle<'a>>;
        /// Read limits in operations a second.
        throttle_read_iops_device "throttleReadIOPSDevice": plain List<'a, BlockIoThrottle<'a>>;
        /// Write limits in operations a second.
        throttle_write_iops_device "throttleWriteIOPSDevice": plain List<'a, BlockIoThrottle<'a>>;
    }
}

object! {
    /// Weight of one block device.
    BlockIoWeight {
        /// Major number.
        major "major": required i64 = Kind::Number(&rules::MAJOR);
        /// Minor number.
        minor "minor": required i64 = Kind::Number(&rules::MINOR);
        /// Weight.
        weight "weight": optional u16;
        /// Weight against child groups, v1 only.
        leaf_weight "leafWeight": optional u16;
    }
}

object! {
    /// Limit of one block device.
    BlockIoThrottle {
        /// Major number.
        major "major": required i64 = Kind::Number(&rules::MAJOR);
        /// Minor number.
        minor "minor": required i64 = Kind::Number(&rules::MINOR);
        /// Bytes or operations a second; 0 is no limit, as on v1.
        rate "rate": required u64;
    }
}

object! {
    /// Limit on huge pages of one size.
    HugepageLimit {
        /// Such as `2MB`.
        page_size "pageSize": required &'a CStr = Kind::Text(rules::PAGE_SIZE);
        /// Bytes.
        limit "limit": required u64;
    }
}

object! {
    /// Network, v1 only.
    Network {
        /// net_cls class.
        class_id "classID": optional u32;
        /// net_prio priorities.
        priorities "priorities": plain List<'a, NetworkPriority<'a>>;
    }
}

object! {
    /// Priority of traffic on one interface.
    NetworkPriority {
        /// The interface.
        name "name": required &'a CStr;
        /// The priority.
        priority "priority": required u32;
    }
}

object! {
    /// Limits on one RDMA device.
    Rdma {
        /// Handles.
        hca_handles "hcaHandles": optional u32;
        /// Objects.
        hca_objects "hcaObjects": optional u32;
    }
}
