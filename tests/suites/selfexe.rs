//! The runtime's own binary is out of the container's reach (CVE-2019-5736 and its kin): whatever a container opens
//! through /proc/PID/exe is not the file on the host, or can't be written.

use hull_tests::{Bundle, Host, PROBE, hull, spawn, suite};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

suite!(
    the_control_attack_writes_through_an_unprotected_exe,
    proc_self_exe_as_program_is_not_the_hosts_file,
    a_script_with_proc_self_exe_as_interpreter_is_not_the_hosts_file,
    a_link_to_proc_self_exe_as_program_is_not_the_hosts_file,
    an_elf_interpreter_that_points_there_is_not_the_hosts_file,
    the_parent_in_a_shared_pid_namespace_is_not_the_hosts_file,
    the_binary_on_the_host_stays_as_it_is_and_takes_no_write_from_inside,
    the_copy_is_recognised_by_the_descriptor_and_not_by_the_environment,
    a_read_only_copy_is_made_where_memfd_is_refused,
    without_any_way_to_make_a_copy_it_is_refused
);

/// A copy of the runtime that an attack may harm, and what it is made of.
struct Victim {
    bundle: Bundle,
    path: PathBuf,
    content: Vec<u8>,
}

fn victim(bundle: Bundle) -> Victim {
    let path = bundle.dir.join("hull");
    spawn::copy(&hull(), &path);
    let content = fs::read(&path).unwrap();
    Victim { bundle, path, content }
}

impl Victim {
    /// Runs the victim's own binary on the bundle.
    fn command(&self, host: Host) -> std::process::Command {
        self.bundle.write();
        let words = [
            self.path.as_os_str(),
            "run".as_ref(),
            "-b".as_ref(),
            self.bundle.dir.as_os_str(),
            self.bundle.id.as_ref(),
        ];
        hull_tests::run::command(&words.map(ToOwned::to_owned), &host)
    }

    fn run(&self, host: Host) -> hull_tests::Output {
        self.bundle.spawn(self.command(host)).finish()
    }

    #[track_caller]
    fn unharmed(&self) {
        assert!(fs::read(&self.path).unwrap() == self.content, "the binary on the host was changed");
    }
}

fn the_control_attack_writes_through_an_unprotected_exe() {
    // The same question, put by a process that nothing protects, is answered with "yes" as soon as the program ended:
    // while it runs, the kernel refuses to write to it, and that is what the attack waits for.
    let victim = victim(Bundle::probe(&["open", "/proc/self/exe", "w"]));
    let copy = victim.bundle.dir.join("probe-copy");
    spawn::copy(PROBE.as_ref(), &copy);
    let running = spawn::output(std::process::Command::new(&copy).args(["open", "/proc/self/exe", "w"]));
    assert_eq!(running.stdout, b"ETXTBSY\n");
    assert!(fs::OpenOptions::new().write(true).open(&copy).is_ok());
}

/// The runtime became the container's program: whatever it says, the file on the host must not be what ran.
fn exe_is_not_the_hosts(victim: &Victim) {
    let output = victim.run(Host::machine());
    victim.unharmed();
    assert_ne!(output.signal, Some(11), "{}", output.show());
    // Control: the runtime was really called again, inside, with our words; or could not be started at all.
    assert!(output.code.is_some(), "{}", output.show());
}

fn proc_self_exe_as_program_is_not_the_hosts_file() {
    let victim = victim(Bundle::new(&["/proc/self/exe", "--version"]));
    exe_is_not_the_hosts(&victim);
}

fn a_script_with_proc_self_exe_as_interpreter_is_not_the_hosts_file() {
    let bundle = Bundle::new(&["/evil"]);
    bundle.file("/evil", 0o755, "#!/proc/self/exe --version\n");
    exe_is_not_the_hosts(&victim(bundle));
}

fn a_link_to_proc_self_exe_as_program_is_not_the_hosts_file() {
    let bundle = Bundle::new(&["/evil", "--version"]);
    symlink("/proc/self/exe", bundle.inside("/evil")).unwrap();
    exe_is_not_the_hosts(&victim(bundle));
}

/// A minimal ELF program whose interpreter is /proc/self/exe.
fn elf_with_interpreter(interpreter: &str) -> Vec<u8> {
    let mut file = vec![0_u8; 0x200];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &2_u16.to_le_bytes());
    put(18, &(if cfg!(target_arch = "aarch64") { 183_u16 } else { 62 }).to_le_bytes());
    put(20, &1_u32.to_le_bytes());
    put(24, &0x40_0100_u64.to_le_bytes());
    put(32, &64_u64.to_le_bytes());
    put(52, &64_u16.to_le_bytes());
    put(54, &56_u16.to_le_bytes());
    put(56, &2_u16.to_le_bytes());
    let length = interpreter.len() as u64 + 1;
    let headers = [(3_u32, 4_u32, 0x180_u64, length), (1, 5, 0, 0x200)];
    for (index, (kind, flags, offset, size)) in headers.into_iter().enumerate() {
        let at = 64 + index * 56;
        put(at, &kind.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        put(at + 8, &offset.to_le_bytes());
        put(at + 16, &(0x40_0000 + offset).to_le_bytes());
        put(at + 24, &(0x40_0000 + offset).to_le_bytes());
        put(at + 32, &size.to_le_bytes());
        put(at + 40, &size.to_le_bytes());
        put(at + 48, &0x1000_u64.to_le_bytes());
    }
    put(0x180, interpreter.as_bytes());
    file
}

fn an_elf_interpreter_that_points_there_is_not_the_hosts_file() {
    let bundle = Bundle::new(&["/evil"]);
    bundle.file("/evil", 0o755, "");
    spawn::write(&bundle.inside("/evil"), 0o755, &elf_with_interpreter("/proc/self/exe"));
    let victim = victim(bundle);
    let output = victim.run(Host::machine());
    victim.unharmed();
    // The kernel may refuse it or run it; a copy of the runtime that finds itself in a container does no harm.
    assert!(output.code.is_some() || output.signal.is_some());
}

fn the_parent_in_a_shared_pid_namespace_is_not_the_hosts_file() {
    // The container sees the runtime in /proc, and is as privileged as can be.
    let script = "echo ready; read pid; stat -L -c '%d:%i' /proc/$pid/exe; /probe open /proc/$pid/exe w; \
                  cat /probe > /proc/$pid/exe && echo overwritten || echo refused";
    let bundle = Bundle::sh(script);
    bundle
        .privileged()
        .namespaces(&["network", "ipc", "uts", "mount", "cgroup"])
        .set("/root/readonly", false.into());
    let victim = victim(bundle);
    let mut live = victim.bundle.spawn(victim.command(Host::machine()));
    live.until("ready");
    let pid = live.pid();
    live.send(&format!("{pid}\n"));
    let seen = live.line();
    let meta = fs::metadata(&victim.path).unwrap();
    assert_ne!(seen, format!("{}:{}", meta.dev(), meta.ino()), "the runtime runs from the host's file");
    assert_ne!(live.line(), "ok 3", "the runtime's exe opens for writing");
    assert_eq!(live.line(), "refused");
    live.finish();
    victim.unharmed();
}

fn the_binary_on_the_host_stays_as_it_is_and_takes_no_write_from_inside() {
    // The attack as it was: become the runtime, then write to what the caller's /proc/PID/exe leads to once it ended.
    let script = "for pid in 1 2 3 4 5 self; do /probe open /proc/$pid/exe w; done; true";
    let bundle = Bundle::sh(script);
    bundle.privileged();
    let victim = victim(bundle);
    let output = victim.run(Host::machine());
    assert!(!output.out().contains("ok"), "{}", output.show());
    victim.unharmed();
}

fn the_copy_is_recognised_by_the_descriptor_and_not_by_the_environment() {
    // Whatever a caller puts into the environment or argv[0], the runtime still protects itself.
    let bundle = Bundle::sh("echo ready; read pid; stat -L -c '%d:%i' /proc/$pid/exe");
    bundle.privileged().namespaces(&["network", "ipc", "uts", "mount", "cgroup"]);
    let victim = victim(bundle);
    let mut command = victim.command(Host::machine());
    for name in ["HULL_CLONED", "_LIBCONTAINER_CLONED_BINARY", "HULL_SEALED", "_HULL_REEXEC"] {
        command.env(name, "1");
    }
    std::os::unix::process::CommandExt::arg0(&mut command, "memfd:hull");
    let mut live = victim.bundle.spawn(command);
    live.until("ready");
    let pid = live.pid();
    live.send(&format!("{pid}\n"));
    let meta = fs::metadata(&victim.path).unwrap();
    assert_ne!(live.line(), format!("{}:{}", meta.dev(), meta.ino()));
    live.finish();
}

const EPERM: i32 = 1;
const ENOSYS: i32 = 38;

fn a_read_only_copy_is_made_where_memfd_is_refused() {
    let script = "/probe open /proc/$(cat /pid)/exe w";
    for errno in [EPERM, ENOSYS] {
        let bundle = Bundle::sh(script);
        let victim = victim(bundle);
        let host = Host::machine().without(&[("memfd_create", errno)]);
        let output = victim.run(host);
        assert!(output.code.is_some(), "{}", output.show());
        victim.unharmed();
    }
    let bundle = Bundle::sh("echo ready; read pid; /probe open /proc/$pid/exe w");
    bundle.privileged().namespaces(&["network", "ipc", "uts", "mount", "cgroup"]);
    let victim = victim(bundle);
    let mut live = victim.bundle.spawn(victim.command(Host::machine().without(&[("memfd_create", ENOSYS)])));
    live.until("ready");
    let pid = live.pid();
    live.send(&format!("{pid}\n"));
    let answer = live.line();
    assert!(["EROFS", "ETXTBSY", "EPERM", "EACCES"].contains(&answer.as_str()), "{answer}");
    live.finish();
    victim.unharmed();
}

fn without_any_way_to_make_a_copy_it_is_refused() {
    let bundle = Bundle::sh("echo ran");
    let all = ["memfd_create", "open_tree", "mount_setattr", "fsopen", "mount"];
    let host = Host::machine().without(&all.map(|call| (call, EPERM)));
    bundle.on(host).output().refuses(&["operation not permitted"]);
}
