//! The filter as instructions of classic BPF, built from its end.
//!
//! Jumps only lead forward, so every target is in place before the jump to it, and its distance is known. Conditional
//! jumps reach 255 instructions: where the target is farther off, a copy of it (of a return) or a plain jump to it is put
//! in reach.
//!
//! Invariant: a [`Label`] names an instruction that is in the list, or one past the first.

use super::rules::Condition;
use crate::base::bpf::Classic;
use crate::rt::arena::{Arena, Full, List};

/// BPF_MAXINSNS (linux/bpf_common.h).
pub const MOST: usize = 4096;

/// BPF_LD | BPF_W | BPF_ABS, BPF_RET | BPF_K, BPF_ALU | BPF_AND | BPF_K, BPF_JMP | BPF_JA.
const LOAD: u16 = 0x20;
pub const RETURN: u16 = 0x06;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;

/// BPF_JMP | BPF_K with one of BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Test {
    Equal = 0x15,
    Greater = 0x25,
    GreaterOrEqual = 0x35,
    Any = 0x45,
}

/// Offsets in `struct seccomp_data` (linux/seccomp.h).
pub const NUMBER: u32 = 0;
pub const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// An instruction, by its distance from the end of the finished program.
pub type Label = usize;

/// From `first` on, up to the next range, calls come to `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: u32,
    pub target: u32,
}

/// How far a test may jump: one less than jt and jf hold, since the other target may need an instruction in between.
const REACH: usize = 254;

/// Ranges up to which single numbers are tested for instead of halving.
const FEW: usize = 7;

/// The program under construction, last instruction first.
pub struct Program<'a> {
    code: List<'a, Classic>,
}

type Result<T> = core::result::Result<T, Full>;

impl<'a> Program<'a> {
    /// An empty program.
    ///
    /// # Errors
    /// The arena is full.
    pub fn new(arena: &Arena<'a>) -> Result<Self> {
        Ok(Program { code: arena.list(MOST)? })
    }

    /// How many instructions there are.
    pub fn len(&self) -> usize {
        self.code.items().len()
    }

    /// The finished program.
    pub fn done(self) -> &'a [Classic] {
        let code = self.code.done();
        // not `reverse`, which can panic as far as the compiler knows
        let mut rest = &mut *code;
        while let [first, middle @ .., last] = rest {
            core::mem::swap(first, last);
            rest = middle;
        }
        code
    }

    /// Puts an instruction before all others.
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Result<Label> {
        self.code.push(Classic { code, jt, jf, k })?;
        Ok(self.len().saturating_sub(1))
    }

    /// Loads a word of `struct seccomp_data` for what stands at `then`.
    pub fn load(&mut self, offset: u32, then: Label) -> Result<Label> {
        self.near(then, 0)?;
        self.push(LOAD, 0, 0, offset)
    }

    /// How many instructions lie between the next one and `label`.
    fn distance(&self, label: Label) -> usize {
        self.len().saturating_sub(label).saturating_sub(1)
    }

    /// A return of `value`, in reach of the next instruction.
    pub fn result(&mut self, value: u32) -> Result<Label> {
        self.result_within(value, REACH)
    }

    fn result_within(&mut self, value: u32, reach: usize) -> Result<Label> {
        let is = |i: &Classic| i.code == RETURN && i.k == value;
        match self.code.items().iter().rposition(is) {
            Some(label) if self.distance(label) <= reach => Ok(label),
            _ => self.push(RETURN, 0, 0, value),
        }
    }

    /// `label`, or a way to it, at most `reach` instructions behind the next one.
    fn near(&mut self, label: Label, reach: usize) -> Result<Label> {
        let distance = self.distance(label);
        if distance <= reach {
            return Ok(label);
        }
        match self.code.items().get(label) {
            Some(Classic { code: RETURN, k, .. }) => {
                let value = *k;
                self.result_within(value, reach)
            }
            _ => self.push(JUMP, 0, 0, distance as u32),
        }
    }

    /// Tests the loaded word against `k`.
    pub fn test(&mut self, test: Test, k: u32, yes: Label, no: Label) -> Result<Label> {
        if yes == no {
            return Ok(yes);
        }
        let (yes, no) = (self.near(yes, REACH)?, self.near(no, REACH)?);
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(test as u16, jt, jf, k)
    }

    /// Finds the range of the loaded word. `ranges` are in order, the first one starts at or below any word that gets
    /// here, and neighbours have different targets; `reach` gives the place of a target.
    pub fn search(
        &mut self,
        ranges: &[Range],
        reach: &mut dyn FnMut(&mut Self, u32) -> Result<Label>,
    ) -> Result<Label> {
        let [first, rest @ ..] = ranges else { return Err(Full) };
        if rest.is_empty() {
            return reach(self, first.target);
        }
        if ranges.len() <= FEW {
            // one number between two ranges of one target takes one test instead of two
            let alone = ranges.windows(3).position(|three| match three {
                [a, b, c] => a.target == c.target && b.first.checked_add(1) == Some(c.first),
                _ => false,
            });
            if let Some((at, number)) = alone.and_then(|at| Some((at, ranges.get(at.checked_add(1)?)?))) {
                let mut others = heapless::Vec::<Range, FEW>::new();
                for (n, range) in ranges.iter().enumerate() {
                    if n != at.saturating_add(1) && n != at.saturating_add(2) {
                        others.push(*range).map_err(|_| Full)?;
                    }
                }
                let no = self.search(&others, reach)?;
                let yes = reach(self, number.target)?;
                return self.test(Test::Equal, number.first, yes, no);
            }
        }
        let (low, high) = ranges.split_at_checked(ranges.len().div_ceil(2)).ok_or(Full)?;
        let [middle, more @ ..] = high else { return Err(Full) };
        // one target alone comes last: a return may be out of reach once the rest is there
        let yes = if more.is_empty() { None } else { Some(self.search(high, reach)?) };
        let no = self.search(low, reach)?;
        let yes = match yes {
            Some(label) => label,
            None => reach(self, middle.target)?,
        };
        self.test(Test::GreaterOrEqual, middle.first, yes, no)
    }

    /// Tests for all of `conditions`.
    pub fn all(&mut self, conditions: &[Condition], wide: bool, yes: Label, no: Label) -> Result<Label> {
        conditions.iter().rev().try_fold(yes, |yes, condition| self.condition(condition, wide, yes, no))
    }

    /// Tests one argument, of 64 bits where `wide`, else of 32.
    fn condition(&mut self, condition: &Condition, wide: bool, yes: Label, no: Label) -> Result<Label> {
        use super::rules::Comparison as C;
        let (yes, no) = if condition.negated { (no, yes) } else { (yes, no) };
        let low = condition.argument.saturating_mul(8).saturating_add(ARGUMENTS);
        let high = low.saturating_add(4);
        let [value, mask] = [condition.value, condition.mask].map(|v| (v as u32, (v >> 32) as u32));
        let test = match condition.comparison {
            C::Masked => {
                let label = self.masked(low, mask.0, value.0, yes, no)?;
                return if wide { self.masked(high, mask.1, value.1, label, no) } else { Ok(label) };
            }
            C::GreaterOrEqual => Test::GreaterOrEqual,
            C::Greater => Test::Greater,
        };
        let label = self.test(test, value.0, yes, no)?;
        let label = self.load(low, label)?;
        if !wide {
            return Ok(label);
        }
        // nothing is less than 0
        let other = if value.1 == 0 { yes } else { no };
        let mut label = self.test(Test::Equal, value.1, label, other)?;
        if value.1 != 0 {
            label = self.test(Test::Greater, value.1, yes, label)?;
        }
        self.load(high, label)
    }

    /// Tests whether a word is `value` where `mask` has bits.
    fn masked(&mut self, offset: u32, mask: u32, value: u32, yes: Label, no: Label) -> Result<Label> {
        let label = match (mask, value) {
            (0, _) => return Ok(yes),
            (u32::MAX, _) => self.test(Test::Equal, value, yes, no)?,
            (_, 0) => self.test(Test::Any, mask, no, yes)?,
            _ if mask == value && mask.is_power_of_two() => self.test(Test::Any, mask, yes, no)?,
            _ => {
                let label = self.test(Test::Equal, value, yes, no)?;
                self.near(label, 0)?;
                self.push(AND, 0, 0, mask)?
            }
        };
        self.load(offset, label)
    }
}
