//! Hooks: which run in the parent, which in the child, and when.

use super::Builder;
use super::op::{Hook, Op};
use crate::config::{self, Hooks, List, Value};

impl<'a> Builder<'a, '_> {
    fn all_hooks(&self) -> Hooks<'a> {
        self.config.hooks().unwrap_or(Hooks::ABSENT)
    }

    #[cold]
    fn hook(&self, kind: &'static str, hook: config::Hook<'a>) -> Hook<'a> {
        let mut args = self.list(hook.args());
        if args.is_empty() {
            args = self.noted(self.arena.slice_of(Some(hook.path()))).unwrap_or(&[]);
        }
        Hook { kind, path: hook.path(), args, env: self.list(hook.env()), timeout: hook.timeout() }
    }

    fn in_child(&mut self, kind: &'static str, hooks: List<'a, config::Hook<'a>>) {
        for hook in hooks.iter() {
            let hook = self.hook(kind, hook);
            if let Some(hook) = self.noted(self.arena.one(hook)) {
                self.op(Op::Hook(hook));
            }
        }
    }

    /// The mounts are there, the root is not entered yet.
    pub(super) fn hooks_before_root(&mut self) {
        let hooks = self.all_hooks();
        if !hooks.prestart().is_empty() || !hooks.create_runtime().is_empty() {
            self.op(Op::AwaitHooks);
        }
        self.in_child("createContainer", hooks.create_container());
    }

    /// Right before the program.
    pub(super) fn hooks_inside(&mut self) {
        self.in_child("startContainer", self.all_hooks().start_container());
    }

    /// Those of the parent: the deprecated ones first, as in runc.
    pub(super) fn parents_hooks(&self) -> &'a [Hook<'a>] {
        let hooks = self.all_hooks();
        let lists = [("prestart", hooks.prestart()), ("createRuntime", hooks.create_runtime())];
        let count = lists.iter().map(|(_, list)| list.len()).sum();
        let Some(mut all) = self.noted(self.arena.list(count)) else { return &[] };
        for (kind, list) in lists {
            for hook in list.iter() {
                self.noted(all.push(self.hook(kind, hook)));
            }
        }
        all.done()
    }
}
