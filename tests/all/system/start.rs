//! What stops a start: in words, with nothing half done. And a module that is served beside the
//! process that callers have it in.

use super::{
    http::get,
    processes::{Process, Run, eventually, free_port, is_ready},
    shop::{ALL_SPLIT, MONOLITH, PAYMENTS_OUT},
};
use std::{fs, net::TcpListener, path::Path};

/// Everything in the monolith, and nothing said of any other process.
const ALL_IN_ONE: &str = r#"app = "shop"
[modules]
stock    = "monolith"
orders   = "monolith"
payments = "monolith"
users    = "monolith"
notifications = "monolith"
reports  = "monolith"
[process.monolith]
http = "127.0.0.1:0"
"#;

/// Sees it end with an error that holds each of these texts.
#[track_caller]
fn refused(process: Process, told: &[&str]) {
    let (status, said) = process.ended();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("this process does not start:\n"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    for text in told {
        assert!(said.contains(text), "no {text:?} in\n{said}");
    }
}

/// A manifest in the run's folder.
fn manifest(run: &Run, text: &str) -> String {
    let file = run.data.join("other.toml");
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn settings_that_are_wrong_stop_the_start() {
    let monolith = MONOLITH.program("app-monolith");
    let wrong: [(&str, &str, &[&str]); 10] = [
        (
            "SHOP_ORDER__MAX_LINES",
            "3",
            &["SHOP_ORDER__MAX_LINES: order: ", "did you mean `orders`?"],
        ),
        (
            "SHOP_ORDERS__MAX_LINS",
            "3",
            &["SHOP_ORDERS__MAX_LINS: orders.max_lins: unknown key: did you mean `max_lines`?"],
        ),
        (
            "SHOP_ORDERS__MAX_LINES",
            "many",
            &["SHOP_ORDERS__MAX_LINES: orders.max_lines: expected a whole number"],
        ),
        ("SHOP_STOCK__DEMO", "7", &["SHOP_STOCK__DEMO: stock.demo: expected true or false"]),
        ("SHOP_CALLS__DEADLINE", "soon", &["calls.deadline: expected a duration such as"]),
        ("SHOP_LIMITS__IN_FLIGHT", "0", &["limits.in_flight: must be from 1 to 1048576"]),
        ("SHOP_LIMITS__RUNNING", "18446744073709551615", &["limits.running: must be from 1 to"]),
        ("SHOP_LIMITS__NESTING", "0", &["limits.nesting: must be from 1 to 128"]),
        ("SHOP_PROCESS__MONOLITH__LISTEN", "here", &["process.monolith.listen: expected `host:"]),
        ("MONOLIFT_SETTINGS", "/no/such.toml", &["/no/such.toml", "no such file"]),
    ];
    for (key, value, told) in wrong {
        let run = MONOLITH.run("settings").with(key, value);
        refused(run.start(&monolith), told);
        let stored: Vec<_> = fs::read_dir(&run.data).unwrap().collect();
        assert!(stored.is_empty(), "{key}: a database was opened: {stored:?}");
    }
    // All that is wrong is said at once.
    let run = MONOLITH.run("settings").with("SHOP_ORDERS__MAX_LINES", "many");
    let run = run.with("SHOP_STOCK__DEMO", "7").with("SHOP_CALLS__DEADLINE", "soon");
    let told = ["orders.max_lines: expected", "stock.demo: expected", "calls.deadline: expected"];
    refused(run.start(&monolith), &told);
}

#[test]
fn variables_that_are_no_settings_do_not_stop_the_start() {
    let monolith = MONOLITH.program("app-monolith");
    let run = MONOLITH
        .run("foreign")
        // The program's own, and what Kubernetes sets for services named `shop` and `shop-orders`.
        .with("SHOP_HMAC_KEY", "secret")
        .with("SHOP_PORT", "tcp://10.0.0.1:80")
        .with("SHOP_SERVICE_HOST", "10.0.0.1")
        .with("SHOP_PORT_80_TCP_ADDR", "10.0.0.1")
        .with("SHOP_ORDERS_SERVICE_PORT", "7100")
        .with("SHOP_ORDERS_PORT_7100_TCP", "tcp://10.0.0.1:7100");
    let mut shop = run.start(&monolith);
    let address = shop.http();
    eventually("it is ready", || is_ready(&address));
    shop.stop();
    // What is nearly a setting is a mistake.
    for (key, told) in [
        ("SHOP_ORDERS_MAX_LINES", "did you mean `SHOP_ORDERS__MAX_LINES`?"),
        ("SHOP_ORDERS", "`orders` is a section: name a key, `SHOP_ORDERS__…`"),
        ("SHOP_DATE", "did you mean `SHOP_DATA`?"),
    ] {
        refused(MONOLITH.run("near").with(key, "3").start(&monolith), &[key, told]);
    }
    // All of them have another prefix.
    let run = MONOLITH.run("prefix").with("MONOLIFT_PREFIX", "SHOPSET_");
    let run = run.with("SHOPSET_LOG__FORMAT", "text");
    refused(
        run.with("SHOPSET_ORDERS__MAX_LINES", "many").start(&monolith),
        &["SHOPSET_ORDERS__MAX_LINES"],
    );
}

#[test]
fn an_address_in_use_stops_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let monolith = MONOLITH.program("app-monolith");
    for (key, told) in [
        (
            "SHOP_PROCESS__MONOLITH__HTTP",
            format!("the gateway cannot listen on {address} (`process.monolith.http`)"),
        ),
        (
            "SHOP_PROCESS__MONOLITH__LISTEN",
            format!("cannot listen on {address} (`process.monolith.listen`)"),
        ),
    ] {
        let run = MONOLITH.run("taken").with(key, &address);
        refused(run.start(&monolith), &[&told, "in use"]);
    }
}

#[test]
fn a_manifest_that_does_not_fit_stops_the_start() {
    let refuse = |program: &Path, text: &str, told: &[&str]| {
        let run = Run::new("misfit");
        let file = manifest(&run, text);
        let run = run.with("MONOLIFT_MANIFEST", &file);
        refused(run.start(program), &[&[file.as_str()], told].concat());
    };
    // Built for payments in a process of its own, and told that it has them.
    let without = PAYMENTS_OUT.program("app-monolith");
    let told = ["places `payments` in the process `monolith`", "not linked", "build it with"];
    refuse(&without, ALL_IN_ONE, &told);
    // The other way round: nobody could reach them.
    let elsewhere = ALL_IN_ONE.replace("payments = \"monolith\"", "payments = \"payments\"");
    let told = ["`payments` lives in the process `payments`", "listens nowhere", "`listen`"];
    refuse(&MONOLITH.program("app-monolith"), &elsewhere, &told);
    let gateway = ALL_SPLIT.program("process");
    refuse(&gateway, ALL_IN_ONE, &["has no process `gateway`"]);
    let slip = ALL_IN_ONE.replace("http", "htpp");
    refuse(&without, &slip, &["other.toml:10:1: unknown key `htpp`", "did you mean `http`?"]);

    let run = Run::new("misfit").with("MONOLIFT_MANIFEST", "/no/such.toml");
    refused(run.start(&without), &["/no/such.toml cannot be read"]);
}

/// A server that is not there is waited for. Whoever started the program hears why, and can stop it meanwhile.
#[test]
fn a_start_that_waits_for_a_database_can_be_stopped() {
    let run = MONOLITH.run("no-server").listening("monolith").gateway("monolith");
    let url = format!("postgres://shop:c4n4ry@{}/shop", free_port());
    let run = run.with("SHOP_ORDERS__DB__URL", url);
    for arguments in [&[][..], &["migrate"]] {
        let program = MONOLITH.program("app-monolith");
        let mut waiting = Process::start_in(&program, arguments, &run.env, &run.data);
        let told = waiting.says("a database is waited for, 30s at most");
        assert!(told.contains("Connection refused") && told.contains("postgres://shop@"), "{told}");
        waiting.signal("TERM");
        let (status, said) = waiting.ended();
        let stopped = match arguments {
            [] => "stopping: what is in flight has 20s; ctrl-C again ends it at once",
            _ => "it was stopped before all migrations were applied: run it again",
        };
        assert_eq!(status.success(), arguments.is_empty(), "{said}");
        assert!(said.trim_end().ends_with(stopped) && !said.contains("c4n4ry"), "{said}");
    }
}

#[test]
fn a_module_can_be_served_beside_the_copy_that_callers_use() {
    // Nothing in the manifest says where, so a free port will do.
    let run = Run::new("aside");
    let file = manifest(&run, ALL_IN_ONE);
    let run = run.with("MONOLIFT_MANIFEST", &file);
    let mut payments = run.start(&MONOLITH.program("payments"));
    payments.says("payments runs payments");
    let address = payments.says("other processes call it at ");
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    let told =
        format!("{file} has `payments` in the process `monolith`, and callers use that copy");
    payments.says(&told);
    payments.stop();

    // It does no work of its own: filling an empty shop is the other's.
    let mut stock = run.start(&ALL_SPLIT.program("stock"));
    stock.says("and callers use that copy: no work of its own was started here");
    let run = run.with("SHOP_STOCK__DEMO", "false");
    let mut monolith = run.start(&MONOLITH.program("app-monolith"));
    let address = monolith.http();
    eventually("the monolith is ready", || is_ready(&address));
    assert_eq!(get(&address, "/products/tea/stock").status, 404);
    monolith.stop();
    stock.stop();
}

#[test]
fn a_module_aside_listens_where_the_manifest_says() {
    let run = MONOLITH.run("aside-there").listening("payments");
    let (_, listen) = run.env.last().unwrap();
    let mut payments = run.start(&MONOLITH.program("payments"));
    assert_eq!(&payments.says("other processes call it at "), listen);
    payments.says("deployment.toml has `payments` in the process `monolith`");
    payments.stop();
}

#[test]
fn certificates_for_development_that_lack_the_process_stop_the_start() {
    let run = Run::new("uncertified").listening("monolith").gateway("monolith");
    fs::create_dir_all(run.data.join("tls")).unwrap();
    fs::write(run.data.join("tls/authority.pem"), "").unwrap();
    let told = ["and none for the process `monolith`", "`cargo monolift certs --manifest "];
    refused(run.start(&MONOLITH.program("app-monolith")), &told);
    // It is not looked for where nothing is to be encrypted.
    let run = run.with("SHOP_INSECURE", "true");
    let mut monolith = run.start(&MONOLITH.program("app-monolith"));
    monolith.http();
    monolith.stop();
}

/// Where a password may stand by mistake: thirty files of settings and variables of a real program.
#[test]
fn a_start_that_fails_shows_no_password() {
    const FILES: [&str; 20] = [
        "[orders.db]\nurl = \"postgres:shop:CANARY@db/shop\"\n",
        "[orders.db]\nurl = \"postgres:/shop:CANARY@db/shop\"\n",
        "[orders.db]\nurl = \"postgres://shop:CAN?ARY@db/shop\"\n",
        "[orders.db]\nurl = \"postgres://shop:CANARY@db:port/shop\"\n",
        "[orders.db]\nurl = \"postgres://shop:CANARY@[db/shop\"\n",
        "[orders.db]\nurl = \"postgres://shop:CANARY@db/shop?sslmod=require\"\n",
        "[orders.db]\nurl = \"mysql://shop:CANARY@db/shop\"\n",
        "[orders.db]\nurl = \"CANARY\"\n",
        "[orders.db]\nurl = [\"postgres://shop:CANARY@db/shop\"]\n",
        "[orders.db]\nurl = \"postgres://shop:CANARY@db/shop\n",
        "[orders.db]\nurl = postgres://shop:CANARY@db/shop\n",
        "[orders]\ndb = \"postgres://shop:CANARY@db/shop\"\n",
        "orders = \"postgres://shop:CANARY@db/shop\"\n",
        "[orders.db]\ndurability = \"CANARY\"\n",
        "[orders.db]\nconnections = \"CANARY\"\n",
        "[orders]\nmax_lines = \"CANARY\"\n",
        "[calls]\ndeadline = \"CANARY\"\n",
        "[limits]\nmemory = \"CANARY\"\n",
        "[process.payments]\nlisten = \"http://shop:CANARY@db\"\n",
        "[tls]\nauthority = 7\nkey = \"CANARY\"\n",
    ];
    const VARIABLES: [(&str, &str); 10] = [
        ("SHOP_ORDERS__DB__URL", "postgres:shop:CANARY@db/shop"),
        ("SHOP_ORDERS__DB__URL", "postgres://shop:CANARY@db:port/shop"),
        ("SHOP_ORDERS__DB__URI", "postgres://shop:CANARY@db/shop"),
        ("SHOP_ORDERS__DB", "postgres://shop:CANARY@db/shop"),
        ("SHOP_ORDERS", "CANARY"),
        ("SHOP_ORDERS__MAX_LINES", "CANARY"),
        ("SHOP_STOCK__DEMO", "CANARY"),
        ("SHOP_LIMITS__RUNNING", "CANARY"),
        ("SHOP_PROCESS__MONOLITH__LISTEN", "CANARY"),
        ("SHOP_ORDERS_DB_PASSWORD", "CANARY"),
    ];
    let monolith = MONOLITH.program("app-monolith");
    let fails = |what: &str, process: Process| {
        let (status, said) = process.ended();
        assert!(!status.success(), "{what}: it started: {said}");
        assert!(!said.contains("CANARY") && !said.contains("ARY@"), "{what}: {said}");
        assert!(said.len() > 20, "{what}: it says too little: {said}");
    };
    for text in FILES {
        let run = MONOLITH.run("canary");
        let file = run.data.join("settings.toml");
        fs::write(&file, text).unwrap();
        fails(text, run.with("MONOLIFT_SETTINGS", file.display().to_string()).start(&monolith));
    }
    for (key, value) in VARIABLES {
        fails(key, MONOLITH.run("canary").with(key, value).start(&monolith));
    }
}
