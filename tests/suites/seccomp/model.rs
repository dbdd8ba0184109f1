//! What a profile says by itself, rule by rule, without a filter: the judge where the filters differ.

use super::bpf::Call;
use super::reference::{self, Arch, BIT, ENOSYS, Filter, Machine, X32, X86, X86_64};
use hull_tests::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A condition.
#[derive(Clone, Debug)]
pub struct Condition {
    pub index: usize,
    op: String,
    pub value: u64,
    pub two: u64,
}

/// A rule of one system call.
#[derive(Clone, Debug)]
struct Rule {
    action: u32,
    conditions: Vec<Condition>,
}

/// A profile, by architecture and number.
pub struct Model {
    default: u32,
    archs: Vec<Arch>,
    rules: BTreeMap<(&'static str, u32), Vec<Rule>>,
}

impl Condition {
    fn read(arg: &Value) -> Condition {
        Condition {
            index: arg["index"].as_u64().expect("an index") as usize,
            op: arg["op"].as_str().expect("an operator").to_owned(),
            value: arg["value"].as_u64().expect("a value"),
            two: arg["valueTwo"].as_u64().unwrap_or(0),
        }
    }

    fn holds(&self, call: &Call, wide: bool) -> bool {
        let cut = |v: u64| if wide { v } else { v & 0xffff_ffff };
        let (arg, value, two) = (cut(call.args[self.index]), cut(self.value), cut(self.two));
        match self.op.as_str() {
            "SCMP_CMP_NE" => arg != value,
            "SCMP_CMP_LT" => arg < value,
            "SCMP_CMP_LE" => arg <= value,
            "SCMP_CMP_EQ" => arg == value,
            "SCMP_CMP_GE" => arg >= value,
            "SCMP_CMP_GT" => arg > value,
            "SCMP_CMP_MASKED_EQ" => arg & value == two & value,
            other => panic!("{other}"),
        }
    }

    /// A mask of nothing holds for all.
    fn is_empty(&self, wide: bool) -> bool {
        self.op == "SCMP_CMP_MASKED_EQ" && (if wide { self.value } else { self.value & 0xffff_ffff }) == 0
    }
}

/// The names of an architecture's numbers, as libseccomp has them.
fn names(arch: Arch) -> BTreeMap<String, u32> {
    let bit = if arch == X32 { BIT } else { 0 };
    let private = (0xf_0000..0xf_0010).filter(|_| arch == reference::ARM);
    let all = (0..600).map(|n| n | bit).chain(private);
    all.filter_map(|n| Some((reference::name(arch, n as i32)?, n))).collect()
}

/// The calls that i386 multiplexes: the number that does it, and the first argument.
fn multiplexed(name: &str) -> Option<(u32, u64)> {
    match reference::number(X86, name)? {
        n @ -120..=-100 => Some((102, (-n) as u64 % 100)),
        n @ -224..=-200 => Some((117, (-n) as u64 % 200)),
        _ => None,
    }
}

impl Model {
    pub fn new(profile: &Value, machine: &Machine) -> Model {
        let default = reference::action(&profile["defaultAction"], &profile["defaultErrnoRet"]);
        let archs = reference::archs(profile, machine);
        let mut rules: BTreeMap<_, Vec<Rule>> = BTreeMap::new();
        for arch in &archs {
            let numbers = names(*arch);
            for source in profile["syscalls"].as_array().expect("rules") {
                let action = reference::action(&source["action"], &source["errnoRet"]);
                if action == default {
                    continue;
                }
                for name in source["names"].as_array().expect("names").iter().filter_map(Value::as_str) {
                    for part in reference::parts(source) {
                        let all: Vec<Condition> = part.iter().map(Condition::read).collect();
                        let mut push = |number: u32, mut conditions: Vec<Condition>| {
                            conditions.retain(|condition| !condition.is_empty(arch.wide));
                            rules.entry((arch.word, number)).or_default().push(Rule { action, conditions });
                        };
                        if let Some((through, call)) = multiplexed(name).filter(|_| *arch == X86) {
                            let first =
                                Condition { index: 0, op: "SCMP_CMP_EQ".to_owned(), value: call, two: 0 };
                            let others = all.iter().filter(|condition| condition.index != 0).cloned();
                            push(through, [first].into_iter().chain(others).collect());
                        }
                        if let Some(number) = numbers.get(name) {
                            push(*number, all);
                        }
                    }
                }
            }
        }
        Model { default, archs, rules }
    }

    fn rules(&self, call: &Call) -> Option<(Arch, &[Rule])> {
        // without x32, libseccomp takes all that is larger for x32's, but for what a tracer skips calls by
        let x32 = self.archs.contains(&X32);
        let of_x32 = if x32 { call.number & BIT != 0 } else { call.number >= BIT && call.number != u32::MAX };
        let arch = self.archs.iter().find(|arch| {
            arch.audit == call.arch && (**arch != X86_64 || !of_x32) && (**arch != X32 || of_x32)
        })?;
        let rules = self.rules.get(&(arch.word, call.number));
        Some((*arch, rules.map_or(&[], |rules| rules.as_slice())))
    }

    /// Every verdict that the profile's text allows; more than one where rules with different actions match.
    pub fn verdicts(&self, call: &Call, stub: &Filter) -> BTreeSet<u32> {
        if stub.is_new(call) {
            return BTreeSet::from([ENOSYS]);
        }
        let Some((arch, rules)) = self.rules(call) else { return BTreeSet::from([0]) };
        if let Some(rule) = rules.iter().find(|rule| rule.conditions.is_empty()) {
            return BTreeSet::from([rule.action]);
        }
        let matches = |rule: &&Rule| rule.conditions.iter().all(|c| c.holds(call, arch.wide));
        let mut all: BTreeSet<u32> = rules.iter().filter(matches).map(|rule| rule.action).collect();
        if all.is_empty() {
            all.insert(self.default);
        }
        all
    }

    /// How many rules there are for a call of this number.
    pub fn count(&self, call: &Call) -> usize {
        self.rules(call).map_or(0, |(_, rules)| rules.len())
    }

    /// The conditions that a call of this number may meet.
    pub fn conditions(&self, call: &Call) -> Vec<Condition> {
        let rules = self.rules(call).map_or(&[][..], |(_, rules)| rules);
        rules.iter().flat_map(|rule| rule.conditions.iter().cloned()).collect()
    }
}
