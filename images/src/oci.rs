//! OCI layouts (image-spec, image-layout.md) as skopeo and umoci write them: from index.json to the one manifest for a
//! platform, and from there to a tree. Every document and layer is checked against the digest and size that named it,
//! and every unpacked layer against the config's `diff_ids`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use hull_targets::family::Platform;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};

use crate::blob::{self, Blob, Bounded, Digest, Hashing};
use crate::layer::Unpacker;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.";

/// An index in an index in an index is what people make; more only hostile ones.
const DEPTH_MAX: u32 = 4;
/// Documents that are read to find one image.
const DOCUMENTS_MAX: u32 = 1024;

/// A layout, and the name of an image in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub layout: PathBuf,
    pub name: Option<String>,
}

impl Reference {
    /// `LAYOUT[:NAME]`, below `folder` where it is relative. The name may have colons, and so may the folder.
    pub fn parse(text: &str, folder: &Path) -> Reference {
        let whole = folder.join(text);
        if !whole.is_dir() {
            for (at, _) in text.match_indices(':') {
                let (layout, name) = (folder.join(&text[..at]), &text[at + 1..]);
                if layout.is_dir() && !name.is_empty() {
                    return Reference { layout, name: Some(name.to_owned()) };
                }
            }
        }
        Reference { layout: whole, name: None }
    }
}

/// One image of a layout, its documents checked, its layers not read yet.
pub struct Image {
    pub config: ImageConfiguration,
    layout: PathBuf,
    layers: Vec<Layer>,
}

struct Layer {
    digest: Digest,
    size: u64,
    /// Of what is inside the compression.
    unpacked: Digest,
}

impl Image {
    /// Bytes of all layers as they are stored.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// Applies the layers, from the lowest up. `progress` hears of every byte read.
    pub fn unpack(&self, into: &mut Unpacker, progress: &dyn Fn(u64)) -> Result<()> {
        let mut left = into.budget.stream();
        for layer in &self.layers {
            let mut blob = Blob::open(&self.layout, &layer.digest, layer.size)?;
            let context = || format!("the layer {}", layer.digest.short());
            let counted = Counted { input: &mut blob, progress };
            let bounded = Bounded { input: blob::unpacked(counted).with_context(context)?, left: &mut left };
            let mut hashed = Hashing::new(bounded, &layer.unpacked);
            into.layer(&mut hashed).with_context(context)?;
            let differs =
                || format!("the layer {}, unpacked (diff_ids of the image's config)", layer.digest.short());
            hashed.finish(&layer.unpacked).with_context(differs)?;
            blob.finish()?;
        }
        Ok(())
    }
}

/// Tells how much was read.
pub struct Counted<'a, R> {
    pub input: R,
    pub progress: &'a dyn Fn(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        (self.progress)(read as u64);
        Ok(read)
    }
}

/// Finds the image for `platform`.
pub fn open(reference: &Reference, platform: &Platform) -> Result<Image> {
    let Reference { layout, name } = reference;
    if layout.is_file() {
        bail!(
            "{} is a file, not a folder with an OCI layout (skopeo copy oci-archive:FILE oci:FOLDER:NAME unpacks one; \
             what `docker export` wrote goes into `tar`)",
            layout.display()
        );
    }
    let mark = blob::document(&layout.join("oci-layout"))
        .with_context(|| format!("{} is no OCI layout", layout.display()))?;
    let mark: serde_json::Value = serde_json::from_slice(&mark).context("oci-layout")?;
    let version = mark.get("imageLayoutVersion").and_then(serde_json::Value::as_str).unwrap_or("none");
    ensure!(version.starts_with("1."), "oci-layout: version {version}, not 1.0.0");
    let index = layout.join("index.json");
    let index: ImageIndex = parse(&blob::document(&index)?).with_context(|| index.display().to_string())?;

    let mut search = Search { layout, platform, documents: 0, found: Vec::new(), others: Vec::new() };
    let mut known = Vec::new();
    for descriptor in index.manifests() {
        let names = names(descriptor);
        if name.as_ref().is_none_or(|name| names.contains(&name.as_str())) {
            search.descriptor(descriptor, 0)?;
        }
        known.extend(names.into_iter().map(str::to_owned));
    }
    search.choose(name.as_deref(), &known).with_context(|| layout.display().to_string())
}

/// The names of a descriptor in index.json; containerd writes the long one as well.
fn names(descriptor: &Descriptor) -> Vec<&str> {
    let annotations = descriptor.annotations().as_ref();
    let get = |key: &str| annotations.and_then(|all| all.get(key)).map(String::as_str);
    [get(REF_NAME), get("io.containerd.image.name")].into_iter().flatten().collect()
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

/// A platform as people write it: `linux/arm/v7`.
pub fn shown(os: &str, platform: &Platform) -> String {
    let variant = platform.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{os}/{}{variant}", platform.architecture)
}

struct Candidate {
    digest: Digest,
    manifest: ImageManifest,
    config: ImageConfiguration,
    /// Among those that fit, the larger the better.
    fit: u32,
}

struct Search<'a> {
    layout: &'a Path,
    platform: &'a Platform,
    documents: u32,
    found: Vec<Candidate>,
    /// Platforms that do not fit, for the message.
    others: Vec<String>,
}

impl Search<'_> {
    fn document(&mut self, descriptor: &Descriptor) -> Result<(Digest, Vec<u8>)> {
        self.documents += 1;
        ensure!(self.documents <= DOCUMENTS_MAX, "more than {DOCUMENTS_MAX} documents");
        let digest = Digest::parse(descriptor.digest().as_ref())?;
        let bytes = Blob::open(self.layout, &digest, descriptor.size())?.document()?;
        Ok((digest, bytes))
    }

    fn descriptor(&mut self, descriptor: &Descriptor, depth: u32) -> Result<()> {
        // What says so itself need not even be there: a layout may hold one platform of many.
        if let Some(platform) = descriptor.platform() {
            let have = Platform {
                architecture: platform.architecture().to_string(),
                variant: platform.variant().clone(),
            };
            let os = platform.os().to_string();
            if os != "linux" || fit(self.platform, &have).is_none() {
                self.others.push(shown(&os, &have));
                return Ok(());
            }
        }
        let media_type = descriptor.media_type().to_string();
        match descriptor.media_type() {
            MediaType::ImageIndex => self.index(descriptor, depth),
            MediaType::ImageManifest => self.manifest(descriptor),
            _ if media_type == DOCKER_INDEX => self.index(descriptor, depth),
            _ if media_type == DOCKER_MANIFEST => self.manifest(descriptor),
            // Signatures, documents about the image and so on.
            _ => Ok(()),
        }
    }

    fn index(&mut self, descriptor: &Descriptor, depth: u32) -> Result<()> {
        ensure!(depth < DEPTH_MAX, "an index inside {DEPTH_MAX} others");
        let (digest, bytes) = self.document(descriptor)?;
        let index: ImageIndex = parse(&bytes).with_context(|| format!("the index {}", digest.short()))?;
        index.manifests().iter().try_for_each(|descriptor| self.descriptor(descriptor, depth + 1))
    }

    fn manifest(&mut self, descriptor: &Descriptor) -> Result<()> {
        let (digest, bytes) = self.document(descriptor)?;
        let context = || format!("the manifest {}", digest.short());
        let manifest: ImageManifest = parse(&bytes).with_context(context)?;
        let kind = manifest.config().media_type();
        if *kind != MediaType::ImageConfig && kind.to_string() != DOCKER_CONFIG {
            return Ok(());
        }
        let (config_digest, bytes) = self.document(manifest.config()).with_context(context)?;
        let config: ImageConfiguration =
            parse(&bytes).with_context(|| format!("the config {}", config_digest.short()))?;
        let have =
            Platform { architecture: config.architecture().to_string(), variant: config.variant().clone() };
        let os = config.os().to_string();
        match fit(self.platform, &have).filter(|_| os == "linux") {
            // The same image under two names is one.
            Some(_) if self.found.iter().any(|found| found.digest == digest) => {}
            Some(fit) => self.found.push(Candidate { digest, manifest, config, fit }),
            None => self.others.push(shown(&os, &have)),
        }
        Ok(())
    }

    /// The best of what was found: the first of those that fit best, if a name led to them; else it has to be the only
    /// one.
    fn choose(mut self, name: Option<&str>, known: &[String]) -> Result<Image> {
        let known = if known.is_empty() {
            "none has a name".to_owned()
        } else {
            format!("known: {}", known.join(", "))
        };
        let best = self.found.iter().map(|found| found.fit).max();
        self.found.retain(|found| Some(found.fit) == best);
        let several = self.found.len() > 1;
        let Some(chosen) = self.found.into_iter().next() else {
            let wanted = shown("linux", self.platform);
            self.others.sort();
            self.others.dedup();
            match (name, self.others.is_empty()) {
                (Some(name), true) => bail!("no image \"{name}\" ({known})"),
                (None, true) => bail!("no image"),
                (_, false) => bail!(
                    "no image for {wanted}, only for {} (skopeo copy --override-arch and --override-variant choose \
                     one; `platform` in the recipe's bundle takes one as it is)",
                    self.others.join(", ")
                ),
            }
        };
        ensure!(name.is_some() || !several, "several images: say which one, as in LAYOUT:NAME ({known})");
        let context = format!("the manifest {}", chosen.digest.short());
        image(self.layout, chosen.manifest, chosen.config).context(context)
    }
}

fn image(layout: &Path, manifest: ImageManifest, config: ImageConfiguration) -> Result<Image> {
    let ids = config.rootfs().diff_ids();
    ensure!(
        ids.len() == manifest.layers().len(),
        "{} layers, but {} diff_ids in the config",
        manifest.layers().len(),
        ids.len()
    );
    let mut layers = Vec::new();
    for (descriptor, id) in manifest.layers().iter().zip(ids) {
        let media_type = descriptor.media_type().to_string();
        let known = match descriptor.media_type() {
            MediaType::ImageLayer
            | MediaType::ImageLayerGzip
            | MediaType::ImageLayerZstd
            | MediaType::ImageLayerNonDistributable
            | MediaType::ImageLayerNonDistributableGzip
            | MediaType::ImageLayerNonDistributableZstd => true,
            _ => media_type.starts_with(DOCKER_LAYER),
        };
        ensure!(known, "a layer of a type that is not supported: {media_type}");
        layers.push(Layer {
            digest: Digest::parse(descriptor.digest().as_ref())?,
            size: descriptor.size(),
            unpacked: Digest::parse(id).context("diff_ids of the config")?,
        });
    }
    Ok(Image { config, layout: layout.to_owned(), layers })
}

/// How well something for `have` runs on `want`; `None` if it does not. What names no variant is for the oldest one of
/// its architecture, except 32-bit ARM, where it has come to mean v7.
fn fit(want: &Platform, have: &Platform) -> Option<u32> {
    if want.architecture != have.architecture {
        return None;
    }
    let default = match want.architecture.as_str() {
        "arm" => "v7",
        "arm64" => "v8",
        _ => "v1",
    };
    let [want, have] = [want, have]
        .map(|platform| platform.variant.as_deref().filter(|text| !text.is_empty()).unwrap_or(default));
    let number = |text: &str| text.strip_prefix('v')?.split('.').next()?.parse::<u32>().ok();
    match (number(want), number(have)) {
        (Some(want), Some(have)) => (have <= want).then_some(have),
        _ => (want == have).then_some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let (architecture, variant) = text.split_once('/').unwrap_or((text, ""));
        let variant = Some(variant.to_owned()).filter(|variant| !variant.is_empty());
        Platform { architecture: architecture.to_owned(), variant }
    }

    #[test]
    fn older_variants_run_on_newer_ones_and_not_the_other_way() {
        let fits = |want, have| fit(&platform(want), &platform(have));
        assert_eq!(fits("arm/v7", "arm"), Some(7));
        assert_eq!(fits("arm/v7", "arm/v5"), Some(5));
        assert_eq!(fits("arm/v6", "arm/v6"), Some(6));
        assert_eq!(fits("arm/v6", "arm/v7"), None);
        assert_eq!(fits("arm/v6", "arm"), None);
        assert_eq!(fits("arm64/v8", "arm64"), Some(8));
        assert_eq!(fits("amd64", "amd64"), Some(1));
        assert_eq!(fits("amd64", "amd64/v3"), None);
        assert_eq!(fits("amd64", "arm64"), None);
        assert_eq!(fits("riscv64", "riscv64/rva23"), None);
    }

    #[test]
    fn a_reference_is_a_folder_and_maybe_a_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b:c"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let parse = |text| {
            let found = Reference::parse(text, folder.path());
            (found.layout.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned(), found.name)
        };
        assert_eq!(parse("a"), ("a".into(), None));
        assert_eq!(parse("a:x/y:1"), ("a".into(), Some("x/y:1".into())));
        assert_eq!(parse("b:c:latest"), ("b:c".into(), Some("latest".into())));
        assert_eq!(parse("b:c"), ("b:c".into(), None));
        assert_eq!(parse("missing:x"), ("missing:x".into(), None));
    }
}
