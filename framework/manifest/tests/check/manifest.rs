//! What a manifest may say, and what is said when it says something else.

use std::path::Path;
use std::time::Duration;

use monolift_manifest::{Calls, DeadlineMode, Limits, Rate, Rates, Retries, StatementMode};

use crate::scratch::parse;

#[track_caller]
fn refused(text: &str) -> String {
    parse(text).expect_err("a refusal").to_string()
}

/// What is wrong with a line that stands under a header, in a manifest that is right but for it.
#[track_caller]
fn wrong(header: &str, line: &str) -> String {
    let problems =
        parse(&format!("app = \"shop\"\nhost = \"old\"\n{header}\n{line}\n")).expect_err(line);
    assert_eq!(problems.0.len(), 1, "{problems}");
    problems.to_string()
}

#[test]
fn a_process_may_observe_the_application_and_a_gateway_must() {
    let text = "app = \"shop\"\nhost = \"old\"\n[process.ops]\nobserve = true\n\
                [process.web]\nhttp = \"a:80\"\n[process.back]\nlisten = \"a:81\"\nobserve = false\n";
    let manifest = parse(text).expect("a manifest");
    let observing =
        ["ops", "web", "back", "old", "nowhere"].map(|process| manifest.observes(process));
    assert_eq!(observing, [true, true, false, false, false]);
    let run = ["ops", "web", "back", "old"].map(|process| manifest.is_run(process));
    assert_eq!(run, [true, true, false, true]);

    let refused = wrong("[process.web]\nhttp = \"a:80\"", "observe = false");
    assert_eq!(
        refused,
        "deployment.toml:5:11: `observe`: a gateway gathers what other processes record, and cannot do without: remove this line"
    );
    let refused = wrong("[process.ops]", "observe = \"yes\"");
    assert_eq!(
        refused,
        "deployment.toml:4:11: `observe`: must be `true` or `false`, found a string"
    );
}

#[test]
fn everything_that_can_be_said() {
    let text = r#"
app = "shop"
host = "monolith"
[modules]
users = "monolith"
audit = "ledger"
orders = "monolith"
[process.monolith]
http = "127.0.0.1:8080"
listen = "0.0.0.0:7100"
connect = "10.0.0.1:7100"
[process.payments]
listen = "unix:run/payments.sock"
replicas = 2
[process.payments.retries]
attempts = 1
percent = 0
per_second = 3
[calls]
deadline = "250ms"
deadline_mode = "observe"
connections = 2
drain = "0s"
[limits]
running = 20
waiting = 30
wait = "5ms"
frame = "64KiB"
nesting = 128
in_flight = 1
connections = 10
hello = "1m"
memory = "16MiB"
handshakes = 2
clients = 3
clients_per_address = 4
requests = 5
head = "8KiB"
target = "1KiB"
headers = 20
head_time = "1s"
body_time = "2s"
rate = "100/s"
rates = "orders.place=10/m,users=5/h"
"#;
    let manifest = parse(text).expect("a manifest");
    assert_eq!((manifest.app.as_str(), manifest.host.as_deref()), ("shop", Some("monolith")));
    assert_eq!(manifest.file, Path::new("deployment.toml"));
    let lines: Vec<_> = manifest
        .modules
        .iter()
        .map(|placed| (placed.module.as_str(), placed.line, placed.column))
        .collect();
    assert_eq!(lines, [("users", 5, 1), ("audit", 6, 1), ("orders", 7, 1)]);
    assert_eq!(manifest.modules_of("monolith").collect::<Vec<_>>(), ["users", "orders"]);
    assert_eq!(manifest.process_of("audit"), Some("ledger"));
    assert_eq!(manifest.process_of("stock"), None);
    assert_eq!(manifest.all_processes().collect::<Vec<_>>(), ["ledger", "monolith", "payments"]);
    assert_eq!(manifest.connect_to("monolith"), "10.0.0.1:7100".parse().ok());
    let two = "unix:run/payments.sock, unix:run/payments.sock.1";
    assert_eq!(manifest.connect_to("payments"), two.parse().ok());
    let retries = Retries { attempts: 1, percent: 0, per_second: 3 };
    assert_eq!(manifest.processes["payments"].retries, retries);
    assert_eq!(manifest.processes["monolith"].retries, Retries::default());
    assert_eq!(manifest.connect_to("ledger"), None);
    let monolith = &manifest.processes["monolith"];
    assert_eq!((monolith.line, monolith.column), (8, 10));
    assert_eq!(monolith.http.as_deref(), Some("127.0.0.1:8080"));
    let calls = Calls {
        deadline: Duration::from_millis(250),
        deadline_mode: DeadlineMode::Observe,
        connections: Some(2),
        drain: Duration::ZERO,
    };
    assert_eq!(manifest.calls, calls);
    let limits = Limits {
        frame: 65_536,
        nesting: 128,
        in_flight: 1,
        running: 20,
        waiting: 30,
        wait: Duration::from_millis(5),
        connections: 10,
        hello: Duration::from_secs(60),
        memory: 16 << 20,
        handshakes: 2,
        clients: 3,
        clients_per_address: 4,
        requests: 5,
        head: 8 << 10,
        target: 1 << 10,
        headers: 20,
        head_time: Duration::from_secs(1),
        body_time: Duration::from_secs(2),
        rate: Rate::read("100/s").ok(),
        rates: Rates::read("orders.place=10/m,users=5/h").ok(),
    };
    assert_eq!(manifest.limits, limits);
}

#[test]
fn what_is_left_out_has_its_default() {
    let manifest = parse("app = \"shop\"\n[modules]\nusers = \"monolith\"\n").expect("a manifest");
    assert_eq!(manifest.host, None);
    assert_eq!(manifest.calls, Calls::default());
    assert_eq!(manifest.limits, Limits::default());
    assert_eq!(
        (manifest.calls.deadline, manifest.calls.drain),
        (Duration::from_secs(5), Duration::from_secs(20))
    );
    assert_eq!((manifest.limits.frame, manifest.limits.nesting), (4 * 1024 * 1024, 64));
    parse("app = \"shop\"\nhost = \"old\"\n").expect("a host alone is enough");
}

#[test]
fn all_mistakes_at_once_in_the_order_of_the_file() {
    let text = "ap = \"shop\"\n[modules]\nUsers = 1\n[calls]\ndeadlin = \"1s\"\ndrain = \"soon\"\n";
    assert_eq!(
        refused(text),
        "deployment.toml:1:1: unknown key `ap` at the top of a manifest\n  help: did you mean `app`?\n\
         deployment.toml:1:1: the manifest does not name its application\n  help: add `app = \"…\"` at the top\n\
         deployment.toml:3:1: module name `Users` must be lower-case letters, digits, `-` and `_`, beginning with a letter\n\
         deployment.toml:3:9: `Users`: must be the name of a process, found an integer\n\
         deployment.toml:5:1: unknown key `deadlin` in [calls]\n  help: did you mean `deadline`?\n\
         deployment.toml:6:9: `drain`: expected a duration such as `250ms`, `5s`, `2m` or `1h`"
    );
}

#[test]
fn text_that_is_no_manifest() {
    assert_eq!(
        refused("app = \"shop\"\n[modules]\na = \"x\"\na = \"y\"\n"),
        "deployment.toml:4:1: duplicate key `a` in table `modules`"
    );
    assert_eq!(refused("app = \"shop"), "deployment.toml:1:12: invalid basic string");
    assert_eq!(
        refused("app = \"shop\"\n"),
        "deployment.toml:1:1: the manifest places no module\n  help: add a [modules] table: `module = \"process\"`"
    );
}

#[test]
fn unknown_keys() {
    assert_eq!(
        wrong("[process.old]", "lisen = \"a:1\""),
        "deployment.toml:4:1: unknown key `lisen` in [process.old]\n  help: did you mean `listen`?"
    );
    assert_eq!(
        wrong("[limits]", "threads = 3"),
        "deployment.toml:4:1: unknown key `threads` in [limits]\n  \
         help: known keys are `frame`, `nesting`, `memory`, `in_flight`, `running`, `waiting`, `wait`, `connections`, `hello`, `handshakes`, `clients`, `clients_per_address`, `requests`, `head`, `target`, `headers`, `head_time`, `body_time`, `rate`, `rates`"
    );
    assert_eq!(
        wrong("[replicas]", "x = 3"),
        "deployment.toml:3:2: unknown key `replicas` at the top of a manifest\n  \
         help: known keys are `app`, `host`, `modules`, `process`, `calls`, `http`, `identity`, `log`, `observe`, `limits`, `db`, `tls`, `insecure`"
    );
}

#[test]
fn wrong_types() {
    assert_eq!(
        refused("app = 1\nhost = \"old\""),
        "deployment.toml:1:7: `app`: must be a string, found an integer"
    );
    assert_eq!(
        refused("app = \"shop\"\nmodules = \"users\""),
        "deployment.toml:2:11: `modules` must be a table, found a string"
    );
    assert_eq!(
        wrong("[modules.users]", "x = 1"),
        "deployment.toml:3:10: `users`: must be the name of a process, found a table"
    );
    assert_eq!(
        wrong("[process]", "old = \"a:1\""),
        "deployment.toml:4:7: `old` must be a table, found a string\n  help: write [process.old]"
    );
    assert_eq!(
        wrong("[process.old]", "http = 8080"),
        "deployment.toml:4:8: `http`: must be a string, found an integer"
    );
    assert_eq!(
        wrong("[calls]", "deadline = 5"),
        "deployment.toml:4:12: `deadline`: expected a duration such as `250ms`, `5s`, `2m` or `1h`, found an integer"
    );
    assert_eq!(
        wrong("[limits]", "frame = true"),
        "deployment.toml:4:9: `frame`: expected a size such as `64KiB`, `4MiB` or a number of bytes, found a boolean"
    );
    assert_eq!(
        wrong("[limits]", "nesting = 1.5"),
        "deployment.toml:4:11: `nesting`: must be a whole number from 1 to 128, found a float"
    );
}

#[test]
fn names() {
    for module in ["process", "modules", "calls", "limits", "db", "app", "host"] {
        assert_eq!(
            wrong("[modules]", &format!("{module} = \"old\"")),
            format!(
                "deployment.toml:4:1: no module may be named `{module}`: settings have a section of that name"
            )
        );
    }
    assert_eq!(
        wrong("[modules]", "inventory = \"old\""),
        "deployment.toml:4:1: no module may be named `inventory`: the crate of that name is in the graph, \
         and `cargo run -p inventory` would be ambiguous"
    );
    assert_eq!(
        wrong("[modules]", "stock-api = \"old\""),
        "deployment.toml:4:1: `stock-api` is the name of an interface's crate: place `stock`"
    );
    assert_eq!(
        wrong("[modules]", "users = \"The Old\""),
        "deployment.toml:4:9: `users`: must be lower-case letters, digits, `-` and `_`, beginning with a letter"
    );
    assert_eq!(
        wrong("[process.1st]", "http = \"a:1\""),
        "deployment.toml:3:10: process name `1st` must be lower-case letters, digits, `-` and `_`, beginning with a letter"
    );
    let long = "a".repeat(65);
    assert_eq!(
        wrong("[modules]", &format!("{long} = \"old\"")),
        "deployment.toml:4:1: module name `…` must have at most 64 letters"
    );
    assert_eq!(
        refused("app = \"shop\"\nhost = \"\""),
        "deployment.toml:2:8: `host`: must be lower-case letters, digits, `-` and `_`, beginning with a letter"
    );
    parse("app = \"shop\"\n[modules]\nuser-accounts_2 = \"old\"\n").expect("kebab and snake");
}

#[test]
fn retries() {
    assert_eq!(
        wrong("[process.old]", "retries = 3"),
        "deployment.toml:4:11: `retries` must be a table, found an integer\n  \
         help: write [process.old.retries]"
    );
    assert_eq!(
        wrong("[process.old.retries]", "attempts = 0"),
        "deployment.toml:4:12: `attempts`: must be from 1 to 10"
    );
    assert_eq!(
        wrong("[process.old.retries]", "tries = 2"),
        "deployment.toml:4:1: unknown key `tries` in [process.old.retries]\n  \
         help: known keys are `attempts`, `percent`, `per_second`"
    );
}

#[test]
fn addresses() {
    assert_eq!(
        wrong("[process.old]", "listen = \"7100\""),
        "deployment.toml:4:10: `listen`: expected `host:port` or `unix:path/to.sock`"
    );
    assert_eq!(
        wrong("[process.old]", "connect = \"10.0.0.1:0\""),
        "deployment.toml:4:11: `connect`: port 0 cannot be connected to"
    );
    assert_eq!(
        wrong("[process.old]", "http = \"unix:a.sock\""),
        "deployment.toml:4:8: `http`: expected `host:port`"
    );
    parse("app = \"shop\"\nhost = \"old\"\n[process.old]\nlisten = \"127.0.0.1:0\"\n")
        .expect("any free port");
}

#[test]
fn quantities_out_of_bounds() {
    let cases = [
        ("[calls]", "deadline = \"0s\"", "12: `deadline`: must be from 1ms to 24h"),
        ("[calls]", "deadline = \"25h\"", "12: `deadline`: expected a duration of at most 24h"),
        (
            "[calls]",
            "deadline_mode = \"off\"",
            "17: `deadline_mode`: expected `enforce` or `observe`",
        ),
        ("[calls]", "connections = 0", "15: `connections`: must be from 1 to 1024"),
        ("[limits]", "frame = \"1023B\"", "9: `frame`: must be from 1KiB to 1GiB"),
        ("[limits]", "frame = 1073741825", "9: `frame`: must be from 1KiB to 1GiB"),
        ("[limits]", "frame = -1", "9: `frame`: must be from 1KiB to 1GiB"),
        (
            "[limits]",
            "frame = \"4MB\"",
            "9: `frame`: expected a size such as `64KiB`, `4MiB` or a number of bytes",
        ),
        ("[limits]", "nesting = 0", "11: `nesting`: must be from 1 to 128"),
        ("[limits]", "nesting = 129", "11: `nesting`: must be from 1 to 128"),
        ("[limits]", "in_flight = 0", "13: `in_flight`: must be from 1 to 1048576"),
        ("[limits]", "connections = -5", "15: `connections`: must be from 1 to 1048576"),
        ("[limits]", "memory = \"15MiB\"", "10: `memory`: must be from 16MiB to 1024GiB"),
        (
            "[limits]",
            "frame = \"65MiB\"",
            "9: `memory`: must be at least 16 times `limits.frame`: raise it to 1040MiB or lower `limits.frame`",
        ),
        (
            "[limits]",
            "memory = \"16MiB\"\nframe = \"5MiB\"",
            "10: `memory`: must be at least 16 times `limits.frame`: raise it to 80MiB or lower `limits.frame`",
        ),
        ("[limits]", "handshakes = 0", "14: `handshakes`: must be from 1 to 1048576"),
        ("[limits]", "clients = 0", "11: `clients`: must be from 1 to 1048576"),
        (
            "[limits]",
            "clients_per_address = \"2\"",
            "23: `clients_per_address`: must be a whole number from 1 to 1048576, found a string",
        ),
        ("[limits]", "hello = \"0ms\"", "9: `hello`: must be from 1ms to 1h"),
    ];
    for (header, line, message) in cases {
        assert_eq!(wrong(header, line), format!("deployment.toml:4:{message}"));
    }
}

#[test]
fn tls_takes_three_files() {
    let all = "app = \"shop\"\nhost = \"old\"\n[tls]\nauthority = \"tls/ca.pem\"\n\
               certificate = \"tls/{process}.pem\"\nkey = \"{process}.key\"\n";
    let files = parse(all).unwrap().tls.unwrap();
    assert_eq!(files.authority, Path::new("tls/ca.pem"));
    assert_eq!(files.certificate_of("orders"), Path::new("tls/orders.pem"));
    assert_eq!(files.key_of("orders"), Path::new("orders.key"));
    assert_eq!(
        wrong("[tls]", "authority = \"ca.pem\""),
        "deployment.toml:3:2: [tls] does not say `certificate`, `key`\n  \
         help: TLS takes all of `authority`, `certificate` and `key`: each a file"
    );
    assert!(wrong("[tls]", "authority = \"a\"\ncertificate = \"b\"\nkey = 3").contains("`key`"));
}

#[test]
fn the_network_may_encrypt_or_nothing_at_all() {
    let read = |lines: &str| parse(&format!("app = \"shop\"\nhost = \"old\"\n{lines}\n"));
    let manifest = read("tls = \"mesh\"").unwrap();
    assert!(manifest.mesh && manifest.tls.is_none() && !manifest.insecure);
    assert!(read("insecure = true").unwrap().insecure);
    let plain = read("").unwrap();
    assert!(!plain.mesh && !plain.insecure);
    let told = |lines: &str| read(lines).unwrap_err().to_string();
    assert!(told("tls = \"mash\"").contains("3:7: `tls` must be a table, or `mesh`"));
    assert!(told("tls = true").contains("`tls` must be a table, found a boolean"));
    assert!(
        told("insecure = 1")
            .contains("3:12: `insecure`: must be `true` or `false`, found an integer")
    );
}

#[test]
fn a_private_key_of_statements_has_a_public_one() {
    let keys = "statement_keys = \"a.pub\"\nstatement_key = \"a.key\"\nstatements = \"observe\"";
    let text = |keys: &str| format!("app = \"shop\"\nhost = \"old\"\n[identity]\n{keys}\n");
    let identity = parse(&text(keys)).unwrap().identity.keys;
    assert_eq!(identity.statement_keys.as_deref(), Some("a.pub"));
    assert_eq!(identity.statements, Some(StatementMode::Observe));
    let wrong = |keys: &str| parse(&text(keys)).unwrap_err().to_string();
    assert!(wrong("statement_key = \"a.key\"").contains("also needs `statement_keys`"));
    assert!(wrong("statements = \"on\"").contains("expected `off`, `observe` or `require`"));
}
