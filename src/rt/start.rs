//! From the kernel's initial stack to `hull::run`: argc, argv, envp and the auxiliary vector.
//!
//! The layout is that of the System V ABI: the stack pointer at entry points to argc, then argv, NULL, envp, NULL, and
//! pairs of auxv entries up to AT_NULL. Everything there lives as long as the process.
//!
//! What can go wrong: reading past the vectors if the kernel did not end them as the ABI says; nothing else writes there.
#![allow(unsafe_code)]

use crate::base::text::after;
use core::ffi::CStr;

// `_start` per architecture: hands the initial stack pointer over, aligned as the ABI wants it for a call.
#[cfg(all(not(test), target_arch = "x86_64"))]
core::arch::global_asm!(
    ".globl _start", ".type _start,@function", "_start:",
    "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {entry}", "ud2",
    entry = sym entry
);
#[cfg(all(not(test), target_arch = "aarch64"))]
core::arch::global_asm!(
    ".globl _start", ".type _start,%function", "_start:",
    "mov x29, xzr", "mov x30, xzr", "mov x0, sp", "and sp, x0, #-16", "bl {entry}", "brk #1",
    entry = sym entry
);
#[cfg(all(not(test), target_arch = "arm"))]
core::arch::global_asm!(
    ".globl _start", ".type _start,%function", ".arm", "_start:",
    "mov fp, #0", "mov lr, #0", "mov r0, sp", "bic sp, sp, #7", "bl {entry}", "udf #0",
    entry = sym entry
);
#[cfg(all(not(test), target_arch = "riscv64"))]
core::arch::global_asm!(
    ".globl _start", ".type _start,@function", "_start:",
    ".option push", ".option norelax", "lla gp, __global_pointer$", ".option pop",
    "mv fp, zero", "mv a0, sp", "andi sp, sp, -16", "call {entry}", "unimp",
    entry = sym entry
);

#[cfg(not(test))]
unsafe extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: `stack` is the initial stack pointer, handed over by `_start` before anything was pushed.
    let start = unsafe { Start::from_stack(stack) };
    crate::sys::process::exit(crate::command::main(&start))
}

/// What the kernel handed over at exec.
#[derive(Clone, Copy)]
pub struct Start {
    argv: *const *const u8,
    envp: *const *const u8,
    auxv: *const [usize; 2],
}

/// AT_EXECFN of getauxval(3): the path given to execve, `/dev/fd/N` after execveat on a bare descriptor.
const AT_EXECFN: usize = 31;

impl Start {
    /// # Safety
    /// `stack` must point to argc as the ABI lays it out, for the whole life of the process.
    #[cfg(not(test))]
    unsafe fn from_stack(stack: *const usize) -> Start {
        // SAFETY: argc, argv[argc] and NULL are there by the ABI; envp follows, then auxv behind its NULL.
        unsafe {
            let argv = stack.add(1).cast::<*const u8>();
            let envp = argv.add(stack.read() + 1);
            let mut end = envp;
            while !end.read().is_null() {
                end = end.add(1);
            }
            Start { argv, envp, auxv: end.add(1).cast() }
        }
    }

    /// The arguments, program name first.
    pub fn args(&self) -> Strings {
        Strings(self.argv)
    }

    /// The environment, `NAME=value` each.
    pub fn env(&self) -> Strings {
        Strings(self.envp)
    }

    /// The value of `name` in the environment.
    pub fn var(&self, name: &[u8]) -> Option<&'static CStr> {
        self.env().find_map(|entry| {
            let rest = after(after(entry.to_bytes_with_nul(), name)?, b"=")?;
            super::c_string::whole(rest)
        })
    }

    /// The path that was executed, as the kernel recorded it.
    pub fn executable(&self) -> Option<&'static CStr> {
        let mut at = self.auxv;
        loop {
            // SAFETY: the vector ends with AT_NULL (0), where this loop stops.
            let [kind, value] = unsafe { at.read() };
            match kind {
                0 => return None,
                // SAFETY: AT_EXECFN points to a NUL-terminated string on the initial stack.
                AT_EXECFN => return Some(unsafe { CStr::from_ptr(value as *const core::ffi::c_char) }),
                // SAFETY: not at AT_NULL yet, so another pair follows.
                _ => at = unsafe { at.add(1) },
            }
        }
    }

    /// argv as execve(2) takes it.
    pub fn argv(&self) -> *const *const u8 {
        self.argv
    }

    /// envp as execve(2) takes it.
    pub fn envp(&self) -> *const *const u8 {
        self.envp
    }
}

/// A NULL-terminated vector of C strings.
#[derive(Clone, Copy)]
pub struct Strings(*const *const u8);

impl Iterator for Strings {
    type Item = &'static CStr;
    fn next(&mut self) -> Option<&'static CStr> {
        // SAFETY: the vector ends with NULL, and `self.0` never moves past it.
        unsafe {
            let text = self.0.read();
            if text.is_null() {
                return None;
            }
            self.0 = self.0.add(1);
            Some(CStr::from_ptr(text.cast()))
        }
    }
}
