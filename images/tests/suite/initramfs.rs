//! What an initramfs holds, read back by an independent reader, and that the same input gives the same bytes.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use hull_image::tree::Device;
use hull_image::{Packing, Tree, initramfs};

/// Path, mode with the file type, and contents of each entry.
type Listing = Vec<(String, u32, Vec<u8>)>;

fn read_back(mut archive: &[u8]) -> Listing {
    let mut listing = Listing::new();
    loop {
        let mut reader = cpio::NewcReader::new(archive).unwrap();
        if reader.entry().is_trailer() {
            return listing;
        }
        let entry = reader.entry();
        assert_eq!((entry.uid(), entry.gid(), entry.mtime()), (0, 0, 0), "{}", entry.name());
        let (name, mode) = (entry.name().to_owned(), entry.mode());
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        listing.push((name, mode, bytes));
        archive = reader.finish().unwrap();
    }
}

/// A directory with one entry of each kind that an ordinary user can make, its files older by `age`.
fn source(at: &Path, age: Duration) {
    fs::create_dir_all(at.join("etc")).unwrap();
    fs::write(at.join("etc/hostname"), "box\n").unwrap();
    fs::write(at.join("etc-old"), "sorted between etc and etc/hostname, or after").unwrap();
    fs::set_permissions(at.join("etc/hostname"), Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(at.join("etc"), Permissions::from_mode(0o2755)).unwrap();
    fs::set_permissions(at.join("etc-old"), Permissions::from_mode(0o4755)).unwrap();
    symlink("../elsewhere", at.join("etc/link")).unwrap();
    let file = File::options().append(true).open(at.join("etc/hostname")).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

fn pack(tree: Tree, packing: Packing) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("image");
    let size = initramfs(tree, &output, packing).unwrap();
    let bytes = fs::read(&output).unwrap();
    assert_eq!(size, bytes.len() as u64);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no partial file stays");
    bytes
}

#[test]
fn every_kind_of_entry_is_read_back() {
    let host = tempfile::tempdir().unwrap();
    source(host.path(), Duration::ZERO);
    let mut tree = Tree::new();
    tree.copy_tree("/", host.path()).unwrap();
    tree.copy("/bin/program", &host.path().join("etc-old")).unwrap();
    tree.file("note", 0o600, "text").unwrap();
    tree.device("/dev/mmcblk0", 0o660, Device::Block(179, 0)).unwrap();
    let archive = pack(tree, Packing::Plain);
    assert_eq!(archive.len() % 512, 0);
    let expected: [(&str, u32, &[u8]); 10] = [
        ("bin", 0o040_755, b""),
        ("bin/program", 0o100_755, b"sorted between etc and etc/hostname, or after"),
        ("dev", 0o040_755, b""),
        ("dev/console", 0o020_600, b""),
        ("dev/mmcblk0", 0o060_660, b""),
        ("etc", 0o042_755, b""),
        ("etc-old", 0o104_755, b"sorted between etc and etc/hostname, or after"),
        ("etc/hostname", 0o100_640, b"box\n"),
        ("etc/link", 0o120_777, b"../elsewhere"),
        ("note", 0o100_600, b"text"),
    ];
    let listing = read_back(&archive);
    let listing: Vec<_> =
        listing.iter().map(|(name, mode, bytes)| (name.as_str(), *mode, &bytes[..])).collect();
    assert_eq!(listing, expected);
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let image = |age, packing| {
        let host = tempfile::tempdir().unwrap();
        source(host.path(), age);
        let mut tree = Tree::new();
        tree.copy_tree("/", host.path()).unwrap();
        pack(tree, packing)
    };
    let (now, earlier) = (Duration::ZERO, Duration::from_secs(1_000_000));
    for packing in [Packing::Plain, Packing::Gzip] {
        assert!(image(now, packing) == image(earlier, packing), "{packing:?}");
    }
    let mut unpacked = Vec::new();
    GzDecoder::new(&image(now, Packing::Gzip)[..]).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == image(now, Packing::Plain));
}

#[test]
fn a_later_tree_lies_over_an_earlier_one_but_never_turns_a_directory_into_a_file() {
    let mut tree = Tree::new();
    tree.file("a/b", 0o644, "first").unwrap();
    tree.file("/a/./b", 0o600, "second").unwrap();
    assert_eq!(tree.entries().count(), 2);
    assert_eq!(tree.file("a", 0o644, "").unwrap_err().to_string(), "/a is a directory and something else");
    assert_eq!(tree.file("a/b/c", 0o644, "").unwrap_err().to_string(), "/a/b is not a directory");
    assert_eq!(tree.file("../x", 0o644, "").unwrap_err().to_string(), "\"../x\" leads out of the image");
    assert_eq!(tree.directory("/", 0o755).unwrap_err().to_string(), "\"/\" names nothing in the image");
}

#[test]
fn a_failed_build_leaves_the_earlier_image() {
    let directory = tempfile::tempdir().unwrap();
    let (output, source) = (directory.path().join("image"), directory.path().join("source"));
    fs::write(&output, "earlier").unwrap();
    fs::write(&source, "here when the tree is gathered").unwrap();
    let mut tree = Tree::new();
    tree.copy("file", &source).unwrap();
    fs::remove_file(&source).unwrap();
    assert!(initramfs(tree, &output, Packing::Plain).is_err());
    assert_eq!(fs::read_to_string(&output).unwrap(), "earlier");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn the_command_takes_each_kind_of_argument() {
    let host = tempfile::tempdir().unwrap();
    source(host.path(), Duration::ZERO);
    let output = host.path().join("out.cpio.gz");
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_hull-image"))
            .arg("initramfs")
            .arg(&output)
            .args(arguments)
            .output()
            .unwrap()
    };
    let tree = format!("root={}/etc", host.path().display());
    let file = format!("/init={}/etc-old", host.path().display());
    let done = run(&[
        "--gzip",
        "--tree",
        &tree,
        "--file",
        &file,
        "--link",
        "sbin=bin",
        "--directory",
        "tmp=1777",
        "--node",
        "dev/null=c:1:3:666",
    ]);
    assert!(done.status.success(), "{done:?}");
    let mut archive = Vec::new();
    GzDecoder::new(File::open(&output).unwrap()).read_to_end(&mut archive).unwrap();
    let names: Vec<_> =
        read_back(&archive).into_iter().map(|(name, mode, _)| format!("{name} {mode:o}")).collect();
    assert_eq!(
        names.join("\n"),
        "dev 40755\ndev/console 20600\ndev/null 20666\ninit 100755\nroot 40755\n\
        root/hostname 100640\nroot/link 120777\nsbin 120777\ntmp 41777"
    );
    let refused = run(&["--node", "dev/null=x:1:3"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr),
        "hull-image: --node dev/null=x:1:3: type \"x\" is neither c nor b\n"
    );
}
