//! Tables of system call names, from the constants of linux-raw-sys.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A family of architectures: the name of its table, the targets that need it, and the folders of linux-raw-sys that
/// fill the table's first and second column.
const FAMILIES: [(&str, &str, &str, Option<&str>); 3] = [
    ("X86", "target_arch = \"x86_64\"", "x86_64", Some("x86")),
    ("ARM", "target_arch = \"aarch64\", target_arch = \"arm\"", "aarch64", Some("arm")),
    ("RISCV", "target_arch = \"riscv64\"", "riscv64", None),
];

/// System calls by name.
type Numbers = BTreeMap<String, u32>;

/// The tables as Rust source, which `src/names/syscalls.rs` includes and describes.
///
/// The source is linux-raw-sys: hull depends on it anyway, its constants come from the kernel's headers, and it carries
/// those of every architecture while as a crate it shows only the target's. Where cargo has put it (registry, vendored
/// or patched) only cargo knows for sure, so cargo is asked.
///
/// # Errors
/// linux-raw-sys is not where cargo says, or no longer looks as this file expects.
pub fn tables() -> Result<String, String> {
    println!("cargo:rerun-if-changed=Cargo.lock");
    let source = linux_raw_sys()?;
    let mut text = String::new();
    for (name, targets, first, second) in FAMILIES {
        let mut columns = vec![numbers(&source, first)?];
        if let Some(second) = second {
            columns.push(numbers(&source, second)?);
        }
        let calls = if name == "X86" { multiplexed(&source)? } else { Vec::new() };
        let x32 = if name == "X86" { numbers(&source, "x32")? } else { Numbers::new() };
        let words = |error| format!("{name}: {error}");
        text.push_str(&table(name, targets, &columns, &calls, &x32).map_err(words)?);
    }
    Ok(text)
}

/// The `src` folder of linux-raw-sys.
fn linux_raw_sys() -> Result<PathBuf, String> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    // for the target alone: packages that only others need may not be on this machine
    let output = Command::new(variable("CARGO")?)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &variable("TARGET")?])
        .args(["--manifest-path", &format!("{}/Cargo.toml", variable("CARGO_MANIFEST_DIR")?)])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // the newest where there are several: packages are sorted by version
    let (_, path) = text
        .rsplit_once("\"name\":\"linux_raw_sys\",\"src_path\":\"")
        .ok_or("cargo metadata does not say where linux-raw-sys is")?;
    let path = path.split_once('"').map_or("", |(path, _)| path);
    if path.contains('\\') {
        return Err(format!("{path}: a path with a quote or a backslash"));
    }
    Path::new(path).parent().map(Path::to_owned).ok_or_else(|| format!("{path}: no folder"))
}

/// The constants `pub const PREFIXname: u32 = number;` of one file, by name.
fn constants(file: &Path, prefix: &str) -> Result<Numbers, String> {
    println!("cargo:rerun-if-changed={}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let one = |line: &str| {
        let (name, value) = line.strip_prefix("pub const ")?.split_once(": u32 = ")?;
        Some((name.strip_prefix(prefix)?.to_owned(), value.strip_suffix(';')?.parse().ok()?))
    };
    Ok(text.lines().filter_map(one).collect())
}

/// The system calls of one architecture. Those in capitals are masks and offsets.
fn numbers(source: &Path, folder: &str) -> Result<Numbers, String> {
    let file = source.join(folder).join("general.rs");
    let mut all = constants(&file, "__NR_")?;
    all.extend(constants(&file, "__ARM_NR_")?);
    all.retain(|name, _| name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')));
    if all.len() < 250 { Err(format!("{}: too few constants", file.display())) } else { Ok(all) }
}

/// What i386 reaches through socketcall(2), in the order of its call numbers from 1 on, then through ipc(2), in the
/// order of linux/ipc.h.
fn multiplexed(source: &Path) -> Result<Vec<String>, String> {
    let calls = constants(&source.join("x86/net.rs"), "SYS_")?;
    let mut sockets: Vec<_> = calls.into_iter().map(|(name, number)| (number, name.to_lowercase())).collect();
    sockets.sort();
    if !sockets.iter().zip(1..).all(|((number, _), n)| *number == n) || sockets.len() != 20 {
        return Err(format!("calls of socketcall(2): {sockets:?}"));
    }
    let ipc = "semop semget semctl semtimedop msgsnd msgrcv msgget msgctl shmat shmdt shmget shmctl";
    Ok(sockets.into_iter().map(|(_, name)| name).chain(ipc.split(' ').map(str::to_owned)).collect())
}

/// A table as Rust source.
fn table(
    name: &str,
    targets: &str,
    columns: &[Numbers],
    calls: &[String],
    x32: &Numbers,
) -> Result<String, String> {
    let mut names: Vec<&String> = columns.iter().flat_map(BTreeMap::keys).chain(calls).collect();
    names.sort();
    names.dedup();
    let mut entries: Vec<u8> = Vec::new();
    let mut letters = vec![0; usize::from(b'z' - b'_') + 2];
    let mut places = BTreeMap::new();
    let mut before = "";
    for name in names {
        let (letter, rest) = name.split_at_checked(1).ok_or("a name without a letter")?;
        let bucket = letter.bytes().next().and_then(|b| b.checked_sub(b'_')).map(usize::from);
        let new = !before.starts_with(letter);
        let common = before.bytes().skip(1).zip(rest.bytes()).take_while(|(a, b)| a == b).count();
        let shared = if new { 0 } else { common.min(15) };
        before = name;
        let mut head = u8::try_from(shared).map_err(|_| name)?;
        let mut low = Vec::new();
        for (column, numbers) in columns.iter().enumerate() {
            let Some(number) = numbers.get(name) else { continue };
            let code = coded(*number).ok_or_else(|| format!("{name} = {number} needs a tenth bit"))?;
            head |= (1 | u8::from(code >= 256) << 2) << (4 + column);
            low.push((code & 255) as u8);
        }
        places.insert(name.clone(), entries.len());
        entries.push(head);
        let (last, most) = rest.as_bytes().get(shared..).and_then(<[u8]>::split_last).ok_or(name)?;
        entries.extend(most.iter().chain(&[last | 0x80]).chain(&low));
        for end in letters.iter_mut().skip(bucket.ok_or(name)? + 1) {
            *end = entries.len();
        }
    }
    let calls: Vec<_> = calls.iter().filter_map(|name| places.get(name)).collect();
    let (moved, gone) = x32_rules(columns.first().ok_or("no column")?, x32)?;
    let mut text = String::new();
    write!(
        text,
        "#[cfg(any(test, {targets}))]\npub static {name}: Table = Table {{\n    letters: &{letters:?},\n    \
         calls: &{calls:?},\n    x32_moved: &{moved:?},\n    x32_gone: &{gone:?},\n    entries: &{entries:?},\n}};\n"
    )
    .map_err(|error| error.to_string())?;
    Ok(text)
}

/// A number as nine bits: itself below 496, and from there on what Arm has of its own above 0xf0000.
fn coded(number: u32) -> Option<u32> {
    match number {
        0..496 => Some(number),
        0xf_0001..=0xf_000f => Some(number - 0xf_0000 + 496),
        _ => None,
    }
}

/// How x32 differs from x86_64: the numbers that x32 has at 512, 513 and so on instead, and those that it lacks.
fn x32_rules(x86_64: &Numbers, x32: &Numbers) -> Result<(Vec<u32>, Vec<u32>), String> {
    let bit = 0x4000_0000;
    let (mut moved, mut gone) = (BTreeMap::new(), Vec::new());
    for (name, number) in x86_64 {
        match x32.get(name).map(|n| n ^ bit) {
            Some(other @ 512..) => drop(moved.insert(other, *number)),
            Some(same) if same == *number => {}
            Some(other) => return Err(format!("{name} is {number} on x86_64 and {other} on x32")),
            None if x32.is_empty() => {}
            None => gone.push(*number),
        }
    }
    if !moved.keys().zip(512..).all(|(number, n)| *number == n) || x32.keys().any(|n| !x86_64.contains_key(n))
    {
        return Err("x32 is not as it was".to_owned());
    }
    gone.sort();
    Ok((moved.into_values().collect(), gone))
}
