//! `--help` and `--version`, out of the flag table.

use super::flags::{FLAGS, Flag, Spelling, Verb};
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
                for (_, name, _, help) in Verb::ALL {
                    row(to, "  ", name, help);
                }
                put!(to, "\nGlobal flags:\n");
                rows(to, |s| s.verbs.is_empty());
                put!(to, "\nhull COMMAND --help shows a command's own flags.\n");
            }
            Some(verb) => {
                let (_, name, arguments, help) =
                    Verb::ALL.into_iter().find(|(v, ..)| *v == verb).unwrap_or((verb, "", "", ""));
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
                rows(to, |s| s.verbs.contains(&verb) || s.flag == Flag::Help);
            }
        }
    }
}

fn rows(to: &mut dyn Sink, wanted: impl Fn(&Spelling) -> bool) {
    for spelling in FLAGS.iter().filter(|s| wanted(s)) {
        let mut name = Name(heapless::Vec::new());
        put!(&mut name, "--", spelling.long);
        if !spelling.value.is_empty() {
            put!(&mut name, " ", spelling.value);
        }
        match spelling.short {
            Some(letter) => put!(to, "  -", Byte(letter), ", "),
            None => put!(to, "      "),
        }
        row(to, "", core::str::from_utf8(&name.0).unwrap_or(""), spelling.help);
    }
}

fn row(to: &mut dyn Sink, indent: &str, name: &str, help: &str) {
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
