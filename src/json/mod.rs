//! JSON: strict scan, table-driven reader, places for errors, strings written.
//!
//! A document is scanned once ([`scan`]), then read by one reader that static tables drive ([`schema`], [`read`]) into
//! slots in the arena. Derived readers were measured at twelve times the code. Must not do: know any document's fields.

pub mod locate;
pub mod read;
pub mod scan;
pub mod schema;
pub mod tables;
pub mod view;
pub mod walk;
pub mod write;
