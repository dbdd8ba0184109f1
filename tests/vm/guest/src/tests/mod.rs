//! The tests, by what they are about.

mod cgroup;
mod device;
mod leftovers;
mod namespace;
mod process;
mod resource;
mod root;

use crate::Test;

/// All of them, in the order in which they run.
pub fn all() -> impl Iterator<Item = Test> {
    [
        root::TESTS,
        process::TESTS,
        cgroup::TESTS,
        resource::TESTS,
        device::TESTS,
        namespace::TESTS,
        leftovers::TESTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
