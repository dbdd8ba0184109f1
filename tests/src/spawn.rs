//! Starting processes and writing programs without the two getting in each other's way.
//!
//! A child between fork and exec holds every descriptor of this process. If one of them is open for writing on a program
//! that another test starts right then, the kernel says ETXTBSY. So programs are written, and children started, one at
//! a time; `spawn` returns after the exec, so the lock is held for the whole of that moment.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Starts the command.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    let _turn = turn();
    command.spawn()
}

/// Runs a command to its end without stdin.
#[track_caller]
pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = spawn(command).unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    child.wait_with_output().expect("our child")
}

/// Writes a file that may be executed.
pub fn write(path: &Path, mode: u32, content: &[u8]) {
    let _turn = turn();
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
}

/// Copies a program.
pub fn copy(from: &Path, to: &Path) {
    let _turn = turn();
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
