//! What strangers' archives and layouts try. Each attack has a control that shows it succeeding against somebody more
//! trusting, or the same input passing once it is harmless.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tar::EntryType;

use crate::support::*;

const TAR: &str = "[[bundle]]\nname = \"b\"\ntar = \"a.tar\"\nargs = [\"/bin/program\"]\n";

/// A build of the archive `bytes` as bundle `b`.
fn unpack(folder: &Path, bytes: &[u8], more: &str) -> std::process::Output {
    fs::write(folder.join("a.tar"), bytes).unwrap();
    build(folder, &format!("{TAR}{more}"))
}

/// Everything in `folder`, by path and size.
fn census(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            let metadata = entry.path().symlink_metadata().unwrap();
            if metadata.is_dir() {
                open.push(entry.path());
            }
            found.push((entry.path(), if metadata.is_dir() { 0 } else { metadata.len() }));
        }
    }
    found.sort();
    found
}

/// What a trusting program makes of it: GNU tar, told to believe every name.
fn trusting(archive: &Path, target: &Path) {
    fs::create_dir_all(target).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--absolute-names", "-xf"]).arg(archive).arg("-C").arg(target);
    let output = tar.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn dots_in_a_name_lead_nowhere() {
    let folder = folder();
    let work = folder.path().join("work");
    fs::create_dir_all(work.join("out")).unwrap();
    let archive = Archive::new().directory("bin/").file("../escaped", "x").end();
    let before = census(folder.path()).len();
    let said = refused(&unpack(&work, &archive, ""));
    assert!(said.contains("entry \"../escaped\": \"../escaped\" leads out of the image"), "{said}");
    // The recipe, the stand-in and the archive itself are what was added.
    assert_eq!(census(folder.path()).len(), before + 3);
    for name in ["bin/../../escaped", "./../escaped", "bin/..", "../../../../../../../../tmp/escaped"] {
        let said = refused(&unpack(&work, &Archive::new().file(name, "x").end(), ""));
        assert!(said.contains("leads out of the image"), "{name}: {said}");
    }
    fs::write(work.join("a.tar"), archive).unwrap();
    trusting(&work.join("a.tar"), &work.join("trusting"));
    assert!(work.join("escaped").exists(), "the control");
}

#[test]
fn an_absolute_name_counts_from_the_root_of_the_image() {
    let folder = folder();
    let outside = folder.path().join("outside");
    let archive = Archive::new().file(outside.to_str().unwrap(), "x").end();
    built(&unpack(folder.path(), &archive, ""));
    assert!(!outside.exists());
    assert_eq!(inside(folder.path(), outside.strip_prefix("/").unwrap().to_str().unwrap()), "x");
    trusting(&folder.path().join("a.tar"), &folder.path().join("trusting"));
    assert!(outside.exists(), "the control");
}

#[test]
fn a_link_among_the_parents_stays_inside() {
    let folder = folder();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap();
    let archive = Archive::new().symlink("way", target).file("way/escaped", "x").end();
    for more in ["", "[root]\nformat = \"erofs\"\ndevice = \"/dev/vda\"\n"] {
        need(&[("/usr/bin/mkfs.erofs", "erofs-utils")]);
        built(&unpack(folder.path(), &archive, more));
        assert_eq!(census(&outside), [], "{more}");
    }
    built(&unpack(folder.path(), &archive, ""));
    let found = initramfs(folder.path());
    assert_eq!(text(&found["bundles/b/rootfs/way"].bytes), target);
    assert_eq!(inside(folder.path(), &format!("{}/escaped", &target[1..])), "x");
    // Through a link with dots, and through one that was a directory before.
    let dotted = Archive::new().symlink("way", "../../../../tmp").file("way/x", "x").end();
    built(&unpack(folder.path(), &dotted, ""));
    assert_eq!(inside(folder.path(), "tmp/x"), "x");
    let swapped = Archive::new().directory("d/").symlink("d", target).file("d/x", "x").end();
    built(&unpack(folder.path(), &swapped, ""));
    assert_eq!(census(&outside), []);
    fs::write(folder.path().join("a.tar"), archive).unwrap();
    trusting(&folder.path().join("a.tar"), &folder.path().join("trusting"));
    assert!(outside.join("escaped").exists(), "the control");
}

#[test]
fn a_hard_link_reaches_nothing_of_the_host() {
    let folder = folder();
    let secret = folder.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let target = secret.to_str().unwrap();
    let archive = Archive::new().hard_link("stolen", target).end();
    let said = refused(&unpack(folder.path(), &archive, ""));
    assert!(said.contains(&format!("a hard link to {target}, which is not there")), "{said}");
    let dotted = Archive::new().hard_link("stolen", "../../secret").end();
    let said = refused(&unpack(folder.path(), &dotted, ""));
    assert!(said.contains("leads out of the image"), "{said}");
    let through =
        Archive::new().symlink("way", folder.path().to_str().unwrap()).hard_link("stolen", "way/secret");
    let said = refused(&unpack(folder.path(), &through.end(), ""));
    assert!(said.contains("which is not there"), "{said}");
    assert_eq!(secret.metadata().unwrap().nlink(), 1);
    // To a link: what would be linked is the link, not what it leads to.
    let link = Archive::new().symlink("way", target).hard_link("stolen", "way").end();
    built(&unpack(folder.path(), &link, ""));
    assert_eq!(inside(folder.path(), "stolen"), target);
    fs::write(folder.path().join("a.tar"), archive).unwrap();
    trusting(&folder.path().join("a.tar"), &folder.path().join("trusting"));
    assert_eq!(secret.metadata().unwrap().nlink(), 2, "the control");
}

#[test]
fn a_device_node_needs_the_recipes_word() {
    let folder = folder();
    for (kind, major, minor, name) in [
        (EntryType::Block, 8, 0, "block device 8:0"),
        (EntryType::Char, 1, 1, "character device 1:1"),
        (EntryType::Char, 0, 0, "character device 0:0"),
        (EntryType::Char, 10, 7, "character device 10:7"),
    ] {
        let archive = Archive::new().device(kind, "dev/x", major, minor).end();
        let said = refused(&unpack(folder.path(), &archive, ""));
        assert!(said.contains(&format!("entry \"dev/x\": the {name}, ")), "{said}");
        assert!(said.contains("devices = \"any\""), "{said}");
        built(&unpack(folder.path(), &archive, "devices = \"any\"\n"));
        let found = initramfs(folder.path());
        assert_eq!(found["bundles/b/rootfs/dev/x"].device, (major, minor), "the control");
    }
    let harmless = Archive::new().device(EntryType::Char, "dev/null", 1, 3).end();
    built(&unpack(folder.path(), &harmless, ""));
    let absurd = Archive::new().device(EntryType::Char, "dev/x", 0x1f_ffff, 1).end();
    let said = refused(&unpack(folder.path(), &absurd, "devices = \"any\"\n"));
    assert!(said.contains("which no kernel has"), "{said}");
}

/// Runs a build that may write at most `bytes` to any file and have 512 MiB of memory: the kernel ends what goes on.
fn confined(folder: &Path, bytes: &[u8], more: &str, most: u64) -> std::process::Output {
    fs::write(folder.join("a.tar"), bytes).unwrap();
    fs::write(folder.join("recipe.toml"), head(folder) + TAR + more).unwrap();
    let mut command = Command::new("prlimit");
    command.arg(format!("--fsize={most}")).arg(format!("--as={}", 512 << 20));
    command.arg(env!("CARGO_BIN_EXE_hull-image")).args(["build", "recipe.toml"]).current_dir(folder);
    command.env_remove("SOURCE_DATE_EPOCH").output().unwrap()
}

#[test]
fn a_bomb_is_stopped_before_it_fills_the_disk() {
    let folder = folder();
    let megabytes = |count: usize| vec![0u8; count << 20];
    // As one file, as many, and as zeros behind the end, where nothing of it would be kept.
    let one = gzip(&Archive::new().entry(EntryType::Regular, "big", "", 0o644, &megabytes(64)).end());
    let many = (0..64).fold(Archive::new(), |archive, at| {
        archive.entry(EntryType::Regular, &format!("f{at}"), "", 0o644, &megabytes(1))
    });
    let many = gzip(&many.end());
    let mut behind = Archive::new().file("small", "x").end();
    behind.extend(megabytes(64));
    let behind = gzip(&behind);
    let limits = "[limits]\ntotal = \"8M\"\nentries = 100\n";
    for (name, bomb, expected) in [
        ("one", &one, "more bytes than limits.total = 8388608 allows"),
        ("many", &many, "more bytes than limits.total = 8388608 allows"),
        ("behind", &behind, "unpacks to more than limits.total allows"),
    ] {
        assert!(bomb.len() < 1 << 20, "{name} is a bomb: {} bytes", bomb.len());
        let said = refused(&confined(folder.path(), bomb, limits, 9 << 20));
        assert!(said.contains(expected), "{name}: {said}");
        let left: u64 = census(&folder.path().join("out")).iter().map(|(_, size)| size).sum();
        assert_eq!(left, 0, "{name}");
    }
    // The control: with a higher limit of ours, it is the kernel's that ends it.
    let high = "[limits]\ntotal = \"100M\"\n";
    let ended = confined(folder.path(), &one, high, 9 << 20);
    assert!(ended.status.signal().is_some() || !ended.status.success(), "{ended:?}");
    assert!(!text(&ended.stderr).contains("limits.total"), "{ended:?}");
    built(&confined(folder.path(), &one, high, 200 << 20));
}

#[test]
fn a_size_that_is_a_lie_costs_nothing() {
    let folder = folder();
    let mut huge = header(EntryType::Regular, "huge", "", 0o644, 0);
    huge.set_size(u64::MAX >> 1);
    huge.set_cksum();
    let archive = Archive::new().raw(&huge, b"little").end();
    let said = refused(&confined(folder.path(), &archive, "", 1 << 20));
    assert!(said.contains("entry \"huge\"") && said.contains("limits.file"), "{said}");
    // Within the limits, but not there.
    let mut cut = header(EntryType::Regular, "cut", "", 0o644, 1 << 20);
    cut.set_cksum();
    let said = refused(&confined(folder.path(), &Archive::new().raw(&cut, b"little").cut(), "", 1 << 20));
    assert!(said.contains("entry \"cut\": "), "{said}");
    built(&confined(folder.path(), &Archive::new().file("right", "little").end(), "", 1 << 20));
}

#[test]
fn a_sparse_file_is_refused() {
    let folder = folder();
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::File::create(source.join("holes")).unwrap().set_len(64 << 20).unwrap();
    for format in ["--format=gnu", "--format=pax"] {
        let pack = |sparse: &[&str]| {
            let mut tar = Command::new("tar");
            tar.arg(format).args(sparse).arg("-cf").arg(folder.path().join("s.tar")).arg("-C").arg(&source);
            assert!(tar.arg(".").status().unwrap().success());
            fs::read(folder.path().join("s.tar")).unwrap()
        };
        let sparse = pack(&["--sparse"]);
        assert!(sparse.len() < 1 << 20);
        let said = refused(&unpack(folder.path(), &sparse, ""));
        assert!(said.contains("a sparse file, which is not supported (pack it without --sparse)"), "{said}");
        built(&unpack(folder.path(), &pack(&[]), ""));
    }
}

#[test]
fn more_entries_than_allowed_are_too_many() {
    let folder = folder();
    let archive =
        |count| (0..count).fold(Archive::new(), |archive, at| archive.file(&format!("f{at}"), "")).end();
    let limits = "[limits]\nentries = 100\n";
    let said = refused(&unpack(folder.path(), &archive(101), limits));
    assert!(said.contains("entry \"f100\": more entries than limits.entries = 100 allows"), "{said}");
    built(&unpack(folder.path(), &archive(100), limits));
    // The same name again and again leaves one entry, and costs as many.
    let same = (0..101).fold(Archive::new(), |archive, _| archive.file("f", "")).end();
    assert!(refused(&unpack(folder.path(), &same, limits)).contains("limits.entries"));
    let links =
        (0..100).fold(Archive::new().file("f", ""), |archive, at| archive.hard_link(&format!("l{at}"), "f"));
    assert!(refused(&unpack(folder.path(), &links.end(), limits)).contains("limits.entries"));
}

#[test]
fn extended_headers_are_bounded() {
    let folder = folder();
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader]
    {
        let long = vec![b'a'; (1 << 20) + 1];
        let archive = Archive::new().entry(kind, "x", "", 0o644, &long).file("f", "").end();
        let said = refused(&unpack(folder.path(), &archive, ""));
        assert!(said.contains("an extended header of 1048577 bytes"), "{said}");
        let mut lie = header(kind, "x", "", 0o644, u64::MAX >> 2);
        lie.set_cksum();
        let said = refused(&confined(folder.path(), &Archive::new().raw(&lie, b"").end(), "", 1 << 20));
        assert!(said.contains("an extended header of"), "{said}");
    }
    // The control: one of a size that people need is read.
    let name = format!("{}/f", "d".repeat(200));
    let archive = Archive::new().pax(&[("path", name.as_bytes())]).file("short", "x").end();
    built(&unpack(folder.path(), &archive, ""));
    assert_eq!(inside(folder.path(), &name), "x");
}

#[test]
fn what_two_readers_would_read_differently_is_refused() {
    let folder = folder();
    for (archive, expected) in [
        (Archive::new().pax(&[("size", b"0")]).file("f", "hidden"), "its two headers give it two sizes"),
        (
            Archive::new().entry(EntryType::Symlink, "l", "x", 0o777, b"data"),
            "data behind an entry that has none",
        ),
        (
            Archive::new().entry(EntryType::Directory, "d/", "", 0o755, b"data"),
            "data behind an entry that has none",
        ),
        (Archive::new().pax(&[("path", b"a\0b")]).file("f", ""), "has a NUL in its name"),
        (Archive::new().pax(&[("uid", b"4294967295")]).file("f", ""), "the owner 4294967295"),
        (
            Archive::new().entry(EntryType::new(b'V'), "v", "", 0o644, b""),
            "a type of entry that is not known: 'V'",
        ),
        (Archive::new().symlink("l", ""), "a link to nothing"),
        (Archive::new().file("f", "").hard_link("f/x", "f"), "/f is not a directory"),
        (Archive::new().directory("d/").hard_link("l", "d"), "a hard link to the directory /d"),
        (Archive::new().symlink("a", "b").symlink("b", "a").file("a/x", ""), "too many symbolic links"),
        (Archive::new().file("./", "x"), "data behind an entry that has none"),
        (Archive::new().file(".", "x"), "the root as something else than a directory"),
    ] {
        let said = refused(&unpack(folder.path(), &archive.end(), ""));
        assert!(said.contains(expected), "{said}");
    }
    let global = Archive::new().entry(EntryType::XGlobalHeader, "g", "", 0o644, b"9 uid=0\n\n");
    assert!(refused(&unpack(folder.path(), &global.end(), "")).contains("a global header"));
    // The control: git's own is harmless.
    let comment = Archive::new().entry(EntryType::XGlobalHeader, "g", "", 0o644, b"13 comment=x\n");
    built(&unpack(folder.path(), &comment.file("f", "").end(), ""));
}

#[test]
fn a_name_does_not_write_to_the_terminal() {
    let folder = folder();
    let archive = Archive::new().device(EntryType::Block, "\x1b]0;owned\x07\x1b[2J", 8, 0).end();
    let said = refused(&unpack(folder.path(), &archive, ""));
    assert!(said.contains(r"\u{1b}]0;owned\u{7}\u{1b}[2J"), "{said}");
    built(&unpack(folder.path(), &archive, "devices = \"any\"\n"));
    let listed = run(folder.path(), &["inspect", "out/box.initramfs"]);
    let listed = built(&listed);
    assert!(!listed.contains('\x1b') && listed.contains(r"\u{1b}[2J"), "{listed}");
}

#[test]
fn an_archive_that_was_cut_short_is_noticed() {
    let folder = folder();
    let whole = Archive::new().file("a", "x").file("b", "y");
    let said = refused(&unpack(folder.path(), &whole.cut(), ""));
    assert!(said.contains("a.tar: ends without an end mark: was it cut short?"), "{said}");
    let whole = Archive::new().file("a", "x").file("b", "y").end();
    let said = refused(&unpack(folder.path(), &whole[..700], ""));
    assert!(said.contains("a.tar"), "{said}");
    let packed = gzip(&whole);
    let said = refused(&unpack(folder.path(), &packed[..packed.len() - 4], ""));
    assert!(said.contains("a.tar"), "{said}");
    built(&unpack(folder.path(), &packed, ""));
}

const OCI: &str = "[[bundle]]\nname = \"b\"\noci = \"layout:x\"\n";

fn good(folder: &Path) -> Layout {
    let layer = Layer::gzip(Archive::new().program("bin/program", "x").end());
    Layout::with(&folder.join("layout"), &[layer], &json!({}))
}

/// The one blob of the layout that begins so.
fn blob_that(layout: &Layout, begins: &[u8]) -> PathBuf {
    let blobs = fs::read_dir(layout.path.join("blobs/sha256")).unwrap().flatten();
    let mut found = blobs.map(|blob| blob.path()).filter(|path| fs::read(path).unwrap().starts_with(begins));
    let one = found.next().unwrap();
    assert_eq!(found.next(), None);
    one
}

#[test]
fn every_blob_has_to_be_what_its_digest_and_size_say() {
    let folder = folder();
    let path = folder.path();
    for begins in [&b"{\"config"[..], b"{\"architecture", b"\x1f\x8b"] {
        let layout = good(path);
        built(&build(path, OCI));
        let blob = blob_that(&layout, begins);
        let original = fs::read(&blob).unwrap();
        let mut changed = original.clone();
        let last = changed.len() - 5;
        changed[last] ^= 1;
        fs::write(&blob, &changed).unwrap();
        let said = refused(&build(path, OCI));
        assert!(said.contains("another digest") || said.contains("corrupt"), "{said}");
        let mut longer = original.clone();
        longer.push(0);
        fs::write(&blob, &longer).unwrap();
        let said = refused(&build(path, OCI));
        assert!(
            said.contains(&format!("has {} bytes, not the {} promised", longer.len(), original.len())),
            "{said}"
        );
        fs::write(&blob, &original[..original.len() - 1]).unwrap();
        assert!(refused(&build(path, OCI)).contains("promised"));
        fs::remove_file(&blob).unwrap();
        assert!(refused(&build(path, OCI)).contains("open the blob"));
        fs::remove_dir_all(&layout.path).unwrap();
    }
}

/// Bytes behind the compressed stream are not looked at by anything that unpacks, but they are by the digest.
#[test]
fn a_layer_is_checked_to_its_last_byte_and_unpacked_as_well() {
    let folder = folder();
    let path = folder.path();
    let archive = || Archive::new().program("bin/program", "x").end();
    let layout = good(path);
    let blob = blob_that(&layout, b"\x1f\x8b");
    let mut bytes = fs::read(&blob).unwrap();
    // The time in the header of gzip: another blob with the same contents.
    bytes[4] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let said = refused(&build(path, OCI));
    assert!(said.contains("its contents have another digest, sha256:"), "{said}");
    fs::remove_dir_all(&layout.path).unwrap();

    let mut lying = Layer::gzip(archive());
    lying.unpacked = Archive::new().program("bin/program", "other").end();
    Layout::with(&path.join("layout"), &[lying], &json!({}));
    let said = refused(&build(path, OCI));
    assert!(
        said.contains("unpacked (diff_ids of the image's config): its contents have another digest"),
        "{said}"
    );
    fs::remove_dir_all(path.join("layout")).unwrap();

    let layers = [Layer::gzip(archive())];
    Layout::with(&path.join("layout"), &layers, &json!({ "rootfs": { "diff_ids": [] } }));
    assert!(refused(&build(path, OCI)).contains("1 layers, but 0 diff_ids"));
}

#[test]
fn a_digest_can_not_be_a_path() {
    let folder = folder();
    let path = folder.path();
    let layout = good(path);
    fs::write(path.join("secret"), "{}").unwrap();
    let index = fs::read_to_string(layout.path.join("index.json")).unwrap();
    let digest = index.split('"').find(|part| part.starts_with("sha256:")).unwrap();
    for bad in
        ["sha256:../../../secret", "sha256:..", "../../secret:x", "md5:d41d8cd98f00b204e9800998ecf8427e"]
    {
        fs::write(layout.path.join("index.json"), index.replace(digest, bad)).unwrap();
        let said = refused(&build(path, OCI));
        assert!(!said.contains("open the blob"), "{bad}: {said}");
    }
    fs::write(layout.path.join("index.json"), index).unwrap();
    built(&build(path, OCI));
}

#[test]
fn a_blob_that_is_no_file_does_not_hold_us_up() {
    let folder = folder();
    let path = folder.path();
    for make in [
        (|blob: &Path| assert!(Command::new("mkfifo").arg(blob).status().unwrap().success())) as fn(&Path),
        |blob| std::os::unix::fs::symlink("/dev/zero", blob).unwrap(),
        |blob| fs::create_dir(blob).unwrap(),
    ] {
        let layout = good(path);
        let blob = blob_that(&layout, b"\x1f\x8b");
        fs::remove_file(&blob).unwrap();
        make(&blob);
        fs::write(path.join("recipe.toml"), head(path) + OCI).unwrap();
        let mut child = command(path, &["build", "recipe.toml"]);
        let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
        // Ends what would hang for ever; nothing is judged by time.
        let pid = child.id();
        let guard = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(120));
            Command::new("kill").arg(pid.to_string()).output().unwrap();
        });
        let status = child.wait().unwrap();
        drop(guard);
        assert_eq!(status.code(), Some(1));
        fs::remove_dir_all(&layout.path).unwrap();
    }
}

#[test]
fn an_index_of_indexes_ends() {
    let folder = folder();
    let path = folder.path();
    let layout = Layout::new(&path.join("layout"));
    let layer = Layer::plain(Archive::new().program("bin/program", "x").end());
    let mut inner = layout.image(&[layer], &json!({}));
    let wrap = |inner: &serde_json::Value| {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [inner] });
        layout.blob(index.to_string().as_bytes(), INDEX)
    };
    for _ in 0..4 {
        inner = wrap(&inner);
        layout.index(&[named(inner.clone(), "x")]);
        built(&build(path, OCI));
    }
    inner = wrap(&inner);
    layout.index(&[named(inner, "x")]);
    assert!(refused(&build(path, OCI)).contains("an index inside 4 others"));
    // Wide instead of deep: each of the same thousand names is read again.
    let image = layout.image(&[], &json!({}));
    layout.index(&vec![named(image, "x"); 600]);
    assert!(refused(&build(path, OCI)).contains("more than 1024 documents"));
}

#[test]
fn a_whiteout_hides_nothing_but_its_neighbour() {
    let folder = folder();
    let path = folder.path();
    let base = || Layer::plain(Archive::new().program("bin/program", "x").file("bin/other", "y").end());
    let with = |upper: Archive| {
        let _ = fs::remove_dir_all(path.join("layout"));
        Layout::with(&path.join("layout"), &[base(), Layer::plain(upper.end())], &json!({}));
        build(path, OCI)
    };
    for bad in ["bin/.wh...", "bin/.wh..", "bin/.wh."] {
        let said = refused(&with(Archive::new().file(bad, "")));
        assert!(said.contains("a whiteout of"), "{bad}: {said}");
    }
    assert!(refused(&with(Archive::new().file("../.wh.bin", ""))).contains("leads out"));
    built(&with(Archive::new().file("bin/.wh.other", "")));
    let found = initramfs(path);
    assert!(
        found.contains_key("bundles/b/rootfs/bin/program")
            && !found.contains_key("bundles/b/rootfs/bin/other")
    );
    built(&with(Archive::new().symlink("way", "bin").file("way/.wh.program", "")));
    let found = initramfs(path);
    assert!(!found.contains_key("bundles/b/rootfs/bin/program"), "links inside the image are followed");
}
