//! The seccomp compiler against libseccomp: hull's filters and those that runc would load, run in an interpreter over every
//! call that a profile can tell apart. And against the kernel, which must take the filters and run them as they are run here.

#[path = "seccomp/bpf.rs"]
mod bpf;
#[path = "seccomp/kernel.rs"]
mod kernel;
#[path = "seccomp/listener.rs"]
mod listener;
#[path = "seccomp/live.rs"]
mod live;
#[path = "seccomp/model.rs"]
mod model;
#[path = "seccomp/probes.rs"]
mod probes;
#[path = "seccomp/profiles.rs"]
mod profiles;
#[path = "seccomp/reference.rs"]
mod reference;

use bpf::{Call, Instruction};
use fastrand::Rng;
use hull_tests::suite::case;
use hull_tests::{Value, json, project, spawn, suite};
use libtest_mimic::Trial;
use live::*;
use model::Model;
use reference::{Filter, MACHINES, Machine, X86_64};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

suite!(
    real_profiles_are_small,
    a_wrong_instruction_is_noticed,
    made_up_profiles_agree,
    random_profiles_agree,
    wild_profiles_do_what_they_say,
    names_that_only_hull_knows_make_the_only_other_differences,
    far_targets_are_reached,
    a_filter_that_is_too_long_is_refused,
    the_kernel_runs_filters_as_the_interpreter_does,
    calls_get_what_the_filter_says,
    an_errno_comes_back_where_a_rule_says_so,
    a_call_that_kills_ends_the_container_with_sigsys,
    a_trapped_call_can_be_handled_and_a_killing_one_can_not,
    what_is_to_be_logged_is_in_the_kernels_log,
    the_kernel_has_the_compilers_program_from_the_right_moment_on,
    without_a_profile_there_is_no_filter,
    every_flag_is_taken_and_logging_is_set_where_asked_for,
    only_the_exec_comes_after_the_filter_with_no_new_privs,
    another_user_and_a_user_namespace_get_their_filter,
    calls_of_i386_are_filtered_by_their_own_numbers,
    a_kernel_without_filters_is_named,
    the_default_flag_goes_where_the_kernel_lacks_it_and_others_are_asked_for,
    an_action_that_the_kernel_lacks_is_an_error,
    a_filter_that_is_too_long_makes_no_container,
    a_listener_gets_the_state_and_decides,
    without_a_listener_there_is_no_container,
    a_listener_that_is_gone_leaves_no_call_waiting,
    who_notifies_names_a_listener;
    real_profiles_agree
);

/// The program of hull's unit tests, which hands out what the compiler makes.
static UNIT_TESTS: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--lib", "--no-run", "--message-format=json"]).current_dir(project());
    let output = spawn::output(&mut cargo);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next_back().expect("a program")
});

/// Profiles on their machines, compiled by hull in one go: the program, or the error.
fn compile(profiles: &[(&Value, &str)]) -> Vec<Result<Vec<Instruction>, String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |n: usize, end: &str| folder.path().join(format!("{n}.{}.{end}", profiles[n].1));
    for (n, (profile, _)) in profiles.iter().enumerate() {
        let config = json!({"ociVersion": "1.3.0", "linux": {"seccomp": profile}});
        fs::write(path(n, "json"), config.to_string()).expect("a file");
    }
    let output = spawn::output(
        Command::new(&*UNIT_TESTS)
            .arg("programs_of_the_folder_that_is_asked_for")
            .env("HULL_FILTERS", folder.path()),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result = |n| match fs::read(path(n, "bpf")) {
        Ok(bytes) => {
            let program = bpf::parse(&bytes);
            bpf::check(&program).unwrap_or_else(|error| panic!("{error}: {}", profiles[n].0));
            Ok(program)
        }
        Err(_) => Err(fs::read_to_string(path(n, "error")).expect("a program or an error")),
    };
    (0..profiles.len()).map(result).collect()
}

fn compile_one(profile: &Value, machine: &str) -> Vec<Instruction> {
    compile(&[(profile, machine)]).remove(0).expect("a program")
}

/// What a comparison came to.
#[derive(Default)]
struct Count {
    probes: u64,
    /// libseccomp gives what the profile's text does not say.
    wrong: u64,
    /// Several rules with different actions match, and libseccomp takes another one.
    other: u64,
    /// The first difference.
    example: String,
}

impl Count {
    fn add(&mut self, more: Count) {
        self.probes += more.probes;
        self.wrong += more.wrong;
        self.other += more.other;
        if self.example.is_empty() {
            self.example = more.example;
        }
    }
}

/// Compares hull's program for a profile with what runc would load, call by call. Here every verdict of hull must be one
/// that the text of the profile gives. What differences mean is for the caller to say.
fn compare(profile: &Value, machine: &Machine, ours: &[Instruction], filter: &Filter) -> Count {
    let model = Model::new(profile, machine);
    let mut count = Count::default();
    probes::each(&model, machine, &mut |call: &Call| {
        let ours = bpf::run(ours, call);
        let allowed = model.verdicts(call, filter);
        assert!(allowed.contains(&ours), "hull {ours:x}, allowed {allowed:x?}, {call:x?}: {profile}");
        count.probes += 1;
        let Some(theirs) = filter.verdict(call).filter(|theirs| *theirs != ours) else { return };
        if allowed.contains(&theirs) {
            count.other += 1;
        } else {
            count.wrong += 1;
            // the tree that libseccomp makes of several rules for one call loses some of them
            assert!(model.count(call) > 1, "hull {ours:x}, libseccomp {theirs:x}, {call:x?}: {profile}");
        }
        if count.example.is_empty() {
            count.example = format!("hull {ours:x}, libseccomp {theirs:x}, {call:x?}: {profile}");
        }
    });
    count
}

fn agree(name: &str, profile: &Value, machine: &Machine) -> u64 {
    let ours = compile_one(profile, machine.name);
    let count = compare(profile, machine, &ours, &Filter::new(profile, machine, None));
    assert!(count.example.is_empty(), "{name}: {}", count.example);
    count.probes
}

fn real_profiles_agree() -> Vec<Trial> {
    let one = |name: &'static str, machine: &'static Machine| {
        move || {
            let (profile, _) = profiles::known(profiles::on(profiles::real(name), machine), machine);
            let probes = agree(name, &profile, machine);
            println!("    {name} on {}: {probes} probes", machine.name);
        }
    };
    static ALL: [Machine; 4] = MACHINES;
    let pairs = profiles::REAL.iter().flat_map(|name| ALL.iter().map(move |machine| (*name, machine)));
    pairs
        .map(|(name, machine)| case(format!("{name}_agrees_on_{}", machine.name), one(name, machine)))
        .collect()
}

fn real_profiles_are_small() {
    for name in profiles::REAL {
        let profile = profiles::real(name);
        let ours = compile_one(&profile, "x86_64").len();
        let length = |tree| Filter::new(&profile, &MACHINES[0], Some(tree)).program.len();
        let [line, tree] = [length(false), length(true)];
        println!("    {name}: {ours} instructions, libseccomp {line}, with its binary tree {tree}");
        assert!(ours <= 900 && ours * 2 <= line.min(tree), "{name}: {ours}, {line}, {tree}");
    }
}

/// The control: no test and no return of a filter can be another one without a call that shows it.
fn a_wrong_instruction_is_noticed() {
    let machine = &MACHINES[0];
    let (profile, _) = profiles::known(profiles::on(profiles::real("docker"), machine), machine);
    let program = compile_one(&profile, machine.name);
    let filter = Filter::new(&profile, machine, None);
    let mut calls = Vec::new();
    probes::each(&Model::new(&profile, machine), machine, &mut |call| calls.push(*call));
    for at in (0..program.len()).filter(|at| ![0x20, 0x54, 0x05].contains(&program[*at].code)) {
        let mut wrong = program.clone();
        wrong[at].k ^= 1;
        let noticed = calls.iter().any(|call| Some(bpf::run(&wrong, call)) != filter.verdict(call));
        assert!(noticed, "instruction {at}: {:x?}", program[at]);
    }
}

fn made_up_profiles_agree() {
    let mut all = profiles::made_up();
    for (n, (_, profile)) in all.iter_mut().enumerate() {
        let machine = &MACHINES[[0, 0, 1, 2, 3][n % 5]];
        *profile = profiles::on(profile.clone(), machine);
    }
    let mut total = Count::default();
    let machine = |n: usize| &MACHINES[[0, 0, 1, 2, 3][n % 5]];
    let given: Vec<_> = all.iter().enumerate().map(|(n, (_, profile))| (profile, machine(n).name)).collect();
    for (n, (program, (name, profile))) in compile(&given).into_iter().zip(&all).enumerate() {
        let program = program.unwrap_or_else(|error| panic!("{name}: {error}"));
        let filter = Filter::new(profile, machine(n), None);
        assert_eq!(filter.refused, [0; 0], "{name}");
        let count = compare(profile, machine(n), &program, &filter);
        assert!(count.example.is_empty(), "{name}: {}", count.example);
        total.add(count);
    }
    println!("    {} profiles, {} probes", all.len(), total.probes);
}

/// A profile by chance without the rules that libseccomp refuses because they contradict others.
fn accepted(rng: &mut Rng) -> (Value, &'static Machine, Filter) {
    let (mut profile, machine) = profiles::random(rng, true);
    let mut filter = Filter::new(&profile, machine, None);
    if let Some(first) = filter.refused.iter().min() {
        profile["syscalls"].as_array_mut().expect("rules").truncate(*first);
        filter = Filter::new(&profile, machine, None);
    }
    assert_eq!(filter.refused, [0; 0]);
    (profile, machine, filter)
}

fn compare_all(all: &[(Value, &'static Machine, Filter)]) -> Count {
    let given: Vec<_> = all.iter().map(|(profile, machine, _)| (profile, machine.name)).collect();
    let mut total = Count::default();
    for (program, (profile, machine, filter)) in compile(&given).into_iter().zip(all) {
        let program = program.unwrap_or_else(|error| panic!("{error}: {profile}"));
        total.add(compare(profile, machine, &program, filter));
    }
    total
}

/// How many profiles are made up by chance.
fn many() -> usize {
    if std::env::var_os("HULL_LONG").is_some() { 10_000 } else { 400 }
}

fn random_profiles_agree() {
    let mut rng = Rng::with_seed(17);
    let all: Vec<_> = (0..many()).map(|_| accepted(&mut rng)).collect();
    let total = compare_all(&all);
    println!(
        "    {} profiles, {} probes, {} where libseccomp contradicts the profile, {} where it takes another rule",
        all.len(),
        total.probes,
        total.wrong,
        total.other
    );
    assert_eq!(total.other, 0, "{}", total.example);
    assert!(total.wrong < total.probes / 10_000, "{}", total.example);
}

/// Profiles that libseccomp can't be trusted with: hull does what their text says.
fn wild_profiles_do_what_they_say() {
    let mut rng = Rng::with_seed(23);
    let one = |_| {
        let (profile, machine) = profiles::random(&mut rng, false);
        let stub = Filter::stub(&profile, machine);
        (profile, machine, stub)
    };
    let all: Vec<_> = (0..many()).map(one).collect();
    println!("    {} profiles, {} probes", all.len(), compare_all(&all).probes);
}

fn names_that_only_hull_knows_make_the_only_other_differences() {
    let machine = &MACHINES[0];
    for name in profiles::REAL {
        let profile = profiles::real(name);
        let (known, gone) = profiles::known(profile.clone(), machine);
        let given = [(&profile, machine.name), (&known, machine.name)];
        let [ours, less] = compile(&given).try_into().expect("two");
        let (ours, less) = (ours.expect("a program"), less.expect("a program"));
        let filter = Filter::new(&known, machine, None);
        let model = Model::new(&profile, machine);
        let (mut probes, mut differences) = (0, 0);
        probes::each(&model, machine, &mut |call: &Call| {
            probes += 1;
            assert_eq!(Some(bpf::run(&less, call)), filter.verdict(call), "{name}: {call:x?}");
            if Some(bpf::run(&ours, call)) == filter.verdict(call) {
                return;
            }
            differences += 1;
            // uretprobe(2), and what came with Linux 6.5 and later
            let number = call.number & !reference::BIT;
            assert!(matches!(number, 335 | 451..=600) && !gone.is_empty(), "{name}: {call:x?}");
        });
        println!("    {name}: {probes} probes, {differences} differences from {gone:?}");
    }
}

fn far_targets_are_reached() {
    // every other number has an action of its own, and one call has a list of conditions that no jump spans
    let numbers: Vec<_> = (0..330).filter_map(|n| reference::name(X86_64, n)).collect();
    let mut rules: Vec<Value> = Vec::new();
    for (n, name) in numbers.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
        let mut one = profiles::rule(name, "ERRNO", &[]);
        one["errnoRet"] = json!(100 + n);
        rules.push(one);
    }
    for n in 0..100 {
        let action = if n % 2 == 0 { "ALLOW" } else { "LOG" };
        rules.push(profiles::rule("ioctl", action, &[(0, "EQ", n << 32), (1, "EQ", n)]));
        rules.push(profiles::rule("fcntl", action, &[(1, "EQ", n)]));
    }
    rules.retain(|rule| {
        rule["errnoRet"].is_null() || !["ioctl", "fcntl"].map(|n| json!([n])).contains(&rule["names"])
    });
    let profile = profiles::on(profiles::profile("KILL", rules), &MACHINES[0]);
    let probes = agree("far", &profile, &MACHINES[0]);
    println!("    {} instructions, {probes} probes", compile_one(&profile, "x86_64").len());
}

fn a_filter_that_is_too_long_is_refused() {
    let many = |count: u64| {
        let rules = (0..count).map(|n| profiles::rule("ioctl", "ALLOW", &[(1, "EQ", n)])).collect();
        profiles::profile("ERRNO", rules)
    };
    let (most, more) = (many(1000), many(1100));
    let [most, more]: [_; 2] = compile(&[(&most, "x86_64"), (&more, "x86_64")]).try_into().expect("two");
    assert!(most.expect("a program").len() > 4000);
    let error = more.expect_err("too long");
    assert!(
        error.starts_with("config.json: linux.seccomp: the filter has more than 4096 instructions"),
        "{error}"
    );
}

fn the_kernel_runs_filters_as_the_interpreter_does() {
    let machine = &MACHINES[0];
    for name in profiles::REAL {
        let profile = profiles::on(profiles::real(name), machine);
        let program = compile_one(&profile, machine.name);
        let model = Model::new(&profile, machine);
        let mut calls = Vec::new();
        probes::each(&model, machine, &mut |call| calls.push(*call));
        // newer kernels let uretprobe(2) and uprobe(2) pass unfiltered, and those kill who is not a probe
        calls.retain(|call| machine.archs.iter().any(|arch| arch.audit == call.arch));
        calls.retain(|call| call.arch != X86_64.audit || !matches!(call.number, 335 | 336));
        let verdicts = kernel::verdicts(&program, &calls);
        for (call, verdict) in calls.iter().zip(verdicts) {
            assert_eq!(verdict, bpf::run(&program, call), "{name}: {call:x?}");
        }
        println!("    {name}: {} calls", calls.len());
    }
}

fn calls_get_what_the_filter_says() {
    let profile = profiles::on(profiles::real("docker"), &MACHINES[0]);
    kernel::sample(&compile_one(&profile, "x86_64"));
}
