//! The one error type: a line of text, an optional errno, an optional hint, and the exit code.
//!
//! An error is made where the fact is known and printed once, at the top. Its text names operation and object; the
//! command and the container's id are put before it by the printer.

use crate::base::text::{Put, Sink, Template, Words};
use crate::rt::arena::{Arena, Full};
use crate::sys::errno;
use crate::text;
use rustix::io::Errno;

/// What a command returns.
pub type Result<'a, T> = core::result::Result<T, Error<'a>>;

/// Exit code of hull's own failures, as runc's (1); `exec` uses 255.
pub const EXIT_FAILURE: u8 = 1;

/// A failure, worded. The body lies in the command's arena, so that a `Result` is a pointer wide: the happy path, which
/// is most of the code, then carries no error text around. `None` is the one failure that has no room left for a body.
#[derive(Clone, Copy, Debug)]
pub struct Error<'a>(Option<&'a Body<'a>>);

#[derive(Clone, Copy, Debug)]
struct Body<'a> {
    text: &'a [u8],
    errno: Option<Errno>,
    hint: Template,
}

/// What is said where the arena is full.
const FULL: Body<'static> = Body {
    text: b"config.json needs more memory than hull sets aside for it (16 times its size, at least 1 MiB)",
    errno: None,
    hint: text!(""),
};

/// What there is, where it lies: `?` on the result itself would move it, and a large one is many stores.
#[inline(always)]
pub fn borrowed<'r, 'a, T>(result: &'r Result<'a, T>) -> Result<'a, &'r T> {
    result.as_ref().map_err(|error| *error)
}

impl<'a> Error<'a> {
    /// An error from its words; use the `fail!` macro.
    #[inline(never)]
    #[cold]
    pub fn new(arena: &Arena<'a>, template: Template, words: Words<'_>) -> Error<'a> {
        Error::made(arena, arena.compose(template, words), None, text!(""))
    }

    /// An error with the errno of the system call behind it.
    #[inline(never)]
    #[cold]
    pub fn of(arena: &Arena<'a>, errno: Errno, template: Template, words: Words<'_>) -> Error<'a> {
        Error::made(arena, arena.compose(template, words), Some(errno), text!(""))
    }

    fn made(arena: &Arena<'a>, text: &'a [u8], errno: Option<Errno>, hint: Template) -> Error<'a> {
        Error(arena.last_one(Body { text, errno, hint }).ok())
    }

    /// The same error with a word on what to do; it may be empty.
    #[inline(never)]
    #[cold]
    pub fn hint(self, arena: &Arena<'a>, hint: Template) -> Error<'a> {
        Error(arena.last_one(Body { hint, ..*self.body() }).ok())
    }

    fn body(&self) -> &Body<'a> {
        self.0.unwrap_or(&FULL)
    }

    /// The text without errno and hint.
    pub fn text(&self) -> &'a [u8] {
        self.body().text
    }
}

impl Put for Error<'_> {
    fn put(&self, to: &mut dyn Sink) {
        let body = self.body();
        to.push(body.text);
        if let Some(code) = body.errno {
            to.push(b": ");
            errno::Named(code).put(to);
        }
        if !body.hint.is_empty() {
            to.push(b" (hint: ");
            body.hint.put(to);
            to.push(b")");
        }
    }
}

impl From<Full> for Error<'_> {
    fn from(_: Full) -> Self {
        Error(None)
    }
}

/// Makes an [`Error`] from words: `fail!(arena, "mount ", quoted(source), ": not a directory")`, with an errno
/// `fail!(arena, errno => "mount ", ...)`, with errno and hint `fail!(arena, errno, hint => ...)`.
#[macro_export]
macro_rules! fail {
    ($arena:expr, $errno:expr, $hint:literal => $($words:tt)+) => {
        $crate::fail!($arena, $errno, $crate::text!($hint) => $($words)+)
    };
    ($arena:expr, $errno:expr, $hint:expr => $($words:tt)+) => {
        $crate::fail!($arena, $errno => $($words)+).hint($arena, $hint)
    };
    ($arena:expr, $errno:expr => $($words:tt)+) => {
        $crate::message!({$crate::error::Error::of} ($arena, $errno) $($words)+)
    };
    ($arena:expr, $($words:tt)+) => {
        $crate::message!({$crate::error::Error::new} ($arena) $($words)+)
    };
}

/// Memory for a test's arena, leaked on purpose.
#[cfg(test)]
pub fn test_arena(bytes: usize) -> Arena<'static> {
    Arena::new(Box::leak(vec![core::mem::MaybeUninit::uninit(); bytes].into_boxed_slice()))
}
