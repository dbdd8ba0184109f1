//! `hull-targets build NAME`: the command behind `targets/build`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use hull_targets::{build, family};

/// Builds hull for the board families in targets/families.
#[derive(Parser)]
enum Cli {
    /// Build and check the release binary, and print its size and path.
    Build {
        /// A family's name, its triple, or `all`.
        #[arg(required = true)]
        targets: Vec<String>,
    },
}

fn main() -> ExitCode {
    let Cli::Build { targets } = Cli::parse();
    match run(&targets) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("targets/build: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(targets: &[String]) -> Result<()> {
    let families: Vec<_> = targets.iter().map(|name| family::named(name)).collect::<Result<_>>()?;
    for family in families.iter().flatten() {
        let built = build::release(family)?;
        println!("{:>8} bytes  {}", built.size, built.path.display());
    }
    Ok(())
}
