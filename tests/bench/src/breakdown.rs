//! Where hull's time and calls go beyond the floor's: the two traced by the kernel, call by call, and subtracted.

use crate::Paths;
use crate::bundle::Config;
use crate::ftrace::{OWN_CODE, Place, Record, Recorder, Step};
use crate::sandbox::{Sandbox, View};
use crate::subject::{Subject, all};
use crate::text::Grid;
use crate::timing::median;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::collections::BTreeSet;

#[derive(Args)]
pub struct Options {
    /// Runs of each
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The runtime to look at
    #[arg(long, value_name = "NAME", default_value = "hull", value_parser = ["hull", "crun", "runc"])]
    runtime: String,
    /// Its config
    #[arg(long, value_enum, default_value = "plain")]
    config: Config,
    /// Which cgroups it sees
    #[arg(long, value_enum, default_value = "v2")]
    cgroup: View,
    /// Print the runtime's steps one after the other, instead of sums
    #[arg(long)]
    steps: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

pub fn run(paths: &Paths, options: &Options) -> Result<()> {
    let sandbox = Sandbox::enter(options.cgroup)?;
    let subjects = all(paths, &[options.config], &sandbox)?;
    let find = |name: &str| subjects.iter().find(|subject| subject.name == name);
    let floor = find("floor").context("no floor program")?;
    let runtime = find(&options.runtime).with_context(|| format!("{} is not there", options.runtime))?;
    for subject in [floor, runtime] {
        if let Err(reason) = subject.try_once(&sandbox) {
            bail!("{}: {reason}", subject.name);
        }
    }
    let recorder = Recorder::new(sandbox.folder())?;
    let (mut base, mut other) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        sandbox.check_interrupt()?;
        base.push(recorder.run(&mut floor.command(&sandbox))?);
        other.push(recorder.run(&mut runtime.command(&sandbox))?);
    }
    drop(recorder);
    if options.steps {
        print!("{}", steps(&other).render(options.markdown));
    } else {
        print!("{}", report(runtime, &base, &other, options));
    }
    Ok(())
}

/// The sums of one place.
#[derive(Clone, Copy, Default)]
struct Spent {
    calls: u64,
    micros: f64,
    off: f64,
    faults: u64,
}

/// One place, in both.
struct Line {
    place: Place,
    floor: Spent,
    runtime: Spent,
}

impl Line {
    fn extra(&self) -> f64 {
        self.runtime.micros - self.floor.micros
    }
}

fn report(runtime: &Subject, base: &[Record], other: &[Record], options: &Options) -> String {
    let places: BTreeSet<&Place> =
        base.iter().chain(other).flat_map(|record| &record.steps).map(|step| &step.place).collect();
    let line = |place: &Place| Line {
        place: place.clone(),
        floor: middle(base, place),
        runtime: middle(other, place),
    };
    let mut lines: Vec<Line> = places.into_iter().map(line).collect();
    lines.sort_by(|a, b| b.extra().total_cmp(&a.extra()));
    let calls = format!("{} calls", runtime.name);
    let micros = format!("{} us", runtime.name);
    let head = [
        "who",
        "what",
        "floor calls",
        &calls,
        "more",
        "floor us",
        &micros,
        "more us",
        "floor off",
        "off CPU us",
    ];
    let mut grid = Grid::new(2, &head);
    for line in &lines {
        grid.push(cells(&line.place, line.floor, line.runtime));
    }
    for who in ["parent", "child", "payload"] {
        let sum = |key: fn(&Line) -> Spent| {
            let ours = lines.iter().filter(|line| line.place.who == who).map(key);
            ours.fold(Spent::default(), add)
        };
        let place = Place { who, what: "(all)" };
        grid.push(cells(&place, sum(|line| line.floor), sum(|line| line.runtime)));
    }
    let wall = |records: &[Record]| median(records.iter().map(|record| record.wall)).unwrap_or(0.0);
    format!(
        "{}Wall time from the first program's start to its end, traced: floor {:.0} us, {} {:.0} us, {:.2} times.\n\
         us: on a CPU, medians of {} runs. off CPU: waiting, or pushed off by another process.\n\
         (own code): what the program does itself, page faults among it.\n",
        grid.render(options.markdown),
        wall(base),
        runtime.name,
        wall(other),
        wall(other) / wall(base),
        options.runs,
    )
}

fn cells(place: &Place, floor: Spent, runtime: Spent) -> Vec<String> {
    vec![
        place.who.into(),
        place.what.into(),
        floor.calls.to_string(),
        runtime.calls.to_string(),
        format!("{:+}", runtime.calls.cast_signed() - floor.calls.cast_signed()),
        format!("{:.0}", floor.micros),
        format!("{:.0}", runtime.micros),
        format!("{:+.0}", runtime.micros - floor.micros),
        format!("{:.0}", floor.off),
        format!("{:.0}", runtime.off),
        floor.faults.to_string(),
        runtime.faults.to_string(),
    ]
}

/// Medians, over the runs, of the sums of one place.
fn middle(records: &[Record], place: &Place) -> Spent {
    let sum = |record: &Record| {
        let steps = record.steps.iter().filter(|step| step.place == *place);
        steps.fold(Spent::default(), |sum, step| {
            let calls = u64::from(place.what != OWN_CODE);
            add(sum, Spent { calls, micros: step.micros, off: step.off, faults: step.faults })
        })
    };
    let sums: Vec<Spent> = records.iter().map(sum).collect();
    Spent {
        calls: median(sums.iter().map(|spent| spent.calls)).unwrap_or(0),
        micros: median(sums.iter().map(|spent| spent.micros)).unwrap_or(0.0),
        off: median(sums.iter().map(|spent| spent.off)).unwrap_or(0.0),
        faults: median(sums.iter().map(|spent| spent.faults)).unwrap_or(0),
    }
}

fn add(a: Spent, b: Spent) -> Spent {
    Spent {
        calls: a.calls + b.calls,
        micros: a.micros + b.micros,
        off: a.off + b.off,
        faults: a.faults + b.faults,
    }
}

/// Each process's steps in order, medians over the runs that took the same steps as most.
fn steps(records: &[Record]) -> Grid {
    let mut grid = Grid::new(2, &["who", "what", "starts us", "us", "off CPU us", "faults"]);
    for who in ["parent", "child", "payload"] {
        let lists: Vec<Vec<&Step>> = records.iter().map(|record| of(record, who)).collect();
        let length = median(lists.iter().map(Vec::len)).unwrap_or(0);
        let alike: Vec<&Vec<&Step>> = lists.iter().filter(|list| list.len() == length).collect();
        for index in 0..length {
            let column: Vec<&Step> = alike.iter().filter_map(|list| list.get(index).copied()).collect();
            let Some(step) = column.first() else { continue };
            let middle = |key: fn(&Step) -> f64| median(column.iter().map(|step| key(step))).unwrap_or(0.0);
            grid.push(vec![
                who.into(),
                step.place.what.into(),
                format!("{:.0}", middle(|step| step.start)),
                format!("{:.0}", middle(|step| step.micros)),
                format!("{:.0}", middle(|step| step.off)),
                format!("{:.0}", middle(|step| step.faults as f64)),
            ]);
        }
    }
    grid
}

fn of<'record>(record: &'record Record, who: &str) -> Vec<&'record Step> {
    record.steps.iter().filter(|step| step.place.who == who).collect()
}
