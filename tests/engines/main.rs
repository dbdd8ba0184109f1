//! A smoke of the real engines: podman, dockerd and containerd's ctr run containers on the runtime under test, each on
//! the machine's cgroup v1 and in a view with cgroup v2 alone.
//!
//! Starting an engine is slow beside running a container, so a session starts it once, tries every behaviour, ends it,
//! and looks for what was left. The tests only tell what came out.

mod behaviours;
mod ctr;
mod docker;
mod engine;
mod packages;
mod view;

use behaviours::{Behaviour, ERRORS, EVERYWHERE, KEPT, LIMITS, PROCESSES};
use ctr::Ctr;
use docker::{Docker, Podman};
use engine::Engine;
use hull_tests::{Host, suite};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use view::View;

suite!(what_is_left_in_a_view_is_seen; sessions);

type Open = fn(&str) -> Box<dyn Engine>;

/// One engine on one host, with its behaviours.
struct Session {
    name: &'static str,
    open: Open,
    behaviours: Vec<Behaviour>,
    verdicts: OnceLock<BTreeMap<&'static str, Result<(), String>>>,
}

const OPENS: &str = "opens";
const LEAVES_NOTHING: &str = "leaves_nothing";

fn sessions() -> Vec<Trial> {
    let all: [(&str, Open, &[&[Behaviour]]); 7] = [
        (
            "podman_hybrid",
            |name| Box::new(Podman::new(name, Host::machine())),
            &[EVERYWHERE, KEPT, LIMITS, PROCESSES],
        ),
        ("podman_v2", |name| Box::new(Podman::new(name, Host::cgroup2())), &[EVERYWHERE, KEPT]),
        ("podman_json", |name| Box::new(Podman::that_reads_json(name, Host::machine())), &[ERRORS]),
        (
            "docker_hybrid",
            |name| Box::new(Docker::new(name, Host::machine())),
            &[EVERYWHERE, KEPT, LIMITS, PROCESSES],
        ),
        ("docker_v2", |name| Box::new(Docker::new(name, Host::cgroup2())), &[EVERYWHERE, KEPT]),
        ("ctr_v1", |name| Box::new(Ctr::new(name, Host::v1())), &[EVERYWHERE, LIMITS]),
        ("ctr_v2", |name| Box::new(Ctr::with_config(name, Host::cgroup2())), &[EVERYWHERE]),
    ];
    let mut trials = Vec::new();
    for (name, open, lists) in all {
        let session = Arc::new(Session { name, open, behaviours: lists.concat(), verdicts: OnceLock::new() });
        let ends = [OPENS, LEAVES_NOTHING];
        for behaviour in session.behaviours.iter().map(|(known, _)| *known).chain(ends) {
            let session = session.clone();
            trials.push((
                behaviour,
                Trial::test(format!("{name}::{behaviour}"), move || {
                    session.verdict(behaviour).map_err(Into::into)
                }),
            ));
        }
    }
    // Two sessions at a time, instead of one with a second thread that waits for it.
    trials.sort_by_key(|(behaviour, _)| *behaviour);
    trials.into_iter().map(|(_, trial)| trial).collect()
}

impl Session {
    fn verdict(&self, behaviour: &'static str) -> Result<(), String> {
        let verdicts = self.verdicts.get_or_init(|| self.run());
        verdicts.get(behaviour).cloned().unwrap_or_else(|| Err("the engine did not open".to_owned()))
    }

    fn run(&self) -> BTreeMap<&'static str, Result<(), String>> {
        let mut verdicts = BTreeMap::new();
        let engine = match caught(|| (self.open)(self.name)) {
            Ok(engine) => engine,
            Err(error) => {
                verdicts.insert(OPENS, Err(error));
                return verdicts;
            }
        };
        verdicts.insert(OPENS, Ok(()));
        for (name, behaviour) in &self.behaviours {
            verdicts.insert(name, caught(|| behaviour(&*engine)));
        }
        let left = caught(|| {
            let mut left = engine.containers();
            left.extend(engine.end());
            assert!(left.is_empty(), "left behind: {left:#?}");
        });
        verdicts.insert(LEAVES_NOTHING, left);
        verdicts
    }
}

fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

/// The control of `leaves_nothing`.
fn what_is_left_in_a_view_is_seen() {
    let view = View::new("control", Host::machine());
    let script = format!(
        "sleep 1000 >/dev/null 2>&1 & mount -t tmpfs none /var/tmp; mkdir /run/state; : > /run/state/one
        mkdir -p /sys/fs/cgroup/pids/{}/two",
        view.cgroup
    );
    view.output(&["sh", "-c", &script].map(str::to_owned)).succeeds();
    let left = view.end(&["/run/state"]).join("\n");
    for what in [": sleep 1000", "mount tmpfs on /var/tmp", "/run/state/one", "/two"] {
        assert!(left.contains(what), "{what} is not in {left}");
    }
}
