//! Readers for what the kernel prints: mountinfo, status, cgroup.

use std::collections::BTreeMap;

/// A line of /proc/PID/mountinfo.
#[derive(Debug, Clone)]
pub struct Mount {
    pub id: u32,
    pub parent: u32,
    pub device: String,
    pub root: String,
    pub target: String,
    pub options: Vec<String>,
    pub propagation: Vec<String>,
    pub kind: String,
    pub source: String,
    pub super_options: Vec<String>,
}

impl Mount {
    /// True if the per-mount option is set.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }

    /// True if the option of the file system is set.
    pub fn super_has(&self, option: &str) -> bool {
        self.super_options.iter().any(|known| known == option)
    }

    /// True if a propagation tag starts so (`shared:`, `master:`, `unbindable`).
    pub fn propagates(&self, tag: &str) -> bool {
        self.propagation.iter().any(|known| known.starts_with(tag))
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

/// All mounts of a mountinfo text, in its order.
pub fn mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .map(|line| {
            let (left, right) = line.split_once(" - ").unwrap_or_else(|| panic!("not mountinfo: {line:?}"));
            let mut left = left.split(' ');
            let mut right = right.split(' ');
            let mut word = || left.next().unwrap_or_default().to_owned();
            let (id, parent, device, root, target, options) =
                (word(), word(), word(), word(), word(), word());
            Mount {
                id: id.parse().unwrap_or_default(),
                parent: parent.parse().unwrap_or_default(),
                device,
                root,
                target: target.replace("\\040", " "),
                options: list(&options),
                propagation: left.map(str::to_owned).collect(),
                kind: right.next().unwrap_or_default().to_owned(),
                source: right.next().unwrap_or_default().to_owned(),
                super_options: list(right.next().unwrap_or_default()),
            }
        })
        .collect()
}

/// The mount on top at `target`.
pub fn mount_at<'a>(mounts: &'a [Mount], target: &str) -> &'a Mount {
    let seen = || mounts.iter().map(|mount| mount.target.as_str()).collect::<Vec<_>>().join(" ");
    mounts
        .iter()
        .rev()
        .find(|mount| mount.target == target)
        .unwrap_or_else(|| panic!("no mount at {target}: {}", seen()))
}

/// /proc/PID/status as a map.
pub fn status(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// A hexadecimal mask of a status line.
pub fn mask(status: &BTreeMap<String, String>, name: &str) -> u64 {
    let text = status.get(name).unwrap_or_else(|| panic!("no {name} in {status:?}"));
    u64::from_str_radix(text, 16).unwrap_or_else(|_| panic!("{name} is {text:?}"))
}

/// /proc/PID/cgroup: controller list (empty for v2) to path.
pub fn cgroups(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            Some((controllers.to_owned(), path.to_owned()))
        })
        .collect()
}

/// The capability numbers of the names in a config.
pub fn capability_mask(names: &[&str]) -> u64 {
    names.iter().fold(0, |mask, name| mask | 1 << capability(name))
}

/// The number of a capability.
pub fn capability(name: &str) -> u32 {
    const NAMES: [&str; 41] = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ];
    let short = name.trim_start_matches("CAP_");
    NAMES.iter().position(|known| *known == short).unwrap_or_else(|| panic!("no capability {name}")) as u32
}
