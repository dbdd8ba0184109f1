//! Device nodes and links of /dev, the terminal, names and sysctls.

use super::Builder;
use super::op::{Device, Form, Op, Source};
use crate::c_join;
use crate::config;
use core::ffi::CStr;

/// The nodes that every container has (config-linux.md, "Default Devices"): path, major, minor.
const DEFAULTS: [(&CStr, u32, u32); 6] = [
    (c"/dev/null", 1, 3),
    (c"/dev/random", 1, 8),
    (c"/dev/full", 1, 7),
    (c"/dev/tty", 5, 0),
    (c"/dev/zero", 1, 5),
    (c"/dev/urandom", 1, 9),
];

/// The links that every container has (runtime-linux.md, "Dev symbolic links"), and runc's to the core.
const LINKS: [(&CStr, &CStr); 6] = [
    (c"/dev/fd", c"/proc/self/fd"),
    (c"/dev/stdin", c"/proc/self/fd/0"),
    (c"/dev/stdout", c"/proc/self/fd/1"),
    (c"/dev/stderr", c"/proc/self/fd/2"),
    (c"/dev/core", c"/proc/kcore"),
    (c"/dev/ptmx", c"pts/ptmx"),
];

const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFIFO: u32 = 0o010_000;
const S_IFMT: u32 = 0o170_000;

impl<'a> Builder<'a, '_> {
    pub(super) fn all_devices(&mut self) {
        // a /dev that is bound from somewhere else is left as it is, as in runc
        let bound =
            self.mounts.items().iter().any(|m| m.place.path == c"dev" && matches!(m.form, Form::Bind { .. }));
        if !bound {
            for (path, major, minor) in DEFAULTS {
                if !self.configured(path) {
                    self.device(path, S_IFCHR | 0o666, (major, minor), (0, 0), path);
                }
            }
            if let Some(linux) = self.linux {
                for device in linux.devices().iter() {
                    self.configured_device(&device);
                }
            }
            for (path, to) in LINKS {
                let place = self.place(path);
                self.op(Op::Link { place, to });
            }
        }
        if self.process.terminal() {
            let size = self.process.console_size().map(|size| {
                let cells = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
                (cells(size.height()), cells(size.width()))
            });
            self.op(Op::Terminal { size });
        }
        self.seal_mounts()
    }

    fn configured(&self, path: &CStr) -> bool {
        self.linux.is_some_and(|l| l.devices().iter().any(|d| d.path() == path))
    }

    fn configured_device(&mut self, device: &config::Device<'a>) {
        let kind = match device.kind().to_bytes() {
            b"b" => S_IFBLK,
            b"p" => S_IFIFO,
            _ => S_IFCHR,
        };
        let number = |n: Option<i64>| u32::try_from(n.unwrap_or(0)).unwrap_or(0);
        let mode = device.file_mode().unwrap_or(0o666) & 0o7777;
        let numbers = (number(device.major()), number(device.minor()));
        // mknod isn't allowed in a user namespace: the host's node of these numbers is bound, by its usual path if any
        let usual = DEFAULTS.iter().find(|d| kind == S_IFCHR && (d.1, d.2) == numbers).map(|d| d.0);
        let host = usual.unwrap_or(device.path());
        self.device(
            device.path(),
            kind | mode,
            numbers,
            (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
            host,
        )
    }

    fn device(&mut self, path: &CStr, mode: u32, number: (u32, u32), owner: (u32, u32), host: &'a CStr) {
        let host = match mode & S_IFMT {
            // anybody may make a FIFO
            S_IFIFO => Source { path: host, slot: None },
            _ => self.source(host, false, (0, 0), (0, 0)),
        };
        let place = self.place(path);
        if let Some(device) = self.noted(self.arena.one(Device { place, mode, number, owner, host })) {
            self.op(Op::Device(device));
        }
    }

    pub(super) fn names_and_sysctls(&mut self) {
        if let Some(name) = self.config.hostname().filter(|name| !name.is_empty()) {
            self.op(Op::Hostname { name });
        }
        if let Some(name) = self.config.domainname().filter(|name| !name.is_empty()) {
            self.op(Op::Domainname { name });
        }
        let Some(linux) = self.linux else { return };
        for (key, value) in linux.sysctl().iter() {
            // sysctl(8): where the first separator is a slash, dots belong to names
            let slashes = key.to_bytes().iter().find(|b| matches!(b, b'.' | b'/')) == Some(&b'/');
            let path = self.noted(self.arena.bytes(key.to_bytes().len())).unwrap_or(&mut []);
            for (to, &from) in path.iter_mut().zip(key.to_bytes()) {
                *to = match from {
                    b'.' if !slashes => b'/',
                    b'/' if !slashes => b'.',
                    other => other,
                };
            }
            let path = c_join!(self, &*path);
            self.op(Op::Sysctl { path, value });
        }
    }
}
