//! From an image's config to a bundle's config.json (OCI image-spec, conversion.md), with what the recipe changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use oci_spec::image::{Config, ImageConfiguration};
use serde_json::{Map, Value, json};

use crate::tree::{Entry, Kind, Tree};
use crate::users;

/// What the recipe says about a bundle's process. Where it says nothing, the image's config counts.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Replaces entrypoint and command.
    pub args: Option<Vec<String>>,
    /// Replaces the command alone.
    pub cmd: Option<Vec<String>>,
    /// Set over those of the image.
    pub env: BTreeMap<String, String>,
    pub user: Option<String>,
    pub cwd: Option<String>,
    pub hostname: String,
    pub terminal: bool,
    pub readonly: bool,
    /// A network namespace of its own, without any interface but loopback; else the machine's.
    pub own_network: bool,
    /// With the `CAP_`; none: those that engines give.
    pub capabilities: Option<Vec<String>>,
    pub new_privileges: bool,
    /// By destination; those that the image declares are tmpfs unless they are here.
    pub volumes: BTreeMap<String, Volume>,
    pub annotations: BTreeMap<String, String>,
    /// Merged into the result (RFC 7396).
    pub spec: Option<Value>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// In memory, with what the image has at that place.
    Tmpfs,
    /// A directory of the machine.
    Bind(String),
}

/// A config.json, and what was left out of it that the image asked for.
#[derive(Debug)]
pub struct Converted {
    pub config: Value,
    pub warnings: Vec<String>,
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What Docker and Podman leave to root in a container, so that images made for them work.
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SYS_CHROOT",
    "CAP_MKNOD",
    "CAP_AUDIT_WRITE",
    "CAP_SETFCAP",
];

/// The config.json of a bundle with the root filesystem `tree`. `image` is `None` for an archive or a directory without
/// a config.
pub fn convert(image: Option<&ImageConfiguration>, settings: &Settings, tree: &Tree) -> Result<Converted> {
    let default = Config::default();
    let config = image.and_then(|image| image.config().as_ref()).unwrap_or(&default);
    let mut warnings = Vec::new();
    let capabilities: Vec<String> = match &settings.capabilities {
        Some(list) => list.clone(),
        None => CAPABILITIES.map(str::to_owned).into(),
    };
    let user = settings.user.as_ref().or(config.user().as_ref()).map_or("", String::as_str);
    let user = users::resolve(user, tree)?;
    let mut process_user = json!({ "uid": user.uid, "gid": user.gid });
    if !user.additional_gids.is_empty() {
        process_user["additionalGids"] = user.additional_gids.into();
    }
    let mut mounts = mounts();
    mounts.extend(volumes(config, settings, tree)?);
    let annotations = annotations(image, config, settings, &mut warnings);
    let mut namespaces: Vec<Value> =
        ["pid", "ipc", "uts", "mount", "cgroup"].iter().map(|kind| json!({ "type": kind })).collect();
    if settings.own_network {
        namespaces.push(json!({ "type": "network" }));
    }
    let mut result = json!({
        "ociVersion": "1.3.0",
        "process": {
            "terminal": settings.terminal,
            "user": process_user,
            "args": args(config, settings)?,
            "env": env(config, settings)?,
            "cwd": cwd(config, settings)?,
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": !settings.new_privileges,
        },
        "root": { "path": "rootfs", "readonly": settings.readonly },
        "hostname": settings.hostname,
        "mounts": mounts,
        "annotations": annotations,
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": namespaces,
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
                "/sys/devices/virtual/powercap", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    });
    if let Some(patch) = &settings.spec {
        merge(&mut result, patch);
    }
    Ok(Converted { config: result, warnings })
}

fn args(config: &Config, settings: &Settings) -> Result<Vec<String>> {
    if let Some(args) = &settings.args {
        return Ok(args.clone());
    }
    let entrypoint = config.entrypoint().clone().unwrap_or_default();
    let cmd = settings.cmd.as_ref().or(config.cmd().as_ref()).cloned().unwrap_or_default();
    let args = [entrypoint, cmd].concat();
    ensure!(!args.is_empty(), "the image names no program: say which one, as in args = [\"/bin/program\"]");
    Ok(args)
}

/// The image's variables as they are, those of the recipe in their place or behind them.
fn env(config: &Config, settings: &Settings) -> Result<Vec<String>> {
    let mut list: Vec<String> = config.env().clone().unwrap_or_default();
    let name = |entry: &str| entry.split_once('=').map(|(name, _)| name.to_owned());
    for entry in &list {
        let valid = name(entry).is_some_and(|name| !name.is_empty()) && !entry.contains('\0');
        ensure!(valid, "the image's environment has \"{}\", which is no NAME=VALUE", entry.escape_debug());
    }
    let mut set = |wanted: &str, value: &str| {
        let entry = format!("{wanted}={value}");
        match list.iter_mut().find(|entry| name(entry).as_deref() == Some(wanted)) {
            Some(place) => *place = entry,
            None => list.push(entry),
        }
    };
    for (wanted, value) in &settings.env {
        set(wanted, value);
    }
    for (wanted, value) in [("PATH", PATH), ("TERM", "linux")] {
        let there = list.iter().any(|entry| name(entry).as_deref() == Some(wanted));
        if !there && (wanted == "PATH" || settings.terminal) {
            list.push(format!("{wanted}={value}"));
        }
    }
    Ok(list)
}

fn cwd(config: &Config, settings: &Settings) -> Result<String> {
    let cwd = settings.cwd.as_ref().or(config.working_dir().as_ref()).map_or("", String::as_str);
    if cwd.is_empty() {
        return Ok("/".to_owned());
    }
    ensure!(
        cwd.starts_with('/'),
        "the image's working directory \"{}\" is not an absolute path: set one, as in cwd = \"/\"",
        cwd.escape_debug()
    );
    Ok(cwd.to_owned())
}

fn mounts() -> Vec<Value> {
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": source, "options": options });
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
}

/// The image's volumes and the recipe's, parents first.
fn volumes(config: &Config, settings: &Settings, tree: &Tree) -> Result<Vec<Value>> {
    let mut all: BTreeMap<String, Volume> = BTreeMap::new();
    for destination in config.volumes().iter().flatten() {
        all.insert(destination.clone(), Volume::Tmpfs);
    }
    let clean = |path: &str| format!("/{}", path.trim_matches('/'));
    for (destination, volume) in &settings.volumes {
        // The image may have written the same place in another way.
        all.retain(|there, _| clean(there) != clean(destination));
        all.insert(destination.clone(), volume.clone());
    }
    let mut mounts = Vec::new();
    for (destination, volume) in all {
        let shown = destination.escape_debug();
        let within = |top: &str| {
            clean(&destination).strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let plain = !destination.split('/').any(|part| part == ".." || part == ".");
        ensure!(destination.starts_with('/') && plain, "the volume \"{shown}\" is not an absolute path");
        // Where the container's own kernel file systems are: covered, they would not protect any more.
        let taken = clean(&destination) == "/" || ["/proc", "/sys", "/dev"].iter().any(|top| within(top));
        ensure!(!taken, "a volume can't be at \"{shown}\"");
        mounts.push(match volume {
            Volume::Tmpfs => {
                let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), "tmpcopyup".to_owned()];
                let there = tree.lookup(destination.as_bytes()).filter(|entry| entry.is_directory());
                let (mode, uid, gid) = there.map_or((0o755, 0, 0), |there| (there.mode, there.uid, there.gid));
                options.push(format!("mode={mode:o}"));
                options.extend((uid != 0).then(|| format!("uid={uid}")));
                options.extend((gid != 0).then(|| format!("gid={gid}")));
                json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options })
            }
            Volume::Bind(source) => {
                json!({ "destination": destination, "type": "bind", "source": source, "options": ["rbind", "nosuid", "nodev"] })
            }
        });
    }
    Ok(mounts)
}

/// The implicit annotations, the labels over them, the recipe's over both.
fn annotations(
    image: Option<&ImageConfiguration>,
    config: &Config,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if let Some(image) = image {
        let os_features = image.os_features().as_ref().map(|features| features.join(","));
        let ports = config.exposed_ports().as_ref().map(|ports| {
            let mut ports = ports.clone();
            ports.sort();
            ports.join(",")
        });
        for (name, value) in [
            ("os", Some(image.os().to_string())),
            ("architecture", Some(image.architecture().to_string())),
            ("variant", image.variant().clone()),
            ("os.version", image.os_version().clone()),
            ("os.features", os_features),
            ("author", image.author().clone()),
            ("created", image.created().clone()),
            ("stopSignal", config.stop_signal().clone()),
            ("exposedPorts", ports),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                all.insert(format!("org.opencontainers.image.{name}"), value);
            }
        }
    }
    let labels: BTreeMap<_, _> = config.labels().iter().flatten().collect();
    for (key, value) in labels {
        // These steer the machine's init (restart, stage, ...): for the maker of the machine to say.
        if key.starts_with("hull.") && !settings.annotations.contains_key(key) {
            let shown = key.escape_debug();
            warnings.push(format!(
                "left out the image's label {shown} (to have it: `annotations` in the bundle)"
            ));
        } else if !key.is_empty() {
            all.insert(key.clone(), value.clone());
        }
    }
    all.extend(settings.annotations.clone());
    all
}

/// JSON merge patch (RFC 7396): null removes.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in patch {
        if value.is_null() {
            if let Some(object) = target.as_object_mut() {
                object.remove(key);
            }
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}

/// Makes the directories of `tree` that `config` mounts onto or starts in, where they are missing: a read-only root has
/// no room for them later. What is bound may be a file, except the recipe's `volumes`, so for others nothing is made.
pub fn make_targets(config: &Value, volumes: &BTreeMap<String, Volume>, tree: &mut Tree) -> Result<()> {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut covered: Vec<String> = Vec::new();
    let mut wanted: Vec<String> = Vec::new();
    let is_covered = |covered: &[String], path: &str| {
        covered.iter().any(|top| path.strip_prefix(top.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    for mount in config.get("mounts").and_then(Value::as_array).into_iter().flatten() {
        let destination = text(mount, "destination");
        let is_directory = text(mount, "type") != "bind" || volumes.contains_key(&destination);
        if is_directory && !is_covered(&covered, &destination) {
            wanted.push(destination.clone());
        }
        covered.push(destination);
    }
    let cwd = config.pointer("/process/cwd").and_then(Value::as_str).unwrap_or_default();
    if !is_covered(&covered, cwd) {
        wanted.push(cwd.to_owned());
    }
    for path in wanted.iter().filter(|path| path.starts_with('/')) {
        let context = || format!("make the directory {path} of the root filesystem");
        let at = tree.resolve(path.as_bytes(), true).with_context(context)?;
        if tree.get(&at).is_none() {
            let made = Arc::new(Entry::new(Kind::Directory, 0o755));
            tree.replace(&at, made).with_context(context)?;
        }
    }
    Ok(())
}

/// A config.json that was written by hand: only what would not work at all is an error here.
pub fn check(config: &Value) -> Result<()> {
    let root = config.pointer("/root/path").and_then(Value::as_str);
    match root {
        Some("rootfs" | "./rootfs" | "rootfs/") => Ok(()),
        Some(other) => bail!("root.path is \"{}\", but the image has it in \"rootfs\"", other.escape_debug()),
        None => bail!("no root.path (it has to be \"rootfs\")"),
    }
}
