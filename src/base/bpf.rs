//! Instructions of BPF, as plain data: compiled in `plan`, loaded by `sys`.

/// `struct bpf_insn` (linux/bpf.h).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Source register in the high, destination register in the low half.
    pub registers: u8,
    /// Jump or memory offset.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

/// `struct sock_filter` (linux/filter.h): one instruction of classic BPF, which seccomp filters are made of.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Classic {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip where a test holds.
    pub jt: u8,
    /// How many to skip where it does not.
    pub jf: u8,
    /// Operand; how many to skip for a plain jump.
    pub k: u32,
}
