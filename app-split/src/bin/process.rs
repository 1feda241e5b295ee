//! A program for any process that is not exactly one module: a group of modules, or a gateway.
//!
//! The build chooses the process:
//! `MONOLIFT_MANIFEST=… MONOLIFT_PROCESS=… cargo build -p app-split`.

monolift::process!(env, "deployment.toml", "gateway", |app| {
    app.share("notifications", mailer::Mailer::new("shop@example.org"))
});
