//! One file a verb, and what they share: reading the bundle, logging, the last line of an error.

mod container;
mod create;
mod delete;
mod features;
mod hooks;
mod kill;
mod list;
mod log;
mod logs;
mod spec;
mod start;
mod state;
mod wait;

use crate::base::text::{Put, quoted};
use crate::c_join;
use crate::cli::flags::Verb;
use crate::cli::help::{Help, Version};
use crate::cli::{self, Options};
use crate::config::{self, Config};
use crate::error::{EXIT_FAILURE, Result};
use crate::plan::Request;
use crate::rt::arena::Arena;
use crate::rt::region;
use crate::rt::start::Start;
use crate::sys::directory;
use crate::sys::open;
use crate::sys::stdio::{self, Writer, standard};
use crate::{boot, fail, text};
use core::ffi::CStr;
use log::Log;
use rustix::fd::AsFd;
use rustix::fs::{self, CWD, FileType, OFlags};
use rustix::io::Errno;

/// The program: reads the arguments, carries the command out, prints the one error line; returns the exit code.
pub fn main(start: &Start) -> u8 {
    if boot::is_init(start) {
        return boot::main(start);
    }
    let arena = region::small();
    let mut options = Options::default();
    let parsed = cli::parse(&arena, start.args().skip(1), &mut options);
    if let Err(error) = Log(&options).check(&arena) {
        options.log = None;
        Log(&options).error(&arena, &error);
        return EXIT_FAILURE;
    }
    let log = Log(&options);
    let result = parsed.and_then(|()| dispatch(&arena, start, &options, &log));
    match result {
        Ok(code) => code,
        Err(error) => {
            log.error(&arena, &error);
            EXIT_FAILURE
        }
    }
}

#[inline(never)]
fn dispatch<'a>(
    arena: &Arena<'a>,
    start: &Start,
    options: &Options<'a>,
    log: &Log<'_, 'a>,
) -> Result<'a, u8> {
    if options.help {
        return print(arena, &Help(options.verb));
    }
    if options.version {
        return print(arena, &Version);
    }
    match options.verb {
        Some(Verb::Create | Verb::Run | Verb::Plan) => create::create(arena, start, options, log),
        Some(Verb::Start) => start::start(arena, start, options),
        Some(Verb::State) => state::state(arena, start, options),
        Some(Verb::Kill) => kill::kill(arena, start, options),
        Some(Verb::Wait) => wait::wait(arena, start, options, log),
        Some(Verb::Logs) => logs::logs(arena, start, options),
        Some(Verb::Delete) => delete::delete(arena, start, options, log),
        Some(Verb::List) => list::list(arena, start, options, log),
        Some(Verb::Spec) => spec::spec(arena, options),
        Some(Verb::Features) => print(arena, &features::Features),
        None => print(arena, &Help(None)),
    }
}

fn print<'a>(arena: &Arena<'a>, text: &dyn Put) -> Result<'a, u8> {
    let mut out = Writer::new(standard(stdio::OUT));
    text.put(&mut out);
    if out.finish() { Ok(0) } else { Err(fail!(arena, "write to standard output")) }
}

/// A bundle that was read: the arena that holds it, its config, and its absolute path.
struct Bundle<'a> {
    arena: Arena<'a>,
    config: Config<'a>,
    path: &'a CStr,
}

/// Changes into the bundle, reads its config.json into an arena of a size that fits, and checks it.
///
/// # Errors
/// A missing directory or file, a file over 4 MiB, and everything that `config` refuses.
#[inline(never)]
fn read_bundle<'a>(arena: &Arena<'a>, bundle: Option<&'a CStr>, log: &Log<'_, 'a>) -> Result<'a, Bundle<'a>> {
    if let Some(path) = bundle {
        rustix::process::chdir(path).map_err(|errno| {
            fail!(arena, errno, "-b DIR names the directory that holds config.json" => "bundle ", quoted(path))
        })?;
    }
    // a FIFO in its place must not hold hull up
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open::open(CWD, c"config.json", flags).map_err(|fault| {
        let errno = fault.errno();
        let hint = if errno == Errno::NOENT {
            text!("hull spec writes one; -b DIR names the bundle")
        } else {
            text!("")
        };
        fail!(arena, errno, hint => "open config.json of the bundle")
    })?;
    let about = fs::fstat(&file).map_err(|errno| fail!(arena, errno => "look at config.json"))?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Err(fail!(arena, "config.json is not a regular file"));
    }
    let size = usize::try_from(about.st_size).unwrap_or(usize::MAX);
    if size > config::MAX_CONFIG {
        return Err(fail!(
            arena,
            "config.json has ",
            size,
            " bytes; hull reads at most ",
            config::MAX_CONFIG,
            " (4 MiB)"
        ));
    }
    let large = region::sized(size).map_err(|errno| fail!(arena, errno => "map memory for config.json"))?;
    let room = large.bytes(size.saturating_add(1))?;
    let text = fill(&large, file.as_fd(), room)?;
    let config = config::parse(&large, "config.json", text)?;
    config::validate(&large, &config, &mut |warning| log.warning(&large, warning))?;
    let path = directory::current(&large)
        .map_err(|fault| fail!(arena, fault.errno() => "find the bundle's absolute path"))?;
    Ok(Bundle { arena: large, config, path })
}

/// Reads the whole file; one byte more than its size is room, so that a file that grows meanwhile is noticed.
fn fill<'a>(arena: &Arena<'a>, file: rustix::fd::BorrowedFd<'_>, room: &'a mut [u8]) -> Result<'a, &'a [u8]> {
    let mut len = 0usize;
    loop {
        let free = room.get_mut(len..).unwrap_or(&mut []);
        let free_len = free.len();
        if free.is_empty() {
            return Err(fail!(arena, "config.json grows while it is read"));
        }
        match rustix::io::read(file, free) {
            // the size that fstat told; a file that has grown since is read as it was
            Ok(n) if n.saturating_add(1) == free_len => {
                len = len.saturating_add(n);
                break;
            }
            Ok(0) => break,
            Ok(n) => len = len.saturating_add(n),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(fail!(arena, errno => "read config.json")),
        }
    }
    Ok(room.get(..len).unwrap_or(&[]))
}

fn request<'a>(start: &Start, options: &Options<'a>, bundle: &'a CStr) -> Request<'a> {
    Request {
        id: options.id.unwrap_or(c"container"),
        bundle,
        no_pivot: options.no_pivot,
        no_new_keyring: options.no_new_keyring,
        preserve_fds: options.preserve_fds,
        wait: options.verb == Some(Verb::Create),
        path: start.var(b"PATH").unwrap_or(c"/usr/bin:/bin"),
    }
}

/// Where containers have their state: `--root`, else /run/hull for root and $XDG_RUNTIME_DIR/hull for others.
fn state_root<'a>(arena: &Arena<'a>, start: &Start, options: &Options<'a>) -> Result<'a, &'a CStr> {
    if let Some(root) = options.root {
        return Ok(root);
    }
    if !rustix::process::geteuid().is_root()
        && let Some(runtime) = start.var(b"XDG_RUNTIME_DIR").filter(|path| !path.is_empty())
    {
        return Ok(c_join!(arena, runtime, "/hull")?);
    }
    Ok(c"/run/hull")
}
