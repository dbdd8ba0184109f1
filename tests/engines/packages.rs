//! Debian's packages of the engines, fetched once, unpacked into a cache that git ignores, never installed: no service
//! starts, no user, alternative or unit file appears on the machine.

use hull_tests::{spawn, tests_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Their dependencies follow, as far as the machine lacks them.
const PACKAGES: [&str; 4] = ["podman", "conmon", "docker.io", "containerd"];

/// The folder that the packages are unpacked in: `usr` and `etc` are laid over the machine's.
pub fn unpacked() -> PathBuf {
    let cache = tests_dir().join("cache/engines");
    let root = cache.join("root");
    // Written last, so that a fetch that was cut short is seen.
    let whole = cache.join("packages");
    if fs::read_to_string(&whole).is_ok_and(|text| text == PACKAGES.join(" ")) {
        return root;
    }
    if cache.exists() {
        fs::remove_dir_all(&cache).expect("an old cache goes");
    }
    let archives = cache.join("archives");
    fs::create_dir_all(archives.join("partial")).expect("a folder for packages");
    if let Err(error) = download(&archives) {
        let updated = tool("apt-get", &["-qq", "-o", "DPkg::Lock::Timeout=300", "update"]);
        updated.unwrap_or_else(|update| panic!("{error}; {update}"));
        download(&archives).expect("the packages of the engines");
    }
    for folder in ["usr", "etc"] {
        fs::create_dir_all(root.join(folder)).expect("a folder to unpack in");
    }
    for entry in fs::read_dir(&archives).expect("the folder of packages").flatten() {
        if entry.path().extension().is_some_and(|kind| kind == "deb") {
            tool("dpkg-deb", &["-x", path(&entry.path()), path(&root)]).expect("a package unpacks");
        }
    }
    merge(&root);
    fs::remove_dir_all(archives).expect("unpacked archives go");
    fs::write(whole, PACKAGES.join(" ")).expect("a mark for a whole cache");
    root
}

fn download(archives: &Path) -> Result<(), String> {
    let place = format!("Dir::Cache::archives={}", path(archives));
    let flags = ["-qq", "-y", "-o", &place, "-o", "DPkg::Lock::Timeout=300"];
    let words = [&flags[..], &["--download-only", "--no-install-recommends", "install"], &PACKAGES[..]];
    tool("apt-get", &words.concat())
}

/// Packages still carry /lib and /sbin, which the machine has as links into /usr.
fn merge(root: &Path) {
    for top in ["bin", "sbin", "lib", "lib64"] {
        if root.join(top).is_dir() {
            let (from, to) = (root.join(top).join("."), root.join("usr").join(top));
            fs::create_dir_all(&to).expect("a folder of usr");
            tool("cp", &["-a", path(&from), path(&to)]).expect("files of the root go to usr");
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn tool(program: &str, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    let output = spawn::output(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"));
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim_end()))
}
