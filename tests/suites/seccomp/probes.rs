//! Calls that tell filters apart: every number of every architecture, and around every value that a rule compares.

use super::bpf::Call;
use super::model::{Condition, Model};
use super::reference::{BIT, Machine};
use fastrand::Rng;
use std::collections::BTreeSet;

/// Numbers: all that exist and some more, with and without x32's bit, and around the edges.
fn numbers() -> Vec<u32> {
    let edges = [0x1_0000, 0xf_0000, BIT, 0x8000_0000, 0xc000_0000];
    let around = edges.iter().flat_map(|edge| edge - 3..edge + 16);
    let mut all: Vec<u32> = (0..620).chain((0..620).map(|n| n | BIT)).chain(around).collect();
    all.extend([0x7fff_ffff, 0xc000_0000 | 59, 0x8000_0000 | 59, 0xffff_fffe, u32::MAX]);
    all.sort_unstable();
    all.dedup();
    all
}

/// Values of one argument: those compared, their neighbours, other high and low words, inside and outside of masks.
fn values(conditions: &[Condition], index: usize) -> Vec<u64> {
    let mut all = BTreeSet::from([0, u64::MAX]);
    for condition in conditions.iter().filter(|condition| condition.index == index) {
        for v in [condition.value, condition.two, condition.value & condition.two] {
            let low = v & 0xffff_ffff;
            all.extend([v, v.wrapping_sub(1), v.wrapping_add(1), low, v ^ 1 << 32, v.wrapping_add(1 << 32)]);
            all.extend([v.wrapping_sub(1 << 32), low | 0xffff_ffff << 32]);
        }
        if condition.value != 0 {
            let lowest = 1 << condition.value.trailing_zeros();
            all.extend([!condition.value, condition.two ^ lowest, !condition.value | condition.two]);
        }
    }
    all.into_iter().collect()
}

/// Runs `each` over the calls.
pub fn each(model: &Model, machine: &Machine, each: &mut dyn FnMut(&Call)) {
    let mut rng = Rng::with_seed(5);
    let mut audits: Vec<u32> = machine.archs.iter().map(|arch| arch.audit).collect();
    audits.extend([0, 0xc000_0016, 0x4000_0015, u32::MAX]);
    audits.sort_unstable();
    audits.dedup();
    for arch in audits {
        for number in numbers() {
            let mut call = Call { number, arch, args: [0; 6] };
            each(&call);
            call.args = [0x1234_5678_9abc_def0; 6];
            each(&call);
            let conditions = model.conditions(&call);
            let values: Vec<(usize, Vec<u64>)> = (0..6)
                .filter(|index| conditions.iter().any(|condition| condition.index == *index))
                .map(|index| (index, values(&conditions, index)))
                .collect();
            let all: usize = values.iter().map(|(_, values)| values.len()).product();
            if all <= MOST {
                combine(&values, &mut call, each);
            } else {
                for _ in 0..MOST {
                    for (index, values) in &values {
                        call.args[*index] = values[rng.usize(0..values.len())];
                    }
                    each(&call);
                }
            }
        }
    }
}

/// Combinations of values that are tried for one system call; where there are more, these are drawn by lot.
const MOST: usize = 4000;

/// Every combination of values.
fn combine(values: &[(usize, Vec<u64>)], call: &mut Call, each: &mut dyn FnMut(&Call)) {
    let Some(((index, first), others)) = values.split_first() else { return each(call) };
    for value in first {
        call.args[*index] = *value;
        combine(others, call, each);
    }
}
