//! From a plan to a running process: self-protection, the clone, both sides of the start, the foreground.
//!
//! | case | how | test |
//! |---|---|---|
//! | plain, cgroup v2 | clone3 with all new namespaces and CLONE_INTO_CGROUP; the child unshares its cgroup namespace itself, because clone would root it at the parent's cgroup | `namespaces` |
//! | no clone3 | clone, and the child waits until it was written into cgroup.procs | `fallbacks` |
//! | cgroup v1, hybrid | the child waits, is written into each hierarchy, then unshares its cgroup namespace | `cgroups` |
//! | time offsets | unshare(CLONE_NEWTIME), write timens_offsets, then clone (after clone3(CLONE_NEWTIME) the write is refused) | `namespaces` |
//! | joined namespaces | the child opens all, then joins each by setns(2) | `joined` |
//! | joined pid or user namespace, or a new user namespace beside joined ones | a process of the host's namespaces joins: what the host's rights reach, then the user namespace, then the rest. It makes the container's process with CLONE_PARENT, tells its pid and ends. It runs no hooks; it is undumpable unless maps are still to be written | `joined` |
//! | an ordinary user | one id is mapped by hull itself, after setgroups(2) is given up; more by newuidmap and newgidmap | `rootless` |
//! | new user namespace | the child stays dumpable until the maps are written, then becomes uid 0, then non-dumpable | `namespaces` |

pub mod child;
pub mod foreground;
pub mod monitor;
pub mod parent;
pub mod protect;
pub mod wire;
