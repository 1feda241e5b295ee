//! Serves the module on its own: `cargo run -p carts`.

monolift::service!();
