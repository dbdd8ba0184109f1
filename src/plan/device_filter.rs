//! Device rules: the list that is in force, as v1 lines and as a v2 eBPF program.
//!
//! Rules are read in order and for each access (read, write, mknod) the last match decides, as config-linux.md ("Allowed
//! Device list") says and as a v1 devices cgroup joins the accesses of one device; behind the
//! bundle's own come those that every container has. Where no rule matches, access is denied, as in runc.
//!
//! Invariant: everything that stands before the last catch-all rule is dead and is left out, so the program stays short
//! (the kernel's verifier takes a few microseconds for each branch).

use crate::base::bpf::Instruction;
use crate::base::text::{Byte, Put, Sink};
use crate::config::DeviceRule;
use crate::error::Result;
use crate::fail;
use crate::put;
use crate::rt::arena::{Arena, Full, List};
use core::ffi::CStr;

/// BPF_DEVCG_ACC_MKNOD, _READ, _WRITE (linux/bpf.h).
const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const ALL: u8 = MKNOD | READ | WRITE;
/// BPF_DEVCG_DEV_BLOCK and _CHAR.
const BLOCK: u8 = 1;
const CHAR: u8 = 2;

/// One rule; `kind` 0 stands for both kinds, `None` for every major or minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    allow: bool,
    kind: u8,
    major: Option<u32>,
    minor: Option<u32>,
    access: u8,
}

const fn default(kind: u8, major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
    Rule { allow: true, kind, major, minor, access }
}

/// What every container may do, as in runc: make any node; use null, zero, full, random, urandom, tty, the pty slaves
/// and the pty multiplexer.
const DEFAULTS: [Rule; 10] = [
    default(CHAR, None, None, MKNOD),
    default(BLOCK, None, None, MKNOD),
    default(CHAR, Some(1), Some(3), ALL),
    default(CHAR, Some(1), Some(8), ALL),
    default(CHAR, Some(1), Some(7), ALL),
    default(CHAR, Some(5), Some(0), ALL),
    default(CHAR, Some(1), Some(5), ALL),
    default(CHAR, Some(1), Some(9), ALL),
    default(CHAR, Some(136), None, ALL),
    default(CHAR, Some(5), Some(2), ALL),
];

/// The rules in force for the bundle's `rules`, in order.
///
/// # Errors
/// A number out of range.
pub fn in_force<'a>(
    arena: &Arena<'a>,
    rules: impl Iterator<Item = DeviceRule<'a>> + Clone,
) -> Result<'a, &'a [Rule]> {
    let mut list = arena.list(rules.clone().count().saturating_add(DEFAULTS.len()).saturating_add(1))?;
    list.push(Rule { allow: false, kind: 0, major: None, minor: None, access: ALL })?;
    for rule in rules {
        list.push(read(arena, &rule)?)?;
    }
    for rule in DEFAULTS {
        list.push(rule)?;
    }
    let all: &'a [Rule] = list.done();
    let last =
        all.iter().rposition(|r| r.kind == 0 && r.major.is_none() && r.minor.is_none() && r.access == ALL);
    Ok(all.get(last.unwrap_or(0)..).unwrap_or(all))
}

fn read<'a>(arena: &Arena<'a>, rule: &DeviceRule<'a>) -> Result<'a, Rule> {
    let kind = match rule.kind().map(CStr::to_bytes) {
        Some(b"b") => BLOCK,
        Some(b"c" | b"u") => CHAR,
        _ => 0,
    };
    let mut access = 0;
    for letter in rule.access().map_or(&b"rwm"[..], CStr::to_bytes) {
        access |= match letter {
            b'm' => MKNOD,
            b'r' => READ,
            _ => WRITE,
        };
    }
    let number = |name: &'static str, value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| {
            fail!(arena, "config.json: linux.resources.devices: ", name, " ", n, " is not a device number")
        }),
    };
    let (major, minor) = (number("major", rule.major())?, number("minor", rule.minor())?);
    Ok(Rule { allow: rule.allow(), kind, major, minor, access })
}

impl Rule {
    /// The file of a v1 devices cgroup that takes the rule.
    pub fn file(&self) -> &'static CStr {
        if self.allow { c"devices.allow" } else { c"devices.deny" }
    }
}

/// The line of a v1 devices cgroup, e.g. `c 1:3 rwm`.
impl Put for Rule {
    fn put(&self, to: &mut dyn Sink) {
        put!(
            to,
            match self.kind {
                BLOCK => "b ",
                CHAR => "c ",
                _ => "a ",
            }
        );
        for (number, after) in [(self.major, b':'), (self.minor, b' ')] {
            match number {
                Some(n) => put!(to, n, Byte(after)),
                None => put!(to, "*", Byte(after)),
            }
        }
        for (bit, letter) in [(READ, "r"), (WRITE, "w"), (MKNOD, "m")] {
            if self.access & bit != 0 {
                put!(to, letter);
            }
        }
    }
}

const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
const R5: u8 = 5;

/// `if register != value`, `if register == value`, `if register & value`, `goto`: on 32 bits, with the offset to be
/// filled in.
const IF_NOT: u8 = 0x56;
const IF: u8 = 0x16;
const IF_ANY: u8 = 0x46;
const GOTO: u8 = 0x05;

/// Instructions at most (BPF_MAXINSNS): more rules than that are a mistake, and would take the verifier seconds.
const MOST: usize = 4096;

/// Where a jump goes that is not known yet: kept in the offset until the program is whole.
const ALLOW: i16 = i16::MAX;
const DENY: i16 = i16::MAX - 1;

const fn op(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | destination, offset, immediate }
}

/// A program under construction.
struct Program<'a> {
    code: List<'a, Instruction>,
}

impl Program<'_> {
    fn push(&mut self, instruction: Instruction) -> core::result::Result<(), Full> {
        self.code.push(instruction)
    }

    fn here(&self) -> usize {
        self.code.items().len()
    }

    /// A jump over what follows; [`Program::land`] says where it ends.
    fn skip_unless(&mut self, register: u8, value: u32) -> core::result::Result<usize, Full> {
        let at = self.here();
        self.push(op(IF_NOT, register, 0, 0, value as i32))?;
        Ok(at)
    }

    fn land(&mut self, jump: usize) {
        let distance = self.here().saturating_sub(jump).saturating_sub(1);
        if let Some(instruction) = self.code.items_mut().get_mut(jump) {
            instruction.offset = distance as i16;
        }
    }

    /// What a rule says once kind and major number match. A whole rule settles the matter; one of part of the accesses
    /// either denies one that is still open, or grants its part, so that only the rest (r3) stays open.
    fn verdict(&mut self, rule: &Rule) -> core::result::Result<(), Full> {
        let to = if rule.allow { ALLOW } else { DENY };
        if rule.access == ALL {
            return match rule.minor {
                Some(minor) => self.push(op(IF, R5, 0, to, minor as i32)),
                None => self.push(op(GOTO, 0, 0, to, 0)),
            };
        }
        let minor = match rule.minor {
            Some(minor) => Some(self.skip_unless(R5, minor)?),
            None => None,
        };
        if rule.allow {
            self.push(op(0x54, R3, 0, 0, i32::from(!rule.access & ALL)))?; // w3 &= the other accesses
            self.push(op(IF, R3, 0, to, 0))?;
        } else {
            self.push(op(IF_ANY, R3, 0, to, i32::from(rule.access)))?;
        }
        if let Some(jump) = minor {
            self.land(jump);
        }
        Ok(())
    }

    /// A run of rules with one verdict: their order does not matter, so each kind and each major is tested once.
    /// The verifier refuses code that can't be reached, so nothing may follow an unconditional jump.
    fn run(&mut self, rules: &[Rule]) -> core::result::Result<(), Full> {
        let pair = |r: &Rule| r.access != ALL && rules.contains(&Rule { kind: r.kind ^ 3, ..*r });
        for rule in rules.iter().filter(|r| r.major.is_none()) {
            match rule.kind {
                // the same for both kinds: one test serves
                CHAR if pair(rule) => self.verdict(rule)?,
                BLOCK if pair(rule) => {}
                0 => self.verdict(rule)?,
                kind => {
                    let other = self.skip_unless(R2, u32::from(kind))?;
                    self.verdict(rule)?;
                    self.land(other);
                }
            }
        }
        for kind in [CHAR, BLOCK, 0] {
            let of_kind =
                || rules.iter().enumerate().filter(move |(_, r)| r.kind == kind && r.major.is_some());
            if of_kind().next().is_none() {
                continue;
            }
            let other = if kind == 0 { None } else { Some(self.skip_unless(R2, u32::from(kind))?) };
            for (i, rule) in of_kind() {
                if of_kind().any(|(earlier, r)| earlier < i && r.major == rule.major) {
                    continue;
                }
                let major = rule.major.unwrap_or(0);
                let mut of_major = of_kind().map(|(_, r)| r).filter(|r| r.major == rule.major);
                if of_major.clone().any(|r| r.minor.is_none() && r.access == ALL) {
                    self.push(op(IF, R4, 0, if rule.allow { ALLOW } else { DENY }, major as i32))?;
                    continue;
                }
                let next = self.skip_unless(R4, major)?;
                of_major.try_for_each(|same| self.verdict(same))?;
                self.land(next);
            }
            if let Some(jump) = other {
                self.land(jump);
            }
        }
        Ok(())
    }

    /// The exits, and every jump to them: first the verdict where no rule matched, then the other, if anything leads there.
    fn finish(&mut self, otherwise: bool) -> core::result::Result<(), Full> {
        let first = self.here();
        let second = first.saturating_add(2);
        let (allow, deny) = if otherwise { (first, second) } else { (second, first) };
        let other = if otherwise { DENY } else { ALLOW };
        let both = self.code.items().iter().any(|i| i.offset == other);
        for verdict in [otherwise, !otherwise].into_iter().take(if both { 2 } else { 1 }) {
            self.push(op(0xb4, R0, 0, 0, i32::from(verdict)))?; // w0 = verdict
            self.push(op(0x95, 0, 0, 0, 0))?; // exit
        }
        for (at, instruction) in self.code.items_mut().iter_mut().enumerate() {
            let target = match instruction.offset {
                ALLOW => allow,
                DENY => deny,
                _ => continue,
            };
            instruction.offset = target.saturating_sub(at).saturating_sub(1) as i16;
        }
        Ok(())
    }
}

/// The program for `rules` (the last match decides, so they are tried from the end).
///
/// Registers: r2 kind, r3 access asked for, r4 major, r5 minor (struct bpf_cgroup_dev_ctx).
///
/// # Errors
/// More rules than 4096 instructions hold; the arena is full.
pub fn program<'a>(arena: &Arena<'a>, rules: &[Rule]) -> Result<'a, &'a [Instruction]> {
    let too_many = |_| {
        fail!(arena, "config.json: linux.resources.devices: more rules than fit into ", MOST, " instructions")
    };
    let most = rules.len().saturating_mul(6).saturating_add(16).min(MOST);
    let mut program = Program { code: arena.list::<Instruction>(most)? };
    for instruction in [
        op(0x61, R2, R1, 0, 0),     // r2 = access << 16 | kind
        op(0xbf, R3, R2, 0, 0),     // r3 = r2
        op(0x54, R2, 0, 0, 0xffff), // w2 &= 0xffff: the kind
        op(0x74, R3, 0, 0, 16),     // w3 >>= 16: the access
        op(0x61, R4, R1, 4, 0),     // r4 = major
        op(0x61, R5, R1, 8, 0),     // r5 = minor
    ] {
        program.push(instruction)?;
    }
    // the first rule in force matches everything, and with it the run it stands in: that is the verdict at the end
    let otherwise = rules.first().is_some_and(|r| r.allow);
    let settled = rules.iter().position(|r| r.allow != otherwise).unwrap_or(rules.len());
    let mut rest = rules.get(settled..).unwrap_or(&[]);
    while let Some(last) = rest.last() {
        let start = rest.iter().rposition(|r| r.allow != last.allow).map_or(0, |i| i.saturating_add(1));
        let (before, run) = rest.split_at_checked(start).unwrap_or((&[], rest));
        program.run(run).map_err(too_many)?;
        rest = before;
    }
    program.finish(otherwise).map_err(too_many)?;
    Ok(program.code.done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::test_arena;

    /// Interprets the few instructions that `program` uses.
    fn verdict(code: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let mut r = [0u64; 11];
        let context = [access << 16 | kind, major, minor];
        let mut at = 0usize;
        loop {
            let i = code[at];
            let (d, s) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
            at += 1;
            match i.code {
                0x61 => r[d] = u64::from(context[i.offset as usize / 4]),
                0xbf => r[d] = r[s],
                0xbc => r[d] = r[s] & 0xffff_ffff,
                0x54 => r[d] &= u64::from(i.immediate as u32),
                0x74 => r[d] = (r[d] & 0xffff_ffff) >> i.immediate,
                0x05 => at += i.offset as usize,
                0x56 if r[d] as u32 != i.immediate as u32 => at += i.offset as usize,
                0x16 if r[d] as u32 == i.immediate as u32 => at += i.offset as usize,
                0x46 if r[d] as u32 & i.immediate as u32 != 0 => at += i.offset as usize,
                0x56 | 0x16 | 0x46 => {}
                0xb4 => r[d] = u64::from(i.immediate as u32),
                0x95 => return r[0] != 0,
                other => panic!("code {other:#x}"),
            }
        }
    }

    fn slow(rules: &[Rule], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let decides = |r: &&Rule, bit: u32| {
            (r.kind == 0 || u32::from(r.kind) == kind)
                && r.major.is_none_or(|m| m == major)
                && r.minor.is_none_or(|m| m == minor)
                && u32::from(r.access) & bit != 0
        };
        [1, 2, 4]
            .into_iter()
            .filter(|bit| access & bit != 0)
            .all(|bit| rules.iter().rev().find(|r| decides(r, bit)).is_some_and(|r| r.allow))
    }

    /// Every instruction is reached from the first, as the kernel's verifier demands.
    fn reachable(code: &[Instruction]) -> bool {
        let mut seen = vec![false; code.len()];
        let mut todo = vec![0usize];
        while let Some(at) = todo.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            match code[at].code {
                0x95 => {}
                0x05 => todo.push(at + 1 + code[at].offset as usize),
                0x56 | 0x16 | 0x46 => todo.extend([at + 1, at + 1 + code[at].offset as usize]),
                _ => todo.push(at + 1),
            }
        }
        seen.iter().all(|s| *s)
    }

    #[test]
    fn the_program_agrees_with_the_list_for_every_access() {
        let arena = test_arena(1 << 16);
        let rule = |allow, kind, major, minor, access| Rule { allow, kind, major, minor, access };
        let sets: [&[Rule]; 7] = [
            &[rule(false, 0, None, None, ALL), rule(true, CHAR, Some(10), Some(200), READ | WRITE)],
            &[rule(true, 0, None, None, ALL), rule(false, BLOCK, Some(8), None, WRITE)],
            &[
                rule(false, 0, None, None, ALL),
                rule(true, 0, None, Some(7), READ),
                rule(false, CHAR, Some(1), None, READ),
            ],
            &[rule(false, 0, None, None, ALL)],
            &[
                rule(false, 0, None, None, ALL),
                rule(true, CHAR, None, None, ALL),
                rule(true, BLOCK, None, None, ALL),
                rule(false, CHAR, Some(1), None, WRITE),
            ],
            &[
                rule(false, 0, None, None, ALL),
                rule(true, 0, None, None, READ),
                rule(true, CHAR, Some(136), Some(8), ALL),
            ],
            &[
                rule(true, 0, None, None, ALL),
                rule(false, CHAR, None, None, WRITE),
                rule(false, BLOCK, None, None, WRITE),
                rule(false, 0, Some(10), None, READ),
                rule(true, CHAR, Some(10), Some(9), READ | MKNOD),
                rule(true, CHAR, Some(10), Some(2), WRITE),
            ],
        ];
        for own in sets {
            let mut all = own.to_vec();
            all.extend(DEFAULTS);
            let code = program(&arena, &all).unwrap();
            assert!(reachable(code), "{own:?}");
            for kind in [1, 2] {
                for access in 1..8 {
                    for major in [0, 1, 5, 8, 10, 136] {
                        for minor in [0, 2, 3, 5, 7, 8, 9, 200] {
                            assert_eq!(
                                verdict(code, kind, access, major, minor),
                                slow(&all, kind, access, major, minor),
                                "{own:?}: kind {kind} access {access} {major}:{minor}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_program_of_a_plain_bundle_is_short() {
        let arena = test_arena(1 << 16);
        let rules = in_force(&arena, core::iter::empty()).unwrap();
        assert_eq!(program(&arena, rules).unwrap().len(), 23);
        let one = Rule { allow: true, kind: CHAR, major: Some(1), minor: Some(1), access: READ };
        let mut many = vec![one; 5000];
        many.insert(0, Rule { allow: false, kind: 0, major: None, minor: None, access: ALL });
        assert!(String::from_utf8_lossy(program(&arena, &many).unwrap_err().text()).contains("4096"));
    }

    #[test]
    fn what_stands_before_the_last_catch_all_is_left_out() {
        let arena = test_arena(1 << 16);
        let rules = in_force(&arena, core::iter::empty()).unwrap();
        assert_eq!(rules.len(), 11);
        let text: Vec<String> =
            rules.iter().map(|r| String::from_utf8_lossy(crate::compose!(arena, *r)).into_owned()).collect();
        assert_eq!(text[0], "a *:* rwm");
        assert_eq!(text[1], "c *:* m");
        assert_eq!(text[9], "c 136:* rwm");
    }
}
