//! `root` and `mounts` (config.md, "Root", "Mounts").

use super::rules;
use crate::json::schema::Kind;
use crate::json::view::{List, object};
use core::ffi::CStr;

object! {
    /// The root filesystem.
    Root {
        /// Its path, absolute or relative to the bundle.
        path "path": required &'a CStr = Kind::Text(rules::NOT_EMPTY);
        /// Whether it is mounted read-only.
        readonly "readonly": plain bool;
    }
}

object! {
    /// One mount; they are carried out in order.
    Mount {
        /// Where, inside the container.
        destination "destination": required &'a CStr = Kind::Text(rules::NOT_EMPTY);
        /// The kind of filesystem; any text for a bind mount.
        kind "type": optional &'a CStr;
        /// A device, a path, or any word for filesystems without a source.
        source "source": optional &'a CStr;
        /// Options: `names::mount_options` and data for the filesystem.
        options "options": plain List<'a, &'a CStr>;
        /// User ids of an id-mapped mount.
        uid_mappings "uidMappings": plain List<'a, IdMapping<'a>>;
        /// Group ids of an id-mapped mount.
        gid_mappings "gidMappings": plain List<'a, IdMapping<'a>>;
    }
}

object! {
    /// A range of ids (user_namespaces(7)).
    IdMapping {
        /// The first id inside.
        container_id "containerID": required u32;
        /// The first id outside.
        host_id "hostID": required u32;
        /// How many, at least 1.
        size "size": required u32 = Kind::Number(&rules::SIZE);
    }
}
