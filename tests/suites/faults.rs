//! Faults from the start: each system call of each command fails once, and is once the last before a kill.
//!
//! The usual set has every call with one errno chosen by its number, and a kill at every seventh. `HULL_LONG` has every
//! call with EIO, ENOMEM, EPERM, ENOSPC and a kill, on cgroup v2 and v1, for each kind of bundle.

use hull_tests::faults::session::Role;
use hull_tests::faults::world::Kind;
use hull_tests::faults::{self, Campaign, Report, SCENARIOS};
use hull_tests::suite::case;
use hull_tests::{Host, suite};
use libtest_mimic::Trial;

suite!(; every_call);

fn every_call() -> Vec<Trial> {
    let long = std::env::var_os("HULL_LONG").is_some();
    let blows = if long { faults::all_blows } else { faults::some_blows };
    let kinds = [Kind::Plain, Kind::Rich, Kind::User];
    let hosts =
        if long { vec![Host::cgroup2(), Host::v1(), Host::no_cgroup()] } else { vec![Host::cgroup2()] };
    let mut all = Vec::new();
    for scenario in SCENARIOS {
        for (host, kind) in hosts.iter().flat_map(|host| kinds.map(|kind| (host, kind))) {
            for command in 0..scenario.commands() {
                for role in [Role::Parent, Role::Child] {
                    let campaign = Campaign { scenario, kind, host: host.clone(), command, role, blows };
                    all.push(case(campaign.name(), move || hold(campaign)));
                }
            }
        }
    }
    all
}

/// No violation at any point.
fn hold(campaign: Campaign) {
    let name = campaign.name();
    let Report { counts, violations, longest } = campaign.wage();
    for (blow, (points, bad)) in counts {
        println!("    {name}, {blow}: {points} points, {bad} violations");
    }
    println!("{name}: the longest took {} ms", longest.as_millis());
    assert!(violations.is_empty(), "{} violations\n{}", violations.len(), violations.join("\n"));
}
