//! hull: an OCI container runtime in one small static binary.
//!
//! The rooms, in the order that data flows: `cli` reads argv, `command` has one file a verb, `json` and `config` read
//! config.json, `plan` turns it into operations, `stage` clones the child, `effect` carries the operations out, `state`
//! keeps what a container leaves on the host, `boot` is PID 1. `base`, `names`, `error`, `sys` and `rt` serve all.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

pub mod base;
pub mod boot;
pub mod cli;
pub mod command;
pub mod config;
pub mod effect;
pub mod error;
pub mod json;
pub mod names;
pub mod plan;
pub mod rt;
pub mod stage;
pub mod state;
pub mod sys;
