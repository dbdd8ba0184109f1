//! The binary: one static file at a fixed address that asks nothing of the system, holds no libc and no panic.

use hull_tests::{Bundle, Host, hull, is_peer, project, spawn, suite, target_dir};
use object::elf::{
    ET_EXEC, FileHeader32, FileHeader64, PF_W, PF_X, PT_DYNAMIC, PT_INTERP, PT_LOAD, SHT_DYNSYM, SHT_REL,
    SHT_RELA,
};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, Object, ObjectSymbol};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

suite!(
    it_is_a_static_program_at_a_fixed_address,
    it_needs_no_interpreter_no_libraries_and_no_relocations,
    no_segment_is_both_writable_and_executable,
    the_stack_is_not_executable,
    it_is_stripped,
    it_holds_no_symbol_of_a_libc,
    it_holds_no_text_of_a_libc,
    a_libc_would_be_noticed,
    it_runs_where_nothing_else_is,
    no_panic_can_be_reached
);

struct Facts {
    kind: u16,
    segments: Vec<(u32, u32)>,
    sections: Vec<u32>,
}

fn facts_of<H: FileHeader<Endian = Endianness>>(data: &[u8]) -> Facts {
    let header = H::parse(data).expect("an ELF header");
    let endian = header.endian().expect("an endianness");
    let segments = header.program_headers(endian, data).expect("program headers");
    let sections = header.section_headers(endian, data).expect("section headers");
    Facts {
        kind: header.e_type(endian),
        segments: segments.iter().map(|segment| (segment.p_type(endian), segment.p_flags(endian))).collect(),
        sections: sections.iter().map(|section| section.sh_type(endian)).collect(),
    }
}

fn facts(path: &Path) -> Facts {
    let data = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(data[..4], *b"\x7fELF");
    if data[4] == 2 {
        facts_of::<FileHeader64<Endianness>>(&data)
    } else {
        facts_of::<FileHeader32<Endianness>>(&data)
    }
}

fn it_is_a_static_program_at_a_fixed_address() {
    assert_eq!(facts(&hull()).kind, ET_EXEC);
    // Control: this test program is none.
    assert_ne!(facts(&std::env::current_exe().unwrap()).kind, ET_EXEC);
}

fn needs(path: &Path) -> bool {
    let facts = facts(path);
    facts.segments.iter().any(|(kind, _)| [PT_INTERP, PT_DYNAMIC].contains(kind))
        || facts.sections.iter().any(|kind| [SHT_REL, SHT_RELA, SHT_DYNSYM].contains(kind))
}

fn it_needs_no_interpreter_no_libraries_and_no_relocations() {
    assert!(!needs(&hull()));
    assert!(needs(&std::env::current_exe().unwrap()));
}

fn no_segment_is_both_writable_and_executable() {
    let both = PF_W | PF_X;
    let segments = facts(&hull()).segments;
    assert!(segments.iter().any(|(kind, _)| *kind == PT_LOAD));
    assert!(segments.iter().all(|(_, flags)| flags & both != both), "{segments:x?}");
}

fn the_stack_is_not_executable() {
    // Without a PT_GNU_STACK header the kernel decides: on some architectures it decides for an executable one.
    let bundle = Bundle::probe(&["hold"]);
    let mut live = bundle.on(Host::machine()).start();
    live.until("ready");
    let maps = fs::read_to_string(format!("/proc/{}/maps", live.pid())).unwrap();
    live.finish().succeeds();
    let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap_or_else(|| panic!("{maps}"));
    assert!(stack.contains(" rw-p "), "{stack}");
    assert!(!maps.lines().any(|line| line.contains("rwx")), "{maps}");
}

fn symbols(path: &Path) -> Vec<String> {
    let data = fs::read(path).unwrap();
    let file = object::File::parse(&*data).expect("an object file");
    file.symbols()
        .filter_map(|symbol| Some(symbol.name().ok()?.to_owned()))
        .filter(|name| !name.is_empty())
        .collect()
}

fn it_is_stripped() {
    assert!(symbols(&hull()).is_empty());
}

/// A cargo build of the runtime with other settings, in a folder of its own that the next run reuses.
fn build(folder: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, PathBuf) {
    let target = target_dir().join(folder);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet"]).args(arguments).current_dir(project());
    command.env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS").envs(environment.iter().copied());
    let output = spawn::output(&mut command);
    (output, target.join("release/hull"))
}

/// Names that only a C library brings.
const LIBC: [&str; 14] = [
    "__libc_start_main",
    "__libc_csu_init",
    "_IO_printf",
    "__errno_location",
    "malloc",
    "free",
    "printf",
    "pthread_create",
    "__stdio_write",
    "__init_libc",
    "_dl_relocate_static_pie",
    "__tls_get_addr",
    "getenv",
    "abort",
];

/// The same binary with symbols and line numbers.
fn unstripped() -> PathBuf {
    let profile =
        [("CARGO_PROFILE_RELEASE_STRIP", "none"), ("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only")];
    let (output, path) = build("unstripped", &["--release"], &profile);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

fn it_holds_no_symbol_of_a_libc() {
    let names = symbols(&unstripped());
    assert!(names.iter().any(|name| name == "_start"), "an unstripped build has symbols");
    let found: Vec<_> = names.iter().filter(|name| LIBC.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{found:?}");
}

const TEXTS: [&[u8]; 6] =
    [b"GNU C Library", b"GLIBC_", b"ld-linux", b"ld-musl", b"libc.so", b"stack smashing"];

fn texts(path: &Path) -> Vec<String> {
    let data = fs::read(path).unwrap();
    let holds = |text: &&&[u8]| data.windows(text.len()).any(|window| window == **text);
    TEXTS.iter().filter(holds).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn it_holds_no_text_of_a_libc() {
    assert_eq!(texts(&hull()), Vec::<String>::new());
}

fn a_libc_would_be_noticed() {
    let own = std::env::current_exe().unwrap();
    assert!(!texts(&own).is_empty());
    // The probe is static with a C library in it.
    assert!(!texts(Path::new(hull_tests::PROBE)).is_empty());
    assert!(symbols(&own).iter().any(|name| LIBC.iter().any(|known| name.starts_with(known))));
}

fn it_runs_where_nothing_else_is() {
    // A root with nothing in it but the binary: no libraries, no /proc, no /dev.
    let bundle = Bundle::empty();
    let root = bundle.beside("bare");
    spawn::copy(&hull(), &root.join("hull"));
    let output = spawn::output(Command::new("chroot").arg(&root).args(["/hull", "--version"]));
    assert!(output.status.success(), "{output:?}");
    assert!(is_peer() || output.stdout.starts_with(b"hull version"), "{output:?}");
}

fn no_panic_can_be_reached() {
    // The panic handler is a symbol that is nowhere: the link fails where anything leads to it.
    let output = build("prove-no-panic", &["--release", "--features", "prove_no_panic"], &[]).0;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Control: the development profile has checks that panic.
    let output = build("prove-no-panic", &["--features", "prove_no_panic"], &[]).0;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("hull_can_panic"), "{text}");
}
