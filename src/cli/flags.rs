//! The one flag table: names, values and help of every flag, read by the parser and by `--help`.

/// The verbs that hull has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Create and start a container, and wait for it.
    Run,
    /// Write a config.json.
    Spec,
    /// Print what a bundle comes to.
    Plan,
}

/// A flag by its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    Root,
    Log,
    LogFormat,
    Debug,
    Help,
    Version,
    Bundle,
    PidFile,
    NoPivot,
    NoNewKeyring,
    PreserveFds,
    Keep,
    Rootless,
}

/// How a flag is spelled and explained.
pub struct Spelling {
    /// Its meaning.
    pub flag: Flag,
    /// The long name, without dashes.
    pub long: &'static str,
    /// The one-letter name.
    pub short: Option<u8>,
    /// What its value stands for; empty for a flag without one.
    pub value: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// The verbs that take it; empty for a global flag.
    pub verbs: &'static [Verb],
}

const fn global(flag: Flag, long: &'static str, value: &'static str, help: &'static str) -> Spelling {
    Spelling { flag, long, short: None, value, help, verbs: &[] }
}

const fn of_run(flag: Flag, long: &'static str, value: &'static str, help: &'static str) -> Spelling {
    Spelling { flag, long, short: None, value, help, verbs: &[Verb::Run] }
}

/// Every flag.
pub const FLAGS: [Spelling; 13] = [
    global(
        Flag::Root,
        "root",
        "DIR",
        "directory for the state of containers (/run/hull, or $XDG_RUNTIME_DIR/hull)",
    ),
    global(Flag::Log, "log", "FILE", "append messages to this file too"),
    global(Flag::LogFormat, "log-format", "FORMAT", "text (as it is) or json, for the log file"),
    global(Flag::Debug, "debug", "", "log every operation of the plan before it is carried out"),
    Spelling { short: Some(b'h'), ..global(Flag::Help, "help", "", "show help") },
    Spelling { short: Some(b'v'), ..global(Flag::Version, "version", "", "print the version") },
    Spelling {
        flag: Flag::Bundle,
        long: "bundle",
        short: Some(b'b'),
        value: "DIR",
        help: "the bundle, a directory with config.json (the working directory)",
        verbs: &[Verb::Run, Verb::Spec, Verb::Plan],
    },
    of_run(Flag::PidFile, "pid-file", "FILE", "write the process's pid to this file"),
    Spelling {
        verbs: &[Verb::Run, Verb::Plan],
        ..of_run(Flag::NoPivot, "no-pivot", "", "enter the root by MS_MOVE and chroot instead of pivot_root")
    },
    Spelling {
        verbs: &[Verb::Run, Verb::Plan],
        ..of_run(Flag::NoNewKeyring, "no-new-keyring", "", "keep the session keyring of the caller")
    },
    of_run(Flag::PreserveFds, "preserve-fds", "N", "pass N descriptors from 3 on to the container (0)"),
    of_run(Flag::Keep, "keep", "", "leave state and cgroup behind when the container ends"),
    Spelling {
        flag: Flag::Rootless,
        long: "rootless",
        short: None,
        value: "",
        help: "for an ordinary user: a user namespace, and no network namespace",
        verbs: &[Verb::Spec],
    },
];

impl Verb {
    /// Every verb with its name, its arguments and one line of help.
    pub const ALL: [(Verb, &'static str, &'static str, &'static str); 3] = [
        (Verb::Run, "run", "CONTAINER-ID", "create a container from a bundle, start it, wait for its end"),
        (Verb::Spec, "spec", "", "write a config.json that runs a shell"),
        (
            Verb::Plan,
            "plan",
            "[CONTAINER-ID]",
            "print the operations that a bundle comes to, without doing them",
        ),
    ];

    /// The verb called `name`.
    pub fn named(name: &[u8]) -> Option<Verb> {
        Self::ALL.iter().find(|(_, known, ..)| known.as_bytes() == name).map(|(verb, ..)| *verb)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(verb, ..)| *verb == self).map_or("", |(_, name, ..)| *name)
    }
}
