//! The shop in one process: `cargo run`. `deployment.toml` places the modules.

monolift::process!("../deployment.toml", "monolith", |app| {
    app.share("notifications", mailer::Mailer::new("shop@example.org")).try_out(TRY)
});

const TRY: [&str; 3] = [
    "curl {http}/products",
    "curl {http}/openapi.json",
    "curl {http}/orders -H 'content-type: application/json' \\\n           \
     -d '{\"user\": \"demo\", \"lines\": [{\"sku\": \"tea\", \"quantity\": 2}]}'",
];
