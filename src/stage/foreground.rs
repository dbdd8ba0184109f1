//! `run` in the foreground: signals forwarded, orphans reaped, the terminal relayed, the exit status taken.
//!
//! All signals are blocked from before the clone, so none can be lost between clone and wait, and every way out passes
//! the code that restores the terminal.

use crate::base::text::after;
use crate::effect::procfs::read_small;
use crate::rt::arena::Arena;
use crate::sys::descriptor::OwnedFd;
use crate::sys::process;
use crate::sys::stdio::{self, standard};
use crate::sys::terminal::{self, Modes};
use heapless::Vec;
use linux_raw_sys::general as n;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
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
pub fn default_signals(arena: &Arena<'_>) -> Result<(), Errno> {
    let ignored = match read_small(arena, rustix::fs::CWD, c"/proc/self/status") {
        Ok(text) => ignored(text),
        Err(_) => None,
    }
    .unwrap_or(u64::MAX);
    for number in 1..=process::SIGNALS {
        if ignored >> number.saturating_sub(1) & 1 == 1 {
            match process::default_signal(number) {
                Ok(()) | Err(Errno::INVAL) => {}
                Err(other) => return Err(other),
            }
        }
    }
    Ok(())
}

/// The mask behind `SigIgn:` (proc_pid_status(5)), signal 1 in its lowest bit.
fn ignored(status: &[u8]) -> Option<u64> {
    let line = status.split(|&b| b == b'\n').find_map(|line| after(line, b"SigIgn:\t"))?;
    line.iter().try_fold(0u64, |mask, digit| Some(mask << 4 | u64::from(char::from(*digit).to_digit(16)?)))
}

/// Waits for the process `pid`, passing signals on and reaping whatever else ends. Returns 128 + signal or the status.
///
/// # Errors
/// As rt_sigtimedwait(2), wait4(2).
pub fn wait_for(pid: Pid) -> Result<u8, Errno> {
    loop {
        match process::next_signal() {
            Ok(signal) => {
                if let Some(code) = handle(pid, signal)? {
                    return Ok(code);
                }
            }
            // stopped and continued
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(other) => return Err(other),
        }
    }
}

fn handle(pid: Pid, signal: i32) -> Result<Option<u8>, Errno> {
    match signal as u32 {
        n::SIGCHLD => reap(pid),
        // from our own writes to a closed pipe; nobody sent it to the container
        n::SIGPIPE => Ok(None),
        _ => match process::kill(pid, signal) {
            // gone: its SIGCHLD is on the way
            Ok(()) | Err(Errno::SRCH) => Ok(None),
            Err(other) => Err(other),
        },
    }
}

/// Reaps every child that has ended; the exit code once it was `pid`.
fn reap(pid: Pid) -> Result<Option<u8>, Errno> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended == pid => return Ok(Some(code(status))),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(other) => return Err(other),
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
struct Raw {
    terminal: BorrowedFd<'static>,
    before: Modes,
}

impl Raw {
    /// The first standard descriptor that is a terminal; `None` where none is, and then nothing has to be raw.
    fn new() -> Option<Raw> {
        for number in [stdio::IN, stdio::OUT, stdio::ERR] {
            let terminal = standard(number);
            if let Ok(before) = Modes::of(terminal) {
                before.raw().set(terminal).ok()?;
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
    pending: Vec<u8, 1024>,
    open: bool,
    /// What was written last was no newline, so an end of input needs two EOF characters.
    mid_line: bool,
}

/// The same as [`wait_for`], relaying between the standard descriptors and the terminal's master meanwhile. The size of
/// hull's own terminal is passed on, at the start (unless the config fixed one) and at each SIGWINCH.
///
/// # Errors
/// As signalfd(2), poll(2), read(2).
pub fn relay(pid: Pid, master: OwnedFd, fixed_size: bool) -> Result<u8, Errno> {
    let raw = Raw::new();
    let own = raw.as_ref().map(|raw| raw.terminal);
    if !fixed_size {
        copy_size(own, master.as_fd());
    }
    rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
    let signals = process::signal_descriptor()?;
    let mut input = Input { pending: Vec::new(), open: true, mid_line: false };
    let code = loop {
        let (stdin_ready, master_ready, signal) = wait_any(&input, &master, &signals)?;
        if signal && let Some(code) = take_signal(pid, &signals, own, master.as_fd())? {
            break code;
        }
        if master_ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            && !output(master.as_fd(), 1)?
        {
            // every slave is closed; what is left is to wait for the process
            drop(master);
            drop(raw);
            return wait_signals(pid, &signals);
        }
        if stdin_ready {
            input.fill()?;
        }
        input.drain(master.as_fd())?;
    };
    // what the process wrote before it ended is still in the terminal's buffer
    while output(master.as_fd(), 64)? {
        let mut fds = [PollFd::new(&master, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now))? == 0 {
            break;
        }
    }
    Ok(code)
}

fn wait_any(input: &Input, master: &OwnedFd, signals: &OwnedFd) -> Result<(bool, PollFlags, bool), Errno> {
    let stdin = standard(stdio::IN);
    let want = if input.pending.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
    let wants_input = input.open && input.pending.is_empty();
    let mut fds =
        [PollFd::new(signals, PollFlags::IN), PollFd::new(master, want), PollFd::new(&stdin, PollFlags::IN)];
    let used = fds.get_mut(..if wants_input { 3 } else { 2 }).ok_or(Errno::INVAL)?;
    match poll(used, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(other) => return Err(other),
    }
    let [signal, master, stdin] = fds.map(|fd| fd.revents());
    Ok((wants_input && !stdin.is_empty(), master, !signal.is_empty()))
}

fn take_signal(
    pid: Pid,
    signals: &OwnedFd,
    own: Option<BorrowedFd<'_>>,
    master: BorrowedFd<'_>,
) -> Result<Option<u8>, Errno> {
    let signal = read_signal(signals)?;
    if signal as u32 == n::SIGWINCH {
        copy_size(own, master);
        return Ok(None);
    }
    handle(pid, signal)
}

/// The number of the next signal of a signalfd(2), which gives 128 bytes for each, the number first.
///
/// # Errors
/// As read(2).
pub fn read_signal(signals: &OwnedFd) -> Result<i32, Errno> {
    let mut info = [0u8; 128];
    rustix::io::read(signals, &mut info[..])?;
    let [a, b, c, d, ..] = info;
    Ok(i32::from_ne_bytes([a, b, c, d]))
}

fn wait_signals(pid: Pid, signals: &OwnedFd) -> Result<u8, Errno> {
    loop {
        match read_signal(signals) {
            Ok(signal) => {
                if let Some(code) = handle(pid, signal)? {
                    return Ok(code);
                }
            }
            Err(Errno::INTR) => {}
            Err(other) => return Err(other),
        }
    }
}

fn copy_size(own: Option<BorrowedFd<'_>>, master: BorrowedFd<'_>) {
    if let Some(own) = own
        && let Ok(size) = terminal::size(own)
        && terminal::set_size(master, size).is_err()
    {
        // the terminal of a process that has just ended
    }
}

/// Copies what the terminal has to standard output, at most `rounds` buffers; `false` once it has ended.
fn output(master: BorrowedFd<'_>, rounds: u32) -> Result<bool, Errno> {
    let mut bytes = [0u8; 1024];
    for _ in 0..rounds {
        match rustix::io::read(master, &mut bytes[..]) {
            Ok(0) | Err(Errno::IO) => return Ok(false),
            Ok(len) => {
                // a reader that went away must not stop the container
                stdio::write_all(standard(stdio::OUT), bytes.get(..len).unwrap_or(&[]));
            }
            Err(Errno::AGAIN | Errno::INTR) => return Ok(true),
            Err(other) => return Err(other),
        }
    }
    Ok(true)
}

/// The character that ends the input of a terminal in its usual mode (VEOF).
const END_OF_INPUT: u8 = 4;

impl Input {
    fn fill(&mut self) -> Result<(), Errno> {
        let mut bytes = [0u8; 512];
        match rustix::io::read(standard(stdio::IN), &mut bytes[..]) {
            Ok(0) | Err(Errno::IO) => {
                self.open = false;
                let ends: &[u8] = if self.mid_line { &[END_OF_INPUT, END_OF_INPUT] } else { &[END_OF_INPUT] };
                self.pending.extend_from_slice(ends).map_err(|_| Errno::NOBUFS)
            }
            Ok(len) => {
                let bytes = bytes.get(..len).unwrap_or(&[]);
                self.mid_line = bytes.last() != Some(&b'\n');
                self.pending.extend_from_slice(bytes).map_err(|_| Errno::NOBUFS)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(other) => Err(other),
        }
    }

    fn drain(&mut self, master: BorrowedFd<'_>) -> Result<(), Errno> {
        if self.pending.is_empty() {
            return Ok(());
        }
        match rustix::io::write(master, &self.pending) {
            Ok(len) => {
                let rest =
                    Vec::from_slice(self.pending.get(len..).unwrap_or(&[])).map_err(|_| Errno::NOBUFS)?;
                self.pending = rest;
                Ok(())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(Errno::IO) => {
                self.pending.clear();
                Ok(())
            }
            Err(other) => Err(other),
        }
    }
}
