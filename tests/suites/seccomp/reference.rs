//! What runc 1.3 makes of a profile: libseccomp's filter, with runc's stub for newer calls in front of it.
//!
//! The library is opened at run time, so that the other suites build and run without it.

use super::bpf::{self, Call, Instruction};
use hull_tests::Value;
use nix::libc;
use std::ffi::{CStr, CString, c_int, c_void};
use std::io::{Read, Seek};
use std::os::fd::AsRawFd;
use std::sync::LazyLock;

type Context = *mut c_void;

/// `struct scmp_arg_cmp`.
#[repr(C)]
struct Comparison {
    arg: u32,
    op: u32,
    a: u64,
    b: u64,
}

struct Library {
    init: extern "C" fn(u32) -> Context,
    release: extern "C" fn(Context),
    arch_add: extern "C" fn(Context, u32) -> c_int,
    arch_remove: extern "C" fn(Context, u32) -> c_int,
    attr_set: extern "C" fn(Context, u32, u32) -> c_int,
    rule_add: extern "C" fn(Context, u32, c_int, u32, *const Comparison) -> c_int,
    export: extern "C" fn(Context, c_int) -> c_int,
    number: extern "C" fn(u32, *const libc::c_char) -> c_int,
    name: extern "C" fn(u32, c_int) -> *mut libc::c_char,
}

/// A function of the library as what its header declares.
///
/// # Safety
/// `F` is that type.
unsafe fn cast<F: Copy>(function: *mut c_void) -> F {
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    unsafe { std::mem::transmute_copy(&function) }
}

static LIBRARY: LazyLock<Library> = LazyLock::new(|| unsafe {
    let handle = libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW);
    assert!(!handle.is_null(), "libseccomp.so.2 is not there");
    let find = |name: &CStr| {
        let found = libc::dlsym(handle, name.as_ptr());
        assert!(!found.is_null(), "libseccomp has no {name:?}");
        found
    };
    // every action, whatever this kernel says
    let level: extern "C" fn(u32) -> c_int = cast(find(c"seccomp_api_set"));
    assert_eq!(level(6), 0);
    Library {
        init: cast(find(c"seccomp_init")),
        release: cast(find(c"seccomp_release")),
        arch_add: cast(find(c"seccomp_arch_add")),
        arch_remove: cast(find(c"seccomp_arch_remove")),
        attr_set: cast(find(c"seccomp_attr_set")),
        rule_add: cast(find(c"seccomp_rule_add_array")),
        export: cast(find(c"seccomp_export_bpf")),
        number: cast(find(c"seccomp_syscall_resolve_name_arch")),
        name: cast(find(c"seccomp_syscall_resolve_num_arch")),
    }
});

/// An architecture of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arch {
    pub word: &'static str,
    /// AUDIT_ARCH_*, which the filter sees.
    pub audit: u32,
    /// SCMP_ARCH_*, the same but for x32.
    token: u32,
    pub wide: bool,
}

const fn arch(word: &'static str, audit: u32, wide: bool) -> Arch {
    Arch { word, audit, token: audit, wide }
}

pub const X86_64: Arch = arch("SCMP_ARCH_X86_64", 0xc000_003e, true);
pub const X32: Arch = Arch { word: "SCMP_ARCH_X32", audit: 0xc000_003e, token: 0x4000_003e, wide: false };
pub const X86: Arch = arch("SCMP_ARCH_X86", 0x4000_0003, false);
pub const AARCH64: Arch = arch("SCMP_ARCH_AARCH64", 0xc000_00b7, true);
pub const ARM: Arch = arch("SCMP_ARCH_ARM", 0x4000_0028, false);
pub const RISCV64: Arch = arch("SCMP_ARCH_RISCV64", 0xc000_00f3, true);

/// A kind of machine: what its kernel can run, the native one first.
pub struct Machine {
    pub name: &'static str,
    pub archs: &'static [Arch],
}

pub const MACHINES: [Machine; 4] = [
    Machine { name: "x86_64", archs: &[X86_64, X32, X86] },
    Machine { name: "aarch64", archs: &[AARCH64, ARM] },
    Machine { name: "arm", archs: &[ARM, AARCH64] },
    Machine { name: "riscv64", archs: &[RISCV64] },
];

pub const BIT: u32 = 0x4000_0000;
pub const ENOSYS: u32 = 0x0005_0026;
pub const ALLOW: u32 = 0x7fff_0000;

/// The number of a name, negative where the architecture has it not or multiplexes it; `None` for an unknown name.
pub fn number(arch: Arch, name: &str) -> Option<i32> {
    let name = CString::new(name).ok()?;
    match (LIBRARY.number)(arch.token, name.as_ptr()) {
        -1 => None,
        other => Some(other),
    }
}

/// The name of a number.
pub fn name(arch: Arch, number: i32) -> Option<String> {
    let text = (LIBRARY.name)(arch.token, number);
    if text.is_null() {
        return None;
    }
    let name = unsafe { CStr::from_ptr(text) }.to_str().expect("a name").to_owned();
    unsafe { libc::free(text.cast()) };
    Some(name)
}

/// What the filter returns for an action.
pub fn action(word: &Value, errno: &Value) -> u32 {
    let data = errno.as_u64().unwrap_or(1) as u32 & 0xffff;
    match word.as_str().expect("an action") {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        other => panic!("{other}"),
    }
}

/// The architectures of a profile on a machine.
pub fn archs(profile: &Value, machine: &Machine) -> Vec<Arch> {
    let listed = |arch: &Arch| {
        let words = profile["architectures"].as_array();
        words.is_some_and(|words| words.iter().any(|word| word == arch.word))
    };
    machine.archs.iter().enumerate().filter(|(n, arch)| *n == 0 || listed(arch)).map(|(_, a)| *a).collect()
}

/// libseccomp's rules for a rule of a profile: runc makes one of each condition where two are on one argument.
pub fn parts(rule: &Value) -> Vec<Vec<Value>> {
    let args = rule["args"].as_array().cloned().unwrap_or_default();
    let twice = args.iter().any(|one| args.iter().filter(|two| two["index"] == one["index"]).count() > 1);
    if twice { args.into_iter().map(|arg| vec![arg]).collect() } else { vec![args] }
}

fn comparison(arg: &Value) -> Comparison {
    let op = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
        .iter()
        .position(|op| arg["op"].as_str().is_some_and(|word| word == format!("SCMP_CMP_{op}")));
    Comparison {
        arg: arg["index"].as_u64().expect("an index") as u32,
        op: op.expect("an operator") as u32 + 1,
        a: arg["value"].as_u64().expect("a value"),
        b: arg["valueTwo"].as_u64().unwrap_or(0),
    }
}

/// libseccomp's filter, and runc's stub.
pub struct Filter {
    pub program: Vec<Instruction>,
    /// For each architecture, the number beyond which calls give ENOSYS.
    pub largest: Vec<(Arch, u32)>,
    /// The rules that libseccomp refused, because they contradict earlier ones.
    pub refused: Vec<usize>,
}

impl Filter {
    /// Of a profile (linux.seccomp), with libseccomp's binary tree or without; by itself runc asks for it from 33 calls on.
    pub fn new(profile: &Value, machine: &Machine, tree: Option<bool>) -> Filter {
        let library = &*LIBRARY;
        let mut filter = Filter::stub(profile, machine);
        let default = action(&profile["defaultAction"], &profile["defaultErrnoRet"]);
        let context = (library.init)(default);
        assert!(!context.is_null());
        let archs = archs(profile, machine);
        for arch in &archs {
            // the one of this machine is there from the beginning
            let result = (library.arch_add)(context, arch.token);
            assert!(result == 0 || *arch == X86_64, "{}: {result}", arch.word);
        }
        if !archs.contains(&X86_64) {
            assert_eq!((library.arch_remove)(context, X86_64.token), 0);
        }
        let rules = profile["syscalls"].as_array().cloned().unwrap_or_default();
        let count: usize = rules.iter().filter_map(|rule| rule["names"].as_array()).map(Vec::len).sum();
        if tree.unwrap_or(count > 32) {
            const SCMP_FLTATR_CTL_OPTIMIZE: u32 = 8;
            assert_eq!((library.attr_set)(context, SCMP_FLTATR_CTL_OPTIMIZE, 2), 0);
        }
        for (n, rule) in rules.iter().enumerate() {
            let action = action(&rule["action"], &rule["errnoRet"]);
            for name in rule["names"].as_array().expect("names") {
                let number = number(X86_64, name.as_str().expect("a name"));
                let Some(number) = number.filter(|_| action != default) else { continue };
                for part in parts(rule) {
                    let part: Vec<Comparison> = part.iter().map(comparison).collect();
                    let count = part.len() as u32;
                    if (library.rule_add)(context, action, number, count, part.as_ptr()) != 0 {
                        filter.refused.push(n);
                    }
                }
            }
        }
        let mut file = tempfile::tempfile().expect("a file");
        assert_eq!((library.export)(context, file.as_raw_fd()), 0);
        (library.release)(context);
        let mut bytes = Vec::new();
        file.rewind().expect("a file");
        file.read_to_end(&mut bytes).expect("a file");
        filter.program = bpf::parse(&bytes);
        filter
    }

    /// runc's stub alone.
    pub fn stub(profile: &Value, machine: &Machine) -> Filter {
        let default = action(&profile["defaultAction"], &profile["defaultErrnoRet"]);
        let rules = profile["syscalls"].as_array().cloned().unwrap_or_default();
        let largest = largest(&rules, default, &archs(profile, machine));
        Filter { program: Vec::new(), largest, refused: Vec::new() }
    }

    /// Whether runc's stub answers a call, with ENOSYS.
    pub fn is_new(&self, call: &Call) -> bool {
        self.largest.iter().any(|(arch, largest)| {
            let mode = match *arch {
                X86_64 => call.number & BIT == 0,
                X32 => call.number & BIT != 0,
                _ => true,
            };
            arch.audit == call.arch && mode && call.number > *largest
        })
    }

    /// What becomes of a call; of a stub alone, none for what the stub lets pass.
    pub fn verdict(&self, call: &Call) -> Option<u32> {
        match self.program.is_empty() {
            _ if self.is_new(call) => Some(ENOSYS),
            true => None,
            false => Some(bpf::run(&self.program, call)),
        }
    }
}

fn largest(rules: &[Value], default: u32, archs: &[Arch]) -> Vec<(Arch, u32)> {
    if matches!(default & 0xffff_0000, ALLOW | 0x7ffc_0000 | 0x7ff0_0000) {
        return Vec::new();
    }
    let names = || rules.iter().flat_map(|rule| rule["names"].as_array().expect("names"));
    let of = |arch: &Arch| names().filter_map(|name| number(*arch, name.as_str()?)).max().unwrap_or(0);
    archs.iter().map(|arch| (*arch, of(arch).max(0) as u32)).filter(|(_, largest)| *largest != 0).collect()
}
