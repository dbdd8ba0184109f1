//! From a plan to a running process: self-protection, the clone, both sides of the start, the foreground.
//!
//! | case | how | test |
//! |---|---|---|
//! | plain, cgroup v2 | clone3 with all new namespaces and CLONE_INTO_CGROUP; the child unshares its cgroup namespace itself, because clone would root it at the parent's cgroup | `namespaces` |
//! | no clone3 | clone, and the child waits until it was written into cgroup.procs | `fallbacks` |
//! | cgroup v1, hybrid | the child waits, is written into each hierarchy, then unshares its cgroup namespace | `cgroups` |
//! | time offsets | unshare(CLONE_NEWTIME), write timens_offsets, then clone (after clone3(CLONE_NEWTIME) the write is refused) | `namespaces` |
//! | new user namespace | the child stays dumpable until the maps are written, then becomes uid 0, then non-dumpable | `namespaces` |

pub mod child;
pub mod foreground;
pub mod monitor;
pub mod parent;
pub mod protect;
pub mod wire;
