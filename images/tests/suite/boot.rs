//! Whether a warning about memory is right, on a machine with as much as that. What else boots is in tests/vm.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use hull_targets::apt;
use hull_targets::family::{self, Family};
use hull_targets::kernel;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

use crate::support::*;

/// The layout with busybox for `family`.
fn busybox(folder: &Path, family: &Family) {
    let program = fs::read(apt::unpacked(family, "busybox-static").unwrap().join("bin/busybox"))
        .or_else(|_| fs::read(apt::unpacked(family, "busybox-static").unwrap().join("usr/bin/busybox")))
        .unwrap();
    let archive = Archive::new()
        .entry(tar::EntryType::Regular, "bin/busybox", "", 0o755, &program)
        .symlink("bin/sh", "busybox")
        .file("etc/passwd", "web:x:33:34::/:/bin/sh\n");
    let config = json!({
        "architecture": family.oci.architecture, "variant": family.oci.variant,
        "config": { "Entrypoint": ["/bin/busybox"], "Cmd": ["sh", "-c", SCRIPT], "User": "web", "Env": ["GREETING=hello"] },
    });
    Layout::with(&folder.join("layout"), &[Layer::gzip(archive.end())], &config);
}

const SCRIPT: &str = "/bin/busybox echo $GREETING from $(/bin/busybox hostname), pid $$, user $(/bin/busybox id -u) on $(/bin/busybox uname -m)";

fn write(folder: &Path, family: &Family, more: &str) {
    let bundle = "[[bundle]]\nname = \"b\"\noci = \"layout:x\"\n";
    let recipe = format!("board = \"{}\"\noutput = \"out/box\"\n{more}{bundle}", family.name());
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
}

/// Builds and boots, and returns what the console said. A machine that can't power itself off is ended when it says so.
fn boot(folder: &Path, family: &Family, more: &str, arguments: &[&str]) -> String {
    write(folder, family, more);
    let mut command = command(folder, &["boot", "recipe.toml"]);
    command.args(arguments);
    // One process group with QEMU in it, to end both at once.
    let errors = fs::File::create(folder.join("errors")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).process_group(0);
    let mut child = command.spawn().unwrap();
    let mut console = String::new();
    let mut halted = false;
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        let line = text(&line.unwrap());
        console += &line;
        console.push('\n');
        if line.contains("reboot: System halted") || line.contains("---[ end Kernel panic") {
            halted = true;
            let group = Pid::from_child(&child);
            kill_process_group(group, Signal::KILL).unwrap();
        }
    }
    let status = child.wait().unwrap();
    let errors = fs::read_to_string(folder.join("errors")).unwrap();
    assert!(halted || status.success(), "{errors}\n{console}");
    console
}

/// The warning is right: with less memory the machine does not come up whole, with more it does.
#[test]
fn memory_that_is_warned_of_is_too_little() {
    let family = family::named("aarch64").unwrap().pop().unwrap();
    let folder = folder();
    busybox(folder.path(), &family);
    let mut noise = Vec::new();
    let mut state = 1u64;
    while noise.len() < 48 << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.extend_from_slice(&(state >> 16).to_le_bytes()[..4]);
    }
    fs::write(folder.path().join("noise"), noise).unwrap();
    let recipe = |memory: u64| {
        // Sorted behind the bundle: what the kernel drops is the end of the archive.
        format!(
            "memory = \"{memory}M\"\n[kernel]\narguments = \"loglevel=4 -- /bundles/b/rootfs/bin/busybox sha256sum /zz/noise\"\n\
             [[file]]\npath = \"/zz/noise\"\nsource = \"noise\"\n[initramfs]\ncompression = \"none\"\n"
        )
    };
    let sum = sha256(&fs::read(folder.path().join("noise")).unwrap()).replace("sha256:", "");
    let console = boot(folder.path(), &family, &recipe(256), &[]);
    assert!(console.contains(&sum), "{console}");
    let warned = |memory: u64| {
        write(folder.path(), &family, &recipe(memory));
        text(&run(folder.path(), &["build", "recipe.toml"]).stderr)
    };
    assert!(!warned(256).contains("warning"), "{}", warned(256));
    assert!(warned(112).contains("does not fit a memory of 112.0 MiB"), "{}", warned(112));
    // The kernel of the command line goes before the recipe's, which is none.
    let other = recipe(112).replace("[kernel]\n", "[kernel]\nfile = \"no-kernel\"\n");
    write(folder.path(), &family, &other);
    let failed = run(folder.path(), &["boot", "recipe.toml"]);
    assert!(!failed.status.success() && text(&failed.stderr).contains("no-kernel"), "{failed:?}");
    let kernel = kernel::cached(&family, None).unwrap().file;
    let console = boot(folder.path(), &family, &other, &["--kernel", kernel.to_str().unwrap()]);
    assert!(!console.contains(&sum), "{console}");
}
