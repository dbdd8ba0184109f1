//! The system call filter: loaded by the child, its listener handed over by the parent.

use super::{Fault, Hint, Outcome};
use crate::compose;
use crate::json::write::Text;
use crate::names::SPEC_VERSION;
use crate::plan::op::Filter;
use crate::plan::seccomp::{KILL_PROCESS, LOG, RETURN};
use crate::rt::arena::Arena;
use crate::sys::{seccomp, socket};
use rustix::fd::{AsFd, RawFd};
use rustix::io::Errno;
use rustix::process::Pid;

/// Loads a filter for good. Gives the number of its listener, where it has one.
///
/// # Errors
/// EINVAL, EOPNOTSUPP with a hint where the kernel lacks filters, a flag or an action; EACCES with one without
/// no_new_privs and CAP_SYS_ADMIN.
pub fn load(filter: &Filter<'_>) -> Outcome<Option<RawFd>> {
    // an old kernel would kill for an action that it does not know
    for action in [KILL_PROCESS, LOG] {
        if filter.program.iter().any(|i| i.code == RETURN && i.k == action) {
            seccomp::has_action(action).map_err(lacking)?;
        }
    }
    let number = match seccomp::set_filter(filter.flags | filter.wish, filter.program) {
        Err(fault) if fault.is(Errno::INVAL) && filter.wish != 0 => {
            seccomp::set_filter(filter.flags, filter.program)
        }
        other => other,
    };
    let number = number.map_err(lacking)?;
    Ok(filter.listener.map(|_| number))
}

fn lacking(fault: Fault) -> Fault {
    match fault.errno() {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => fault.hinted(Hint::NoSeccomp),
        Errno::ACCESS => fault.hinted(Hint::NotPrivileged),
        _ => fault,
    }
}

/// Hands the listener `number` of process `pid` to the one who listens at the filter's socket, with the state of the
/// container's process (config-linux.md, "The Container Process State"). `state` is that of the container.
///
/// # Errors
/// As pidfd_getfd(2), connect(2), sendmsg(2).
pub fn hand_over<'a>(
    arena: &Arena<'a>,
    filter: &Filter<'a>,
    (pid, number): (Pid, RawFd),
    state: &[u8],
) -> Outcome<()> {
    let descriptor = seccomp::descriptor_from(pid, number).map_err(super::identity::privileged)?;
    let text = compose!(
        arena,
        "{\"ociVersion\":\"",
        SPEC_VERSION,
        "\",\"fds\":[\"seccompFd\"],\"pid\":",
        pid.as_raw_nonzero().get(),
        ",\"metadata\":",
        Text(filter.metadata.to_bytes()),
        ",\"state\":",
        state,
        "}"
    );
    socket::hand_over(filter.listener.unwrap_or(c""), text, descriptor.as_fd())
}
