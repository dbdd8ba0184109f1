//! `hooks` (config.md, "POSIX-platform Hooks").

use super::rules;
use crate::json::schema::Kind;
use crate::json::view::{List, object};
use core::ffi::CStr;

object! {
    /// Programs that run at points of the lifecycle, each list in order.
    Hooks {
        /// Deprecated: after the namespaces are made, in the runtime's.
        prestart "prestart": plain List<'a, Hook<'a>>;
        /// After the namespaces are made, in the runtime's.
        create_runtime "createRuntime": plain List<'a, Hook<'a>>;
        /// The same moment, in the container's namespaces.
        create_container "createContainer": plain List<'a, Hook<'a>>;
        /// Just before the process, inside the container.
        start_container "startContainer": plain List<'a, Hook<'a>>;
        /// After the process has started, in the runtime's namespaces.
        poststart "poststart": plain List<'a, Hook<'a>>;
        /// After the container is deleted, in the runtime's namespaces.
        poststop "poststop": plain List<'a, Hook<'a>>;
    }
}

object! {
    /// One program.
    Hook {
        /// Its path, absolute.
        path "path": required &'a CStr = Kind::Text(rules::ABSOLUTE);
        /// All of argv, the name included.
        args "args": plain List<'a, &'a CStr>;
        /// All of its environment.
        env "env": plain List<'a, &'a CStr> = Kind::List(&Kind::Text(rules::ENVIRONMENT));
        /// Seconds after which it is killed, at least 1.
        timeout "timeout": optional u32 = Kind::Number(&rules::TIMEOUT);
    }
}
