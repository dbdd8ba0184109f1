//! Faults: every system call of a scenario fails once, and is once the last that its process comes to.
//!
//! A scenario is a list of commands. It is played once for each point (command, role, number of the call, blow), until
//! fewer calls are made than the number asks for. After each play, from outside: either the command has failed with one
//! line of error, or all commands went well and the container is the one that it is without a fault; nothing is left;
//! and the same scenario under the same id goes well.

pub mod session;
pub mod world;

use crate::Host;
use nix::errno::Errno;
use session::{Blow, Point, Role, Session, Struck};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use world::{Kind, Said, World};

/// After this, a point hangs. hull itself gives up on a cgroup that stays busy after ten seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// One step of a scenario.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// hull with these words; see [`World::command`].
    Hull(&'static [&'static str]),
    /// Until the container's program has told its facts.
    Ready,
    /// Until every process has ended.
    Ended,
}

/// A list of commands, how it ends, and what is struck in it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub acts: &'static [Act],
    /// The container's program lives until it is killed.
    pub stay: bool,
    /// The container is still there after the last command.
    pub left: bool,
    /// Command and role of each campaign. What a container's process does after `start` is still its creator's child.
    pub targets: &'static [(usize, Role)],
}

/// Commands that make a container: if one fails, there is none.
const MAKERS: [&str; 2] = ["run", "create"];

const RUN: Act = Act::Hull(&["run", "-b", "BUNDLE", "--pid-file", "PID-FILE", "ID"]);
const RUN_DETACHED: Act = Act::Hull(&["run", "--detach", "-b", "BUNDLE", "--pid-file", "PID-FILE", "ID"]);
const RUN_MONITORED: Act = Act::Hull(&[
    "run",
    "--detach",
    "--monitor",
    "--log",
    "OUTPUT",
    "-b",
    "BUNDLE",
    "--pid-file",
    "PID-FILE",
    "ID",
]);
const CREATE: Act = Act::Hull(&["create", "-b", "BUNDLE", "--pid-file", "PID-FILE", "ID"]);
const START: Act = Act::Hull(&["start", "ID"]);
const STATE: Act = Act::Hull(&["state", "ID"]);
const LIST: Act = Act::Hull(&["list"]);
const KILL: Act = Act::Hull(&["kill", "ID", "KILL"]);
const DELETE: Act = Act::Hull(&["delete", "ID"]);
const FORCE_WORDS: &[&str] = &["delete", "--force", "ID"];
const FORCE: Act = Act::Hull(FORCE_WORDS);

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "run",
        acts: &[RUN],
        stay: false,
        left: false,
        targets: &[(0, Role::Parent), (0, Role::Child)],
    },
    Scenario { name: "create", acts: &[CREATE], stay: false, left: true, targets: &[(0, Role::Parent)] },
    Scenario {
        name: "life",
        acts: &[CREATE, START, Act::Ready, STATE, LIST, KILL, Act::Ended, DELETE],
        stay: true,
        left: false,
        targets: &[
            (0, Role::Child),
            (1, Role::Parent),
            (2, Role::Parent),
            (3, Role::Parent),
            (4, Role::Parent),
            (5, Role::Parent),
        ],
    },
    Scenario {
        name: "deleted while created",
        acts: &[CREATE, FORCE],
        stay: false,
        left: false,
        targets: &[(1, Role::Parent)],
    },
    Scenario {
        name: "deleted while running",
        acts: &[CREATE, START, Act::Ready, FORCE],
        stay: true,
        left: false,
        targets: &[(2, Role::Parent)],
    },
    Scenario {
        name: "detached",
        acts: &[RUN_DETACHED, Act::Ended, DELETE],
        stay: false,
        left: false,
        targets: &[(0, Role::Parent), (0, Role::Child)],
    },
    // the monitor is a child too, to its end
    Scenario {
        name: "monitored",
        acts: &[RUN_MONITORED, Act::Ended, DELETE],
        stay: false,
        left: false,
        targets: &[(0, Role::Parent), (0, Role::Child)],
    },
];

impl Scenario {
    fn words(&self, command: usize) -> &'static [&'static str] {
        let words = self.acts.iter().filter_map(|act| match act {
            Act::Hull(words) => Some(*words),
            _ => None,
        });
        words.clone().nth(command).unwrap_or(&[])
    }

    /// Whether a child makes the container and stays as its monitor.
    fn monitored(&self) -> bool {
        self.words(0).contains(&"--monitor")
    }

    /// Whether the container's program runs to the end of its facts.
    fn tells(&self) -> bool {
        self.stay || self.acts.iter().any(|act| matches!(act, Act::Ended) || is_run(act))
    }
}

/// What the points of one campaign came to.
#[derive(Default)]
pub struct Report {
    /// Points and violations of each blow, by its name.
    pub counts: BTreeMap<String, (usize, usize)>,
    pub violations: Vec<String>,
    pub longest: Duration,
}

/// A campaign against one role of one command.
pub struct Campaign {
    pub scenario: &'static Scenario,
    pub kind: Kind,
    pub host: Host,
    pub command: usize,
    pub role: Role,
    /// What strikes at the call of this number.
    pub blows: fn(u32) -> Vec<Blow>,
}

/// Every errno and the kill at every call.
pub fn all_blows(_: u32) -> Vec<Blow> {
    let mut all: Vec<Blow> = ERRNOS.map(Blow::Fails).to_vec();
    all.push(Blow::Kills);
    all
}

/// One errno at every call, a kill at each seventh.
pub fn some_blows(number: u32) -> Vec<Blow> {
    let mut some: Vec<Blow> =
        ERRNOS.get(number as usize % 4).map(|errno| Blow::Fails(*errno)).into_iter().collect();
    if number % 7 == 3 {
        some.push(Blow::Kills);
    }
    some
}

const ERRNOS: [Errno; 4] = [Errno::EIO, Errno::ENOMEM, Errno::EPERM, Errno::ENOSPC];

impl Campaign {
    pub fn name(&self) -> String {
        let role = if self.role == Role::Parent { "parent" } else { "child" };
        let verb = self.scenario.words(self.command).first().unwrap_or(&"");
        let of = if *verb == self.scenario.name { String::new() } else { format!("_{verb}") };
        let (scenario, kind) = (self.scenario.name.replace(' ', "_"), self.kind.name());
        format!("{scenario}_of_{kind}_on_{}_struck_in{of}_{role}", self.host.name.replace(' ', "_"))
    }

    /// Carries it out, in a thread of its own, which has the mounts.
    pub fn wage(self) -> Report {
        std::thread::spawn(move || self.all_points())
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn all_points(&self) -> Report {
        let mut world = World::enter(&self.host, self.kind, self.scenario.stay);
        let wanted = self.control(&mut world);
        let mut report = Report::default();
        let mut unmet = 0;
        for number in 1.. {
            for blow in (self.blows)(number) {
                let point = Point { command: self.command, role: self.role, number, blow };
                let begun = Instant::now();
                let (struck, complaints) = self.one(&world, point, &wanted);
                report.longest = report.longest.max(begun.elapsed());
                unmet = if struck == Struck::Never { unmet + 1 } else { 0 };
                report.note(struck, point, &complaints);
            }
            // The number of calls is not quite the same each time: waits are repeated, and two processes race.
            if unmet >= 4 {
                return report;
            }
        }
        report
    }

    /// Plays it without a fault, twice; returns what the container says.
    fn control(&self, world: &mut World) -> Vec<String> {
        let mut wanted = Vec::new();
        for round in 0..2 {
            world.tidy();
            let mut session = Session::new(None, LIMIT);
            let said = self.play(world, &mut session);
            assert!(
                said.iter().all(|said| said.code == 0 && said.complaints().is_empty()),
                "without a fault: {said:?}"
            );
            let facts = world.normal(&said[0].out);
            assert!(
                !self.scenario.tells() || facts.iter().any(|line| line == "complete"),
                "without a fault: {said:?}"
            );
            if self.scenario.left {
                assert_eq!(clean_up(world, &mut session), Vec::<String>::new());
            }
            session.settle();
            world.tidy();
            if round == 0 {
                // What the first container makes in its root stays there.
                world.remember();
            } else {
                let changed = world::difference("fact", &wanted, &facts);
                assert!(changed.is_empty(), "two containers without a fault: {changed:?}");
            }
            let found = world.leftovers(&session, false);
            assert!(found.is_empty(), "left without a fault: {found:?}");
            wanted = facts;
        }
        wanted
    }

    /// The commands, up to the first that fails.
    fn play(&self, world: &World, session: &mut Session) -> Vec<Said> {
        let mut codes = Vec::new();
        for act in self.scenario.acts {
            match act {
                Act::Hull(words) => {
                    let index = codes.len();
                    codes.push(session.run(index, &mut world.command(index, words)));
                    if codes.last() != Some(&0) {
                        break;
                    }
                }
                Act::Ready => session.attend(|| world.said(0, 0).out.contains("\ncomplete\n")),
                Act::Ended => session.drain(),
            }
        }
        codes.into_iter().enumerate().map(|(index, code)| world.said(index, code)).collect()
    }

    fn one(&self, world: &World, point: Point, wanted: &[String]) -> (Struck, Vec<String>) {
        world.tidy();
        let mut session = Session::new(Some(point), LIMIT);
        let said = self.play(world, &mut session);
        let struck = session.struck();
        let mut complaints = self.judge(world, &said, point, struck, wanted);
        let failed = said.last().is_some_and(|said| said.code != 0);
        let maker = point.role == Role::Parent || self.scenario.monitored();
        let hull_is_gone = failed && point.blow == Blow::Kills && maker;
        let making = said.len() == 1 && MAKERS.contains(self.scenario.words(0).first().unwrap_or(&""));
        let foreground = is_run(&self.scenario.acts[0]);
        if hull_is_gone && foreground {
            // A child notices that its parent is gone; a program of the container's ends by itself.
            session.drain();
        }
        let nothing_is_there = if failed { making && !hull_is_gone } else { !self.scenario.left };
        if !nothing_is_there {
            complaints.extend(clean_up(world, &mut session));
        }
        if !nothing_is_there || !foreground {
            session.settle();
        }
        let ended = said.last().is_some_and(Said::is_the_programs_end);
        let found = world.leftovers(&session, !failed || !making || hull_is_gone || ended);
        if session.expired() {
            complaints.push(format!("no end after {LIMIT:?}"));
        }
        if !found.is_empty() {
            world.sweep(&mut session);
        }
        drop(session);
        complaints.extend(found.into_iter().map(|what| format!("left: {what}")));
        complaints.extend(self.again(world, wanted));
        if !complaints.is_empty() {
            complaints.extend(said.iter().map(Said::short));
        }
        (struck, complaints)
    }

    /// What the commands said, against what they may say.
    fn judge(
        &self,
        world: &World,
        said: &[Said],
        point: Point,
        struck: Struck,
        wanted: &[String],
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(last) = said.last() else { return wrong };
        let words = self.scenario.words(said.len() - 1);
        if last.code == 0 {
            // Killed after it had said that only its exec was left, which nobody can tell from killed right after that.
            let killed = point.blow == Blow::Kills && point.role == Role::Child && said[0].out.is_empty();
            // a monitor that is struck once it is on its own may lose output
            if point.role == Role::Parent || !self.scenario.monitored() {
                let facts = world.normal(&said[0].out);
                wrong.extend(world::difference("fact", if killed { &[] } else { wanted }, &facts));
            }
            wrong.extend(said.iter().flat_map(Said::complaints).map(|line| format!("success, and {line:?}")));
            return wrong;
        }
        let id = if words.contains(&"ID") { format!(" {}", world.bundle.id) } else { String::new() };
        let start = format!("hull: {}{id}: ", words.first().unwrap_or(&""));
        let lines = last.complaints();
        let one_line = lines.len() == 1
            && last.err.ends_with('\n')
            && lines.iter().all(|line| line.strip_prefix(&start).is_some_and(|rest| rest.len() > 10));
        match point.blow {
            _ if !matches!(struck, Struck::At(_)) => wrong.push("failed without a fault".into()),
            Blow::Kills if point.role == Role::Parent && (last.code != 137 || !lines.is_empty()) => {
                wrong.push("not ended by the kill".into());
            }
            Blow::Kills if last.is_the_programs_end() => {}
            _ if !one_line => wrong.push(format!("not one line {start:?}")),
            _ if !matches!(last.code, 1 | 255) => wrong.push("neither 1 nor 255".into()),
            _ => {}
        }
        wrong
    }

    /// The same id, without a fault.
    fn again(&self, world: &World, wanted: &[String]) -> Vec<String> {
        world.tidy();
        let mut session = Session::new(None, LIMIT);
        let said = self.play(world, &mut session);
        let mut wrong: Vec<String> = said
            .iter()
            .filter(|said| said.code != 0)
            .map(|said| format!("again: {}", said.short()))
            .collect();
        if wrong.is_empty() {
            let facts = world.normal(&said[0].out);
            wrong.extend(world::difference("fact, again", wanted, &facts));
        }
        if self.scenario.left || !wrong.is_empty() {
            wrong.extend(clean_up(world, &mut session));
        }
        session.settle();
        let found = world.leftovers(&session, true);
        if !found.is_empty() {
            world.sweep(&mut session);
        }
        wrong.extend(found.into_iter().map(|what| format!("again left: {what}")));
        wrong
    }
}

/// The way back from anything: `hull delete --force`.
fn clean_up(world: &World, session: &mut Session) -> Vec<String> {
    // Beyond the commands of any scenario, so that nothing that they said is written over.
    let index = 99;
    let code = session.run(index, &mut world.command(index, FORCE_WORDS));
    let said = world.said(index, code);
    let good = said.code == 0 && said.complaints().is_empty();
    if good { Vec::new() } else { vec![format!("delete --force: {}", said.short())] }
}

/// hull stays until the container's end.
fn is_run(act: &Act) -> bool {
    matches!(act, Act::Hull(words) if words.first() == Some(&"run") && !words.contains(&"--detach"))
}

impl Report {
    fn note(&mut self, struck: Struck, point: Point, complaints: &[String]) {
        let blow = match point.blow {
            Blow::Fails(errno) => format!("{errno:?}"),
            Blow::Kills => "SIGKILL".into(),
        };
        let (points, violations) = self.counts.entry(blow.clone()).or_default();
        *points += usize::from(matches!(struck, Struck::At(_)));
        *violations += usize::from(!complaints.is_empty());
        if !complaints.is_empty() {
            let at = match struck {
                Struck::At(call) => format!("{call} {blow}"),
                Struck::Spared(call) => format!("{call}, left alone"),
                Struck::Never => "never reached".into(),
            };
            let role = point.role;
            self.violations.push(format!(
                "call {} of {role:?}: {at}\n    {}",
                point.number,
                complaints.join("\n    ")
            ));
        }
    }
}
