//! Namespaces: one table of the words of runtime-spec (config-linux.md, "Namespaces"), the CLONE_NEW* bits (clone(2)) and
//! the files in /proc/PID/ns (namespaces(7)).

use core::ffi::CStr;
use linux_raw_sys::general as n;

crate::words! {
    /// A kind of namespace.
    NamespaceKind {
        /// Process ids.
        Pid = "pid",
        /// Network devices, addresses, ports.
        Network = "network",
        /// Mounts.
        Mount = "mount",
        /// System V IPC and POSIX message queues.
        Ipc = "ipc",
        /// Host and domain name.
        Uts = "uts",
        /// User and group ids, capabilities.
        User = "user",
        /// The root of the cgroup tree.
        Cgroup = "cgroup",
        /// Offsets of the monotonic and boot-time clocks.
        Time = "time",
    }
}

impl NamespaceKind {
    /// The bit of clone3(2), unshare(2) and setns(2).
    pub fn clone_flag(self) -> u64 {
        u64::from(match self {
            NamespaceKind::Pid => n::CLONE_NEWPID,
            NamespaceKind::Network => n::CLONE_NEWNET,
            NamespaceKind::Mount => n::CLONE_NEWNS,
            NamespaceKind::Ipc => n::CLONE_NEWIPC,
            NamespaceKind::Uts => n::CLONE_NEWUTS,
            NamespaceKind::User => n::CLONE_NEWUSER,
            NamespaceKind::Cgroup => n::CLONE_NEWCGROUP,
            NamespaceKind::Time => n::CLONE_NEWTIME,
        })
    }

    /// The file in /proc/PID/ns.
    pub fn file(self) -> &'static CStr {
        match self {
            NamespaceKind::Pid => c"pid",
            NamespaceKind::Network => c"net",
            NamespaceKind::Mount => c"mnt",
            NamespaceKind::Ipc => c"ipc",
            NamespaceKind::Uts => c"uts",
            NamespaceKind::User => c"user",
            NamespaceKind::Cgroup => c"cgroup",
            NamespaceKind::Time => c"time",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_bit_and_a_file_of_its_own() {
        let bits = NamespaceKind::ALL.iter().fold(0, |all, kind| all | kind.clone_flag());
        assert_eq!(bits.count_ones() as usize, NamespaceKind::ALL.len());
        assert_eq!(NamespaceKind::Mount.clone_flag(), 0x0002_0000);
        for kind in NamespaceKind::ALL {
            let file = std::path::Path::new("/proc/self/ns").join(kind.file().to_str().expect("UTF-8"));
            assert!(file.symlink_metadata().is_ok() || *kind == NamespaceKind::Time, "{file:?}");
            assert!(NamespaceKind::ALL.iter().all(|k| k == kind || k.file() != kind.file()));
        }
    }
}
