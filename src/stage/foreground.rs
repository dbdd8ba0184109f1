//! `run` in the foreground: signals forwarded, orphans reaped, the terminal relayed, the exit status taken.
//!
//! All signals are blocked from before the clone, so none can be lost between clone and wait, and every way out passes
//! the code that restores the terminal.

use crate::base::parts::line_after;
use crate::effect::Outcome;
use crate::effect::procfs::read_small;
use crate::rt::arena::Arena;
use crate::sys::descriptor;
use crate::sys::process;
use crate::sys::stdio::{self, standard};
use crate::sys::terminal::{self, Modes};
use core::ops::Range;
use linux_raw_sys::general as n;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

/// Sets every signal that hull was told to ignore back to its default, for hull itself, which would lose its children's
/// ends otherwise, and for the container, which would inherit it. All signals are blocked by now.
///
/// /proc/self/status knows which; where there is no /proc, all are set.
///
/// # Errors
/// As sigaction(2).
#[inline(never)]
pub fn default_signals(arena: &Arena<'_>) -> Outcome<()> {
    let ignored = match read_small(arena, rustix::fs::CWD, c"/proc/self/status") {
        Ok(text) => ignored(text),
        Err(_) => None,
    }
    .unwrap_or(u64::MAX);
    for number in 1..=process::SIGNALS {
        if ignored >> number.saturating_sub(1) & 1 == 1 {
            match process::default_signal(number) {
                Err(fault) if !fault.is(Errno::INVAL) => return Err(fault),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The mask behind `SigIgn:` (proc_pid_status(5)), signal 1 in its lowest bit.
fn ignored(status: &[u8]) -> Option<u64> {
    let line = line_after(status, b"SigIgn:\t")?;
    line.iter().try_fold(0u64, |mask, digit| Some(mask << 4 | u64::from(char::from(*digit).to_digit(16)?)))
}

/// Waits for the process `pid`, passing signals on and reaping whatever else ends. Returns 128 + signal or the status.
///
/// # Errors
/// As rt_sigtimedwait(2), wait4(2).
pub fn wait_for(pid: Pid) -> Outcome<u8> {
    until_ended(pid, true)
}

fn until_ended(pid: Pid, forward: bool) -> Outcome<u8> {
    loop {
        if let Some(code) = take_signal(pid, forward, None)? {
            return Ok(code);
        }
    }
}

/// Waits for one signal and acts on it; the exit code once `pid` has ended. `forward`: it is the container's. `sizes`:
/// hull's own terminal and the master of the container's, of which one follows the size of the other.
#[inline(never)]
fn take_signal(
    pid: Pid,
    forward: bool,
    sizes: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>,
) -> Outcome<Option<u8>> {
    let signal = match process::next_signal() {
        // stopped and continued
        Err(Errno::INTR | Errno::AGAIN) => return Ok(None),
        other => other?,
    };
    match signal as u32 {
        n::SIGCHLD => return reap(pid, WaitOptions::NOHANG),
        // from our own writes to a closed pipe; nobody sent it to the container
        n::SIGPIPE => {}
        n::SIGWINCH if sizes.is_some() => copy_size(sizes),
        _ if !forward => {}
        _ => match process::kill(pid, signal) {
            // gone: its SIGCHLD is on the way
            Err(fault) if !fault.is(Errno::SRCH) => return Err(fault),
            _ => {}
        },
    }
    Ok(None)
}

/// Reaps every child that has ended, or as they end; the exit code once it was `pid`.
///
/// # Errors
/// As wait(2).
pub fn reap(pid: Pid, options: WaitOptions) -> Outcome<Option<u8>> {
    loop {
        match wait(options) {
            Ok(Some((ended, status))) if ended == pid => return Ok(Some(code(status))),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(other) => return Err(other.into()),
        }
    }
}

fn code(status: WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code as u8,
        (_, Some(signal)) => (128u8).saturating_add(signal as u8),
        _ => crate::error::EXIT_FAILURE,
    }
}

/// Kills a child whose start failed, and reaps it.
pub fn end(pid: Pid) {
    if process::kill(pid, n::SIGKILL as i32).is_err() {
        // gone already, which is what is wanted
    }
    while let Err(Errno::INTR) = rustix::process::waitpid(Some(pid), WaitOptions::empty()) {}
}

/// hull's own terminal, in raw mode as long as this lives.
pub struct Raw {
    terminal: BorrowedFd<'static>,
    before: Modes,
}

impl Raw {
    /// The first standard descriptor that is a terminal; `None` where none is, and then nothing has to be raw.
    fn new() -> Option<Raw> {
        for number in [stdio::IN, stdio::OUT, stdio::ERR] {
            let terminal = standard(number);
            if let Ok(before) = Modes::make_raw(terminal) {
                return Some(Raw { terminal, before });
            }
        }
        None
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // the terminal may be gone; there is nobody to tell
        if self.before.set(self.terminal).is_err() {}
    }
}

/// Bytes on their way from hull's standard input to the container's terminal.
struct Input {
    /// Where in `bytes` those lie that are not written yet.
    pending: Range<usize>,
    open: bool,
    /// What was written last was no newline, so an end of input needs two EOF characters.
    mid_line: bool,
    bytes: [u8; 512],
}

/// The same as [`wait_for`], relaying between the standard descriptors and the terminal's master meanwhile. The size of
/// hull's own terminal is passed on, at the start (unless the config fixed one) and at each SIGWINCH.
///
/// # Errors
/// As signalfd(2), poll(2), read(2).
pub fn relay(pid: Pid, master: BorrowedFd<'static>, fixed_size: bool) -> Outcome<u8> {
    let raw = Raw::new();
    if let (false, Some(raw)) = (fixed_size, &raw) {
        copy_size(Some((raw.terminal, master)));
    }
    // a reader that went away must not stop the container
    copy(pid, master, raw, true, &mut |bytes| {
        stdio::write_all(standard(stdio::OUT), bytes);
    })
}

/// Waits for the process `pid` and hands `sink` what comes from `master` meanwhile: the master of a terminal or the reading
/// end of a pipe. `whole`: also relays standard input and signals to the process.
///
/// # Errors
/// As signalfd(2), poll(2), read(2).
#[inline(never)]
#[cold]
pub fn copy(
    pid: Pid,
    master: BorrowedFd<'static>,
    raw: Option<Raw>,
    whole: bool,
    sink: &mut dyn FnMut(&[u8]),
) -> Outcome<u8> {
    let sizes = raw.as_ref().map(|raw| (raw.terminal, master));
    rustix::fs::fcntl_setfl(master, OFlags::RDWR | OFlags::NONBLOCK)?;
    let signals = process::signal_descriptor()?;
    let stdin = standard(stdio::IN);
    let mut input = Input { bytes: [0; 512], pending: 0..0, open: whole, mid_line: false };
    loop {
        let empty = input.pending.is_empty();
        let wants_input = input.open && empty;
        let mut fds = [
            PollFd::new(&signals, PollFlags::IN),
            PollFd::new(&master, if empty { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }),
            PollFd::new(&stdin, PollFlags::IN),
        ];
        let used = fds.get_mut(..if wants_input { 3 } else { 2 }).ok_or(Errno::INVAL)?;
        match poll(used, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(other) => return Err(other.into()),
        }
        let [signal, ready, typed] = fds.map(|fd| fd.revents());
        if !signal.is_empty()
            && let Some(code) = take_signal(pid, whole, sizes)?
        {
            // what the process wrote before it ended is still in the terminal's buffer
            while let Output::Copied = output(master, sink)? {}
            return Ok(code);
        }
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            && let Output::End = output(master, sink)?
        {
            // every slave is closed; what is left is to wait for the process
            descriptor::close(master.as_raw_fd());
            drop(raw);
            return until_ended(pid, whole);
        }
        if wants_input && !typed.is_empty() {
            input.fill()?;
        }
        input.drain(master)?;
    }
}

fn copy_size(sizes: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>) {
    if let Some((own, master)) = sizes
        && let Ok(size) = terminal::size(own)
        && terminal::set_size(master, size).is_err()
    {
        // the terminal of a process that has just ended
    }
}

/// Bytes that are copied at once.
const BUFFER: usize = 2048;

/// What the terminal had to say.
enum Output {
    Copied,
    Nothing,
    End,
}

/// Copies what the terminal has to `sink`, at most one buffer.
#[inline(never)]
#[cold]
fn output(master: BorrowedFd<'_>, sink: &mut dyn FnMut(&[u8])) -> Outcome<Output> {
    let mut bytes = [0u8; BUFFER];
    match rustix::io::read(master, &mut bytes[..]) {
        Ok(0) | Err(Errno::IO) => Ok(Output::End),
        Ok(len) => {
            sink(bytes.get(..len).unwrap_or(&[]));
            Ok(Output::Copied)
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(Output::Nothing),
        Err(other) => Err(other.into()),
    }
}

/// The character that ends the input of a terminal in its usual mode (VEOF).
const END_OF_INPUT: u8 = 4;

impl Input {
    #[inline(never)]
    #[cold]
    fn fill(&mut self) -> Outcome<()> {
        let len = match rustix::io::read(standard(stdio::IN), &mut self.bytes[..]) {
            Ok(0) | Err(Errno::IO) => {
                self.open = false;
                let [first, second, ..] = &mut self.bytes;
                (*first, *second) = (END_OF_INPUT, END_OF_INPUT);
                1 + usize::from(self.mid_line)
            }
            Ok(len) => {
                self.mid_line = self.bytes.get(len.saturating_sub(1)) != Some(&b'\n');
                len
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(other) => return Err(other.into()),
        };
        self.pending = 0..len;
        Ok(())
    }

    #[inline(never)]
    #[cold]
    fn drain(&mut self, master: BorrowedFd<'_>) -> Outcome<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        match rustix::io::write(master, self.bytes.get(self.pending.clone()).unwrap_or(&[])) {
            Ok(len) => self.pending.start = self.pending.start.saturating_add(len),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::IO) => self.pending = 0..0,
            Err(other) => return Err(other.into()),
        }
        Ok(())
    }
}
