//! The one table: each runtime with each config, next to the floor.
//!
//! Ratios are made round by round (a run's time by that of the floor's run in the same round) and the median is shown:
//! on a busy machine the milliseconds of two calls can't be compared, the ratios can.

use crate::Paths;
use crate::bundle::Config;
use crate::counts::{Counts, counts};
use crate::sandbox::{Sandbox, View};
use crate::subject::{Subject, all};
use crate::text::Grid;
use crate::timing::{Sample, interleave, median, quantile};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args)]
pub struct Options {
    /// Rounds; each runs every row once
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Configs to measure, with commas between
    #[arg(long, value_enum, value_delimiter = ',', default_value = "plain,docker,docker-seccomp")]
    config: Vec<Config>,
    /// Which cgroups the runtimes see
    #[arg(long, value_enum, default_value = "v2")]
    cgroup: View,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
    /// Write the figures there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const HEAD: [&str; 12] = [
    "config",
    "runtime",
    "wall ms",
    "x floor",
    "user ms",
    "system ms",
    "syscalls",
    "own",
    "faults",
    "memory KB",
    "binary KB",
    "with libs",
];

/// One row that could be measured.
struct Row {
    name: &'static str,
    config: &'static str,
    version: String,
    wall: Spread,
    ratio: Spread,
    user: f64,
    system: f64,
    failures: usize,
    counts: Counts,
    binary: u64,
    libraries: u64,
}

/// Median and quartiles.
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Spread {
        let at = |share| quantile(values.iter().copied(), share).unwrap_or(f64::NAN);
        Spread { median: at(0.5), low: at(0.25), high: at(0.75) }
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "quartiles": [self.low, self.high] })
    }
}

pub fn run(paths: &Paths, options: &Options) -> Result<()> {
    let sandbox = Sandbox::enter(options.cgroup)?;
    let mut failed = Vec::new();
    let mut subjects = Vec::new();
    for subject in all(paths, &options.config, &sandbox)? {
        match subject.try_once(&sandbox) {
            Ok(()) => subjects.push(subject),
            Err(reason) => failed.push((subject.config, subject.name, reason)),
        }
    }
    let samples = interleave(&subjects, options.runs as usize, &sandbox)?;
    let floor: Vec<f64> = match subjects.iter().position(|subject| subject.name == "floor") {
        Some(index) => samples.get(index).into_iter().flatten().map(|sample| millis(sample.wall)).collect(),
        None => Vec::new(),
    };
    let mut rows = Vec::new();
    for (subject, samples) in subjects.iter().zip(&samples) {
        rows.push(row(subject, samples, &floor, &sandbox)?);
    }
    print!("{}", describe(options));
    println!("{}", grid(&rows, &failed).render(options.markdown));
    print!("{}", notes(&rows, &failed));
    if let Some(file) = &options.json {
        write_json(file, options, &rows, &failed)?;
    }
    Ok(())
}

fn row(subject: &Subject, samples: &[Sample], floor: &[f64], sandbox: &Sandbox) -> Result<Row> {
    let wall: Vec<f64> = samples.iter().map(|sample| millis(sample.wall)).collect();
    let ratio: Vec<f64> = wall.iter().zip(floor).map(|(wall, floor)| wall / floor).collect();
    // The kernel splits user from system time by its ticks, so single runs are all one or all the other: the mean of
    // the undisturbed half of the runs tells.
    let middle = median(samples.iter().map(|sample| sample.wall)).unwrap_or_default();
    let calm: Vec<&Sample> = samples.iter().filter(|sample| sample.wall <= middle).collect();
    let mean = |key: fn(&Sample) -> Duration| {
        calm.iter().map(|sample| millis(key(sample))).sum::<f64>() / calm.len().max(1) as f64
    };
    let mut counts = counts(subject, sandbox)?;
    counts.minor_faults = median(samples.iter().map(|sample| sample.minor_faults)).unwrap_or(0);
    Ok(Row {
        name: subject.name,
        config: subject.config,
        version: version(subject),
        wall: Spread::of(&wall),
        ratio: Spread::of(&ratio),
        user: mean(|sample| sample.user),
        system: mean(|sample| sample.system),
        failures: samples.iter().filter(|sample| !sample.succeeded).count(),
        binary: file_size(&subject.program)?,
        libraries: counts.libraries.iter().map(|path| file_size(path)).sum::<Result<u64>>()?,
        counts,
    })
}

fn grid(rows: &[Row], failed: &[(&str, &str, String)]) -> Grid {
    let mut grid = Grid::new(2, &HEAD);
    for row in rows {
        let counts = &row.counts;
        grid.push(vec![
            row.config.into(),
            row.name.into(),
            format!("{:.2}", row.wall.median),
            format!("{:.2}", row.ratio.median),
            format!("{:.2}", row.user),
            format!("{:.2}", row.system),
            counts.calls.to_string(),
            counts.calls.saturating_sub(counts.payload_calls).to_string(),
            counts.minor_faults.to_string(),
            (counts.parent.resident + counts.child.resident).to_string(),
            row.binary.div_ceil(1024).to_string(),
            (row.binary + row.libraries).div_ceil(1024).to_string(),
        ]);
    }
    for (config, name, _) in failed {
        let mut cells = vec![(*config).to_owned(), (*name).to_owned()];
        cells.resize(HEAD.len(), "-".into());
        grid.push(cells);
    }
    grid
}

fn describe(options: &Options) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "`run` of /bin/true: Linux {}, {cpus} CPUs, cgroup {}, medians of {} interleaved rounds.\n\n",
        kernel.trim(),
        options.cgroup.name(),
        options.runs
    )
}

fn notes(rows: &[Row], failed: &[(&str, &str, String)]) -> String {
    let mut text = String::from(
        "own: without the payload's calls, its execve among them. faults: ru_minflt of all processes, payload included. \
         memory: Rss of parent\nand child, each at its last point before exit and exec. with libs: and the shared \
         libraries that it maps.\n",
    );
    let mut versions: Vec<&str> = Vec::new();
    for row in rows.iter().filter(|row| !row.version.is_empty()) {
        if !versions.contains(&row.version.as_str()) {
            versions.push(&row.version);
        }
    }
    if !versions.is_empty() {
        text.push_str(&format!("Measured: {}.\n", versions.join(", ")));
    }
    for row in rows.iter().filter(|row| row.failures > 0) {
        text.push_str(&format!("{} {}: {} runs FAILED\n", row.config, row.name, row.failures));
    }
    for (config, name, reason) in failed {
        text.push_str(&format!("{config} {name}: does not run here: {reason}\n"));
    }
    text
}

fn write_json(file: &Path, options: &Options, rows: &[Row], failed: &[(&str, &str, String)]) -> Result<()> {
    let row = |row: &Row| {
        let mut value = json!({
            "config": row.config,
            "runtime": row.name,
            "version": row.version,
            "wall_ms": row.wall.json(),
            "ratio": row.ratio.json(),
            "user_ms": row.user,
            "system_ms": row.system,
            "failed_runs": row.failures,
            "binary_bytes": row.binary,
            "library_bytes": row.libraries,
        });
        if let (Value::Object(all), Value::Object(counts)) = (&mut value, row.counts.json()) {
            all.extend(counts);
        }
        value
    };
    let reason = |(config, name, reason): &(&str, &str, String)| json!({ "config": config, "runtime": name, "reason": reason });
    let all = json!({
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        "cgroup": options.cgroup.name(),
        "rounds": options.runs,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "failed": failed.iter().map(reason).collect::<Vec<_>>(),
    });
    fs::write(file, format!("{all:#}\n")).with_context(|| format!("write {}", file.display()))
}

fn version(subject: &Subject) -> String {
    if subject.name == "floor" {
        return String::new();
    }
    let output = std::process::Command::new(&subject.program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or(subject.name).replace(" version", "")
}

fn file_size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("look at {}", path.display()))?.len())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
