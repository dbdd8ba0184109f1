//! `--help` and `--version`, out of the flag table.

use super::flags::{Flag, Verb};
use crate::base::text::{Byte, Put, Sink, Template};
use crate::put;

/// The help of hull itself, or of one command.
pub struct Help(pub Option<Verb>);

impl Put for Help {
    fn put(&self, to: &mut dyn Sink) {
        match self.0 {
            None => {
                put!(
                    to,
                    "hull: a minimal OCI container runtime\n\nUsage:\n  hull [global flags] COMMAND [flags] [CONTAINER-ID]\n\nCommands:\n"
                );
                for verb in Verb::ALL {
                    put!(to, "  ");
                    row(to, 22, verb.word(), "", verb.help());
                }
                put!(to, "\nGlobal flags:\n");
                rows(to, None);
                put!(to, "\nhull COMMAND --help shows a command's own flags.\n");
            }
            Some(verb) => {
                put!(
                    to,
                    "hull ",
                    verb.word(),
                    ": ",
                    verb.help(),
                    "\n\nUsage:\n  hull [global flags] ",
                    verb.word(),
                    " [flags] ",
                    verb.arguments(),
                    "\n\nFlags:\n"
                );
                rows(to, self.0);
            }
        }
    }
}

fn rows(to: &mut dyn Sink, verb: Option<Verb>) {
    for flag in Flag::ALL.iter().filter(|flag| flag.is_of(verb)) {
        match flag.letter() {
            Some(letter) => put!(to, "  -", Byte(letter), ", --"),
            None => put!(to, "      --"),
        }
        row(to, 20, flag.word(), flag.value(), flag.help());
    }
}

/// A name and what stands behind it, filled up to `width`, then the help.
fn row(to: &mut dyn Sink, width: usize, name: &str, value: &str, help: Template) {
    put!(to, name);
    if !value.is_empty() {
        put!(to, " ", value);
    }
    let blank = usize::from(!value.is_empty());
    for _ in name.len().saturating_add(value.len()).saturating_add(blank)..width {
        put!(to, " ");
    }
    put!(to, " ", help, "\n");
}

/// The three lines of `--version`, in runc's form.
pub struct Version;

impl Put for Version {
    fn put(&self, to: &mut dyn Sink) {
        put!(
            to,
            "hull version ",
            env!("CARGO_PKG_VERSION"),
            "\ncommit: ",
            env!("HULL_COMMIT"),
            "\nspec: ",
            crate::names::SPEC_VERSION,
            "\n"
        );
    }
}
