//! `linux.sysctl`: which kernel parameters a bundle may set. Most of /proc/sys belongs to the whole machine, so only names
//! that are known to live in a namespace pass, and only where the config lists that namespace (runc's rules).
//!
//! A name is written with dots or with slashes (sysctl(8)): the first separator tells which, the other one then belongs
//! to a component (`net/ipv4/conf/eth0.7/forwarding`).

use super::NamespaceKind;
use super::validate::Checker;
use crate::base::text::Template;
use crate::base::words;
use crate::text;

/// Names in the form with dots; those that end in one stand for all below them.
const NAMES: &str = "kernel.domainname kernel.hostname net. user. fs.mqueue. kernel.msgmax kernel.msgmnb kernel.msgmni \
    kernel.sem kernel.shmall kernel.shmmax kernel.shmmni kernel.shm_rmid_forced ";

/// What is wrong with a name: an empty component, `.` or `..`; not namespaced; in a namespace that the config does not list
/// or, for `user.*`, does not make.
pub(super) fn wrong(checker: &Checker<'_, '_>, key: &[u8]) -> Option<Template> {
    let separator = separator(key);
    // the other separator stands for a dot inside a component: one of those alone would be `.` or `..` in the path
    let mut harmless = false;
    for &byte in key.iter().chain(&[separator]) {
        if byte == separator && !harmless {
            return Some(text!("a name must have no empty component, \".\" or \"..\""));
        }
        harmless = byte != separator && (harmless || !matches!(byte, b'.' | b'/'));
    }
    let (kind, text) = match words::iter(NAMES).position(|name| fits(key, separator, name.as_bytes())) {
        Some(0) => (NamespaceKind::Uts, text!("not in a separate kernel namespace")),
        Some(1) => return Some(text!("not allowed as it conflicts with the OCI \"hostname\" field")),
        Some(2) => (NamespaceKind::Network, text!("not allowed in host network namespace")),
        Some(3) => {
            return (!checker.makes(NamespaceKind::User)).then_some(text!("needs a new user namespace"));
        }
        Some(_) => (NamespaceKind::Ipc, text!("not allowed in the host's ipc namespace")),
        None => return Some(text!("not in a separate kernel namespace")),
    };
    if checker.has(kind) { None } else { Some(text) }
}

/// The namespace that a name which is not [`wrong`] belongs to.
pub fn owner(key: &[u8]) -> NamespaceKind {
    let separator = separator(key);
    match words::iter(NAMES).position(|name| fits(key, separator, name.as_bytes())) {
        Some(0 | 1) => NamespaceKind::Uts,
        Some(2) => NamespaceKind::Network,
        Some(3) => NamespaceKind::User,
        _ => NamespaceKind::Ipc,
    }
}

/// What stands between the components: the first of the two that comes.
fn separator(key: &[u8]) -> u8 {
    *key.iter().find(|b| matches!(b, b'.' | b'/')).unwrap_or(&b'.')
}

/// Whether `key` is `name`, or begins with it where that ends in a dot.
fn fits(key: &[u8], separator: u8, name: &[u8]) -> bool {
    let length = key.len() == name.len() || key.len() > name.len() && name.last() == Some(&b'.');
    length
        && key
            .iter()
            .zip(name)
            .all(|(&byte, &want)| if byte == separator { want == b'.' } else { want == byte && byte != b'.' })
}
