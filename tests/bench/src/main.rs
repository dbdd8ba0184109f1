//! hull-bench: what a run of hull costs, next to the floor program, crun and runc.
//!
//! Owns the command line and nothing else: each subcommand is a module. Everything is measured from outside, on
//! release binaries named by path; nothing here links hull.

mod breakdown;
mod bundle;
mod counts;
mod elf;
mod ftrace;
mod life;
mod sandbox;
mod size;
mod subject;
mod table;
mod text;
mod timing;
mod tracer;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measures hull against the floor program, crun and runc.
#[derive(Parser)]
#[command(name = "hull-bench")]
struct Cli {
    #[command(flatten)]
    paths: Paths,
    #[command(subcommand)]
    command: Command,
}

/// Where the programs and configs lie; `tests/bench/run` fills these in.
#[derive(Args)]
pub struct Paths {
    /// hull's release binary
    #[arg(long, global = true, value_name = "PATH", default_value_os_t = built("hull"))]
    pub hull: PathBuf,
    /// The floor program
    #[arg(long, global = true, value_name = "PATH", default_value_os_t = built("floor"))]
    pub floor: PathBuf,
    /// crun; looked up in PATH, left out where there is none
    #[arg(long, global = true, value_name = "PATH", default_value = "crun")]
    pub crun: PathBuf,
    /// runc; looked up in PATH, left out where there is none
    #[arg(long, global = true, value_name = "PATH", default_value = "runc")]
    pub runc: PathBuf,
    /// A static busybox: the payload is its `true`
    #[arg(long, global = true, value_name = "PATH", default_value = "busybox")]
    pub busybox: PathBuf,
    /// Folder with runc-spec.json and docker.json
    #[arg(long, global = true, value_name = "DIR", default_value_os_t = repository().join("tests/configs/real"))]
    pub configs: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// One table: time, CPU, system calls, page faults, memory and size of each runtime
    Table(table::Options),
    /// System calls, page faults and memory of one runtime's `run` of a bundle, as JSON
    Counts(counts::Options),
    /// Where hull's time and calls go beyond the floor's, call by call
    Where(breakdown::Options),
    /// Wall time of create, start and delete, beside crun and runc
    Life(life::Options),
    /// The size of each room, and of each crate, in hull's binary
    Size(size::Options),
}

/// The checkout that this package lies in.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The folder that cargo puts hull's builds in.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

fn built(name: &str) -> PathBuf {
    target_dir().join("release").join(name)
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match measure(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hull-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(cli: &Cli) -> Result<()> {
    match &cli.command {
        Command::Table(options) => table::run(&cli.paths, options),
        Command::Counts(options) => counts::run(&cli.paths, options),
        Command::Where(options) => breakdown::run(&cli.paths, options),
        Command::Life(options) => life::run(&cli.paths, options),
        Command::Size(options) => size::run(options),
    }
}
