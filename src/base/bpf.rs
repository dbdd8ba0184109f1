//! One instruction of eBPF, as plain data: compiled in `plan`, loaded by `sys`.

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
