//! Serves the module on its own: `cargo run -p users`.

monolift::service!();
