//! No error about a setting shows its value: a value in the wrong place may be a password.

use monolift::{
    Secret,
    config::{Settings, overlay},
};
use monolift_data::DbSettings;
use monolift_manifest::Manifest;
use serde::Deserialize;
use std::{fs, net::IpAddr, num::NonZeroU32, path::Path};

const CANARY: &str = "c4n4ry";
const MANIFEST: &str = "app = \"vault\"\n[modules]\norders = \"main\"\n[process.main]\n";

/// A module's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code, reason = "they are only read in")]
struct Orders {
    most: u32,
    open: bool,
    colour: Colour,
    api_key: Secret,
    pin: Secret<u32>,
    host: Option<IpAddr>,
    parts: Option<NonZeroU32>,
    names: Vec<String>,
    inner: Inner,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code, reason = "it is only read in")]
struct Inner {
    depth: i64,
    quoted: Option<Quoting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Colour {
    #[default]
    Red,
    Blue,
}

/// A type whose own errors quote the value, as many do.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Quoting;

impl TryFrom<String> for Quoting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Err(format!("{text:?} is not quoting"))
    }
}

/// All that is wrong with a file of settings, as a start says it.
fn told(name: &str, text: &str) -> String {
    let folder = std::env::temp_dir().join(format!("ml-secrets-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("settings.toml");
    fs::write(&file, text).unwrap();
    let mut all = Vec::new();
    match Settings::read("vault", &file) {
        Err(errors) => all.push(format!("{errors} {errors:?}")),
        Ok(settings) => {
            let mut manifest = Manifest::parse(MANIFEST, Path::new("deployment.toml")).unwrap();
            let mut keep = |errors: Option<monolift::config::SettingsErrors>| {
                all.extend(errors.map(|errors| format!("{errors} {errors:?}")));
            };
            keep(
                Some(settings.unknown_sections(["orders"].into_iter())).filter(|e| !e.0.is_empty()),
            );
            keep(overlay(&mut manifest, &settings).err());
            keep(settings.module::<Orders>("orders").err());
            keep(settings.group::<DbSettings>("orders", "db").err());
            all.push(format!("{settings:?} {manifest:?}"));
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    all.join("\n")
}

/// Each with the line and the key that are named, and what was expected.
const CASES: &[(&str, &str, &str)] = &[
    // A database's URL.
    ("[db]\nurl = \"shop:CANARY@db/shop\"", "toml:2: db.url", "user:password@host"),
    (
        "[orders]\ndb.url = \"postgres:shop:CANARY@db/shop\"",
        "toml:2: orders.db.url",
        "user:password@host",
    ),
    (
        "[orders]\ndb.url = \"postgres:/shop:CANARY@db/shop\"",
        "toml:2: orders.db.url",
        "user:password@host",
    ),
    ("[orders.db]\nurl = \"shop:CANARY@db/shop\"", "toml:2: orders.db.url", "user:password@host"),
    (
        "[orders.db]\nurl = \"mysql://shop:CANARY@db/shop\"",
        "toml:2: orders.db.url",
        "user:password@host",
    ),
    ("[orders.db]\nurl = \"postgres://shop:p?CANARY@db/shop\"", "toml:2: orders.db.url", "`%3F`"),
    ("[orders.db]\nurl = \"postgres://shop:CANARY#@db/shop\"", "toml:2: orders.db.url", "`%23`"),
    ("[orders.db]\nurl = \"postgres://shop:5/CANARY@db/shop\"", "toml:2: orders.db.url", "`%2F`"),
    (
        "[orders.db]\nurl = \"postgres://shop:CANARY /shop\"",
        "toml:2: orders.db.url",
        "without spaces",
    ),
    (
        "[orders.db]\nurl = \"postgres://shop:CANARY/shop\"",
        "toml:2: orders.db.url",
        "number as its port",
    ),
    (
        "[orders.db]\nurl = \"postgres://db/shop?pasword=CANARY\"",
        "toml:2: orders.db.url",
        "`password`",
    ),
    ("[orders.db]\nurl = \"postgres://db/shop?CANARY\"", "toml:2: orders.db.url", "sslmode"),
    (
        "[orders.db]\nurl = \"postgres://db/shop?sslmode=CANARY\"",
        "toml:2: orders.db.url",
        "require",
    ),
    ("[orders.db]\nurl = \"sqlite://shop:CANARY@db/shop\"", "toml:2: orders.db.url", "`sqlite:`"),
    ("[orders.db]\nurl = [\"CANARY\"]", "toml:2: orders.db.url", "a secret that is a String"),
    (
        "[orders.db]\nurl = { password = \"CANARY\" }",
        "toml:2: orders.db.url",
        "a secret that is a String",
    ),
    ("[orders.db]\nconnections = \"CANARY\"", "toml:2: orders.db.connections", "a whole number"),
    ("[orders.db]\ndurability = \"CANARY\"", "toml:2: orders.db.durability", "process, power"),
    ("[orders.db]\nulr = \"CANARY\"", "toml:2: orders.db.ulr", "`url`"),
    // A value where a table is expected, and the other way round.
    ("orders = \"postgres://shop:CANARY@db/shop\"", "toml:1: orders", "a section"),
    ("[orders]\ndb = \"postgres://shop:CANARY@db/shop\"", "toml:2: orders.db", "a section"),
    ("process = \"CANARY\"", "toml:1: process", "a section"),
    ("[process]\nmain = \"CANARY\"", "toml:2: process.main", "a section"),
    ("[process.main]\nretries = \"CANARY\"", "toml:2: process.main.retries", "a section"),
    ("limits = [\"CANARY\"]", "toml:1: limits", "a section"),
    ("tls = \"CANARY\"", "toml:1: tls", "a section"),
    // What is no TOML.
    ("[orders.db]\nurl = \"postgres://shop:CANARY@db/shop\n", "toml:2:", "basic string"),
    ("[orders.db]\nurl = 'postgres://shop:CANARY@db/shop\n", "toml:2:", "literal string"),
    ("[orders.db]\nurl = postgres://shop:CANARY@db/shop\n", "toml:2:", "string"),
    ("[orders.db]\nurl = CANARY\n", "toml:2:", "string"),
    ("[orders.db]\nurl \"CANARY\"\n", "toml:2:", "expected"),
    ("[orders.db]\nurl = \"a\" CANARY\n", "toml:2:", "expected newline"),
    ("[orders.db]\nurl = \"\\CANARY\"\n", "toml:2:", "escape"),
    (
        "\"postgres://shop:CANARY@db\" = 1\n\"postgres://shop:CANARY@db\" = 1\n",
        "toml:2:",
        "duplicate key",
    ),
    ("[orders]\nmost = 1\nmost.\"a CANARY\" = 1\n", "toml:3:", "key"),
    // A section of nobody's.
    ("\"postgres://shop:CANARY@db\" = 1", "toml:1: …", "no module"),
    ("[order]\nkey = \"CANARY\"", "toml:1: order", "did you mean `orders`?"),
    // A module's own settings.
    ("[orders]\nmost = \"CANARY\"", "toml:2: orders.most", "a whole number"),
    ("[orders]\nopen = \"CANARY\"", "toml:2: orders.open", "true or false"),
    ("[orders]\ncolour = \"CANARY\"", "toml:2: orders.colour", "red, blue"),
    ("[orders]\napi_key = [\"CANARY\"]", "toml:2: orders.api_key", "a secret that is a String"),
    ("[orders]\npin = \"CANARY\"", "toml:2: orders.pin", "a secret that is a u32"),
    ("[orders]\nhost = \"CANARY\"", "toml:2: orders.host", "IP address"),
    ("[orders]\nparts = \"CANARY\"", "toml:2: orders.parts", "expected"),
    ("[orders]\nnames = \"CANARY\"", "toml:2: orders.names", "a list"),
    ("[orders]\nnames = [1, \"CANARY\"]", "toml:2: orders.names", "a text"),
    ("[orders]\n\"CANARY !\" = 1", "toml:2: …", "unknown key"),
    ("[orders.inner]\ndepth = \"CANARY\"", "toml:2: orders.inner.depth", "a whole number"),
    (
        "[orders.inner]\nquoted = \"CANARY\"",
        "toml:2: orders.inner.quoted",
        "cannot be read as Quoting",
    ),
    // The framework's.
    ("[limits]\nframe = \"CANARY\"", "toml:2: limits.frame", "64KiB"),
    ("[limits]\nrunning = \"CANARY\"", "toml:2: limits.running", "1 to 1048576"),
    ("[calls]\ndeadline = \"CANARY\"", "toml:2: calls.deadline", "250ms"),
    ("[calls]\ndeadline_mode = \"CANARY\"", "toml:2: calls.deadline_mode", "`enforce`"),
    ("[process.main]\nhttp = \"http://u:CANARY@h\"", "toml:2: process.main.http", "`host:port`"),
    ("[process.main]\nlisten = \"CANARY\"", "toml:2: process.main.listen", "`host:port`"),
    ("[process.main]\nconnect = \"srv:CANARY..x\"", "toml:2: process.main.connect", "SRV"),
    (
        "[tls]\nauthority = \"a.pem\"\ncertificate = \"b.pem\"\nkey = \"-----BEGIN PRIVATE KEY-----CANARY\"",
        "toml:4: tls.key",
        "path of a file",
    ),
];

#[test]
fn no_error_about_settings_shows_a_value() {
    let mut wrong = Vec::new();
    for (at, (text, place, expected)) in CASES.iter().enumerate() {
        let said = told(&at.to_string(), &text.replace("CANARY", CANARY));
        let says = said.contains(place) && said.contains(expected);
        if said.contains(CANARY) || !says {
            wrong.push(format!(
                "{text}\nshould say {place} and {expected}, without the value:\n{said}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The manifest is read by the same keys; `MONOLIFT_MANIFEST` may name a file of settings by mistake.
#[test]
fn no_error_about_a_manifest_shows_a_value() {
    for (text, expected) in [
        ("app = \"CANARY !\"\nhost = \"old\"", "deployment.toml:1:7: `app`: "),
        ("app = \"shop\"\nhost = \"CANARY !\"", "deployment.toml:2:8: `host`: "),
        ("app = \"shop\"\n[modules]\norders = \"CANARY !\"", "deployment.toml:3:10: `orders`: "),
        (
            "app = \"shop\"\nhost = \"old\"\n[limits]\nframe = \"CANARY\"",
            "deployment.toml:4:9: `frame`: ",
        ),
        (
            "app = \"shop\"\nhost = \"old\"\nlimits = \"CANARY\"",
            "deployment.toml:3:10: `limits` must be a table",
        ),
        ("app = \"shop\"\n[orders.db]\nurl = \"CANARY\"", "unknown key `orders`"),
        ("app = \"shop\"\nurl = \"CANARY", "deployment.toml:2:"),
    ] {
        let text = text.replace("CANARY", CANARY);
        let problems = Manifest::parse(&text, Path::new("deployment.toml")).unwrap_err();
        let said = format!("{problems} {problems:?}");
        assert!(!said.contains(CANARY), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
