//! What hull can't carry out yet: a valid field is refused by name, never ignored.

use super::{Builder, refuse};
use crate::base::words;

/// The fields, as a word table. A zero, an empty or a false value asks for nothing, as in runc.
const FIELDS: &str = "process.apparmorProfile process.selinuxLabel process.scheduler process.ioPriority \
    process.execCPUAffinity linux.netDevices linux.mountLabel linux.intelRdt linux.memoryPolicy \
    linux.personality linux.resources.hugepageLimits linux.resources.rdma linux.resources.unified \
    linux.resources.memory.kernel linux.resources.memory.kernelTCP linux.resources.memory.disableOOMKiller \
    linux.resources.memory.useHierarchy linux.resources.memory.checkBeforeUpdate linux.resources.cpu.burst \
    linux.resources.cpu.realtimeRuntime linux.resources.cpu.realtimePeriod linux.resources.cpu.idle \
    linux.resources.blockIO.weight linux.resources.blockIO.leafWeight linux.resources.blockIO.weightDevice \
    linux.resources.blockIO.throttleReadBpsDevice linux.resources.blockIO.throttleWriteBpsDevice \
    linux.resources.blockIO.throttleReadIOPSDevice linux.resources.blockIO.throttleWriteIOPSDevice \
    linux.resources.network.classID linux.resources.network.priorities ";

impl Builder<'_, '_> {
    /// Refuses the first field that asks for something that hull does not do, by its JSON path.
    pub(super) fn unsupported(&self) {
        let config = self.config;
        if let Some(field) = words::iter(FIELDS).find(|field| config.asks(field)) {
            self.not_yet(field);
        }
        // a swappiness of 0 is a wish, not the lack of one
        let memory = self.linux.resources().and_then(|r| r.memory());
        if memory.is_some_and(|m| m.swappiness().is_some()) {
            self.not_yet("linux.resources.memory.swappiness");
        }
        if config.mounts().iter().any(|m| !m.uid_mappings().is_empty() || !m.gid_mappings().is_empty()) {
            self.not_yet("mounts: uidMappings and gidMappings");
        }
    }

    fn not_yet(&self, field: &str) {
        refuse!(self, field, ": hull can't carry this out yet (the README lists what is missing)");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Request, host::Host, plan};
    use super::*;
    use crate::config::Config;
    use crate::error::test_arena;

    #[test]
    fn every_field_is_one_of_the_schemas() {
        for field in words::iter(FIELDS) {
            assert!(Config::knows(field), "{field}");
        }
    }

    #[test]
    fn only_what_asks_for_something_is_refused() {
        let refused = |linux: &str| {
            let arena = test_arena(1 << 20);
            let text = format!(r#"{{"ociVersion": "1.2.0", "linux": {linux}}}"#);
            let config =
                crate::config::parse(&arena, "config.json", text.as_bytes().to_vec().leak()).unwrap();
            let request = Request {
                id: c"x",
                bundle: c"/bundle",
                no_pivot: false,
                no_new_keyring: false,
                preserve_fds: 0,
                wait: false,
                path: c"/usr/bin:/bin",
            };
            let host = Host { cgroups: &[], own: 0 };
            let error = plan(&arena, &config, &host, &request).unwrap_err();
            let text = String::from_utf8_lossy(error.text()).into_owned();
            // the next mistake, where nothing is refused here
            (!text.contains("process is missing")).then_some(text)
        };
        for nothing in [
            r#"{"resources": {"cpu": {"burst": 0}, "memory": {"disableOOMKiller": false}, "hugepageLimits": []}}"#,
            r#"{"mountLabel": "", "seccomp": null}"#,
        ] {
            assert_eq!(refused(nothing), None);
        }
        for (something, field) in [
            (r#"{"resources": {"cpu": {"burst": 1}}}"#, "linux.resources.cpu.burst"),
            (r#"{"resources": {"memory": {"swappiness": 0}}}"#, "linux.resources.memory.swappiness"),
            (r#"{"mountLabel": "x"}"#, "linux.mountLabel"),
            (r#"{"resources": {"unified": {"a.b": "c"}}}"#, "linux.resources.unified"),
        ] {
            assert!(refused(something).unwrap().starts_with(&format!("config.json: {field}: ")), "{field}");
        }
    }
}
