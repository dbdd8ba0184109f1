//! `hull spec`: a config.json that runs a shell as it is, in the words of `runc spec`.
//!
//! The text is a template with the few places marked that differ for an ordinary user: `@0` and so on, see [`PLACES`].

use crate::base::text::{Put, Sink, quoted};
use crate::cli::Options;
use crate::error::Result;
use crate::rt::arena::Arena;
use crate::sys::open;
use crate::sys::stdio;
use crate::{fail, put};
use rustix::fd::AsFd;
use rustix::fs::{self, AtFlags, CWD, OFlags};
use rustix::io::Errno;

const TEMPLATE: &str = include_str!("spec.json.in");

/// What stands at each mark, for root and for an ordinary user: the gid 5 (tty) is not mapped in a user namespace of one
/// id; sysfs can't be mounted anew with the host's network namespace, so the host's is bound.
const PLACES: [[&str; 2]; 4] = [
    ["\",\n\t\t\t\t\"gid=5\"", "\""],
    ["\"sysfs\"", "\"none\""],
    ["\"sysfs\"", "\"/sys\""],
    ["\"nosuid\"", "\"rbind\",\n\t\t\t\t\"nosuid\""],
];

/// Writes config.json into the bundle; one that is there is not touched.
///
/// # Errors
/// EEXIST with a hint; else as open(2), write(2).
pub fn spec<'a>(arena: &Arena<'a>, options: &Options<'a>) -> Result<'a, u8> {
    if let Some(bundle) = options.bundle {
        rustix::process::chdir(bundle).map_err(|errno| fail!(arena, errno => "bundle ", quoted(bundle)))?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = open::create(CWD, c"config.json", flags, 0o666).map_err(|errno| {
        let hint = if errno == Errno::EXIST { "remove the existing one first" } else { "" };
        fail!(arena, errno, hint => "write config.json")
    })?;
    let mut out = stdio::Writer::new(file.as_fd());
    Spec { rootless: options.rootless }.put(&mut out);
    if out.finish() {
        return Ok(0);
    }
    match fs::unlinkat(CWD, c"config.json", AtFlags::empty()) {
        Ok(()) | Err(_) => Err(fail!(arena, "write config.json: the disk may be full")),
    }
}

struct Spec {
    rootless: bool,
}

impl Put for Spec {
    fn put(&self, to: &mut dyn Sink) {
        let mut parts = TEMPLATE.as_bytes().split(|&byte| byte == b'@');
        to.push(parts.next().unwrap_or(&[]));
        for part in parts {
            let Some((&mark, rest)) = part.split_first() else { continue };
            match mark {
                b'4' => self.resources(to),
                b'5' => put!(to, if self.rootless { "\"user\"" } else { "\"network\"" }),
                digit => {
                    let place = PLACES.get(usize::from(digit.wrapping_sub(b'0')));
                    put!(to, place.map(|[root, user]| if self.rootless { *user } else { *root }));
                }
            }
            to.push(rest);
        }
    }
}

impl Spec {
    /// The start of `linux`: mappings of the own ids for an ordinary user, the device rule for root.
    fn resources(&self, to: &mut dyn Sink) {
        if !self.rootless {
            put!(
                to,
                "\"resources\": {\n\t\t\t\"devices\": [\n\t\t\t\t{\n\t\t\t\t\t\"allow\": false,\n\t\t\t\t\t\"access\": ",
                "\"rwm\"\n\t\t\t\t}\n\t\t\t]\n\t\t},"
            );
            return;
        }
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        for (key, own, end) in [("uid", uid, ",\n\t\t"), ("gid", gid, ",")] {
            put!(
                to,
                "\"",
                key,
                "Mappings\": [\n\t\t\t{\n\t\t\t\t\"containerID\": 0,\n\t\t\t\t\"hostID\": ",
                own,
                ",\n\t\t\t\t\"size\": 1\n\t\t\t}\n\t\t]",
                end
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn both_specs_are_valid() {
        for rootless in [false, true] {
            let arena = crate::error::test_arena(1 << 20);
            let text = crate::compose!(arena, Spec { rootless });
            let parsed = config::parse(&arena, "config.json", text).expect("a config");
            config::validate(&arena, &parsed, &mut |w| panic!("{}", String::from_utf8_lossy(w.text())))
                .expect("valid");
            assert!(!text.contains(&b'@') && text.ends_with(b"}\n"));
            assert_eq!(parsed.linux().unwrap().uid_mappings().len(), usize::from(rootless));
        }
    }
}
