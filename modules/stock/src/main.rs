//! Serves the module on its own: `cargo run -p stock`.

monolift::service!();
