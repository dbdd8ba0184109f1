//! The config.json that comes out of an image's config and the recipe (OCI image-spec, conversion.md).

use serde_json::{Value, json};

use crate::support::*;

/// The config.json for an image with this config, and what the build warned of.
#[track_caller]
fn made(image: &Value, recipe: &str) -> (Value, String) {
    let folder = folder();
    let layer = Archive::new()
        .program("bin/program", "x")
        .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n33:x:0:0::/:/\n")
        .file("etc/group", "root:x:0:\nwww:x:34:\nvideo:x:44:web\naudio:x:29:root,web\n")
        .directory("srv/");
    Layout::with(&folder.path().join("layout"), &[Layer::plain(layer.end())], image);
    let output = build(folder.path(), &format!("[[bundle]]\nname = \"b\"\noci = \"layout\"\n{recipe}"));
    built(&output);
    (config(folder.path()), text(&output.stderr))
}

fn of(config: &Value) -> Value {
    made(&json!({ "config": config }), "").0
}

#[test]
fn program_environment_and_directory_are_the_images() {
    let config = of(&json!({
        "Entrypoint": ["/bin/program", "-e"], "Cmd": ["one", "two"], "WorkingDir": "/srv",
        "Env": ["PATH=/bin", "A=1=2", "EMPTY="],
    }));
    assert_eq!(config["process"]["args"], json!(["/bin/program", "-e", "one", "two"]));
    assert_eq!(config["process"]["env"], json!(["PATH=/bin", "A=1=2", "EMPTY="]));
    assert_eq!(config["process"]["cwd"], "/srv");
    assert_eq!(config["hostname"], "b");
    let config =
        of(&json!({ "Entrypoint": null, "Cmd": ["x"], "Env": null, "WorkingDir": "", "Volumes": null,
        "Labels": null, "ExposedPorts": null, "User": "" }));
    assert_eq!(config["process"]["args"], json!(["x"]));
    assert_eq!(config["process"]["cwd"], "/");
    let env = config["process"]["env"].as_array().unwrap();
    assert!(env.len() == 1 && env[0].as_str().unwrap().starts_with("PATH="), "{env:?}");
}

#[test]
fn users_and_groups_are_looked_up_in_the_image() {
    for (user, expected) in [
        ("web", json!({ "uid": 33, "gid": 34, "additionalGids": [29, 44] })),
        ("web:video", json!({ "uid": 33, "gid": 44 })),
        ("33:44", json!({ "uid": 33, "gid": 44 })),
        ("33", json!({ "uid": 33, "gid": 34 })),
        ("1234", json!({ "uid": 1234, "gid": 0 })),
        ("root", json!({ "uid": 0, "gid": 0, "additionalGids": [29] })),
    ] {
        assert_eq!(of(&json!({ "Cmd": ["x"], "User": user }))["process"]["user"], expected, "{user}");
    }
    let folder = folder();
    Layout::with(&folder.path().join("layout"), &[], &json!({ "config": { "User": "nobody" } }));
    let said = refused(&build(folder.path(), "[[bundle]]\nname = \"b\"\noci = \"layout\"\n"));
    let place = "recipe.toml:4: bundle[0]: ";
    assert_eq!(said, format!("{place}user \"nobody\": not in the image's /etc/passwd"));
}

#[test]
fn the_rest_becomes_annotations_and_labels_win() {
    let image = json!({
        "author": "somebody", "created": "2024-01-02T03:04:05Z", "os.version": "5", "os.features": ["a", "b"],
        "variant": "v1",
        "config": {
            "StopSignal": "SIGQUIT", "ExposedPorts": { "80/tcp": {}, "53/udp": {} },
            "Labels": { "org.opencontainers.image.author": "the label", "maintainer": "m", "hull.critical": "true" },
        },
    });
    let (config, warned) = made(&image, "");
    assert_eq!(
        config["annotations"],
        json!({
            "maintainer": "m",
            "org.opencontainers.image.architecture": "amd64",
            "org.opencontainers.image.author": "the label",
            "org.opencontainers.image.created": "2024-01-02T03:04:05Z",
            "org.opencontainers.image.exposedPorts": "53/udp,80/tcp",
            "org.opencontainers.image.os": "linux",
            "org.opencontainers.image.os.features": "a,b",
            "org.opencontainers.image.os.version": "5",
            "org.opencontainers.image.stopSignal": "SIGQUIT",
            "org.opencontainers.image.variant": "v1",
        })
    );
    // What steers the machine is for its maker to say.
    assert!(warned.contains("bundle b: left out the image's label hull.critical"), "{warned}");
    let (config, warned) =
        made(&image, "annotations = { \"hull.critical\" = \"false\", maintainer = \"me\" }\n");
    assert_eq!(config["annotations"]["hull.critical"], "false");
    assert_eq!(config["annotations"]["maintainer"], "me");
    assert_eq!(warned, "");
}

#[test]
fn volumes_are_mounts_with_the_owner_of_the_place() {
    let image = json!({ "config": { "Volumes": { "/srv": {}, "/data/deep": {}, "/var/lib/x/": {} } } });
    let volumes = |recipe: &str| {
        let mounts = made(&image, recipe).0["mounts"].as_array().unwrap()[7..].to_vec();
        mounts
            .iter()
            .map(|mount| format!("{} {} {}", mount["destination"], mount["type"], mount["source"]))
            .collect::<Vec<_>>()
    };
    let line = |place: &str, kind: &str, source: &str| format!("{place:?} {kind:?} {source:?}");
    assert_eq!(
        volumes(""),
        [
            line("/data/deep", "tmpfs", "tmpfs"),
            line("/srv", "tmpfs", "tmpfs"),
            line("/var/lib/x/", "tmpfs", "tmpfs"),
        ]
    );
    assert_eq!(
        volumes("volumes = { \"/var/lib/x\" = \"/mnt/x\", \"/new\" = \"tmpfs\" }\n"),
        [
            line("/data/deep", "tmpfs", "tmpfs"),
            line("/new", "tmpfs", "tmpfs"),
            line("/srv", "tmpfs", "tmpfs"),
            line("/var/lib/x", "bind", "/mnt/x"),
        ]
    );
    for bad in ["/proc", "/proc/sys", "/", "/sys/", "//dev", "/a/../proc", "relative"] {
        let folder = folder();
        let image = json!({ "config": { "Volumes": { bad: {} } } });
        Layout::with(&folder.path().join("layout"), &[], &image);
        let said = refused(&build(folder.path(), "[[bundle]]\nname = \"b\"\noci = \"layout\"\n"));
        assert!(said.contains("volume"), "{bad}: {said}");
    }
}

#[test]
fn the_root_has_every_place_that_something_is_mounted_on() {
    let folder = folder();
    let layer = Archive::new().symlink("var", "/other/var").directory("etc/");
    let image =
        json!({ "config": { "Volumes": { "/var/x": {} }, "WorkingDir": "/work/here", "Cmd": ["x"] } });
    Layout::with(&folder.path().join("layout"), &[Layer::plain(layer.end())], &image);
    let volumes = "volumes = { \"/data\" = \"/mnt/data\" }\n";
    built(&build(folder.path(), &format!("[[bundle]]\nname = \"b\"\noci = \"layout\"\n{volumes}")));
    let found = initramfs(folder.path());
    for path in ["proc", "dev", "sys", "work/here", "other/var/x", "data"] {
        assert!(found.contains_key(&format!("bundles/b/rootfs/{path}")), "{path}: {:?}", found.keys());
    }
    // Below what is mounted there is nothing to be made, and the machine has the source of what is bound.
    assert!(!found.contains_key("bundles/b/rootfs/dev/pts"));
    assert!(found.contains_key("mnt/data"));
}

#[test]
fn the_recipe_has_the_last_word() {
    let image = json!({ "config": {
        "Entrypoint": ["/e"], "Cmd": ["c"], "Env": ["A=1", "B=2"], "User": "web", "WorkingDir": "/srv",
    } });
    let (config, _) = made(
        &image,
        "cmd = [\"d\"]\nenv = { B = \"3\", C = \"4\" }\nuser = \"0:0\"\ncwd = \"/\"\nhostname = \"host\"\nterminal = true\n\
         readonly = true\nnetwork = \"none\"\ncapabilities = [\"CAP_KILL\"]\nnew-privileges = true\n\
         [bundle.spec.linux]\nresources = { memory = { limit = 1_048_576 }, devices = [] }\n\
         [bundle.spec.process]\noomScoreAdj = -5\n",
    );
    let process = &config["process"];
    assert_eq!(process["args"], json!(["/e", "d"]));
    assert_eq!(process["env"].as_array().unwrap()[..3], [json!("A=1"), json!("B=3"), json!("C=4")]);
    assert_eq!(process["user"], json!({ "uid": 0, "gid": 0 }));
    assert_eq!((&process["cwd"], &config["hostname"]), (&json!("/"), &json!("host")));
    assert_eq!((&process["terminal"], &config["root"]["readonly"]), (&json!(true), &json!(true)));
    assert_eq!(process["capabilities"]["bounding"], json!(["CAP_KILL"]));
    assert_eq!(process["noNewPrivileges"], false);
    assert_eq!(process["oomScoreAdj"], -5);
    assert!(config["linux"]["namespaces"].as_array().unwrap().contains(&json!({ "type": "network" })));
    assert_eq!(config["linux"]["resources"], json!({ "devices": [], "memory": { "limit": 1_048_576 } }));
    let (config, _) = made(&image, "args = [\"only\", \"this\"]\n");
    assert_eq!(config["process"]["args"], json!(["only", "this"]));
    assert_eq!(config["root"]["readonly"], false);
    assert!(!config["linux"]["namespaces"].as_array().unwrap().contains(&json!({ "type": "network" })));
}

#[test]
fn an_image_that_names_no_program_needs_one() {
    let folder = folder();
    Layout::with(&folder.path().join("layout"), &[], &json!({ "config": { "Cmd": null } }));
    let said = refused(&build(folder.path(), "[[bundle]]\nname = \"b\"\noci = \"layout\"\n"));
    assert_eq!(
        said,
        "recipe.toml:4: bundle[0]: the image names no program: say which one, as in args = [\"/bin/program\"]"
    );
}

#[test]
fn a_config_of_ones_own_is_taken_as_it_is() {
    let folder = folder();
    std::fs::write(folder.path().join("a.tar"), Archive::new().file("f", "").end()).unwrap();
    let bundle = "[[bundle]]\nname = \"b\"\ntar = \"a.tar\"\nconfig = \"c.json\"\n";
    let own =
        json!({ "ociVersion": "1.0.0", "root": { "path": "rootfs" }, "process": { "cwd": "/w" }, "x": [1] });
    std::fs::write(folder.path().join("c.json"), own.to_string()).unwrap();
    built(&build(folder.path(), bundle));
    assert_eq!(config(folder.path()), own);
    assert!(initramfs(folder.path()).contains_key("bundles/b/rootfs/w"));
    for (text, expected) in [
        ("{", "c.json is not JSON"),
        ("{}", "no root.path"),
        (r#"{"root":{"path":"/"}}"#, "root.path is \"/\", but the image has it in \"rootfs\""),
    ] {
        std::fs::write(folder.path().join("c.json"), text).unwrap();
        let said = refused(&build(folder.path(), bundle));
        assert!(said.contains(expected), "{said}");
    }
    let said = refused(&build(folder.path(), &format!("{bundle}user = \"web\"\n")));
    assert_eq!(said, "recipe.toml:7: bundle[0].config: and `user`: a config.json says all of that itself");
}
