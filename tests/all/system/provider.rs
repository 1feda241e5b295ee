//! The shop behind a certified OpenID provider: `oidc-provider` of npm, as `examples/oidc` starts it.

use super::{
    http::{Response, send},
    processes::{Process, free_port},
    rights::encrypted,
    shop::{ALL_SPLIT, MONOLITH},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// How long the provider is down.
const DOWN: Duration = Duration::from_secs(60);
/// Longer than a gateway waits before it fetches keys once more for a key that it does not know.
const NEW_KEY: Duration = Duration::from_secs(6);

/// Where the provider sends the browser back to.
const BACK: &str = "http://127.0.0.1:8080/callback";
/// What the client keeps for itself in a code flow, and what it shows: its SHA-256.
const VERIFIER: &str = "a-verifier-that-is-as-long-as-it-has-to-be-0123456789";
const CHALLENGE: &str = "QZef6Uj8tzdhv8SNEDEQz20v0CfRE86DcPe_TqBDoB4";
/// The name and the password of the client `backoffice`.
const BACKOFFICE: &str = "Basic YmFja29mZmljZTpiYWNrb2ZmaWNlLXNlY3JldA==";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

struct Provider {
    process: Process,
    address: String,
}

impl Provider {
    fn start(address: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/oidc");
        let installed = folder.join("node_modules/oidc-provider").exists();
        assert!(installed, "the provider is installed: npm install, in {}", folder.display());
        let (_, port) = address.rsplit_once(':').unwrap();
        let env = [("PORT".to_owned(), port.to_owned())];
        let mut process = Process::start_in(Path::new("node"), &["provider.mjs"], &env, &folder);
        process.says(" is ready");
        Self { process, address: address.to_owned() }
    }

    fn ask(&self, verb: &str, path: &str, more: &[(&str, &str)], body: &str) -> Response {
        let headers = [&[("host", self.address.as_str()), FORM], more].concat();
        send(&self.address, verb, path, &headers, body).unwrap()
    }

    /// Goes where a browser is sent next. Returns where that one sends it.
    fn step(
        &self,
        verb: &str,
        place: &str,
        cookies: &mut BTreeMap<String, String>,
        body: &str,
    ) -> String {
        let path = place.strip_prefix(&format!("http://{}", self.address)).unwrap_or(place);
        let sent: Vec<String> =
            cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = self.ask(verb, path, &[("cookie", &sent.join("; "))], body);
        for header in &answer.headers {
            let Some((name, cookie)) = header.split_once(": ") else { continue };
            if name.eq_ignore_ascii_case("set-cookie") {
                let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let next = answer.headers.iter().find_map(|header| header.strip_prefix("Location: "));
        next.unwrap_or_else(|| panic!("{verb} {path} leads nowhere: {answer:?}")).to_owned()
    }

    /// A code for a user who logs in at the provider.
    fn code(&self, user: &str) -> String {
        let mut cookies = BTreeMap::new();
        let begin = format!(
            "/auth?client_id=web&response_type=code&scope=openid&redirect_uri={BACK}&code_challenge={CHALLENGE}\
             &code_challenge_method=S256"
        );
        let page = self.step("GET", &begin, &mut cookies, "");
        let form = format!("prompt=login&login={user}&password=any");
        let next = self.step("POST", &page, &mut cookies, &form);
        let back = self.step("GET", &next, &mut cookies, "");
        let query = back.strip_prefix(BACK).unwrap_or_else(|| panic!("{back}"));
        query.strip_prefix("?code=").unwrap().split('&').next().unwrap().to_owned()
    }

    /// What a client gets for its code.
    fn exchanged(&self, code: &str, verifier: &str) -> Response {
        let form = format!(
            "grant_type=authorization_code&client_id=web&code={code}&redirect_uri={BACK}&code_verifier={verifier}"
        );
        self.ask("POST", "/token", &[], &form)
    }

    /// The tokens of a customer and of a program of the staff.
    fn tokens(&self) -> [(Caller, String); 2] {
        let customer = self.exchanged(&self.code("demo"), VERIFIER);
        let form = "grant_type=client_credentials";
        let staff = self.ask("POST", "/token", &[("authorization", BACKOFFICE)], form);
        [(Caller::Customer, token(&customer)), (Caller::Staff, token(&staff))]
    }

    /// Has it sign with a new key.
    fn rotate(&mut self) {
        self.process.signal("USR1");
        let key = self.process.says("a new key: ");
        // The next one is looked for behind it.
        self.process.forget(&key);
    }
}

fn token(answer: &Response) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["access_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Customer,
    Staff,
}

fn ask(address: &str, token: &str, verb: &str, path: &str, body: &str) -> Response {
    let bearer = format!("Bearer {token}");
    send(address, verb, path, &[("authorization", &bearer)], body).unwrap()
}

const ORDERS: &str = "/orders?user=demo&limit=1";
const SHELF: (&str, &str) = ("/products/tea/stock", r#"{"quantity": 1}"#);

/// What this caller may do.
fn allowed(address: &str, caller: Caller, token: &str) -> Response {
    match caller {
        Caller::Customer => ask(address, token, "GET", ORDERS, ""),
        Caller::Staff => ask(address, token, "POST", SHELF.0, SHELF.1),
    }
}

/// Who may do what is the same as with the shop's own tokens.
fn rights(address: &str, tokens: &[(Caller, String); 2]) {
    let [(_, customer), (_, staff)] = tokens;
    for (caller, token) in tokens {
        assert_eq!(allowed(address, *caller, token).status, 200, "{caller:?}");
    }
    assert_eq!(ask(address, customer, "POST", SHELF.0, SHELF.1).status, 403);
    assert_eq!(ask(address, staff, "GET", ORDERS, "").status, 403);
    let order = r#"{"user": "demo", "lines": [{"sku": "tea", "quantity": 1}]}"#;
    assert_eq!(ask(address, customer, "POST", "/orders", order).status, 201);
    assert_eq!(ask(address, staff, "POST", "/orders", order).status, 403);
    let damaged = format!("{customer}A");
    assert_eq!(ask(address, &damaged, "GET", ORDERS, "").status, 401);
}

/// Requests run with every token that was issued, while the provider signs with three more keys, of other kinds, is down for a
/// minute, and comes back with other keys still. None fails, in the monolith and in the split shop.
#[test]
#[ignore = "it runs a provider for two minutes: cargo xtask test --long"]
fn tokens_of_a_certified_provider_count_through_new_keys_and_an_outage() {
    let mut provider = Provider::start(&free_port());
    let code = provider.code("demo");
    assert_eq!(provider.exchanged(&code, &VERIFIER.replace('a', "b")).status, 400);
    let issuer = format!("http://{}", provider.address);
    let started = [&MONOLITH, &ALL_SPLIT].map(|placement| {
        let (run, files) = encrypted(placement.run("provider"), placement);
        let run = run
            .with("SHOP_IDENTITY__ISSUERS__OIDC__ISSUER", &issuer)
            .with("SHOP_IDENTITY__ISSUERS__OIDC__AUDIENCE", "shop");
        (placement.start(&run), run, files)
    });
    let gateways = started.each_ref().map(|(shop, ..)| shop.address.clone());
    let first = provider.tokens();
    gateways.iter().for_each(|gateway| rights(gateway, &first));

    let tokens = Mutex::new(first.to_vec());
    let (ended, asked, failed) =
        (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let keep_asking = |gateway: &str| {
        while !ended.load(Relaxed) {
            let known = tokens.lock().unwrap().clone();
            for (caller, token) in &known {
                let answer = allowed(gateway, *caller, token);
                asked.fetch_add(1, Relaxed);
                if answer.status != 200 {
                    failed.lock().unwrap().push((*caller, answer));
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
    };
    thread::scope(|scope| {
        for gateway in gateways.iter().flat_map(|gateway| [gateway, gateway]) {
            scope.spawn(|| keep_asking(gateway));
        }
        for _ in 0..3 {
            provider.rotate();
            tokens.lock().unwrap().extend(provider.tokens());
            thread::sleep(NEW_KEY);
        }
        provider.process.signal("KILL");
        provider.process.ended_in_place();
        let before = asked.load(Relaxed);
        thread::sleep(DOWN);
        assert!(asked.load(Relaxed) > before + 500);
        provider = Provider::start(&provider.address);
        tokens.lock().unwrap().extend(provider.tokens());
        thread::sleep(NEW_KEY);
        ended.store(true, Relaxed);
    });
    let (asked, failed) = (asked.into_inner(), failed.into_inner().unwrap());
    println!("{asked} requests with {} tokens", tokens.into_inner().unwrap().len());
    assert!(failed.is_empty(), "{} of {asked}: {:?}", failed.len(), failed.first());
    let last = provider.tokens();
    gateways.iter().for_each(|gateway| rights(gateway, &last));
    started.into_iter().for_each(|(shop, ..)| shop.stop());
}
