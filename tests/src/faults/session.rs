//! The tracer: runs commands one after the other, counts the system calls of each role, and strikes at one of them.
//!
//! A call that fails is not made: at its entry the number becomes -1, at its exit the result becomes the errno. The one
//! exception is close(2), which the kernel always carries out before it reports anything. A kill is SIGKILL to the one
//! process, sent while it stands at the entry of the call, which then is not made.
//!
//! A session belongs to the thread that made it: ptrace knows tracers by thread.

use hull_trace::{self as ptrace, Stop};
use nix::errno::Errno;
use nix::libc::{SIGSTOP, SIGTRAP, pid_t};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use syscalls::Sysno;

/// Whose calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The process that the command starts as, its re-exec included, to its end.
    Parent,
    /// Every process cloned from it, to its first successful exec.
    Child,
}

/// What happens at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// It fails with this errno.
    Fails(Errno),
    /// The process is killed before it.
    Kills,
}

/// One call of a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The index of the command.
    pub command: usize,
    pub role: Role,
    /// The call's number among those of the role, from 1.
    pub number: u32,
    pub blow: Blow,
}

/// What came of the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck {
    /// Fewer calls were made.
    Never,
    /// At this call.
    At(Sysno),
    /// The call is one that has no error.
    Spared(Sysno),
}

/// After this, what has not ended is not about to.
const SETTLED: Duration = Duration::from_secs(3);

/// Calls that cannot fail, whatever happens to the machine: the process is gone, or their man pages know no error.
const NO_ERROR: [Sysno; 12] = [
    Sysno::exit,
    Sysno::exit_group,
    Sysno::rt_sigreturn,
    Sysno::umask,
    Sysno::getpid,
    Sysno::gettid,
    Sysno::getppid,
    Sysno::getuid,
    Sysno::geteuid,
    Sysno::getgid,
    Sysno::getegid,
    Sysno::sched_yield,
];

struct Task {
    command: usize,
    role: Role,
    /// The first stop is the exec of the command itself.
    starting: bool,
    /// The first stop is ptrace's own.
    fresh: bool,
    /// It has become another program.
    executed: bool,
    /// The result that the call it is in will have.
    answer: Option<Errno>,
}

/// All processes of one scenario.
pub struct Session {
    point: Option<Point>,
    struck: Struck,
    over: bool,
    seen: u32,
    tasks: BTreeMap<pid_t, Task>,
    /// New processes that stopped before their clone was told.
    early: BTreeSet<pid_t>,
    /// The command of the process that ended last.
    last: usize,
    ended: BTreeMap<pid_t, i32>,
    guard: Guard,
}

impl Session {
    /// A session that strikes at `point`, and ends everything once `limit` has passed.
    pub fn new(point: Option<Point>, limit: Duration) -> Session {
        Session {
            point,
            struck: Struck::Never,
            over: false,
            seen: 0,
            tasks: BTreeMap::new(),
            early: BTreeSet::new(),
            last: 0,
            ended: BTreeMap::new(),
            guard: Guard::new(limit),
        }
    }

    pub fn struck(&self) -> Struck {
        self.struck
    }

    /// True once the time limit has ended what was left.
    pub fn expired(&self) -> bool {
        self.guard.lock().expired
    }

    /// The processes that are there.
    pub fn living(&self) -> Vec<pid_t> {
        self.tasks.keys().copied().chain(self.early.iter().copied()).collect()
    }

    /// Runs the command to the end of its own process; others go on. Returns its exit code, 128 + signal if one ended it.
    // The tracer's own wait reaps it.
    #[allow(clippy::zombie_processes)]
    pub fn run(&mut self, index: usize, command: &mut Command) -> i32 {
        ptrace::trace_me(command);
        let child = crate::spawn::spawn(command)
            .unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let pid = child.id() as pid_t;
        self.add(
            pid,
            Task {
                command: index,
                role: Role::Parent,
                starting: true,
                fresh: false,
                executed: false,
                answer: None,
            },
        );
        while !self.ended.contains_key(&pid) && self.step() {}
        self.ended.remove(&pid).unwrap_or(-1)
    }

    /// Attends everything until all processes have ended.
    pub fn drain(&mut self) {
        while self.step() {}
    }

    /// Attends everything until `done`, for something that no process tells, or until no process is left.
    pub fn attend(&mut self, done: impl Fn() -> bool) {
        while !done() && !self.living().is_empty() && !self.expired() {
            match ptrace::look(-1) {
                Ok(Some((pid, stop))) => self.event(pid, stop),
                Ok(None) | Err(Errno::EINTR) => std::thread::sleep(Duration::from_micros(200)),
                Err(_) => return,
            }
        }
    }

    /// Attends what is ending until it has ended. Whatever goes on is there afterwards.
    pub fn settle(&mut self) {
        let begun = Instant::now();
        self.attend(|| begun.elapsed() > SETTLED);
    }

    /// Kills what is left, and reaps it.
    pub fn end(&mut self) {
        self.living().into_iter().for_each(ptrace::kill);
        self.drain();
    }

    fn add(&mut self, pid: pid_t, task: Task) {
        self.tasks.insert(pid, task);
        self.guard.lock().pids.insert(pid);
    }

    /// One event; false where no process is left.
    fn step(&mut self) -> bool {
        match ptrace::wait(-1) {
            Ok((pid, stop)) => self.event(pid, stop),
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
        true
    }

    fn event(&mut self, pid: pid_t, stop: Stop) {
        match stop {
            Stop::Ended(code) => {
                let task = self.tasks.remove(&pid);
                self.early.remove(&pid);
                self.guard.lock().pids.remove(&pid);
                self.ended.insert(pid, code);
                if let Some(task) = task {
                    self.last = task.command;
                }
                self.early.clone().into_iter().for_each(|pid| self.adopt(pid));
            }
            Stop::Signal(SIGSTOP) if !self.tasks.contains_key(&pid) => {
                self.early.insert(pid);
                self.guard.lock().pids.insert(pid);
                self.adopt(pid);
            }
            Stop::Cloned => self.cloned(pid),
            Stop::SystemCall => self.system_call(pid),
            Stop::Exec => {
                if let Some(task) = self.tasks.get_mut(&pid) {
                    task.executed |= task.role == Role::Child;
                }
                self.resume(pid, 0);
            }
            Stop::Other => self.resume(pid, 0),
            Stop::Signal(signal) => {
                let mut deliver = signal;
                if let Some(task) = self.tasks.get_mut(&pid) {
                    if std::mem::take(&mut task.starting) && signal == SIGTRAP {
                        // One that is gone already is told by its end.
                        ptrace::follow(pid).ok();
                        deliver = 0;
                    } else if signal == SIGSTOP && std::mem::take(&mut task.fresh) {
                        deliver = 0;
                    }
                }
                self.resume(pid, deliver);
            }
        }
    }

    fn cloned(&mut self, pid: pid_t) {
        if let (Ok(child), Some(parent)) = (ptrace::message(pid), self.tasks.get(&pid)) {
            let waiting = self.early.remove(&child);
            let task = Task {
                command: parent.command,
                role: Role::Child,
                starting: false,
                fresh: !waiting,
                executed: parent.executed,
                answer: None,
            };
            // One that has ended already will not be heard of again.
            if self.ended.remove(&child).is_none() {
                self.add(child, task);
                if waiting {
                    self.resume(child, 0);
                }
            }
        }
        self.resume(pid, 0);
    }

    /// A new process whose maker was killed before it could tell of it goes on all the same.
    fn adopt(&mut self, pid: pid_t) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = crate::facts::status(&status).get("PPid").and_then(|number| number.parse().ok());
        if parent.is_some_and(|parent| !self.tasks.contains_key(&parent)) && self.early.remove(&pid) {
            let command = self.last;
            let task = Task {
                command,
                role: Role::Child,
                starting: false,
                fresh: false,
                executed: false,
                answer: None,
            };
            self.add(pid, task);
            self.resume(pid, 0);
        }
    }

    /// Whether the calls of this process count.
    fn counts(&self, task: &Task) -> bool {
        let chosen = self.point.is_some_and(|point| point.command == task.command && point.role == task.role);
        chosen && !self.over && !task.executed
    }

    fn resume(&self, pid: pid_t, signal: i32) {
        let stops = self.tasks.get(&pid).is_some_and(|task| self.counts(task) || task.answer.is_some());
        let result = if stops { ptrace::resume(pid, signal) } else { ptrace::release(pid, signal) };
        result.unwrap_or_else(|errno| panic!("resume {pid}: {errno}"));
    }

    fn system_call(&mut self, pid: pid_t) {
        match ptrace::entered(pid) {
            Ok(Some(number)) => self.entered(pid, number),
            Ok(None) => {
                if let Some(errno) = self.tasks.get_mut(&pid).and_then(|task| task.answer.take()) {
                    ptrace::answer(pid, errno as i32)
                        .or_else(gone)
                        .unwrap_or_else(|errno| panic!("answer {pid}: {errno}"));
                }
                self.resume(pid, 0);
            }
            // Killed meanwhile: its end is the next that is heard of it.
            Err(_) => {}
        }
    }

    fn entered(&mut self, pid: pid_t, number: u64) {
        let Some(point) = self.point else { return self.resume(pid, 0) };
        if !self.tasks.get(&pid).is_some_and(|task| self.counts(task)) {
            return self.resume(pid, 0);
        }
        self.seen += 1;
        if self.seen < point.number {
            return self.resume(pid, 0);
        }
        self.over = true;
        let call = Sysno::new(number as usize).unwrap_or(Sysno::restart_syscall);
        self.struck = Struck::At(call);
        match point.blow {
            Blow::Kills => return ptrace::kill(pid),
            Blow::Fails(_) if NO_ERROR.contains(&call) => self.struck = Struck::Spared(call),
            Blow::Fails(errno) => {
                if call != Sysno::close {
                    ptrace::skip(pid).or_else(gone).unwrap_or_else(|errno| panic!("skip {pid}: {errno}"));
                }
                if let Some(task) = self.tasks.get_mut(&pid) {
                    task.answer = Some(errno);
                }
            }
        }
        self.resume(pid, 0);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}

fn gone(errno: Errno) -> nix::Result<()> {
    if errno == Errno::ESRCH { Ok(()) } else { Err(errno) }
}

/// Ends the session's processes once its time is over, so that no wait blocks for ever.
struct Guard(Arc<(Mutex<Watched>, Condvar)>);

struct Watched {
    deadline: Instant,
    pids: BTreeSet<pid_t>,
    expired: bool,
    dismissed: bool,
}

impl Guard {
    fn new(limit: Duration) -> Guard {
        let watched = Watched {
            deadline: Instant::now() + limit,
            pids: BTreeSet::new(),
            expired: false,
            dismissed: false,
        };
        let shared = Arc::new((Mutex::new(watched), Condvar::new()));
        let guard = Guard(shared.clone());
        std::thread::spawn(move || watch(&shared));
        guard
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn watch(shared: &(Mutex<Watched>, Condvar)) {
    let mut watched = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
    while !watched.dismissed {
        let left = watched.deadline.saturating_duration_since(Instant::now());
        let pause = if left.is_zero() {
            watched.expired = true;
            watched.pids.iter().copied().for_each(ptrace::kill);
            // A process that is being cloned right now is not in the list yet.
            Duration::from_millis(50)
        } else {
            left
        };
        watched = shared.1.wait_timeout(watched, pause).unwrap_or_else(PoisonError::into_inner).0;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.lock().dismissed = true;
        self.0.1.notify_all();
    }
}
