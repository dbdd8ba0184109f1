//! The one flag table: names, values and help of every flag and verb, read by the parser and by `--help`.
//!
//! Texts of a row stand in one string with bars between them, verbs in one number: a row takes 24 bytes beside its text.

/// The verbs that hull has, in the order of [`VERBS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Make a container and leave its process waiting.
    Create,
    /// Create and start a container.
    Run,
    /// Let a created container's program run.
    Start,
    /// Print a container's state.
    State,
    /// Send a signal.
    Kill,
    /// Remove what a container left.
    Delete,
    /// Print all containers.
    List,
    /// Write a config.json.
    Spec,
    /// Print what a bundle comes to.
    Plan,
}

/// Every verb: name, arguments, help.
const VERBS: [(Verb, &str); 9] = [
    (Verb::Create, "create|CONTAINER-ID|create a container from a bundle; its process waits for start"),
    (Verb::Run, "run|CONTAINER-ID|create a container from a bundle, start it, wait for its end"),
    (Verb::Start, "start|CONTAINER-ID|run the program of a created container"),
    (Verb::State, "state|CONTAINER-ID|print a container's state as JSON"),
    (Verb::Kill, "kill|CONTAINER-ID [SIGNAL]|send a signal (TERM) to a container's first process"),
    (Verb::Delete, "delete|CONTAINER-ID...|remove what containers that have stopped left behind"),
    (Verb::List, "list||print all containers"),
    (Verb::Spec, "spec||write a config.json that runs a shell"),
    (Verb::Plan, "plan|[CONTAINER-ID]|print the operations that a bundle comes to, without doing them"),
];

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
    ConsoleSocket,
    PidfdSocket,
    PidFile,
    NoPivot,
    NoNewKeyring,
    PreserveFds,
    Detach,
    NoSubreaper,
    Keep,
    All,
    Force,
    Format,
    Quiet,
    Rootless,
}

/// How a flag is spelled and explained.
pub struct Spelling {
    /// Its meaning.
    pub flag: Flag,
    /// The one-letter name; 0 for none.
    pub short: u8,
    /// The verbs that take it, bit by place; none for a global flag.
    verbs: u16,
    text: &'static str,
}

const GLOBAL: u16 = 0;
const MAKE: u16 = bit(Verb::Create) | bit(Verb::Run);
const PLANNED: u16 = MAKE | bit(Verb::Plan);

const fn bit(verb: Verb) -> u16 {
    1 << verb as u16
}

const fn row(flag: Flag, short: u8, verbs: u16, text: &'static str) -> Spelling {
    Spelling { flag, short, verbs, text }
}

/// Every flag: long name, what its value stands for (empty for a flag without one), one line of help.
pub static FLAGS: [Spelling; 21] = [
    row(Flag::Root, 0, GLOBAL, "root|DIR|directory for the state of containers (/run/hull, or $XDG_RUNTIME_DIR/hull)"),
    row(Flag::Log, 0, GLOBAL, "log|FILE|append messages to this file too"),
    row(Flag::LogFormat, 0, GLOBAL, "log-format|FORMAT|text (as it is) or json, for the log file"),
    row(Flag::Debug, 0, GLOBAL, "debug||log every operation of the plan before it is carried out"),
    row(Flag::Help, b'h', GLOBAL, "help||show help"),
    row(Flag::Version, b'v', GLOBAL, "version||print the version"),
    row(
        Flag::Bundle,
        b'b',
        PLANNED | bit(Verb::Spec),
        "bundle|DIR|the bundle, a directory with config.json (the working directory)",
    ),
    row(Flag::ConsoleSocket, 0, MAKE, "console-socket|SOCKET|send the master of the container's terminal to this unix socket"),
    row(Flag::PidfdSocket, 0, MAKE, "pidfd-socket|SOCKET|send a pidfd of the container's process to this unix socket"),
    row(Flag::PidFile, 0, MAKE, "pid-file|FILE|write the process's pid to this file"),
    row(Flag::NoPivot, 0, PLANNED, "no-pivot||enter the root by MS_MOVE and chroot instead of pivot_root"),
    row(Flag::NoNewKeyring, 0, PLANNED, "no-new-keyring||keep the session keyring of the caller"),
    row(Flag::PreserveFds, 0, MAKE, "preserve-fds|N|pass N descriptors from 3 on to the container (0)"),
    row(Flag::Detach, b'd', bit(Verb::Run), "detach||do not wait for the container's end"),
    row(Flag::NoSubreaper, 0, bit(Verb::Run), "no-subreaper||leave orphans of the container to the caller's reaper"),
    row(Flag::Keep, 0, bit(Verb::Run), "keep||leave state and cgroup behind when the container ends"),
    row(Flag::All, b'a', bit(Verb::Kill), "all||send the signal to every process of the container"),
    row(Flag::Force, b'f', bit(Verb::Delete), "force||kill a container that still runs; none is no error"),
    row(Flag::Format, b'f', bit(Verb::List), "format|FORMAT|table (as it is) or json"),
    row(Flag::Quiet, b'q', bit(Verb::List), "quiet||print ids alone"),
    row(Flag::Rootless, 0, bit(Verb::Spec), "rootless||for an ordinary user: a user namespace, and no network namespace"),
];

/// Part `n` of a row's text.
fn part(text: &'static str, n: usize) -> &'static str {
    let mut rest = text;
    for _ in 0..n {
        rest = rest.split_once('|').map_or("", |(_, behind)| behind);
    }
    rest.split_once('|').map_or(rest, |(before, _)| before)
}

impl Spelling {
    /// The long name, without dashes.
    pub fn long(&self) -> &'static str {
        part(self.text, 0)
    }

    /// What its value stands for; empty for a flag without one.
    pub fn value(&self) -> &'static str {
        part(self.text, 1)
    }

    /// One line of help.
    pub fn help(&self) -> &'static str {
        part(self.text, 2)
    }

    /// Whether `verb` takes it; without a verb, whether it is a global flag. Help is taken everywhere.
    pub fn is_of(&self, verb: Option<Verb>) -> bool {
        match verb {
            None => self.verbs == GLOBAL,
            Some(verb) => self.verbs & bit(verb) != 0 || self.flag == Flag::Help,
        }
    }
}

impl Verb {
    /// Every verb in order.
    pub fn all() -> impl Iterator<Item = Verb> {
        VERBS.iter().map(|(verb, _)| *verb)
    }

    /// The verb called `name`.
    pub fn named(name: &[u8]) -> Option<Verb> {
        Verb::all().find(|verb| verb.name().as_bytes() == name)
    }

    fn text(self) -> &'static str {
        VERBS.get(self as usize).map_or("", |(_, text)| *text)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        part(self.text(), 0)
    }

    /// Its arguments.
    pub fn arguments(self) -> &'static str {
        part(self.text(), 1)
    }

    /// One line of help.
    pub fn help(self) -> &'static str {
        part(self.text(), 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_stand_at_their_place_and_rows_have_three_parts() {
        for (n, (verb, text)) in VERBS.iter().enumerate() {
            assert_eq!(*verb as usize, n);
            assert_eq!(text.matches('|').count(), 2);
        }
        assert!(FLAGS.iter().all(|flag| flag.text.matches('|').count() == 2));
    }
}
