//! Where messages go: standard error, and the `--log` file in runc's text or JSON form.
//!
//! The log file is opened for each message: hull writes a handful at most, and none in the usual case.

use crate::base::date::Date;
use crate::base::text::{Quoted, quoted};
use crate::cli::flags::Verb;
use crate::cli::{LogFormat, Options};
use crate::compose;
use crate::error::{Error, Result};
use crate::fail;
use crate::json::write::Text;
use crate::plan::op::Plan;
use crate::rt::arena::Arena;
use crate::sys::descriptor::OwnedFd;
use crate::sys::open;
use crate::sys::stdio::{self, write_error};
use crate::sys::time;
use core::ffi::CStr;
use rustix::fd::AsFd;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;

/// Where to log, and how, as the command line says.
pub struct Log<'l, 'a>(pub &'l Options<'a>);

impl<'a> Log<'_, 'a> {
    /// Opens the log file for the first time, so that it is there and one that can't be written is known at once.
    ///
    /// # Errors
    /// As open(2).
    pub fn check(&self, arena: &Arena<'a>) -> Result<'a, ()> {
        let Some(path) = self.0.log else { return Ok(()) };
        open(path).map(drop).map_err(|errno| fail!(arena, errno => "open the log file ", quoted(path)))
    }

    /// The one line of a failed command.
    pub fn error(&self, arena: &Arena<'a>, error: &Error<'a>) {
        self.tell(arena, self.0.id, "error", error);
    }

    /// One of several containers that could not be dealt with; the others still are.
    pub fn failure(&self, arena: &Arena<'a>, id: &'a CStr, error: &Error<'a>) {
        self.tell(arena, Some(id), "error", error);
    }

    /// As text for a person; as JSON where that was asked for and no file takes it (engines read standard error then).
    fn tell(&self, arena: &Arena<'a>, id: Option<&'a CStr>, level: &'static str, error: &Error<'a>) {
        let message = compose!(arena, *error);
        let Options { log, log_format, verb, .. } = self.0;
        if log.is_none() && *log_format == LogFormat::Json {
            write_error(self.line(arena, level, message));
            return;
        }
        // an id has a verb before it
        let (blank, colon) = (id.map(|_| " "), verb.map(|_| ": "));
        let verb = verb.map(Verb::word);
        let mark = if level == "warning" { "warning: " } else { "" };
        write_error(compose!(arena, "hull: ", verb, blank, id, colon, mark, message, "\n"));
        self.append(arena, level, message);
    }

    /// Something that the user should know and that stops nothing. The log file takes it alone: standard error is the
    /// container's as well, where containerd would hand it on as the container's words.
    pub fn warning(&self, arena: &Arena<'a>, warning: &Error<'a>) {
        if self.0.log.is_some() {
            self.append(arena, "warning", compose!(arena, *warning));
        } else {
            self.tell(arena, self.0.id, "warning", warning);
        }
    }

    /// With `--debug`, every operation of the plan: to the log file, else to standard error.
    pub fn plan(&self, arena: &Arena<'a>, plan: &Plan<'a>) {
        if !self.0.debug {
            return;
        }
        let text = compose!(arena, *plan);
        for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            if self.0.log.is_some() {
                self.append(arena, "debug", line);
            } else {
                write_error(compose!(arena, "hull: debug: ", line, "\n"));
            }
        }
    }

    fn append(&self, arena: &Arena<'a>, level: &'static str, message: &[u8]) {
        let Some(path) = self.0.log else { return };
        let line = self.line(arena, level, message);
        let written = match open(path) {
            Ok(file) => stdio::write_all(file.as_fd(), line),
            Err(_) => false,
        };
        if !written {
            write_error(compose!(arena, "hull: the log file ", quoted(path), " can't be written\n"));
        }
    }

    /// A line of the log, in runc's forms.
    fn line(&self, arena: &Arena<'a>, level: &'static str, message: &[u8]) -> &'a [u8] {
        let time = compose!(arena, Date(time::now().0, None));
        match self.0.log_format {
            LogFormat::Text => {
                compose!(arena, "time=\"", time, "\" level=", level, " msg=", Quoted(message), "\n")
            }
            LogFormat::Json => {
                let message = Text(message);
                compose!(arena, "{\"level\":\"", level, "\",\"msg\":", message, ",\"time\":\"", time, "\"}\n")
            }
        }
    }
}

fn open(path: &CStr) -> core::result::Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
    Ok(open::create(CWD, path, flags, 0o644)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_runcs_forms() {
        let arena = crate::error::test_arena(1 << 15);
        let options = Options { log_format: LogFormat::Json, ..Options::default() };
        let json = Log(&options).line(&arena, "error", b"a \"b\"\n");
        let json = String::from_utf8_lossy(json);
        assert!(
            json.starts_with(r#"{"level":"error","msg":"a \"b\"\n","time":"20"#) && json.ends_with("Z\"}\n"),
            "{json}"
        );
    }
}
