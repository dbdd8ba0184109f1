//! Layouts as umoci and skopeo really write them, and archives of GNU tar: the image has what `umoci unpack` makes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{FileType, Mode, makedev, mknodat};

use crate::support::*;

fn tools() {
    need(&[("/usr/bin/skopeo", "skopeo"), ("/usr/bin/umoci", "umoci"), ("/usr/bin/setfattr", "attr")]);
}

#[track_caller]
fn sh(folder: &Path, line: &str) {
    let output = Command::new("sh").args(["-ec", line]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{line}: {}{}", text(&output.stdout), text(&output.stderr));
}

/// A layout with an image of three layers that uses whatever layers can do.
fn layout(folder: &Path) {
    tools();
    sh(
        folder,
        "umoci init --layout layout; umoci new --image layout:box; umoci unpack --image layout:box work",
    );
    let rootfs = folder.join("work/rootfs");
    for path in ["bin", "etc", "var/cache/old", "srv/deep/er", "tmp", "dev"] {
        fs::create_dir_all(rootfs.join(path)).unwrap();
    }
    fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n").unwrap();
    fs::write(rootfs.join("etc/group"), "root:x:0:\nwww:x:34:\nvideo:x:44:web\n").unwrap();
    fs::write(rootfs.join("bin/program"), "x".repeat(100_000)).unwrap();
    fs::set_permissions(rootfs.join("bin/program"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::hard_link(rootfs.join("bin/program"), rootfs.join("bin/linked")).unwrap();
    symlink("/bin", rootfs.join("sbin")).unwrap();
    fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    for path in ["srv/deep/er/one", "srv/deep/two", "var/cache/old/x", "etc/gone", "name with spaces"] {
        fs::write(rootfs.join(path), path).unwrap();
        chown(rootfs.join(path), Some(33), Some(70_000)).unwrap();
    }
    fs::write(rootfs.join("n\u{fc}\n\u{1f600}"), "a strange name").unwrap();
    let long = format!("srv/{}/{}", "l".repeat(120), "m".repeat(120));
    fs::create_dir_all(rootfs.join(&long)).unwrap();
    fs::write(rootfs.join(&long).join("f"), "long").unwrap();
    let mode = Mode::from_raw_mode(0o666);
    mknodat(rustix::fs::CWD, rootfs.join("dev/null"), FileType::CharacterDevice, mode, makedev(1, 3))
        .unwrap();
    mknodat(rustix::fs::CWD, rootfs.join("pipe"), FileType::Fifo, mode, 0).unwrap();
    sh(&rootfs, "setfattr -n user.note -v '0x610a62' bin/program");
    sh(folder, "umoci repack --image layout:box work; rm -r work; umoci unpack --image layout:box work");
    // Gone, replaced by other kinds, and added to.
    fs::remove_file(rootfs.join("etc/gone")).unwrap();
    fs::remove_dir_all(rootfs.join("var/cache")).unwrap();
    fs::write(rootfs.join("var/cache"), "a file now").unwrap();
    fs::remove_dir_all(rootfs.join("srv/deep")).unwrap();
    fs::create_dir(rootfs.join("srv/deep")).unwrap();
    fs::write(rootfs.join("srv/deep/three"), "three").unwrap();
    fs::remove_file(rootfs.join("bin/linked")).unwrap();
    sh(folder, "umoci repack --image layout:box work; rm -r work; umoci unpack --image layout:box work");
    fs::set_permissions(rootfs.join("etc"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::hard_link(rootfs.join("etc/passwd"), rootfs.join("etc/passwd-")).unwrap();
    sh(
        folder,
        "umoci repack --image layout:box work; rm -r work; umoci config --image layout:box --config.user web \
         --config.entrypoint /bin/program --config.cmd one --config.cmd two --config.workingdir /srv \
         --config.env A=1 --config.volume /var/lib/data --config.label k=v --config.stopsignal SIGINT \
         --config.exposedports 80/tcp",
    );
}

/// What the host has of a tree: type and mode, owners, links, device, contents; and which names are one file.
type Census = BTreeMap<String, String>;

fn census(root: &Path) -> Census {
    let mut found = Census::new();
    let mut open = vec![root.to_owned()];
    let mut inodes: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            let path = entry.path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
            let kind = metadata.file_type();
            let contents = if kind.is_file() {
                sha256(&fs::read(&path).unwrap())
            } else if kind.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else {
                format!("{:x}", metadata.rdev())
            };
            if kind.is_dir() {
                open.push(path.clone());
            } else {
                inodes.entry(metadata.ino()).or_default().push(name.clone());
            }
            let mut note = [0; 16];
            let note = rustix::fs::lgetxattr(&path, "user.note", &mut note[..])
                .map(|length| note[..length].to_vec());
            let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
            found.insert(name, format!("{mode:o} {uid} {gid} {contents} {:?}", note.ok()));
        }
    }
    for names in inodes.values_mut().filter(|names| names.len() > 1) {
        names.sort();
        found.insert(names.join(" = "), "one file".to_owned());
    }
    found
}

/// The bundle's root out of a squashfs image, by its own tool.
fn of_image(folder: &Path) -> Census {
    let _ = fs::remove_dir_all(folder.join("unpacked"));
    sh(folder, "unsquashfs -quiet -no-progress -d unpacked out/box.squashfs >/dev/null");
    let mut census = census(&folder.join("unpacked/bundles/b/rootfs"));
    // What config.json mounts onto, and umoci does not make.
    for path in ["proc", "sys", "var/lib", "var/lib/data"] {
        census.remove(path);
    }
    census
}

/// A layout, and what umoci makes of it in `expected/rootfs`.
fn unpacked(folder: &Path) -> Census {
    layout(folder);
    sh(folder, "umoci unpack --image layout:box expected");
    census(&folder.join("expected/rootfs"))
}

const RECIPE: &str =
    "[[bundle]]\nname = \"b\"\noci = \"layout:box\"\n[root]\nformat = \"squashfs\"\ndevice = \"/dev/vda\"\n";

#[test]
fn layers_of_umoci_and_skopeo_give_what_umoci_unpacks() {
    need(&[("/usr/bin/mksquashfs", "squashfs-tools")]);
    let folder = folder();
    let path = folder.path();
    let expected = unpacked(path);
    assert!(expected.len() > 20, "{expected:#?}");
    assert!(expected.contains_key("etc/passwd = etc/passwd-") && expected.contains_key("srv/deep/three"));
    assert!(!expected.contains_key("srv/deep/two") && !expected.contains_key("etc/gone"));

    built(&build(path, RECIPE));
    let found = of_image(path);
    compare(&expected, &found);

    sh(
        path,
        "skopeo copy -q --dest-compress-format zstd --dest-compress-level 3 oci:layout:box oci:other:box",
    );
    let blobs = fs::read_dir(path.join("other/blobs/sha256")).unwrap().flatten();
    let is_meant = |text: String| text.contains("tar+zstd");
    let meant = blobs.map(|blob| text(&fs::read(blob.path()).unwrap())).any(is_meant);
    assert!(meant, "skopeo did not make zstd layers");
    built(&build(path, &RECIPE.replace("layout:box", "other:box")));
    compare(&expected, &of_image(path));
}

#[track_caller]
fn compare(expected: &Census, found: &Census) {
    let differ = |one: &Census, other: &Census| {
        one.iter()
            .filter(|(name, what)| other.get(*name) != Some(what))
            .map(|(name, what)| format!("{name}: {what}"))
            .collect::<Vec<_>>()
    };
    let (missing, more) = (differ(expected, found), differ(found, expected));
    assert!(missing.is_empty() && more.is_empty(), "umoci has {missing:#?}, the image {more:#?}");
}

#[test]
fn the_config_is_the_one_that_umoci_set() {
    let folder = folder();
    layout(folder.path());
    built(&build(folder.path(), "[[bundle]]\nname = \"b\"\noci = \"layout:box\"\n"));
    let config = config(folder.path());
    let process = &config["process"];
    assert_eq!(process["args"], serde_json::json!(["/bin/program", "one", "two"]));
    assert_eq!(process["user"], serde_json::json!({ "uid": 33, "gid": 34, "additionalGids": [44] }));
    assert_eq!(process["cwd"], "/srv");
    assert!(process["env"].as_array().unwrap().contains(&"A=1".into()));
    assert_eq!(config["annotations"]["k"], "v");
    assert_eq!(config["annotations"]["org.opencontainers.image.stopSignal"], "SIGINT");
    assert_eq!(config["annotations"]["org.opencontainers.image.exposedPorts"], "80/tcp");
    let volume =
        config["mounts"].as_array().unwrap().iter().find(|mount| mount["destination"] == "/var/lib/data");
    assert_eq!(volume.unwrap()["type"], "tmpfs");
}

/// One layout with images for two platforms under one index, as `skopeo copy --all` keeps it.
#[test]
fn skopeo_copies_an_index_and_the_platform_is_chosen() {
    let folder = folder();
    let path = folder.path();
    tools();
    let source = Layout::new(&path.join("source"));
    let image = |architecture: &str, variant: &str| {
        let layer = Layer::gzip(Archive::new().file(&format!("for-{architecture}{variant}"), "").end());
        let config = serde_json::json!({ "architecture": architecture, "variant": variant });
        on(source.image(&[layer], &config), architecture, Some(variant).filter(|variant| !variant.is_empty()))
    };
    let manifests = [image("arm64", "v8"), image("arm", "v7"), image("amd64", "")];
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    source.index(&[named(source.blob(index.to_string().as_bytes(), INDEX), "x")]);
    sh(path, "skopeo copy -q --all oci:source:x oci:layout:copied");
    let recipe = "[[bundle]]\nname = \"b\"\noci = \"layout:copied\"\nargs = [\"x\"]\n";
    for (platform, file) in [
        ("", "for-amd64"),
        ("platform = \"linux/arm/v7\"\n", "for-armv7"),
        ("platform = \"linux/arm64\"\n", "for-arm64v8"),
    ] {
        built(&build(path, &format!("{recipe}{platform}")));
        assert_eq!(inside(path, file), "");
    }
    // One platform of an index leaves the others' digests in it without their blobs.
    sh(path, "rm -rf layout; skopeo copy -q --override-arch arm64 oci:source:x oci:layout:copied");
    let said = refused(&build(path, recipe));
    assert!(said.contains("no image for linux/amd64, only for linux/arm64/v8"), "{said}");
    built(&build(path, &format!("{recipe}platform = \"linux/arm64/v8\"\n")));
}

/// `docker export` writes what Go's archive/tar does; GNU tar's formats are the other ones that people have.
#[test]
fn archives_of_gnu_tar_arrive_whole() {
    need(&[("/usr/bin/mksquashfs", "squashfs-tools"), ("/usr/bin/zstd", "zstd")]);
    let folder = folder();
    let path = folder.path();
    let expected = unpacked(path);
    for (format, pack) in [
        ("gnu", ""),
        ("pax --xattrs --xattrs-include=*", ""),
        ("pax --xattrs --xattrs-include=*", " --gzip"),
        ("pax --xattrs --xattrs-include=*", " --zstd"),
    ] {
        sh(path, &format!("tar --format={format}{pack} -C expected/rootfs -cf a.tar ."));
        let recipe = RECIPE.replace("oci = \"layout:box\"", "tar = \"a.tar\"\nargs = [\"x\"]");
        built(&build(path, &recipe));
        let found = of_image(path);
        let mut expected = expected.clone();
        if format == "gnu" {
            // That format has no attributes.
            expected.values_mut().for_each(|what| *what = what.replace("Some([97, 10, 98])", "None"));
        }
        compare(&expected, &found);
    }
}

/// A folder with the same contents, as `umoci unpack` leaves it.
#[test]
fn a_directory_arrives_whole() {
    need(&[("/usr/bin/mksquashfs", "squashfs-tools")]);
    let folder = folder();
    let path = folder.path();
    let expected = unpacked(path);
    let from = "directory = \"expected/rootfs\"\nowners = \"keep\"\nargs = [\"x\"]";
    built(&build(path, &RECIPE.replace("oci = \"layout:box\"", from)));
    compare(&expected, &of_image(path));
}
