//! The shop in one process: `cargo run`. `deployment.toml` says which modules that means.

monolift::process!("../deployment.toml", "monolith", |app| {
    app.share("notifications", mailer::Mailer::new("shop@example.org"))
});
