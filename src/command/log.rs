//! Where messages go: standard error, and the `--log` file in runc's text or JSON form.
//!
//! The log file is opened for each message: hull writes a handful at most, and none in the usual case.

use crate::base::date::Date;
use crate::base::text::{Put, Quoted, Sink};
use crate::cli::{LogFormat, Options};
use crate::compose;
use crate::error::{Error, Result};
use crate::fail;
use crate::json::write::Writer;
use crate::plan::op::Plan;
use crate::put;
use crate::rt::arena::Arena;
use crate::sys::descriptor::OwnedFd;
use crate::sys::open;
use crate::sys::stdio::{self, write_error};
use crate::sys::time;
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

/// Where to log, and how.
pub struct Log<'a> {
    file: Option<&'a CStr>,
    format: LogFormat,
    debug: bool,
    id: Option<&'a CStr>,
    verb: &'static str,
}

impl<'a> Log<'a> {
    /// As the command line says.
    pub fn new(options: &Options<'a>) -> Log<'a> {
        Log {
            file: options.log,
            format: options.log_format,
            debug: options.debug,
            id: options.id,
            verb: options.verb.map_or("", |verb| verb.word()),
        }
    }

    /// Opens the log file for the first time, so that it is there and one that can't be written is known at once.
    ///
    /// # Errors
    /// As open(2).
    pub fn check(&self, arena: &Arena<'a>) -> Result<'a, ()> {
        let Some(path) = self.file else { return Ok(()) };
        open(path)
            .map(drop)
            .map_err(|errno| fail!(arena, errno => "open the log file ", Quoted(path.to_bytes())))
    }

    /// The one line of a failed command.
    pub fn error(&self, arena: &Arena<'a>, error: &Error<'a>) {
        self.tell(arena, "error", "", error);
    }

    /// One of several containers that could not be dealt with; the others still are.
    pub fn failure(&self, arena: &Arena<'a>, id: &'a CStr, error: &Error<'a>) {
        Log { id: Some(id), ..*self }.tell(arena, "error", "", error);
    }

    /// As text for a person; as JSON where that was asked for and no file takes it (engines read standard error then).
    fn tell(&self, arena: &Arena<'a>, level: &'static str, mark: &'static str, error: &Error<'a>) {
        let message = compose!(arena, *error);
        if self.file.is_none() && self.format == LogFormat::Json {
            write_error(compose!(arena, Entry { format: self.format, level, message }));
            return;
        }
        write_error(compose!(arena, "hull: ", prefix(self.verb, self.id), mark, message, "\n"));
        self.append(arena, level, message);
    }

    /// Something that the user should know and that stops nothing.
    pub fn warning(&self, arena: &Arena<'a>, warning: &Error<'a>) {
        self.tell(arena, "warning", "warning: ", warning);
    }

    /// With `--debug`, every operation of the plan: to the log file, else to standard error.
    pub fn plan(&self, arena: &Arena<'a>, plan: &Plan<'a>) {
        if !self.debug {
            return;
        }
        let text = compose!(arena, *plan);
        for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            if self.file.is_some() {
                self.append(arena, "debug", line);
            } else {
                write_error(compose!(arena, "hull: debug: ", line, "\n"));
            }
        }
    }

    fn append(&self, arena: &Arena<'a>, level: &'static str, message: &[u8]) {
        let Some(path) = self.file else { return };
        let line = compose!(arena, Entry { format: self.format, level, message });
        let written = match open(path) {
            Ok(file) => stdio::write_all(file.as_fd(), line),
            Err(_) => false,
        };
        if !written {
            write_error(compose!(
                arena,
                "hull: the log file ",
                Quoted(path.to_bytes()),
                " can't be written\n"
            ));
        }
    }
}

fn open(path: &CStr) -> core::result::Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
    open::create(CWD, path, flags, 0o644)
}

/// `run web: `
fn prefix<'p>(verb: &'p str, id: Option<&'p CStr>) -> impl Put + 'p {
    struct Prefix<'p>(&'p str, Option<&'p CStr>);
    impl Put for Prefix<'_> {
        fn put(&self, to: &mut dyn Sink) {
            if !self.0.is_empty() {
                put!(to, self.0);
                if let Some(id) = self.1 {
                    put!(to, " ", id);
                }
                put!(to, ": ");
            }
        }
    }
    Prefix(verb, id)
}

struct Entry<'m> {
    format: LogFormat,
    level: &'static str,
    message: &'m [u8],
}

impl Put for Entry<'_> {
    fn put(&self, to: &mut dyn Sink) {
        match self.format {
            LogFormat::Text => {
                put!(
                    to,
                    "time=\"",
                    Date(time::now().0, None),
                    "\" level=",
                    self.level,
                    " msg=",
                    Quoted(self.message),
                    "\n"
                );
            }
            LogFormat::Json => {
                let mut stamp = Stamp(heapless::Vec::new());
                put!(&mut stamp, Date(time::now().0, None));
                let mut json = Writer::compact(to);
                json.object();
                json.key("level").string(self.level.as_bytes());
                json.key("msg").string(self.message);
                json.key("time").string(&stamp.0);
                json.end_object();
                put!(to, "\n");
            }
        }
    }
}

struct Stamp(heapless::Vec<u8, 40>);
impl Sink for Stamp {
    fn push(&mut self, bytes: &[u8]) {
        // RFC 3339 takes 20 bytes; a year beyond 9999 some more
        if self.0.extend_from_slice(bytes).is_err() {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_runcs_forms() {
        let arena = crate::error::test_arena(1 << 15);
        let json = compose!(arena, Entry { format: LogFormat::Json, level: "error", message: b"a \"b\"\n" });
        let json = String::from_utf8_lossy(json);
        assert!(
            json.starts_with(r#"{"level":"error","msg":"a \"b\"\n","time":"20"#) && json.ends_with("Z\"}\n"),
            "{json}"
        );
    }
}
