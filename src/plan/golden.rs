//! Golden files: the plans of the real configs on fixed hosts, as `hull plan` prints them, in tests/golden.
//! `HULL_BLESS=1 cargo test --lib golden` writes them anew; read the difference before committing it.

use super::host::{Hierarchy, Host, Version};
use super::{Request, plan};
use crate::compose;
use crate::config;
use crate::error::test_arena;
use std::path::{Path, PathBuf};

pub const UNIFIED: [Hierarchy<'static>; 1] = [Hierarchy {
    version: Version::V2,
    mount: c"/sys/fs/cgroup",
    controllers: c"",
    own: c"/user.slice/hull.scope",
}];

const fn v1(mount: &'static std::ffi::CStr, controllers: &'static std::ffi::CStr) -> Hierarchy<'static> {
    Hierarchy { version: Version::V1, mount, controllers, own: c"/" }
}

pub const HYBRID: [Hierarchy<'static>; 6] = [
    v1(c"/sys/fs/cgroup/cpu,cpuacct", c"cpu,cpuacct"),
    v1(c"/sys/fs/cgroup/cpuset", c"cpuset"),
    v1(c"/sys/fs/cgroup/memory", c"memory"),
    v1(c"/sys/fs/cgroup/devices", c"devices"),
    v1(c"/sys/fs/cgroup/systemd", c"name=systemd"),
    Hierarchy { version: Version::V2, mount: c"/sys/fs/cgroup/unified", controllers: c"", own: c"/" },
];

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn printed(config: &str, host: &Host<'static>) -> String {
    let arena = test_arena(4 << 20);
    let text = arena.c_str(config.as_bytes()).unwrap().to_bytes();
    let parsed = config::parse(&arena, "config.json", text).expect("a config");
    let request = Request::plain(c"golden");
    let lines = match plan(&arena, &parsed, host, &request) {
        Ok(plan) => compose!(arena, plan),
        Err(error) => compose!(arena, "error: ", error, "\n"),
    };
    String::from_utf8(lines.to_vec()).unwrap()
}

fn compare(name: &str, host: &Host<'static>, kind: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(tests().join("configs/real").join(format!("{name}.json"))).unwrap();
    let now = printed(&text, host);
    let file = tests().join("golden").join(format!("{name}.{kind}.plan"));
    if std::env::var_os("HULL_BLESS").is_some() {
        std::fs::write(&file, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    for (n, (kept, now)) in kept.lines().zip(now.lines()).enumerate() {
        if kept != now {
            return Err(format!("{}:{}:\n  kept: {kept}\n  now:  {now}", file.display(), n + 1));
        }
    }
    if kept == now { Ok(()) } else { Err(format!("{}: another number of lines", file.display())) }
}

#[test]
fn plans_of_the_real_configs_are_the_golden_ones() {
    let names = [
        "runc-spec",
        "runc-spec-rootless",
        "crun-spec",
        "umoci",
        "umoci-rootless",
        "docker",
        "podman",
        "podman-rich",
        "containerd",
    ];
    let unified = Host { cgroups: &UNIFIED, own: 0, resctrl: None };
    let mut wrong: Vec<String> =
        names.iter().filter_map(|name| compare(name, &unified, "v2").err()).collect();
    for name in ["runc-spec", "docker", "podman-rich"] {
        wrong.extend(compare(name, &Host { cgroups: &HYBRID, own: 0, resctrl: None }, "hybrid").err());
        wrong.extend(compare(name, &Host { cgroups: &[], own: 0, resctrl: None }, "none").err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
