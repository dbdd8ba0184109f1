//! The program inside the container: each verb prints one fact about the process it became.
//!
//! It is linked statically and uses std only, so it runs in an empty rootfs. It has no opinion: suites compare.

use std::ffi::{CString, c_char, c_int, c_long, c_ulong, c_void};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn getsid(pid: c_int) -> c_int;
    #[cfg(target_arch = "x86_64")]
    fn __errno_location() -> *mut c_int;
    fn getpgid(pid: c_int) -> c_int;
    fn tcgetpgrp(fd: c_int) -> c_int;
    fn isatty(fd: c_int) -> c_int;
    fn signal(number: c_int, handler: usize) -> usize;
    fn sigfillset(set: *mut [u64; 16]) -> c_int;
    fn sigemptyset(set: *mut [u64; 16]) -> c_int;
    fn sigprocmask(how: c_int, set: *const [u64; 16], old: *mut [u64; 16]) -> c_int;
    fn sigwait(set: *const [u64; 16], number: *mut c_int) -> c_int;
    fn raise(number: c_int) -> c_int;
    fn mknod(path: *const c_char, mode: u32, device: u64) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut [i64; 2]) -> c_int;
}

#[cfg(target_arch = "x86_64")]
const SYS_KEYCTL: c_long = 250;
#[cfg(target_arch = "arm")]
const SYS_KEYCTL: c_long = 311;
#[cfg(any(target_arch = "aarch64", target_arch = "riscv64"))]
const SYS_KEYCTL: c_long = 219;

const F_GETFD: c_int = 1;
const SIG_BLOCK: c_int = 0;
const SIG_SETMASK: c_int = 2;
const TIOCGWINSZ: c_ulong = 0x5413;

fn main() {
    let arguments: Vec<Vec<u8>> = std::env::args_os().skip(1).map(OsStringExt::into_vec).collect();
    let words: Vec<String> =
        arguments.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    match word(0) {
        "args" => std::env::args_os().for_each(|argument| println!("{}", argument.as_bytes().escape_ascii())),
        "env" => std::env::vars_os().for_each(|(name, value)| {
            println!("{}={}", name.as_bytes().escape_ascii(), value.as_bytes().escape_ascii());
        }),
        "fds" => fds(),
        "session" => session(),
        "keyring" => keyring(),
        "exit" => std::process::exit(number(word(1)) as i32),
        "die" => die(number(word(1)) as c_int),
        "signals" => signals(number(word(1))),
        "open" => report(open_as(&arguments[1], word(2)).into()),
        "mknod" => make_node(&arguments[1], word(2), number(word(3)), number(word(4))),
        "winsize" => winsize(),
        "winsizes" => winsizes(),
        "syscall" => raw_syscall(&words[1..]),
        #[cfg(target_arch = "x86_64")]
        "syscall32" => raw_syscall32(&words[1..]),
        "clocks" => println!("{} {}", clock(1), clock(7)),
        "pattern" => pattern(number(word(1)) as usize),
        "digest" => digest(),
        "hold" => hold(),
        "facts" => all_facts(word(1)),
        verb => {
            eprintln!("probe: unknown verb {verb:?}");
            std::process::exit(99);
        }
    }
}

fn number(text: &str) -> i64 {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    parsed.unwrap_or_else(|| panic!("not a number: {text:?}"))
}

/// `ok VALUE`, or the name of the errno.
fn report(result: c_long) {
    if result >= 0 {
        return println!("ok {result}");
    }
    let error = std::io::Error::last_os_error();
    let code = error.raw_os_error().unwrap_or(0);
    let names = [
        (1, "EPERM"),
        (2, "ENOENT"),
        (9, "EBADF"),
        (13, "EACCES"),
        (14, "EFAULT"),
        (17, "EEXIST"),
        (20, "ENOTDIR"),
        (22, "EINVAL"),
        (26, "ETXTBSY"),
        (30, "EROFS"),
        (6, "ENXIO"),
        (38, "ENOSYS"),
        (40, "ELOOP"),
        (126, "ENOKEY"),
        (19, "ENODEV"),
        (95, "EOPNOTSUPP"),
        (11, "EAGAIN"),
        (128, "EKEYREVOKED"),
        (18, "EXDEV"),
        (16, "EBUSY"),
    ];
    match names.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => println!("{name}"),
        None => println!("E{code}"),
    }
}

/// The numbers of all open descriptors, in order. Asks the kernel for each: nothing is opened for the question.
fn fds() {
    let open: Vec<String> =
        (0..4096).filter(|fd| unsafe { fcntl(*fd, F_GETFD) } >= 0).map(|fd| fd.to_string()).collect();
    println!("{}", open.join(" "));
}

fn session() {
    let leader = unsafe { getsid(0) };
    let group = unsafe { getpgid(0) };
    let foreground = unsafe { tcgetpgrp(0) };
    let terminals: Vec<String> = (0..3).map(|fd| unsafe { isatty(fd) }.to_string()).collect();
    let pid = std::process::id();
    println!("pid={pid} session={leader} group={group} foreground={foreground} tty={}", terminals.join(","));
}

/// The session keyring's serial number and its description.
fn keyring() {
    let id = unsafe { syscall(SYS_KEYCTL, 0 as c_long, -3 as c_long, 0 as c_long) };
    if id < 0 {
        return report(id);
    }
    let mut text = [0u8; 256];
    let length = unsafe { syscall(SYS_KEYCTL, 6 as c_long, -3 as c_long, text.as_mut_ptr(), text.len()) };
    let shown = &text[..usize::try_from(length).unwrap_or(1).saturating_sub(1).min(255)];
    println!("{id} {}", shown.escape_ascii());
}

fn die(number: c_int) -> ! {
    unsafe {
        signal(number, 0);
        let mut none = [0u64; 16];
        sigemptyset(&mut none);
        sigprocmask(SIG_SETMASK, &none, std::ptr::null_mut());
        raise(number);
    }
    std::process::exit(98);
}

/// Says `ready`, then the number of each of `count` signals as it comes.
fn signals(count: i64) {
    let mut all = [0u64; 16];
    unsafe {
        sigfillset(&mut all);
        sigprocmask(SIG_BLOCK, &all, std::ptr::null_mut());
    }
    println!("ready");
    for _ in 0..count {
        let mut got: c_int = 0;
        unsafe { sigwait(&all, &mut got) };
        println!("got {got}");
    }
}

fn open_as(path: &[u8], how: &str) -> c_int {
    const O_RDONLY: c_int = 0;
    const O_WRONLY: c_int = 1;
    const O_RDWR: c_int = 2;
    const O_NONBLOCK: c_int = 0o4000;
    let flags = match how {
        "r" => O_RDONLY,
        "w" => O_WRONLY,
        _ => O_RDWR,
    };
    let path = CString::new(path).expect("no NUL in a path");
    unsafe { open(path.as_ptr(), flags | O_NONBLOCK) }
}

fn make_node(path: &[u8], kind: &str, major: i64, minor: i64) {
    let path = CString::new(path).expect("no NUL in a path");
    let mode = if kind == "b" { 0o060_600 } else { 0o020_600 };
    let (major, minor) = (major as u64, minor as u64);
    let device = ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & !0xff) << 12) | ((major & !0xfff) << 32);
    report(unsafe { mknod(path.as_ptr(), mode, device) }.into());
}

fn winsize() {
    let mut size = [0u16; 4];
    if unsafe { ioctl(0, TIOCGWINSZ, size.as_mut_ptr().cast::<c_void>()) } < 0 {
        return report(-1);
    }
    println!("{}x{}", size[1], size[0]);
}

/// The window size now and after each SIGWINCH, until `SIGTERM`.
fn winsizes() {
    let mut all = [0u64; 16];
    unsafe {
        sigfillset(&mut all);
        sigprocmask(SIG_BLOCK, &all, std::ptr::null_mut());
    }
    winsize();
    loop {
        let mut got: c_int = 0;
        unsafe { sigwait(&all, &mut got) };
        match got {
            28 => winsize(),
            15 => return,
            _ => {}
        }
    }
}

fn raw_syscall(words: &[String]) {
    let mut arguments = [0 as c_long; 7];
    for (slot, word) in arguments.iter_mut().zip(words) {
        *slot = number(word) as c_long;
    }
    let [call, a, b, c, d, e, f] = arguments;
    report(unsafe { syscall(call, a, b, c, d, e, f) });
}

/// The same by the way of i386, with two arguments.
#[cfg(target_arch = "x86_64")]
fn raw_syscall32(words: &[String]) {
    let word = |n: usize| words.get(n).map_or(0, |word| number(word));
    let (mut result, second) = (word(0), word(2));
    // rbx can't be named as an operand
    unsafe {
        std::arch::asm!("xchg rbx, {first}", "int 0x80", "xchg rbx, {first}", first = inout(reg) word(1) => _,
            inlateout("rax") result, in("rcx") second, lateout("r8") _, lateout("r9") _, lateout("r10") _,
            lateout("r11") _);
    }
    let result = i64::from(result as i32);
    if (-4095..0).contains(&result) {
        unsafe { *__errno_location() = -result as c_int };
        return report(-1);
    }
    report(result as c_long);
}

fn clock(which: c_int) -> i64 {
    let mut time = [0i64; 2];
    unsafe { clock_gettime(which, &mut time) };
    time[0]
}

/// Writes `bytes` bytes of a fixed pattern to stdout.
fn pattern(bytes: usize) {
    let mut out = std::io::stdout().lock();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut left = bytes;
    let mut block = [0u8; 8192];
    while left > 0 {
        for slot in &mut block {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *slot = (state >> 32) as u8;
        }
        let now = left.min(block.len());
        if out.write_all(&block[..now]).is_err() {
            std::process::exit(97);
        }
        left -= now;
    }
}

/// Reads stdin to its end and prints length and FNV-1a hash.
fn digest() {
    let (mut hash, mut length) = (0xcbf2_9ce4_8422_2325_u64, 0u64);
    let mut block = [0u8; 65536];
    let mut input = std::io::stdin().lock();
    loop {
        match input.read(&mut block) {
            Ok(0) => break,
            Ok(count) => {
                length += count as u64;
                for byte in &block[..count] {
                    hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
                }
            }
            Err(_) => std::process::exit(97),
        }
    }
    println!("{length} {hash:016x}");
}

/// Says `ready` and stays until stdin ends.
fn hold() {
    println!("ready");
    let mut sink = [0u8; 64];
    let mut input = std::io::stdin().lock();
    while matches!(input.read(&mut sink), Ok(count) if count > 0) {}
}

/// Everything that a runtime decides about a process, a line each, then `complete`; `stay`: until it is killed.
fn all_facts(then: &str) {
    use std::os::unix::fs::MetadataExt;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| format!("{error}\n"));
    let names = |path: &str| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.path()).collect();
        names.sort();
        names
    };
    fds();
    session();
    keyring();
    for line in read("/proc/self/status").lines() {
        let wanted = ["Uid", "Gid", "Groups", "Umask", "SigBlk", "SigIgn", "Cap", "NoNew", "Seccomp"];
        if wanted.iter().any(|name| line.starts_with(name)) {
            println!("{line}");
        }
    }
    std::env::vars_os().for_each(|(name, value)| println!("{}={}", name.display(), value.display()));
    println!("cwd {:?}", std::env::current_dir());
    for path in ["cgroup", "limits", "oom_score_adj", "mountinfo"] {
        read(&format!("/proc/self/{path}")).lines().for_each(|line| println!("{path} {line}"));
    }
    for path in ["hostname", "domainname"] {
        print!("{path} {}", read(&format!("/proc/sys/kernel/{path}")));
    }
    print!("sysctl {}", read("/proc/sys/net/ipv4/ip_forward"));
    print!("loopback {}", read("/sys/class/net/lo/flags"));
    for kind in ["pid", "net", "ipc", "uts", "mnt", "cgroup", "user"] {
        println!("namespace {:?}", std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default());
    }
    for folder in ["", "/pids", "/memory"] {
        for file in ["pids.max", "memory.max", "memory.limit_in_bytes"] {
            if let Ok(text) = std::fs::read_to_string(format!("/sys/fs/cgroup{folder}/{file}")) {
                print!("{file} {text}");
            }
        }
    }
    for path in ["/dev", "/data"].iter().flat_map(|folder| names(folder)) {
        if let Ok(facts) = path.symlink_metadata() {
            let (mode, device, owner) = (facts.mode(), facts.rdev(), facts.uid());
            println!("{} {mode:o} {device:x} {owner}:{}", path.display(), facts.gid());
        }
    }
    for path in [&b"/dev/denied"[..], b"/dev/null", b"/etc/passwd", b"/etc/secret", b"/etc/frozen/file"] {
        print!("{} ", path.escape_ascii());
        report(open_as(path, "rw").into());
    }
    println!("secret {:?}", std::fs::read_to_string("/etc/secret"));
    println!("complete");
    if then == "stay" {
        loop {
            std::thread::sleep(std::time::Duration::from_secs(1000));
        }
    }
}
