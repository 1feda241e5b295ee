//! What clients ask for, and what they were told.

use crate::client::{Answer, Ask, Client, STAFF};
use anyhow::ensure;
use bytes::Bytes;
use load::Random;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

/// Products that are sold.
pub(crate) const PRODUCTS: u64 = 4;
/// Units of each of them at first.
pub(crate) const ON_HAND: u64 = 1_000_000_000;
/// Restocks of a product that nobody buys: each adds a number of units of its own, so that the sum shows
/// how often each was done.
const RESTOCKS: u32 = 15;

/// The card that is declined.
pub(crate) const DECLINED: &str = "decline";

/// How long a client waits after something failed.
const PAUSE: Duration = Duration::from_millis(50);

/// What a client was told of something that it did, as far as the checks want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// It was done.
    Done,
    /// It was not begun, or refused.
    Not,
    /// Nobody knows.
    Unknown,
}

/// What has been done that has to be found again.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    /// An order, under its number, if that was told.
    Order { id: Option<String>, told: Told },
    /// An order that was cancelled.
    Cancel { id: String, told: Told },
    /// A number of units, 4 to the power of `digit`, for this product.
    Restock { sku: String, digit: u32, told: Told },
}

/// What one client has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) done: Vec<Done>,
    pub(crate) answers: Vec<Timing>,
    pub(crate) wrong: Vec<String>,
}

/// How long an answer took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) gateway: usize,
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    /// The status; `None` if there was no answer.
    pub(crate) status: Option<u16>,
}

/// Clients at work.
pub(crate) struct Traffic {
    steering: Arc<Steering>,
    clients: JoinSet<Seen>,
}

impl Traffic {
    /// Makes the products that are sold, and starts so many clients.
    pub(crate) async fn start(
        gateways: &[SocketAddr],
        count: u64,
        random: &mut Random,
    ) -> anyhow::Result<Self> {
        let mut client = Client::of(gateways, 0);
        let token = client.log_in().await?;
        let mut client = client.with_token(Some(Arc::clone(&token)));
        for product in 0..PRODUCTS {
            let answer = client.ask(&add_product(&format!("k{product}"), ON_HAND)).await;
            ensure!(
                answer.response.is_some_and(|(status, _)| status == 201),
                "no product was made"
            );
        }
        let steering = Arc::new(Steering::default());
        let mut clients = JoinSet::new();
        for number in 0..count {
            let (gateways, random) = (gateways.to_vec(), random.fork());
            let token = Arc::clone(&token);
            clients.spawn(run(gateways, token, number, random, Arc::clone(&steering)));
        }
        Ok(Self { steering, clients })
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> u64 {
        self.steering.asked.load(Relaxed)
    }

    /// Has the clients stop, and waits for what they have seen.
    pub(crate) async fn stop(mut self) -> anyhow::Result<Vec<Seen>> {
        self.steering.stop.store(true, Relaxed);
        let mut seen = Vec::new();
        while let Some(client) = self.clients.join_next().await {
            seen.push(client?);
        }
        Ok(seen)
    }
}

/// One client after the storm, at one gateway, which does some of everything; and whether all went well.
pub(crate) async fn in_peace(gateway: SocketAddr, name: &str, random: &mut Random) -> (Seen, bool) {
    let Ok(token) = Client::of(&[gateway], 0).log_in().await else {
        return (Seen::default(), false);
    };
    let mut one = One::new(&[gateway], token, 0, Arc::default());
    for step in 0..8 {
        let name = format!("{name}-{step}");
        one.order(&name, random).await;
        one.look_at_an_order(random).await;
        one.cancel(random).await;
        one.restock(&name).await;
        one.look_at_a_product(random).await;
    }
    let well = |one: &Timing| one.status.is_some_and(|status| status < 500);
    let all_well = one.seen.answers.iter().all(well);
    (one.seen, all_well)
}

fn add_product(sku: &str, on_hand: u64) -> Ask {
    let body =
        format!(r#"{{"sku": "{sku}", "name": "Product", "price": 100, "on_hand": {on_hand}}}"#);
    Ask::post("/products", body)
}

/// Four characters that no other card of this program ends with: the shop keeps no more of a card.
fn card_mark() -> String {
    static CARDS: AtomicU64 = AtomicU64::new(0);
    let number = CARDS.fetch_add(1, Relaxed);
    let digit = |power: u32| char::from_digit((number / 36_u64.pow(power) % 36) as u32, 36);
    (0..4).filter_map(digit).collect()
}

/// How the clients are told to go on.
#[derive(Debug, Default)]
struct Steering {
    asked: AtomicU64,
    stop: AtomicBool,
}

/// One client, until it is told to stop.
async fn run(
    gateways: Vec<SocketAddr>,
    token: Arc<str>,
    number: u64,
    mut random: Random,
    steering: Arc<Steering>,
) -> Seen {
    let mut one = One::new(&gateways, token, number as usize, Arc::clone(&steering));
    let mut step = 0;
    while !steering.stop.load(Relaxed) {
        step += 1;
        let name = format!("{number}-{step}");
        match random.below(100) {
            0..=11 => one.order(&name, &mut random).await,
            12..=13 => one.cancel(&mut random).await,
            14..=43 => one.restock(&name).await,
            44..=64 => one.look_at_an_order(&mut random).await,
            _ => one.look_at_a_product(&mut random).await,
        }
    }
    one.seen
}

struct One {
    client: Client,
    seen: Seen,
    /// Orders that were acknowledged and not cancelled.
    placed: Vec<String>,
    /// The product that is restocked now, and how often it was.
    restocked: Option<(String, u32)>,
    steering: Arc<Steering>,
}

impl One {
    fn new(
        gateways: &[SocketAddr],
        token: Arc<str>,
        first: usize,
        steering: Arc<Steering>,
    ) -> Self {
        let client = Client::of(gateways, first).with_token(Some(token));
        Self { client, seen: Seen::default(), placed: Vec::new(), restocked: None, steering }
    }

    async fn ask(&mut self, ask: &Ask) -> Option<(u16, Bytes)> {
        let Answer { gateway, began, took, response } = self.client.ask(ask).await;
        let status = response.as_ref().map(|(status, _)| *status);
        self.seen.answers.push(Timing { gateway, began, took, status });
        self.steering.asked.fetch_add(1, Relaxed);
        if status.is_none_or(|status| status >= 500) {
            // As one who is told to come back.
            sleep(PAUSE).await;
        }
        response
    }

    async fn look_at_a_product(&mut self, random: &mut Random) {
        let sku = format!("k{}", random.below(PRODUCTS));
        self.look(Ask::get(format!("/products/{sku}/stock")), &[("sku", &sku)]).await;
    }

    /// Reads what is there: an answer has these texts in it.
    async fn look(&mut self, ask: Ask, texts: &[(&str, &str)]) {
        let Some((status, body)) = self.ask(&ask).await else { return };
        let has = |(key, expected): &(&str, &str)| text(&body, key).as_deref() == Some(expected);
        if status < 500 && !(status == 200 && texts.iter().all(has)) {
            self.seen.wrong.push(format!("{}: {status} {body:?}", ask.path));
        }
    }

    /// Asks twice under the same key, as a client would who has no answer.
    async fn order(&mut self, name: &str, random: &mut Random) {
        let product = random.below(PRODUCTS);
        let declined = random.below(7) == 0;
        // Each has a card of its own, by which it is found again, however often it was written down.
        let card = if declined { DECLINED.to_owned() } else { format!("card-{}", card_mark()) };
        let body = format!(
            r#"{{"user": "{STAFF}", "lines": [{{"sku": "k{product}", "quantity": {}}}], "card": "{card}"}}"#,
            1 + random.below(3)
        );
        let key = Some(name.to_owned());
        let ask = Ask { key, ..Ask::post("/orders", body) };
        let mut told = Told::Unknown;
        let mut id = None;
        for _ in 0..2 {
            match self.ask(&ask).await {
                Some((201, body)) => {
                    id = text(&body, "id");
                    told = Told::Done;
                    break;
                }
                Some((status, body)) if status < 500 => {
                    let code = text(&body, "code").unwrap_or_default();
                    if !(declined && code == "declined" || code == "took-too-long") {
                        self.seen.wrong.push(format!("{}: {status} {body:?}", ask.path));
                    }
                    told = Told::Not;
                    break;
                }
                _ => {}
            }
        }
        self.placed.extend(id.clone());
        self.seen.done.push(Done::Order { id, told });
    }

    async fn cancel(&mut self, random: &mut Random) {
        if self.placed.is_empty() {
            return;
        }
        let id = self.placed.swap_remove(random.below(self.placed.len() as u64) as usize);
        let ask = Ask::post(format!("/orders/{id}/cancel"), String::new());
        let told = match self.ask(&ask).await {
            Some((200, _)) => Told::Done,
            Some((status, body)) if status < 500 => {
                self.seen.wrong.push(format!("{}: {status} {body:?}", ask.path));
                Told::Not
            }
            _ => Told::Unknown,
        };
        self.seen.done.push(Done::Cancel { id, told });
    }

    /// What was acknowledged is there whenever there is an answer.
    async fn look_at_an_order(&mut self, random: &mut Random) {
        if self.placed.is_empty() {
            return;
        }
        let id = self.placed[random.below(self.placed.len() as u64) as usize].clone();
        self.look(Ask::get(format!("/orders/{id}")), &[("id", &id), ("state", "placed")]).await;
    }

    /// A method that nobody may call twice.
    async fn restock(&mut self, name: &str) {
        let (sku, digit) = match self.restocked.take() {
            Some((sku, digit)) if digit < RESTOCKS => (sku, digit),
            _ => {
                let sku = format!("r{name}");
                match self.ask(&add_product(&sku, 0)).await {
                    Some((201, _)) => (sku, 0),
                    // Whether it is there is not known: another one then.
                    _ => return,
                }
            }
        };
        let body = format!(r#"{{"quantity": {}}}"#, 4_u64.pow(digit));
        let ask = Ask::post(format!("/products/{sku}/stock"), body);
        let told = match self.ask(&ask).await {
            Some((200, _)) => Told::Done,
            Some((_, body)) if was_not_begun(&body) => Told::Not,
            _ => Told::Unknown,
        };
        self.restocked = Some((sku.clone(), digit + 1));
        self.seen.done.push(Done::Restock { sku, digit, told });
    }
}

/// Whether a problem says that the call behind it was not begun.
fn was_not_begun(body: &[u8]) -> bool {
    let code = text(body, "code");
    code.is_some_and(|code| ["unreachable", "overloaded", "not-running"].contains(&code.as_str()))
}

fn text(body: &[u8], key: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(body.get(key)?.as_str()?.to_owned())
}
