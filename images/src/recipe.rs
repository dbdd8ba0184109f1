//! The recipe: one TOML file that says what goes into an image and what it boots on. Checked whole, host files left
//! alone; relative paths count from the recipe's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hull_targets::family::{self, Family, Platform};

use crate::convert::{Settings, Volume};
use crate::host::Owners;
use crate::layer::Devices;
use crate::limits::Limits;
use crate::oci::Reference;
use crate::pack::Packing;
use crate::reader::{Item, Place, Source, Table};
use crate::root::Format;
use crate::tree::Device;

pub struct Recipe {
    pub board: Family,
    /// What the image's files are called, up to their endings.
    pub output: PathBuf,
    /// Of the machine, in bytes.
    pub memory: Option<u64>,
    pub end: End,
    /// The binary; none: built for the board.
    pub hull: Option<PathBuf>,
    pub packing: Packing,
    pub root: Option<Root>,
    pub kernel: Kernel,
    /// In the order in which they run.
    pub bundles: Vec<Bundle>,
    pub files: Vec<Extra>,
    pub limits: Limits,
}

/// What the machine does when all bundles have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    PowerOff,
    Reboot,
}

/// A root image beside a small initramfs.
pub struct Root {
    pub format: Format,
    /// Where the machine has it.
    pub device: String,
}

#[derive(Default)]
pub struct Kernel {
    pub place: Place,
    /// None: Debian's for the board.
    pub file: Option<PathBuf>,
    /// For boards that QEMU copies.
    pub dtb: Option<PathBuf>,
    /// `lib/modules/VERSION` of that kernel; none: Debian's.
    pub modules: Option<PathBuf>,
    /// Names of modules.
    pub load: Vec<String>,
    pub arguments: String,
    /// Of Debian; none: the board's own, or that of this machine.
    pub suite: Option<String>,
}

pub struct Bundle {
    pub place: Place,
    pub name: String,
    pub from: From,
    pub devices: Devices,
    pub config: Config,
    /// Below the bundle's root.
    pub files: Vec<Extra>,
}

/// Where a bundle's root filesystem comes from.
pub enum From {
    Oci { reference: Reference, platform: Platform },
    Tar(PathBuf),
    Directory(PathBuf, Owners),
}

/// Where a bundle's config.json comes from.
pub enum Config {
    Made(Box<Settings>),
    File(PathBuf),
}

/// A file of the recipe's own.
pub struct Extra {
    pub place: Place,
    pub path: String,
    pub what: What,
    pub mode: Option<u32>,
    pub uid: u32,
    pub gid: u32,
}

pub enum What {
    Content(String),
    Source(PathBuf),
    Tree(PathBuf),
    Link(String),
    Node(Device),
    Folder,
}

/// Reads and checks a recipe.
pub fn read(path: &Path) -> Result<Recipe> {
    let source = Source::read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    source.parse(|table| recipe(table, folder))
}

fn recipe(table: &mut Table, folder: &Path) -> Result<Recipe> {
    let board = table.need("board", "as in board = \"x86_64\"")?;
    let families = board.name().and_then(|name| family::named(&name).map_err(|error| board.error(error)))?;
    let mut families = families.into_iter();
    let (Some(family), None) = (families.next(), families.next()) else {
        return Err(board.error("an image is for one board"));
    };
    let platform = family.oci.clone();
    let output = table.need("output", "as in output = \"out/box\": the files' name without their endings")?;
    let ends = [("poweroff", End::PowerOff), ("reboot", End::Reboot)];
    let output = folder.join(output.name()?);
    let end = table.take("end").map(|item| item.choice(&ends)).transpose()?.unwrap_or(End::PowerOff);
    let memory = table.take("memory").map(|item| item.size()).transpose()?;
    let hull = table.take("hull").map(|item| item.name()).transpose()?.map(|path| folder.join(path));
    let packing = table.take("initramfs").map(|item| item.table(initramfs)).transpose()?;
    let root = table.take("root").map(|item| item.table(root)).transpose()?;
    let kernel = table.take("kernel").map(|item| item.table(|table| kernel(table, folder))).transpose()?;
    let limits = table.take("limits").map(|item| item.table(limits)).transpose()?.unwrap_or_default();
    let files = files(table, folder)?;
    let readonly = root.is_some();
    let mut bundles: Vec<Bundle> = Vec::new();
    if let Some(list) = table.take("bundle") {
        for item in list.list()? {
            let bundle = item.table(|table| bundle(table, folder, &platform, readonly))?;
            if bundles.iter().any(|other| other.name == bundle.name) {
                return Err(bundle.place.error(format!("a second bundle called \"{}\"", bundle.name)));
            }
            bundles.push(bundle);
        }
    }
    Ok(Recipe {
        board: family,
        output,
        memory,
        end,
        hull,
        packing: packing.unwrap_or(Packing::Gzip),
        root,
        kernel: kernel.unwrap_or_default(),
        bundles,
        files,
        limits,
    })
}

fn initramfs(table: &mut Table) -> Result<Packing> {
    let choices = [("gzip", Packing::Gzip), ("zstd", Packing::Zstd), ("none", Packing::Plain)];
    Ok(table.take("compression").map(|item| item.choice(&choices)).transpose()?.unwrap_or(Packing::Gzip))
}

fn root(table: &mut Table) -> Result<Root> {
    let formats = [("squashfs", true), ("erofs", false)];
    let squashfs = table.need("format", "\"squashfs\" or \"erofs\"")?.choice(&formats)?;
    let compression = table.take("compression");
    let format = if squashfs {
        let choices = ["zstd", "gzip", "xz", "lz4"].map(|name| (name, name));
        let compression = compression.map(|item| item.choice(&choices)).transpose()?;
        Format::Squashfs { compression: compression.unwrap_or("zstd") }
    } else {
        let choices = [("lz4hc", Some("lz4hc")), ("lz4", Some("lz4")), ("none", None)];
        let compression = compression.map(|item| item.choice(&choices)).transpose()?;
        Format::Erofs { compression: compression.unwrap_or(Some("lz4hc")) }
    };
    let device =
        table.need("device", "where the machine has the image, as in device = \"/dev/mmcblk0p2\"")?;
    Ok(Root { format, device: absolute(&device)? })
}

fn kernel(table: &mut Table, folder: &Path) -> Result<Kernel> {
    let mut path = |name| -> Result<Option<PathBuf>> {
        let text = table.take(name).map(|item| item.name()).transpose()?;
        Ok(text.map(|text| folder.join(text)))
    };
    let (file, dtb, modules) = (path("file")?, path("dtb")?, path("modules")?);
    let place = table.place();
    let load = table.take("load").map(|item| item.texts()).transpose()?.unwrap_or_default();
    let arguments = table.take("arguments").map(|item| item.text()).transpose()?.unwrap_or_default();
    let suite = table.take("suite");
    if let (Some(suite), true) = (&suite, file.is_some()) {
        return Err(suite.error("for Debian's kernel only, and `file` names another one"));
    }
    if file.is_some() && modules.is_none() && !load.is_empty() {
        return Err(
            place.error("modules is missing (the folder lib/modules/VERSION of the kernel in `file`)")
        );
    }
    let suite = suite.map(|item| item.name()).transpose()?;
    Ok(Kernel { place, file, dtb, modules, load, arguments, suite })
}

fn limits(table: &mut Table) -> Result<Limits> {
    let default = Limits::default();
    let mut size = |name, otherwise| -> Result<u64> {
        Ok(table.take(name).map(|item| item.size()).transpose()?.unwrap_or(otherwise))
    };
    Ok(Limits {
        entries: size("entries", default.entries)?,
        file: size("file", default.file)?,
        total: size("total", default.total)?,
    })
}

fn absolute(item: &Item) -> Result<String> {
    let path = item.name()?;
    if path.starts_with('/') { Ok(path) } else { Err(item.error("not an absolute path")) }
}

/// Names that are a path component, a container id and a word on the kernel's command line.
fn bundle_name(item: &Item) -> Result<String> {
    let name = item.name()?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if plain && first && name.len() <= 64 {
        return Ok(name);
    }
    Err(item.error(format!(
        "\"{}\" is no name for a bundle: up to 64 letters, digits, \".\", \"_\" and \"-\", the first one a letter or digit",
        name.escape_debug()
    )))
}

fn bundle(table: &mut Table, folder: &Path, platform: &Platform, readonly: bool) -> Result<Bundle> {
    let place = table.place();
    let name = bundle_name(&table.need("name", "as in name = \"web\"")?)?;
    let from = from(table, folder, platform)?;
    let devices = [("harmless", Devices::Harmless), ("any", Devices::Any)];
    let devices = table.take("devices").map(|item| item.choice(&devices)).transpose()?.unwrap_or_default();
    let file = table.take("config");
    let (settings, set) = settings(table, &name, readonly)?;
    let config = match (file, set) {
        (Some(file), Some(key)) => {
            return Err(file.error(format!("and `{key}`: a config.json says all of that itself")));
        }
        (Some(file), None) => Config::File(folder.join(file.name()?)),
        (None, _) => Config::Made(Box::new(settings)),
    };
    Ok(Bundle { place, name, from, devices, config, files: files(table, folder)? })
}

fn from(table: &mut Table, folder: &Path, platform: &Platform) -> Result<From> {
    let (oci, tar, directory) = (table.take("oci"), table.take("tar"), table.take("directory"));
    let wanted = table.take("platform");
    let owners = table.take("owners");
    let given = [&oci, &tar, &directory].into_iter().flatten().count();
    if given != 1 {
        return Err(table.place().error("needs one of `oci`, `tar` and `directory`"));
    }
    if let (Some(item), None) = (&wanted, &oci) {
        return Err(item.error("for `oci` only: nothing else says what it is for"));
    }
    if let (Some(item), None) = (&owners, &directory) {
        return Err(item.error("for `directory` only: the others have the owners that they say"));
    }
    if let Some(item) = oci {
        let platform = match wanted {
            None => platform.clone(),
            Some(wanted) => parse_platform(&wanted)?,
        };
        return Ok(From::Oci { reference: Reference::parse(&item.name()?, folder), platform });
    }
    if let Some(item) = tar {
        return Ok(From::Tar(folder.join(item.name()?)));
    }
    let choices = [("root", Owners::Root), ("keep", Owners::Keep)];
    let owners = owners.map(|item| item.choice(&choices)).transpose()?.unwrap_or_default();
    let directory = directory.map(|item| item.name()).transpose()?.unwrap_or_default();
    Ok(From::Directory(folder.join(directory), owners))
}

fn parse_platform(item: &Item) -> Result<Platform> {
    let text = item.name()?;
    let mut parts = text.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("linux"), Some(architecture), variant, None) if !architecture.is_empty() => {
            Ok(Platform { architecture: architecture.to_owned(), variant: variant.map(str::to_owned) })
        }
        _ => {
            Err(item.error(format!("\"{}\" is no platform, as \"linux/arm/v7\" is one", text.escape_debug())))
        }
    }
}

/// Remembers the first key that was there.
struct Keys(Option<&'static str>);

impl Keys {
    fn take<'a>(&mut self, table: &mut Table<'a>, key: &'static str) -> Option<Item<'a>> {
        let item = table.take(key)?;
        self.0 = self.0.or(Some(key));
        Some(item)
    }
}

/// The settings of a bundle, and the first key of theirs that was given.
fn settings(table: &mut Table, name: &str, readonly: bool) -> Result<(Settings, Option<&'static str>)> {
    let mut keys = Keys(None);
    let args = keys.take(table, "args");
    let cmd = keys.take(table, "cmd");
    if let (Some(_), Some(cmd)) = (&args, &cmd) {
        return Err(cmd.error("and `args`, which replaces the image's entrypoint too: only one of them"));
    }
    let text = |item: Option<Item>| item.map(|item| item.name()).transpose();
    let flag = |item: Option<Item>, default| item.map_or(Ok(default), |item| item.flag());
    let map = |item: Option<Item>| item.map_or(Ok(BTreeMap::new()), |item| item.map());
    let env = keys.take(table, "env").map(|item| environment(&item)).transpose()?.unwrap_or_default();
    let cwd = keys.take(table, "cwd").map(|item| absolute(&item)).transpose()?;
    let networks = [("host", false), ("none", true)];
    let network = keys.take(table, "network").map(|item| item.choice(&networks)).transpose()?;
    let volumes =
        keys.take(table, "volumes").map(|item| item.table(volumes)).transpose()?.unwrap_or_default();
    let spec = keys.take(table, "spec").map(|item| item.object()).transpose()?;
    let settings = Settings {
        args: args.map(|item| nonempty(&item)).transpose()?,
        cmd: cmd.map(|item| item.texts()).transpose()?,
        env,
        user: text(keys.take(table, "user"))?,
        cwd,
        hostname: text(keys.take(table, "hostname"))?.unwrap_or_else(|| name.to_owned()),
        terminal: flag(keys.take(table, "terminal"), false)?,
        readonly: flag(keys.take(table, "readonly"), readonly)?,
        own_network: network.unwrap_or(false),
        capabilities: keys.take(table, "capabilities").map(|item| capabilities(&item)).transpose()?,
        new_privileges: flag(keys.take(table, "new-privileges"), false)?,
        volumes,
        annotations: map(keys.take(table, "annotations"))?,
        spec,
    };
    Ok((settings, keys.0))
}

fn environment(item: &Item) -> Result<BTreeMap<String, String>> {
    let map = item.map()?;
    match map.keys().find(|key| key.is_empty() || key.contains('=')) {
        Some(bad) => Err(item.error(format!("\"{}\" is no name of a variable", bad.escape_debug()))),
        None => Ok(map),
    }
}

fn nonempty(item: &Item) -> Result<Vec<String>> {
    let list = item.texts()?;
    if list.first().is_none_or(String::is_empty) {
        return Err(item.error("names no program"));
    }
    Ok(list)
}

fn capabilities(item: &Item) -> Result<Vec<String>> {
    let list = item.texts()?;
    if let Some(bad) = list.iter().find(|name| !name.starts_with("CAP_")) {
        return Err(
            item.error(format!("\"{}\" is no capability, as \"CAP_CHOWN\" is one", bad.escape_debug()))
        );
    }
    Ok(list)
}

fn volumes(table: &mut Table) -> Result<BTreeMap<String, Volume>> {
    let mut volumes = BTreeMap::new();
    for (destination, item) in table.all() {
        let text = item.name()?;
        let volume = match text.as_str() {
            "tmpfs" => Volume::Tmpfs,
            path if path.starts_with('/') => Volume::Bind(text),
            _ => return Err(item.error("expected \"tmpfs\" or the path of a directory of the machine")),
        };
        if !destination.starts_with('/') {
            return Err(item.error("the volume's place is not an absolute path"));
        }
        volumes.insert(destination, volume);
    }
    Ok(volumes)
}

fn files(table: &mut Table, folder: &Path) -> Result<Vec<Extra>> {
    let Some(list) = table.take("file") else { return Ok(Vec::new()) };
    list.list()?.iter().map(|item| item.table(|table| extra(table, folder))).collect()
}

fn extra(table: &mut Table, folder: &Path) -> Result<Extra> {
    let place = table.place();
    let path = absolute(&table.need("path", "where it goes, as in path = \"/etc/motd\"")?)?;
    let content = table.take("content").map(|item| item.text()).transpose()?.map(What::Content);
    let mut from = |name| -> Result<Option<PathBuf>> {
        let text = table.take(name).map(|item| item.name()).transpose()?;
        Ok(text.map(|text| folder.join(text)))
    };
    let (source, tree) = (from("source")?.map(What::Source), from("tree")?.map(What::Tree));
    let link = table.take("link").map(|item| item.name()).transpose()?.map(What::Link);
    let node = table.take("node").map(|item| node(&item)).transpose()?.map(What::Node);
    let made = table.take("folder").map(|item| item.flag()).transpose()?.unwrap_or(false);
    let mut kinds = [content, source, tree, link, node, made.then_some(What::Folder)].into_iter().flatten();
    let (Some(what), None) = (kinds.next(), kinds.next()) else {
        return Err(
            place.error("needs one of `content`, `source`, `tree`, `link`, `node` and `folder = true`")
        );
    };
    let mode = table.take("mode");
    if let (Some(mode), What::Link(_) | What::Tree(_)) = (&mode, &what) {
        return Err(mode.error("a link has no mode, and what is in a tree has its own"));
    }
    let mode = mode.map(|item| item.mode()).transpose()?;
    let mut id = |name| -> Result<u32> {
        let Some(item) = table.take(name) else { return Ok(0) };
        u32::try_from(item.number()?).map_err(|_| item.error("too large"))
    };
    Ok(Extra { place, path, what, mode, uid: id("uid")?, gid: id("gid")? })
}

fn node(item: &Item) -> Result<Device> {
    device(&item.text()?).with_context(|| item.place().to_string())
}

/// `c:MAJOR:MINOR` or `b:MAJOR:MINOR`.
pub fn device(text: &str) -> Result<Device> {
    let fields: Vec<&str> = text.split(':').collect();
    let [kind, major, minor] = fields[..] else {
        anyhow::bail!("\"{text}\" is no device, as \"c:1:3\" is one")
    };
    let number = |text: &str| text.parse::<u32>().with_context(|| format!("\"{text}\" is no device number"));
    let (major, minor) = (number(major)?, number(minor)?);
    match kind {
        "c" => Ok(Device::Character(major, minor)),
        "b" => Ok(Device::Block(major, minor)),
        _ => anyhow::bail!("type \"{kind}\" is neither c nor b"),
    }
}
