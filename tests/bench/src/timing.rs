//! Time, CPU and page faults of whole runs, nothing attached to them.
//!
//! Rounds are interleaved and shuffled: each round runs every subject once, in a new order, so that a busy moment of the
//! machine, or the kernel's late clean-up after the run before, falls on all alike.

use crate::sandbox::Sandbox;
use crate::subject::Subject;
use anyhow::{Context, Result};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use std::process::Command;
use std::time::{Duration, Instant};

/// One run, all its processes together.
#[derive(Clone, Copy)]
pub struct Sample {
    pub wall: Duration,
    pub user: Duration,
    pub system: Duration,
    pub minor_faults: i64,
    pub succeeded: bool,
}

/// Runs a command to its end. This process must have no other children meanwhile: the figures are the growth of
/// RUSAGE_CHILDREN, which holds every process that was waited for by its parent.
pub fn once(command: &mut Command) -> Result<Sample> {
    let before = children()?;
    let start = Instant::now();
    let status = command.status().with_context(|| format!("start {}", command.get_program().display()))?;
    let wall = start.elapsed();
    let after = children()?;
    Ok(Sample {
        wall,
        user: duration(after.user_time()).saturating_sub(duration(before.user_time())),
        system: duration(after.system_time()).saturating_sub(duration(before.system_time())),
        minor_faults: after.minor_page_faults() - before.minor_page_faults(),
        succeeded: status.success(),
    })
}

/// `rounds` samples of each subject, in the order of `subjects`, after a few rounds that don't count.
pub fn interleave(subjects: &[Subject], rounds: usize, sandbox: &Sandbox) -> Result<Vec<Vec<Sample>>> {
    const WARMUP: usize = 3;
    let mut samples: Vec<Vec<Sample>> = subjects.iter().map(|_| Vec::with_capacity(rounds)).collect();
    let mut shuffle = Shuffle(0x9e37_79b9_7f4a_7c15);
    for round in 0..WARMUP + rounds {
        for index in shuffle.order(subjects.len()) {
            sandbox.check_interrupt()?;
            let (Some(subject), Some(list)) = (subjects.get(index), samples.get_mut(index)) else { continue };
            let sample = once(&mut subject.command(sandbox))?;
            if round >= WARMUP {
                list.push(sample);
            }
        }
    }
    Ok(samples)
}

/// The middle of a list, by a key; the lower one of two.
pub fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> Option<T> {
    quantile(values, 0.5)
}

/// The value that a share of the list lies below.
pub fn quantile<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>, share: f64) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * share) as usize).copied()
}

/// A small generator for the order of a round; the same order in every call of the program.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn order(&mut self, length: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..length).collect();
        for index in (1..length).rev() {
            let other = self.next(index + 1);
            order.swap(index, other);
        }
        order
    }
}

fn children() -> Result<Usage> {
    getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
}
