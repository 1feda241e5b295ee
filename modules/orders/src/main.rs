//! Serves the module on its own: `cargo run -p orders`.

monolift::service!(|app| app.share("orders", mailer::Mailer::new("shop@example.org")));
