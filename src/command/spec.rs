//! `hull spec`: a config.json that runs a shell as it is, in the words of `runc spec`.
//!
//! The text is a template with the few places marked that differ for an ordinary user: see [`Choice`]. There, the gid 5
//! (tty) is not mapped in a user namespace of one id; sysfs can't be mounted anew with the host's network namespace, so
//! the host's is bound.

use crate::base::text::{Put, Sink, Words, put_packed, quoted};
use crate::cli::Options;
use crate::error::Result;
use crate::rt::arena::Arena;
use crate::rt::packed::{self, Packed};
use crate::sys::open;
use crate::sys::stdio;
use crate::{fail, put, text};
use rustix::fd::AsFd;
use rustix::fs::{self, AtFlags, CWD, OFlags};
use rustix::io::Errno;

const PACKED: Packed = Packed::new(include_str!("spec.json.in"), packed::SPEC);
const TEMPLATE: [u8; PACKED.len() - 1] = PACKED.bytes();

/// Writes config.json into the bundle; one that is there is not touched.
///
/// # Errors
/// EEXIST with a hint; else as open(2), write(2).
#[inline(never)]
pub fn spec<'a>(arena: &Arena<'a>, options: &Options<'a>) -> Result<'a, u8> {
    if let Some(bundle) = options.bundle {
        rustix::process::chdir(bundle).map_err(|errno| fail!(arena, errno => "bundle ", quoted(bundle)))?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = open::create(CWD, c"config.json", flags, 0o666).map_err(|fault| {
        let errno = fault.errno();
        let hint = if errno == Errno::EXIST { text!("remove the existing one first") } else { text!("") };
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
        let mut choice = Choice { to, rootless: self.rootless, kept: true };
        let mut words = Words::NONE;
        put_packed(packed::SPEC, &TEMPLATE, &mut words, &mut choice);
    }
}

/// Of `<a|b>` in the text, `a` is for root and `b` for an ordinary user, with `@` and `$` for the own user and group id.
struct Choice<'s> {
    to: &'s mut dyn Sink,
    rootless: bool,
    kept: bool,
}

impl Sink for Choice<'_> {
    // a packed text comes byte by byte
    fn push(&mut self, bytes: &[u8]) {
        match bytes {
            b"<" => self.kept = !self.rootless,
            b"|" => self.kept = self.rootless,
            b">" => self.kept = true,
            _ if !self.kept => {}
            b"@" => put!(self.to, rustix::process::geteuid().as_raw()),
            b"$" => put!(self.to, rustix::process::getegid().as_raw()),
            other => self.to.push(other),
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
            assert!(!text.iter().any(|b| b"<|>@$".contains(b)) && text.ends_with(b"}\n"));
            assert_eq!(parsed.linux().unwrap().uid_mappings().len(), usize::from(rootless));
        }
    }
}
