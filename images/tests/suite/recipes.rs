//! Mistakes in a recipe: each is one line with file, line and key, and says what would be right.

use std::fs;

use crate::support::*;

fn mistake(recipe: &str) -> String {
    let folder = folder();
    fs::write(folder.path().join("r.toml"), recipe).unwrap();
    refused(&run(folder.path(), &["build", "r.toml"]))
}

/// Behind a head of three lines without a mistake.
fn in_good_company(lines: &str) -> String {
    mistake(&format!("board = \"x86_64\"\noutput = \"out/box\"\n\n{lines}"))
}

#[test]
fn what_is_missing_is_named_with_an_example() {
    assert_eq!(mistake(""), "r.toml:1: the recipe: board is missing (as in board = \"x86_64\")");
    assert_eq!(
        mistake("board = \"x86_64\""),
        "r.toml:1: the recipe: output is missing (as in output = \"out/box\": the files' name without their endings)"
    );
    let folder = folder();
    let said = refused(&run(folder.path(), &["build", "none.toml"]));
    assert_eq!(said, "read none.toml: No such file or directory (os error 2)");
}

/// Lines with a mistake, and what is said.
const MISTAKES: &[(&str, &str)] = &[
    (
        "ouput = 1",
        "r.toml:4: ouput: unknown key (did you mean \"output\"? known: board, bundle, end, file, hull, initramfs, kernel, limits, memory, output, root)",
    ),
    (
        "memory = \"lots\"",
        "r.toml:4: memory: found \"lots\", expected a size, as in 4096, \"512K\", \"64M\" or \"2G\"",
    ),
    ("end = \"halt\"", "r.toml:4: end: found \"halt\", expected \"poweroff\" or \"reboot\""),
    ("hull = true", "r.toml:4: hull: found true, expected text in quotes"),
    (
        "[initramfs]\ncompression = \"lzma\"",
        "r.toml:5: initramfs.compression: found \"lzma\", expected \"gzip\", \"zstd\" or \"none\"",
    ),
    (
        "[root]\nformat = \"ext4\"",
        "r.toml:5: root.format: found \"ext4\", expected \"squashfs\" or \"erofs\"",
    ),
    (
        "[root]\nformat = \"erofs\"\ncompression = \"xz\"",
        "r.toml:6: root.compression: found \"xz\", expected \"lz4hc\", \"lz4\" or \"none\"",
    ),
    (
        "[root]\nformat = \"erofs\"",
        "r.toml:4: root: device is missing (where the machine has the image, as in device = \"/dev/mmcblk0p2\")",
    ),
    ("[root]\nformat = \"erofs\"\ndevice = \"vda\"", "r.toml:6: root.device: not an absolute path"),
    (
        "[kernel]\nload = \"ext4\"",
        "r.toml:5: kernel.load: found \"ext4\", expected a list of texts, as in [\"one\", \"two\"]",
    ),
    (
        "[kernel]\nfile = \"k\"\nload = [\"ext4\"]",
        "r.toml:4: kernel: modules is missing (the folder lib/modules/VERSION of the kernel in `file`)",
    ),
    (
        "[kernel]\nfile = \"k\"\nsuite = \"sid\"",
        "r.toml:6: kernel.suite: for Debian's kernel only, and `file` names another one",
    ),
    (
        "[limits]\nentries = -1",
        "r.toml:5: limits.entries: found -1, expected a size, as in 4096, \"512K\", \"64M\" or \"2G\"",
    ),
    ("[bundle]\nname = \"b\"", "r.toml:4: bundle: found a table, expected a list"),
    ("[[bundle]]\noci = \"x\"", "r.toml:4: bundle[0]: name is missing (as in name = \"web\")"),
    (
        "[[bundle]]\nname = \"../x\"",
        "r.toml:5: bundle[0].name: \"../x\" is no name for a bundle: up to 64 letters, digits, \".\", \"_\" and \"-\", the first one a letter or digit",
    ),
    (
        "[[bundle]]\nname = \".x\"",
        "r.toml:5: bundle[0].name: \".x\" is no name for a bundle: up to 64 letters, digits, \".\", \"_\" and \"-\", the first one a letter or digit",
    ),
    ("[[bundle]]\nname = \"b\"", "r.toml:4: bundle[0]: needs one of `oci`, `tar` and `directory`"),
    (
        "[[bundle]]\nname = \"b\"\noci = \"x\"\ntar = \"y\"",
        "r.toml:4: bundle[0]: needs one of `oci`, `tar` and `directory`",
    ),
    (
        "[[bundle]]\nname = \"b\"\ntar = \"y\"\nplatform = \"linux/arm\"",
        "r.toml:7: bundle[0].platform: for `oci` only: nothing else says what it is for",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nplatform = \"arm\"",
        "r.toml:7: bundle[0].platform: \"arm\" is no platform, as \"linux/arm/v7\" is one",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nowners = \"keep\"",
        "r.toml:7: bundle[0].owners: for `directory` only: the others have the owners that they say",
    ),
    ("[[bundle]]\nname = \"b\"\noci = \"y\"\nargs = []", "r.toml:7: bundle[0].args: names no program"),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nargs = [\"a\", 2]",
        "r.toml:7: bundle[0].args[1]: found 2, expected text in quotes",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nargs = [\"a\"]\ncmd = []",
        "r.toml:8: bundle[0].cmd: and `args`, which replaces the image's entrypoint too: only one of them",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nenv = { \"A=B\" = \"\" }",
        "r.toml:7: bundle[0].env: \"A=B\" is no name of a variable",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nenv = { A = 1 }",
        "r.toml:7: bundle[0].env.A: found 1, expected text in quotes",
    ),
    ("[[bundle]]\nname = \"b\"\noci = \"y\"\ncwd = \"x\"", "r.toml:7: bundle[0].cwd: not an absolute path"),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nnetwork = \"bridge\"",
        "r.toml:7: bundle[0].network: found \"bridge\", expected \"host\" or \"none\"",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\ncapabilities = [\"KILL\"]",
        "r.toml:7: bundle[0].capabilities: \"KILL\" is no capability, as \"CAP_CHOWN\" is one",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nvolumes = { \"/x\" = \"y\" }",
        "r.toml:7: bundle[0].volumes./x: expected \"tmpfs\" or the path of a directory of the machine",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nspec = { x = 1.5 }",
        "r.toml:7: bundle[0].spec.x: found a number with a fraction, expected what a config.json can have",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\nspec = 1",
        "r.toml:7: bundle[0].spec: found 1, expected a table",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\ndevices = \"all\"",
        "r.toml:7: bundle[0].devices: found \"all\", expected \"harmless\" or \"any\"",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\n[[bundle]]\nname = \"b\"\noci = \"z\"",
        "r.toml:7: bundle[1]: a second bundle called \"b\"",
    ),
    (
        "[[bundle]]\nname = \"b\"\noci = \"y\"\n[[bundle.file]]\npath = \"x\"",
        "r.toml:8: bundle[0].file[0].path: not an absolute path",
    ),
    (
        "[[file]]\npath = \"/x\"",
        "r.toml:4: file[0]: needs one of `content`, `source`, `tree`, `link`, `node` and `folder = true`",
    ),
    (
        "[[file]]\npath = \"/x\"\ncontent = \"\"\nmode = 644",
        "r.toml:7: file[0].mode: found 644, expected an octal mode in quotes, as in \"755\"",
    ),
    (
        "[[file]]\npath = \"/x\"\nlink = \"y\"\nmode = \"644\"",
        "r.toml:7: file[0].mode: a link has no mode, and what is in a tree has its own",
    ),
    (
        "[[file]]\npath = \"/x\"\nnode = \"c:1\"",
        "r.toml:6: file[0].node: \"c:1\" is no device, as \"c:1:3\" is one",
    ),
    ("[[file]]\npath = \"/x\"\nfolder = true\nuid = 4294967296", "r.toml:7: file[0].uid: too large"),
];

#[test]
fn every_mistake_is_one_line() {
    for (lines, expected) in MISTAKES {
        assert_eq!(in_good_company(lines), *expected, "{lines}");
    }
    let said = mistake("board = \"mips\"\noutput = \"x\"");
    assert!(said.starts_with("r.toml:1: board: unknown target \"mips\" (known: aarch64, "), "{said}");
    assert_eq!(mistake("board = \"all\"\noutput = \"x\""), "r.toml:1: board: an image is for one board");
    for broken in ["board = ", "[[bundle]", "a = 1\na = 2", "board = \"x86_64", "\u{0}"] {
        let said = mistake(broken);
        assert!(said.starts_with("r.toml:"), "{said}");
    }
}

/// Mistakes that only show when the work is done still say where in the recipe they come from.
#[test]
fn a_failure_names_the_part_of_the_recipe() {
    let folder = folder();
    let said =
        refused(&build(folder.path(), "\n[[bundle]]\nname = \"b\"\ntar = \"none.tar\"\nargs = [\"x\"]\n"));
    assert!(said.starts_with("recipe.toml:5: bundle[0]: none.tar: No such file"), "{said}");
    let said = refused(&build(folder.path(), "[[file]]\npath = \"/init/x\"\ncontent = \"\"\n"));
    assert_eq!(said, "recipe.toml:4: file[0]: /init is not a directory");
    let said = refused(&build(folder.path(), "[[file]]\npath = \"/../x\"\ncontent = \"\"\n"));
    assert_eq!(said, "recipe.toml:4: file[0]: \"/../x\" leads out of the image");
    fs::create_dir_all(folder.path().join("modules/6.1")).unwrap();
    let said = refused(&build(folder.path(), "[kernel]\nmodules = \"modules/6.1\"\nload = [\"x\"]\n"));
    assert!(said.starts_with("recipe.toml:4: kernel: no modules.dep in "), "{said}");
}

#[test]
fn hull_has_to_be_a_program_for_the_board() {
    let folder = folder();
    let recipe = |hull: &str| format!("board = \"x86_64\"\noutput = \"out/box\"\nhull = \"{hull}\"\n");
    for (hull, expected) in
        [("none", "read none: No such file"), ("r.toml", "r.toml can't be init on x86_64: not an ELF file")]
    {
        fs::write(folder.path().join("r.toml"), recipe(hull)).unwrap();
        let said = refused(&run(folder.path(), &["build", "r.toml"]));
        assert!(said.starts_with(expected), "{said}");
    }
    // This program is dynamic and relocated.
    fs::write(folder.path().join("r.toml"), recipe(env!("CARGO_BIN_EXE_hull-image"))).unwrap();
    let said = refused(&run(folder.path(), &["build", "r.toml"]));
    assert!(said.ends_with("can't be init on x86_64: type DYN, not EXEC"), "{said}");
    let stand_in = stand_in(folder.path());
    let other = recipe(stand_in.to_str().unwrap()).replace("x86_64", "aarch64");
    fs::write(folder.path().join("r.toml"), other).unwrap();
    let said = refused(&run(folder.path(), &["build", "r.toml"]));
    assert!(said.ends_with("can't be init on aarch64: made for machine 62, not 183"), "{said}");
}
