//! What a person on call does with the program alone: its commands ask the process that runs.

use super::{
    http::{get, request},
    processes::{Process, Run, eventually, free_port, is_ready},
    shop::{ALL_SPLIT, MONOLITH},
    tables::Tables,
    workspace::target,
};
use crate::postgres::Postgres;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ORDER: &str = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 2}]}"#;

/// Two pieces of a kind that no worker knows, so that what is run again waits. They were parked at `NOW`.
const PARKED: &str = r#"INSERT INTO monolift_work
    (module, id, name, payload, trace, due_at_ms, attempts, leased_till_ms, parked_at_ms, error, made_at_ms, epoch)
    SELECT 'orders', column1, 'ship', '{"order": "c4n4ry", "lines": [{"sku": "c4n4ry"}]}', NULL, 0, 3, 0, NOW,
    'the carrier said no', NOW, 0 FROM (VALUES ('p-1'), ('p-2')) AS ids"#;

/// Parks two pieces of work of the module `orders`, twenty minutes ago.
pub(super) fn park(place: &Run) {
    let ago = Duration::from_secs(20 * 60);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - ago;
    // A query is a text of the program.
    let sql = PARKED.replace("NOW", &at.as_millis().to_string()).leak();
    Tables::of(place).rows("orders", sql);
}

/// What a command printed, and whether it went well.
struct Said {
    went_well: bool,
    out: String,
    errors: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            went_well: output.status.success(),
            out: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }
}

/// Runs a command of a program in the environment of its process.
fn run(program: &Path, run: &Run, arguments: &[&str]) -> Said {
    let env = run.env.iter().map(|(key, value)| (key, value));
    let output =
        Command::new(program).args(arguments).envs(env).env("MONOLIFT_USER", "ann").output();
    Said::of(&output.unwrap())
}

/// What it printed, since it went well.
#[track_caller]
fn prints(program: &Path, place: &Run, arguments: &[&str]) -> String {
    let said = run(program, place, arguments);
    assert!(said.went_well, "{arguments:?}: {}{}", said.out, said.errors);
    said.out
}

/// What `cargo monolift` printed.
#[track_caller]
fn prints_in_workspace(program: &Path, arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let said = Said::of(&Command::new(program).args(arguments).current_dir(root).output().unwrap());
    assert!(said.went_well, "{arguments:?}: {}{}", said.out, said.errors);
    said.out
}

/// Why it did not.
#[track_caller]
fn complains(program: &Path, place: &Run, arguments: &[&str]) -> String {
    let said = run(program, place, arguments);
    assert!(!said.went_well, "{arguments:?}: {}", said.out);
    said.errors
}

fn monolith(name: &str) -> (Run, PathBuf, Process, String) {
    let run = MONOLITH.run(name).with("SHOP_PROCESS__MONOLITH__ADMIN", free_port());
    let program = MONOLITH.program("app-monolith");
    let mut process = run.start(&program);
    let gateway = process.http();
    eventually("the gateway is ready", || is_ready(&gateway));
    (run, program, process, gateway)
}

fn order(gateway: &str) {
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-00");
    let headers = [("traceparent", traceparent.as_str())];
    assert_eq!(request(gateway, "POST", "/orders", &headers, ORDER).unwrap().status, 201);
}

#[test]
fn parked_work_is_looked_at_run_again_and_given_up() {
    let (place, program, mut process, _) = monolith("operate-work");
    park(&place);
    let all = prints(&program, &place, &["work", "list"]);
    let row = all.lines().find(|line| line.contains("ship")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["orders", "ship", "0", "0", "0", "2"], "{all}");
    let pieces = prints(&program, &place, &["work", "list", "orders", "--state", "parked"]);
    assert!(pieces.contains("{lines: [1 × {sku: text}], order: text}"), "{pieces}");
    assert!(pieces.contains("3 attempts") && pieces.contains("the carrier said no"), "{pieces}");
    assert!(pieces.contains("app-monolith work retry orders p-1"), "{pieces}");
    let piece = prints(&program, &place, &["work", "show", "orders", "p-1"]);
    assert!(!pieces.contains("c4n4ry") && !piece.contains("c4n4ry"), "{pieces}{piece}");
    let again = prints(&program, &place, &["work", "retry", "orders", "p-1"]);
    assert_eq!(again, "orders: 1 run again\n");
    let gone = complains(&program, &place, &["work", "retry", "orders", "p-1"]);
    assert_eq!(gone, "orders has no such piece `p-1`, or it is not parked any more\n");
    let given_up = prints(&program, &place, &["work", "discard", "orders", "p-2"]);
    assert_eq!(given_up, "orders: 1 given up\n");
    let left = prints(&program, &place, &["work", "list", "orders", "--kind", "ship"]);
    assert!(left.contains("p-1  ship  waiting, due") && !left.contains("p-2"), "{left}");
    // Who did it is in the log of the process.
    process.says("an operator: work.retry of orders, p-1: 1 changed");
    let line = process.says("an operator: work.discard of orders, p-2: 1 changed");
    assert!(line.contains("ann on this machine"), "{line}");
    let unknown = complains(&program, &place, &["work", "list", "ordrs"]);
    assert_eq!(unknown, "there is no module `ordrs`: did you mean `orders`?\n");
    let unknown = complains(&program, &place, &["work", "rety", "orders", "p-1"]);
    assert_eq!(unknown, "there is no `work rety`: did you mean `work retry`?\n");
    process.stop();
    let gone = complains(&program, &place, &["work", "list"]);
    assert!(gone.starts_with("nothing listens at 127.0.0.1:"), "{gone}");
}

/// Two events that cannot be read, parked for the notifications and offered to nobody else.
const UNREADABLE: [&str; 2] = [
    "INSERT INTO monolift_events (id, module, name, version, number, payload, registry, offered, made_at_ms, \
     keep_until_ms, epoch) SELECT column1, 'orders', 'order-changed', 1, 0, '{\"order\": \"c4n4ry\"}', 1, 1000, 0, 9000000000000, 0 \
     FROM (VALUES ('e-1'), ('e-2')) AS ids",
    "INSERT INTO monolift_event_offers (module, listener, event, name, version, number, begins, due_at_ms, attempts, \
     leased_till_ms, parked_at_ms, error, skipped, epoch) \
     SELECT 'orders', 'notifications', column1, 'order-changed', 1, 0, 0, 0, 3, 0, 1, 'no paper', 0, 0 \
     FROM (VALUES ('e-1'), ('e-2')) AS ids",
];

/// The cells of the line about the notifications.
fn lag(page: &str) -> Vec<&str> {
    let row = page.lines().find(|line| line.contains("notifications"));
    row.map(|row| row.split_whitespace().collect()).unwrap_or_default()
}

#[test]
fn parked_events_are_looked_at_handled_again_and_given_up() {
    let (place, program, mut process, _) = monolith("operate-events");
    let known = || prints(&program, &place, &["events"]);
    eventually("the listener is known", || !lag(&known()).is_empty());
    for sql in UNREADABLE {
        Tables::of(&place).rows("orders", sql);
    }
    let all = known();
    assert_eq!(
        lag(&all),
        ["orders", "order-changed", "notifications", "0", "0", "2", "-"],
        "{all}"
    );
    let parked = prints(&program, &place, &["events", "list", "orders"]);
    assert!(parked.contains("e-1  order-changed  for notifications  parked for "), "{parked}");
    assert!(parked.contains("3 attempts") && parked.contains("no paper"), "{parked}");
    assert!(parked.contains("{order: text}") && !parked.contains("c4n4ry"), "{parked}");
    let hint = "app-monolith events retry orders notifications e-1";
    assert!(parked.contains(hint), "{parked}");
    let again = prints(&program, &place, &["events", "retry", "orders", "notifications", "e-1"]);
    assert_eq!(again, "orders: 1 handled again by notifications\n");
    process.says("an event was not handled");
    let given_up =
        prints(&program, &place, &["events", "discard", "orders", "notifications", "e-2"]);
    assert_eq!(given_up, "orders: 1 given up for notifications\n");
    eventually("it is passed over", || lag(&known())[3..6] == ["1", "1", "0"]);
    let replayed = prints(&program, &place, &["events", "replay", "orders", "notifications"]);
    assert_eq!(replayed, "orders: 1 handled once more by notifications\n");
    let gone = complains(&program, &place, &["events", "retry", "orders", "notifications", "e-2"]);
    assert_eq!(gone, "no event `e-2` of orders is parked for notifications, or not any more\n");
    let gone = complains(&program, &place, &["events", "remove", "orders", "stock"]);
    assert_eq!(gone, "stock does not listen to orders\n");
    let removed = prints(&program, &place, &["events", "remove", "orders", "notifications"]);
    assert_eq!(removed, "orders: notifications is removed\n");
    process.says("an operator: events.retry of orders for notifications, e-1: 1 changed");
    let line =
        process.says("an operator: events.discard of orders for notifications, e-2: 1 changed");
    assert!(line.contains("ann on this machine"), "{line}");
    let unknown = complains(&program, &place, &["events", "rety", "orders"]);
    assert_eq!(unknown, "there is no `events rety`: did you mean `events retry`?\n");
    process.stop();
}

/// A person's data: events that are parked for the notifications and offered to nobody else, and a piece of work that no
/// worker knows.
const OF_A_PERSON: [&str; 3] = [
    "INSERT INTO monolift_events (id, module, name, version, number, payload, registry, offered, made_at_ms, \
     keep_until_ms, epoch, subject) SELECT column1, 'orders', 'order-changed', 1, 0, '{\"order\": \"c4n4ry\"}', 1, 1000, 0, \
     9000000000000, 0, 'c4n4ry' FROM (VALUES ('e-1'), ('e-2')) AS ids",
    "INSERT INTO monolift_event_offers (module, listener, event, name, version, number, begins, due_at_ms, attempts, \
     leased_till_ms, parked_at_ms, error, skipped, epoch) \
     SELECT 'orders', 'notifications', column1, 'order-changed', 1, 0, 0, 0, 3, 0, 1, 'no c4n4ry', 0, 0 \
     FROM (VALUES ('e-1'), ('e-2')) AS ids",
    "INSERT INTO monolift_work (module, id, name, payload, due_at_ms, attempts, leased_till_ms, made_at_ms, epoch, subject) \
     VALUES ('orders', 'p-1', 'ship', '{\"to\": \"c4n4ry\"}', 0, 0, 0, 0, 0, 'c4n4ry')",
];

/// Exports and erases what is kept of a person.
fn export_and_erase(place: &Run, program: &Path) {
    let known = || prints(program, place, &["events"]);
    eventually("the listener is known", || !lag(&known()).is_empty());
    for sql in OF_A_PERSON {
        Tables::of(place).rows("orders", sql);
    }
    let export = |subject: &str| -> serde_json::Value {
        serde_json::from_str(&prints(program, place, &["export", subject])).unwrap()
    };
    let kept = export("c4n4ry");
    let orders = &kept["modules"][0];
    assert_eq!(orders["module"], "orders", "{kept}");
    assert_eq!(orders["events"].as_array().unwrap().len(), 2, "{kept}");
    assert_eq!(orders["events"][0]["payload"]["order"], "c4n4ry");
    assert_eq!(orders["events"][0]["listeners"][0]["listener"], "notifications");
    assert_eq!(orders["events"][0]["listeners"][0]["parked"], true);
    assert_eq!(orders["work"][0]["payload"]["to"], "c4n4ry");
    // Without a word, as from a script.
    let unsure = complains(program, place, &["erase", "c4n4ry"]);
    assert!(unsure.contains("nothing is erased"), "{unsure}");
    assert_eq!(export("c4n4ry"), kept);
    let erased = prints(program, place, &["erase", "c4n4ry", "--yes"]);
    assert_eq!(erased, "orders: erased: events 2, work 1\n");
    assert_eq!(export("c4n4ry")["modules"], serde_json::json!([]));
    let again = prints(program, place, &["erase", "c4n4ry", "--yes"]);
    assert_eq!(again, "nothing is kept of this subject\n");
    eventually("they are passed over", || lag(&known())[3..6] == ["0", "0", "0"]);
    let unnamed = complains(program, place, &["erase"]);
    assert_eq!(unnamed, "name the subject: erase SUBJECT\n");
}

#[test]
fn what_is_kept_of_a_person_is_exported_and_erased() {
    let (place, program, mut process, _) = monolith("operate-erase");
    export_and_erase(&place, &program);
    process.says("an operator: subject.export of orders: 3 events and pieces of work");
    let line = process.says("an operator: subject.erase of orders: 3 events and pieces of work");
    assert!(line.contains("ann on this machine") && !line.contains("c4n4ry"), "{line}");
    process.stop();
}

#[test]
fn what_is_kept_of_a_person_on_postgres_is_the_same() {
    let postgres = Postgres::start();
    let place = MONOLITH
        .run("operate-erase-postgres")
        .with("SHOP_PROCESS__MONOLITH__ADMIN", free_port())
        .with("SHOP_ORDERS__DB__URL", postgres.database("orders"))
        .with("SHOP_NOTIFICATIONS__DB__URL", postgres.database("notifications"));
    let program = MONOLITH.program("app-monolith");
    let mut process = place.start(&program);
    let gateway = process.http();
    eventually("the gateway is ready", || is_ready(&gateway));
    export_and_erase(&place, &program);
    process.stop();
}

#[test]
fn what_all_processes_keep_of_a_person_is_exported_and_erased() {
    let place = ALL_SPLIT.run("operate-erase-split");
    let place = place.with("SHOP_PROCESS__GATEWAY__ADMIN", free_port());
    let start = |program: &super::shop::Program| place.start(&ALL_SPLIT.program(program.file));
    let mut processes: Vec<Process> = ALL_SPLIT.programs.iter().map(start).collect();
    let gateway = processes.last_mut().unwrap().http();
    eventually("the gateway is ready", || is_ready(&gateway));
    let program = ALL_SPLIT.program("process");
    export_and_erase(&place, &program);
    let orders = ALL_SPLIT.programs.iter().position(|program| program.process == "orders").unwrap();
    processes.remove(orders).kill();
    let gone = complains(&program, &place, &["erase", "demo", "--yes"]);
    assert!(gone.contains("no answer from the process orders"), "{gone}");
    let gone = complains(&program, &place, &["export", "demo"]);
    assert!(gone.contains("no answer from the process orders"), "{gone}");
}

/// The builds of the reports, and the units that each has of tea.
fn units_by_build(place: &Run) -> Vec<Vec<String>> {
    let sql = "SELECT monolift_build, units FROM sales WHERE sku = 'tea' ORDER BY monolift_build";
    Tables::of(place).rows("reports", sql)
}

/// Builds the reports anew from an order, after somebody has spoilt them.
fn rebuild(place: &Run, program: &Path, process: &mut Process) {
    let gateway = process.http();
    eventually("the gateway is ready", || is_ready(&gateway));
    order(&gateway);
    eventually("it is in the reports", || units_by_build(place) == [["1", "2"]]);
    let spoilt = Tables::of(place).rows("reports", "UPDATE sales SET units = 7 RETURNING units");
    assert_eq!(spoilt, [["7"]]);
    let begun = prints(program, place, &["events", "rebuild", "reports"]);
    let text =
        "reports: build 2 has begun, as the listener reports.2; it answers once it has caught up\n";
    assert_eq!(begun, text);
    process.says("a new build of the read model answers");
    assert_eq!(units_by_build(place), [["1", "7"], ["2", "2"]]);
    let history = || get(&gateway, "/reports/history?user=demo").body;
    eventually("the history is there", || history().contains("Green tea"));
    assert_eq!(history().matches("\"order\"").count(), 1, "{}", history());
    process.says("an operator: events.rebuild of reports");

    // Events that are gone cannot be told again.
    let sql = "INSERT INTO monolift_event_removals (module, name, epoch) \
        VALUES ('orders', 'order-changed', 0)";
    Tables::of(place).rows("orders", sql);
    let refused = complains(program, place, &["events", "rebuild", "reports"]);
    assert!(refused.contains("`orders` has removed events"), "{refused}");
    let begun = prints(program, place, &["events", "rebuild", "reports", "--partial"]);
    assert!(begun.starts_with("reports: build 3 has begun"), "{begun}");
    let refused = complains(program, place, &["events", "rebuild", "orders"]);
    assert!(refused.contains("`orders` has no read model"), "{refused}");
}

#[test]
fn a_read_model_is_built_anew() {
    let place = MONOLITH.run("operate-rebuild").with("SHOP_PROCESS__MONOLITH__ADMIN", free_port());
    let program = MONOLITH.program("app-monolith");
    let mut process = place.start(&program);
    rebuild(&place, &program, &mut process);
    process.stop();
}

#[test]
fn a_read_model_on_postgres_is_built_anew() {
    let postgres = Postgres::start();
    let place = MONOLITH
        .run("operate-rebuild-postgres")
        .with("SHOP_PROCESS__MONOLITH__ADMIN", free_port())
        .with("SHOP_ORDERS__DB__URL", postgres.database("orders"))
        .with("SHOP_REPORTS__DB__URL", postgres.database("reports"));
    let program = MONOLITH.program("app-monolith");
    let mut process = place.start(&program);
    rebuild(&place, &program, &mut process);
    process.stop();
}

#[test]
fn parked_work_on_postgres_is_the_same() {
    let postgres = Postgres::start();
    let place = MONOLITH
        .run("operate-postgres")
        .with("SHOP_PROCESS__MONOLITH__ADMIN", free_port())
        .with("SHOP_ORDERS__DB__URL", postgres.database("operate"));
    let program = MONOLITH.program("app-monolith");
    let mut process = place.start(&program);
    process.says(" shows its traces and metrics");
    park(&place);
    let parked = ["work", "list", "orders", "--state", "parked", "--kind", "ship"];
    let pieces = prints(&program, &place, &parked);
    assert_eq!(pieces.matches("  ship  parked for ").count(), 2, "{pieces}");
    assert!(pieces.contains("{lines: [1 × {sku: text}], order: text}"), "{pieces}");
    let again = prints(&program, &place, &["work", "retry", "orders", "--all"]);
    assert_eq!(again, "orders: 2 run again\n");
    let waiting = prints(&program, &place, &["work", "list", "orders", "--state", "waiting"]);
    assert_eq!(waiting.matches("  ship  waiting, due").count(), 2, "{waiting}");
    process.stop();
}

#[test]
fn traces_levels_settings_and_methods_are_asked_for() {
    let (place, program, mut process, gateway) = monolith("operate-ask");
    order(&gateway);
    let traces = prints(&program, &place, &["traces", "--route", "orders"]);
    assert!(traces.contains(TRACE) && traces.contains("POST /orders"), "{traces}");
    let trace = prints(&program, &place, &["traces", TRACE]);
    for row in ["POST /orders 201 · monolith", "    stock.reserve · monolith", "INSERT INTO orders"]
    {
        assert!(trace.contains(row), "{row}: {trace}");
    }
    assert_eq!(prints(&program, &place, &["traces", "--failed"]), "none\n");
    assert_eq!(prints(&program, &place, &["log", "stock=debug"]), "info,stock=debug\n");
    process.says("an operator: the log's levels are now info,stock=debug");
    let lines = prints(&program, &place, &["logs", "--text", "levels are now"]);
    assert!(
        lines.contains("an operator: the log's levels are now") && lines.lines().count() == 1,
        "{lines}"
    );
    let config = prints(&program, &place, &["config"]);
    assert!(
        config.contains("\nprocess.monolith.admin ")
            && config.contains("SHOP_PROCESS__MONOLITH__ADMIN")
    );
    let answer = prints(&program, &place, &["call", "stock.level", r#"{"sku": "tea"}"#]);
    assert!(answer.starts_with('{'), "{answer}");
    process.says("an operator: a call of stock.level, answered with 200");
    let unknown = complains(&program, &place, &["call", "stock.level", r#"{"sku": "gold"}"#]);
    assert!(
        unknown.contains("answered with 404, trace ") && unknown.contains("no product gold"),
        "{unknown}"
    );
    let unknown = complains(&program, &place, &["call", "stock.levl"]);
    assert_eq!(unknown, "there is no method `stock.levl`: did you mean `stock.level`?\n");
    let broken = complains(&program, &place, &["call", "stock.level", "sku=tea"]);
    assert!(broken.starts_with("the arguments are no JSON"), "{broken}");
    let top = prints(&program, &place, &["top", "--once"]);
    assert!(top.lines().any(|line| line.starts_with("orders.place ")), "{top}");
    assert!(prints(&program, &place, &["help"]).contains("migrate"));
    assert!(prints(&program, &place, &["work", "--help"]).contains("work [list [MODULE]]"));
    let unknown = complains(&program, &place, &["wrk"]);
    assert_eq!(unknown, "there is no command `wrk`: did you mean `work`?\n");
    // The same from the workspace.
    let admin = &place.env.iter().find(|(key, _)| key.ends_with("__ADMIN")).unwrap().1;
    let workspace = target().join("debug/cargo-monolift");
    for (command, expected) in
        [("top", "orders.place "), ("traces", "POST /orders"), ("logs", "an operator: ")]
    {
        let once = if command == "top" { "--once" } else { "--json" };
        let said = prints_in_workspace(&workspace, &[command, "--admin", admin, once]);
        assert!(said.contains(expected), "{command}: {said}");
    }
    // A reader that has gone is no mistake.
    let pipe = format!("set -o pipefail; {} config | head -n 1 > /dev/null", program.display());
    let mut shell = Command::new("bash");
    shell.args(["-c", &pipe]).envs(place.env.iter().map(|(key, value)| (key, value)));
    let said = Said::of(&shell.output().unwrap());
    assert!(said.went_well && said.errors.is_empty(), "{}", said.errors);
    process.stop();
}

/// With a free port, which the manifest of the shop leaves to it, the process is found on its machine.
#[test]
fn a_process_on_a_free_port_is_found() {
    let place = MONOLITH.run("operate-free");
    // Other tests run the same program.
    let program = place.data.join("a-shop");
    std::fs::copy(MONOLITH.program("app-monolith"), &program).unwrap();
    let nothing = complains(&program, &place, &["work"]);
    assert!(
        nothing.contains("no process `monolith` of this program runs on this machine"),
        "{nothing}"
    );
    let mut process = place.start(&program);
    process.says(" shows its traces and metrics");
    assert!(prints(&program, &place, &["work"]).starts_with("module "));
    process.stop();
}

#[test]
fn other_machines_give_a_token_and_call_no_method() {
    let port = free_port();
    let open = port.replace("127.0.0.1", "0.0.0.0");
    let place = MONOLITH
        .run("operate-token")
        .with("SHOP_PROCESS__MONOLITH__ADMIN", open)
        .with("SHOP_ADMIN_TOKEN", "c4n4ry-admin");
    let program = MONOLITH.program("app-monolith");
    let down = complains(&program, &place, &["health"]);
    assert!(down.starts_with(&format!("nothing listens at {port}")), "{down}");
    let mut process = place.start(&program);
    process.says(" shows its traces and metrics");
    assert_eq!(prints(&program, &place, &["health"]), "ready\n");
    assert!(prints(&program, &place, &["work"]).starts_with("module "));
    let wrong = complains(&program, &place, &["work", "--token", "another"]);
    assert!(wrong.starts_with(&format!("{port} wants the setting `admin_token`")), "{wrong}");
    let off = complains(&program, &place, &["call", "stock.level", r#"{"sku": "tea"}"#]);
    assert!(off.starts_with("methods are called only where"), "{off}");
    process.stop();
}

/// Work of a module in another process is seen from the gateway, and changed there.
#[test]
fn the_gateway_knows_the_work_of_all_processes() {
    let place = ALL_SPLIT.run("operate-split").with("SHOP_PROCESS__GATEWAY__ADMIN", free_port());
    let start = |program: &super::shop::Program| place.start(&ALL_SPLIT.program(program.file));
    let mut processes: Vec<Process> = ALL_SPLIT.programs.iter().map(start).collect();
    let gateway = processes.last_mut().unwrap().http();
    eventually("the gateway is ready", || is_ready(&gateway));
    park(&place);
    let program = ALL_SPLIT.program("process");
    let all = prints(&program, &place, &["work"]);
    assert!(all.lines().any(|line| line.starts_with("orders ") && line.contains("ship")), "{all}");
    let again = prints(&program, &place, &["work", "retry", "orders", "--all"]);
    assert_eq!(again, "orders: 2 run again\n");
    let orders = ALL_SPLIT.programs.iter().position(|program| program.process == "orders").unwrap();
    let line =
        processes[orders].says("an operator: work.retry of orders, all that is parked: 2 changed");
    assert!(line.contains("ann"), "{line}");
    // What another process does not answer is said.
    processes.remove(orders).kill();
    let gone = complains(&program, &place, &["work", "list", "orders"]);
    assert_eq!(gone, "orders runs in the process `orders`, which does not answer\n");
}
