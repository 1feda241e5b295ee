//! Serves the module on its own: `cargo run -p reports`.

monolift::service!();
