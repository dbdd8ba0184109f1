//! What hull can't carry out yet: a valid field is refused by name, never ignored.

use super::{Builder, refuse};
use crate::base::words;

/// The fields, as a word table. A zero, an empty or a false value asks for nothing, as in runc.
const FIELDS: &str = "linux.intelRdt.enableCMT linux.intelRdt.enableMBM ";

/// Whether the field at this path is refused.
pub fn refuses(field: &str) -> bool {
    words::position(FIELDS, field.as_bytes()).is_some()
}

impl Builder<'_, '_> {
    /// Refuses the first field that asks for something that hull does not do, by its JSON path.
    pub(super) fn unsupported(&self) {
        let config = self.config;
        if let Some(field) = words::iter(FIELDS).find(|field| config.asks(field)) {
            refuse!(self, field, ": hull can't carry this out yet (the README lists what is missing)");
        }
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
            let request = Request::plain(c"x");
            let host = Host { cgroups: &[], own: 0, resctrl: None };
            let error = plan(&arena, &config, &host, &request).unwrap_err();
            let text = String::from_utf8_lossy(error.text()).into_owned();
            // the next mistake, where nothing is refused here
            (!text.contains("process is missing")).then_some(text)
        };
        assert_eq!(refused(r#"{"intelRdt": {"enableCMT": false}, "seccomp": null}"#), None);
        for (something, field) in [
            (r#"{"intelRdt": {"enableMBM": true}}"#, "linux.intelRdt.enableMBM"),
            (r#"{"intelRdt": {"enableCMT": true}}"#, "linux.intelRdt.enableCMT"),
        ] {
            assert!(refused(something).unwrap().starts_with(&format!("config.json: {field}: ")), "{field}");
        }
    }
}
