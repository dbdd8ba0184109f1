//! Images of the builder on machines of every architecture: hull as PID 1 runs their bundles, good ones and bad ones, and
//! each expectation is a result of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hull_image::recipe;
use hull_targets::family::{self, Family};
use hull_targets::{apt, build, debian, kernel, output};

use crate::console::{Report, Verdict};
use crate::qemu::{Boot, Ended, Machine};

/// A machine to boot.
pub struct Board {
    pub family: Family,
    /// Debian's, where it is not the family's own.
    suite: Option<&'static str>,
    /// The format of a root image; none: all in the initramfs.
    root: Option<&'static str>,
}

/// What a machine did, and what is judged by.
pub struct Booted {
    board: Board,
    kernel: String,
    ended: Ended,
}

impl Board {
    fn new(name: &str, suite: Option<&'static str>, root: Option<&'static str>) -> Result<Board> {
        Ok(Board { family: family::named(name)?.pop().context("no such family")?, suite, root })
    }

    /// Begins the names of its results.
    pub fn name(&self) -> String {
        let more = [self.root, self.suite].into_iter().flatten().map(|word| format!("_{word}"));
        format!("{}{}", self.family.name(), more.collect::<String>()).replace('-', "_")
    }
}

/// Every board of a run, the slowest first; `long` has a Raspberry Pi and further kernels too.
pub fn all(long: bool) -> Result<Vec<Board>> {
    let mut boards = Vec::new();
    for name in ["armv6", "x86_64", "aarch64", "armv7", "riscv64"] {
        boards.push(Board::new(name, None, None)?);
    }
    boards.push(Board::new("x86_64", None, Some("squashfs"))?);
    if long {
        boards.push(Board::new("x86_64", None, Some("erofs"))?);
        for suite in SUITES {
            boards.push(Board::new("x86_64", Some(suite), None)?);
        }
        boards.push(Board::new("raspberry-pi", None, None)?);
    }
    Ok(boards)
}

/// Debian's suites with kernels 5.10, 6.12 and 7.x; the machine's own has 6.1.
pub const SUITES: [&str; 3] = ["bullseye", "trixie", "sid"];

/// The bundles, in the order in which they run; a shell line each.
const BUNDLES: &[(&str, &str)] = &[
    (
        "first",
        "echo first: pid $$ as $(id -u) on $(hostname), $(uname -m), $GREETING; echo proc: $(ls -d /proc/[0-9]* | wc -l)",
    ),
    ("broken", ""),
    ("missing", ""),
    ("failing", "exit 42"),
    // In the machine's own pid namespace, where a signal ends any process but init, and nothing ends orphans with the first.
    ("crashing", "kill -SEGV $$; echo survived"),
    ("orphans", "for n in 1 2 3; do (sleep 0.$n &) ; done; (setsid sleep 1 &); echo orphans: left"),
    (
        "last",
        "(sleep 0 & exec sleep 4) & sleep 2; echo last: $(ps -o stat | grep -c Z) zombies; echo last: $(ps -o pid,comm | grep -c \"1 init\") init",
    ),
];

/// The recipe of `board`'s image, written into `folder` with all that it names.
fn recipe(board: &Board, hull: Option<&Path>, folder: &Path) -> Result<PathBuf> {
    layout(&board.family, folder)?;
    let mut text = format!("board = \"{}\"\noutput = \"image\"\nmemory = \"512M\"\n", board.family.name());
    if let (Some(hull), "x86_64") = (hull, board.family.name()) {
        text += &format!("hull = \"{}\"\n", hull.display());
    }
    if let Some(format) = board.root {
        text += "end = \"reboot\"\n";
        text += &format!("[root]\nformat = \"{format}\"\ndevice = \"/dev/vda\"\n");
        text += &format!("[kernel]\nload = [\"virtio_pci\", \"virtio_blk\", \"{format}\"]\n");
    }
    // umoci knows no variants, and an image without one is for ARMv7.
    let oci = match board.family.oci.variant.as_deref() {
        Some("v6") => "oci = \"layout:box\"\nplatform = \"linux/arm\"",
        _ => "oci = \"layout:box\"",
    };
    for (name, line) in BUNDLES {
        text += &format!("[[bundle]]\nname = \"{name}\"\n{oci}\n");
        match *name {
            "missing" => text += "args = [\"/no/such/program\"]\n",
            // the image's own words
            "first" => {}
            _ => text += &format!("args = [\"/bin/sh\", \"-c\", '{line}']\n"),
        }
        if matches!(*name, "crashing" | "orphans" | "last") {
            text += "spec = { linux = { namespaces = [{ type = \"mount\" }, { type = \"ipc\" }, { type = \"uts\" }] } }\n";
        }
    }
    if board.family.name() == "armv6" {
        text += &foreign(oci)?;
    }
    text += "[[file]]\npath = \"/bundles/broken/config.json\"\ncontent = \"{ nonsense\"\n";
    let path = folder.join("recipe.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// The bundle of the ARM1176 whose program is made of instructions that it lacks: the control that hull's own would be seen.
const FOREIGN: &str = "foreign";

/// hull for ARMv7 as a bundle's program, which would print its version.
fn foreign(oci: &str) -> Result<String> {
    let family = family::named("armv7")?.pop().context("no such family")?;
    let program = build::release(&family)?.path;
    Ok(format!(
        "[[bundle]]\nname = \"{FOREIGN}\"\n{oci}\nargs = [\"/hull\", \"--version\"]\n\
         [[bundle.file]]\npath = \"/hull\"\nsource = \"{}\"\nmode = \"755\"\n",
        program.display()
    ))
}

/// An OCI layout with busybox for `family`, by umoci.
fn layout(family: &Family, folder: &Path) -> Result<()> {
    debian::install(&[("/usr/bin/umoci", "umoci")])?;
    let package = apt::unpacked(family, "busybox-static")?;
    let busybox = ["bin/busybox", "usr/bin/busybox"].map(|path| package.join(path));
    let busybox = busybox.iter().find(|path| path.exists()).context("no busybox in its package")?;
    let umoci = |words: &[&str]| -> Result<()> {
        let output = Command::new("umoci").args(words).current_dir(folder).output().context("run umoci")?;
        ensure!(output.status.success(), "umoci: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    let image = ["--image", "layout:box"];
    umoci(&["init", "--layout", "layout"])?;
    umoci(&[&["new"], &image[..]].concat())?;
    umoci(&[&["unpack"], &image[..], &["unpacked"]].concat())?;
    let tree = folder.join("unpacked/rootfs");
    fs::create_dir_all(tree.join("bin"))?;
    fs::create_dir_all(tree.join("etc"))?;
    fs::copy(busybox, tree.join("bin/busybox"))?;
    fs::write(tree.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n")?;
    for applet in
        ["sh", "echo", "hostname", "id", "uname", "ls", "wc", "sleep", "kill", "setsid", "ps", "grep"]
    {
        std::os::unix::fs::symlink("busybox", tree.join("bin").join(applet))?;
    }
    umoci(&[&["repack"], &image[..], &["unpacked"]].concat())?;
    let line = BUNDLES.first().map(|(_, line)| *line).unwrap_or_default();
    let architecture = ["--architecture", &family.oci.architecture];
    let words = ["--config.user", "web", "--config.env", "GREETING=hello"];
    let program = ["--config.entrypoint", "/bin/sh", "--config.cmd", "-c", "--config.cmd", line];
    umoci(&[&["config"], &image[..], &architecture, &words, &program].concat())
}

/// Builds the image of `board`, boots it, and waits for its end.
pub fn boot(board: Board, hull: Option<&Path>) -> Result<Booted> {
    let name = board.name();
    let folder = output().join("vm").join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let system = format!("/usr/bin/{}", board.family.qemu.system);
    debian::install(&[(&system, &board.family.qemu.package)])?;
    let recipe = recipe::read(&recipe(&board, hull, &folder)?)?;
    let built = hull_image::build(&recipe).with_context(|| format!("build the image of {name}"))?;
    let kernel = kernel::cached(&board.family, board.suite)?;
    let disk = built.root.as_deref();
    let machine = Machine { family: &board.family, kernel: &kernel, initramfs: &built.initramfs, disk };
    let ended = machine.boot(&Boot { name: &name, command_line: "", processors: 1 }, |_| {})?;
    Ok(Booted { board, kernel: kernel.version.clone(), ended })
}

/// Counts what is expected of a machine that booted. Returns which kernel it was.
pub fn judge(booted: &Booted, report: &mut Report) -> String {
    let (name, ended) = (booted.board.name(), &booted.ended);
    let mut all: Vec<(&str, Verdict)> = Vec::new();
    let says = |text: &str| ended.says(text);
    let ends = |bundle: &str, code: &str| says(&format!("hull: init: {bundle} exited with {code}"));
    let machine = match booted.board.family.name() {
        "x86_64" => "x86_64",
        "armv7" => "armv7l",
        "armv6" => "armv6l",
        "riscv64" => "riscv64",
        _ => "aarch64",
    };
    let hello = format!("first: pid 1 as 33 on first, {machine}, hello");
    all.push(("runs_the_image_as_its_config_says", says(&hello).and(ends("first", "0"))));
    let broken = says("hull: run broken: config.json:1:3: ").and(ends("broken", "1"));
    all.push(("passes_over_a_broken_bundle", broken));
    let missing = says("hull: run missing: exec: \"/no/such/program\": ").and(ends("missing", "1"));
    all.push(("passes_over_a_missing_program", missing));
    all.push(("reports_a_failing_one", ends("failing", "42")));
    all.push(("reports_a_crashing_one", ends("crashing", "139")));
    // the one zombie is the last bundle's own, whose parent never waits: the control that zombies are seen
    all.push(("reaps_orphans", says("orphans: left").and(says("last: 1 zombies")).and(says("last: 1 init"))));
    all.push(("keeps_the_order", in_order(ended)));
    if machine == "armv6l" {
        // no instruction (SIGILL), or a wild jump (SIGSEGV), as the code falls
        let stopped = ends(FOREIGN, "132").or_else(|_| ends(FOREIGN, "139"));
        all.push(("stops_on_code_of_armv7", stopped));
    }
    let last = match booted.board.root {
        Some(_) => "hull: init: reboot",
        None => "hull: init: poweroff",
    };
    all.push(("ends_the_machine_without_a_panic", says(last).and(ended.powered_off())));
    if all.iter().all(|(_, verdict)| verdict.is_ok()) {
        ended.forget();
    } else {
        println!("{}", ended.tail());
    }
    for (what, verdict) in all {
        report.count(&format!("{name}_{what}"), verdict);
    }
    booted.kernel.clone()
}

fn in_order(ended: &Ended) -> Verdict {
    let mut last = 0;
    for (bundle, _) in BUNDLES {
        let line = format!("hull: init: {bundle} exited with ");
        match ended.place(&line) {
            Some(place) if place >= last => last = place,
            Some(_) => return Err(format!("{bundle} ended too early")),
            None => return Err(format!("{bundle} never ended")),
        }
    }
    Ok(())
}
