//! How layers lie over each other (OCI image-spec, layer.md), and which image of a layout is taken.

use serde_json::{Value, json};
use tar::EntryType;

use crate::support::*;

const OCI: &str = "[[bundle]]\nname = \"b\"\noci = \"layout\"\nargs = [\"x\"]\n";

/// The names in the root of an image of these layers.
#[track_caller]
fn laid(layers: Vec<Archive>) -> Vec<String> {
    let folder = folder();
    let layers: Vec<Layer> = layers.into_iter().map(|layer| Layer::plain(layer.end())).collect();
    Layout::with(&folder.path().join("layout"), &layers, &json!({}));
    built(&build(folder.path(), OCI));
    names(folder.path())
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let own = ["dev", "proc", "sys"];
    let found = initramfs(folder)
        .into_keys()
        .filter_map(|name| Some(name.strip_prefix("bundles/b/rootfs/")?.to_owned()));
    found.filter(|name| !own.contains(&name.as_str())).collect()
}

#[test]
fn a_whiteout_removes_a_file_or_a_whole_directory() {
    let base = Archive::new().file("a", "").file("d/x", "").file("d/y/z", "").file("d-e", "");
    assert_eq!(laid(vec![base, Archive::new().file(".wh.a", "").file(".wh.d", "")]), ["d-e"]);
}

#[test]
fn an_opaque_directory_hides_what_is_below_it_in_any_order() {
    for own_first in [true, false] {
        let base = Archive::new().file("d/x", "").file("d/y/z", "").file("d/y/w", "").file("e", "");
        let own = |archive: Archive| archive.file("d/new", "").file("d/y/w", "own");
        let opaque = |archive: Archive| archive.file("d/.wh..wh..opq", "");
        let upper = if own_first { opaque(own(Archive::new())) } else { own(opaque(Archive::new())) };
        assert_eq!(laid(vec![base, upper]), ["d", "d/new", "d/y", "d/y/w", "e"], "{own_first}");
    }
}

#[test]
fn a_layer_does_not_hide_what_it_brings_itself() {
    let base = || Archive::new().file("d/old", "");
    assert_eq!(laid(vec![base(), Archive::new().file("d/new", "").file(".wh.d", "")]), ["d", "d/new"]);
    assert_eq!(laid(vec![base(), Archive::new().file(".wh.d", "").file("d/new", "")]), ["d", "d/new"]);
    assert_eq!(laid(vec![base(), Archive::new().file("d", "now a file").file(".wh.d", "")]), ["d"]);
    // The layer above it does.
    let three = vec![base(), Archive::new().file("d/new", ""), Archive::new().file(".wh.d", "")];
    assert_eq!(laid(three), [] as [&str; 0]);
}

#[test]
fn marks_of_aufs_are_no_files() {
    assert_eq!(
        laid(vec![Archive::new().file("a", "").file(".wh..wh.aufs", "").directory(".wh..wh.plnk/")]),
        ["a"]
    );
}

#[test]
fn later_entries_replace_earlier_ones_of_another_kind() {
    let base = || Archive::new().file("d/x", "").symlink("l", "d").file("f", "");
    assert_eq!(laid(vec![base(), Archive::new().file("d", "")]), ["d", "f", "l"]);
    assert_eq!(laid(vec![base(), Archive::new().directory("d/")]), ["d", "d/x", "f", "l"]);
    assert_eq!(
        laid(vec![base(), Archive::new().directory("f/").file("f/x", "")]),
        ["d", "d/x", "f", "f/x", "l"]
    );
    // A directory over a link is a directory; what lies below a link goes where it leads.
    assert_eq!(
        laid(vec![base(), Archive::new().directory("l/").file("l/y", "")]),
        ["d", "d/x", "f", "l", "l/y"]
    );
    assert_eq!(laid(vec![base(), Archive::new().file("l/y", "")]), ["d", "d/x", "d/y", "f", "l"]);
}

#[test]
fn a_flat_archive_has_no_whiteouts() {
    let folder = folder();
    std::fs::write(folder.path().join("a.tar"), Archive::new().file("a", "").file(".wh.a", "").end())
        .unwrap();
    built(&build(folder.path(), &OCI.replace("oci = \"layout\"", "tar = \"a.tar\"")));
    assert_eq!(names(folder.path()), [".wh.a", "a"]);
}

#[test]
fn hard_links_share_an_inode_through_all_layers() {
    let folder = folder();
    let base = Archive::new().file("a", "shared").hard_link("b", "a").hard_link("c", "./a");
    let upper = Archive::new().hard_link("d", "/b").file("c", "its own").file(".wh.a", "");
    let layers = [Layer::plain(base.end()), Layer::plain(upper.end())];
    Layout::with(&folder.path().join("layout"), &layers, &json!({}));
    built(&build(folder.path(), OCI));
    let found = initramfs(folder.path());
    let get = |name: &str| &found[&format!("bundles/b/rootfs/{name}")];
    assert_eq!((get("b").inode, get("b").links), (get("d").inode, 2));
    assert_eq!((get("c").links, &get("c").bytes[..]), (1, &b"its own"[..]));
    // The contents go with the last name (cpio(5)).
    assert_eq!((&get("b").bytes[..], &get("d").bytes[..]), (&b""[..], &b"shared"[..]));
}

#[test]
fn owners_modes_devices_and_fifos_arrive() {
    let folder = folder();
    let mut owned = header(EntryType::Regular, "su", "", 0o6755, 1);
    owned.set_uid(1000);
    owned.set_gid(70_000);
    owned.set_cksum();
    let archive = Archive::new()
        .raw(&owned, b"x")
        .pax(&[("uid", b"3000000"), ("gid", b"4000000")])
        .file("large", "")
        .entry(EntryType::Directory, "tmp/", "", 0o1777, b"")
        .entry(EntryType::Fifo, "pipe", "", 0o600, b"")
        .device(EntryType::Char, "dev/null", 1, 3)
        .entry(EntryType::Directory, "./", "", 0o711, b"");
    Layout::with(&folder.path().join("layout"), &[Layer::plain(archive.end())], &json!({}));
    built(&build(folder.path(), OCI));
    let found = initramfs(folder.path());
    let get = |name: &str| {
        let found = &found[&format!("bundles/b/rootfs{name}")];
        (format!("{:o}", found.mode), found.uid, found.gid)
    };
    assert_eq!(get(""), ("40711".into(), 0, 0));
    assert_eq!(get("/su"), ("106755".into(), 1000, 70_000));
    assert_eq!(get("/large"), ("100644".into(), 3_000_000, 4_000_000));
    assert_eq!(get("/tmp"), ("41777".into(), 0, 0));
    assert_eq!(get("/pipe"), ("10600".into(), 0, 0));
    assert_eq!(get("/dev/null"), ("20666".into(), 0, 0));
}

#[test]
fn every_compression_gives_the_same_image() {
    let archive = || Archive::new().file("a", "text").pax(&[("path", b"long")]).file("b", "more").end();
    // Two members and a frame to be skipped: layers that are read in parts are made so.
    let (front, back) = (&archive()[..512], &archive()[512..]);
    let members = Layer { stored: [gzip(front), gzip(back)].concat(), ..Layer::gzip(archive()) };
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let frames =
        [skippable, zstd::encode_all(front, 1).unwrap(), zstd::encode_all(back, 1).unwrap()].concat();
    let frames = Layer { stored: frames, ..Layer::zstd(archive()) };
    let docker =
        Layer { media_type: "application/vnd.docker.image.rootfs.diff.tar.gzip", ..Layer::gzip(archive()) };
    // Its type says gzip; engines look at the bytes.
    let mislabelled =
        Layer { media_type: "application/vnd.oci.image.layer.v1.tar+gzip", ..Layer::plain(archive()) };
    let mut digests = Vec::new();
    for layer in [
        Layer::plain(archive()),
        Layer::gzip(archive()),
        Layer::zstd(archive()),
        members,
        frames,
        docker,
        mislabelled,
    ] {
        let folder = folder();
        Layout::with(&folder.path().join("layout"), &[layer], &json!({}));
        let table = built(&build(folder.path(), OCI));
        digests.push(table.lines().find(|line| line.starts_with("sha256:")).unwrap().to_owned());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
    let folder = folder();
    let unknown =
        Layer { media_type: "application/vnd.oci.image.layer.v1.tar+encrypted", ..Layer::plain(archive()) };
    Layout::with(&folder.path().join("layout"), &[unknown], &json!({}));
    assert!(refused(&build(folder.path(), OCI)).contains("a layer of a type that is not supported"));
}

/// `umoci insert` writes no filling behind the last contents, and no blocks at the end.
#[test]
fn a_layer_may_end_with_its_last_contents_and_not_before() {
    let whole = Archive::new().file("a", "text").end();
    for (length, complaint) in [(512 + 4, None), (512 + 2, Some("the archive ends within the entry \"a\""))] {
        let folder = folder();
        let layer = Layer::gzip(whole[..length].to_vec());
        Layout::with(&folder.path().join("layout"), &[layer], &json!({}));
        let output = build(folder.path(), OCI);
        match complaint {
            None => {
                built(&output);
                assert_eq!(initramfs(folder.path())["bundles/b/rootfs/a"].bytes, b"text");
            }
            Some(words) => assert!(refused(&output).contains(words)),
        }
    }
}

/// A layout with an image for each of these platforms; each has a file called like its platform.
fn platforms(layout: &Layout, list: &[&str]) -> Vec<Value> {
    let image = |platform: &&str| {
        let (architecture, variant) =
            platform.split_once('/').map_or((*platform, None), |(a, v)| (a, Some(v)));
        let layer = Layer::plain(Archive::new().file(&platform.replace('/', "-"), "").end());
        let mut config = json!({ "architecture": architecture });
        if let Some(variant) = variant {
            config["variant"] = variant.into();
        }
        on(layout.image(&[layer], &config), architecture, variant)
    };
    list.iter().map(image).collect()
}

fn index_of(layout: &Layout, manifests: &[Value]) -> Value {
    layout.blob(
        json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string().as_bytes(),
        INDEX,
    )
}

#[test]
fn the_platform_is_the_boards_or_the_recipes() {
    let folder = folder();
    let layout = Layout::new(&folder.path().join("layout"));
    let images = platforms(&layout, &["arm64/v8", "arm/v5", "arm/v7", "amd64", "riscv64"]);
    let attestation = on(layout.blob(b"{}", MANIFEST), "unknown", None);
    let index = index_of(&layout, &[&images[..], &[attestation]].concat());
    // As buildx writes it, as umoci does (one name for all), and without the platforms, which the configs have too.
    let mut silent = images.clone();
    silent.iter_mut().for_each(|image| drop(image.as_object_mut().unwrap().remove("platform")));
    for manifests in [
        vec![named(index, "x")],
        images.iter().map(|image| named(image.clone(), "x")).collect(),
        silent.iter().map(|image| named(image.clone(), "x")).collect(),
    ] {
        layout.index(&manifests);
        for (platform, expected) in [
            ("", "amd64"),
            ("linux/arm/v7", "arm-v7"),
            ("linux/arm/v6", "arm-v5"),
            ("linux/arm64", "arm64-v8"),
        ] {
            let line =
                if platform.is_empty() { String::new() } else { format!("platform = \"{platform}\"\n") };
            built(&build(folder.path(), &format!("{}{line}", OCI.replace("layout", "layout:x"))));
            assert_eq!(names(folder.path()), [expected], "{platform}");
        }
        let other = format!("{}platform = \"linux/s390x\"\n", OCI.replace("layout", "layout:x"));
        let said = refused(&build(folder.path(), &other));
        assert!(said.contains("no image for linux/s390x, only for linux/amd64, linux/arm/v5,"), "{said}");
    }
}

#[test]
fn without_a_name_there_has_to_be_one_image() {
    let folder = folder();
    let layout = Layout::new(&folder.path().join("layout"));
    let images = platforms(&layout, &["amd64", "arm64"]);
    layout.index(&[named(images[0].clone(), "x"), named(images[1].clone(), "y")]);
    built(&build(folder.path(), OCI));
    layout.index(&[named(images[0].clone(), "x"), named(images[0].clone(), "again")]);
    built(&build(folder.path(), OCI));
    let other = layout.image(&[], &json!({}));
    layout.index(&[named(images[0].clone(), "x"), named(other, "a/b:1")]);
    let said = refused(&build(folder.path(), OCI));
    assert!(said.contains("several images: say which one, as in LAYOUT:NAME (known: x, a/b:1)"), "{said}");
    built(&build(folder.path(), &OCI.replace("layout", "layout:a/b:1")));
    let said = refused(&build(folder.path(), &OCI.replace("layout", "layout:z")));
    assert!(said.contains("no image \"z\" (known: x, a/b:1)"), "{said}");
}

#[test]
fn what_is_no_layout_is_told_apart() {
    let folder = folder();
    let said = refused(&build(folder.path(), OCI));
    assert!(said.contains("is no OCI layout") && said.contains("No such file"), "{said}");
    std::fs::write(folder.path().join("layout"), "").unwrap();
    assert!(
        refused(&build(folder.path(), OCI))
            .contains("is a file, not a folder with an OCI layout (skopeo copy")
    );
    std::fs::remove_file(folder.path().join("layout")).unwrap();
    let layout = Layout::new(&folder.path().join("layout"));
    layout.index(&[]);
    assert!(refused(&build(folder.path(), OCI)).ends_with("no image"));
    std::fs::write(layout.path.join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(refused(&build(folder.path(), OCI)).ends_with("oci-layout: version 2.0.0, not 1.0.0"));
    std::fs::write(layout.path.join("oci-layout"), "{").unwrap();
    assert!(refused(&build(folder.path(), OCI)).contains("oci-layout: "));
}
