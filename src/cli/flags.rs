//! The one flag table: names, values and help of every flag, read by the parser and by `--help`.

use crate::base::text::Template;
use crate::base::words;
use crate::{text, texts};

/// Makes a table's columns: the words are one string, the help texts another.
macro_rules! flags {
    (
        verbs { $( $(#[$about:meta])* $verb:ident $name:literal $arguments:literal $verb_help:literal; )+ }
        flags { $( $flag:ident $letter:literal $long:literal $value:literal [$($of:ident)+] $help:literal; )+ }
    ) => {
        crate::words! {
            /// The verbs that hull has.
            Verb { $( $(#[$about])* $verb = $name, )+ }
        }

        impl Verb {
            const ARGUMENTS: &'static str = concat!($($arguments, " "),+);

            /// One line of help.
            pub fn help(self) -> Template {
                texts![$($verb_help),+].nth(self as usize).unwrap_or(text!(""))
            }
        }

        crate::words! {
            /// A flag by its meaning; its word is the long name, without dashes.
            Flag { $( #[doc = $help] $flag = $long, )+ }
        }

        impl Flag {
            const VALUES: &'static str = concat!($($value, " "),+);
            const LETTERS: &'static [u8] = &[$($letter),+];
            const TAKERS: &'static [u8] = &[$($($of)|+),+];

            /// One line of help.
            pub fn help(self) -> Template {
                texts![$($help),+].nth(self as usize).unwrap_or(text!(""))
            }
        }
    };
}

const GLOBAL: u8 = 1;
const RUN: u8 = taker(Some(Verb::Run));
const SPEC: u8 = taker(Some(Verb::Spec));
const PLAN: u8 = taker(Some(Verb::Plan));

/// Who takes flags, as a bit: a verb, or hull before its verb.
const fn taker(verb: Option<Verb>) -> u8 {
    match verb {
        None => GLOBAL,
        Some(verb) => 2 << verb as u8,
    }
}

// Name, arguments and help of each verb; then of each flag the letter (0 for none), the long name, what its value stands
// for (`-` for a flag without one), who takes it, and the help.
flags! {
verbs {
    /// Create and start a container, and wait for it.
    Run "run" "CONTAINER-ID" "create a container from a bundle, start it, wait for its end";
    /// Write a config.json.
    Spec "spec" "-" "write a config.json that runs a shell";
    /// Print what a bundle comes to.
    Plan "plan" "[CONTAINER-ID]" "print the operations that a bundle comes to, without doing them";
}
flags {
    Root 0 "root" "DIR" [GLOBAL] "directory for the state of containers (/run/hull, or $XDG_RUNTIME_DIR/hull)";
    Log 0 "log" "FILE" [GLOBAL] "append messages to this file too";
    LogFormat 0 "log-format" "FORMAT" [GLOBAL] "text (as it is) or json, for the log file";
    Debug 0 "debug" "-" [GLOBAL] "log every operation of the plan before it is carried out";
    Help b'h' "help" "-" [GLOBAL RUN SPEC PLAN] "show help";
    Version b'v' "version" "-" [GLOBAL] "print the version";
    Bundle b'b' "bundle" "DIR" [RUN SPEC PLAN] "the bundle, a directory with config.json (the working directory)";
    PidFile 0 "pid-file" "FILE" [RUN] "write the process's pid to this file";
    NoPivot 0 "no-pivot" "-" [RUN PLAN] "enter the root by MS_MOVE and chroot instead of pivot_root";
    NoNewKeyring 0 "no-new-keyring" "-" [RUN PLAN] "keep the session keyring of the caller";
    PreserveFds 0 "preserve-fds" "N" [RUN] "pass N descriptors from 3 on to the container (0)";
    Keep 0 "keep" "-" [RUN] "leave state and cgroup behind when the container ends";
    Rootless 0 "rootless" "-" [SPEC] "for an ordinary user: a user namespace, and no network namespace";
}
}

impl Verb {
    /// The verb called `name`.
    pub fn named(name: &[u8]) -> Option<Verb> {
        Self::ALL.get(words::position(Self::WORDS, name)?).copied()
    }

    /// What stands behind the flags; empty for nothing.
    pub fn arguments(self) -> &'static str {
        or_empty(words::nth(Self::ARGUMENTS, self as usize))
    }
}

impl Flag {
    /// The flag with this long name or letter that `verb` takes, or that hull takes before its verb.
    pub fn named(name: &[u8], verb: Option<Verb>) -> Option<Flag> {
        let place = match name {
            [letter] => Self::LETTERS.iter().position(|known| known == letter),
            long => words::position(Self::WORDS, long),
        };
        Self::ALL.get(place?).copied().filter(|flag| flag.is_of(verb))
    }

    /// Whether `verb` takes it; without a verb, whether hull does.
    pub fn is_of(self, verb: Option<Verb>) -> bool {
        Self::TAKERS.get(self as usize).is_some_and(|takers| takers & taker(verb) != 0)
    }

    /// The one-letter name.
    pub fn letter(self) -> Option<u8> {
        Self::LETTERS.get(self as usize).copied().filter(|letter| *letter != 0)
    }

    /// What its value stands for; empty for a flag without one.
    pub fn value(self) -> &'static str {
        or_empty(words::nth(Self::VALUES, self as usize))
    }
}

fn or_empty(word: &'static str) -> &'static str {
    if word == "-" { "" } else { word }
}
