//! Serves the module on its own: `cargo run -p notifications`.

monolift::service!(|app| app.share("notifications", mailer::Mailer::new("shop@example.org")));
