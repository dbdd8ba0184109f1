//! What parent and child say to each other: one SOCK_SEQPACKET message each, a byte of kind first.
//!
//! child to parent: TERMINAL (with the pty's master), READY (nothing but exec is left), a report. parent to child: GO.
//! The end of the stream after READY is the successful exec, which closes the child's end; of a process that waits for
//! `start`, it is the end of the creator's part. `start` then speaks to the process by a socket of its own: GO there, and
//! back either the end of the stream or the worded error.

use crate::effect::{Fault, Hint, Outcome};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

/// The message carries the terminal's master.
pub const TERMINAL: u8 = b'T';
/// The next thing is exec.
pub const READY: u8 = b'R';
/// An operation failed.
pub const FAILED: u8 = b'F';
/// The container's process was cloned by the one that joined: its pid follows.
pub const CLONED: u8 = b'C';
/// The mounts are there: the parent's hooks may run.
pub const HOOKS: u8 = b'H';
/// A filter with a listener is loaded: its descriptor follows.
pub const LISTENER: u8 = b'L';
/// The parent has done its part.
pub const GO: u8 = b'G';

/// Bytes of the longest error that a started process words itself.
pub const WORDED: usize = 4096;

/// Bytes of the longest message.
pub const LONGEST: usize = 8;

/// Which operation of the child failed, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The index in `Plan::child`.
    pub operation: u16,
    /// What happened.
    pub fault: Fault,
}

/// A message from the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// See [`TERMINAL`].
    Terminal,
    /// See [`READY`].
    Ready,
    /// See [`HOOKS`].
    Hooks,
    /// See [`CLONED`].
    Cloned(i32),
    /// See [`LISTENER`].
    Listener(i32),
    /// See [`Report`].
    Failed(Report),
    /// The child's end is closed.
    End,
}

impl Report {
    /// `F`, hint, operation, errno, in the machine's byte order.
    pub fn encode(&self) -> [u8; LONGEST] {
        numbers(FAILED, self.fault.hint() as u8, self.operation, self.fault.errno().raw_os_error())
    }
}

/// A message of a kind with numbers, in the machine's byte order.
pub fn numbers(kind: u8, byte: u8, short: u16, long: i32) -> [u8; LONGEST] {
    let [a, b] = short.to_ne_bytes();
    let [e, f, g, h] = long.to_ne_bytes();
    [kind, byte, a, b, e, f, g, h]
}

/// Reads a message.
///
/// # Errors
/// EPROTO for anything that is none.
pub fn decode(bytes: &[u8]) -> Result<Message, Errno> {
    match bytes {
        [] => Ok(Message::End),
        [TERMINAL] => Ok(Message::Terminal),
        [READY] => Ok(Message::Ready),
        [HOOKS] => Ok(Message::Hooks),
        &[kind @ (FAILED | CLONED | LISTENER), hint, a, b, e, f, g, h] => {
            let number = i32::from_ne_bytes([e, f, g, h]);
            match kind {
                CLONED => return Ok(Message::Cloned(number)),
                LISTENER => return Ok(Message::Listener(number)),
                _ => {}
            }
            let fault = Fault::new(crate::sys::raw::errno(number), Hint::from_code(hint));
            Ok(Message::Failed(Report { operation: u16::from_ne_bytes([a, b]), fault }))
        }
        _ => Err(Errno::PROTO),
    }
}

/// Sends bytes; never raises SIGPIPE.
///
/// # Errors
/// EPIPE where the other side is gone.
#[inline(never)]
pub fn tell(channel: BorrowedFd<'_>, bytes: &[u8]) -> Outcome<()> {
    send(channel, bytes, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The same from the child, by a call that a filter is likely to let pass; SIGPIPE is blocked there.
///
/// # Errors
/// EPIPE where the other side is gone.
#[inline(never)]
pub fn write(channel: BorrowedFd<'_>, bytes: &[u8]) -> Outcome<()> {
    rustix::io::write(channel, bytes)?;
    Ok(())
}

/// Waits for the parent's GO.
///
/// # Errors
/// ESRCH with a hint where the parent is gone.
#[inline(never)]
pub fn await_go(channel: BorrowedFd<'_>) -> Outcome<()> {
    let mut byte = [0u8];
    loop {
        match rustix::io::read(channel, &mut byte[..]) {
            Ok(1) if byte == [GO] => return Ok(()),
            Err(Errno::INTR) => {}
            _ => return Err(Fault::new(Errno::SRCH, Hint::ParentGone)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_back_as_it_was_sent() {
        let report = Report { operation: 517, fault: Fault::new(Errno::NAMETOOLONG, Hint::NotInPath) };
        assert_eq!(decode(&report.encode()), Ok(Message::Failed(report)));
        assert_eq!(decode(&[]), Ok(Message::End));
        assert_eq!(decode(&[READY]), Ok(Message::Ready));
        assert_eq!(decode(&numbers(CLONED, 0, 0, 70_000)), Ok(Message::Cloned(70_000)));
        assert_eq!(decode(&[1, 2, 3]), Err(Errno::PROTO));
    }
}
