//! Archives and layouts made by hand, so that they can also be wrong, and the command run on them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};
use tempfile::TempDir;

/// A folder that is gone at the end.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Debian packages that a test needs; installed if they are missing.
pub fn need(needs: &[(&str, &str)]) {
    hull_targets::debian::install(needs).unwrap();
}

/// A tar archive, entry by entry, with names as they are given.
pub struct Archive(Vec<u8>);

impl Archive {
    pub fn new() -> Archive {
        Archive(Vec::new())
    }

    /// A header whose size is that of `data`.
    pub fn raw(mut self, header: &Header, data: &[u8]) -> Archive {
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn entry(self, kind: EntryType, name: &str, link: &str, mode: u32, data: &[u8]) -> Archive {
        self.raw(&header(kind, name, link, mode, data.len() as u64), data)
    }

    pub fn file(self, name: &str, data: &str) -> Archive {
        self.entry(EntryType::Regular, name, "", 0o644, data.as_bytes())
    }

    pub fn program(self, name: &str, data: &str) -> Archive {
        self.entry(EntryType::Regular, name, "", 0o755, data.as_bytes())
    }

    pub fn directory(self, name: &str) -> Archive {
        self.entry(EntryType::Directory, name, "", 0o755, b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Archive {
        self.entry(EntryType::Symlink, name, target, 0o777, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Archive {
        self.entry(EntryType::Link, name, target, 0o644, b"")
    }

    pub fn device(self, kind: EntryType, name: &str, major: u32, minor: u32) -> Archive {
        let mut header = header(kind, name, "", 0o666, 0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        header.set_cksum();
        self.raw(&header, b"")
    }

    /// An extended header for the entry that follows.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Archive {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = 3 + key.len() + value.len();
            let mut length = rest + 1;
            while rest + length.to_string().len() != length {
                length += 1;
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(EntryType::XHeader, "pax", "", 0o644, &data)
    }

    /// The bytes, with the mark of the end.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// Without it.
    pub fn cut(self) -> Vec<u8> {
        self.0
    }
}

pub fn header(kind: EntryType, name: &str, link: &str, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(size);
    let fields = header.as_ustar_mut().unwrap();
    fields.name[..name.len()].copy_from_slice(name.as_bytes());
    fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
    if matches!(kind, EntryType::Char | EntryType::Block) {
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
    }
    header.set_cksum();
    header
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

pub fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A layer as it is stored, its type, and what is inside.
pub struct Layer {
    pub stored: Vec<u8>,
    pub media_type: &'static str,
    pub unpacked: Vec<u8>,
}

impl Layer {
    pub fn plain(unpacked: Vec<u8>) -> Layer {
        Layer { stored: unpacked.clone(), media_type: "application/vnd.oci.image.layer.v1.tar", unpacked }
    }

    pub fn gzip(unpacked: Vec<u8>) -> Layer {
        let stored = gzip(&unpacked);
        Layer { stored, media_type: "application/vnd.oci.image.layer.v1.tar+gzip", unpacked }
    }

    pub fn zstd(unpacked: Vec<u8>) -> Layer {
        let stored = zstd::encode_all(&unpacked[..], 3).unwrap();
        Layer { stored, media_type: "application/vnd.oci.image.layer.v1.tar+zstd", unpacked }
    }
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An OCI layout on disk.
pub struct Layout {
    pub path: PathBuf,
}

impl Layout {
    pub fn new(path: &Path) -> Layout {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Layout { path: path.to_owned() }
    }

    pub fn blob(&self, bytes: &[u8], media_type: &str) -> Value {
        let digest = sha256(bytes);
        fs::write(self.blob_path(&digest), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    pub fn blob_path(&self, digest: &str) -> PathBuf {
        self.path.join("blobs").join(digest.replace(':', "/"))
    }

    /// An image of `layers` for amd64; `config` is merged into its config.
    pub fn image(&self, layers: &[Layer], config: &Value) -> Value {
        let ids: Vec<String> = layers.iter().map(|layer| sha256(&layer.unpacked)).collect();
        let mut document = json!({
            "architecture": "amd64", "os": "linux",
            "config": { "Cmd": ["/bin/program"] },
            "rootfs": { "type": "layers", "diff_ids": ids },
        });
        hull_image::convert::merge(&mut document, config);
        let config = self.blob(document.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json");
        let layers: Vec<Value> =
            layers.iter().map(|layer| self.blob(&layer.stored, layer.media_type)).collect();
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        self.blob(manifest.to_string().as_bytes(), MANIFEST)
    }

    pub fn index(&self, manifests: &[Value]) {
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        fs::write(self.path.join("index.json"), index.to_string()).unwrap();
    }

    /// A layout with the one image "x".
    pub fn with(path: &Path, layers: &[Layer], config: &Value) -> Layout {
        let layout = Layout::new(path);
        let image = layout.image(layers, config);
        layout.index(&[named(image, "x")]);
        layout
    }
}

pub fn named(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    descriptor
}

pub fn on(mut descriptor: Value, architecture: &str, variant: Option<&str>) -> Value {
    descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
    if let Some(variant) = variant {
        descriptor["platform"]["variant"] = variant.into();
    }
    descriptor
}

/// A static program at a fixed address for x86_64 that can stand for hull where nothing is started: a header, and one
/// segment with nothing but `ud2`.
pub fn stand_in(folder: &Path) -> PathBuf {
    let path = folder.join("hull");
    let mut elf = Vec::new();
    elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let half = |elf: &mut Vec<u8>, number: u16| elf.extend_from_slice(&number.to_le_bytes());
    let word = |elf: &mut Vec<u8>, number: u32| elf.extend_from_slice(&number.to_le_bytes());
    let long = |elf: &mut Vec<u8>, number: u64| elf.extend_from_slice(&number.to_le_bytes());
    half(&mut elf, 2);
    half(&mut elf, 62);
    word(&mut elf, 1);
    for number in [0x400_078, 64, 0] {
        long(&mut elf, number);
    }
    word(&mut elf, 0);
    for number in [64, 56, 1, 64, 0, 0] {
        half(&mut elf, number);
    }
    word(&mut elf, 1);
    word(&mut elf, 5);
    for number in [0, 0x400_000, 0x400_000, 122, 122, 4096] {
        long(&mut elf, number);
    }
    elf.extend_from_slice(&[0x0f, 0x0b]);
    fs::write(&path, elf).unwrap();
    path
}

/// The start of every recipe here.
pub fn head(folder: &Path) -> String {
    let hull = stand_in(folder);
    format!("board = \"x86_64\"\noutput = \"out/box\"\nhull = \"{}\"\n", hull.display())
}

pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hull-image"));
    command.args(arguments).current_dir(folder).env_remove("SOURCE_DATE_EPOCH");
    command
}

pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// `hull-image build` of a recipe with these lines, in `folder`.
pub fn build(folder: &Path, recipe: &str) -> Output {
    fs::write(folder.join("recipe.toml"), head(folder) + recipe).unwrap();
    run(folder, &["build", "recipe.toml"])
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a build that has to work printed.
#[track_caller]
pub fn built(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The one line that a build that has to fail printed.
#[track_caller]
pub fn refused(output: &Output) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said.strip_prefix("hull-image: ").unwrap_or_else(|| panic!("{said}")).trim_end().to_owned()
}

/// An entry of an initramfs, read back by a crate that shares nothing with the writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub inode: u32,
    pub device: (u32, u32),
    pub bytes: Vec<u8>,
}

/// The entries of `out/box.initramfs` by name.
pub fn initramfs(folder: &Path) -> std::collections::BTreeMap<String, Found> {
    let packed = fs::read(folder.join("out/box.initramfs")).unwrap();
    let mut archive = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut archive).unwrap();
    let mut found = std::collections::BTreeMap::new();
    let mut archive = &archive[..];
    loop {
        let mut reader = cpio::NewcReader::new(archive).unwrap();
        if reader.entry().is_trailer() {
            return found;
        }
        let entry = reader.entry();
        let name = entry.name().to_owned();
        let mut one = Found {
            mode: entry.mode(),
            uid: entry.uid(),
            gid: entry.gid(),
            links: entry.nlink(),
            inode: entry.ino(),
            device: (entry.rdev_major(), entry.rdev_minor()),
            bytes: Vec::new(),
        };
        std::io::Read::read_to_end(&mut reader, &mut one.bytes).unwrap();
        found.insert(name, one);
        archive = reader.finish().unwrap();
    }
}

/// A file of bundle `b`'s root, as text.
#[track_caller]
pub fn inside(folder: &Path, path: &str) -> String {
    let found = initramfs(folder);
    let name = format!("bundles/b/rootfs/{path}");
    text(&found.get(&name).unwrap_or_else(|| panic!("no {name} in {:?}", found.keys())).bytes)
}

/// The config.json of bundle `b`.
pub fn config(folder: &Path) -> Value {
    serde_json::from_slice(&initramfs(folder)["bundles/b/config.json"].bytes).unwrap()
}
