//! The rules of one system call: which one decides where several match.
//!
//! runtime-spec is silent on it, so it is libseccomp's order, on which profiles are written: a rule without conditions
//! beats all others, the first one such; the others stand in a tree by argument, comparison and value, and the first
//! match in the tree decides. Where libseccomp refuses a rule (the same conditions, another action), the first given one
//! counts here.

use crate::config::{List as Items, SeccompArg, SeccompOperator};
use crate::names::syscalls::Multiplexed;
use crate::rt::arena::{Arena, Full, List};

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

/// A rule as it applies to one system call of one architecture.
#[derive(Clone, Copy)]
pub struct Rule<'a> {
    /// What must hold: by argument, each argument once.
    pub conditions: &'a [Condition],
    /// Arguments have 64 bits.
    pub wide: bool,
    /// What the filter returns.
    pub action: u32,
    /// The place of the next rule in the list.
    pub next: Option<u32>,
    /// The nodes, bit by number, that stand where a smaller value comes first.
    rising: u16,
}

/// How many rules the conditions of a rule make. As in runc, two on one argument can't be met together, so then each is a
/// rule of its own.
pub fn parts(args: &Items<'_, SeccompArg<'_>>) -> usize {
    let twice = (0..6).any(|index| args.iter().filter(|arg| arg.index() == index).nth(1).is_some());
    if twice { args.len() } else { 1 }
}

/// The conditions of part `part` of `parts`, for a call that i386 makes through another one where `call` is set. Those that
/// always hold are left out.
///
/// # Errors
/// The arena is full.
pub fn conditions<'a>(
    arena: &Arena<'a>,
    args: &Items<'_, SeccompArg<'_>>,
    (part, parts): (usize, usize),
    call: Option<Multiplexed>,
    wide: bool,
) -> Result<&'a [Condition], Full> {
    let mut list = arena.list::<Condition>(args.len().saturating_add(1))?;
    for index in 0..6 {
        let given =
            args.iter().enumerate().find(|(n, arg)| arg.index() == index && (parts == 1 || *n == part));
        let condition = match (given, call.filter(|_| index == 0)) {
            // what the call takes as its first argument lies in memory, where no filter looks
            (_, Some(through)) => condition(0, SeccompOperator::Equal, u64::from(through.call), 0, wide),
            (Some((_, arg)), None) => {
                condition(index, arg.op(), arg.value(), arg.value_two().unwrap_or(0), wide)
            }
            (None, None) => continue,
        };
        if condition.mask != 0 {
            list.push(condition)?;
        }
    }
    Ok(list.done())
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

impl<'a> Rule<'a> {
    /// A rule that is in no list.
    pub fn new(conditions: &'a [Condition], wide: bool, action: u32) -> Rule<'a> {
        let mut rule = Rule { conditions, wide, action, next: None, rising: 0 };
        for n in 0..12u32 {
            let less = matches!(
                rule.place(n).map(|(condition, _)| condition.operator),
                Some(SeccompOperator::Less | SeccompOperator::LessOrEqual)
            );
            rule.rising |= u16::from(less) << n;
        }
        rule
    }

    /// The condition of node `n`, and whether the node is that of its high word.
    fn place(&self, n: u32) -> Option<(&Condition, bool)> {
        let (n, high) = if self.wide { (n >> 1, n & 1 == 0) } else { (n, false) };
        Some((self.conditions.get(n as usize)?, high))
    }

    fn node(&self, n: u32) -> Option<Node> {
        use SeccompOperator as O;
        let (condition, high) = self.place(n)?;
        let half = |v: u64| if high { (v >> 32) as u32 } else { v as u32 };
        let kind = match condition.operator {
            O::Equal | O::NotEqual => Kind::Equal,
            O::MaskedEqual => Kind::Masked,
            O::GreaterOrEqual | O::Less if !high => Kind::GreaterOrEqual,
            // the high word is compared in one way by all four
            _ => Kind::Greater,
        };
        let place = condition.argument << 1 | u32::from(high);
        Some(Node { place, kind, mask: half(condition.mask), value: half(condition.value) })
    }
}

/// Puts `rule` at the end of `list` and into its place among those that begin at `head`, if there are any; gives the new
/// head. A rule with the conditions of an earlier one is left out.
///
/// # Errors
/// The list has no room.
pub fn insert<'a>(list: &mut List<'_, Rule<'a>>, head: Option<u32>, mut rule: Rule<'a>) -> Result<u32, Full> {
    let new = list.items().len() as u32;
    // how many nodes the rule shares with those before it
    let mut depth = 0;
    let mut before = None;
    let mut next = head;
    while let Some(place) = next {
        let other = at(list, place)?;
        if other.conditions == rule.conditions {
            return Ok(head.unwrap_or(new));
        }
        let mut common = 0;
        while other.node(common).is_some_and(|node| rule.node(common) == Some(node)) {
            common += 1;
        }
        // a node that is shared stands where its first rule put it
        let shared = (1u16 << common).wrapping_sub(1);
        rule.rising = rule.rising & !shared | other.rising & shared;
        let rank = |of: &Rule<'_>| Some(of.node(common)?.rank(of.rising >> common & 1 == 1));
        let first = match (rank(other), rank(&rule)) {
            (Some(theirs), Some(ours)) => theirs < ours,
            _ => false,
        };
        if common < depth || first {
            break;
        }
        depth = common;
        before = Some(place);
        next = other.next;
    }
    rule.next = next;
    list.push(rule)?;
    match before {
        Some(place) => link(list, place, Some(new)).map(|()| head.unwrap_or(new)),
        None => Ok(new),
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
pub fn at<'r, 'a>(list: &'r List<'_, Rule<'a>>, place: u32) -> Result<&'r Rule<'a>, Full> {
    list.items().get(place as usize).ok_or(Full)
}

fn link(list: &mut List<'_, Rule<'_>>, place: u32, next: Option<u32>) -> Result<(), Full> {
    list.items_mut().get_mut(place as usize).ok_or(Full)?.next = next;
    Ok(())
}
