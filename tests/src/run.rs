//! One start of the runtime: how it is called, talking to it while it lives, and what it left when it ended.
//!
//! Waiting is always for an event (a line, an end). The deadline is a guard against hanging, never an assertion.

use crate::{Bundle, Host, check, hull};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// After this, something hangs.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A run of a bundle, still to be started.
pub struct Run {
    host: Host,
    id: String,
    dir: PathBuf,
    cwd: PathBuf,
    globals: Vec<OsString>,
    flags: Vec<OsString>,
    trailing: Vec<OsString>,
    bundle_flag: bool,
    environment: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    kept: bool,
    wrapper: Vec<OsString>,
}

impl Run {
    pub fn new(bundle: &Bundle, host: Host) -> Run {
        Run {
            host,
            id: bundle.id.clone(),
            dir: bundle.dir.clone(),
            cwd: PathBuf::from("/"),
            globals: Vec::new(),
            flags: Vec::new(),
            trailing: Vec::new(),
            bundle_flag: true,
            environment: Vec::new(),
            stdin: None,
            kept: false,
            wrapper: Vec::new(),
        }
    }

    /// Flags before the command.
    pub fn globals<S: AsRef<OsStr>>(mut self, flags: &[S]) -> Run {
        self.globals.extend(flags.iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    /// Flags of `run`.
    pub fn flags<S: AsRef<OsStr>>(mut self, flags: &[S]) -> Run {
        self.flags.extend(flags.iter().map(|flag| flag.as_ref().to_owned()));
        self
    }

    /// Words after the id.
    pub fn trailing<S: AsRef<OsStr>>(mut self, words: &[S]) -> Run {
        self.trailing.extend(words.iter().map(|word| word.as_ref().to_owned()));
        self
    }

    /// From inside the bundle, without `--bundle`.
    pub fn in_bundle(mut self) -> Run {
        self.bundle_flag = false;
        self.cwd = self.dir.clone();
        self
    }

    pub fn id(mut self, id: &str) -> Run {
        id.clone_into(&mut self.id);
        self
    }

    /// Another value for `--bundle`.
    pub fn bundle(mut self, dir: &Path) -> Run {
        self.dir = dir.to_owned();
        self
    }

    pub fn cwd(mut self, dir: &Path) -> Run {
        self.cwd = dir.to_owned();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Run {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Bytes for stdin.
    pub fn stdin(mut self, bytes: &[u8]) -> Run {
        self.stdin = Some(bytes.to_vec());
        self
    }

    /// State and cgroup may stay (`--keep`): the caller removes them.
    pub fn kept(mut self) -> Run {
        self.kept = true;
        self
    }

    /// Runs it under another program, such as strace.
    pub fn under<S: AsRef<OsStr>>(mut self, wrapper: &[S]) -> Run {
        self.wrapper = wrapper.iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// The whole command.
    pub fn command(&self) -> Command {
        let mut words = self.wrapper.clone();
        words.push(hull().into_os_string());
        words.extend(self.globals.iter().cloned());
        words.push("run".into());
        if self.bundle_flag {
            words.push("--bundle".into());
            words.push(self.dir.clone().into_os_string());
        }
        words.extend(self.flags.iter().cloned());
        words.push(self.id.clone().into());
        words.extend(self.trailing.iter().cloned());
        let mut command = command(&words, &self.host);
        command.current_dir(&self.cwd).envs(self.environment.iter().cloned());
        command
    }

    /// Starts it with pipes on all three descriptors.
    pub fn start(self) -> Live {
        let command = self.command();
        let left = (!self.kept).then(|| (self.id.clone(), self.dir.clone()));
        let mut live = Live::spawn(command);
        live.leaves_nothing_of = left;
        if let Some(bytes) = self.stdin {
            live.feed(bytes);
        }
        live
    }

    /// Starts it, ends its stdin, waits for its end.
    pub fn output(self) -> Output {
        self.start().finish()
    }
}

/// A command on a host; the environment is emptied but for PATH, so that no test depends on the caller's.
pub fn command(words: &[OsString], host: &Host) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let host = host.clone();
    unsafe { command.pre_exec(move || host.apply()) };
    command
}

/// The runtime with these words, on the machine, to its end.
pub fn hull_says<S: AsRef<OsStr>>(words: &[S]) -> Output {
    hull_in(Path::new("/"), words)
}

/// The same in another working directory.
pub fn hull_in<S: AsRef<OsStr>>(dir: &Path, words: &[S]) -> Output {
    let mut all = vec![hull().into_os_string()];
    all.extend(words.iter().map(|word| word.as_ref().to_owned()));
    let mut command = command(&all, &Host::machine());
    command.current_dir(dir);
    Live::spawn(command).finish()
}

#[derive(Default)]
struct Stream {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Stream {
    fn follow(mut source: impl Read + Send + 'static) -> Arc<Stream> {
        let stream = Arc::new(Stream::default());
        let ours = stream.clone();
        std::thread::spawn(move || {
            let mut block = [0; 65536];
            loop {
                let count = source.read(&mut block).unwrap_or(0);
                let mut state = ours.state.lock().expect("no poison");
                state.0.extend_from_slice(&block[..count]);
                state.1 = count == 0;
                ours.changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        stream
    }

    /// Waits until `enough` accepts what came so far, or the end came, or the deadline passed. The last flag tells
    /// whether `enough` was satisfied.
    fn wait(&self, enough: impl Fn(&[u8], bool) -> bool) -> (Vec<u8>, bool) {
        let state = self.state.lock().expect("no poison");
        let (state, timeout) = self
            .changed
            .wait_timeout_while(state, DEADLINE, |(bytes, ended)| !enough(bytes, *ended) && !*ended)
            .expect("no poison");
        (state.0.clone(), !timeout.timed_out() && enough(&state.0, state.1))
    }
}

/// A runtime that is running.
pub struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Arc<Stream>,
    err: Arc<Stream>,
    seen: usize,
    leaves_nothing_of: Option<(String, PathBuf)>,
}

impl Live {
    pub fn spawn(mut command: Command) -> Live {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = crate::spawn::spawn(&mut command)
            .unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let out = Stream::follow(child.stdout.take().expect("a pipe"));
        let err = Stream::follow(child.stderr.take().expect("a pipe"));
        let stdin = child.stdin.take();
        Live { child, stdin, out, err, seen: 0, leaves_nothing_of: None }
    }

    /// The same for a command that runs this bundle under its usual id.
    pub fn of(bundle: &Bundle, command: Command) -> Live {
        let mut live = Live::spawn(command);
        live.leaves_nothing_of = Some((bundle.id.clone(), bundle.dir.clone()));
        live
    }

    /// The runtime's own pid on the host.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// The host's pid of the container's first process: the only child of the runtime that is not a helper.
    pub fn container_pid(&self) -> i32 {
        *check::children(self.pid()).first().unwrap_or_else(|| panic!("{} has no child", self.pid()))
    }

    /// The next line of the container's stdout.
    pub fn line(&mut self) -> String {
        let from = self.seen;
        let (bytes, found) = self.out.wait(|bytes, _| bytes[from..].contains(&b'\n'));
        if !found {
            let rest = String::from_utf8_lossy(&bytes[from..]).into_owned();
            let (err, _) = self.err.wait(|_, _| true);
            self.abandon();
            panic!("no line came; stdout {rest:?}, stderr {:?}", String::from_utf8_lossy(&err));
        }
        let end = from + bytes[from..].iter().position(|byte| *byte == b'\n').expect("a line");
        self.seen = end + 1;
        String::from_utf8_lossy(&bytes[from..end]).trim_end_matches('\r').to_owned()
    }

    /// Reads lines up to `text`.
    pub fn until(&mut self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line == text {
                return lines;
            }
            lines.push(line);
        }
    }

    pub fn send(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is still open");
        if let Err(error) = stdin.write_all(text.as_bytes()) {
            let (err, _) = self.err.wait(|_, ended| ended);
            panic!("stdin: {error}; stderr {:?}", String::from_utf8_lossy(&err));
        }
    }

    /// Writes bytes to stdin from a thread of its own, then closes it.
    fn feed(&mut self, bytes: Vec<u8>) {
        let mut stdin = self.stdin.take().expect("stdin is still open");
        std::thread::spawn(move || {
            // The container may end before it has read everything: that is for the test to judge.
            stdin.write_all(&bytes).ok();
        });
    }

    /// Ends the container's stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the runtime is there");
    }

    fn abandon(&mut self) {
        for pid in check::descendants(self.pid()) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Ends stdin, waits for the end of the runtime, and looks at what it left.
    pub fn finish(mut self) -> Output {
        self.stdin = None;
        let begun = Instant::now();
        let (_, ended) = self.out.wait(|_, ended| ended);
        let ended = ended && self.err.wait(|_, ended| ended).1;
        while ended && begun.elapsed() < DEADLINE {
            // The pipes are closed: the process is ending, or has closed them and goes on.
            if let Some(status) = self.child.try_wait().expect("our child") {
                let out = self.out.wait(|_, ended| ended).0;
                let err = self.err.wait(|_, ended| ended).0;
                let output = Output { code: status.code(), signal: status.signal(), out, err };
                if let Some((id, dir)) = self.leaves_nothing_of.take() {
                    check::nothing_left(&id, &dir, &output);
                }
                return output;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let out = self.out.wait(|_, _| true).0;
        let err = self.err.wait(|_, _| true).0;
        self.abandon();
        let (out, err) =
            (String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned());
        panic!("no end after {DEADLINE:?}; stdout {out:?}, stderr {err:?}");
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.abandon();
        }
    }
}

/// How a runtime ended.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
}

impl Output {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    /// stdout without the last newline, of a run that went well.
    pub fn text(&self) -> String {
        self.succeeds();
        self.out().trim_end_matches('\n').to_owned()
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    /// Exit code 0 and nothing on stderr.
    #[track_caller]
    pub fn succeeds(&self) -> &Output {
        assert!(self.code == Some(0) && self.err.is_empty(), "expected success: {}", self.show());
        self
    }

    #[track_caller]
    pub fn exits(&self, code: i32) -> &Output {
        assert!(self.code == Some(code), "expected exit code {code}: {}", self.show());
        self
    }

    /// A failure of the runtime itself: exit code 1, one line on stderr, nothing on stdout. Returns the line.
    #[track_caller]
    pub fn refusal(&self) -> String {
        assert!(self.code == Some(1), "expected exit code 1: {}", self.show());
        assert!(self.out.is_empty(), "expected nothing on stdout: {}", self.show());
        let err = self.err();
        assert!(
            err.ends_with('\n') && err.lines().count() == 1,
            "expected one line on stderr: {}",
            self.show()
        );
        err.trim_end().to_owned()
    }

    /// A refusal that names all of these, in whatever case.
    #[track_caller]
    pub fn refuses(&self, words: &[&str]) -> String {
        let line = self.refusal();
        for word in words {
            let found = line.to_lowercase().contains(&word.to_lowercase());
            assert!(found, "{word:?} is not in the error: {line}");
        }
        line
    }

    pub fn show(&self) -> String {
        let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(600)]).into_owned();
        format!(
            "code {:?}, signal {:?}\nstdout: {}\nstderr: {}",
            self.code,
            self.signal,
            short(&self.out),
            short(&self.err)
        )
    }
}

/// The umask that suites start from, whatever shell started them; and no backtraces among the results.
pub fn settle() {
    unsafe {
        libc::umask(0o022);
        std::env::set_var("RUST_BACKTRACE", "0");
    }
}
