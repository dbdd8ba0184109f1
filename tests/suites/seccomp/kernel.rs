//! Filters in the kernel: a child loads one and makes the calls.

use super::bpf::{Call, Instruction, RETURN};
use super::reference::{ALLOW, X86, X86_64};
use nix::libc;
use std::collections::BTreeMap;
use std::ptr;

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    len: u16,
    filter: *const Instruction,
}

fn load(program: &[Instruction]) -> bool {
    let program = Program { len: program.len() as u16, filter: program.as_ptr() };
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    }
}

/// A call by the way that its architecture enters the kernel. i386 has 32 bits of each argument.
fn make(call: &Call) -> i64 {
    let [a, b, c, d, e, f] = call.args;
    let mut result = i64::from(call.number);
    unsafe {
        if call.arch == X86_64.audit {
            std::arch::asm!("syscall", inlateout("rax") result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
                in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _);
        } else {
            assert_eq!(call.arch, X86.audit);
            // rbx and rbp can't be named as operands
            let both = [a, f];
            std::arch::asm!("push rbx", "push rbp", "mov rbx, [r8]", "mov rbp, [r8 + 8]", "int 0x80", "pop rbp", "pop rbx",
                inlateout("r8") both.as_ptr() => _, inlateout("rax") result, in("rcx") b, in("rdx") c, in("rsi") d,
                in("rdi") e, lateout("r9") _, lateout("r10") _, lateout("r11") _);
            result = i64::from(result as i32);
        }
    }
    result
}

/// Memory that a child shares with this process.
fn shared(length: usize) -> *mut i64 {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let at =
        unsafe { libc::mmap(ptr::null_mut(), length * 8, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    at.cast()
}

/// Runs `body` in a child behind a filter. The child ends itself by an invalid instruction: nothing else is sure to work
/// there. Where the filter can't be loaded, nothing is run.
fn in_child(filter: Option<&[Instruction]>, body: impl FnOnce()) {
    let loaded = shared(1);
    unsafe {
        match libc::fork() {
            -1 => panic!("fork"),
            0 => {
                libc::signal(libc::SIGILL, libc::SIG_DFL);
                libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 });
                loaded.write(i64::from(filter.is_none_or(load)));
                if loaded.read() == 1 {
                    body();
                }
                std::arch::asm!("ud2", options(noreturn));
            }
            pid => {
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
                assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGILL, "{status:x}");
                assert_eq!(loaded.read(), 1, "the kernel does not take the filter");
                libc::munmap(loaded.cast(), 8);
            }
        }
    }
}

/// What the calls return in a child.
fn results(filter: Option<&[Instruction]>, calls: &[Call]) -> Vec<i64> {
    let results = shared(calls.len());
    in_child(filter, || {
        for (n, call) in calls.iter().enumerate() {
            unsafe { results.add(n).write(make(call)) };
        }
    });
    let all = unsafe { std::slice::from_raw_parts(results, calls.len()).to_vec() };
    unsafe { libc::munmap(results.cast(), calls.len() * 8) };
    all
}

/// What the kernel's run of the program returns for each call. No call is carried out: each return value of the program
/// is replaced by an errno that stands for it.
pub fn verdicts(program: &[Instruction], calls: &[Call]) -> Vec<u32> {
    const FIRST: u32 = 1000;
    let mut values: BTreeMap<u32, u32> = BTreeMap::new();
    let mut coded = program.to_vec();
    for instruction in coded.iter_mut().filter(|i| i.code == RETURN) {
        let next = FIRST + values.len() as u32;
        instruction.k = 0x0005_0000 | *values.entry(instruction.k).or_insert(next);
    }
    let all = results(Some(&coded), calls);
    let value =
        |errno: &i64| *values.iter().find(|(_, code)| i64::from(**code) == -errno).expect("a verdict").0;
    all.iter().map(value).collect()
}

/// A sample of real calls behind Docker's filter, each beside the same call without one.
pub fn sample(program: &[Instruction]) {
    let call =
        |number: libc::c_long, args: [u64; 6]| Call { number: number as u32, arch: X86_64.audit, args };
    let x86 = |number: u32, args: [u64; 6]| Call { number, arch: X86.audit, args };
    let none = [0; 6];
    const NO: i64 = i64::MIN;
    let [eperm, enosys] = [libc::EPERM, libc::ENOSYS].map(|errno| -i64::from(errno));
    assert!(program.iter().any(|i| i.code == RETURN && i.k == ALLOW));
    // each with what it must give behind the filter; NO stands for "as without one"
    let calls = [
        (call(libc::SYS_getppid, none), NO),
        (call(libc::SYS_getuid, none), NO),
        (call(libc::SYS_unshare, none), eperm),
        (call(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0, 0]), NO),
        (call(libc::SYS_personality, [0x1_ffff_ffff, 0, 0, 0, 0, 0]), eperm),
        (call(libc::SYS_socket, [1, 7, 0, 0, 0, 0]), NO),
        (call(libc::SYS_socket, [40, 7, 0, 0, 0, 0]), eperm),
        (call(libc::SYS_clone3, none), enosys),
        (call(600, none), enosys),
        (call(0x4000_0000 | 600, none), enosys),
        (call(0x4000_0000 | libc::SYS_unshare, none), eperm),
        (x86(64, none), NO),
        (x86(310, none), eperm),
        (x86(600, none), enosys),
        (x86(102, [1, 0, 0, 0, 0, 0]), NO),
    ];
    let made: Vec<Call> = calls.iter().map(|(call, _)| *call).collect();
    let (plain, behind) = (results(None, &made), results(Some(program), &made));
    for (n, (call, wanted)) in calls.iter().enumerate() {
        let wanted = if *wanted == NO { plain[n] } else { *wanted };
        assert_eq!(behind[n], wanted, "{call:x?}");
    }
    // the filter makes a difference
    assert_ne!(plain, behind);
}
