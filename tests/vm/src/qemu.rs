//! One boot of the virtual machine: started, read to its end, and killed if it falls silent.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hull_targets::family::Family;
use hull_targets::kernel::Kernel;
use hull_targets::output;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::console::Verdict;

/// The longest silence and the longest life of a machine. They only end what hangs; nothing is judged by time.
const SILENCE: Duration = Duration::from_secs(300);
const LIFE: Duration = Duration::from_secs(900);

/// Enough for Debian's kernels and every image here.
const MEMORY: u64 = 1024;

pub struct Machine<'a> {
    pub family: &'a Family,
    pub kernel: &'a Kernel,
    pub initramfs: &'a Path,
    /// A root image as the first disk.
    pub disk: Option<&'a Path>,
}

/// What differs between boots.
pub struct Boot<'a> {
    /// Names the log of the console.
    pub name: &'a str,
    /// Appended to the kernel's command line.
    pub command_line: &'a str,
    pub processors: u32,
}

/// A machine that is no more.
pub struct Ended {
    console: String,
    log: PathBuf,
    /// How QEMU ended, if not by the machine powering off.
    abnormal: Option<String>,
}

impl Machine<'_> {
    /// Boots, hands each line of the console to `each`, and waits for the end.
    pub fn boot(&self, boot: &Boot, mut each: impl FnMut(&str)) -> Result<Ended> {
        let mut child = KillOnDrop(self.start(boot)?);
        let mut console = BufReader::new(child.0.stdout.take().context("no pipe")?);
        let (sender, lines) = channel();
        let reader = thread::spawn(move || {
            let mut line = Vec::new();
            // The end of QEMU ends the pipe, and with it this thread.
            while console.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        let began = Instant::now();
        let mut text = String::new();
        let mut halted = false;
        let hung = loop {
            match lines.recv_timeout(SILENCE.min(LIFE.saturating_sub(began.elapsed()))) {
                Ok(line) => {
                    each(&line);
                    // Some of QEMU's machines have no power to switch off.
                    if line.contains("reboot: System halted") {
                        halted = true;
                        child.0.kill()?;
                    }
                    text += &line;
                    text.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break false,
                Err(RecvTimeoutError::Timeout) => break true,
            }
        };
        if hung {
            child.0.kill()?;
        }
        let status = child.0.wait()?;
        reader.join().ok().context("the console's reader panicked")?;
        let abnormal = match (hung, halted || status.success()) {
            (true, _) => {
                Some(format!("the machine hung, and was killed after {} s", began.elapsed().as_secs()))
            }
            (false, false) => Some(format!("QEMU ended with {status}")),
            (false, true) => None,
        };
        let log = output().join("vm").join(format!("console-{}.log", boot.name));
        fs::write(&log, &text).with_context(|| format!("write {}", log.display()))?;
        Ok(Ended { console: text, log, abnormal })
    }

    fn start(&self, boot: &Boot) -> Result<Child> {
        // Of the kernel's own messages only a panic: the others would fall into the middle of the guest's lines.
        let arguments = format!("loglevel=1 {}", boot.command_line);
        let machine = hull_targets::qemu::Machine {
            family: self.family,
            kernel: &self.kernel.file,
            dtb: self.kernel.dtb.as_deref(),
            initramfs: self.initramfs,
            memory: MEMORY,
            processors: boot.processors,
            disks: self.disk.map(Path::to_owned).into_iter().collect(),
            arguments: arguments.trim(),
            serial: "stdio",
        };
        let mut command = machine.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // SAFETY: prctl(2) is all that happens between fork and exec.
        unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
        command.spawn().with_context(|| format!("run {}", self.family.qemu.system))
    }
}

/// No machine outlives this program, however it ends.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ended {
    /// The console has a line with this in it.
    pub fn says(&self, text: &str) -> Verdict {
        if self.place(text).is_some() { Ok(()) } else { Err(format!("the console never says \"{text}\"")) }
    }

    /// Where the first line with this is.
    pub fn place(&self, text: &str) -> Option<usize> {
        self.console.lines().position(|line| line.contains(text))
    }

    /// It ended by itself, and the kernel did not panic.
    pub fn powered_off(&self) -> Verdict {
        match &self.abnormal {
            Some(how) => Err(how.clone()),
            None if self.says("Kernel panic").is_ok() => Err("the kernel panicked".into()),
            None => Ok(()),
        }
    }

    /// The end of the console, and where all of it is.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.console.lines().collect();
        let last = lines.len().saturating_sub(10);
        format!("{}\nthe console: {}", lines.get(last..).unwrap_or_default().join("\n"), self.log.display())
    }

    /// Removes the log.
    pub fn forget(&self) {
        // One that is not there is what is wanted.
        let _ = fs::remove_file(&self.log);
    }
}
