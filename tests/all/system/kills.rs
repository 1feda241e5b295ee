//! Processes on the way of an order are killed, again and again: no order stays half done, nothing
//! is lost or sold twice, and no payment is there without its order.

use super::{
    http::{get, request},
    processes::{Process, Run, eventually, is_ready},
    shop::{ALL_SPLIT, Program},
    tables::Tables,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How many processes are killed, unless `MONOLIFT_KILLS` says otherwise.
const KILLS: u32 = 12;
const SHOPPERS: u64 = 4;
const PRODUCTS: u64 = 3;
/// Units of each product at first. Many orders find none.
const ON_HAND: u64 = 400;

/// The split shop, whose processes come back after they were killed.
struct Shop<'a> {
    run: &'a Run,
    processes: Vec<(&'static Program, Process)>,
}

impl<'a> Shop<'a> {
    fn start(run: &'a Run) -> (Self, String) {
        let mut processes: Vec<(&Program, Process)> = ALL_SPLIT
            .programs
            .iter()
            .map(|program| (program, run.start(&ALL_SPLIT.program(program.file))))
            .collect();
        let address = processes.last_mut().unwrap().1.http();
        eventually("the gateway is ready", || is_ready(&address));
        (Self { run, processes }, address)
    }

    fn kill(&mut self, number: usize) {
        let (program, process) = self.processes.remove(number);
        process.kill();
        let again = self.run.start(&ALL_SPLIT.program(program.file));
        self.processes.insert(number, (program, again));
    }
}

/// What one shopper was told: the orders that were acknowledged, and of those the cancelled ones.
#[derive(Default)]
struct Told {
    placed: BTreeSet<String>,
    cancelled: BTreeSet<String>,
    asked: u64,
}

/// Orders, repeats what had no answer, and cancels now and then, until it is told to stop.
fn shop(address: &str, shopper: u64, stop: &AtomicBool) -> Told {
    let mut told = Told::default();
    while !stop.load(Ordering::Relaxed) {
        let number = told.asked;
        told.asked += 1;
        let (key, product) = (format!("{shopper}-{number}"), (shopper + number) % PRODUCTS);
        let card = if number % 7 == 6 { "decline" } else { "card" };
        let body = format!(
            r#"{{"user": "demo", "lines": [{{"sku": "k{product}", "quantity": {}}}], "card": "{card}"}}"#,
            1 + number % 2
        );
        // A shopper asks twice, and gives up then.
        for _ in 0..2 {
            let headers = [("idempotency-key", key.as_str())];
            let answer = request(address, "POST", "/orders", &headers, &body);
            let Ok(answer) = answer else { continue };
            if answer.status == 201 {
                let order: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
                let id = order["id"].as_str().unwrap().to_owned();
                if number % 5 == 4 {
                    let path = format!("/orders/{id}/cancel");
                    let answer = request(address, "POST", &path, &[], "");
                    if answer.is_ok_and(|answer| answer.status == 200) {
                        told.cancelled.insert(id.clone());
                    }
                }
                told.placed.insert(id);
            }
            if answer.status < 500 {
                break;
            }
        }
    }
    told
}

fn kills() -> u32 {
    std::env::var("MONOLIFT_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
}

#[test]
fn orders_survive_the_death_of_any_process() {
    let run = ALL_SPLIT.run("kills").with("SHOP_USERS__PASSWORD_MEMORY_KIB", "8");
    // The gateway is killed too, and has to come back where it was.
    let run = run.with("SHOP_PROCESS__GATEWAY__HTTP", super::processes::free_port());
    let (mut all, address) = Shop::start(&run);
    for product in 0..PRODUCTS {
        let body = format!(
            r#"{{"sku": "k{product}", "name": "Product", "price": 100, "on_hand": {ON_HAND}}}"#
        );
        assert_eq!(request(&address, "POST", "/products", &[], &body).unwrap().status, 201);
    }

    let stop = AtomicBool::new(false);
    let random = AtomicU64::new(7);
    let told: Vec<Told> = thread::scope(|scope| {
        let (address, stop) = (&address, &stop);
        let shopping: Vec<_> = (0..SHOPPERS)
            .map(|shopper| scope.spawn(move || shop(address, shopper, stop)))
            .collect();
        for _ in 0..kills() {
            let mut mixed = random.load(Ordering::Relaxed);
            mixed ^= mixed << 13;
            mixed ^= mixed >> 7;
            mixed ^= mixed << 17;
            random.store(mixed, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(50 + mixed % 250));
            all.kill((mixed >> 32) as usize % ALL_SPLIT.programs.len());
        }
        stop.store(true, Ordering::Relaxed);
        shopping.into_iter().map(|one| one.join().unwrap()).collect()
    });

    // Nothing is started again from here on: it heals by itself.
    let healing = Instant::now();
    let tables = Tables::of(&run);
    tables.settle();
    let healed = healing.elapsed();
    let orders = tables.rows("orders", "SELECT id, state, total_cents, request FROM orders");
    let state: BTreeMap<&str, &str> =
        orders.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();

    // What was acknowledged is so.
    for id in told.iter().flat_map(|told| &told.placed) {
        let cancelled = told.iter().any(|told| told.cancelled.contains(id));
        let state = state.get(id.as_str()).copied();
        assert!(matches!(state, Some("placed" | "cancelled")), "{id} was placed, and is {state:?}");
        assert!(!cancelled || state == Some("cancelled"), "{id} was cancelled, and is {state:?}");
    }

    // Each unit is on the shelf or sold, and each order has all of its own.
    let mut sold = BTreeMap::new();
    for row in tables.rows("stock", "SELECT order_id, sku, quantity FROM held") {
        assert_eq!(state[row[0].as_str()], "placed", "units are held for {row:?}");
        *sold.entry(row[1].clone()).or_insert(0) += row[2].parse::<u64>().unwrap();
    }
    for row in tables.rows("stock", "SELECT sku, on_hand FROM products WHERE name = 'Product'") {
        let on_hand: u64 = row[1].parse().unwrap();
        assert_eq!(on_hand + sold.get(&row[0]).unwrap_or(&0), ON_HAND, "{row:?}");
    }
    let reserved: BTreeMap<String, String> = tables
        .rows("stock", "SELECT order_id, state FROM reservations")
        .into_iter()
        .map(|mut row| (row.remove(0), row.remove(0)))
        .collect();
    assert!(!reserved.values().any(|state| state == "held"), "{reserved:?}");

    // Money is taken for orders that are placed, and for nothing else.
    let mut paid: BTreeMap<String, i64> = BTreeMap::new();
    for row in tables.rows(
        "payments",
        "SELECT order_id, taken_cents - returned_cents, is_closed, reserved_cents FROM pretend_provider",
    ) {
        let open = row[2] == "0";
        let amount: i64 = row[1].parse().unwrap();
        assert_eq!(open, state.get(row[0].as_str()) == Some(&"placed"), "{row:?}");
        paid.insert(row[0].clone(), amount);
    }
    let mut placed = 0;
    for row in &orders {
        let amount = paid.get(&row[0]).copied().unwrap_or(0);
        let total: i64 = if row[1] == "placed" { row[2].parse().unwrap() } else { 0 };
        assert_eq!(amount, total, "{row:?}");
        if row[1] == "placed" {
            placed += 1;
            assert_eq!(reserved[&row[0]], "sold", "{row:?}");
        }
    }

    // Customers are told once of each.
    let sent: BTreeSet<String> = tables
        .rows("notifications", "SELECT id FROM notifications")
        .into_iter()
        .map(|mut row| row.remove(0))
        .collect();
    let mut expected = BTreeSet::new();
    for row in &orders {
        let (id, state) = (&row[0], &row[1]);
        // One that was refused may have been placed before.
        if state != "refused" || sent.contains(&format!("{id}-refused")) {
            expected.insert(format!("{id}-placed"));
            if state != "placed" {
                expected.insert(format!("{id}-{state}"));
            }
        }
    }
    assert_eq!(sent, expected);

    let asked: u64 = told.iter().map(|told| told.asked).sum();
    let acknowledged: usize = told.iter().map(|told| told.placed.len()).sum();
    println!(
        "{} kills: {asked} asked for, {acknowledged} acknowledged, {placed} placed of {} written \
         down; healed after {healed:?}",
        kills(),
        orders.len()
    );
    assert!(acknowledged > 0 && get(&address, "/readyz").status == 200);
}
