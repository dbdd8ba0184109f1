//! A bundle on the initramfs, begun with the runtime's own `spec`, and containers made of it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::machine::{CGROUPS, Machine, read};

const APPLETS: &[&str] =
    &["sh", "cat", "echo", "grep", "hostname", "id", "ls", "mknod", "mkdir", "sleep", "true"];
/// Below which cgroup the containers are put.
pub const PARENT: &str = "vm";

/// A directory with config.json and rootfs; it goes when this is dropped.
pub struct Bundle<'a> {
    machine: &'a Machine,
    pub id: String,
    directory: PathBuf,
    pub config: Value,
}

/// How a container ended and what it said.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl<'a> Bundle<'a> {
    /// Runs `arguments` in a rootfs of busybox.
    pub fn new(machine: &'a Machine, arguments: &[&str]) -> Result<Bundle<'a>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("c{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new("/bundles").join(&id);
        let bin = directory.join("rootfs/bin");
        fs::create_dir_all(&bin)?;
        fs::create_dir(directory.join("rootfs/tmp"))?;
        fs::hard_link("/bin/busybox", bin.join("busybox"))?;
        fs::hard_link("/bin/guest", bin.join("guest"))?;
        for applet in APPLETS {
            symlink("busybox", bin.join(applet))?;
        }
        let written = Command::new(&machine.runtime).arg("spec").current_dir(&directory).output()?;
        ensure!(written.status.success(), "spec failed: {}", String::from_utf8_lossy(&written.stderr));
        let mut config: Value = serde_json::from_str(&read(directory.join("config.json"))?)?;
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(arguments);
        config["linux"]["cgroupsPath"] = json!(format!("/{PARENT}/{id}"));
        Ok(Bundle { machine, id, directory, config })
    }

    /// Runs a script of busybox's shell.
    pub fn sh(machine: &'a Machine, script: &str) -> Result<Bundle<'a>> {
        Bundle::new(machine, &["/bin/sh", "-c", script])
    }

    /// Sets the value at a JSON pointer below an object that is there.
    pub fn set(mut self, pointer: &str, value: Value) -> Result<Bundle<'a>> {
        let (above, name) = pointer.rsplit_once('/').context("not a JSON pointer")?;
        let object = self.config.pointer_mut(above).with_context(|| format!("no {above} in the config"))?;
        object[name] = value;
        Ok(self)
    }

    /// Adds one namespace to those of the config.
    pub fn add_namespace(mut self, kind: &str) -> Result<Bundle<'a>> {
        self.namespaces()?.push(json!({"type": kind}));
        Ok(self)
    }

    pub fn remove_namespace(mut self, kind: &str) -> Result<Bundle<'a>> {
        self.namespaces()?.retain(|namespace| namespace["type"] != kind);
        Ok(self)
    }

    fn namespaces(&mut self) -> Result<&mut Vec<Value>> {
        self.config["linux"]["namespaces"].as_array_mut().context("no namespaces in the config")
    }

    /// Adds a capability to every set that the config has.
    pub fn add_capability(mut self, name: &str) -> Result<Bundle<'a>> {
        let sets = self.config["process"]["capabilities"]
            .as_object_mut()
            .context("no capabilities in the config")?;
        for set in ["bounding", "effective", "permitted"] {
            sets[set]
                .as_array_mut()
                .with_context(|| format!("no {set} set in the config"))?
                .push(json!(name));
        }
        Ok(self)
    }

    pub fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// The container's cgroup, seen from outside.
    pub fn cgroup(&self) -> PathBuf {
        Path::new(CGROUPS).join(PARENT).join(&self.id)
    }

    /// Runs it to its end with nothing on its standard input.
    pub fn run(&self) -> Result<Output> {
        let mut child = self.command()?.stdin(Stdio::null()).spawn()?;
        let out = child.stdout.take().context("no pipe")?;
        self.end(child, out, String::new())
    }

    /// Runs it, and insists on an end with code 0.
    pub fn succeed(&self) -> Result<String> {
        let output = self.run()?;
        ensure!(output.code == 0, "ended with {}: {}{}", output.code, output.out, output.err);
        Ok(output.out)
    }

    /// Starts it, and waits until it has written the line `ready`. It then has to wait for a line or for the end of its
    /// standard input.
    pub fn hold(&self) -> Result<Held<'_>> {
        let mut child = self.command()?.stdin(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take().context("no pipe")?;
        let mut out = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut said = String::new();
        while !said.ends_with("ready\n") {
            if out.read_line(&mut said)? == 0 {
                drop(stdin);
                let output = self.end(child, out.into_inner(), said)?;
                anyhow::bail!("ended before it was ready: {output:?}");
            }
        }
        Ok(Held { bundle: self, child, stdin, out, said })
    }

    fn command(&self) -> Result<Command> {
        fs::write(self.directory.join("config.json"), serde_json::to_vec(&self.config)?)?;
        let mut command = Command::new(&self.machine.runtime);
        command
            .arg("run")
            .args(&self.machine.run_arguments)
            .arg("--bundle")
            .arg(&self.directory)
            .arg(&self.id);
        command.stdout(Stdio::piped()).stderr(File::create(self.directory.join("stderr"))?);
        Ok(command)
    }

    fn end(&self, mut child: Child, mut out: impl Read, mut said: String) -> Result<Output> {
        out.read_to_string(&mut said)?;
        let status = child.wait()?;
        let code = status.code().with_context(|| format!("the runtime itself was killed: {status}"))?;
        Ok(Output { code, out: said, err: fs::read_to_string(self.directory.join("stderr"))? })
    }
}

impl Drop for Bundle<'_> {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            println!("{}: {error}", self.directory.display());
        }
    }
}

/// A container that runs and waits.
pub struct Held<'a> {
    bundle: &'a Bundle<'a>,
    child: Child,
    stdin: ChildStdin,
    out: BufReader<ChildStdout>,
    said: String,
}

impl Held<'_> {
    /// A file of the container's cgroup, seen from outside.
    pub fn cgroup_file(&self, name: &str) -> Result<String> {
        read(self.bundle.cgroup().join(name))
    }

    /// The host's number of the container's first process.
    pub fn pid(&self) -> Result<String> {
        let members = self.cgroup_file("cgroup.procs")?;
        members.lines().next().map(str::to_owned).context("nobody is in the cgroup")
    }

    /// Lets it go on, and waits for its end.
    pub fn release(mut self) -> Result<Output> {
        // A container that was killed reads no more: how it ended is the answer then.
        self.stdin.write_all(b"\n").or_else(|error| match error.kind() {
            ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })?;
        drop(self.stdin);
        self.bundle.end(self.child, self.out, self.said)
    }
}
