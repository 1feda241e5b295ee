use super::*;
use crate::config::Secret;
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Limits {
    most: u32,
    name: String,
    quick: bool,
    inner: Inner,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inner {
    depth: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Keys {
    api_key: Secret,
    others: Vec<Secret>,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Needy {
    #[allow(dead_code, reason = "only what is said of it counts")]
    key: Secret<u32>,
}

fn of(text: &str) -> Settings {
    let folder = std::env::temp_dir().join(format!("ml-settings-{:x}", rand::random::<u64>()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("settings.toml");
    fs::write(&file, text).unwrap();
    let mut settings = Settings::read("no-such-app", &file).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let folder = format!("{}/", folder.display());
    settings.origins.values_mut().for_each(|origin| *origin = origin.replace(&folder, ""));
    settings
}

fn told(errors: &SettingsErrors) -> Vec<String> {
    errors.0.iter().map(ToString::to_string).collect()
}

#[test]
fn a_module_reads_its_own_section_and_not_the_frameworks_keys() {
    let settings = of("[orders]\nmost = 3\ndb.url = \"x\"\n[stock]\nmost = 4\n");
    assert_eq!(settings.module::<Limits>("orders").unwrap().most, 3);
    assert_eq!(settings.module::<Limits>("payments").unwrap().most, 0);
    let db: Dict = settings.group("orders", "db").unwrap();
    assert_eq!(db["url"].as_str(), Some("x"));
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_would_be_right() {
    let settings = of(
        "[orders]\nmots = 3\nname = 7\nquick = \"very\"\n\n[orders.inner]\ndepth = \"x\"\ndept = 1\n",
    );
    assert_eq!(
        told(&settings.module::<Limits>("orders").unwrap_err()),
        [
            "settings.toml:8: orders.inner.dept: unknown key: did you mean `depth`?",
            "settings.toml:7: orders.inner.depth: expected a whole number, found a text",
            "settings.toml:2: orders.mots: unknown key: did you mean `most`?",
            "settings.toml:3: orders.name: expected a text, found a whole number",
            "settings.toml:4: orders.quick: expected true or false, found a text",
        ]
    );
}

#[test]
fn what_is_missing_is_told_and_a_secret_is_not_shown() {
    let missing = of("").module::<Needy>("orders").unwrap_err();
    assert_eq!(told(&missing), ["orders.key: is missing, and has no default"]);
    let wrong = of("[orders]\nkey = \"hunter2\"\n").module::<Needy>("orders").unwrap_err();
    assert_eq!(told(&wrong), ["settings.toml:2: orders.key: expected a secret that is a u32"]);
}

#[test]
fn a_section_that_belongs_to_nobody_is_told() {
    let unknown = of("[order]\nmost = 3\n").unknown_sections(["orders"].into_iter());
    let told = told(&unknown);
    assert_eq!(
        told,
        ["settings.toml:1: order: no module, and no section of settings: did you mean `orders`?"]
    );
}

#[test]
fn the_environment_has_texts_and_types_come_from_whoever_reads_them() {
    let values = Dict::from([
        ("name".to_owned(), Value::from(7u32)),
        ("most".to_owned(), Value::from(7u32)),
    ]);
    let mut settings = Settings::default().with_section("orders", values);
    settings.texts.insert("orders.name".to_owned(), "007".to_owned());
    settings.texts.insert("orders.most".to_owned(), "007".to_owned());
    let limits: Limits = settings.module("orders").unwrap();
    assert_eq!((limits.name.as_str(), limits.most), ("007", 7));
}

#[test]
fn every_key_of_a_type_is_known_with_where_it_comes_from() {
    let settings = of("[orders]\nmost = 3\n");
    let keys = settings.keys::<Limits>("orders");
    let most = keys.iter().find(|setting| setting.key == "orders.most").unwrap();
    assert_eq!(most.value.as_deref(), Some("3"));
    assert_eq!(most.origin.as_deref(), Some("settings.toml:2"));
    let name = keys.iter().find(|setting| setting.key == "orders.name").unwrap();
    assert_eq!((&name.value, &name.origin), (&None, &None));
}

#[test]
fn a_secret_is_not_among_the_settings_that_are_shown() {
    let settings =
        of("[orders]\napi_key = \"hunter2\"\nothers = [\"hunter2\"]\nname = \"plain\"\n");
    let keys = settings.keys::<Keys>("orders");
    let shown: Vec<_> = keys.iter().map(|one| one.value.as_deref().unwrap_or_default()).collect();
    assert_eq!(shown, ["…", "\"plain\"", "…"]);
    assert_eq!(format!("{settings:?}"), "{\"orders\"}");
}

#[test]
fn a_variable_of_kubernetes_is_told_by_its_end() {
    for of_kubernetes in [
        "service_host",
        "db_service_host",
        "db_service_port",
        "db_read_only_service_port_postgres",
        "port",
        "db_port",
        "db_port_5432_tcp",
        "db_port_5432_tcp_proto",
        "db_port_5432_tcp_port",
        "db_port_5432_udp_addr",
    ] {
        assert!(is_of_kubernetes(of_kubernetes), "{of_kubernetes}");
    }
    for meant in
        ["max_lines", "host", "db_url", "port_number", "port_5432", "service", "db_port_tcp_addr"]
    {
        assert!(!is_of_kubernetes(meant), "{meant}");
    }
}

/// A service `shop-orders-db` beside an application `shop` with a module `orders`.
#[test]
fn a_service_whose_name_begins_with_a_modules_stops_no_start() {
    let unknown = |name: &str| {
        let mut settings = of("");
        settings.others.push(format!("{}{name}", settings.prefix));
        told(&settings.unknown_sections(["orders"].into_iter()))
    };
    assert_eq!(unknown("ORDERS_DB_SERVICE_HOST"), [""; 0]);
    assert_eq!(unknown("ORDERS_DB_PORT_5432_TCP_ADDR"), [""; 0]);
    assert_eq!(unknown("ORDERS_MAX_LINES").len(), 1);
}

#[test]
fn a_variable_may_name_a_file_with_the_value() {
    assert_eq!(of_file("ORDERS__DB__URL__FILE"), Some("ORDERS__DB__URL"));
    assert_eq!(of_file("ADMIN_TOKEN__FILE"), Some("ADMIN_TOKEN"));
    // A module's setting that is called `file`.
    assert_eq!((of_file("ORDERS__FILE"), of_file("ORDERS__DB__URL")), (None, None));
    let folder = std::env::temp_dir().join(format!("ml-files-{:x}", rand::random::<u64>()));
    fs::create_dir_all(&folder).unwrap();
    let read = |text: &[u8]| {
        let file = folder.join("c4n4ry");
        fs::write(&file, text).unwrap();
        read_file(file.into())
    };
    assert_eq!(read(b"hunter2\n").as_deref(), Ok("hunter2"));
    assert_eq!(read(b"hunter2\r\n").as_deref(), Ok("hunter2"));
    // Only the last line's end is not part of it.
    assert_eq!(read(b" a\nb\n\n").as_deref(), Ok(" a\nb\n"));
    let long = read(&[b'a'; 64 * 1024 + 1]).unwrap_err();
    let binary = read(&[0xff]).unwrap_err();
    let missing = read_file("/nowhere/c4n4ry".into()).unwrap_err();
    fs::remove_dir_all(&folder).unwrap();
    for error in [long, binary, missing] {
        assert!(
            error.starts_with("the file that it names") && !error.contains("c4n4ry"),
            "{error}"
        );
    }
}
