//! Mistakes in the manifest, or in the Cargo.toml files, fail the build: with the place and advice.

use super::workspace::Workspace;

const GOOD: &str = r#"app = "shop"

[modules]
stock    = "monolith"
orders   = "monolith"
payments = "payments"

[process.monolith]
http   = "127.0.0.1:8080"
listen = "127.0.0.1:7100"

[process.payments]
listen = "127.0.0.1:7104"
"#;

/// What is changed in the manifest, and what the build then says.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "payments = ",
        "paymnts = ",
        &["deployment.toml:6:1:", "`paymnts`", "did you mean `payments`"],
    ),
    ("\"payments\"", "\"payment\"", &["deployment.toml:", "payment"]),
    ("stock    = \"monolith\"\n", "", &["stock", "placed nowhere"]),
    (
        "listen = \"127.0.0.1:7104\"",
        "lisen = \"127.0.0.1:7104\"",
        &["deployment.toml:13:1:", "`lisen`", "did you mean `listen`"],
    ),
    ("listen = \"127.0.0.1:7104\"", "", &["deployment.toml:", "payments", "listen"]),
    ("127.0.0.1:7104", "127.0.0.1:7100", &["deployment.toml:13:", "127.0.0.1:7100"]),
    ("listen = \"127.0.0.1:7104\"", "listen = \"nowhere\"", &["deployment.toml:13:", "nowhere"]),
];

fn check(workspace: &Workspace) -> Result<(), String> {
    let output = workspace.cargo(&["check", "--quiet", "-p", "app-monolith"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

#[test]
fn mistakes_fail_the_build() {
    let workspace = Workspace::copy();
    let write = |text: &str| std::fs::write(workspace.root.join("deployment.toml"), text).unwrap();
    write(GOOD);
    check(&workspace).unwrap();
    for (from, to, told) in MISTAKES {
        assert!(GOOD.contains(from), "{from}");
        write(&GOOD.replacen(from, to, 1));
        let said = check(&workspace).expect_err(to);
        for text in *told {
            assert!(said.contains(text), "{from:?} to {to:?}: no {text:?} in\n{said}");
        }
    }
    write(GOOD);

    // Two modules that call each other.
    let cargo_toml = "modules/payments/Cargo.toml";
    let original = std::fs::read_to_string(workspace.root.join(cargo_toml)).unwrap();
    let dependency = "payments-api = { path = \"api\" }\n";
    let more = format!("{dependency}orders-api = {{ path = \"../orders/api\" }}\n");
    workspace.edit(cargo_toml, dependency, &more);
    let said = check(&workspace).unwrap_err();
    assert!(said.contains("orders -> payments -> orders"), "{said}");
    std::fs::write(workspace.root.join(cargo_toml), &original).unwrap();

    // A module that depends on another's code.
    let more = format!("{dependency}stock = {{ path = \"../stock\" }}\n");
    workspace.edit(cargo_toml, dependency, &more);
    let said = check(&workspace).unwrap_err();
    assert!(said.contains("modules/payments/Cargo.toml:") && said.contains("`stock`"), "{said}");
    std::fs::write(workspace.root.join(cargo_toml), &original).unwrap();

    // A process whose program does not depend on what it runs.
    workspace.edit("app-monolith/Cargo.toml", "stock = { path = \"../modules/stock\" }\n", "");
    let said = check(&workspace).unwrap_err();
    assert!(said.contains("stock = { path = \"../modules/stock\" }"), "{said}");
}
