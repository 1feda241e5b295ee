//! The shop in one process: `cargo run`. `deployment.toml` places the modules.

monolift::process!("../deployment.toml", "monolith", |app| {
    app.share("notifications", mailer::Mailer::new("shop@example.org")).try_out(TRY)
});

const TRY: [&str; 4] = [
    "curl {http}/products",
    "curl {http}/openapi.json",
    "TOKEN=$(curl {http}/sessions -H 'content-type: application/json' \\\n           \
     -d '{\"email\": \"demo@example.org\", \"password\": \"demo-password\"}' \\\n           \
     | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')",
    "curl {http}/orders -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \\\n           \
     -d '{\"user\": \"demo\", \"lines\": [{\"sku\": \"tea\", \"quantity\": 2}]}'",
];
