//! `--help` and `--version`, out of the flag table.

use super::flags::{FLAGS, Spelling, Verb};
use crate::base::text::{Byte, Put, Sink};
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
                for verb in Verb::all() {
                    row(to, "  ", verb.name(), verb.help());
                }
                put!(to, "\nGlobal flags:\n");
            }
            Some(verb) => {
                let (name, help, arguments) = (verb.name(), verb.help(), verb.arguments());
                put!(
                    to,
                    "hull ",
                    name,
                    ": ",
                    help,
                    "\n\nUsage:\n  hull [global flags] ",
                    name,
                    " [flags] ",
                    arguments,
                    "\n\nFlags:\n"
                );
            }
        }
        for spelling in FLAGS.iter().filter(|spelling| spelling.is_of(self.0)) {
            spelled(to, spelling);
        }
        if self.0.is_none() {
            put!(to, "\nhull COMMAND --help shows a command's own flags.\n");
        }
    }
}

fn spelled(to: &mut dyn Sink, spelling: &Spelling) {
    let mut name = Name(heapless::Vec::new());
    put!(&mut name, "--", spelling.long());
    if !spelling.value().is_empty() {
        put!(&mut name, " ", spelling.value());
    }
    match spelling.short {
        0 => put!(to, "      "),
        letter => put!(to, "  -", Byte(letter), ", "),
    }
    row(to, "", &name.0[..], spelling.help());
}

fn row(to: &mut dyn Sink, indent: &str, name: impl AsRef<[u8]>, help: &str) {
    let name = name.as_ref();
    put!(to, indent, name);
    for _ in name.len()..22 {
        put!(to, " ");
    }
    put!(to, " ", help, "\n");
}

struct Name(heapless::Vec<u8, 48>);
impl Sink for Name {
    fn push(&mut self, bytes: &[u8]) {
        // names are constants of the flag table, all shorter than that
        if self.0.extend_from_slice(bytes).is_err() {
            self.0.clear();
        }
    }
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
