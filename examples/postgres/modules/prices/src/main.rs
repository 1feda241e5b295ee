//! Serves the module on its own: `cargo run -p prices`.

monolift::service!();
