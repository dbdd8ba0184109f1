//! Counts of one runtime: system calls, page faults, memory. Budget tests read its JSON.

use crate::Paths;
use crate::bundle::{self, Config};
use crate::sandbox::{Sandbox, View};
use crate::subject::{Subject, in_path};
use crate::timing;
use crate::tracer::{self, Memory};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Options {
    /// The runtime [default: hull's release binary]
    #[arg(long, value_name = "PATH")]
    runtime: Option<PathBuf>,
    /// A bundle that ends by itself [default: one is made of the plain config]
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Which cgroups it sees
    #[arg(long, value_enum, default_value = "v2")]
    cgroup: View,
}

/// Medians of a few runs each; memory in KiB.
pub struct Counts {
    pub calls: u64,
    pub payload_calls: u64,
    pub minor_faults: i64,
    pub parent: Memory,
    pub child: Memory,
    pub libraries: BTreeSet<PathBuf>,
}

impl Counts {
    pub fn json(&self) -> Value {
        json!({
            "syscalls": self.calls,
            "payload_syscalls": self.payload_calls,
            "minflt": self.minor_faults,
            "rss_parent_kb": self.parent.resident,
            "rss_child_kb": self.child.resident,
            "anonymous_parent_kb": self.parent.anonymous,
            "anonymous_child_kb": self.child.anonymous,
        })
    }
}

pub fn run(paths: &Paths, options: &Options) -> Result<()> {
    let runtime = options.runtime.as_deref().unwrap_or(&paths.hull);
    let program = in_path(runtime).with_context(|| format!("{}: no such program", runtime.display()))?;
    // Both before the mount namespace changes what a relative path means to a child.
    let bundle = options.bundle.as_deref().map(Path::canonicalize).transpose().context("the bundle")?;
    let sandbox = Sandbox::enter(options.cgroup)?;
    let bundle = match bundle {
        Some(bundle) => bundle,
        None => bundle::make(Config::Plain, paths, &sandbox, &bundle::rootfs(paths, &sandbox)?)?,
    };
    let subject = Subject::runtime("runtime", "", program, bundle, &sandbox);
    if let Err(reason) = subject.try_once(&sandbox) {
        bail!("{}: {reason}", subject.program.display());
    }
    println!("{}", counts(&subject, &sandbox)?.json());
    Ok(())
}

/// Counts a subject that is known to work.
pub fn counts(subject: &Subject, sandbox: &Sandbox) -> Result<Counts> {
    const RUNS: usize = 5;
    let mut traced = Vec::new();
    let mut faults = Vec::new();
    for _ in 0..RUNS {
        sandbox.check_interrupt()?;
        let run = tracer::run(subject.command(sandbox))?;
        if run.exit_code != 0 {
            bail!("{} under ptrace: exit code {}", subject.program.display(), run.exit_code);
        }
        traced.push(run);
        faults.push(timing::once(&mut subject.command(sandbox))?.minor_faults);
    }
    let median = |key: fn(&tracer::Traced) -> u64| timing::median(traced.iter().map(key)).unwrap_or(0);
    Ok(Counts {
        calls: median(|run| run.calls),
        payload_calls: median(|run| run.payload_calls),
        minor_faults: timing::median(faults).unwrap_or(0),
        parent: Memory {
            resident: median(|run| run.parent.resident),
            anonymous: median(|run| run.parent.anonymous),
        },
        child: Memory {
            resident: median(|run| run.child.resident),
            anonymous: median(|run| run.child.anonymous),
        },
        libraries: traced.into_iter().flat_map(|run| run.libraries).collect(),
    })
}
