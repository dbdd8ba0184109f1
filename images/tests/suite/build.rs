//! Whole images: reproducible, readable by other programs, with what was asked for in them and told about them.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tar::EntryType;

use crate::support::*;

const ROOTS: [&str; 2] = ["squashfs", "erofs"];

fn tools() {
    need(&[
        ("/usr/bin/mksquashfs", "squashfs-tools"),
        ("/usr/bin/mkfs.erofs", "erofs-utils"),
        ("/usr/bin/setfattr", "attr"),
    ]);
}

/// Inputs of every kind, their files older by `age`, made in the order of `names`.
fn inputs(folder: &Path, age: Duration, names: [&str; 3]) {
    let layer = Archive::new()
        .program("bin/program", "x")
        .hard_link("bin/again", "bin/program")
        .symlink("sbin", "bin")
        .device(EntryType::Char, "dev/null", 1, 3)
        .entry(EntryType::Fifo, "pipe", "", 0o600, b"")
        .entry(EntryType::Directory, "tmp/", "", 0o1777, b"")
        .pax(&[("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0")])
        .program("bin/capable", "y");
    Layout::with(&folder.join("layout"), &[Layer::gzip(layer.end())], &json!({}));
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    for name in names {
        fs::write(tree.join(name), name).unwrap();
        fs::set_permissions(tree.join(name), Permissions::from_mode(0o640)).unwrap();
        let file = File::options().append(true).open(tree.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
    fs::hard_link(tree.join("one"), tree.join("sub/linked")).unwrap();
    symlink("one", tree.join("link")).unwrap();
    for (path, mode) in [("", 0o755), ("sub", 0o2750)] {
        fs::set_permissions(tree.join(path), Permissions::from_mode(mode)).unwrap();
    }
}

const ALL: &str = "memory = \"64M\"\n[[bundle]]\nname = \"b\"\noci = \"layout\"\n[[bundle]]\nname = \"c\"\n\
    directory = \"tree\"\nargs = [\"/one\"]\n[[file]]\npath = \"/etc/motd\"\ncontent = \"hello\\n\"\n";

fn root_lines(format: &str) -> String {
    format!("[root]\nformat = \"{format}\"\ndevice = \"/dev/vda\"\n")
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    tools();
    let make = |age: u64, names, umask: &str, zone: &str, format: &str, epoch: Option<&str>| {
        let folder = folder();
        inputs(folder.path(), Duration::from_secs(age), names);
        let root = if format.is_empty() { String::new() } else { root_lines(format) };
        fs::write(folder.path().join("recipe.toml"), head(folder.path()) + ALL + &root).unwrap();
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_hull-image");
        command.args(["-c", &format!("umask {umask}; exec {program} build recipe.toml")]).env("TZ", zone);
        command.env_remove("SOURCE_DATE_EPOCH").envs(epoch.map(|epoch| ("SOURCE_DATE_EPOCH", epoch)));
        built(&command.current_dir(folder.path()).output().unwrap());
        let files = fs::read_dir(folder.path().join("out")).unwrap().flatten();
        let read = |entry: fs::DirEntry| (entry.file_name(), sha256(&fs::read(entry.path()).unwrap()));
        let files: BTreeMap<_, _> = files.map(read).collect();
        assert_eq!(
            files.len(),
            if format.is_empty() { 1 } else { 2 },
            "nothing but the image stays: {files:?}"
        );
        files
    };
    for format in ["", ROOTS[0], ROOTS[1]] {
        let first = make(0, ["one", "two", "three"], "022", "UTC", format, None);
        let second = make(9_999_999, ["three", "two", "one"], "077", "Asia/Tokyo", format, None);
        assert_eq!(first, second, "{format}");
        let dated = make(0, ["one", "two", "three"], "022", "UTC", format, Some("1700000000"));
        assert_eq!(dated, make(5, ["two", "one", "three"], "000", "UTC", format, Some("1700000000")));
        // The control: a difference would be seen.
        assert!(first.iter().all(|(name, digest)| dated[name] != *digest), "{format}");
    }
}

#[test]
fn a_time_that_is_none_is_refused() {
    let folder = folder();
    fs::write(folder.path().join("recipe.toml"), head(folder.path())).unwrap();
    let mut command = command(folder.path(), &["build", "recipe.toml"]);
    let said = refused(&command.env("SOURCE_DATE_EPOCH", "yesterday").output().unwrap());
    assert!(said.contains("SOURCE_DATE_EPOCH=\"yesterday\" is no time in seconds"), "{said}");
}

#[test]
fn the_image_has_hull_its_settings_and_nothing_unasked() {
    let folder = folder();
    inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
    built(&build(folder.path(), ALL));
    let found = initramfs(folder.path());
    let names: Vec<&str> =
        found.keys().map(String::as_str).filter(|name| !name.contains("/rootfs/")).collect();
    assert_eq!(
        names,
        [
            "bundles",
            "bundles/b",
            "bundles/b/config.json",
            "bundles/b/rootfs",
            "bundles/c",
            "bundles/c/config.json",
            "bundles/c/rootfs",
            "dev",
            "dev/console",
            "etc",
            "etc/hull.json",
            "etc/motd",
            "init",
            "proc",
            "run",
            "sys",
            "tmp",
        ]
    );
    assert_eq!(found["init"].mode, 0o100_755);
    assert_eq!(found["init"].bytes, fs::read(folder.path().join("hull")).unwrap());
    let settings: Value = serde_json::from_slice(&found["etc/hull.json"].bytes).unwrap();
    assert_eq!(settings, json!({ "hull.bundles": ["b", "c"], "hull.end": "poweroff" }));
    let other = ALL.replacen("memory", "end = \"reboot\"\nmemory", 1).replace("name = \"b\"", "name = \"z\"");
    built(&build(folder.path(), &other));
    let settings: Value = serde_json::from_slice(&initramfs(folder.path())["etc/hull.json"].bytes).unwrap();
    assert_eq!(settings, json!({ "hull.bundles": ["z", "c"], "hull.end": "reboot" }));
}

/// What cpio(1) unpacks, which is not ours, is what was put in.
#[test]
fn cpio_unpacks_an_initramfs() {
    need(&[("/usr/bin/cpio", "cpio"), ("/usr/bin/zstd", "zstd")]);
    for (compression, unpack) in [("none", "cat"), ("gzip", "gzip -dc"), ("zstd", "zstd -dc")] {
        let folder = folder();
        inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
        built(&build(folder.path(), &format!("{ALL}[initramfs]\ncompression = \"{compression}\"\n")));
        let target = folder.path().join("unpacked");
        fs::create_dir(&target).unwrap();
        let line = format!("{unpack} ../out/box.initramfs | cpio --quiet -idm --no-absolute-filenames");
        let status = Command::new("bash").args(["-o", "pipefail", "-c", &line]).current_dir(&target).status();
        assert!(status.unwrap().success(), "{compression}");
        let rootfs = target.join("bundles/b/rootfs");
        let (one, again) = (rootfs.join("bin/program"), rootfs.join("bin/again"));
        assert_eq!(fs::read_to_string(&one).unwrap(), "x");
        assert_eq!(one.metadata().unwrap().ino(), again.metadata().unwrap().ino());
        assert_eq!(fs::read_link(rootfs.join("sbin")).unwrap(), Path::new("bin"));
        assert_eq!(fs::read_to_string(target.join("bundles/c/rootfs/sub/linked")).unwrap(), "one");
        let null = rootfs.join("dev/null").metadata().unwrap();
        assert_eq!((null.rdev(), null.mode()), (rustix::fs::makedev(1, 3), 0o020_666));
        assert_eq!(target.join("tmp").metadata().unwrap().mode() & 0o7777, 0o1777);
    }
}

/// The kernel mounts a root image: every entry as it was put in.
#[test]
fn a_root_image_keeps_everything() {
    tools();
    for format in ROOTS {
        let folder = folder();
        inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
        let mut owned = header(EntryType::Regular, "large-ids", "", 0o4711, 3);
        owned.set_uid(3_000_000);
        owned.set_gid(70_000);
        owned.set_cksum();
        let long = format!("{}/{}", "d".repeat(150), "f".repeat(150));
        let archive = Archive::new()
            .raw(&owned, b"abc")
            .pax(&[("path", long.as_bytes())])
            .file("x", "long")
            .pax(&[("linkpath", "t".repeat(300).as_bytes())])
            .symlink("long-link", "x")
            .pax(&[("SCHILY.xattr.user.note", b"a\nb")])
            .file("noted", "");
        fs::write(folder.path().join("a.tar"), archive.end()).unwrap();
        let third = "[[bundle]]\nname = \"d\"\ntar = \"a.tar\"\nargs = [\"x\"]\n";
        built(&build(folder.path(), &format!("{ALL}{third}{}", root_lines(format))));
        let mounted = folder.path().join("mounted");
        fs::create_dir(&mounted).unwrap();
        let image = folder.path().join(format!("out/box.{format}"));
        let mount =
            Command::new("mount").args(["-t", format, "-o", "loop,ro"]).arg(&image).arg(&mounted).status();
        assert!(mount.unwrap().success(), "{format}");
        let looked = std::panic::catch_unwind(|| look(&mounted, &long));
        assert!(Command::new("umount").arg(&mounted).status().unwrap().success());
        looked.unwrap_or_else(|_| panic!("{format}"));

        let settings = initramfs(folder.path());
        let names: Vec<&str> = settings.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["dev", "dev/console", "etc", "etc/hull.json", "init", "proc", "run", "sys", "tmp"]
        );
        let settings: Value = serde_json::from_slice(&settings["etc/hull.json"].bytes).unwrap();
        assert_eq!(settings, json!({ "hull.root": "/dev/vda", "hull.rootfstype": format }));
    }
}

fn look(mounted: &Path, long: &str) {
    let at = |path: &str| mounted.join(path).symlink_metadata().unwrap();
    let b = "bundles/b/rootfs";
    assert_eq!((at("").mode() & 0o7777, at("").uid()), (0o755, 0));
    assert_eq!(at(&format!("{b}/bin/program")).ino(), at(&format!("{b}/bin/again")).ino());
    assert_eq!(at(&format!("{b}/bin/program")).nlink(), 2);
    assert_eq!(at(&format!("{b}/dev/null")).rdev(), rustix::fs::makedev(1, 3));
    assert_eq!(at(&format!("{b}/pipe")).mode(), 0o010_600);
    assert_eq!(at(&format!("{b}/tmp")).mode(), 0o041_777);
    assert_eq!(at("bundles/c/rootfs/sub").mode(), 0o042_750);
    assert_eq!(fs::read_to_string(mounted.join("bundles/c/rootfs/sub/linked")).unwrap(), "one");
    assert_eq!(fs::read_link(mounted.join(b).join("sbin")).unwrap(), Path::new("bin"));
    let owned = at("bundles/d/rootfs/large-ids");
    assert_eq!((owned.mode(), owned.uid(), owned.gid()), (0o104_711, 3_000_000, 70_000));
    assert_eq!(fs::read_to_string(mounted.join("bundles/d/rootfs").join(long)).unwrap(), "long");
    let link = fs::read_link(mounted.join("bundles/d/rootfs/long-link")).unwrap();
    assert_eq!(link.to_str().unwrap(), "t".repeat(300));
    let attribute = |path: &str, name: &str| {
        let mut value = [0; 100];
        let length = rustix::fs::lgetxattr(mounted.join(path), name, &mut value[..]).unwrap();
        value[..length].to_vec()
    };
    assert_eq!(attribute("bundles/d/rootfs/noted", "user.note"), b"a\nb");
    assert_eq!(attribute(&format!("{b}/bin/capable"), "security.capability").len(), 20);
    for path in ["", "init", "etc/hull.json", b, "bundles/d/rootfs/large-ids"] {
        assert_eq!(at(path).mtime(), 0, "{path}");
    }
    assert_eq!(at("init").mode(), 0o100_755);
    let settings: Value = serde_json::from_slice(&fs::read(mounted.join("etc/hull.json")).unwrap()).unwrap();
    assert_eq!(settings, json!({ "hull.bundles": ["b", "c", "d"], "hull.end": "poweroff" }));
    let config: Value =
        serde_json::from_slice(&fs::read(mounted.join("bundles/b/config.json")).unwrap()).unwrap();
    assert_eq!(config["root"]["readonly"], true);
}

#[test]
fn what_an_initramfs_loses_is_told() {
    let folder = folder();
    inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
    let output = build(folder.path(), ALL);
    built(&output);
    assert_eq!(
        text(&output.stderr),
        "hull-image: warning: an initramfs has no extended attributes: /bundles/b/rootfs/bin/capable and 0 more lose \
         theirs (security.capability; a root image keeps them)\n"
    );
    tools();
    let output = build(folder.path(), &format!("{ALL}{}", root_lines("squashfs")));
    built(&output);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn erofs_says_that_it_needs_root_and_squashfs_does_not_need_it() {
    tools();
    let folder = folder();
    inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
    fs::create_dir(folder.path().join("out")).unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(folder.path(), 0o755);
    open(&folder.path().join("out"), 0o777);
    for entry in ["tree/one", "tree/two", "tree/three"] {
        open(&folder.path().join(entry), 0o644);
    }
    open(&folder.path().join("tree/sub"), 0o755);
    // Where nobody can execute what is below root's home.
    let program = folder.path().join("hull-image");
    fs::copy(env!("CARGO_BIN_EXE_hull-image"), &program).unwrap();
    for format in ["erofs", "squashfs"] {
        let recipe = head(folder.path()) + ALL + &root_lines(format);
        fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
        let mut command = Command::new(&program);
        command.args(["build", "recipe.toml"]).current_dir(folder.path()).uid(65_534).gid(65_534);
        let output = command.env_remove("SOURCE_DATE_EPOCH").output().unwrap();
        if format == "erofs" {
            let said = refused(&output);
            assert!(
                said.contains("only root can make one with owners and devices (squashfs needs no root)"),
                "{said}"
            );
        } else {
            built(&output);
            let listed = built(&run(folder.path(), &["inspect", "out/box.squashfs"]));
            assert!(
                listed.contains("crw-rw-rw-         0/0          1,3 /bundles/b/rootfs/dev/null"),
                "{listed}"
            );
        }
    }
}

#[test]
fn inspect_lists_every_kind_of_image_alike() {
    tools();
    let folder = folder();
    inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
    let mut listings = Vec::new();
    for format in ["", ROOTS[0], ROOTS[1]] {
        let root = if format.is_empty() { String::new() } else { root_lines(format) };
        built(&build(folder.path(), &format!("{ALL}{root}")));
        let file = format!("out/box.{}", if format.is_empty() { "initramfs" } else { format });
        let listed = built(&run(folder.path(), &["inspect", &file]));
        let head = listed.lines().next().unwrap();
        assert!(head.contains("bytes") && head.contains("entries"), "{head}");
        assert!(
            listed.contains("/etc/hull.json: {\"hull.bundles\":[\"b\",\"c\"],\"hull.end\":\"poweroff\"}"),
            "{listed}"
        );
        for line in [
            "-rwxr-xr-x         0/0            1 /bundles/b/rootfs/bin/capable",
            "crw-rw-rw-         0/0          1,3 /bundles/b/rootfs/dev/null",
            "prw-------         0/0            0 /bundles/b/rootfs/pipe",
            "lrwxrwxrwx         0/0            3 /bundles/b/rootfs/sbin -> bin",
            "drwxrwxrwt         0/0            0 /bundles/b/rootfs/tmp",
            "drwxr-s---         0/0            0 /bundles/c/rootfs/sub",
            "-rw-r-----         0/0            5 /bundles/c/rootfs/three",
        ] {
            assert!(listed.contains(line), "{file}: no {line} in\n{listed}");
        }
        listings.push(
            listed.lines().filter(|line| line.contains("/rootfs/")).map(str::to_owned).collect::<Vec<_>>(),
        );
    }
    let sizes_apart = |listing: &Vec<String>| {
        let mut lines: Vec<String> =
            listing.iter().filter(|line| !line.contains("bin/program")).cloned().collect();
        lines.sort();
        lines
    };
    assert_eq!(sizes_apart(&listings[0]), sizes_apart(&listings[1]));
    assert_eq!(sizes_apart(&listings[0]), sizes_apart(&listings[2]));
}

#[test]
fn inspect_reads_what_others_made_and_refuses_the_rest() {
    need(&[("/usr/bin/cpio", "cpio"), ("/usr/bin/xz", "xz-utils")]);
    let folder = folder();
    fs::create_dir_all(folder.path().join("in/etc")).unwrap();
    fs::write(folder.path().join("in/etc/name"), "box").unwrap();
    // As distributions do it: microcode in a plain archive, then a compressed one.
    let line = "cd in && find . | cpio --quiet -o -H newc >../one && xz --check=crc32 -c ../one >../two && \
                cat ../one ../two >../both";
    assert!(Command::new("sh").args(["-c", line]).current_dir(folder.path()).status().unwrap().success());
    let listed = built(&run(folder.path(), &["inspect", "both"]));
    assert!(listed.starts_with("initramfs, not compressed then xz: "), "{listed}");
    assert_eq!(listed.matches("/etc/name").count(), 2, "{listed}");
    let whole = fs::read(folder.path().join("one")).unwrap();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("text", b"hello world"),
        ("cut", &whole[..whole.len() / 2]),
        ("header", &whole[..60]),
        ("gzip", &gzip(b"no archive")),
        ("squash", b"hsqs and no more"),
    ] {
        fs::write(folder.path().join("bad"), bytes).unwrap();
        let said = refused(&run(folder.path(), &["inspect", "bad"]));
        assert!(said.starts_with("bad"), "{name}: {said}");
    }
    let mut erofs = vec![0xff; 8192];
    erofs[1024..1028].copy_from_slice(&[0xe2, 0xe1, 0xf5, 0xe0]);
    fs::write(folder.path().join("bad"), &erofs).unwrap();
    assert!(refused(&run(folder.path(), &["inspect", "bad"])).starts_with("bad: "));
    erofs[1024 + 12] = 12;
    fs::write(folder.path().join("bad"), erofs).unwrap();
    assert!(refused(&run(folder.path(), &["inspect", "bad"])).starts_with("bad: "));
}

#[test]
fn the_table_tells_what_takes_how_much_room() {
    let folder = folder();
    inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
    let table = built(&build(folder.path(), ALL));
    let size = fs::metadata(folder.path().join("out/box.initramfs")).unwrap().len();
    let digest = sha256(&fs::read(folder.path().join("out/box.initramfs")).unwrap());
    let expected = format!(
        "                   entries          bytes\n\
         hull                     1            122\n\
         bundle b                11              5\n\
         bundle c                 9             14\n\
         files                    2              6\n\
         initramfs, gzip                     {size}  out/box.initramfs\n{digest}\n"
    );
    assert_eq!(table.replace(',', ""), expected.replace(',', ""), "{table}");
}

#[test]
fn an_image_too_large_for_the_memory_is_warned_of() {
    let folder = folder();
    fs::create_dir(folder.path().join("tree")).unwrap();
    let mut noise = Vec::new();
    let mut state = 1u64;
    while noise.len() < 4 << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.extend_from_slice(&(state >> 16).to_le_bytes()[..4]);
    }
    // Half of it can be packed, so that the two limits are apart.
    noise.resize(8 << 20, 0);
    fs::write(folder.path().join("tree/noise"), noise).unwrap();
    let bundle = "[[bundle]]\nname = \"b\"\ndirectory = \"tree\"\nargs = [\"x\"]\n";
    let warned = |memory: &str, more: &str| {
        let output = build(folder.path(), &format!("memory = \"{memory}\"\n{bundle}{more}"));
        built(&output);
        text(&output.stderr)
    };
    let none = warned("128M", "");
    assert_eq!(none, "");
    let half = warned("30M", "");
    assert!(half.contains("30.0 MiB: 8.0 MiB unpacked, and the kernel gives a tmpfs at most half"), "{half}");
    let all = warned("24M", "");
    assert!(
        all.contains("24.0 MiB: 4.0 MiB packed, 8.0 MiB unpacked, about 16.0 MiB for the kernel"),
        "{all}"
    );
    tools();
    assert_eq!(warned("24M", &root_lines("squashfs")), "");
}

#[test]
fn a_bar_is_for_terminals_only() {
    need(&[("/usr/bin/script", "bsdutils")]);
    let folder = folder();
    inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
    let output = build(folder.path(), ALL);
    let table = built(&output);
    assert!(!text(&output.stderr).contains('\x1b'));
    let line = format!("{} build recipe.toml", env!("CARGO_BIN_EXE_hull-image"));
    let script =
        Command::new("script").args(["-qec", &line, "/dev/null"]).current_dir(folder.path()).output();
    let seen = built(&script.unwrap()).replace("\r\n", "\n");
    assert!(seen.contains('\x1b') && seen.contains("bundle b"), "{seen}");
    // It is gone at the end, and the table is there as ever.
    assert!(seen.ends_with(&table), "{seen}");
}

#[test]
fn files_of_the_recipe_are_put_in() {
    let folder = folder();
    inputs(folder.path(), Duration::ZERO, ["one", "two", "three"]);
    let recipe = "[[bundle]]\nname = \"b\"\noci = \"layout\"\n\
        [[bundle.file]]\npath = \"/sbin/extra\"\nsource = \"tree/one\"\nmode = \"4755\"\nuid = 5\ngid = 6\n\
        [[file]]\npath = \"/a/content\"\ncontent = \"text\"\n\
        [[file]]\npath = \"/a/tree\"\ntree = \"tree\"\n\
        [[file]]\npath = \"/a/link\"\nlink = \"../b\"\n\
        [[file]]\npath = \"/a/node\"\nnode = \"b:8:1\"\nmode = \"640\"\n\
        [[file]]\npath = \"/a/folder\"\nfolder = true\nmode = \"700\"\nuid = 7\n";
    built(&build(folder.path(), recipe));
    let found = initramfs(folder.path());
    let get = |name: &str| (format!("{:o}", found[name].mode), found[name].uid, found[name].gid);
    // The image's /sbin is a link to /bin, and is followed.
    assert_eq!(get("bundles/b/rootfs/bin/extra"), ("104755".into(), 5, 6));
    assert_eq!(get("a/content"), ("100644".into(), 0, 0));
    assert_eq!(get("a/tree/sub/linked"), ("100640".into(), 0, 0));
    assert_eq!(get("a/link"), ("120777".into(), 0, 0));
    assert_eq!((get("a/node"), found["a/node"].device), (("60640".into(), 0, 0), (8, 1)));
    assert_eq!(get("a/folder"), ("40700".into(), 7, 0));
}

#[test]
fn modules_are_put_in_with_their_order() {
    let folder = folder();
    let modules = folder.path().join("modules/6.1-box");
    fs::create_dir_all(modules.join("kernel")).unwrap();
    fs::write(modules.join("modules.dep"), "kernel/a.ko: kernel/b.ko\nkernel/b.ko:\nkernel/c.ko:\n").unwrap();
    for name in ["a", "b", "c"] {
        fs::write(modules.join(format!("kernel/{name}.ko")), format!("\x7fELF{name}")).unwrap();
    }
    let kernel = "[kernel]\nmodules = \"modules/6.1-box\"\nload = [\"a\"]\n";
    let table = built(&build(folder.path(), kernel));
    assert!(table.contains("kernel modules"), "{table}");
    let found = initramfs(folder.path());
    let top = "lib/modules/6.1-box";
    assert!(!found.contains_key(&format!("{top}/kernel/c.ko")));
    assert_eq!(text(&found[&format!("{top}/modules.dep")].bytes), "kernel/b.ko:\nkernel/a.ko: kernel/b.ko\n");
    let settings: Value = serde_json::from_slice(&found["etc/hull.json"].bytes).unwrap();
    let order = json!([format!("/{top}/kernel/b.ko"), format!("/{top}/kernel/a.ko")]);
    assert_eq!(settings["hull.modules"], order);
    // With a root image they are where they are needed first.
    tools();
    built(&build(folder.path(), &format!("{kernel}{}", root_lines("squashfs"))));
    assert!(initramfs(folder.path()).contains_key(&format!("{top}/kernel/a.ko")));
    let listed = built(&run(folder.path(), &["inspect", "out/box.squashfs"]));
    assert!(!listed.contains("a.ko"), "{listed}");
}

#[test]
fn owners_of_a_directory_are_roots_unless_asked_for() {
    let folder = folder();
    fs::create_dir(folder.path().join("tree")).unwrap();
    fs::write(folder.path().join("tree/f"), "").unwrap();
    std::os::unix::fs::chown(folder.path().join("tree/f"), Some(1234), Some(5678)).unwrap();
    let bundle = "[[bundle]]\nname = \"b\"\ndirectory = \"tree\"\nargs = [\"x\"]\n";
    let owner = |more: &str| {
        built(&build(folder.path(), &format!("{bundle}{more}")));
        let found = &initramfs(folder.path())["bundles/b/rootfs/f"];
        (found.uid, found.gid)
    };
    assert_eq!(owner(""), (0, 0));
    assert_eq!(owner("owners = \"keep\"\n"), (1234, 5678));
}
