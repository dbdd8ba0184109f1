//! `hull-targets`: the command behind `targets/build` and `targets/kernel`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use hull_targets::{build, family, kernel};

/// Builds hull for the board families in targets/families, and fetches kernels for them.
#[derive(Parser)]
enum Cli {
    /// Build and check the release binary, and print its size and path.
    Build {
        /// A family's name, its triple, or `all`.
        #[arg(required = true)]
        targets: Vec<String>,
    },
    /// Fetch Debian's kernel into the cache, and print its path.
    Kernel {
        /// A family's name, or its triple.
        target: String,
        /// Of this suite of Debian, instead of the family's or the machine's.
        #[arg(long)]
        suite: Option<String>,
        /// Unpack its modules as well, and print their folder.
        #[arg(long)]
        modules: bool,
    },
}

fn main() -> ExitCode {
    let (name, result) = match Cli::parse() {
        Cli::Build { targets } => ("build", build(&targets)),
        Cli::Kernel { target, suite, modules } => ("kernel", kernel(&target, suite.as_deref(), modules)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("targets/{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(targets: &[String]) -> Result<()> {
    let families: Vec<_> = targets.iter().map(|name| family::named(name)).collect::<Result<_>>()?;
    let families: Vec<_> = families.into_iter().flatten().collect();
    for built in build::releases(&families)?.values() {
        println!("{:>8} bytes  {}", built.size, built.path.display());
    }
    Ok(())
}

fn kernel(target: &str, suite: Option<&str>, modules: bool) -> Result<()> {
    for family in family::named(target)? {
        let kernel = kernel::cached(&family, suite)?;
        println!("{}", kernel.file.display());
        if let Some(dtb) = &kernel.dtb {
            println!("{}", dtb.display());
        }
        if modules {
            println!("{}", kernel.modules()?.display());
        }
    }
    Ok(())
}
