//! `hull features`: what hull can do, whatever the host can (runtime-spec, features.md), out of the tables that it parses by.

use crate::base::text::{Put, Sink};
use crate::base::words::Listed;
use crate::config;
use crate::names::{SPEC_VERSION, capabilities, mount_options};
use crate::plan::refuses;
use crate::put;

/// The whole structure.
pub struct Features;

impl Put for Features {
    fn put(&self, to: &mut dyn Sink) {
        put!(
            to,
            "{\"ociVersionMin\": \"1.0.0\",\n\"ociVersionMax\": \"",
            SPEC_VERSION,
            "\",\n\"hooks\": [",
            Table("hooks"),
            "],\n\"mountOptions\": [",
            Listed(mount_options::WORDS),
            "],\n\"linux\": {\"namespaces\": [",
            Table("linux.namespaces.type"),
            "],\n\"capabilities\": [",
            Listed(capabilities::WORDS),
            "],\n\"cgroup\": {\"v1\": true, \"v2\": true, \"systemd\": false, \"systemdUser\": false, \"rdma\": ",
            Done("linux.resources.rdma"),
            "},\n\"seccomp\": {\"enabled\": ",
            Done("linux.seccomp"),
            ",\n\"actions\": [",
            Table("linux.seccomp.defaultAction"),
            "],\n\"operators\": [",
            Table("linux.seccomp.syscalls.args.op"),
            "],\n\"archs\": [",
            Table("linux.seccomp.architectures")
        );
        put!(
            to,
            "],\n\"knownFlags\": [",
            Table("linux.seccomp.flags"),
            "],\n\"supportedFlags\": [",
            Table("linux.seccomp.flags"),
            "]},\n\"apparmor\": {\"enabled\": true},\n\"selinux\": {\"enabled\": true},\n\"intelRdt\": {\"enabled\": true, \"schemata\": true, \"monitoring\": true},\n\"memoryPolicy\": {\"modes\": [",
            Table("linux.memoryPolicy.mode"),
            "],\n\"flags\": [",
            Table("linux.memoryPolicy.flags"),
            "]},\n\"mountExtensions\": {\"idmap\": {\"enabled\": true}},\n\"netDevices\": {\"enabled\": true}},\n\"annotations\": {\"hull.version\": \"",
            env!("CARGO_PKG_VERSION"),
            "\", \"hull.commit\": \"",
            env!("HULL_COMMIT"),
            "\"},\n\"potentiallyUnsafeConfigAnnotations\": []\n}\n"
        );
    }
}

/// The words that the field of a config at this path takes.
struct Table(&'static str);

impl Put for Table {
    fn put(&self, to: &mut dyn Sink) {
        Listed(config::table(self.0)).put(to);
    }
}

/// Whether the field of a config at this path is carried out.
struct Done(&'static str);

impl Put for Done {
    fn put(&self, to: &mut dyn Sink) {
        put!(to, if refuses(self.0) { "false" } else { "true" });
    }
}
