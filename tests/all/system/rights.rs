//! Who may do what in the shop: the same in every shape, whatever is asked for and whoever asks.
//!
//! The operations and what they ask for are those of `/openapi.json`, which is made from the interfaces. So a new method is
//! tried without a word here, unless its path has a new kind of name.

use super::{
    http::{CUSTOMER, Response, STAFF, get, log_in, request, send, token},
    processes::{Run, eventually},
    shop::{ALL_SPLIT, MONOLITH, Placement, Shop},
    tables::Tables,
};
use crate::certificates::{Authority, Wanted};
use monolift_seam::wire::spiffe_id;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

/// A body that no argument can be decoded from.
const BROKEN: &str = "{";

/// A customer of the shop, and what is theirs.
#[derive(Debug, Clone)]
struct Customer {
    id: String,
    token: String,
    order: String,
}

impl Customer {
    fn register(address: &str, name: &str) -> Self {
        let (email, password) = (format!("{name}@example.org"), "open sesame");
        let user = json!({ "name": name, "email": email, "password": password }).to_string();
        let answer = send(address, "POST", "/users", &[], &user).unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = text(&answer, "id");
        let token = log_in(address, &email, password).unwrap();
        let mut customer = Self { id, token, order: String::new() };
        let answer = customer.ask(address, "POST", "/orders", &order_of(&customer.id));
        assert_eq!(answer.status, 201, "{answer:?}");
        customer.order = text(&answer, "id");
        customer
    }

    fn ask(&self, address: &str, verb: &str, path: &str, body: &str) -> Response {
        ask(address, Some(&self.token), verb, path, body)
    }

    /// What an operation is asked for that is about this customer: its path, and its body.
    fn of(&self, operation: &Operation) -> (String, String) {
        let mut path = String::new();
        for part in operation.path.split('/').skip(1) {
            path.push('/');
            path.push_str(match (operation.path.split('/').nth(1), part) {
                (Some("users"), "{id}") => &self.id,
                (Some("orders"), "{id}") | (Some("payments"), "{order}") => &self.order,
                (Some("products"), "{sku}") => "tea",
                (_, name) if name.starts_with('{') => {
                    panic!("a new kind of name: say what it stands for: {operation:?}")
                }
                (_, part) => part,
            });
        }
        if operation.asks_for_user {
            path.push_str(&format!("?user={}", self.id));
        }
        let body = match (operation.verb.as_str(), operation.path.as_str()) {
            ("POST", "/orders") => order_of(&self.id),
            ("POST", "/products/{sku}/stock") => r#"{"quantity": 1}"#.to_owned(),
            ("POST", "/products") => {
                let product = json!({ "sku": self.id, "name": "New", "price": 1, "on_hand": 1 });
                product.to_string()
            }
            ("POST", "/users") => {
                json!({ "name": "x", "email": "none", "password": "12345678" }).to_string()
            }
            ("POST", "/sessions") => r#"{"email": "none", "password": "none"}"#.to_owned(),
            _ => String::new(),
        };
        (path, body)
    }
}

fn order_of(user: &str) -> String {
    json!({ "user": user, "lines": [{ "sku": "tea", "quantity": 1 }] }).to_string()
}

fn text(answer: &Response, name: &str) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body[name].as_str().unwrap().to_owned()
}

fn ask(address: &str, token: Option<&str>, verb: &str, path: &str, body: &str) -> Response {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> =
        bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    send(address, verb, path, &headers, body).unwrap()
}

/// A routed method, as `/openapi.json` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Operation {
    verb: String,
    path: String,
    asks: Asks,
    /// Whether it has a query that names a customer.
    asks_for_user: bool,
    has_body: bool,
}

/// Who may call it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asks {
    Nothing,
    /// A customer with these roles.
    Roles(Vec<String>),
}

fn operations(address: &str) -> Vec<Operation> {
    let document: Value = serde_json::from_str(&get(address, "/openapi.json").body).unwrap();
    let mut operations = Vec::new();
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            let Some(security) = operation["security"].as_array() else {
                // The gateway's own: whether it lives.
                continue;
            };
            let [first] = &security[..] else { panic!("{verb} {path}: {security:?}") };
            let asks = match first.as_object().unwrap().values().next() {
                None => Asks::Nothing,
                Some(names) => Asks::Roles(serde_json::from_value(names.clone()).unwrap()),
            };
            let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
            operations.push(Operation {
                verb: verb.to_uppercase(),
                path: path.clone(),
                asks,
                asks_for_user: parameters.iter().any(|one| one["name"] == "user"),
                has_body: operation.get("requestBody").is_some(),
            });
        }
    }
    operations
}

/// A shop whose tokens count to the second.
fn run(name: &str) -> Run {
    Run::new(name)
        .with("SHOP_USERS__PASSWORD_MEMORY_KIB", "8")
        .with("SHOP_IDENTITY__LEEWAY", "0s")
        // Operations are tried many times.
        .with("SHOP_PAYMENTS__MOST_CENTS", "100000000")
}

/// The run with TLS between the processes of its placement, which proves to each on whose behalf another one calls. The files
/// are those of the authority.
pub(super) fn encrypted(run: Run, placement: &Placement) -> (Run, Authority) {
    let authority = Authority::new();
    for program in placement.programs {
        let name = spiffe_id("shop", program.process);
        authority.put(program.process, &Wanted::uris(&[&name]));
    }
    let files = authority.files();
    let run = run
        .with("SHOP_TLS__AUTHORITY", files.authority.display().to_string())
        .with("SHOP_TLS__CERTIFICATE", files.certificate)
        .with("SHOP_TLS__KEY", files.key);
    (run, authority)
}

/// Who asks.
const CALLERS: [&str; 6] =
    ["nobody", "expired", "wrong user", "right user", "wrong role", "right role"];

/// What each caller is answered by each operation: with the arguments of the right user, and with none that can be decoded.
fn matrix(shop: &Shop, expired: &str) -> BTreeMap<String, (u16, Option<u16>)> {
    let address = shop.address.as_str();
    let (owner, stranger) =
        (Customer::register(address, "owner"), Customer::register(address, "stranger"));
    let staff = token(address, STAFF).unwrap();
    let mut answers = BTreeMap::new();
    for operation in operations(address) {
        let (path, body) = owner.of(&operation);
        for caller in CALLERS {
            let token = match caller {
                "nobody" => None,
                "expired" => Some(expired),
                "wrong user" | "wrong role" => Some(&*stranger.token),
                "right user" => Some(&*owner.token),
                _ => Some(&*staff),
            };
            let status = ask(address, token, &operation.verb, &path, &body).status;
            let broken = operation
                .has_body
                .then(|| ask(address, token, &operation.verb, &path, BROKEN).status);
            let what = format!("{} {} by {caller}", operation.verb, operation.path);
            allowed(&operation, caller, status, broken, &what);
            answers.insert(what, (status, broken));
        }
    }
    answers
}

/// Compares the answers with what the operation asks for.
#[track_caller]
fn allowed(operation: &Operation, caller: &str, status: u16, broken: Option<u16>, what: &str) {
    let is_staff = caller == "right role";
    let refused = match (&operation.asks, caller) {
        (_, "expired") => Some(401),
        (Asks::Nothing, _) => None,
        (Asks::Roles(_), "nobody") => Some(401),
        (Asks::Roles(roles), _) if roles.is_empty() || is_staff => None,
        (Asks::Roles(_), _) => Some(403),
    };
    match refused {
        // Refused by its rule: before anything of the body is looked at.
        Some(expected) => {
            assert_eq!(status, expected, "{what}");
            assert!(broken.is_none_or(|broken| broken == expected), "{what}: {broken:?}");
        }
        None => {
            assert!(broken.is_none_or(|broken| broken == 400), "{what}: {broken:?}");
            let is_of_a_user = matches!(&operation.asks, Asks::Roles(roles) if roles.is_empty());
            match (is_of_a_user, caller) {
                // What belongs to the owner is refused by the module.
                (true, "right user") => assert!((200..300).contains(&status), "{what}: {status}"),
                (true, _) => assert!([403, 404].contains(&status), "{what}: {status}"),
                // A log-in with a wrong password is a 401 of its own.
                (false, _) if operation.path == "/sessions" => assert_eq!(status, 401, "{what}"),
                (false, _) => assert!(![401, 403].contains(&status), "{what}: {status}"),
            }
        }
    }
}

#[test]
fn who_may_do_what_is_the_same_in_every_shape() {
    let mut expected: Option<BTreeMap<String, (u16, Option<u16>)>> = None;
    for placement in [&MONOLITH, &ALL_SPLIT] {
        // A token that has expired is one of an earlier run, with the same keys.
        let run = placement.addressed(run(&format!("rights-{}", placement.name)));
        let (run, _files) = encrypted(run, placement);
        let run = run.with("SHOP_USERS__TOKEN_SECONDS", "1");
        let shop = placement.start(&run);
        let expired = log_in(&shop.address, CUSTOMER, "demo-password").unwrap();
        let path = "/orders?user=demo";
        eventually("it expires", || {
            ask(&shop.address, Some(&expired), "GET", path, "").status == 401
        });
        shop.stop();
        let run = run.with("SHOP_USERS__TOKEN_SECONDS", "1800");
        let shop = placement.start(&run);
        let answers = matrix(&shop, &expired);
        shop.stop();
        for (row, (status, broken)) in &answers {
            println!("{}: {row}: {status} {broken:?}", placement.name);
        }
        assert!(answers.len() >= 15 * CALLERS.len(), "{}", answers.len());
        match &expected {
            None => expected = Some(answers),
            Some(expected) => assert_eq!(&answers, expected, "{}", placement.name),
        }
    }
}

/// Each customer asks each operation for what belongs to each other one.
#[test]
fn nobody_reaches_what_belongs_to_another_customer() {
    for placement in [&MONOLITH, &ALL_SPLIT] {
        let run = placement.addressed(run(&format!("objects-{}", placement.name)));
        let (run, _files) = encrypted(run, placement);
        let shop = placement.start(&run);
        let address = shop.address.as_str();
        let customers: Vec<Customer> = ["ada", "bob", "cyd", "dot"]
            .into_iter()
            .map(|name| Customer::register(address, name))
            .collect();
        let tables = Tables::of(&run);
        tables.settle();
        let operations = operations(address);
        let of_users: Vec<&Operation> =
            operations.iter().filter(|one| one.asks == Asks::Roles(Vec::new())).collect();
        assert!(of_users.len() >= 7, "{of_users:?}");
        let stored = || {
            let orders = tables.rows("orders", "SELECT id, user_id, state FROM orders ORDER BY id");
            let payments = tables.rows(
                "payments",
                "SELECT order_id, user_id, state FROM payments ORDER BY order_id",
            );
            (orders, payments)
        };
        let before = stored();
        assert_eq!((before.0.len(), before.1.len()), (4, 4), "{before:?}");
        for (at, owner) in customers.iter().enumerate() {
            for (by, stranger) in customers.iter().enumerate().filter(|(by, _)| *by != at) {
                for operation in &of_users {
                    let (path, body) = owner.of(operation);
                    let answer = stranger.ask(address, &operation.verb, &path, &body);
                    let what = format!("{}: {operation:?} of {at} by {by}", placement.name);
                    assert!([403, 404].contains(&answer.status), "{what}: {answer:?}");
                    // Nothing of the other one is in the answer, but what the request names.
                    let problem: Value = serde_json::from_str(&answer.body).unwrap();
                    assert!(problem["status"] == answer.status && problem.get("lines").is_none());
                }
            }
        }
        // Nothing was done, and each still has what is theirs.
        assert_eq!(stored(), before);
        for customer in &customers {
            for operation in &of_users {
                let (path, body) = customer.of(operation);
                let answer = customer.ask(address, &operation.verb, &path, &body);
                assert!((200..300).contains(&answer.status), "{operation:?}: {answer:?}");
            }
        }
        shop.stop();
    }
}

/// The names of the keys that the shop shows.
fn shown(address: &str) -> BTreeSet<String> {
    let keys: Value = serde_json::from_str(&get(address, "/.well-known/jwks.json").body).unwrap();
    let keys = keys["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Keys come and go while customers log in and ask. No request notices it. A key that is deleted is no key any more.
#[test]
fn keys_rotate_while_requests_run() {
    for placement in [&MONOLITH, &ALL_SPLIT] {
        let run = placement.addressed(run(&format!("rotation-{}", placement.name)));
        let run = run
            .with("SHOP_USERS__KEY_SECONDS", "4")
            .with("SHOP_IDENTITY__ISSUERS__SHOP__REFRESH", "1s")
            .with("SHOP_IDENTITY__ISSUERS__SHOP__OVERLAP", "0s");
        let shop = placement.start(&run);
        let address = shop.address.as_str();
        let path = "/orders?user=demo&limit=1";
        let first = log_in(address, CUSTOMER, "demo-password").unwrap();
        let known = shown(address);
        let ended = thread::scope(|scope| {
            let customer = scope.spawn(|| {
                let (mut asked, mut refused) = (0, Vec::new());
                let mut all = known.clone();
                while all.len() < known.len() + 2 {
                    let new = log_in(address, CUSTOMER, "demo-password").unwrap();
                    for token in [&first, &new] {
                        let answer = ask(address, Some(token), "GET", path, "");
                        asked += 1;
                        if answer.status != 200 {
                            refused.push(answer);
                        }
                    }
                    all.extend(shown(address));
                }
                (asked, refused)
            });
            customer.join().unwrap()
        });
        assert!(ended.1.is_empty(), "{} of {}: {:?}", ended.1.len(), ended.0, ended.1[0]);
        // The first key has ended, and shows that tokens of it may still be about.
        assert!(shown(address).is_superset(&known));
        let tables = Tables::of(&run);
        let deleted = tables.rows(
            "users",
            "DELETE FROM signing_keys WHERE number = (SELECT MIN(number) FROM signing_keys) \
             RETURNING name",
        );
        assert_eq!(deleted.len(), 1);
        eventually("tokens of the deleted key are refused", || {
            ask(address, Some(&first), "GET", path, "").status == 401
        });
        let new = log_in(address, CUSTOMER, "demo-password").unwrap();
        assert_eq!(ask(address, Some(&new), "GET", path, "").status, 200);
        shop.stop();
    }
}

/// What a program finds that takes the shop's tokens without knowing it.
#[test]
fn the_shop_describes_its_tokens() {
    let run = MONOLITH.addressed(run("described"));
    let shop = MONOLITH.start(&run);
    let described = get(&shop.address, "/.well-known/openid-configuration");
    let described: Value = serde_json::from_str(&described.body).unwrap();
    assert_eq!(described["issuer"], "http://127.0.0.1:8080");
    assert_eq!(described["jwks_uri"], "http://127.0.0.1:8080/.well-known/jwks.json");
    let answer = request(&shop.address, "GET", "/.well-known/jwks.json", &[], "").unwrap();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(!answer.body.contains("\"d\"") && !shown(&shop.address).is_empty(), "{answer:?}");
    shop.stop();
}
