//! Serves the module on its own: `cargo run -p profiles`.

monolift::service!();
