//! A random program of requests, from a seed: its answers and what is stored in the end are the same
//! wherever the modules live, and on either database.

use super::{
    http::{log_in, request, send},
    processes::{Run, eventually},
    shop::{PLACEMENTS, Placement},
    tables::{ADMIN, MODULES, Tables},
};
use crate::{
    postgres::{PgBouncer, Postgres},
    support::seeds,
};
use monolift_call::call::chance;
use std::{
    collections::BTreeMap,
    io::Write,
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

/// How many programs there are before each change.
const SEEDS: u64 = 8;
/// The requests of one program.
const STEPS: u64 = 40;
/// The product of which there is enough.
const MANY: u64 = 9;
/// Programs that run at once. Each has customers and products of its own.
const AT_ONCE: usize = 4;

/// Small random numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        chance::next(&mut self.0) % bound
    }
}

/// One program on its way: what it has done, and what it knows of it.
struct Program<'a> {
    address: &'a str,
    tables: &'a Tables,
    seed: u64,
    random: Random,
    /// What the answers called by random numbers, by their names here.
    names: BTreeMap<String, String>,
    /// Numbers of customers, by number here.
    users: Vec<String>,
    /// What says that a request is theirs.
    tokens: Vec<String>,
    /// Every order that was asked for: its customer and its body.
    orders: Vec<(usize, String)>,
    /// Numbers of the orders that were placed, and whose they are.
    placed: Vec<(String, usize)>,
    said: Vec<String>,
}

impl<'a> Program<'a> {
    fn new(address: &'a str, tables: &'a Tables, seed: u64) -> Self {
        Self {
            address,
            tables,
            seed,
            random: Random(seed),
            names: BTreeMap::new(),
            users: Vec::new(),
            tokens: Vec::new(),
            orders: Vec::new(),
            placed: Vec::new(),
            said: Vec::new(),
        }
    }

    fn run(mut self) -> (Vec<String>, BTreeMap<String, String>) {
        self.register();
        for product in 0..3 {
            let on_hand = self.random.below(12);
            self.add_product(product, on_hand);
        }
        self.add_product(MANY, 10_000);
        for _ in 0..STEPS {
            match self.random.below(12) {
                0 => self.register(),
                1 => self.log_in(),
                2 => self.restock(),
                3..=6 => self.order(),
                7 => self.repeat(),
                8 => self.hang_up(),
                9 => self.cancel(),
                10 => self.look(),
                _ => self.slip(),
            }
        }
        // Whoever hung up asks again in the end, and so does everybody else.
        for order in 0..self.orders.len() {
            self.place(order);
        }
        (self.said, self.names)
    }

    /// Asks as whoever the client takes for the one who asks for this.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = request(self.address, method, path, &[], body).unwrap();
        assert!(answer.status < 500, "seed {}: {method} {path} {body}: {answer:?}", self.seed);
        (answer.status, answer.body)
    }

    /// Asks as a customer.
    fn ask_as(
        &mut self,
        user: usize,
        method: &str,
        path: &str,
        key: &str,
        body: &str,
    ) -> (u16, String) {
        let bearer = format!("Bearer {}", self.tokens[user]);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        let headers = if key.is_empty() { &headers[..1] } else { &headers[..] };
        let answer = send(self.address, method, path, headers, body).unwrap();
        assert!(answer.status < 500, "seed {}: {method} {path} {body}: {answer:?}", self.seed);
        (answer.status, answer.body)
    }

    fn keep(&mut self, what: &str, (status, body): (u16, String)) {
        let body = named(&body, &self.names);
        self.said.push(format!("{what}: {status} {body}"));
    }

    fn register(&mut self) {
        let number = self.users.len();
        let email = format!("u{number}@s{}.example.org", self.seed);
        let body = format!(
            r#"{{"name": "Customer {number}", "email": "{email}", "password": "password {number}"}}"#
        );
        let answer = self.ask("POST", "/users", &body);
        let id = text(&answer.1, "id");
        self.names.insert(id.clone(), format!("user-{number}"));
        self.users.push(id);
        let token = log_in(self.address, &email, &format!("password {number}")).unwrap();
        self.tokens.push(token);
        self.keep("register", answer);
        let again = self.ask("POST", "/users", &body);
        self.keep("register again", again);
    }

    fn log_in(&mut self) {
        let number = self.below(self.users.len());
        let wrong = self.random.below(2);
        let body = format!(
            r#"{{"email": "U{number}@s{}.example.org", "password": "password {}"}}"#,
            self.seed,
            number as u64 + wrong,
        );
        let (status, body) = self.ask("POST", "/sessions", &body);
        let body = if status == 200 { format!("user {}", text(&body, "user")) } else { body };
        self.keep("log in", (status, body));
    }

    fn add_product(&mut self, product: u64, on_hand: u64) {
        let (sku, price) = (self.sku(product), 100 + product);
        let body = format!(
            r#"{{"sku": "{sku}", "name": "Product", "price": {price}, "on_hand": {on_hand}}}"#
        );
        let answer = self.ask("POST", "/products", &body);
        self.keep("add", answer);
    }

    fn restock(&mut self) {
        let product = self.random.below(4);
        let (path, quantity) =
            (format!("/products/{}/stock", self.sku(product)), self.random.below(5));
        let answer = self.ask("POST", &path, &format!(r#"{{"quantity": {quantity}}}"#));
        self.keep("restock", answer);
    }

    /// A new order of one to three lines; some are for what there is none of, some are declined.
    fn new_order(&mut self) -> usize {
        let lines: Vec<String> = (0..=self.random.below(3))
            .map(|_| {
                let (product, quantity) = (self.random.below(4), self.random.below(4));
                format!(r#"{{"sku": "{}", "quantity": {quantity}}}"#, self.sku(product))
            })
            .collect();
        self.order_of(&lines)
    }

    fn order_of(&mut self, lines: &[String]) -> usize {
        let user = self.below(self.users.len());
        let unknown = self.random.below(10) == 0;
        let id = if unknown { "nobody".to_owned() } else { self.users[user].clone() };
        let card = if self.random.below(6) == 0 { "decline" } else { "card" };
        let body =
            format!(r#"{{"user": "{id}", "lines": [{}], "card": "{card}"}}"#, lines.join(", "));
        self.orders.push((user, body));
        self.orders.len() - 1
    }

    fn place(&mut self, order: usize) {
        let (user, body) = self.orders[order].clone();
        let key = format!("{}-{order}", self.seed);
        let answer = self.ask_as(user, "POST", "/orders", &key, &body);
        if answer.0 == 201 {
            let id = text(&answer.1, "id");
            self.names.insert(id.clone(), format!("order-{order}"));
            let placed = (id, user);
            if !self.placed.contains(&placed) {
                self.placed.push(placed);
            }
        }
        self.keep(&format!("order {order}"), answer);
    }

    fn order(&mut self) {
        let order = self.new_order();
        self.place(order);
    }

    fn repeat(&mut self) {
        if !self.orders.is_empty() {
            let order = self.below(self.orders.len());
            self.place(order);
        }
    }

    /// Asks for an order and does not wait; then asks again, as it would after a lost connection.
    /// When what was refused is back on the shelf is chance then, so it is of what there is enough.
    fn hang_up(&mut self) {
        let lines = [format!(r#"{{"sku": "{}", "quantity": 1}}"#, self.sku(MANY))];
        let order = self.order_of(&lines);
        let (user, body) = &self.orders[order];
        let token = &self.tokens[*user];
        let mut socket = TcpStream::connect(self.address).unwrap();
        let head = "POST /orders HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n";
        let text = format!(
            "{head}authorization: Bearer {token}\r\nidempotency-key: {}-{order}\r\ncontent-length: {}\r\n\r\n{body}",
            self.seed,
            body.len()
        );
        let half = self.random.below(text.len() as u64) as usize;
        let part = if self.random.below(4) == 0 { &text[..half] } else { &text };
        socket.write_all(part.as_bytes()).unwrap();
        thread::sleep(std::time::Duration::from_millis(self.random.below(12)));
        drop(socket);
        self.place(order);
    }

    fn cancel(&mut self) {
        if self.placed.is_empty() {
            return;
        }
        let number = self.below(self.placed.len());
        let (id, owner) = self.placed[number].clone();
        let path = format!("/orders/{id}/cancel");
        // Nobody else can.
        assert_eq!(self.ask("POST", &path, "").0, 404);
        let answer = self.ask_as(owner, "POST", &path, "", "");
        self.keep("cancel", answer);
        // What was cancelled goes back on the shelf after a moment.
        eventually("the order is undone", || {
            let undone = "SELECT payload FROM monolift_work WHERE name = 'undo'";
            self.tables.rows("orders", undone).iter().all(|row| !row[0].contains(&id))
        });
    }

    fn look(&mut self) {
        let product = self.random.below(4);
        let answer = self.ask("GET", &format!("/products/{}", self.sku(product)), "");
        self.keep("look", answer);
        let number = self.below(self.users.len());
        let user = self.users[number].clone();
        let answer = self.ask_as(number, "GET", &format!("/users/{user}"), "", "");
        self.keep("profile", answer);
    }

    /// What is wrong from the beginning.
    fn slip(&mut self) {
        let (method, path, body) = match self.random.below(5) {
            0 => ("POST", "/orders", "{"),
            1 => ("POST", "/orders", r#"{"user": "demo", "lines": []}"#),
            2 => ("GET", "/orders/nothing", ""),
            3 => ("POST", "/users", r#"{"name": "", "email": "x@y.z", "password": "12345678"}"#),
            _ => ("POST", "/products/tea/stock", r#"{"quantity": -1}"#),
        };
        let answer = self.ask(method, path, body);
        self.keep("slip", answer);
    }

    fn sku(&self, product: u64) -> String {
        format!("s{}-p{product}", self.seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }
}

/// A text in an object of JSON.
fn text(body: &str, key: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    body[key].as_str().unwrap_or_default().to_owned()
}

/// A body with names instead of random numbers, and without times.
fn named(body: &str, names: &BTreeMap<String, String>) -> String {
    let named = names.iter().fold(body.to_owned(), |body, (id, name)| body.replace(id, name));
    let mut parts = named.split("_ms\":");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("_ms\":");
        text.push_str(part.trim_start_matches(|digit: char| digit.is_ascii_digit()));
    }
    text
}

/// What is stored, a line for each row, without times and with names.
fn stored(tables: &Tables, names: &BTreeMap<String, String>) -> Vec<String> {
    let queries: [(&str, &'static str); 8] = [
        ("users", "SELECT id, name, email FROM users"),
        ("stock", "SELECT sku, name, on_hand, price_cents FROM products"),
        ("stock", "SELECT order_id, state, total_cents FROM reservations"),
        ("stock", "SELECT order_id, sku, quantity FROM held"),
        ("orders", "SELECT id, user_id, request, state, refusal, total_cents FROM orders"),
        // Whether it was cancelled before it was captured is chance: what is left of it is not.
        (
            "payments",
            "SELECT order_id, taken_cents - returned_cents, is_closed FROM pretend_provider",
        ),
        ("payments", "SELECT order_id, state FROM payments"),
        ("notifications", "SELECT id, recipient, subject FROM notifications"),
    ];
    let mut lines = Vec::new();
    for (module, sql) in queries {
        let table = sql.rsplit(' ').next().unwrap();
        for row in tables.rows(module, sql) {
            lines.push(named(&format!("{table}: {}", row.join(" | ")), names));
        }
    }
    lines.sort();
    lines
}

/// The orders that were refused have no number in any answer: they are named by what they ask for.
fn name_refused(tables: &Tables, names: &mut BTreeMap<String, String>) {
    for row in
        tables.rows("orders", "SELECT id, request, made_at_ms FROM orders WHERE state = 'refused'")
    {
        let request = named(&row[1], names);
        names.insert(row[0].clone(), format!("refused {request}"));
    }
}

/// All programs in one placement: what was answered to each, and what is stored in the end.
fn run_all(placement: &'static Placement, run: &Run) -> (Vec<Vec<String>>, Vec<String>) {
    let shop = placement.start(run);
    let tables = Tables::of(run);
    let next = AtomicU64::new(0);
    let run_some = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds(SEEDS) {
                return done;
            }
            done.push((seed, Program::new(&shop.address, &tables, seed).run()));
        }
    };
    let mut all = BTreeMap::new();
    thread::scope(|scope| {
        let running: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(run_some)).collect();
        for one in running {
            all.extend(one.join().unwrap());
        }
    });
    tables.settle();
    let mut names = BTreeMap::new();
    let mut said = Vec::new();
    for (seed, (lines, own)) in all {
        said.push(lines);
        names.extend(own.into_iter().map(|(id, name)| (id, format!("s{seed}-{name}"))));
    }
    name_refused(&tables, &mut names);
    let stored = stored(&tables, &names);
    shop.stop();
    (said, stored)
}

#[track_caller]
fn same(what: &str, expected: &[String], found: &[String]) {
    for (expected, found) in expected.iter().zip(found) {
        assert_eq!(expected, found, "{what}");
    }
    assert_eq!(expected.len(), found.len(), "{what}");
}

/// Where the modules' tables are.
#[derive(Debug, Clone, Copy)]
enum Databases {
    /// On SQLite.
    Files,
    /// On PostgreSQL, with a login for each module.
    Logins,
    /// On PostgreSQL, with one login and PgBouncer in front.
    SharedPool,
}

impl Databases {
    const ALL: [Self; 3] = [Self::Files, Self::Logins, Self::SharedPool];
}

#[test]
fn random_programs_have_the_same_end_everywhere() {
    let postgres = Postgres::start();
    let mut expected: Option<(Vec<Vec<String>>, Vec<String>)> = None;
    for (number, placement) in PLACEMENTS.iter().enumerate() {
        for databases in Databases::ALL {
            let mut run = placement.run("random").with("SHOP_USERS__PASSWORD_MEMORY_KIB", "8");
            let name = || format!("{databases:?}_{number}").to_lowercase();
            let mut pgbouncer = None;
            match databases {
                Databases::Files => {}
                Databases::Logins => {
                    let admin = postgres.database(&name());
                    for (module, url) in crate::data::init(&admin, &MODULES.join(",")) {
                        run = run.with(&format!("SHOP_{}__DB__URL", module.to_uppercase()), url);
                    }
                }
                Databases::SharedPool => {
                    let admin = postgres.database(&name());
                    let url = crate::data::init_shared(&admin, &MODULES.join(","));
                    let between = PgBouncer::start(&postgres, 4, &["shop_shared"]);
                    run = run.with("SHOP_DB__URL", between.through(&url)).with(ADMIN, admin);
                    pgbouncer = Some(between);
                }
            }
            let what = format!("{}, {databases:?}", placement.name);
            let (said, stored) = run_all(placement, &run);
            drop(pgbouncer);
            match &expected {
                None => expected = Some((said, stored)),
                Some((first_said, first_stored)) => {
                    for (seed, (first, said)) in first_said.iter().zip(&said).enumerate() {
                        same(&format!("seed {seed}, {what}"), first, said);
                    }
                    same(&what, first_stored, &stored);
                }
            }
        }
    }
    let (said, _) = expected.unwrap();
    // They do happen: orders that are placed, and that are refused for each reason.
    for outcome in [
        "\"state\":\"placed\"",
        "\"state\":\"cancelled\"",
        "sold out",
        "was declined",
        "no product",
        "another user",
        "log in: 401",
        "log in: 200",
    ] {
        let found = said.iter().flatten().any(|line| line.contains(outcome));
        assert!(found || seeds(SEEDS) < SEEDS, "nothing was {outcome}");
    }
}
