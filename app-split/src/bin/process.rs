//! Any process of a manifest that is more than one module: a group of them, or a gateway. The build
//! names it: `MONOLIFT_MANIFEST=… MONOLIFT_PROCESS=… cargo build -p app-split`.

monolift::process!(env, "deployment.toml", "gateway", |app| {
    app.share("notifications", mailer::Mailer::new("shop@example.org"))
});
