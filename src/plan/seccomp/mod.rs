//! linux.seccomp as a filter: a program of classic BPF that gives every system call its action (seccomp(2)).
//!
//! What a profile comes to is what runc 1.3 makes of it with libseccomp: the native architecture is always there, calls of
//! an architecture that is neither native nor listed kill their thread, unknown names are left out, a rule with the
//! default's action is no rule, and a call that is newer than all that the profile names gives ENOSYS. Which rule decides
//! where several match is the business of [`rules`].
//!
//! For each architecture there is one array with the action of each number; equal neighbours are one range, and the ranges
//! become a balanced search. Pure: the machine is a parameter.

mod program;
mod rules;
#[cfg(test)]
mod tests;

use super::Builder;
use super::op::Filter;
use crate::base::bpf::Classic;
use crate::config::{
    List as Items, Seccomp, SeccompAction, SeccompArch, SeccompArg, SeccompFlag, SeccompSyscall, Value,
};
use crate::error::Result;
use crate::fail;
use crate::names::syscalls::{self, Abi, SLOTS, Syscall, Table, X32_BIT};
use crate::rt::arena::{Arena, Full, List};
use linux_raw_sys::errno::{ENOSYS, EPERM};
pub use program::RETURN;
use program::{ARCHITECTURE, Label, MOST, NUMBER, Program, Range};
use rules::Rule;

/// An architecture of a machine.
struct Architecture {
    abi: Abi,
    /// AUDIT_ARCH_* (linux/audit.h).
    audit: u32,
    /// What a profile calls it.
    word: SeccompArch,
}

/// A kind of machine: the architectures that its kernel can run.
pub struct Machine {
    table: &'static Table,
    /// hull's own one first.
    architectures: &'static [Architecture],
}

const fn architecture(abi: Abi) -> Architecture {
    let (audit, word) = match abi {
        Abi::X86_64 => (0xc000_003e, SeccompArch::X86_64),
        Abi::X32 => (0xc000_003e, SeccompArch::X32),
        Abi::X86 => (0x4000_0003, SeccompArch::X86),
        Abi::Aarch64 => (0xc000_00b7, SeccompArch::Aarch64),
        Abi::Arm => (0x4000_0028, SeccompArch::Arm),
        Abi::Riscv64 => (0xc000_00f3, SeccompArch::Riscv64),
    };
    Architecture { abi, audit, word }
}

/// The machines, each where its table is; that of the build's target is [`HOST`] as well.
macro_rules! machines {
    ($( $(#[$about:meta])* $name:ident $target:literal $table:ident [$($abi:ident),+]; )+) => { $(
        $(#[$about])*
        #[cfg(any(test, target_arch = $target))]
        pub static $name: Machine =
            Machine { table: &syscalls::$table, architectures: &[$(architecture(Abi::$abi)),+] };
        #[cfg(target_arch = $target)]
        pub use $name as HOST;
    )+ };
}
machines! {
    /// x86_64.
    X86_64 "x86_64" X86 [X86_64, X32, X86];
    /// 64-bit Arm.
    AARCH64 "aarch64" ARM [Aarch64, Arm];
    /// 32-bit Arm; the kernel may be a 64-bit one.
    ARM "arm" ARM [Arm, Aarch64];
    /// 64-bit RISC-V.
    RISCV64 "riscv64" RISCV [Riscv64];
}

/// SECCOMP_RET_* (linux/seccomp.h).
pub const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
pub const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

/// The highest four bits where the place of a list of rules stands instead of a return value; none of those above has
/// them so.
const RULES: u32 = 0x1000_0000;

/// The place of a list of rules, if it is none of the values above.
fn rules_at(target: u32) -> Option<u32> {
    (target >> 28 == RULES >> 28).then_some(target ^ RULES)
}

/// What a filter returns for an action; its data has 16 bits.
fn returned(action: SeccompAction, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(EPERM) & 0xffff;
    match action {
        SeccompAction::Kill | SeccompAction::KillThread => KILL_THREAD,
        SeccompAction::KillProcess => KILL_PROCESS,
        SeccompAction::Trap => TRAP,
        SeccompAction::Errno => ERRNO | data,
        SeccompAction::Trace => TRACE | data,
        SeccompAction::Allow => ALLOW,
        SeccompAction::Log => LOG,
        SeccompAction::Notify => USER_NOTIF,
    }
}

impl<'a> Builder<'a, '_> {
    /// The filter that the config asks for.
    #[cold]
    #[inline(never)]
    pub(super) fn filter(&self, seccomp: Seccomp<'a>) -> Option<&'a Filter<'a>> {
        let program = self.noted(compile(self.arena, &seccomp, &HOST))?;
        let path = seccomp.listener_path();
        let notifies = |rule: SeccompSyscall<'a>| rule.action() == SeccompAction::Notify;
        let listener = if seccomp.syscalls().iter().any(notifies) { path } else { None };
        let mut flags = if listener.is_some() { NEW_LISTENER } else { 0 };
        for flag in seccomp.flags().unwrap_or(Items::ABSENT).iter() {
            flags |= match flag {
                // the one thread that there is gets the filter anyhow, and before Linux 5.7 the kernel refuses both flags
                SeccompFlag::Tsync if listener.is_some() => 0,
                SeccompFlag::Tsync => 1,
                SeccompFlag::Log => 2,
                SeccompFlag::SpecAllow => SPEC_ALLOW,
                SeccompFlag::WaitKillableRecv => 32,
            };
        }
        // runc: by default, and only then, where the kernel has it
        let wish = if seccomp.flags().is_none() { SPEC_ALLOW } else { 0 };
        let metadata = seccomp.listener_metadata().unwrap_or(c"");
        self.noted(self.arena.one(Filter { program, flags, wish, listener, metadata }))
    }
}

/// SECCOMP_FILTER_FLAG_* (linux/seccomp.h).
const SPEC_ALLOW: u32 = 4;
const NEW_LISTENER: u32 = 8;

/// The actions of one architecture.
struct Map<'a> {
    architecture: &'static Architecture,
    /// By number: a return value, or the place of the first rule of a list.
    slots: &'a mut [u32],
    /// The largest number that the profile names, as runc counts.
    largest: u32,
}

/// A profile on its way to a filter.
struct Compiler<'a, 'b> {
    arena: &'b Arena<'a>,
    table: &'static Table,
    default: u32,
    /// Rules with conditions, chained by system call.
    rules: List<'a, Rule<'a>>,
}

/// Compiles the profile for a machine.
///
/// # Errors
/// A filter of more than 4096 instructions; a profile too large for the arena.
pub fn compile<'a>(
    arena: &Arena<'a>,
    seccomp: &Seccomp<'a>,
    machine: &'static Machine,
) -> Result<'a, &'a [Classic]> {
    let default = returned(seccomp.default_action(), seccomp.default_errno_ret());
    // with conditions for three architectures and once more for what i386 multiplexes, where a condition is added
    let each = |rule: SeccompSyscall<'a>| {
        rule.names().len().saturating_mul(rule.args().len().saturating_mul(4).max(1))
    };
    let rules = seccomp.syscalls().iter().map(each).fold(0, usize::saturating_add);
    // each takes two instructions or more
    let rules = arena.list(rules.min(MOST))?;
    let mut program = Program::new(arena)?;
    let mut compiler = Compiler { arena, table: machine.table, default, rules };
    // in the machine's order
    let mut maps = heapless::Vec::<Map<'a>, 3>::new();
    for (n, architecture) in machine.architectures.iter().enumerate() {
        if n == 0 || seccomp.architectures().iter().any(|word| word == architecture.word) {
            let map = Map { architecture, slots: arena.slice(SLOTS, default)?, largest: 0 };
            maps.push(map).map_err(|_| Full)?;
        }
    }
    let done = compiler.read(seccomp, &mut maps).and_then(|()| compiler.emit(&maps, &mut program));
    match done {
        Ok(_) => Ok(program.done()),
        Err(Full) if program.len() < MOST && compiler.rules.items().len() < MOST => Err(Full.into()),
        Err(Full) => Err(fail!(
            arena,
            "config.json: linux.seccomp: the filter has more than ",
            MOST,
            " instructions, the most that the kernel takes (BPF_MAXINSNS)"
        )),
    }
}

impl<'a> Compiler<'a, '_> {
    /// Enters all rules.
    fn read(&mut self, seccomp: &Seccomp<'a>, maps: &mut [Map<'a>]) -> core::result::Result<(), Full> {
        for rule in seccomp.syscalls().iter() {
            let (args, action) = (rule.args(), returned(rule.action(), rule.errno_ret()));
            for name in rule.names().iter() {
                let Some(syscall) = self.table.find(name.to_bytes()) else { continue };
                maps.iter_mut().try_for_each(|map| self.enter(map, &args, action, &syscall))?;
            }
        }
        Ok(())
    }

    /// Enters a rule for one system call of one architecture: by its own number and, on i386, by the call that
    /// multiplexes it.
    fn enter(
        &mut self,
        map: &mut Map<'a>,
        args: &Items<'a, SeccompArg<'a>>,
        action: u32,
        syscall: &Syscall,
    ) -> core::result::Result<(), Full> {
        let abi = map.architecture.abi;
        let own = self.table.number(syscall, abi);
        let multiplexed = syscall.multiplexed.filter(|_| abi == Abi::X86);
        if let (Some(number), None) = (own, multiplexed) {
            map.largest = map.largest.max(abi.number(number));
        }
        // runc: not even as an exception from another rule
        if action == self.default {
            return Ok(());
        }
        let parts = rules::parts(args);
        for (number, call) in [(own, None), (multiplexed.map(|m| m.through), multiplexed)] {
            let Some(slot) = number.and_then(|n| map.slots.get_mut(usize::from(n))) else { continue };
            for part in 0..parts {
                let head = rules_at(*slot);
                // one without conditions stands already
                if head.is_none() && *slot != self.default {
                    break;
                }
                let conditions = rules::conditions(self.arena, args, (part, parts), call, abi.is_wide())?;
                *slot = if conditions.is_empty() {
                    action
                } else {
                    let rule = Rule::new(conditions, abi.is_wide(), action);
                    RULES | rules::insert(&mut self.rules, head, rule)?
                };
            }
        }
        Ok(())
    }

    /// The whole filter: the architecture, then the number, then arguments.
    fn emit(&mut self, maps: &[Map<'a>], program: &mut Program<'a>) -> core::result::Result<Label, Full> {
        let mut others = None;
        for map in maps.iter().rev().filter(|map| map.architecture.abi != Abi::X32) {
            // two arrays at most (x86_64 and x32), and what lies beyond them
            let mut list = self.arena.list(2 * SLOTS + 16)?;
            self.ranges(map, maps, &mut list)?;
            let ranges = list.done();
            let found = program.search(ranges, &mut |program, target| self.reach(program, target))?;
            let found = if ranges.len() > 1 { program.load(NUMBER, found)? } else { found };
            let other = match others {
                Some(label) => label,
                None => program.result(KILL_THREAD)?,
            };
            others = Some(program.test(program::Test::Equal, map.architecture.audit, found, other)?);
        }
        program.load(ARCHITECTURE, others.ok_or(Full)?)
    }

    /// The place of a target: a return, or the tests for a list of rules, which are turned around here.
    fn reach(&mut self, program: &mut Program<'a>, target: u32) -> core::result::Result<Label, Full> {
        let Some(head) = rules_at(target) else { return program.result(target) };
        let mut label = program.result(self.default)?;
        let mut next = rules::turn(&mut self.rules, head)?;
        while let Some(place) = next {
            let rule = rules::at(&self.rules, place)?;
            let yes = program.result(rule.action)?;
            label = program.all(rule.conditions, rule.wide, yes, label)?;
            next = rule.next;
        }
        Ok(label)
    }

    /// What the numbers of an architecture come to; those of x32 are among x86_64's, told by a bit.
    fn ranges(
        &self,
        map: &Map<'a>,
        maps: &[Map<'a>],
        list: &mut List<'a, Range>,
    ) -> core::result::Result<(), Full> {
        let beyond = self.fill(map, list)?;
        if map.architecture.abi != Abi::X86_64 {
            return Ok(());
        }
        let (other, beyond_x32) = match maps.iter().find(|map| map.architecture.abi == Abi::X32) {
            Some(x32) => (self.default, self.fill(x32, list)?.unwrap_or(self.default)),
            None => {
                add(list, X32_BIT, KILL_THREAD)?;
                (KILL_THREAD, KILL_THREAD)
            }
        };
        // runc looks at the bit and libseccomp at the number: of what is above and has no bit, runc's stub knows more
        add(list, 0x8000_0000, beyond.unwrap_or(other))?;
        add(list, 0x8000_0000 | X32_BIT, beyond_x32)?;
        // a tracer skips a call by this number (seccomp(2)), so it is no call of x32
        if beyond_x32 == KILL_THREAD { add(list, u32::MAX, self.default) } else { Ok(()) }
    }

    /// The ranges of one array; gives what comes of numbers beyond all that the profile names, if that is not the default.
    fn fill(&self, map: &Map<'a>, list: &mut List<'a, Range>) -> core::result::Result<Option<u32>, Full> {
        let abi = map.architecture.abi;
        // runc: who allows by default allows what is new as well, and a tracer may know it
        let open = matches!(self.default, ALLOW | LOG) || self.default & 0xffff_0000 == TRACE;
        let ends = !open && map.largest != 0;
        for (number, target) in (0..).zip(&*map.slots) {
            let number = abi.number(number);
            if !ends || number <= map.largest {
                add(list, number, *target)?;
            }
        }
        if !ends {
            return Ok(None);
        }
        add(list, map.largest.saturating_add(1), ERRNO | ENOSYS)?;
        Ok(Some(ERRNO | ENOSYS))
    }
}

/// Begins a range, unless the one before goes on.
fn add(list: &mut List<'_, Range>, first: u32, target: u32) -> core::result::Result<(), Full> {
    if list.items().last().is_some_and(|last| last.target == target) {
        return Ok(());
    }
    list.push(Range { first, target })
}
