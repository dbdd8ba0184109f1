//! Kernel modules by name, with all that they need, out of the folder that depmod(8) indexed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::tree::Tree;

/// No module of any kernel is near this.
const MODULE_MAX: u64 = 256 << 20;

/// The modules of one kernel.
pub struct Modules {
    folder: PathBuf,
    /// `uname -r`.
    version: String,
    /// By name: the file, relative to the folder, and the names that it needs.
    dep: BTreeMap<String, (String, Vec<String>)>,
    builtin: BTreeSet<String>,
    /// What should be loaded before a module though its symbols don't say so, as `softdep` lines have it.
    soft: BTreeMap<String, Vec<String>>,
    /// Names that stand for modules.
    alias: BTreeMap<String, Vec<String>>,
}

impl Modules {
    /// Reads the indexes in `folder`, which is called by the kernel's version, as in `lib/modules/6.1.0-50-amd64`.
    pub fn open(folder: &Path) -> Result<Modules> {
        let version = folder.file_name().and_then(|name| name.to_str());
        let version =
            version.with_context(|| format!("{} is not called by a kernel's version", folder.display()))?;
        let read = |name: &str| match fs::read_to_string(folder.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {name} in {}", folder.display())),
        };
        let dep = read("modules.dep")?.with_context(|| {
            format!(
                "no modules.dep in {} (depmod --basedir FOLDER-ABOVE-LIB {version} makes it)",
                folder.display()
            )
        })?;
        let mut modules = Modules {
            folder: folder.to_owned(),
            version: version.to_owned(),
            dep: BTreeMap::new(),
            builtin: BTreeSet::new(),
            soft: BTreeMap::new(),
            alias: BTreeMap::new(),
        };
        for line in dep.lines() {
            let (file, needs) = line.split_once(':').with_context(|| format!("modules.dep: \"{line}\""))?;
            let needs = needs.split_whitespace().map(name).collect();
            modules.dep.insert(name(file), (file.to_owned(), needs));
        }
        modules.builtin.extend(read("modules.builtin")?.unwrap_or_default().lines().map(name));
        for line in read("modules.softdep")?.unwrap_or_default().lines() {
            let mut words = line.split_whitespace().skip_while(|word| *word != "softdep").skip(1);
            let Some(of) = words.next() else { continue };
            let before = words.skip_while(|word| *word != "pre:").skip(1).take_while(|word| *word != "post:");
            modules.soft.entry(name(of)).or_default().extend(before.map(str::to_owned));
        }
        for line in read("modules.alias")?.unwrap_or_default().lines() {
            if let ["alias", alias, module] = line.split_whitespace().collect::<Vec<_>>()[..] {
                modules.alias.entry(name(alias)).or_default().push(name(module));
            }
        }
        Ok(modules)
    }

    /// Puts the modules called `wanted` and all they need into `tree`, unpacked, with an index of their own, and
    /// returns their paths in the order in which they have to be loaded.
    pub fn install(&self, wanted: &[String], tree: &mut Tree) -> Result<Vec<String>> {
        let mut order = Vec::new();
        for wanted in wanted {
            self.add(wanted, &mut order, &mut Vec::new())?;
        }
        let top = format!("lib/modules/{}", self.version);
        let mut index = String::new();
        let mut paths = Vec::new();
        for module in &order {
            let (file, _) = self.dep.get(module).context("a module without a file")?;
            let plain = plain(file);
            let path = format!("{top}/{plain}");
            let bytes = self.read(file).with_context(|| format!("module {module}"))?;
            ensure!(bytes.starts_with(b"\x7fELF"), "module {module}: {file} is not an ELF file");
            tree.file(&path, 0o644, bytes)?;
            let mut needs = Vec::new();
            self.add(module, &mut needs, &mut Vec::new())?;
            // modprobe(8) loads them from the right.
            let needs: Vec<_> = needs.iter().rev().skip(1).filter_map(|name| self.dep.get(name)).collect();
            let needs: String = needs.iter().map(|(file, _)| format!(" {}", self::plain(file))).collect();
            index += &format!("{plain}:{needs}\n");
            paths.push(format!("/{path}"));
        }
        if !paths.is_empty() {
            tree.file(format!("{top}/modules.dep"), 0o644, index)?;
        }
        Ok(paths)
    }

    /// Adds `wanted` behind what it needs. `way` is how we came here.
    fn add(&self, wanted: &str, order: &mut Vec<String>, way: &mut Vec<String>) -> Result<()> {
        let module = name(wanted);
        if order.contains(&module) || self.builtin.contains(&module) {
            return Ok(());
        }
        let Some((_, needs)) = self.dep.get(&module) else {
            let Some(known) = self.alias.get(&module) else {
                bail!("the kernel {} has no module \"{wanted}\"", self.version);
            };
            return known.iter().try_for_each(|known| self.add(known, order, way));
        };
        if way.contains(&module) {
            return Ok(());
        }
        way.push(module.clone());
        for soft in self.soft.get(&module).into_iter().flatten() {
            // What is only a wish may name what this kernel was built without.
            let before = order.len();
            if self.add(soft, order, way).is_err() {
                order.truncate(before);
            }
        }
        for need in needs {
            self.add(need, order, way)?;
        }
        way.pop();
        order.push(module);
        Ok(())
    }

    fn read(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(file);
        let input = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let input: Box<dyn Read> = match file.rsplit_once('.').map(|(_, suffix)| suffix) {
            Some("xz") => Box::new(liblzma::read::XzDecoder::new(input)),
            Some("zst") => Box::new(zstd::stream::read::Decoder::new(input)?),
            Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(input)),
            _ => Box::new(input),
        };
        let mut bytes = Vec::new();
        let read = input.take(MODULE_MAX + 1).read_to_end(&mut bytes).context("unpack it")?;
        ensure!(read as u64 <= MODULE_MAX, "more than {MODULE_MAX} bytes");
        Ok(bytes)
    }
}

/// The path of the unpacked file.
fn plain(file: &str) -> &str {
    let end = file.rfind(".ko").map_or(file.len(), |at| at + 3);
    file.get(..end).unwrap_or(file)
}

/// A module's name, as lsmod(8) has it, from its file's or from what people write.
fn name(file: &str) -> String {
    let base = file.trim().rsplit('/').next().unwrap_or_default();
    base.split_once(".ko").map_or(base, |(base, _)| base).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn folder() -> tempfile::TempDir {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("6.1-test");
        fs::create_dir_all(folder.join("kernel/fs")).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
        write(
            "modules.dep",
            b"kernel/fs/ext4.ko: kernel/fs/jbd2.ko.xz kernel/fs/mbcache.ko.zst\nkernel/fs/jbd2.ko.xz:\n\
              kernel/fs/mbcache.ko.zst:\nkernel/fs/crc32c-intel.ko.gz:\nkernel/fs/one.ko: kernel/fs/two.ko\n\
              kernel/fs/two.ko: kernel/fs/one.ko\nkernel/fs/broken.ko:\nkernel/fs/gone.ko:\n",
        );
        write("modules.builtin", b"kernel/lib/crc16.ko\n");
        write("modules.softdep", b"# comment\nsoftdep ext4 pre: crc32c nothing-like-it post: later\n");
        write("modules.alias", b"# comment\nalias crc32c crc32c_intel\nalias fs-ext4 ext4\n");
        let elf = |text: &str| [b"\x7fELF", text.as_bytes()].concat();
        write("kernel/fs/ext4.ko", &elf("ext4"));
        for plain in ["one", "two"] {
            write(&format!("kernel/fs/{plain}.ko"), &elf(plain));
        }
        write("kernel/fs/broken.ko", b"text");
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(&elf("jbd2")).unwrap();
        write("kernel/fs/jbd2.ko.xz", &xz.finish().unwrap());
        write("kernel/fs/mbcache.ko.zst", &zstd::encode_all(&elf("mbcache")[..], 3).unwrap());
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&elf("crc")).unwrap();
        write("kernel/fs/crc32c-intel.ko.gz", &gz.finish().unwrap());
        top
    }

    fn install(wanted: &[&str]) -> Result<(Vec<String>, Tree)> {
        let top = folder();
        let modules = Modules::open(&top.path().join("6.1-test"))?;
        let mut tree = Tree::new();
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let order = modules.install(&wanted, &mut tree)?;
        let prefix = "/lib/modules/6.1-test/kernel/fs/";
        Ok((order.iter().map(|path| path.strip_prefix(prefix).unwrap().to_owned()).collect(), tree))
    }

    #[test]
    fn what_a_module_needs_is_loaded_before_it_and_unpacked() {
        let (order, tree) = install(&["ext4", "jbd2", "crc16"]).unwrap();
        assert_eq!(order, ["crc32c-intel.ko", "jbd2.ko", "mbcache.ko", "ext4.ko"]);
        for (file, text) in
            [("jbd2", "jbd2"), ("mbcache", "mbcache"), ("crc32c-intel", "crc"), ("ext4", "ext4")]
        {
            let path = format!("lib/modules/6.1-test/kernel/fs/{file}.ko");
            let bytes = tree.read(path.as_bytes(), 100).unwrap().unwrap();
            assert_eq!(bytes, [b"\x7fELF", text.as_bytes()].concat());
        }
        let index = tree.read(b"lib/modules/6.1-test/modules.dep", 1000).unwrap().unwrap();
        let index = String::from_utf8(index).unwrap();
        assert!(index.contains(
            "kernel/fs/ext4.ko: kernel/fs/mbcache.ko kernel/fs/jbd2.ko kernel/fs/crc32c-intel.ko\n"
        ));
    }

    #[test]
    fn names_are_taken_as_people_write_them_and_rings_end() {
        assert_eq!(install(&["fs-ext4"]).unwrap().0.len(), 4);
        assert_eq!(install(&["crc32c_intel"]).unwrap().0, ["crc32c-intel.ko"]);
        assert_eq!(install(&["one"]).unwrap().0.len(), 2);
        assert_eq!(install(&["crc16"]).unwrap().0.len(), 0);
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let error = |name: &str| format!("{:#}", install(&[name]).map(|(order, _)| order).unwrap_err());
        assert_eq!(error("ext5"), "the kernel 6.1-test has no module \"ext5\"");
        assert_eq!(error("broken"), "module broken: kernel/fs/broken.ko is not an ELF file");
        assert!(error("gone").starts_with("module gone: open "));
        let top = tempfile::tempdir().unwrap();
        let error = Modules::open(top.path()).err().unwrap().to_string();
        assert!(error.starts_with("no modules.dep in ") && error.contains("depmod --basedir"), "{error}");
    }
}
