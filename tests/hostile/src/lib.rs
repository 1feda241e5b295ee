//! What arrives from outside of an application, as plain functions of bytes.
//!
//! Each takes any bytes, and panics only if something is wrong: not on what it refuses. `cargo xtask fuzz` looks for bytes
//! on which one does; `tests/all/corpus.rs` repeats what is in `fuzz/corpus`.

mod desk;
mod http;
mod runtime;
mod steps;
mod text;
mod token;
mod wire;

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 10] = [
    ("frame", wire::frame),
    ("hello", wire::hello),
    ("envelope", wire::envelope),
    ("codec", wire::codec),
    ("conversation", wire::conversation),
    ("manifest", text::manifest),
    ("settings", text::settings),
    ("token", token::token),
    ("query", http::query),
    ("body", http::body),
];

/// The function of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
