//! The process itself: limits, capabilities, user, working directory, program.

use super::op::{Capabilities, Exec, HostOp, Op};
use super::{Builder, refuse};
use crate::base::text::after;
use crate::c_join;
use crate::config::{self, User, Value};
use crate::names::{capabilities, rlimits};
use crate::rt::arena::Full;
use crate::rt::c_string;
use core::ffi::CStr;
use linux_raw_sys::general as n;

/// runc's umask where the config has none.
const UMASK: u32 = 0o022;

impl<'a> Builder<'a, '_> {
    /// What the parent does for the process because the child can't.
    pub(super) fn attend_process(&mut self) {
        // a process that joined has set its own
        if let Some(score) = self.process.oom_score_adj()
            && (self.joined == 0 || self.makes(n::CLONE_NEWUSER))
        {
            let value = c_join!(self, score);
            self.then(HostOp::OomScoreAdj { value });
        }
        if self.has_users() {
            self.priorities();
            for limit in self.process.rlimits().iter() {
                let resource = self.resource(&limit);
                self.then(HostOp::ChildRlimit { resource, soft: limit.soft(), hard: limit.hard() });
            }
        }
    }

    fn resource(&self, limit: &config::Rlimit<'a>) -> u32 {
        let number = rlimits::number(limit.kind().to_bytes());
        if number.is_none() {
            refuse!(
                self,
                "process.rlimits: \"",
                limit.kind(),
                "\" is no resource limit of Linux (getrlimit(2))"
            );
        }
        number.unwrap_or(0)
    }

    /// From the root user of the container to the program.
    pub(super) fn identity(&mut self) {
        let process = self.process;
        if !self.request.no_new_keyring {
            self.key_label();
            let name = c_join!(self, "_ses.", self.request.id);
            self.op(Op::Keyring { name });
        }
        if !self.has_users() {
            for limit in process.rlimits().iter() {
                let resource = self.resource(&limit);
                self.op(Op::Rlimit { resource, soft: limit.soft(), hard: limit.hard() });
            }
        }
        self.knobs();
        let filter = self.linux.seccomp().and_then(|seccomp| self.filter(seccomp));
        if process.no_new_privileges() {
            self.op(Op::NoNewPrivileges);
        } else if let Some(filter) = filter {
            // only with CAP_SYS_ADMIN, which goes next
            self.op(Op::Seccomp { filter, before: None });
        }
        let Some(sets) = self.noted(self.arena.one(capability_sets(&process))) else { return };
        self.op(Op::BoundingSet { keep: sets.bounding });
        let user = process.user().unwrap_or(User::ABSENT);
        let (uid, gid) = (user.uid().unwrap_or(0), user.gid().unwrap_or(0));
        let groups = self.list(user.additional_gids());
        self.op(Op::User { uid, gid, groups: Some(groups), keep: uid != 0 });
        self.op(Op::CapabilitySets(sets));
        self.op(Op::Umask { mask: user.umask().unwrap_or(UMASK) });
        let exec = self.exec(uid);
        if let Some(exec) = self.noted(exec) {
            let mut late = filter.filter(|_| process.no_new_privileges());
            // what can be said of the program is said before a filter may forbid to say it
            if self.request.wait || late.is_some() {
                self.op(Op::FindProgram(exec));
            }
            if self.request.wait {
                // the parent hands the listener over, and it goes once this process waits
                if let Some(filter) = late.filter(|filter| filter.listener.is_some()) {
                    self.op(Op::Seccomp { filter, before: None });
                    late = None;
                }
                self.op(Op::AwaitStart);
            }
            self.hooks_inside();
            if let Some(filter) = late {
                self.op(Op::Seccomp { filter, before: Some(exec) });
            }
            self.op(Op::Exec(exec));
        }
    }

    fn exec(&self, uid: u32) -> core::result::Result<&'a Exec<'a>, Full> {
        let mut env = self.arena.list::<&CStr>(self.process.env().len())?;
        let (mut path, mut home) = (None, false);
        for entry in self.process.env().iter() {
            let text = entry.to_bytes_with_nul();
            if let Some(value) = after(text, b"PATH=") {
                path = c_string::until_nul(value);
            }
            if let Some(value) = after(text, b"HOME=") {
                // an empty HOME counts as none, as in runc
                if value.len() <= 1 {
                    continue;
                }
                home = true;
            }
            env.push(entry)?;
        }
        self.arena.one(Exec {
            args: self.list(self.process.args()),
            env: env.done(),
            path,
            home: (!home).then_some(uid),
            preserve_fds: self.request.preserve_fds,
        })
    }
}

fn capability_sets(process: &config::Process<'_>) -> Capabilities {
    let sets = process.capabilities().unwrap_or(config::Capabilities::ABSENT);
    let bits = |words: config::List<'_, &CStr>| {
        words.iter().filter_map(|word| capabilities::number(word.to_bytes())).fold(0, |all, n| all | 1 << n)
    };
    Capabilities {
        bounding: bits(sets.bounding()),
        effective: bits(sets.effective()),
        permitted: bits(sets.permitted()),
        inheritable: bits(sets.inheritable()),
        ambient: bits(sets.ambient()),
    }
}
