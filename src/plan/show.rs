//! A plan as text: one operation a line, in the order that they run. What `hull plan` prints and golden files pin.

use super::op::{HostOp, Namespaces, Op, Plan};
use crate::base::text::{Hex, Padded, Put, Sink, Template, quoted};
use crate::put;
use crate::text;

impl Put for Plan<'_> {
    fn put(&self, to: &mut dyn Sink) {
        let mut number = 0;
        let parent = text!("parent");
        host_lines(to, &mut number, parent, self.before);
        line(to, &mut number, parent, &Clone(self));
        host_lines(to, &mut number, parent, self.attend);
        host_lines(to, &mut number, text!("beside"), self.meanwhile);
        for hook in self.hooks {
            line(to, &mut number, text!("beside"), hook);
        }
        for op in self.child {
            line(to, &mut number, text!("child "), &Detailed(op));
        }
    }
}

fn host_lines(to: &mut dyn Sink, number: &mut u64, side: Template, ops: &[HostOp<'_>]) {
    for op in ops {
        line(to, number, side, op);
    }
}

#[inline(never)]
fn line(to: &mut dyn Sink, number: &mut u64, side: Template, words: &dyn Put) {
    *number = number.wrapping_add(1);
    put!(to, Padded(*number, 3), " ", side, " ", words, "\n");
}

struct Clone<'p, 'a>(&'p Plan<'a>);

impl Put for Clone<'_, '_> {
    fn put(&self, to: &mut dyn Sink) {
        if self.0.helper {
            put!(to, "clone a process that joins namespaces");
        } else {
            Namespaces(self.0.namespaces).put(to);
        }
        if self.0.born_into.is_some() {
            put!(to, ", born into its cgroup");
        }
    }
}

/// An operation with what an error does not say.
struct Detailed<'p, 'a>(&'p Op<'a>);

impl Put for Detailed<'_, '_> {
    fn put(&self, to: &mut dyn Sink) {
        self.0.put(to);
        details(self.0, to);
    }
}

fn details(op: &Op<'_>, to: &mut dyn Sink) {
    match op {
        Op::Mount(mount) => mount.details(to),
        Op::Device(device) => {
            put!(
                to,
                " ",
                device.number.0,
                ":",
                device.number.1,
                " mode=",
                crate::base::text::Octal(device.mode)
            );
            if device.owner != (0, 0) {
                put!(to, " owner=", device.owner.0, ":", device.owner.1);
            }
            if device.host.slot.is_some() {
                put!(to, " bind=", device.host);
            }
        }
        Op::ReadOnlyMount { keep, .. } | Op::ReadOnlyPath { keep, .. } if *keep != 0 => {
            put!(to, " keep=", Hex(u64::from(*keep)));
        }
        Op::Seccomp { filter, .. } => {
            put!(to, " flags=", Hex(u64::from(filter.flags | filter.wish)));
            if let Some(path) = filter.listener {
                put!(to, " listener=", quoted(path));
            }
        }
        Op::Exec(exec) => {
            put!(to, " args=[");
            for (i, arg) in exec.args.iter().enumerate() {
                put!(to, if i > 0 { " " } else { "" }, quoted(arg));
            }
            put!(to, "] env=", exec.env.len());
            if exec.home.is_some() {
                put!(to, " HOME from passwd");
            }
        }
        _ => {}
    }
}
