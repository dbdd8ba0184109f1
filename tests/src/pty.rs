//! A terminal for the runtime: the test holds the master side.

use crate::Host;
use crate::run::{DEADLINE, Run};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

/// A pair of terminal ends.
pub struct Terminal {
    master: File,
    /// The runtime's end; closed here once it runs, so that its end is seen.
    slave: Option<OwnedFd>,
    seen: Vec<u8>,
}

impl Terminal {
    pub fn new(columns: u16, rows: u16) -> Terminal {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).expect("a terminal");
        for end in [&master, &slave] {
            nix::fcntl::fcntl(end, nix::fcntl::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))
                .expect("close-on-exec");
        }
        Terminal { master: File::from(master), slave: Some(slave), seen: Vec::new() }
    }

    /// A host on which this is the controlling terminal of the runtime's own session.
    pub fn control(&self, host: Host) -> Host {
        host.session(self.slave.as_ref().map(AsRawFd::as_raw_fd))
    }

    /// Starts the run with all three descriptors on this terminal, once.
    pub fn start(&mut self, run: &Run) -> Child {
        let slave = self.slave.take().expect("one run a terminal");
        let end = || Stdio::from(slave.try_clone().expect("another descriptor"));
        let mut command = run.command();
        crate::spawn::spawn(command.stdin(end()).stdout(end()).stderr(end())).expect("the runtime starts")
    }

    /// The settings of the terminal now. The master answers for both ends.
    pub fn settings(&self) -> Termios {
        tcgetattr(self.master.as_fd()).expect("a terminal")
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        assert_eq!(unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &size) }, 0, "TIOCSWINSZ");
    }

    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("the terminal takes input");
    }

    /// What has been read beyond the last `until`.
    pub fn rest(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Reads until `text` has appeared, and returns everything up to and with it.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = find(&self.seen, text.as_bytes()) {
                let rest = self.seen.split_off(at + text.len());
                let up_to = std::mem::replace(&mut self.seen, rest);
                return String::from_utf8_lossy(&up_to).into_owned();
            }
            let shown = || String::from_utf8_lossy(&self.seen).into_owned();
            let mut waiting = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::try_from(DEADLINE).expect("a deadline");
            let ready = poll(&mut waiting, timeout).expect("poll");
            assert!(ready > 0, "{text:?} never came: {:?}", shown());
            let mut block = [0; 4096];
            let count = self.master.read(&mut block).unwrap_or(0);
            assert!(count > 0, "the terminal closed before {text:?}: {:?}", shown());
            self.seen.extend_from_slice(&block[..count]);
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Waits for the end of a runtime started on a terminal: exit code, or minus the signal.
pub fn wait(child: &mut Child) -> i32 {
    let status = child.wait().expect("our child");
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}
