//! Bundles to measure: real configs, made to run `/bin/true` of a static busybox.
//!
//! Only what would stop the config from running on this machine is changed: the program, the terminal, the root, the
//! sources of binds, and the cgroup's name. All runtimes get the same files.

use crate::Paths;
use crate::sandbox::Sandbox;
use crate::subject::in_path;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Which config a runtime is given.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Config {
    /// What `runc spec` writes
    Plain,
    /// What Docker writes, seccomp taken out
    Docker,
    /// What Docker writes
    DockerSeccomp,
}

impl Config {
    pub fn name(self) -> &'static str {
        match self {
            Config::Plain => "plain",
            Config::Docker => "docker",
            Config::DockerSeccomp => "docker+seccomp",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Config::Plain => "runc-spec.json",
            Config::Docker | Config::DockerSeccomp => "docker.json",
        }
    }
}

/// Makes the root that all bundles share, and returns its path.
pub fn rootfs(paths: &Paths, sandbox: &Sandbox) -> Result<PathBuf> {
    let root = sandbox.folder().join("rootfs");
    for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(root.join(name)).context("make the rootfs")?;
    }
    let busybox =
        in_path(&paths.busybox).context("no busybox (Debian's busybox-static, or --busybox PATH)")?;
    fs::copy(&busybox, root.join("bin/busybox")).with_context(|| format!("copy {}", busybox.display()))?;
    for applet in ["sh", "sleep", "true"] {
        symlink("busybox", root.join("bin").join(applet)).context("link the applets")?;
    }
    Ok(root)
}

/// Makes the bundle of a config, and returns its path.
pub fn make(config: Config, paths: &Paths, sandbox: &Sandbox, rootfs: &Path) -> Result<PathBuf> {
    let source = paths.configs.join(config.file());
    let text = fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
    let mut spec: Value =
        serde_json::from_str(&text).with_context(|| format!("parse {}", source.display()))?;
    spec["process"]["args"] = json!(["/bin/true"]);
    spec["process"]["terminal"] = json!(false);
    spec["root"]["path"] = json!(rootfs);
    let bundle = sandbox.folder().join(config.name());
    fs::create_dir(&bundle).context("make a bundle")?;
    replace_bind_sources(&mut spec, &bundle, rootfs)?;
    if let Some(linux) = spec["linux"].as_object_mut() {
        if linux.contains_key("cgroupsPath") {
            linux.insert("cgroupsPath".into(), json!(format!("/{}", sandbox.cgroup_name(config.name()))));
        }
        if config == Config::Docker {
            linux.remove("seccomp");
        }
        // Docker writes it empty; crun asks for the io controller then, which a private cgroup2 view lacks.
        if let Some(resources) = linux.get_mut("resources").and_then(Value::as_object_mut) {
            resources.remove("blockIO");
        }
    }
    fs::write(bundle.join("config.json"), serde_json::to_vec(&spec)?).context("write config.json")?;
    Ok(bundle)
}

/// Each bind of a file gets a file in the bundle; its target is made beforehand, as an engine's image has it.
fn replace_bind_sources(spec: &mut Value, bundle: &Path, rootfs: &Path) -> Result<()> {
    let mounts = spec["mounts"].as_array_mut().context("the config has no mounts")?;
    for mount in mounts.iter_mut().filter(|mount| mount["type"] == "bind") {
        let destination = mount["destination"].as_str().context("a mount has no destination")?;
        let target = rootfs.join(destination.trim_start_matches('/'));
        let source = bundle.join(destination.trim_matches('/').replace('/', "-"));
        fs::write(&target, "").with_context(|| format!("make {}", target.display()))?;
        fs::write(&source, "bench\n").with_context(|| format!("make {}", source.display()))?;
        mount["source"] = json!(source);
    }
    Ok(())
}
