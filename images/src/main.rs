//! `hull-image`: the command line of the image builder.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser};
use hull_image::tree::Device;
use hull_image::{Packing, Tree, initramfs};

/// Builds images for hull to boot from: the same bytes for the same input.
#[derive(Parser)]
enum Cli {
    /// Pack files into an initramfs (cpio, newc), with /dev/console always in.
    Initramfs(Initramfs),
}

#[derive(Args)]
struct Initramfs {
    /// The file to write.
    output: PathBuf,
    /// Compress it.
    #[arg(long)]
    gzip: bool,
    /// Everything below DIRECTORY, put below PATH, the root if PATH is left out.
    #[arg(long, value_name = "[PATH=]DIRECTORY")]
    tree: Vec<String>,
    /// One file, 0755 if it is executable, else 0644.
    #[arg(long, value_name = "PATH=SOURCE")]
    file: Vec<String>,
    /// A symbolic link.
    #[arg(long, value_name = "PATH=TARGET")]
    link: Vec<String>,
    /// An empty directory.
    #[arg(long, value_name = "PATH[=MODE]")]
    directory: Vec<String>,
    /// A device node: c or b, its numbers, its octal mode (600 if left out).
    #[arg(long, value_name = "PATH=TYPE:MAJOR:MINOR[:MODE]")]
    node: Vec<String>,
}

fn main() -> ExitCode {
    let Cli::Initramfs(arguments) = Cli::parse();
    match build(&arguments) {
        Ok(size) => {
            println!("{size:>8} bytes  {}", arguments.output.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("hull-image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(arguments: &Initramfs) -> Result<u64> {
    let mut tree = Tree::new();
    for value in &arguments.tree {
        let (path, source) = value.split_once('=').unwrap_or(("/", value));
        tree.copy_tree(path, source.as_ref())?;
    }
    for value in &arguments.directory {
        let (path, mode) = value.split_once('=').unwrap_or((value, "755"));
        tree.directory(path, octal(mode)?)?;
    }
    for value in &arguments.file {
        let (path, source) = pair(value, "PATH=SOURCE")?;
        tree.copy(path, source.as_ref())?;
    }
    for value in &arguments.link {
        let (path, target) = pair(value, "PATH=TARGET")?;
        tree.symlink(path, target)?;
    }
    for value in &arguments.node {
        let (path, node) = pair(value, "PATH=TYPE:MAJOR:MINOR[:MODE]")?;
        let (mode, device) = device(node).with_context(|| format!("--node {value}"))?;
        tree.device(path, mode, device)?;
    }
    let packing = if arguments.gzip { Packing::Gzip } else { Packing::Plain };
    initramfs(tree, &arguments.output, packing)
}

fn pair<'a>(value: &'a str, form: &str) -> Result<(&'a str, &'a str)> {
    value.split_once('=').with_context(|| format!("\"{value}\" is not {form}"))
}

fn octal(text: &str) -> Result<u32> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.with_context(|| format!("\"{text}\" is not an octal mode"))
}

fn device(text: &str) -> Result<(u32, Device)> {
    let fields: Vec<&str> = text.split(':').collect();
    let (kind, major, minor, mode) = match fields[..] {
        [kind, major, minor] => (kind, major, minor, "600"),
        [kind, major, minor, mode] => (kind, major, minor, mode),
        _ => anyhow::bail!("not TYPE:MAJOR:MINOR[:MODE]"),
    };
    let (major, minor) = (major.parse()?, minor.parse()?);
    let device = match kind {
        "c" => Device::Character(major, minor),
        "b" => Device::Block(major, minor),
        _ => anyhow::bail!("type \"{kind}\" is neither c nor b"),
    };
    Ok((octal(mode)?, device))
}
