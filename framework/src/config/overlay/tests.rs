use super::*;
use std::path::Path;

const MANIFEST: &str = "app = \"shop\"\n[modules]\nstock = \"my-store\"\n[process.my-store]\n";

fn laid(key: &str, value: Value) -> Result<Manifest, Vec<String>> {
    let mut manifest = Manifest::parse(MANIFEST, Path::new("deployment.toml")).unwrap();
    let mut path: Vec<&str> = key.split('.').collect();
    let section = path.remove(0);
    let innermost = (path.pop().unwrap().to_owned(), value);
    let table = path
        .into_iter()
        .rev()
        .fold(Dict::from([innermost]), |inner, key| Dict::from([(key.to_owned(), inner.into())]));
    let settings = Settings::default().with_section(section, table);
    match overlay(&mut manifest, &settings) {
        Ok(()) => Ok(manifest),
        Err(errors) => Err(errors.0.iter().map(ToString::to_string).collect()),
    }
}

#[track_caller]
fn refused(key: &str, value: impl Into<Value>) -> String {
    let errors = laid(key, value.into()).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn settings_are_held_to_the_ranges_of_the_manifest() {
    let counts = ["in_flight", "running", "waiting", "connections", "handshakes", "clients"];
    for key in counts.map(|key| format!("limits.{key}")) {
        for value in [0, u64::MAX] {
            let told = format!("{key}: must be from 1 to 1048576");
            assert_eq!(refused(&key, value), told, "{value}");
        }
        assert!(laid(&key, 1_u64.into()).is_ok());
    }
    for (key, value, told) in [
        ("limits.nesting", Value::from(0), "must be from 1 to 128"),
        ("limits.frame", Value::from(5), "must be from 1KiB to 1GiB"),
        ("limits.frame", Value::from(-5), "must be from 1KiB to 1GiB"),
        ("limits.memory", Value::from("15MiB"), "must be from 16MiB to 1024GiB"),
        ("limits.wait", Value::from("0s"), "must be from 1ms to 24h"),
        ("limits.hello", Value::from("2h"), "must be from 1ms to 1h"),
        ("calls.deadline", Value::from("0s"), "must be from 1ms to 24h"),
        ("calls.connections", Value::from(0), "must be from 1 to 1024"),
        ("calls.deadline_mode", Value::from("off"), "expected `enforce` or `observe`"),
        ("process.my-store.http", Value::from("8080"), "expected `host:port`"),
        ("process.my-store.retries.attempts", Value::from(0), "must be from 1 to 10"),
        ("process.my-store.retries.percent", Value::from(101), "must be from 0 to 100"),
        ("process.my-store.retries", Value::from(3), "expected a section, found an integer"),
        ("limits.in_flght", Value::from(3), "unknown key: did you mean `in_flight`?"),
        (
            "limits.running",
            Value::from("many"),
            "must be a whole number from 1 to 1048576, found a string",
        ),
    ] {
        assert_eq!(refused(key, value), format!("{key}: {told}"));
    }
}

#[test]
fn memory_holds_several_frames_whichever_of_the_two_is_set() {
    let told = "must be at least 16 times `limits.frame`: raise it to 2GiB or lower `limits.frame`";
    assert_eq!(refused("limits.frame", "128MiB"), format!("limits.memory: {told}"));
    let told =
        "must be at least 16 times `limits.frame`: raise it to 64MiB or lower `limits.frame`";
    assert!(!refused("limits.memory", "1MiB").contains(told), "one mistake is told once");
}

#[test]
fn a_variable_names_a_process_without_its_hyphens() {
    let manifest = laid("process.my_store.listen", "127.0.0.1:7".into()).unwrap();
    assert_eq!(manifest.processes.keys().collect::<Vec<_>>(), ["my-store"]);
    let listen = manifest.processes["my-store"].listen.as_ref().unwrap();
    assert_eq!(listen.to_string(), "127.0.0.1:7");
}

#[test]
fn tls_takes_three_files() {
    let told = "tls: `certificate`, `key` is missing: ";
    assert!(refused("tls.authority", "ca.pem").starts_with(told));
}

#[test]
fn the_network_may_encrypt_or_nothing_at_all() {
    let laid = |text: &str, words: &[(&str, Value)]| {
        let mut manifest = Manifest::parse(text, Path::new("deployment.toml")).unwrap();
        let words = words.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let errors = overlay(&mut manifest, &Settings::default().with_words(words));
        errors.map(|()| manifest).map_err(|errors| errors.0[0].to_string())
    };
    let of_files = "[tls]\nauthority = \"a\"\ncertificate = \"b\"\nkey = \"c\"\n";
    let of_files = format!("{MANIFEST}{of_files}");
    let manifest = laid(&of_files, &[("tls", "mesh".into())]).unwrap();
    assert!(manifest.mesh && manifest.tls.is_none());
    let in_mesh = format!("tls = \"mesh\"\n{MANIFEST}");
    assert!(
        laid(&in_mesh, &[("insecure", true.into())]).is_ok_and(|laid| laid.mesh && laid.insecure)
    );
    let files = ["authority", "certificate", "key"].map(|key| (key.to_owned(), "x".into()));
    let manifest = laid(&in_mesh, &[("tls", Dict::from(files).into())]).unwrap();
    assert!(!manifest.mesh && manifest.tls.is_some());
    let told = laid(MANIFEST, &[("tls", "mash".into())]).unwrap_err();
    assert_eq!(told, "tls: expected a section, or `mesh`");
    let told = laid(MANIFEST, &[("insecure", "yes".into())]).unwrap_err();
    assert_eq!(told, "insecure: must be `true` or `false`, found a string");
}
