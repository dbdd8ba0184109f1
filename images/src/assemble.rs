//! From a recipe to the trees of its image: bundles unpacked and given a config.json, hull as /init, modules, extra files,
//! and /etc/hull.json, which tells hull what to do with all that.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use hull_targets::{build, elf, kernel};
use serde_json::{Map, Value};

use crate::blob::{self, Bounded};
use crate::content::Spool;
use crate::convert::{self, Settings, Volume};
use crate::host;
use crate::layer::Unpacker;
use crate::limits::Budget;
use crate::modules::Modules;
use crate::oci::{self, Counted};
use crate::progress::Progress;
use crate::recipe::{Bundle, Config, End, Extra, From, Recipe, What};
use crate::tree::{Entry, Kind, Tree};

/// What is in the image for hull to read; the same keys work on the kernel's command line.
pub const SETTINGS: &str = "etc/hull.json";

/// The folders that hull mounts onto: a read-only root has no room for them later.
const MOUNT_POINTS: [(&str, u32); 5] =
    [("dev", 0o755), ("proc", 0o555), ("run", 0o755), ("sys", 0o555), ("tmp", 0o1777)];

/// One row of the table that tells what takes how much room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub entries: u64,
    pub bytes: u64,
}

/// An image that can be written.
pub struct Assembled {
    pub initramfs: Tree,
    /// With a recipe that has a root image: all but what is needed to mount it.
    pub root: Option<Tree>,
    pub parts: Vec<Part>,
    pub warnings: Vec<String>,
}

/// Gathers all that `recipe` names. Contents stay in files of the host and in a spool file beside the output.
pub fn assemble(recipe: &Recipe, progress: &Progress) -> Result<Assembled> {
    let folder =
        recipe.output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let mut spool = Spool::new(folder)?;
    let mut main = Tree::new();
    let mut parts = Vec::new();
    let mut warnings = Vec::new();
    for (path, mode) in MOUNT_POINTS {
        main.directory(path, mode)?;
    }
    let hull = hull(recipe)?;
    init(&mut main, &hull)?;
    parts.push(Part { name: "hull".to_owned(), entries: 1, bytes: std::fs::metadata(&hull)?.len() });

    let mut modules = Tree::new();
    let order = load(recipe, &mut modules)?;
    if !order.is_empty() {
        parts.push(part("kernel modules", &modules));
    }
    for bundle in &recipe.bundles {
        progress.step(&format!("bundle {}", bundle.name));
        let made = make(bundle, recipe, &mut spool, progress).with_context(|| bundle.place.to_string())?;
        let path = Path::new("bundles").join(&bundle.name);
        main.file(path.join("config.json"), 0o644, text(&made.config))?;
        main.graft(&path.join("rootfs"), &made.tree)?;
        parts.push(part(&format!("bundle {}", bundle.name), &made.tree));
        warnings.extend(made.warnings.into_iter().map(|text| format!("bundle {}: {text}", bundle.name)));
        for source in made.sources {
            if !main.contains(&source) {
                main.directory(&source, 0o755)?;
            }
        }
    }
    let before = part("", &main);
    for extra in &recipe.files {
        put(&mut main, extra, false).with_context(|| extra.place.to_string())?;
    }
    let after = part("", &main);
    if !recipe.files.is_empty() {
        let (entries, bytes) = (after.entries - before.entries, after.bytes.saturating_sub(before.bytes));
        parts.push(Part { name: "files".to_owned(), entries, bytes });
    }
    let initramfs = finish(recipe, &mut main, modules, &order, &hull)?;
    let (initramfs, root) = match initramfs {
        Some(small) => (small, Some(main)),
        None => (main, None),
    };
    Ok(Assembled { initramfs, root, parts, warnings })
}

/// Puts the settings and the modules where they belong. With a root image that is a small initramfs of its own, which
/// has what is needed to mount the root and nothing else.
fn finish(
    recipe: &Recipe,
    main: &mut Tree,
    modules: Tree,
    order: &[String],
    hull: &Path,
) -> Result<Option<Tree>> {
    let mut settings = Map::new();
    let names: Vec<&str> = recipe.bundles.iter().map(|bundle| bundle.name.as_str()).collect();
    settings.insert("hull.bundles".to_owned(), names.into());
    let end = match recipe.end {
        End::PowerOff => "poweroff",
        End::Reboot => "reboot",
    };
    settings.insert("hull.end".to_owned(), end.into());
    let mut early = Map::new();
    if !order.is_empty() {
        early.insert("hull.modules".to_owned(), order.into());
    }
    let Some(root) = &recipe.root else {
        for (path, entry) in modules.entries() {
            main.insert_shared(Path::new(OsStr::from_bytes(path)), Arc::clone(entry))?;
        }
        early.append(&mut settings);
        main.file(SETTINGS, 0o644, text(&Value::Object(early)))?;
        return Ok(None);
    };
    main.file(SETTINGS, 0o644, text(&Value::Object(settings)))?;
    let mut small = modules;
    for (path, mode) in MOUNT_POINTS {
        small.directory(path, mode)?;
    }
    init(&mut small, hull)?;
    early.insert("hull.root".to_owned(), root.device.as_str().into());
    early.insert("hull.rootfstype".to_owned(), root.format.name().into());
    small.file(SETTINGS, 0o644, text(&Value::Object(early)))?;
    Ok(Some(small))
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}

fn part(name: &str, tree: &Tree) -> Part {
    let mut counted = std::collections::HashSet::new();
    // A file with several names is there once.
    let sizes =
        tree.entries().filter(|(_, entry)| counted.insert(Arc::as_ptr(entry))).map(|(_, entry)| entry.size());
    let bytes = sizes.sum();
    Part { name: name.to_owned(), entries: tree.entries().count() as u64, bytes }
}

/// The binary, which has to be one that this board can start without anything else.
fn hull(recipe: &Recipe) -> Result<PathBuf> {
    let Some(path) = &recipe.hull else { return Ok(build::release(&recipe.board)?.path) };
    let file = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    elf::check(&file, recipe.board.code.elf_machine)
        .with_context(|| format!("{} can't be init on {}", path.display(), recipe.board.name()))?;
    Ok(path.clone())
}

/// Executable whatever the file's own mode is: the kernel panics over an init that is not.
fn init(tree: &mut Tree, hull: &Path) -> Result<()> {
    tree.copy("init", hull)?;
    let found = tree.get("init").context("no file")?;
    let entry = Entry::new(found.kind.clone(), 0o755);
    tree.insert(Path::new("init"), entry)
}

fn load(recipe: &Recipe, tree: &mut Tree) -> Result<Vec<String>> {
    let kernel = &recipe.kernel;
    if kernel.load.is_empty() {
        return Ok(Vec::new());
    }
    let folder = match &kernel.modules {
        Some(folder) => folder.clone(),
        None => kernel::cached(&recipe.board, kernel.suite.as_deref())?.modules()?,
    };
    // The folder's name is the kernel's version, so it must not be "." or end in a link.
    let folder = folder.canonicalize().with_context(|| format!("open {}", folder.display()));
    folder
        .and_then(|folder| Modules::open(&folder)?.install(&kernel.load, tree))
        .with_context(|| kernel.place.to_string())
}

/// A bundle.
struct Made {
    tree: Tree,
    config: Value,
    warnings: Vec<String>,
    /// Directories of the machine that are bound into it.
    sources: Vec<String>,
}

fn make(bundle: &Bundle, recipe: &Recipe, spool: &mut Spool, progress: &Progress) -> Result<Made> {
    let budget = Budget::new(recipe.limits);
    let mut unpacker = Unpacker { tree: Tree::new(), spool, budget, devices: bundle.devices };
    let mut image = None;
    let mut tree = match &bundle.from {
        From::Oci { reference, platform } => {
            let found = oci::open(reference, platform)?;
            progress.expect(found.size());
            found.unpack(&mut unpacker, &|bytes| progress.advance(bytes))?;
            image = Some(found.config);
            unpacker.tree
        }
        From::Tar(path) => {
            tar(path, &mut unpacker, progress).with_context(|| path.display().to_string())?;
            unpacker.tree
        }
        From::Directory(path, owners) => host::from_directory(path, *owners, &mut unpacker.budget)?,
    };
    for extra in &bundle.files {
        put(&mut tree, extra, true).with_context(|| extra.place.to_string())?;
    }
    let settings: &Settings = match &bundle.config {
        Config::Made(settings) => settings,
        Config::File(path) => {
            let config: Value = serde_json::from_slice(&blob::document(path)?)
                .with_context(|| format!("{} is not JSON", path.display()))?;
            convert::check(&config).with_context(|| path.display().to_string())?;
            convert::make_targets(&config, &Default::default(), &mut tree)?;
            return Ok(Made { tree, config, warnings: Vec::new(), sources: Vec::new() });
        }
    };
    let converted = convert::convert(image.as_ref(), settings, &tree)?;
    convert::make_targets(&converted.config, &settings.volumes, &mut tree)?;
    let sources = settings.volumes.values().filter_map(|volume| match volume {
        Volume::Bind(source) => Some(source.clone()),
        Volume::Tmpfs => None,
    });
    let sources = sources.collect();
    Ok(Made { tree, config: converted.config, warnings: converted.warnings, sources })
}

fn tar(path: &Path, unpacker: &mut Unpacker, progress: &Progress) -> Result<()> {
    let file = blob::regular(path)?;
    progress.expect(file.metadata()?.len());
    let advance = |bytes| progress.advance(bytes);
    let mut left = unpacker.budget.stream();
    let input = blob::unpacked(Counted { input: file, progress: &advance })?;
    let mut input = Tail { input: Bounded { input, left: &mut left }, zeros: 0 };
    unpacker.flat(&mut input)?;
    // The rest is nothing but padding, and a compressed one has its checksum there.
    std::io::copy(&mut input, &mut std::io::sink())?;
    // No digest tells whether all of it is here, but its own mark does.
    ensure!(input.zeros >= 512, "ends without an end mark: was it cut short?");
    Ok(())
}

/// Counts the zeros at the end of what was read.
struct Tail<R> {
    input: R,
    zeros: usize,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        self.zeros = match bytes.iter().rposition(|byte| *byte != 0) {
            Some(at) => read - at - 1,
            None => self.zeros.saturating_add(read),
        };
        Ok(read)
    }
}

/// Puts a file of the recipe into `tree`: in a bundle through the links that its image has (`/bin` is one often enough),
/// in the machine's own tree as it stands there.
fn put(tree: &mut Tree, extra: &Extra, through_links: bool) -> Result<()> {
    let path = if through_links {
        let resolved = tree.resolve(extra.path.as_bytes(), false)?;
        PathBuf::from(OsStr::from_bytes(&resolved))
    } else {
        PathBuf::from(&extra.path)
    };
    let made = |kind, default: u32| {
        let mut entry = Entry::new(kind, extra.mode.unwrap_or(default));
        (entry.uid, entry.gid) = (extra.uid, extra.gid);
        entry
    };
    match &extra.what {
        What::Content(text) => tree.insert(&path, made(Kind::File(text.clone().into_bytes().into()), 0o644)),
        What::Source(source) => {
            let mut copied = Tree::new();
            copied.copy("x", source)?;
            let found = copied.get("x").context("no file")?;
            tree.insert(&path, made(found.kind.clone(), found.mode))
        }
        What::Tree(source) => tree.copy_tree(&path, source),
        What::Link(target) => tree.insert(&path, made(Kind::Symlink(target.clone().into_bytes()), 0o777)),
        What::Node(device) => tree.insert(&path, made(Kind::Device(*device), 0o600)),
        What::Folder => tree.insert(&path, made(Kind::Directory, 0o755)),
    }
}
