//! No code: what counts is in `Cargo.toml`.
//!
//! Cargo compiles a dependency once for each set of features, and chooses the set for each command. The programs of
//! this workspace depend on this crate, which names the features that any of them needs, so that all of them share one
//! compiled copy of each dependency. `tests/all/one_build.rs` compares them.
