//! `linux` but for its resources and seccomp (config-linux.md).

use super::mounts::IdMapping;
use super::resources::Resources;
use super::rules;
use super::seccomp::Seccomp;
use crate::json::schema::Kind;
use crate::json::view::{List, Map, object, word_values};
use crate::names::namespaces::NamespaceKind;
use core::ffi::CStr;

object! {
    /// What only Linux has.
    Linux {
        /// Namespaces to make or to join.
        namespaces "namespaces": plain List<'a, Namespace<'a>>;
        /// User ids of the new user namespace.
        uid_mappings "uidMappings": plain List<'a, IdMapping<'a>>;
        /// Group ids of the new user namespace.
        gid_mappings "gidMappings": plain List<'a, IdMapping<'a>>;
        /// Clock offsets of the new time namespace.
        time_offsets "timeOffsets": optional TimeOffsets<'a>;
        /// Device nodes beside the default ones.
        devices "devices": plain List<'a, Device<'a>>;
        /// Network devices of the host to move inside, by name.
        net_devices "netDevices": plain Map<'a, NetDevice<'a>>;
        /// The cgroup.
        cgroups_path "cgroupsPath": optional &'a CStr;
        /// Limits of the cgroup.
        resources "resources": optional Resources<'a>;
        /// Intel Resource Director Technology (resctrl).
        intel_rdt "intelRdt": optional IntelRdt<'a>;
        /// NUMA memory policy.
        memory_policy "memoryPolicy": optional MemoryPolicy<'a>;
        /// Kernel parameters, dots or slashes in their names.
        sysctl "sysctl": plain Map<'a, &'a CStr>;
        /// System call filter.
        seccomp "seccomp": optional Seccomp<'a>;
        /// Propagation of the root mount.
        rootfs_propagation "rootfsPropagation": optional RootfsPropagation;
        /// Paths that can't be read, absolute.
        masked_paths "maskedPaths": plain List<'a, &'a CStr> = Kind::List(&Kind::Text(rules::ABSOLUTE));
        /// Paths that can't be written, absolute.
        readonly_paths "readonlyPaths": plain List<'a, &'a CStr> = Kind::List(&Kind::Text(rules::ABSOLUTE));
        /// SELinux label of the mounts.
        mount_label "mountLabel": optional &'a CStr;
        /// Execution domain.
        personality "personality": optional Personality<'a>;
    }
}

object! {
    /// A namespace to make, or to join where it has a path.
    Namespace {
        /// The kind.
        kind "type": required NamespaceKind;
        /// A file such as /proc/PID/ns/net, absolute; empty is the same as absent.
        path "path": optional &'a CStr = Kind::Text(rules::ABSOLUTE_OR_EMPTY);
    }
}

object! {
    /// A device node.
    Device {
        /// `c` or `u` character, `b` block, `p` FIFO.
        kind "type": required &'a CStr = Kind::Text(rules::DEVICE_TYPE);
        /// Where, inside the container, absolute.
        path "path": required &'a CStr = Kind::Text(rules::ABSOLUTE);
        /// Permission bits; engines put the bits of the file's type on top.
        file_mode "fileMode": optional u32;
        /// Major number; there once validated, but for a FIFO.
        major "major": optional i64 = Kind::Number(&rules::MAJOR);
        /// Minor number; there once validated, but for a FIFO.
        minor "minor": optional i64 = Kind::Number(&rules::MINOR);
        /// Owner; absent is 0.
        uid "uid": optional u32;
        /// Group; absent is 0.
        gid "gid": optional u32;
    }
}

object! {
    /// A network device to move inside.
    NetDevice {
        /// Its name there; absent or empty is the same.
        name "name": optional &'a CStr = Kind::Text(rules::INTERFACE);
    }
}

object! {
    /// Clock offsets (time_namespaces(7)).
    TimeOffsets {
        /// Of CLOCK_MONOTONIC.
        monotonic "monotonic": optional TimeOffset<'a>;
        /// Of CLOCK_BOOTTIME.
        boottime "boottime": optional TimeOffset<'a>;
    }
}

object! {
    /// One clock's offset.
    TimeOffset {
        /// Seconds.
        secs "secs": optional i64;
        /// Nanoseconds, less than a second.
        nanosecs "nanosecs": optional u32 = Kind::Number(&rules::NANOSECONDS);
    }
}

object! {
    /// Intel Resource Director Technology (config-linux.md, "IntelRdt").
    IntelRdt {
        /// The class of service: a directory's name.
        clos_id "closID": optional &'a CStr = Kind::Text(rules::CLOS_ID);
        /// Lines for the schemata file (since 1.3.0).
        schemata "schemata": plain List<'a, &'a CStr> = Kind::List(&Kind::Text(rules::LINE));
        /// Cache lines for the schemata file.
        l3_cache_schema "l3CacheSchema": optional &'a CStr = Kind::Text(rules::LINE);
        /// The memory bandwidth line for the schemata file.
        mem_bw_schema "memBwSchema": optional &'a CStr = Kind::Text(rules::MEMORY_BANDWIDTH);
        /// Whether the container gets a monitoring group (since 1.3.0).
        enable_monitoring "enableMonitoring": plain bool;
        /// Cache monitoring, until 1.2.
        enable_cmt "enableCMT": plain bool;
        /// Bandwidth monitoring, until 1.2.
        enable_mbm "enableMBM": plain bool;
    }
}

object! {
    /// NUMA memory policy (set_mempolicy(2); since 1.3.0).
    MemoryPolicy {
        /// The mode.
        mode "mode": required MemoryPolicyMode;
        /// Nodes, such as `0-3,7`.
        nodes "nodes": optional &'a CStr = Kind::Text(rules::CPU_LIST);
        /// Flags.
        flags "flags": plain List<'a, MemoryPolicyFlag>;
    }
}

crate::words! {
    /// Mode of set_mempolicy(2).
    MemoryPolicyMode "MPOL_" {
        /// The system's.
        Default = "DEFAULT",
        /// Only the nodes.
        Bind = "BIND",
        /// The nodes in turn.
        Interleave = "INTERLEAVE",
        /// The nodes in turn, by weight.
        WeightedInterleave = "WEIGHTED_INTERLEAVE",
        /// One node first.
        Preferred = "PREFERRED",
        /// Several nodes first.
        PreferredMany = "PREFERRED_MANY",
        /// The node of the CPU.
        Local = "LOCAL",
    }
}

crate::words! {
    /// Flags of set_mempolicy(2).
    MemoryPolicyFlag "MPOL_F_" {
        /// Balancing between the nodes.
        NumaBalancing = "NUMA_BALANCING",
        /// Nodes count among those that are allowed.
        RelativeNodes = "RELATIVE_NODES",
        /// Nodes are physical ones.
        StaticNodes = "STATIC_NODES",
    }
}

object! {
    /// Execution domain (personality(2)).
    Personality {
        /// The domain.
        domain "domain": required PersonalityDomain;
        /// None is defined so far.
        flags "flags": plain List<'a, &'a CStr>;
    }
}

crate::words! {
    /// Domain of personality(2).
    PersonalityDomain {
        /// The kernel's own.
        Linux = "LINUX",
        /// uname(2) of a 32-bit machine.
        Linux32 = "LINUX32",
    }
}

crate::words! {
    /// Propagation of the root mount (mount_namespaces(7)); with the recursive words that engines write.
    RootfsPropagation {
        /// MS_PRIVATE.
        Private = "private",
        /// MS_PRIVATE and MS_REC.
        RecursivePrivate = "rprivate",
        /// MS_SHARED.
        Shared = "shared",
        /// MS_SHARED and MS_REC.
        RecursiveShared = "rshared",
        /// MS_SLAVE.
        Slave = "slave",
        /// MS_SLAVE and MS_REC.
        RecursiveSlave = "rslave",
        /// MS_UNBINDABLE.
        Unbindable = "unbindable",
        /// MS_UNBINDABLE and MS_REC.
        RecursiveUnbindable = "runbindable",
    }
}

word_values!(NamespaceKind, MemoryPolicyMode, MemoryPolicyFlag, PersonalityDomain, RootfsPropagation);
