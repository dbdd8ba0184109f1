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
            const TAKERS: &'static [u16] = &[$($($of)|+),+];

            /// One line of help.
            pub fn help(self) -> Template {
                texts![$($help),+].nth(self as usize).unwrap_or(text!(""))
            }
        }
    };
}

const GLOBAL: u16 = 1;
const RUN: u16 = taker(Some(Verb::Run));
const MAKE: u16 = taker(Some(Verb::Create)) | RUN;
const SPEC: u16 = taker(Some(Verb::Spec));
const PLAN: u16 = taker(Some(Verb::Plan));
const KILL: u16 = taker(Some(Verb::Kill));
const LOGS: u16 = taker(Some(Verb::Logs));
const DELETE: u16 = taker(Some(Verb::Delete));
const LIST: u16 = taker(Some(Verb::List));
const EVERY: u16 = u16::MAX;

/// Who takes flags, as a bit: a verb, or hull before its verb.
const fn taker(verb: Option<Verb>) -> u16 {
    match verb {
        None => GLOBAL,
        Some(verb) => 2 << verb as u16,
    }
}

// Name, arguments and help of each verb; then of each flag the letter (0 for none), the long name, what its value stands
// for (`-` for a flag without one), who takes it, and the help.
flags! {
verbs {
    /// Make a container and leave its process waiting.
    Create "create" "CONTAINER-ID" "create a container from a bundle; its process waits for start";
    /// Create and start a container.
    Run "run" "CONTAINER-ID" "create a container from a bundle, start it, wait for its end";
    /// Let a created container's program run.
    Start "start" "CONTAINER-ID" "run the program of a created container";
    /// Print a container's state.
    State "state" "CONTAINER-ID" "print a container's state as JSON";
    /// Send a signal.
    Kill "kill" "CONTAINER-ID,SIGNAL" "send a signal (TERM) to a container's first process";
    /// Wait for a container's end.
    Wait "wait" "CONTAINER-ID" "wait for a container's end; print its exit code and return it (253: unknown)";
    /// Print what a monitor kept.
    Logs "logs" "CONTAINER-ID" "print the output that a container's monitor kept";
    /// Remove what a container left.
    Delete "delete" "CONTAINER-ID..." "remove what containers that have stopped left behind";
    /// Print all containers.
    List "list" "-" "print all containers";
    /// Write a config.json.
    Spec "spec" "-" "write a config.json that runs a shell";
    /// Print what hull can do.
    Features "features" "-" "print what hull can do, as JSON";
    /// Print what a bundle comes to.
    Plan "plan" "[CONTAINER-ID]" "print the operations that a bundle comes to, without doing them";
}
flags {
    Root 0 "root" "DIR" [GLOBAL] "directory for the state of containers (/run/hull, or $XDG_RUNTIME_DIR/hull)";
    Log 0 "log" "FILE" [GLOBAL] "append messages to this file too";
    LogFormat 0 "log-format" "FORMAT" [GLOBAL] "text (as it is) or json, for the log file";
    Debug 0 "debug" "-" [GLOBAL] "log every operation of the plan before it is carried out";
    Help b'h' "help" "-" [EVERY] "show help";
    Version b'v' "version" "-" [GLOBAL] "print the version";
    Bundle b'b' "bundle" "DIR" [MAKE SPEC PLAN] "the bundle, a directory with config.json (the working directory)";
    ConsoleSocket 0 "console-socket" "SOCKET" [MAKE] "send the master of the container's terminal to this unix socket";
    PidfdSocket 0 "pidfd-socket" "SOCKET" [MAKE] "send a pidfd of the container's process to this unix socket";
    PidFile 0 "pid-file" "FILE" [MAKE] "write the process's pid to this file";
    NoPivot 0 "no-pivot" "-" [MAKE PLAN] "enter the root by MS_MOVE and chroot instead of pivot_root";
    NoNewKeyring 0 "no-new-keyring" "-" [MAKE PLAN] "keep the session keyring of the caller";
    PreserveFds 0 "preserve-fds" "N" [MAKE] "pass N descriptors from 3 on to the container (0)";
    Detach b'd' "detach" "-" [RUN] "do not wait for the container's end";
    Monitor 0 "monitor" "-" [RUN] "leave a process that keeps output and exit code of a detached container";
    Output 0 "log" "FILE" [RUN] "where the monitor keeps output (a file in the state directory)";
    LogSize 0 "log-size" "BYTES" [RUN] "size at which the monitor renames the file to FILE.1 (65536)";
    NoSubreaper 0 "no-subreaper" "-" [RUN] "leave orphans of the container to the caller's reaper";
    Keep 0 "keep" "-" [RUN] "leave state and cgroup behind when the container ends";
    All b'a' "all" "-" [KILL] "send the signal to every process of the container";
    Force b'f' "force" "-" [DELETE] "kill a container that still runs; none is no error";
    Follow b'f' "follow" "-" [LOGS] "print what comes, too, until the container ends";
    Format b'f' "format" "FORMAT" [LIST] "table (as it is) or json";
    Quiet b'q' "quiet" "-" [LIST] "print ids alone";
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
        // a name may mean one thing before the verb and another behind it
        let named = |flag: &Flag| match name {
            [letter] => flag.letter() == Some(*letter),
            _ => flag.word().as_bytes() == name,
        };
        Self::ALL.iter().copied().find(|flag| named(flag) && flag.is_of(verb))
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
