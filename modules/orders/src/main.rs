//! Serves the module on its own: `cargo run -p orders`.

monolift::service!();
