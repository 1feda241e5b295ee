//! The reference of all settings is what a program takes, and its values are the defaults.

use super::{processes::Run, shop::MONOLITH};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("settings.reference.toml")
}

/// What a program says of its settings: each key with its value and where that comes from.
fn asked(run: &Run) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let output = Command::new(MONOLITH.program("app-monolith"))
        .env("MONOLIFT_ASK", "config")
        .envs(run.env.iter().map(|(key, value)| (key, value)))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let settings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    settings
        .iter()
        .map(|one| (text(&one["key"]).unwrap(), (text(&one["value"]), text(&one["origin"]))))
        .collect()
}

#[test]
fn the_reference_has_every_setting_and_its_default() {
    let text = fs::read_to_string(reference()).unwrap();
    let run = MONOLITH.run("reference");
    let plain = asked(&run);
    // As it is, and with what has no default.
    let all = text.replace("#: ", "");
    for (name, text) in [("plain", &text), ("all", &all)] {
        let file = run.data.join(format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        let told = asked(&MONOLITH.run(name).with("MONOLIFT_SETTINGS", file.display().to_string()));
        for (key, (value, origin)) in &told {
            let from_file = origin.as_ref().is_some_and(|origin| origin.contains(".toml:"));
            let of_others = key.contains(".db.") && !key.starts_with("users.");
            // The address of this test's own run stands over the file.
            let by_run = key.starts_with("process.") || key == "data" || key.ends_with(".db.url");
            assert!(
                from_file || of_others || by_run || name == "plain",
                "{key} is not in the reference: {value:?} {origin:?}"
            );
            // A table whose name is free, such as an issuer's, is there with the file only.
            let Some((default, _)) = plain.get(key) else {
                assert!(key.starts_with("identity.issuers."), "{key} has no default");
                continue;
            };
            if name == "plain"
                && let (Some(value), Some(default)) = (value, default)
                && !by_run
            {
                assert_eq!(value, default, "{key}");
            }
        }
        for (key, (value, _)) in &plain {
            if name == "plain" && value.is_none() && !key.contains(".db.") {
                let (value, _) = &told[key];
                let no_default = key.starts_with("process.")
                    || key.starts_with("tls.")
                    || key.starts_with("identity.issuers.")
                    || [
                        "calls.connections",
                        "db.url",
                        "http.cors_origins",
                        "identity.statement_key",
                        "identity.statement_keys",
                        "identity.statements",
                        "http.trusted_proxies",
                        "limits.rate",
                        "limits.rates",
                        "observe.slow",
                        "observe.otlp.endpoint",
                        "observe.otlp.headers",
                    ]
                    .contains(&key.as_str());
                assert_eq!(value.is_some(), !no_default, "{key} is not in the reference");
            }
        }
    }
    // The defaults that only the modules' code knows.
    for (default, file) in [
        ("max_lines: 20", "orders"),
        ("demo: true, hold_seconds: 15 * 60", "stock"),
        ("most_cents: 100_000, slow_millis: 2_000", "payments"),
        ("demo: true,", "users"),
        ("issuer: \"http://127.0.0.1:8080\".to_owned()", "users"),
        ("audience: \"shop\".to_owned()", "users"),
        ("token_seconds: 1_800,", "users"),
        ("key_seconds: 86_400,", "users"),
        ("password_memory_kib: 19_456,", "users"),
        ("password_passes: 2,", "users"),
    ] {
        let code = reference().with_file_name(format!("modules/{file}/src/lib.rs"));
        assert!(fs::read_to_string(code).unwrap().contains(default), "{file}: {default}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let run = MONOLITH.run("secret");
    let run = run.with("SHOP_ORDERS__DB__URL", "postgres://shop:hunter2@127.0.0.1:1/shop");
    let told = asked(&run);
    assert_eq!(told["orders.db.url"].0.as_deref(), Some("…"));
    assert_eq!(told["orders.db.url"].1.as_deref(), Some("SHOP_ORDERS__DB__URL"));
}
