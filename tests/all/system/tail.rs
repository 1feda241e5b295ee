//! Of many requests, those that were slow or failed are kept, each with what every process did for it.

use super::{
    http::{CUSTOMER, get, token},
    observed::Observed,
    processes::{SOON, eventually},
};
use serde_json::Value;
use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::Instant,
};

const REQUESTS: u64 = 20_000;
const CLIENTS: u64 = 8;
/// One in this many requests is slow, and one fails.
const ONE_IN: u64 = 1_000;
/// The default of `observe.memory`.
const MOST_BYTES: f64 = 8.0 * 1024.0 * 1024.0;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Level,
    Order,
    /// The pretend provider of payments takes two seconds.
    SlowOrder,
    /// The database of stock refuses the statement that holds units of this product.
    BrokenOrder,
}

impl Asked {
    fn of(number: u64) -> Self {
        match number % ONE_IN {
            0 => Self::BrokenOrder,
            500 => Self::SlowOrder,
            other if other % 40 == 1 => Self::Order,
            _ => Self::Level,
        }
    }

    fn request(self, number: u64, token: &str) -> String {
        let order = |sku: &str, card: &str| {
            format!(
                r#"{{"user": "demo", "card": "{card}", "lines": [{{"sku": "{sku}", "quantity": 1}}]}}"#
            )
        };
        let (line, body) = match self {
            Self::Level => ("GET /products/plenty/stock", String::new()),
            Self::Order => ("POST /orders", order("plenty", "card")),
            Self::SlowOrder => ("POST /orders", order("plenty", "slow")),
            Self::BrokenOrder => ("POST /orders", order("broken", "card")),
        };
        let trace = trace_of(number);
        format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             authorization: Bearer {token}\r\n\
             traceparent: 00-{trace}-00f067aa0ba902b7-00\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn status(self) -> u16 {
        match self {
            Self::Level => 200,
            Self::Order | Self::SlowOrder => 201,
            Self::BrokenOrder => 500,
        }
    }
}

/// The trace of a request.
fn trace_of(number: u64) -> String {
    format!("{:032x}", u128::from(number) + 1)
}

#[test]
#[ignore = "20,000 requests: cargo xtask test --long"]
fn slow_and_failed_requests_are_kept_whole() {
    let shop = Observed::start("tail", &[]);
    plant(&shop);
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let address = shop.gateway.clone();
            thread::spawn(move || client_of(&address, client))
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    let took = began.elapsed();

    let wanted: Vec<u64> = (0..REQUESTS)
        .filter(|number| matches!(Asked::of(*number), Asked::SlowOrder | Asked::BrokenOrder))
        .collect();
    assert_eq!(wanted.len(), 40);
    let mut kept = BTreeMap::new();
    eventually("all are gathered", || {
        kept = because(&shop.admin);
        wanted.iter().all(|number| kept.contains_key(&trace_of(*number)))
    });
    for number in &wanted {
        let trace = ask(&shop.admin, &format!("/api/traces/{}", trace_of(*number)));
        let because = kept[&trace_of(*number)].as_str();
        match Asked::of(*number) {
            Asked::SlowOrder => {
                assert_eq!(because, "slow");
                let processes = whole(&trace);
                assert_eq!(
                    processes,
                    BTreeSet::from(["gateway", "orders", "payments", "stock", "users"])
                );
                let slow = served(&trace, "payments", "authorise");
                assert!(slow["nanos"].as_u64().unwrap() >= 2_000_000_000, "{slow:#}");
            }
            _ => {
                assert_eq!(because, "failed");
                let processes = whole(&trace);
                assert_eq!(processes, BTreeSet::from(["gateway", "orders", "stock", "users"]));
                assert_eq!(served(&trace, "stock", "reserve")["outcome"], "internal");
            }
        }
    }
    println!(
        "{REQUESTS} requests in {took:?}: {} of 40 kept whole, {} kept in all",
        wanted.len(),
        kept.len()
    );
    for admin in &shop.admins {
        let page = get(admin, "/metrics").body;
        let figure = |name: &str| -> f64 {
            let line = page.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let recent = figure("monolift_recorded_bytes{kept=\"no\"}");
        let kept = figure("monolift_recorded_bytes{kept=\"yes\"}");
        let resident = figure("process_resident_memory_bytes");
        println!("{admin}: {recent} bytes recent, {kept} kept, {resident} resident");
        assert!(recent <= MOST_BYTES && kept <= MOST_BYTES, "{recent} {kept}");
    }
    assert_eq!(ask(&shop.admin, "/api/traces")["passed_over"], 0);
}

/// Adds a product of which there is plenty, and one whose units no statement can take.
fn plant(shop: &Observed) {
    let file = shop.run.data.join("stock.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(file);
        let mut stock = SqliteConnection::connect_with(&options).await.unwrap();
        let plant = "INSERT INTO products (sku, name, price_cents, on_hand) \
                     VALUES ('plenty', 'Plenty', 1, 1000000), ('broken', 'Broken', 1, 1000000); \
                     CREATE TRIGGER broken BEFORE UPDATE ON products WHEN NEW.sku = 'broken' \
                     BEGIN SELECT RAISE(ABORT, 'planted'); END";
        stock.execute(plant).await.unwrap();
        stock.close().await.unwrap();
    });
}

/// Makes its part of the requests on one connection, each of which has the status that it must have.
fn client_of(address: &str, client: u64) {
    let token = token(address, CUSTOMER).unwrap();
    let mut socket = BufReader::new(TcpStream::connect(address).unwrap());
    socket.get_ref().set_read_timeout(Some(SOON)).unwrap();
    socket.get_ref().set_nodelay(true).unwrap();
    for number in (client..REQUESTS).step_by(CLIENTS as usize) {
        let asked = Asked::of(number);
        socket.get_mut().write_all(asked.request(number, &token).as_bytes()).unwrap();
        assert_eq!(status(&mut socket), asked.status(), "{number}: {asked:?}");
    }
}

/// Reads a whole response.
fn status(socket: &mut BufReader<TcpStream>) -> u16 {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        assert_ne!(socket.read_line(&mut line).unwrap(), 0, "cut off: {lines:?}");
        if line == "\r\n" {
            break;
        }
        lines.push(line);
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    socket.read_exact(&mut body).unwrap();
    lines[0].split(' ').nth(1).unwrap().parse().unwrap()
}

fn ask(admin: &str, path: &str) -> Value {
    let answer = get(admin, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// Why each trace was kept, by its id.
fn because(admin: &str) -> BTreeMap<String, String> {
    let kept = ask(admin, "/api/traces?limit=500");
    let text = |trace: &Value, key: &str| trace[key].as_str().unwrap().to_owned();
    list(&kept, "traces")
        .iter()
        .map(|trace| (text(trace, "trace_id"), text(trace, "because")))
        .collect()
}

/// The processes of a trace, nothing of which is missing: each call that went to another process was served there, and each
/// call has the one that made it.
fn whole(trace: &Value) -> BTreeSet<&str> {
    assert_eq!(list(trace, "missing").len(), 0, "{trace:#}");
    let parts = list(trace, "parts");
    let calls = || parts.iter().flat_map(|part| list(part, "calls"));
    let text = |value: &'_ Value, key: &str| value[key].as_str().unwrap().to_owned();
    let parents: BTreeSet<String> = calls().map(|call| text(call, "parent")).collect();
    let spans: BTreeSet<String> = calls().chain(parts).map(|of| text(of, "span")).collect();
    for call in calls() {
        assert!(spans.contains(&text(call, "parent")), "{call:#} in {trace:#}");
        let is_served = call["remote"] == false || parents.contains(&text(call, "span"));
        assert!(is_served, "{call:#} in {trace:#}");
    }
    assert!(parts.iter().all(|part| part["left_out"].is_null()), "{trace:#}");
    parts.iter().map(|part| part["process"].as_str().unwrap()).collect()
}

/// A call of a trace, where it was served.
fn served<'a>(trace: &'a Value, module: &str, method: &str) -> &'a Value {
    let mut calls = list(trace, "parts").iter().flat_map(|part| list(part, "calls"));
    let is = |call: &&Value| {
        call["module"] == module && call["method"] == method && call["remote"] == false
    };
    calls.find(is).unwrap()
}
