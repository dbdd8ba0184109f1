//! Device nodes and links of /dev, the terminal, names and sysctls.

use super::op::{Device, Form, Op, Source};
use super::{Builder, refuse};
use crate::base::words;
use crate::c_join;
use crate::config::{self, NamespaceKind};
use core::ffi::CStr;

/// The nodes that every container has in /dev (config-linux.md, "Default Devices"), with a blank behind each.
const NODES: &str = "null random full tty zero urandom ";

/// Major and minor number of each.
static NUMBERS: [(u8, u8); 6] = [(1, 3), (1, 8), (1, 7), (5, 0), (1, 5), (1, 9)];

/// The links that every container has in /dev (runtime-linux.md, "Dev symbolic links"), and runc's to the core: name and
/// target.
const LINKS: &str = "fd /proc/self/fd stdin /proc/self/fd/0 stdout /proc/self/fd/1 stderr /proc/self/fd/2 \
    core /proc/kcore ptmx pts/ptmx ";

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
            for (n, &(major, minor)) in NUMBERS.iter().enumerate() {
                let path = self.node(n);
                if !self.linux.devices().iter().any(|device| device.path() == path) {
                    let number = (u32::from(major), u32::from(minor));
                    self.device(path, S_IFCHR | 0o666, number, (0, 0), path);
                }
            }
            for device in self.linux.devices().iter() {
                self.configured_device(&device);
            }
            let mut links = words::iter(LINKS);
            while let (Some(name), Some(target)) = (links.next(), links.next()) {
                let place = self.place_of(c_join!(self, "dev/", name));
                self.op(Op::Link { place, to: self.text(target.as_bytes()) });
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

    /// The path of default node `n`.
    fn node(&self, n: usize) -> &'a CStr {
        c_join!(self, "/dev/", words::nth(NODES, n))
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
        let usual = NUMBERS
            .iter()
            .position(|&(major, minor)| kind == S_IFCHR && (u32::from(major), u32::from(minor)) == numbers);
        let host = usual.map_or(device.path(), |n| self.node(n));
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

    /// Refuses to set `what` in a namespace that is joined and hull's own.
    #[inline(never)]
    fn not_the_hosts(&self, kind: NamespaceKind, what: &CStr) {
        if self.host.own & kind.clone_flag() != 0 {
            refuse!(self, what, ": linux.namespaces joins the host's own ", kind.word(), " namespace");
        }
    }

    pub(super) fn names_and_sysctls(&mut self) {
        if let Some(name) = self.config.hostname().filter(|name| !name.is_empty()) {
            self.not_the_hosts(NamespaceKind::Uts, c"hostname");
            self.op(Op::Hostname { name });
        }
        if let Some(name) = self.config.domainname().filter(|name| !name.is_empty()) {
            self.not_the_hosts(NamespaceKind::Uts, c"domainname");
            self.op(Op::Domainname { name });
        }
        for (key, value) in self.linux.sysctl().iter() {
            self.not_the_hosts(config::sysctl::owner(key.to_bytes()), key);
            // sysctl(8): where the first separator is a slash, dots belong to names
            let slashes = key.to_bytes().iter().find(|b| matches!(b, b'.' | b'/')) == Some(&b'/');
            let path = self.room(key);
            for (to, &from) in path.iter_mut().zip(key.to_bytes()) {
                *to = match from {
                    b'.' if !slashes => b'/',
                    b'/' if !slashes => b'.',
                    other => other,
                };
            }
            self.op(Op::Sysctl { path: crate::rt::c_string::until_nul(path).unwrap_or(c""), value });
        }
    }
}
