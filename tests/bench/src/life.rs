//! create, start and delete of one container, as an engine calls them one after the other.

use crate::Paths;
use crate::bundle::{self, Config};
use crate::sandbox::{Sandbox, View};
use crate::subject::in_path;
use crate::timing::median;
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct Options {
    /// Rounds, in each of which every runtime has its turn
    #[arg(long, value_name = "N", default_value_t = 60)]
    runs: usize,
    /// Which cgroups the runtimes see
    #[arg(long, value_enum, default_value_t = View::V2)]
    cgroup: View,
}

/// A runtime and what each of its rounds took, in milliseconds.
struct Row {
    name: &'static str,
    program: PathBuf,
    times: Vec<f64>,
}

/// Prints the medians and the least of the wall times, waiting for the process's end left out.
///
/// # Errors
/// A command that fails, without which there is nothing to compare.
pub fn run(paths: &Paths, options: &Options) -> Result<()> {
    let sandbox = Sandbox::enter(options.cgroup)?;
    let rootfs = bundle::rootfs(paths, &sandbox)?;
    let bundle = bundle::make(Config::Plain, paths, &sandbox, &rootfs)?;
    older(&bundle.join("config.json"))?;
    let mut rows: Vec<Row> = [("hull", &paths.hull), ("crun", &paths.crun), ("runc", &paths.runc)]
        .into_iter()
        .filter_map(|(name, path)| Some(Row { name, program: in_path(path)?, times: Vec::new() }))
        .collect();
    // the first round warms caches up, and shows who can't run here
    rows.retain(|row| match round_of(row, &bundle, &sandbox) {
        Ok(_) => true,
        Err(error) => {
            println!("{} does not run here: {error:#}", row.name);
            false
        }
    });
    for round in 0..options.runs {
        for row in &mut rows {
            sandbox.check_interrupt()?;
            let took =
                round_of(row, &bundle, &sandbox).with_context(|| format!("{} in round {round}", row.name))?;
            row.times.push(took.as_secs_f64() * 1000.0);
        }
    }
    println!(
        "create + start + delete of /bin/true: cgroup {}, {} interleaved rounds, wall time in ms",
        options.cgroup.name(),
        options.runs
    );
    let crun = rows.iter().find(|row| row.name == "crun").and_then(|row| median(row.times.iter().copied()));
    for row in &rows {
        let middle = median(row.times.iter().copied()).unwrap_or(f64::NAN);
        let least = row.times.iter().copied().fold(f64::INFINITY, f64::min);
        let beside = crun.map_or(String::new(), |crun| format!(", {:.2} times crun's", middle / crun));
        println!("{:5} median {middle:6.2}, least {least:6.2}{beside}", row.name);
    }
    println!("The config says ociVersion 1.0.2: crun 1.8 takes no newer one.");
    Ok(())
}

/// The same bundle in words that every version of every runtime takes.
fn older(config: &Path) -> Result<()> {
    let mut value: Value = serde_json::from_str(&fs::read_to_string(config)?)?;
    if let Some(version) = value.get_mut("ociVersion") {
        *version = json!("1.0.2");
    }
    fs::write(config, value.to_string()).context("write config.json")
}

/// The three commands; what they take together.
fn round_of(row: &Row, bundle: &Path, sandbox: &Sandbox) -> Result<Duration> {
    let id = sandbox.fresh_id();
    let state = sandbox.state().join(row.name);
    let errors = sandbox.folder().join("errors");
    let call = |words: &[&str]| -> Result<Duration> {
        let mut command = Command::new(&row.program);
        command.arg("--root").arg(&state).args(words);
        // the container keeps what it is given: a pipe would be read for ever
        let said = File::create(&errors).context("make a file for errors")?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let from = Instant::now();
        let status = command.status().with_context(|| format!("{words:?}"))?;
        let took = from.elapsed();
        if status.success() {
            return Ok(took);
        }
        let text = fs::read_to_string(&errors).unwrap_or_default();
        bail!("{}: {}", words.first().unwrap_or(&""), text.lines().last().unwrap_or("it says nothing"))
    };
    let bundle = bundle.to_string_lossy().into_owned();
    let created = call(&["create", "--bundle", &bundle, &id])?;
    let started = call(&["start", &id])?;
    // nothing is measured of the payload, and a container that runs can't be deleted
    let begun = Instant::now();
    loop {
        match call(&["delete", &id]) {
            Ok(deleted) => return Ok(created + started + deleted),
            Err(error) if begun.elapsed() > Duration::from_secs(10) => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}
