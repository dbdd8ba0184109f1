//! eBPF: loading a cgroup device program and attaching it.
//!
//! | call | why | oldest kernel | fallback |
//! |---|---|---|---|
//! | bpf | device rules on cgroup v2 | 4.15 | none: the error names CONFIG_CGROUP_BPF |
#![allow(unsafe_code)]

use super::fault::Outcome;
use super::raw::{descriptor3, done3};
use crate::base::bpf::Instruction;
use linux_raw_sys::general as n;
use rustix::fd::{AsRawFd, BorrowedFd};

const BPF_PROG_LOAD: usize = 5;
const BPF_PROG_ATTACH: usize = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The start of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The start of `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads a program of type BPF_PROG_TYPE_CGROUP_DEVICE and attaches it to a cgroup v2 directory; programs of ancestors
/// stay in force (BPF_F_ALLOW_MULTI).
///
/// # Errors
/// As bpf(2): EPERM without CAP_BPF or CAP_SYS_ADMIN, EINVAL where the kernel lacks CONFIG_CGROUP_BPF.
pub fn use_device_program(cgroup: BorrowedFd<'_>, program: &[Instruction]) -> Outcome<()> {
    let load = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: `load`, the program and the licence outlive the call, which makes a descriptor for this process.
    let program = unsafe {
        let at = &raw const load as usize;
        descriptor3(n::__NR_bpf, BPF_PROG_LOAD, at, size_of::<Load>())?
    };
    let attach = Attach {
        target_fd: cgroup.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `attach` outlives the call.
    unsafe { done3(n::__NR_bpf, BPF_PROG_ATTACH, &raw const attach as usize, size_of::<Attach>()) }
}
