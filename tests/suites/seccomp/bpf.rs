//! Classic BPF as seccomp(2) runs it: what the kernel's checker takes, and an interpreter.

/// `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// `struct seccomp_data` without the instruction pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub number: u32,
    pub arch: u32,
    pub args: [u64; 6],
}

pub const RETURN: u16 = 0x06;

/// A program as the kernel takes it, from memory.
pub fn parse(bytes: &[u8]) -> Vec<Instruction> {
    assert_eq!(bytes.len() % 8, 0);
    let one = |b: &[u8]| Instruction {
        code: u16::from_ne_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    };
    bytes.chunks(8).map(one).collect()
}

/// What is wrong with a program: jumps must stay inside, loads must hit words of the data, the end must be a return, and
/// every instruction must be reached (the kernel does not ask for that, but what is not reached is waste).
pub fn check(program: &[Instruction]) -> Result<(), String> {
    if program.is_empty() || program.len() > 4096 {
        return Err(format!("{} instructions", program.len()));
    }
    let mut reached = vec![false; program.len()];
    reached[0] = true;
    for (at, i) in program.iter().enumerate() {
        if !reached[at] {
            return Err(format!("instruction {at} is never reached"));
        }
        let targets = match i.code {
            RETURN => vec![],
            0x20 if i.k % 4 == 0 && i.k < 64 => vec![at + 1],
            0x54 => vec![at + 1],
            0x05 => vec![at + 1 + i.k as usize],
            0x15 | 0x25 | 0x35 | 0x45 => vec![at + 1 + usize::from(i.jt), at + 1 + usize::from(i.jf)],
            _ => return Err(format!("instruction {at}: {i:?}")),
        };
        for target in targets {
            *reached.get_mut(target).ok_or_else(|| format!("instruction {at} leads out: {i:?}"))? = true;
        }
    }
    Ok(())
}

fn word(call: &Call, offset: u32) -> u32 {
    let half = |v: u64, high: bool| if high { (v >> 32) as u32 } else { v as u32 };
    match offset {
        0 => call.number,
        4 => call.arch,
        16.. => half(call.args[(offset as usize - 16) / 8], offset % 8 == 4),
        _ => panic!("a load at {offset}"),
    }
}

/// The value that the program returns for a call.
pub fn run(program: &[Instruction], call: &Call) -> u32 {
    let (mut a, mut at) = (0, 0);
    loop {
        let i = &program[at];
        at += 1;
        let skip = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
        match i.code {
            0x20 => a = word(call, i.k),
            0x54 => a &= i.k,
            0x05 => at += i.k as usize,
            0x15 => at += skip(a == i.k),
            0x25 => at += skip(a > i.k),
            0x35 => at += skip(a >= i.k),
            0x45 => at += skip(a & i.k != 0),
            RETURN => return i.k,
            _ => panic!("{i:?}"),
        }
    }
}
