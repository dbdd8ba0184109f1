//! The rules of one system call: which one decides where several match.
//!
//! runtime-spec is silent on it, so it is libseccomp's order, on which profiles are written: a rule without conditions
//! beats all others, the first one such; the others stand in a tree by argument, comparison and value, and the first
//! match in the tree decides. Where libseccomp refuses a rule (the same conditions, another action), the first given one
//! counts here.

use crate::config::{SeccompArg, SeccompOperator, SeccompSyscall};
use crate::names::syscalls::Multiplexed;
use crate::rt::arena::{Full, List};

/// A comparison; the other ones are these negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Equal where the mask has bits.
    Masked,
    Greater,
    GreaterOrEqual,
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which one, from 0.
    pub argument: u32,
    /// How it is compared.
    pub comparison: Comparison,
    /// It must not hold.
    pub negated: bool,
    /// With what, for [`Comparison::Masked`] only bits of the mask.
    pub value: u64,
    /// Bits that count, all of them for the other comparisons.
    pub mask: u64,
    operator: SeccompOperator,
}

/// The conditions of one rule, by argument, each argument once; all must hold.
pub type Conditions = heapless::Vec<Condition, 6>;

/// Which of a rule's conditions are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    All,
    /// One; the others are rules of their own.
    One(usize),
}

/// A rule as it applies to one system call of one architecture.
#[derive(Clone, Copy)]
pub struct Rule<'a> {
    /// Where it comes from.
    pub source: SeccompSyscall<'a>,
    /// Its conditions.
    pub part: Part,
    /// It applies to this call of socketcall(2) or ipc(2).
    pub call: Option<Multiplexed>,
    /// Arguments have 64 bits.
    pub wide: bool,
    /// What the filter returns.
    pub action: u32,
    /// The place of the next rule in the list.
    pub next: Option<u32>,
    /// The nodes, bit by number, that stand where a smaller value comes first.
    pub rising: u16,
}

/// What a rule's conditions are made into.
///
/// As in runc, conditions on one argument can't be met together, so that each is a rule of its own where two share one.
pub fn parts(rule: &SeccompSyscall<'_>) -> impl Iterator<Item = Part> {
    let args = rule.args();
    let twice = (0..6).any(|index| args.iter().filter(|arg| arg.index() == index).count() > 1);
    let each = if twice { args.len() } else { 0 };
    let all = if twice { None } else { Some(Part::All) };
    (0..each).map(Part::One).chain(all)
}

impl Rule<'_> {
    /// The conditions; none where all of them always hold.
    pub fn conditions(&self) -> Conditions {
        let args = self.source.args();
        let mut list = Conditions::new();
        for index in 0..6 {
            let call = self.call.filter(|_| index == 0);
            let arg = match self.part {
                Part::All => args.iter().find(|arg| arg.index() == index),
                Part::One(n) => args.get(n).filter(|arg| arg.index() == index),
            };
            let condition = match (call, arg) {
                // what the multiplexed call takes as its first argument lies in memory, where no filter looks
                (Some(through), _) => {
                    Some(condition(0, SeccompOperator::Equal, u64::from(through.call), 0, self.wide))
                }
                (None, Some(arg)) => Some(read(&arg, self.wide)),
                (None, None) => None,
            };
            if let Some(condition) = condition.filter(|c| c.mask != 0) {
                // six at most, as there are six places
                list.push(condition).unwrap_or(());
            }
        }
        list
    }
}

fn read(arg: &SeccompArg<'_>, wide: bool) -> Condition {
    condition(arg.index(), arg.op(), arg.value(), arg.value_two().unwrap_or(0), wide)
}

fn condition(argument: u32, operator: SeccompOperator, value: u64, other: u64, wide: bool) -> Condition {
    use SeccompOperator as O;
    let (comparison, negated) = match operator {
        O::Equal | O::MaskedEqual => (Comparison::Masked, false),
        O::NotEqual => (Comparison::Masked, true),
        O::Greater => (Comparison::Greater, false),
        O::LessOrEqual => (Comparison::Greater, true),
        O::GreaterOrEqual => (Comparison::GreaterOrEqual, false),
        O::Less => (Comparison::GreaterOrEqual, true),
    };
    let all = if wide { u64::MAX } else { u64::from(u32::MAX) };
    let (value, mask) = if operator == O::MaskedEqual { (other, value & all) } else { (value, all) };
    Condition { argument, comparison, negated, value: value & mask, mask, operator }
}

/// A node of libseccomp's tree: one word of one argument.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Node {
    /// The argument and its half.
    place: u32,
    kind: Kind,
    mask: u32,
    value: u32,
}

/// How a node compares. "Less" is "greater or equal" with the branches exchanged, so that a rule of either kind may stand
/// in the node of the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Equal,
    Masked,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    fn node(&self, high: bool) -> Node {
        use SeccompOperator as O;
        let half = |v: u64| if high { (v >> 32) as u32 } else { v as u32 };
        let kind = match self.operator {
            O::Equal | O::NotEqual => Kind::Equal,
            O::MaskedEqual => Kind::Masked,
            O::GreaterOrEqual | O::Less if !high => Kind::GreaterOrEqual,
            // the high word is compared in one way by all four
            _ => Kind::Greater,
        };
        let place = self.argument.saturating_mul(2).saturating_add(u32::from(high));
        Node { place, kind, mask: half(self.mask), value: half(self.value) }
    }
}

impl Node {
    /// The order of nodes on one level of the tree: those that are tried first are greater.
    fn rank(&self, rising: bool) -> (u32, u32, u32) {
        match self.kind {
            Kind::Equal | Kind::Masked => (self.place, 3, self.value),
            _ if rising => (self.place, 2, !self.value),
            _ => (self.place, 1, self.value),
        }
    }
}

/// The nodes of a rule, each with whether by itself it would stand where a smaller value comes first.
fn nodes(conditions: &Conditions, wide: bool) -> impl Iterator<Item = (Node, bool)> + '_ {
    let halves: &[bool] = if wide { &[true, false] } else { &[false] };
    conditions.iter().flat_map(move |condition| {
        let less = matches!(condition.operator, SeccompOperator::Less | SeccompOperator::LessOrEqual);
        halves.iter().map(move |high| (condition.node(*high), less))
    })
}

/// Puts the rule at place `new` of `list` into the list that begins at `head`; gives the new head.
///
/// # Errors
/// Never, for places that are in `list`.
pub fn insert(list: &mut List<'_, Rule<'_>>, head: Option<u32>, new: u32) -> Result<Option<u32>, Full> {
    let rule = at(list, new)?;
    let conditions = rule.conditions();
    let mut rising = 0;
    for (n, condition) in nodes(&conditions, rule.wide).enumerate() {
        rising |= u16::from(condition.1) << n;
    }
    // how many nodes the rule shares with those before it
    let mut depth = 0;
    let mut before = None;
    let mut next = head;
    while let Some(place) = next {
        let other = at(list, place)?;
        let others = other.conditions();
        if others == conditions {
            return Ok(head);
        }
        let mut pairs = nodes(&others, rule.wide).zip(nodes(&conditions, rule.wide));
        let mut common = 0;
        let differ = pairs.find(|((theirs, _), (ours, _))| {
            common += u32::from(theirs == ours);
            theirs != ours
        });
        // a node that is shared stands where its first rule put it
        let shared = (1u16 << common).wrapping_sub(1);
        rising = rising & !shared | other.rising & shared;
        let first = differ.is_some_and(|((theirs, _), (ours, _))| {
            let up = |bits: u16| bits >> common & 1 == 1;
            theirs.rank(up(other.rising)) < ours.rank(up(rising))
        });
        if common < depth || first {
            break;
        }
        depth = common;
        before = Some(place);
        next = other.next;
    }
    let rule = list.items_mut().get_mut(new as usize).ok_or(Full)?;
    (rule.next, rule.rising) = (next, rising);
    match before {
        Some(place) => link(list, place, Some(new)).map(|()| head),
        None => Ok(Some(new)),
    }
}

/// Turns the list that begins at `head` around; gives the new head.
///
/// # Errors
/// Never, for places that are in `list`.
pub fn turn(list: &mut List<'_, Rule<'_>>, head: u32) -> Result<Option<u32>, Full> {
    let mut before = None;
    let mut next = Some(head);
    while let Some(place) = next {
        next = at(list, place)?.next;
        link(list, place, before)?;
        before = Some(place);
    }
    Ok(before)
}

/// The rule at a place of the list.
///
/// # Errors
/// Never, for a place that is in `list`.
pub fn at<'a>(list: &List<'_, Rule<'a>>, place: u32) -> Result<Rule<'a>, Full> {
    list.items().get(place as usize).copied().ok_or(Full)
}

fn link(list: &mut List<'_, Rule<'_>>, place: u32, next: Option<u32>) -> Result<(), Full> {
    list.items_mut().get_mut(place as usize).ok_or(Full)?.next = next;
    Ok(())
}
