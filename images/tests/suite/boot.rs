//! Machines that boot what was built, in QEMU, one for each board family: hull as /init runs a container of a busybox
//! image, and the machine powers off.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;

use hull_targets::family::{self, Family};
use hull_targets::{apt, kernel};
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

/// The first stage of hull's init runs one program and powers off.
const RUN: &str = "-- /init run -b /bundles/b b";

/// Builds and boots, and returns what the console said. A machine that can't power itself off is ended when it says so.
fn boot(folder: &Path, family: &Family, more: &str) -> String {
    let bundle = "[[bundle]]\nname = \"b\"\noci = \"layout:x\"\n";
    let recipe = format!("board = \"{}\"\noutput = \"out/box\"\n{more}{bundle}", family.name());
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    let mut command = command(folder, &["boot", "recipe.toml"]);
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

/// `uname -m` of the machine.
fn machine(family: &Family) -> &'static str {
    match family.name() {
        "x86_64" => "x86_64",
        "armv7" => "armv7l",
        "armv6" => "armv6l",
        "riscv64" => "riscv64",
        _ => "aarch64",
    }
}

#[test]
fn every_board_boots_and_runs_a_container() {
    let mut failed = Vec::new();
    for family in family::all().unwrap() {
        let folder = folder();
        busybox(folder.path(), &family);
        let kernel = format!("[kernel]\narguments = \"loglevel=1 {RUN}\"\n");
        let console = boot(folder.path(), &family, &kernel);
        let expected = format!("hello from b, pid 1, user 33 on {}", machine(&family));
        if !console.contains(&expected) || !console.contains("hull: init: /init exited with 0") {
            failed.push(format!("{}: no \"{expected}\" in\n{console}", family.name()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Modules go in unpacked and in an order in which the kernel takes them: the guest loads each with no tool that knows
/// of dependencies. A root image is a disk that the kernel mounts.
#[test]
fn a_root_image_is_mounted_with_the_modules_that_came_along() {
    let family = family::named("x86_64").unwrap().pop().unwrap();
    need(&[("/usr/bin/mksquashfs", "squashfs-tools"), ("/usr/bin/mkfs.erofs", "erofs-utils")]);
    for (format, modules) in [("squashfs", "\"squashfs\""), ("erofs", "\"erofs\"")] {
        let folder = folder();
        busybox(folder.path(), &family);
        let program = apt::unpacked(&family, "busybox-static").unwrap().join("bin/busybox");
        // The stand-in for what hull will do by itself.
        let script = format!(
            "mount -t devtmpfs dev /dev; for m in $(sed -n 's/.*\\\"\\\\(\\\\/lib.*ko\\\\)\\\".*/\\\\1/p' /etc/hull.json); \
             do insmod $m || echo BAD $m; done; mkdir -p /new; mount -t {format} -o ro /dev/vda /new; \
             cat /new/etc/hull.json; ls -l /new/bundles/b/rootfs/bin"
        );
        let lines = format!(
            "[root]\nformat = \"{format}\"\ndevice = \"/dev/vda\"\n\
             [kernel]\nload = [\"virtio_blk\", \"virtio_pci\", {modules}]\n\
             arguments = \"loglevel=1 hull.run=/stand-in\"\n"
        );
        // The small initramfs takes no extra files, so the stand-in is packed behind it: the kernel unpacks both.
        let recipe = format!(
            "board = \"x86_64\"\noutput = \"out/box\"\n{lines}[[bundle]]\nname = \"b\"\noci = \"layout:x\"\n"
        );
        fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
        built(&run(folder.path(), &["build", "recipe.toml"]));
        let more = folder.path().join("more");
        let stand_in = folder.path().join("stand-in");
        fs::write(
            &stand_in,
            format!("#!/bin/busybox sh\nexport PATH=/bin\n/bin/busybox --install -s /bin\n{script}\n"),
        )
        .unwrap();
        std::os::unix::fs::PermissionsExt::set_mode(
            &mut fs::metadata(&stand_in).unwrap().permissions(),
            0o755,
        );
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&stand_in, mode).unwrap();
        let mut tree = hull_image::Tree::new();
        tree.copy("bin/busybox", &program).unwrap();
        tree.copy("stand-in", &stand_in).unwrap();
        hull_image::initramfs(tree, &more, hull_image::Packing::Plain).unwrap();
        let mut both = fs::read(folder.path().join("out/box.initramfs")).unwrap();
        both.resize(both.len().next_multiple_of(512), 0);
        both.extend(fs::read(&more).unwrap());
        fs::write(folder.path().join("both"), both).unwrap();
        let kernel = kernel::cached(&family, None).unwrap();
        let machine = hull_targets::qemu::Machine {
            family: &family,
            kernel: &kernel.file,
            dtb: None,
            initramfs: &folder.path().join("both"),
            memory: 512,
            processors: 1,
            disks: vec![folder.path().join(format!("out/box.{format}"))],
            arguments: "loglevel=1 hull.run=/stand-in",
            serial: "stdio",
        };
        let output = machine.command().unwrap().stdin(Stdio::null()).output().unwrap();
        let console = text(&output.stdout);
        assert!(console.contains("\"hull.end\": \"poweroff\""), "{console}");
        assert!(console.contains("sh -> busybox") && !console.contains("BAD"), "{console}");
    }
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
    let console = boot(folder.path(), &family, &recipe(256));
    assert!(console.contains(&sum), "{console}");
    fs::write(folder.path().join("recipe.toml"), "").unwrap();
    let bundle = "[[bundle]]\nname = \"b\"\noci = \"layout:x\"\n";
    let warned = |memory: u64| {
        let recipe = format!("board = \"aarch64\"\noutput = \"out/box\"\n{}{bundle}", recipe(memory));
        fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
        text(&run(folder.path(), &["build", "recipe.toml"]).stderr)
    };
    assert!(!warned(256).contains("warning"), "{}", warned(256));
    assert!(warned(112).contains("does not fit a memory of 112.0 MiB"), "{}", warned(112));
    let console = boot(folder.path(), &family, &recipe(112));
    assert!(!console.contains(&sum), "{console}");
}
