//! Words and numbers: one table for each vocabulary that parser, plan, help and `features` share.

pub mod capabilities;
pub mod mount_options;
pub mod namespaces;
pub mod rlimits;
pub mod signals;
pub mod syscalls;

/// The version of runtime-spec that hull follows.
pub const SPEC_VERSION: &str = "1.3.0";
