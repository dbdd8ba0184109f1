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
        /// Flags of seccomp(2).
        flags "flags": plain List<'a, SeccompFlag>;
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
    SeccompAction {
        /// SCMP_ACT_KILL_THREAD by its old name.
        Kill = "SCMP_ACT_KILL",
        /// The process is killed.
        KillProcess = "SCMP_ACT_KILL_PROCESS",
        /// The thread is killed.
        KillThread = "SCMP_ACT_KILL_THREAD",
        /// SIGSYS.
        Trap = "SCMP_ACT_TRAP",
        /// An errno.
        Errno = "SCMP_ACT_ERRNO",
        /// A tracer decides.
        Trace = "SCMP_ACT_TRACE",
        /// It runs.
        Allow = "SCMP_ACT_ALLOW",
        /// It runs, and is logged.
        Log = "SCMP_ACT_LOG",
        /// The listener decides.
        Notify = "SCMP_ACT_NOTIFY",
    }
}

crate::words! {
    /// Comparisons.
    SeccompOperator {
        /// Not equal.
        NotEqual = "SCMP_CMP_NE",
        /// Less.
        Less = "SCMP_CMP_LT",
        /// Less or equal.
        LessOrEqual = "SCMP_CMP_LE",
        /// Equal.
        Equal = "SCMP_CMP_EQ",
        /// Greater or equal.
        GreaterOrEqual = "SCMP_CMP_GE",
        /// Greater.
        Greater = "SCMP_CMP_GT",
        /// Equal under a mask.
        MaskedEqual = "SCMP_CMP_MASKED_EQ",
    }
}

crate::words! {
    /// SECCOMP_FILTER_FLAG_* (seccomp(2)).
    SeccompFlag {
        /// All threads.
        Tsync = "SECCOMP_FILTER_FLAG_TSYNC",
        /// Actions but SCMP_ACT_ALLOW are logged.
        Log = "SECCOMP_FILTER_FLAG_LOG",
        /// No mitigation of speculative store bypass.
        SpecAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        /// Only fatal signals end the wait for the listener.
        WaitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    }
}

crate::words! {
    /// Architectures; how each maps to an AUDIT_ARCH is the compiler's business.
    SeccompArch {
        /// i386.
        X86 = "SCMP_ARCH_X86",
        /// x86_64.
        X86_64 = "SCMP_ARCH_X86_64",
        /// x86_64 with 32-bit pointers.
        X32 = "SCMP_ARCH_X32",
        /// 32-bit Arm.
        Arm = "SCMP_ARCH_ARM",
        /// 64-bit Arm.
        Aarch64 = "SCMP_ARCH_AARCH64",
        /// LoongArch.
        Loongarch64 = "SCMP_ARCH_LOONGARCH64",
        /// Motorola 68000.
        M68k = "SCMP_ARCH_M68K",
        /// MIPS.
        Mips = "SCMP_ARCH_MIPS",
        /// MIPS, 64-bit.
        Mips64 = "SCMP_ARCH_MIPS64",
        /// MIPS, 64-bit with 32-bit pointers.
        Mips64N32 = "SCMP_ARCH_MIPS64N32",
        /// MIPS, little-endian.
        Mipsel = "SCMP_ARCH_MIPSEL",
        /// MIPS, 64-bit, little-endian.
        Mipsel64 = "SCMP_ARCH_MIPSEL64",
        /// MIPS, 64-bit with 32-bit pointers, little-endian.
        Mipsel64N32 = "SCMP_ARCH_MIPSEL64N32",
        /// PowerPC.
        Ppc = "SCMP_ARCH_PPC",
        /// PowerPC, 64-bit.
        Ppc64 = "SCMP_ARCH_PPC64",
        /// PowerPC, 64-bit, little-endian.
        Ppc64le = "SCMP_ARCH_PPC64LE",
        /// z/Architecture, 31-bit.
        S390 = "SCMP_ARCH_S390",
        /// z/Architecture.
        S390x = "SCMP_ARCH_S390X",
        /// SuperH.
        Sh = "SCMP_ARCH_SH",
        /// SuperH, big-endian.
        Sheb = "SCMP_ARCH_SHEB",
        /// PA-RISC.
        Parisc = "SCMP_ARCH_PARISC",
        /// PA-RISC, 64-bit.
        Parisc64 = "SCMP_ARCH_PARISC64",
        /// RISC-V, 64-bit.
        Riscv64 = "SCMP_ARCH_RISCV64",
    }
}

word_values!(SeccompAction, SeccompArch, SeccompFlag, SeccompOperator);
