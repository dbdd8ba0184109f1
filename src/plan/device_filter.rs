//! Device rules: the list that is in force, as v1 lines and as a v2 eBPF program.
//!
//! Rules are read in order and for each access (read, write, mknod) the last match decides, as config-linux.md ("Allowed
//! Device list") says and as a v1 devices cgroup joins the accesses of one device; behind the
//! bundle's own come those that every container has. Where no rule matches, access is denied, as in runc.
//!
//! Invariant: everything that stands before the last catch-all rule is dead and is left out, so the program stays short
//! (the kernel's verifier takes a few microseconds for each branch).

use crate::base::bpf::Instruction;
use crate::base::text::{Part, Put, Sink};
use crate::base::words;
use crate::config::{DeviceRule, List};
use crate::error::Result;
use crate::fail;
use crate::put;
use crate::rt::arena::{self, Arena};
use core::ffi::CStr;

/// BPF_DEVCG_ACC_MKNOD, _READ, _WRITE (linux/bpf.h).
const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const ALL: u8 = MKNOD | READ | WRITE;
/// The accesses as a v1 devices cgroup has them, each set at the place of its bits, from 1.
const ACCESSES: &str = "m r rm w wm rw rwm ";
/// BPF_DEVCG_DEV_BLOCK and _CHAR.
const BLOCK: u8 = 1;
const CHAR: u8 = 2;
/// Stands for every number.
const ANY: i64 = -1;

/// One rule; `kind` 0 stands for both kinds, [`ANY`] for every major or minor number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    allow: bool,
    kind: u8,
    access: u8,
    major: i64,
    minor: i64,
}

/// Denies everything.
const NOTHING: Rule = Rule { allow: false, kind: 0, access: ALL, major: ANY, minor: ANY };

/// What every container may do, as in runc: make any node; use null, zero, full, random, urandom, tty, the pty slaves
/// and the pty multiplexer. Kind, access, major, minor.
static DEFAULTS: [(u8, u8, i16, i16); 10] = [
    (CHAR, MKNOD, -1, -1),
    (BLOCK, MKNOD, -1, -1),
    (CHAR, ALL, 1, 3),
    (CHAR, ALL, 1, 8),
    (CHAR, ALL, 1, 7),
    (CHAR, ALL, 5, 0),
    (CHAR, ALL, 1, 5),
    (CHAR, ALL, 1, 9),
    (CHAR, ALL, 136, -1),
    (CHAR, ALL, 5, 2),
];

/// The rules in force for the bundle's `rules`, in order.
///
/// # Errors
/// A number out of range.
pub fn in_force<'a>(arena: &Arena<'a>, rules: List<'a, DeviceRule<'a>>) -> Result<'a, &'a [Rule]> {
    let mut list = arena.list(rules.len() + DEFAULTS.len() + 1)?;
    list.push(NOTHING)?;
    let mut start = 0;
    for rule in rules.iter() {
        let rule = read(arena, &rule)?;
        if rule.kind == 0 && rule.access == ALL && rule.major == ANY && rule.minor == ANY {
            start = list.items().len();
        }
        list.push(rule)?;
    }
    for &(kind, access, major, minor) in &DEFAULTS {
        list.push(Rule { allow: true, kind, access, major: i64::from(major), minor: i64::from(minor) })?;
    }
    let all: &'a [Rule] = list.done();
    Ok(all.get(start..).unwrap_or(all))
}

/// The rules in force as a v1 devices cgroup takes them: what holds for every device, then the exceptions from it as the
/// rules behind leave them, each for one kind of device. That cgroup keeps exceptions in one direction only: a rule that
/// takes one back whole has done so here.
///
/// # Errors
/// A rule takes back part of an exception for many devices: that cgroup would leave the exception as it is.
#[inline(never)]
#[cold]
pub fn lines<'a>(arena: &Arena<'a>, rules: &[Rule]) -> Result<'a, &'a [Rule]> {
    let mut lines = arena.list(rules.len() * 2)?;
    let mut rest = rules;
    while let [rule, behind @ ..] = rest {
        if rest.len() == rules.len() {
            lines.push(*rule)?;
        }
        // `a` would be every device, whatever the numbers and the access
        for kind in BLOCK..=CHAR {
            let mut line = Rule { kind, ..*rule };
            if rule.of(kind) && line.left(arena, behind, rules)? {
                lines.push(line)?;
            }
        }
        rest = behind;
    }
    Ok(lines.done())
}

fn read<'a>(arena: &Arena<'a>, rule: &DeviceRule<'a>) -> Result<'a, Rule> {
    let kind = match rule.kind().unwrap_or(c"").to_bytes() {
        b"b" => BLOCK,
        b"c" => CHAR,
        _ => 0,
    };
    let mut access = 0;
    for letter in rule.access().filter(|access| !access.is_empty()).unwrap_or(c"rwm").to_bytes() {
        access |= match letter {
            b'm' => MKNOD,
            b'r' => READ,
            _ => WRITE,
        };
    }
    let (major, minor) = (rule.major().unwrap_or(ANY), rule.minor().unwrap_or(ANY));
    let wrong = |number| !(ANY..=i64::from(u32::MAX)).contains(&number);
    let (name, number) = if wrong(major) { ("major ", major) } else { ("minor ", minor) };
    if wrong(number) {
        return Err(fail!(
            arena,
            "config.json: linux.resources.devices: ",
            name,
            number,
            " is not a device number"
        ));
    }
    Ok(Rule { allow: rule.allow(), kind, access, major, minor })
}

impl Rule {
    /// Whether it is one for devices of this kind.
    fn of(&self, kind: u8) -> bool {
        self.kind & !kind == 0
    }

    /// Takes off what those behind it take back, and says whether an exception from the first of all is left.
    #[inline(never)]
    fn left<'a>(&mut self, arena: &Arena<'a>, behind: &[Rule], all: &[Rule]) -> Result<'a, bool> {
        let Some(first) = all.first().filter(|first| first.allow != self.allow) else { return Ok(false) };
        for back in behind.iter().filter(|back| back.allow == first.allow && back.of(self.kind)) {
            let pairs = [(back.major, self.major), (back.minor, self.minor)];
            if pairs.iter().any(|(back, own)| back != own && *back != ANY && *own != ANY) {
                continue;
            }
            if pairs.iter().all(|(back, own)| back == own || *back == ANY) {
                self.access &= !back.access;
            } else if self.access & back.access != 0 {
                let back = Rule { kind: self.kind, ..*back };
                return Err(fail!(
                    arena,
                    "config.json: linux.resources.devices: \"",
                    back,
                    "\" can't be taken out of \"",
                    *self,
                    "\" on cgroup v1 (cannot punch hole in existing wildcard rule)"
                ));
            }
        }
        Ok(self.access != 0)
    }

    /// The file of a v1 devices cgroup that takes the rule.
    pub fn file(&self) -> &'static CStr {
        if self.allow { c"devices.allow" } else { c"devices.deny" }
    }
}

/// The line of a v1 devices cgroup, e.g. `c 1:3 rwm`.
impl Put for Rule {
    fn put(&self, to: &mut dyn Sink) {
        let number = |n| if n == ANY { Part::Text(b"*") } else { Part::Signed(n) };
        put!(
            to,
            words::nth("a b c ", usize::from(self.kind)),
            " ",
            number(self.major),
            ":",
            number(self.minor),
            " ",
            words::nth(ACCESSES, usize::from(self.access).wrapping_sub(1))
        );
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

/// Where a jump goes that is not known yet, which is kept in the offset until the program is whole: to the exit that
/// allows or to the one that denies.
const fn exit(allow: bool) -> i16 {
    i16::MAX - allow as i16
}

/// A program's first part: kind (r2), access (r3), major (r4) and minor number (r5) out of struct bpf_cgroup_dev_ctx.
static FIRST: [Instruction; 6] = [
    op(0x61, R2, R1, 0, 0),     // r2 = access << 16 | kind
    op(0xbf, R3, R2, 0, 0),     // r3 = r2
    op(0x54, R2, 0, 0, 0xffff), // w2 &= 0xffff: the kind
    op(0x74, R3, 0, 0, 16),     // w3 >>= 16: the access
    op(0x61, R4, R1, 4, 0),     // r4 = major
    op(0x61, R5, R1, 8, 0),     // r5 = minor
];

const fn op(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | destination, offset, immediate }
}

/// A program under construction.
struct Program<'a> {
    code: arena::List<'a, Instruction>,
    /// There was no room for an instruction.
    full: bool,
}

impl Program<'_> {
    #[inline(never)]
    fn push(&mut self, code: u8, registers: u8, offset: i16, immediate: i32) {
        self.full |= self.code.push(Instruction { code, registers, offset, immediate }).is_err();
    }

    fn here(&self) -> usize {
        self.code.items().len()
    }

    /// A jump over what follows; [`Program::land`] says where it ends.
    fn skip_unless(&mut self, register: u8, value: i64) -> usize {
        let at = self.here();
        self.push(IF_NOT, register, 0, value as i32);
        at
    }

    #[inline(never)]
    fn land(&mut self, jump: usize) {
        let distance = self.here().wrapping_sub(jump).wrapping_sub(1);
        if let Some(instruction) = self.code.items_mut().get_mut(jump) {
            instruction.offset = distance as i16;
        }
    }

    /// What a rule says once kind and major number match. A whole rule settles the matter; one of part of the accesses
    /// either denies one that is still open, or grants its part, so that only the rest (r3) stays open.
    #[inline(never)]
    fn verdict(&mut self, rule: &Rule) {
        let to = exit(rule.allow);
        if rule.access == ALL {
            let (code, register, value) = if rule.minor == ANY { (GOTO, 0, 0) } else { (IF, R5, rule.minor) };
            return self.push(code, register, to, value as i32);
        }
        let minor = (rule.minor != ANY).then(|| self.skip_unless(R5, rule.minor));
        if rule.allow {
            self.push(0x54, R3, 0, i32::from(!rule.access & ALL)); // w3 &= the other accesses
            self.push(IF, R3, to, 0);
        } else {
            self.push(IF_ANY, R3, to, i32::from(rule.access));
        }
        if let Some(jump) = minor {
            self.land(jump);
        }
    }

    /// A run of rules with one verdict: their order does not matter, so each kind and each major is tested once.
    /// The verifier refuses code that can't be reached, so nothing may follow an unconditional jump.
    fn run(&mut self, rules: &[Rule]) {
        for rule in rules.iter().filter(|r| r.major == ANY) {
            // the same for both kinds: one test serves
            let pair = rule.access != ALL && rules.contains(&Rule { kind: rule.kind ^ 3, ..*rule });
            if rule.kind == 0 || pair && rule.kind == CHAR {
                self.verdict(rule);
            } else if !pair {
                let other = self.skip_unless(R2, i64::from(rule.kind));
                self.verdict(rule);
                self.land(other);
            }
        }
        for kind in [CHAR, BLOCK, 0] {
            let mut other = None;
            for (i, rule) in rules.iter().enumerate() {
                let same = |r: &&Rule| r.kind == kind && r.major == rule.major;
                if rule.major == ANY || rules.iter().position(|r| same(&r)) != Some(i) {
                    continue;
                }
                if kind != 0 && other.is_none() {
                    other = Some(self.skip_unless(R2, i64::from(kind)));
                }
                if rules.iter().filter(same).any(|r| r.minor == ANY && r.access == ALL) {
                    self.push(IF, R4, exit(rule.allow), rule.major as i32);
                    continue;
                }
                let next = self.skip_unless(R4, rule.major);
                rules.iter().filter(same).for_each(|same| self.verdict(same));
                self.land(next);
            }
            if let Some(jump) = other {
                self.land(jump);
            }
        }
    }

    /// The exits, and every jump to them: first the verdict where no rule matched, then the other, if anything leads there.
    fn finish(&mut self, otherwise: bool) {
        let first = self.here();
        let both = self.code.items().iter().any(|i| i.offset == exit(!otherwise));
        for verdict in [otherwise, !otherwise].iter().take(1 + usize::from(both)) {
            self.push(0xb4, R0, 0, i32::from(*verdict)); // w0 = verdict
            self.push(0x95, 0, 0, 0); // exit
        }
        for (at, instruction) in self.code.items_mut().iter_mut().enumerate() {
            let target = match instruction.offset {
                to if to == exit(otherwise) => first,
                to if to == exit(!otherwise) => first + 2,
                _ => continue,
            };
            instruction.offset = target.wrapping_sub(at).wrapping_sub(1) as i16;
        }
    }
}

/// The program for `rules` (the last match decides, so they are tried from the end).
///
/// # Errors
/// More rules than 4096 instructions hold; the arena is full.
pub fn program<'a>(arena: &Arena<'a>, rules: &[Rule]) -> Result<'a, &'a [Instruction]> {
    let mut program = Program { code: arena.list((rules.len() * 6 + 16).min(MOST))?, full: false };
    for first in &FIRST {
        program.push(first.code, first.registers, first.offset, first.immediate);
    }
    let mut rest = rules;
    // the first rule in force matches everything, and with it the run it stands in: that is the verdict at the end
    while let Some(settled) = rest.last().and_then(|last| rest.iter().rposition(|r| r.allow != last.allow)) {
        let (before, run) = rest.split_at_checked(settled + 1).unwrap_or((&[], rest));
        program.run(run);
        rest = before;
    }
    program.finish(rest.first().is_some_and(|r| r.allow));
    if program.full {
        return Err(fail!(
            arena,
            "config.json: linux.resources.devices: more rules than fit into ",
            MOST,
            " instructions"
        ));
    }
    Ok(program.code.done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Value;
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
                && (r.major == ANY || r.major == i64::from(major))
                && (r.minor == ANY || r.minor == i64::from(minor))
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
        let rule = |allow, kind, major: Option<i64>, minor: Option<i64>, access| Rule {
            allow,
            kind,
            access,
            major: major.unwrap_or(ANY),
            minor: minor.unwrap_or(ANY),
        };
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
            all.extend(in_force(&arena, List::ABSENT).unwrap().iter().skip(1));
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

    /// The kernel's v1 devices cgroup (security/device_cgroup.c): a behaviour and exceptions from it, of which only those with
    /// the very same numbers are joined or taken back.
    #[derive(Default)]
    struct V1 {
        allow: bool,
        exceptions: Vec<Rule>,
    }

    impl V1 {
        fn take(&mut self, line: &Rule) {
            if line.kind == 0 {
                *self = V1 { allow: line.allow, exceptions: Vec::new() };
                return;
            }
            let same = |e: &&mut Rule| (e.kind, e.major, e.minor) == (line.kind, line.major, line.minor);
            match (self.exceptions.iter_mut().find(same), line.allow != self.allow) {
                (Some(e), true) => e.access |= line.access,
                (Some(e), false) => e.access &= !line.access,
                (None, true) => self.exceptions.push(*line),
                (None, false) => {}
            }
        }

        /// Whether all of `access` is allowed.
        fn verdict(&self, kind: u8, access: u8, major: i64, minor: i64) -> bool {
            let meets = |e: &&Rule| {
                e.kind == kind && (e.major == ANY || e.major == major) && (e.minor == ANY || e.minor == minor)
            };
            if self.allow {
                !self.exceptions.iter().any(|e| meets(&e) && e.access & access != 0)
            } else {
                self.exceptions.iter().any(|e| meets(&e) && access & !e.access == 0)
            }
        }
    }

    /// Every set of three rules of a small world, behind each catch-all: v1 either has it as it is meant, each access by itself,
    /// or refuses it.
    #[test]
    fn a_v1_devices_cgroup_holds_what_it_takes() {
        let mut some = Vec::new();
        for allow in [false, true] {
            for kind in [0, CHAR] {
                for (major, minor) in [(ANY, ANY), (1, ANY), (ANY, 3), (1, 3)] {
                    for access in [READ, ALL] {
                        some.push(Rule { allow, kind, access, major, minor });
                    }
                }
            }
        }
        let pairs: Vec<(Rule, Rule)> = some.iter().flat_map(|b| some.iter().map(|c| (*b, *c))).collect();
        let (mut held, mut refused) = (0, 0);
        for (allow, a) in [false, true].into_iter().flat_map(|allow| some.iter().map(move |a| (allow, *a))) {
            let arena = test_arena(1 << 20);
            for (b, c) in &pairs {
                let mut rules = vec![Rule { allow, ..NOTHING }, a, *b, *c];
                let whole = |r: &Rule| Rule { allow: false, ..*r } == NOTHING;
                rules.drain(..rules.iter().rposition(whole).unwrap());
                let Ok(lines) = lines(&arena, &rules) else {
                    refused += 1;
                    continue;
                };
                held += 1;
                let mut cgroup = V1::default();
                lines.iter().for_each(|line| cgroup.take(line));
                for n in 0..16 {
                    let pick = |bit: u32, values: [u8; 2]| values[usize::from(n & bit != 0)];
                    let (kind, access) = (pick(1, [CHAR, BLOCK]), pick(2, [READ, WRITE]));
                    let (major, minor) = (pick(4, [1, 9]), pick(8, [3, 9]));
                    assert_eq!(
                        cgroup.verdict(kind, access, major.into(), minor.into()),
                        slow(&rules, kind.into(), access.into(), major.into(), minor.into()),
                        "{rules:?} as {lines:?}: kind {kind} access {access} {major}:{minor}"
                    );
                }
            }
        }
        assert!(held > 20_000 && refused > 1000, "{held} held, {refused} refused");
    }

    #[test]
    fn a_hole_in_an_exception_for_many_is_refused_on_v1() {
        let arena = test_arena(1 << 16);
        let wide = Rule { allow: true, kind: CHAR, access: ALL, major: 1, minor: ANY };
        let hole = Rule { allow: false, kind: 0, access: WRITE, major: 1, minor: 3 };
        let error = lines(&arena, &[NOTHING, wide, hole]).unwrap_err();
        let text = "\"c 1:3 w\" can't be taken out of \"c 1:* rwm\" on cgroup v1";
        assert!(String::from_utf8_lossy(error.text()).contains(text));
        // what is not there can't have a hole
        assert_eq!(lines(&arena, &[NOTHING, hole, wide]).unwrap(), [NOTHING, wide]);
        let reading = Rule { access: READ, ..wide };
        assert_eq!(lines(&arena, &[NOTHING, reading, hole]).unwrap(), [NOTHING, reading]);
    }

    /// `a` in a v1 devices cgroup is every device with every access, whatever stands behind it.
    #[test]
    fn a_rule_for_both_kinds_is_two_on_v1() {
        let arena = test_arena(1 << 16);
        let both = Rule { allow: true, kind: 0, access: READ, major: 7, minor: ANY };
        let each = |kind| Rule { kind, ..both };
        assert_eq!(lines(&arena, &[NOTHING, both]).unwrap(), [NOTHING, each(BLOCK), each(CHAR)]);
    }

    #[test]
    fn the_program_of_a_plain_bundle_is_short() {
        let arena = test_arena(1 << 16);
        let rules = in_force(&arena, List::ABSENT).unwrap();
        assert_eq!(program(&arena, rules).unwrap().len(), 23);
        let one = Rule { allow: true, kind: CHAR, access: READ, major: 1, minor: 1 };
        let mut many = vec![one; 5000];
        many.insert(0, NOTHING);
        assert!(String::from_utf8_lossy(program(&arena, &many).unwrap_err().text()).contains("4096"));
    }

    #[test]
    fn what_stands_before_the_last_catch_all_is_left_out() {
        let arena = test_arena(1 << 16);
        let rules = in_force(&arena, List::ABSENT).unwrap();
        assert_eq!(rules.len(), 11);
        let text: Vec<String> =
            rules.iter().map(|r| String::from_utf8_lossy(crate::compose!(arena, *r)).into_owned()).collect();
        assert_eq!(text[0], "a *:* rwm");
        assert_eq!(text[1], "c *:* m");
        assert_eq!(text[9], "c 136:* rwm");
    }
}
