//! argv to options: pure, driven by one flag table.
//!
//! As runc takes them: global flags before the command, the command's flags before or after the id, `--flag value` or
//! `--flag=value`, one dash as good as two, `--` ends the flags.

pub mod flags;
pub mod help;

use crate::base::number;
use crate::base::text::quoted;
use crate::error::Result;
use crate::fail;
use crate::rt::arena::{Arena, List};
use crate::rt::c_string;
use core::ffi::CStr;
use flags::{Flag, Verb};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `time="..." level=error msg="..."`
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What the command line says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    pub verb: Option<Verb>,
    pub id: Option<&'a CStr>,
    pub help: bool,
    pub version: bool,
    pub root: Option<&'a CStr>,
    pub log: Option<&'a CStr>,
    pub log_format: LogFormat,
    pub debug: bool,
    pub bundle: Option<&'a CStr>,
    pub pid_file: Option<&'a CStr>,
    pub no_pivot: bool,
    pub no_new_keyring: bool,
    pub preserve_fds: u32,
    pub keep: bool,
    pub rootless: bool,
    pub console_socket: Option<&'a CStr>,
    pub pidfd_socket: Option<&'a CStr>,
    pub detach: bool,
    pub monitor: bool,
    /// The monitor's log file.
    pub output: Option<&'a CStr>,
    /// Bytes at which it is renamed; 0 where the command line does not say.
    pub log_size: u32,
    pub follow: bool,
    pub no_subreaper: bool,
    pub signal: Option<&'a CStr>,
    pub all: bool,
    pub force: bool,
    pub format: ListFormat,
    pub quiet: bool,
    /// All ids, for `delete`, which takes several.
    pub ids: &'a [&'a CStr],
}

/// How `list` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListFormat {
    /// A line each, in columns.
    #[default]
    Table,
    /// One JSON list.
    Json,
}

/// Descriptors that `--preserve-fds` may name: beyond that it is a slip.
const MOST_FDS: u64 = 65536;

/// Bytes that `--log-size` may say: from one buffer of the monitor to what still is no slip.
const LEAST_LOG: u64 = 4096;
const MOST_LOG: u64 = 1 << 30;

/// Reads the arguments behind the program's name. What was read before a mistake is in `options` already, so that the
/// mistake can be logged where `--log` says.
///
/// # Errors
/// An unknown flag or command, a missing or surplus argument, a value that is none; each names the word.
pub fn parse<'a>(
    arena: &Arena<'a>,
    mut args: impl Iterator<Item = &'a CStr> + Clone,
    options: &mut Options<'a>,
) -> Result<'a, ()> {
    let mut flags_end = false;
    let mut ids = arena.list(args.clone().count())?;
    while let Some(word) = args.next() {
        let bytes = word.to_bytes();
        if !flags_end && bytes == b"--" {
            flags_end = true;
        } else if !flags_end && bytes.len() > 1 && bytes.first() == Some(&b'-') {
            flag(arena, word, &mut args, options)?;
        } else {
            positional(arena, word, options, &mut ids)?;
            // as in runc, so that a signal may begin with a hyphen
            flags_end |= options.verb == Some(Verb::Kill) && options.id.is_some();
        }
    }
    options.ids = ids.done();
    if options.help || options.version {
        return Ok(());
    }
    match (options.verb, options.id) {
        (None, _) => {
            options.help = true;
            Ok(())
        }
        (Some(Verb::List | Verb::Spec | Verb::Plan | Verb::Features), _) | (_, Some(_)) => Ok(()),
        (Some(verb), None) => {
            let name = verb.word();
            Err(fail!(
                arena,
                "the container's id is missing (hull ",
                name,
                " [flags] ",
                verb.arguments(),
                ")"
            ))
        }
    }
}

fn positional<'a>(
    arena: &Arena<'a>,
    word: &'a CStr,
    options: &mut Options<'a>,
    ids: &mut List<'a, &'a CStr>,
) -> Result<'a, ()> {
    let Some(verb) = options.verb else {
        if word.to_bytes() == b"help" {
            options.help = true;
            return Ok(());
        }
        options.verb = Verb::named(word.to_bytes());
        return match options.verb {
            Some(_) => Ok(()),
            None if options.help => Ok(()),
            None => Err(fail!(arena, "unknown command ", quoted(word), " (hull --help lists them)")),
        };
    };
    if verb == Verb::Kill && options.id.is_some() && options.signal.is_none() {
        options.signal = Some(word);
        return Ok(());
    }
    let several = verb == Verb::Delete;
    if matches!(verb, Verb::Spec | Verb::List | Verb::Features) || (options.id.is_some() && !several) {
        return Err(fail!(arena, verb.word(), ": one argument too many: ", quoted(word)));
    }
    check_id(arena, word)?;
    options.id = Some(word);
    ids.push(word)?;
    Ok(())
}

/// runc's rule: letters, digits, `_`, `+`, `-`, `.`, and not `.` or `..`; at most 255 bytes, a file name's length.
pub fn is_id(id: &[u8]) -> bool {
    let good = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-' | b'.');
    !id.is_empty() && id.len() <= 255 && id.iter().all(good) && id != b"." && id != b".."
}

fn check_id<'a>(arena: &Arena<'a>, id: &'a CStr) -> Result<'a, ()> {
    if is_id(id.to_bytes()) {
        return Ok(());
    }
    Err(fail!(
        arena,
        "invalid container ID format: ",
        quoted(id),
        " (1 to 255 letters, digits and \"_+-.\", other than \".\" and \"..\")"
    ))
}

fn flag<'a>(
    arena: &Arena<'a>,
    word: &'a CStr,
    rest: &mut impl Iterator<Item = &'a CStr>,
    options: &mut Options<'a>,
) -> Result<'a, ()> {
    let whole = word.to_bytes_with_nul();
    let dashes = if whole.get(1) == Some(&b'-') { 2 } else { 1 };
    let name = whole.get(dashes..).unwrap_or(whole);
    // at the end of the name stands `=` or the NUL, which has nothing behind it
    let end = name.iter().position(|b| matches!(b, b'=' | 0)).unwrap_or(0);
    let (name, inline) = name.split_at_checked(end).unwrap_or((name, &[]));
    let inline = inline.get(1..).and_then(c_string::whole);
    let Some(flag) = Flag::named(name, options.verb) else {
        let place = options.verb.map_or("", Verb::word);
        return Err(fail!(
            arena,
            place,
            if place.is_empty() { "" } else { ": " },
            "unknown flag ",
            quoted(word),
            " (--help lists them)"
        ));
    };
    if flag.value().is_empty() {
        return set(arena, flag, true_or_false(arena, flag, inline)?, c"", options);
    }
    let Some(value) = inline.or_else(|| rest.next()) else {
        return Err(fail!(arena, "flag --", flag.word(), " needs a value: ", flag.value()));
    };
    set(arena, flag, true, value, options)
}

/// A flag without a value may still be given one: `--keep=false`.
fn true_or_false<'a>(arena: &Arena<'a>, flag: Flag, value: Option<&CStr>) -> Result<'a, bool> {
    match value.map(CStr::to_bytes) {
        None | Some(b"true" | b"1") => Ok(true),
        Some(b"false" | b"0") => Ok(false),
        Some(other) => Err(fail!(
            arena,
            "flag --",
            flag.word(),
            " is true or false, not ",
            crate::base::text::Quoted(other)
        )),
    }
}

fn set<'a>(
    arena: &Arena<'a>,
    flag: Flag,
    on: bool,
    value: &'a CStr,
    options: &mut Options<'a>,
) -> Result<'a, ()> {
    match flag {
        Flag::Root => options.root = Some(value),
        Flag::Log => options.log = Some(value),
        Flag::LogFormat => {
            options.log_format = match value.to_bytes() {
                b"text" => LogFormat::Text,
                b"json" => LogFormat::Json,
                _ => return Err(fail!(arena, "flag --log-format is text or json, not ", quoted(value))),
            };
        }
        Flag::Debug => options.debug = on,
        Flag::Help => options.help = on,
        Flag::Version => options.version = on,
        Flag::Bundle => options.bundle = Some(value),
        Flag::PidFile => options.pid_file = Some(value),
        Flag::NoPivot => options.no_pivot = on,
        Flag::NoNewKeyring => options.no_new_keyring = on,
        Flag::PreserveFds => options.preserve_fds = within(arena, flag, value, 0, MOST_FDS)?,
        Flag::Keep => options.keep = on,
        Flag::Rootless => options.rootless = on,
        Flag::ConsoleSocket => options.console_socket = Some(value),
        Flag::PidfdSocket => options.pidfd_socket = Some(value),
        Flag::Detach => options.detach = on,
        Flag::Monitor => options.monitor = on,
        Flag::Output => options.output = Some(value),
        Flag::LogSize => options.log_size = within(arena, flag, value, LEAST_LOG, MOST_LOG)?,
        Flag::Follow => options.follow = on,
        Flag::NoSubreaper => options.no_subreaper = on,
        Flag::All => options.all = on,
        Flag::Force => options.force = on,
        Flag::Quiet => options.quiet = on,
        Flag::Format => {
            options.format = match value.to_bytes() {
                b"table" => ListFormat::Table,
                b"json" => ListFormat::Json,
                _ => return Err(fail!(arena, "flag --format is table or json, not ", quoted(value))),
            };
        }
    }
    Ok(())
}

/// The value of a flag that takes a number.
fn within<'a>(arena: &Arena<'a>, flag: Flag, value: &'a CStr, low: u64, high: u64) -> Result<'a, u32> {
    match number::decimal(value.to_bytes(), high) {
        Some(n) if n >= low => Ok(n as u32),
        _ => Err(fail!(
            arena,
            "flag --",
            flag.word(),
            " is a number from ",
            low,
            " to ",
            high,
            ", not ",
            quoted(value)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::test_arena;

    fn read(words: &[&'static CStr]) -> std::result::Result<Options<'static>, String> {
        let arena = test_arena(1 << 16);
        let mut options = Options::default();
        match parse(&arena, words.iter().copied(), &mut options) {
            Ok(()) => Ok(options),
            Err(error) => Err(String::from_utf8_lossy(error.text()).into_owned()),
        }
    }

    #[test]
    fn flags_stand_before_or_after_the_id_in_every_form() {
        for words in [
            &[c"--root", c"/r", c"run", c"-b", c"/b", c"--keep", c"web"][..],
            &[c"-root=/r", c"run", c"web", c"--bundle=/b", c"-keep"],
            &[c"--root=/r", c"run", c"--keep=true", c"-b=/b", c"--", c"web"],
        ] {
            let o = read(words).unwrap();
            assert_eq!(
                (o.verb, o.id, o.root, o.bundle, o.keep),
                (Some(Verb::Run), Some(c"web"), Some(c"/r"), Some(c"/b"), true)
            );
        }
        assert!(!read(&[c"run", c"--keep=false", c"a"]).unwrap().keep);
    }

    #[test]
    fn a_name_may_mean_another_thing_behind_the_verb() {
        let o = read(&[c"--log", c"/messages", c"run", c"--log", c"/output", c"a"]).unwrap();
        assert_eq!((o.log, o.output), (Some(c"/messages"), Some(c"/output")));
    }

    #[test]
    fn mistakes_name_the_word() {
        for (words, part) in [
            (&[c"fly"][..], "unknown command \"fly\""),
            (&[c"run"], "the container's id is missing (hull run [flags] CONTAINER-ID)"),
            (&[c"run", c"a", c"b"], "too many: \"b\""),
            (&[c"run", c"--fast", c"a"], "run: unknown flag \"--fast\""),
            (&[c"--keep", c"run", c"a"], "unknown flag \"--keep\""),
            (&[c"run", c"-b"], "--bundle needs a value"),
            (&[c"run", c"a/b"], "invalid container ID format"),
            (&[c"run", c".."], "invalid container ID format"),
            (&[c"run", c""], "invalid container ID format"),
            (&[c"run", c"--preserve-fds", c"-1", c"a"], "not \"-1\""),
            (&[c"run", c"--log-size", c"4095", c"a"], "--log-size is a number from 4096 to 1073741824"),
            (&[c"--log-format", c"xml", c"run", c"a"], "text or json"),
            (&[c"run", c"--keep=maybe", c"a"], "true or false"),
            (&[c"spec", c"x"], "too many"),
        ] {
            let text = read(words).expect_err("a mistake");
            assert!(text.contains(part), "{words:?}: {text}");
        }
    }

    #[test]
    fn no_command_is_a_call_for_help() {
        assert!(read(&[]).unwrap().help);
        assert!(read(&[c"help"]).unwrap().help);
        assert!(read(&[c"run", c"--help"]).unwrap().help);
    }
}
