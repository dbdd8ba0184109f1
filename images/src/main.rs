//! `hull-image`: the command line of the image builder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser};
use hull_image::{Packing, Tree, boot, initramfs, inspect, recipe};

/// Builds images for hull to boot from: the same bytes for the same input.
#[derive(Parser)]
#[command(version)]
enum Cli {
    /// Build the image of a recipe, and print what takes how much room.
    Build {
        /// A TOML file; docs/images.md describes it.
        recipe: PathBuf,
    },
    /// Build it, and boot it in QEMU with the console on this terminal (Ctrl-A X ends it).
    Boot {
        recipe: PathBuf,
        /// Another kernel than the recipe's, or Debian's for the board.
        #[arg(long, value_name = "FILE")]
        kernel: Option<PathBuf>,
    },
    /// List what is in an initramfs or a root image.
    Inspect { file: PathBuf },
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
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hull-image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli {
        Cli::Build { recipe } => {
            image(&recipe)?;
        }
        Cli::Boot { recipe, kernel } => {
            let (recipe, built) = image(&recipe)?;
            let status = boot::boot(&recipe, &built, kernel.as_deref())?;
            anyhow::ensure!(status.success(), "QEMU ended with {status}");
        }
        Cli::Inspect { file } => print(&inspect::inspect(&file)?)?,
        Cli::Initramfs(arguments) => {
            let size = build(&arguments)?;
            print(&format!("{size:>8} bytes  {}\n", arguments.output.display()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn image(path: &Path) -> Result<(recipe::Recipe, hull_image::Built)> {
    let recipe = recipe::read(path)?;
    let built = hull_image::build(&recipe)?;
    for warning in &built.warnings {
        eprintln!("hull-image: warning: {warning}");
    }
    print(&built.table)?;
    Ok((recipe, built))
}

/// To standard output; that somebody stopped reading there is no failure of ours.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("print"),
        _ => Ok(()),
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

/// TYPE:MAJOR:MINOR[:MODE].
fn device(text: &str) -> Result<(u32, hull_image::tree::Device)> {
    let (device, mode) = match text.match_indices(':').nth(2) {
        Some((at, _)) => (&text[..at], &text[at + 1..]),
        None => (text, "600"),
    };
    Ok((octal(mode)?, recipe::device(device)?))
}
