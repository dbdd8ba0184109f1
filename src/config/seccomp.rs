//! `linux.seccomp`: the system call filter (config-linux.md, "Seccomp").

use super::rules;
use crate::json::schema::Kind;
use crate::json::view::{List, object, word_values};
use core::ffi::CStr;

object! {
    /// The filter.
    Seccomp {
        /// For calls that no rule names.
        default_action "defaultAction": required SeccompAction;
        /// The errno of the default action.
        default_errno_ret "defaultErrnoRet": optional u32;
        /// Architectures beside the kernel's own.
        architectures "architectures": plain List<'a, SeccompArch>;
        /// Flags of seccomp(2); an empty list is not the same as none.
        flags "flags": optional List<'a, SeccompFlag>;
        /// The socket that takes the notify descriptor.
        listener_path "listenerPath": optional &'a CStr;
        /// Text for the one behind that socket.
        listener_metadata "listenerMetadata": optional &'a CStr;
        /// The rules.
        syscalls "syscalls": plain List<'a, SeccompSyscall<'a>>;
    }
}

object! {
    /// One rule.
    SeccompSyscall {
        /// System calls; not empty once validated.
        names "names": required List<'a, &'a CStr>;
        /// What happens.
        action "action": required SeccompAction;
        /// The errno of SCMP_ACT_ERRNO, the message of SCMP_ACT_TRACE.
        errno_ret "errnoRet": optional u32;
        /// Conditions; all must hold.
        args "args": plain List<'a, SeccompArg<'a>>;
    }
}

object! {
    /// One condition on an argument.
    SeccompArg {
        /// Which argument, from 0 to 5.
        index "index": required u32 = Kind::Number(&rules::ARGUMENT);
        /// What it is compared with; the mask of SCMP_CMP_MASKED_EQ.
        value "value": required u64;
        /// The value of SCMP_CMP_MASKED_EQ.
        value_two "valueTwo": optional u64;
        /// The comparison.
        op "op": required SeccompOperator;
    }
}

crate::words! {
    /// What happens to a call.
    SeccompAction "SCMP_ACT_" {
        /// SCMP_ACT_KILL_THREAD by its old name.
        Kill = "KILL",
        /// The process is killed.
        KillProcess = "KILL_PROCESS",
        /// The thread is killed.
        KillThread = "KILL_THREAD",
        /// SIGSYS.
        Trap = "TRAP",
        /// An errno.
        Errno = "ERRNO",
        /// A tracer decides.
        Trace = "TRACE",
        /// It runs.
        Allow = "ALLOW",
        /// It runs, and is logged.
        Log = "LOG",
        /// The listener decides.
        Notify = "NOTIFY",
    }
}

crate::words! {
    /// Comparisons.
    SeccompOperator "SCMP_CMP_" {
        /// Not equal.
        NotEqual = "NE",
        /// Less.
        Less = "LT",
        /// Less or equal.
        LessOrEqual = "LE",
        /// Equal.
        Equal = "EQ",
        /// Greater or equal.
        GreaterOrEqual = "GE",
        /// Greater.
        Greater = "GT",
        /// Equal under a mask.
        MaskedEqual = "MASKED_EQ",
    }
}

crate::words! {
    /// SECCOMP_FILTER_FLAG_* (seccomp(2)).
    SeccompFlag "SECCOMP_FILTER_FLAG_" {
        /// All threads.
        Tsync = "TSYNC",
        /// Actions but SCMP_ACT_ALLOW are logged.
        Log = "LOG",
        /// No mitigation of speculative store bypass.
        SpecAllow = "SPEC_ALLOW",
        /// Only fatal signals end the wait for the listener.
        WaitKillableRecv = "WAIT_KILLABLE_RECV",
    }
}

crate::words! {
    /// Architectures; how each maps to an AUDIT_ARCH is the compiler's business.
    SeccompArch "SCMP_ARCH_" {
        /// i386.
        X86 = "X86",
        /// x86_64.
        X86_64 = "X86_64",
        /// x86_64 with 32-bit pointers.
        X32 = "X32",
        /// 32-bit Arm.
        Arm = "ARM",
        /// 64-bit Arm.
        Aarch64 = "AARCH64",
        /// LoongArch.
        Loongarch64 = "LOONGARCH64",
        /// Motorola 68000.
        M68k = "M68K",
        /// MIPS.
        Mips = "MIPS",
        /// MIPS, 64-bit.
        Mips64 = "MIPS64",
        /// MIPS, 64-bit with 32-bit pointers.
        Mips64N32 = "MIPS64N32",
        /// MIPS, little-endian.
        Mipsel = "MIPSEL",
        /// MIPS, 64-bit, little-endian.
        Mipsel64 = "MIPSEL64",
        /// MIPS, 64-bit with 32-bit pointers, little-endian.
        Mipsel64N32 = "MIPSEL64N32",
        /// PowerPC.
        Ppc = "PPC",
        /// PowerPC, 64-bit.
        Ppc64 = "PPC64",
        /// PowerPC, 64-bit, little-endian.
        Ppc64le = "PPC64LE",
        /// z/Architecture, 31-bit.
        S390 = "S390",
        /// z/Architecture.
        S390x = "S390X",
        /// SuperH.
        Sh = "SH",
        /// SuperH, big-endian.
        Sheb = "SHEB",
        /// PA-RISC.
        Parisc = "PARISC",
        /// PA-RISC, 64-bit.
        Parisc64 = "PARISC64",
        /// RISC-V, 64-bit.
        Riscv64 = "RISCV64",
    }
}

word_values!(SeccompAction, SeccompArch, SeccompFlag, SeccompOperator);
