//! Faults from the start: each system call of each command fails once, and is once the last before a kill.
//!
//! The usual set has every call with one errno chosen by its number, and a kill at every seventh. `HULL_LONG` has every
//! call with EIO, ENOMEM, EPERM, ENOSPC and a kill, on cgroup v2 and v1, for each kind of bundle.

use hull_tests::faults::session::{Blow, Point, Role, Session, Struck};
use hull_tests::faults::world::{Kind, World};
use hull_tests::faults::{self, Campaign, Report, SCENARIOS};
use hull_tests::suite::case;
use hull_tests::{Host, suite};
use libtest_mimic::Trial;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use syscalls::Sysno;

suite!(
    an_errno_reaches_the_call_that_it_is_meant_for,
    a_kill_comes_before_the_call_that_it_is_meant_for,
    whatever_is_left_is_found;
    every_call
);

/// Plays busybox's cat of a file with this blow at its n-th call, for the first n at which it opens the file.
fn cat_struck_by(blow: Blow) -> (i32, String, String) {
    let dir = hull_tests::bundle::scratch().join(format!("cat-{}", blow == Blow::Kills));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "content\n").unwrap();
    let play = |number| {
        let point = Point { command: 0, role: Role::Parent, number, blow };
        let mut session = Session::new(Some(point), Duration::from_secs(15));
        let output = |name: &str| fs::File::create(dir.join(name)).unwrap();
        let mut command = Command::new(hull_tests::bundle::BUSYBOX);
        command
            .arg("cat")
            .arg(dir.join("file"))
            .stdin(Stdio::null())
            .stdout(output("out"))
            .stderr(output("err"));
        let code = session.run(0, &mut command);
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
        (session.struck(), (code, read("out"), read("err")))
    };
    let opens = [Sysno::open, Sysno::openat].map(Struck::At);
    let (_, found) = (1..200).map(play).rfind(|(struck, _)| opens.contains(struck)).expect("an open");
    let (struck, unharmed) = play(1000);
    assert_eq!((struck, unharmed), (Struck::Never, (0, "content\n".into(), String::new())));
    fs::remove_dir_all(dir).unwrap();
    found
}

fn an_errno_reaches_the_call_that_it_is_meant_for() {
    let (code, out, err) = cat_struck_by(Blow::Fails(Errno::EIO));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("I/O error") || err.contains("Input/output error"), "{err}");
}

fn a_kill_comes_before_the_call_that_it_is_meant_for() {
    assert_eq!(cat_struck_by(Blow::Kills), (137, String::new(), String::new()));
}

fn whatever_is_left_is_found() {
    let look = || {
        let mut world = World::enter(&Host::cgroup2(), Kind::Plain, false);
        world.remember();
        let mut session = Session::new(None, Duration::from_secs(15));
        assert_eq!(world.leftovers(&session, false), Vec::<String>::new());
        let (dir, id) = (world.bundle.dir.clone(), world.bundle.id.clone());
        fs::create_dir_all(dir.join("state").join(&id)).unwrap();
        fs::create_dir_all(Path::new("/sys/fs/cgroup").join(&id)).unwrap();
        fs::write(dir.join("pid/file"), "1").unwrap();
        fs::write(dir.join("rootfs/tmp/file"), "").unwrap();
        mount(Some("none"), &dir.join("rootfs/tmp"), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let orphan = "sleep 1000 >/dev/null 2>&1 & exit 0";
        session.run(0, Command::new("/bin/sh").args(["-c", orphan]).stdin(Stdio::null()));
        let found = world.leftovers(&session, false);
        for kind in ["process ", "state ", "cgroup ", "new mount ", "pid/file"] {
            assert!(found.iter().any(|line| line.contains(kind)), "no {kind}in {found:?}");
        }
        nix::mount::umount(&dir.join("rootfs/tmp")).unwrap();
        assert!(world.leftovers(&session, true).iter().any(|line| line.contains("rootfs/tmp/file")));
        world.sweep(&mut session);
        fs::remove_file(dir.join("rootfs/tmp/file")).unwrap();
        assert_eq!(world.leftovers(&session, false), Vec::<String>::new());
    };
    std::thread::scope(|scope| {
        scope.spawn(look).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
}

fn every_call() -> Vec<Trial> {
    let long = std::env::var_os("HULL_LONG").is_some();
    let blows = if long { faults::all_blows } else { faults::some_blows };
    let hosts =
        if long { vec![Host::cgroup2(), Host::v1(), Host::no_cgroup()] } else { vec![Host::cgroup2()] };
    let kinds = [Kind::Plain, Kind::Rich, Kind::User, Kind::Joined];
    let mut all = Vec::new();
    for scenario in SCENARIOS {
        // What a bundle asks for makes no difference to what comes after its container is made.
        let kinds = if long || scenario.name == "run" { &kinds[..] } else { &kinds[..1] };
        for (host, kind) in hosts.iter().flat_map(|host| kinds.iter().map(move |kind| (host, *kind))) {
            for &(command, role) in scenario.targets {
                let campaign = Campaign { scenario, kind, host: host.clone(), command, role, blows };
                all.push(case(campaign.name(), move || hold(campaign)));
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
