//! Serves the module on its own: `cargo run -p payments`.

monolift::service!();
