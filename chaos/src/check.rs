//! Whether what clients were told, and what is stored in the end, belong together.

use crate::{
    client::PATIENCE,
    traffic::{DECLINED, Done, ON_HAND, PRODUCTS, Seen, Timing, Told},
};
use anyhow::Context as _;
use sqlx::{
    Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions, sqlite::SqliteRow,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A gateway answers by the deadline of its call, which is 5 s, and then it has to be heard.
const DEADLINE: Duration = Duration::from_secs(5);
const HEARD: Duration = Duration::from_secs(1);

/// What the modules have stored.
pub(crate) struct Stored {
    data: PathBuf,
}

/// What is found in the tables, that the checks look at.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tables {
    /// The state and the total of each order.
    pub(crate) orders: BTreeMap<String, (String, i64)>,
    /// What is kept of the card that each of them is paid with.
    pub(crate) cards: Vec<String>,
    /// Units of each product that nobody holds.
    pub(crate) on_hand: BTreeMap<String, u64>,
    /// Units that an order holds.
    pub(crate) held: Vec<(String, String, u64)>,
    /// The state of each order's reservation.
    pub(crate) reserved: BTreeMap<String, String>,
    /// What each order has cost its customer, and whether that can still change.
    pub(crate) paid: BTreeMap<String, (i64, bool)>,
    pub(crate) notified: BTreeSet<String>,
    /// The orders in the read model, and whether each counts as sold there.
    pub(crate) bought: BTreeMap<String, bool>,
    /// Units of each product that were sold, by the read model.
    pub(crate) sold: BTreeMap<String, u64>,
}

impl Stored {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { data: folder.join("data") }
    }

    async fn rows(&self, module: &str, sql: &'static str) -> anyhow::Result<Vec<SqliteRow>> {
        let file = self.data.join(format!("{module}.db"));
        let options = SqliteConnectOptions::new().filename(&file).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .with_context(|| file.display().to_string())?;
        let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    }

    /// Whether no work and no event is left.
    pub(crate) async fn is_settled(&self) -> anyhow::Result<bool> {
        let work = "SELECT name FROM monolift_work WHERE key IS NULL OR key <> 'recurring' \
                    UNION ALL SELECT name FROM monolift_event_offers LIMIT 1";
        Ok(self.rows("orders", work).await?.is_empty() && self.is_decided().await?)
    }

    /// Whether every order is placed, refused or cancelled.
    pub(crate) async fn is_decided(&self) -> anyhow::Result<bool> {
        let placing = "SELECT id FROM orders WHERE state = 'placing' LIMIT 1";
        Ok(self.rows("orders", placing).await?.is_empty())
    }

    pub(crate) async fn tables(&self) -> anyhow::Result<Tables> {
        let mut tables = Tables::default();
        let orders = "SELECT id, state, total_cents, json_extract(request, '$.card') FROM orders";
        for row in self.rows("orders", orders).await? {
            tables.orders.insert(row.get(0), (row.get(1), row.get(2)));
            tables.cards.push(row.get(3));
        }
        for row in self.rows("stock", "SELECT sku, on_hand FROM products").await? {
            tables.on_hand.insert(row.get(0), row.get::<i64, _>(1) as u64);
        }
        for row in self.rows("stock", "SELECT order_id, sku, quantity FROM held").await? {
            tables.held.push((row.get(0), row.get(1), row.get::<i64, _>(2) as u64));
        }
        for row in self.rows("stock", "SELECT order_id, state FROM reservations").await? {
            tables.reserved.insert(row.get(0), row.get(1));
        }
        let provider = "SELECT order_id, taken_cents - returned_cents, is_closed = 0 \
                        FROM pretend_provider";
        for row in self.rows("payments", provider).await? {
            tables.paid.insert(row.get(0), (row.get(1), row.get(2)));
        }
        for row in self.rows("notifications", "SELECT id FROM notifications").await? {
            tables.notified.insert(row.get(0));
        }
        for row in self.rows("reports", "SELECT order_id, cancelled = 0 FROM purchases").await? {
            tables.bought.insert(row.get(0), row.get(1));
        }
        let sold = "SELECT sku, SUM(units) FROM sales GROUP BY sku";
        for row in self.rows("reports", sold).await? {
            tables.sold.insert(row.get(0), row.get::<i64, _>(1) as u64);
        }
        Ok(tables)
    }
}

/// What clients were told that is not so, and what is stored that may not be.
pub(crate) fn violations(seen: &[Seen], tables: &Tables) -> Vec<String> {
    let mut found: Vec<String> = seen.iter().flat_map(|seen| seen.wrong.clone()).collect();
    let done = || seen.iter().flat_map(|seen| &seen.done);
    let cancelled: BTreeMap<&str, &Told> = done()
        .filter_map(|done| match done {
            Done::Cancel { id, told } => Some((id.as_str(), told)),
            _ => None,
        })
        .collect();

    // What was acknowledged is so, and nothing was done that was not asked for.
    for done in done() {
        if let Done::Order { id: Some(id), told: Told::Done } = done {
            let state = tables.orders.get(id).map(|(state, _)| state.as_str());
            let well = match cancelled.get(id.as_str()) {
                Some(Told::Done) => state == Some("cancelled"),
                Some(_) => matches!(state, Some("placed" | "cancelled")),
                None => state == Some("placed"),
            };
            if !well {
                found.push(format!("order {id} was acknowledged and is {state:?}"));
            }
        }
    }
    for done in done() {
        let Done::Restock { sku, digit, told } = done else { continue };
        let times = tables.on_hand.get(sku).map(|sum| (sum >> (2 * digit)) & 3);
        let well = match told {
            Told::Done => times == Some(1),
            Told::Not => times == Some(0),
            Told::Unknown => matches!(times, Some(0 | 1)),
        };
        if !well {
            found.push(format!("{sku} was restocked {times:?} times, and {told:?} was told"));
        }
    }

    // However often a client asks for it under one key, it is one order.
    let mut cards = BTreeSet::new();
    for card in &tables.cards {
        if !DECLINED.ends_with(card.as_str()) && !cards.insert(card) {
            found.push(format!("an order was placed twice: the one with {card}"));
        }
    }

    // Each unit is on the shelf or sold.
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    for (order, sku, quantity) in &tables.held {
        *held.entry(sku.clone()).or_default() += quantity;
        if tables.orders.get(order).is_none_or(|(state, _)| state != "placed") {
            found.push(format!("{quantity} of {sku} are held for {order}, which is not placed"));
        }
    }
    for product in 0..PRODUCTS {
        let sku = format!("k{product}");
        let units = |of: &BTreeMap<String, u64>| of.get(&sku).copied().unwrap_or_default();
        let (sold, held) = (units(&tables.sold), units(&held));
        let sum = units(&tables.on_hand) + held;
        if sum != ON_HAND {
            found.push(format!("of {sku} there are {sum} units, and were {ON_HAND}"));
        }
        if sold != held {
            found.push(format!("of {sku} {held} units are sold, and by the reports {sold}"));
        }
    }

    // Money is taken for orders that are placed, once, and their customers hear of them.
    for (id, (state, total)) in &tables.orders {
        let placed = state == "placed";
        let expected = if placed { *total } else { 0 };
        let (paid, _) = tables.paid.get(id).copied().unwrap_or_default();
        if paid != expected {
            found.push(format!("order {id} is {state}, costs {expected} and {paid} were taken"));
        }
        if placed && tables.reserved.get(id).map(String::as_str) != Some("sold") {
            found.push(format!("order {id} is placed and its units are not sold"));
        }
        let told = |what: &str| tables.notified.contains(&format!("{id}-{what}"));
        // One that was refused may have been placed before.
        let was_placed = state != "refused" || told("refused");
        for (what, due) in [
            ("placed", was_placed),
            ("cancelled", state == "cancelled"),
            ("refused", state == "refused" && was_placed),
        ] {
            if told(what) != due {
                found.push(format!(
                    "order {id} is {state}; of {what} its customer was not told, or wrongly"
                ));
            }
        }
        let bought = tables.bought.get(id).copied();
        if bought != was_placed.then_some(placed) {
            found.push(format!("order {id} is {state}, and by the reports {bought:?}"));
        }
    }
    for (id, (_, open)) in &tables.paid {
        let placed = tables.orders.get(id).is_some_and(|(state, _)| state == "placed");
        if *open != placed {
            found.push(format!(
                "the payment of {id} is open: {open}, and its order placed: {placed}"
            ));
        }
    }
    for id in tables.reserved.iter().filter(|(_, state)| *state == "held").map(|(id, _)| id) {
        found.push(format!("units are still held for {id}"));
    }
    found
}

/// The answers that came too late, but for those of gateways that were stopped in that time; and the time
/// that the last one took of those that count.
pub(crate) fn too_late(
    seen: &[Seen],
    stops: &[(usize, Instant, Instant)],
) -> (Vec<String>, Duration) {
    let mut found = Vec::new();
    let mut longest = Duration::ZERO;
    for timing in seen.iter().flat_map(|seen| &seen.answers) {
        let ended = timing.began + timing.took;
        // A client may have waited for one and then been answered by the other.
        let stopped = stops.iter().any(|(_, from, to)| timing.began < *to && ended > *from);
        let answered = timing.status.is_some();
        let Timing { gateway, took, .. } = timing;
        if *took > PATIENCE + HEARD {
            found.push(format!("nobody heard for {took:?}"));
        } else if stopped {
            // It was stopped, and so were its clocks.
        } else if answered {
            longest = longest.max(*took);
            if *took > DEADLINE + HEARD {
                found.push(format!("gateway {gateway} answered after {took:?}"));
            }
        } else if *took >= PATIENCE {
            // One that was killed would have been missed sooner.
            found.push(format!("gateway {gateway} did not answer"));
        }
    }
    (found, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One order of everything that can be, as it should be.
    fn well() -> (Seen, Tables) {
        let mut tables = Tables::default();
        for (id, state) in [("p", "placed"), ("c", "cancelled"), ("r", "refused")] {
            let total = if state == "refused" { 0 } else { 300 };
            tables.orders.insert(id.to_owned(), (state.to_owned(), total));
        }
        tables.cards = ["card-1", "card-2", DECLINED, DECLINED].map(str::to_owned).into();
        tables.held.push(("p".to_owned(), "k0".to_owned(), 3));
        for product in 0..PRODUCTS {
            let held = if product == 0 { 3 } else { 0 };
            tables.on_hand.insert(format!("k{product}"), ON_HAND - held);
        }
        tables.reserved.insert("p".to_owned(), "sold".to_owned());
        tables.reserved.insert("c".to_owned(), "closed".to_owned());
        tables.paid.insert("p".to_owned(), (300, true));
        tables.paid.insert("c".to_owned(), (0, false));
        tables.notified = ["p-placed", "c-placed", "c-cancelled"].map(str::to_owned).into();
        tables.bought = [("p".to_owned(), true), ("c".to_owned(), false)].into();
        tables.sold.insert("k0".to_owned(), 3);
        // Done, done, unknown and not done.
        tables.on_hand.insert("r1".to_owned(), 0b00_01_01_01);
        let restock = |digit, told| Done::Restock { sku: "r1".to_owned(), digit, told };
        let order = |id: &str| Done::Order { id: Some(id.to_owned()), told: Told::Done };
        let done = vec![
            order("p"),
            order("c"),
            Done::Cancel { id: "c".to_owned(), told: Told::Done },
            restock(0, Told::Done),
            restock(1, Told::Done),
            restock(2, Told::Unknown),
            restock(3, Told::Not),
        ];
        (Seen { done, ..Seen::default() }, tables)
    }

    fn order(tables: &mut Tables, id: &str, state: &str) {
        let (_, total) = tables.orders[id];
        tables.orders.insert(id.to_owned(), (state.to_owned(), total));
    }

    #[test]
    fn what_is_well_is_not_complained_about() {
        let (seen, tables) = well();
        assert_eq!(violations(&[seen], &tables), [""; 0]);
    }

    /// A mistake, and what it is called.
    type Mistake = (fn(&mut Tables), &'static str);

    fn units(tables: &mut Tables, sku: &str, more: i64) {
        let units = tables.on_hand[sku].checked_add_signed(more).unwrap();
        tables.on_hand.insert(sku.to_owned(), units);
    }

    fn paid(tables: &mut Tables, id: &str, cents: i64, open: bool) {
        tables.paid.insert(id.to_owned(), (cents, open));
    }

    fn reserved(tables: &mut Tables, id: &str, state: &str) {
        tables.reserved.insert(id.to_owned(), state.to_owned());
    }

    /// Each mistake that the shop, or what is under it, could make is seen.
    #[test]
    fn every_mistake_is_seen() {
        let mistakes: [Mistake; 19] = [
            (|t| t.orders.retain(|id, _| id != "p"), "was acknowledged and is None"),
            (|t| order(t, "p", "refused"), "was acknowledged and is Some(\"refused\")"),
            (|t| order(t, "c", "placed"), "was acknowledged and is Some(\"placed\")"),
            (|t| t.cards.push("card-1".to_owned()), "placed twice"),
            (|t| units(t, "r1", 1), "was restocked Some(2) times"),
            (|t| units(t, "r1", -4), "was restocked Some(0) times"),
            (|t| units(t, "r1", 16), "was restocked Some(2) times"),
            (|t| units(t, "r1", 64), "and Not was told"),
            (|t| units(t, "k1", -1), "of k1 there are"),
            (|t| t.held.push(("r".to_owned(), "k2".to_owned(), 0)), "which is not placed"),
            (|t| paid(t, "p", 600, true), "600 were taken"),
            (|t| paid(t, "c", 300, false), "costs 0 and 300 were taken"),
            (|t| paid(t, "r", 0, true), "the payment of r is open"),
            (|t| reserved(t, "c", "held"), "still held for c"),
            (|t| t.notified.retain(|id| id != "c-cancelled"), "its customer was not told"),
            (|t| t.notified.extend(["r-refused".to_owned()]), "of placed its customer"),
            (|t| t.bought.retain(|id, _| id != "p"), "order p is placed, and by the reports None"),
            (|t| t.bought.extend([("c".to_owned(), true)]), "by the reports Some(true)"),
            (|t| t.sold.extend([("k0".to_owned(), 6)]), "3 units are sold, and by the reports 6"),
        ];
        for (mistake, called) in mistakes {
            let (seen, mut tables) = well();
            mistake(&mut tables);
            let found = violations(&[seen], &tables);
            assert!(found.iter().any(|found| found.contains(called)), "{called}: {found:?}");
        }
    }

    #[test]
    fn answers_that_come_too_late_are_seen_unless_their_gateway_was_stopped() {
        let began = Instant::now();
        let seen = |secs, status| {
            let took = Duration::from_secs(secs);
            let timing = Timing { gateway: 0, began, took, status };
            [Seen { answers: vec![timing], ..Seen::default() }]
        };
        let stop = [(0, began, began + Duration::from_secs(1))];
        for (secs, status, stops, late) in [
            (5, Some(504), &[][..], false),
            (7, Some(504), &[], true),
            (7, Some(504), &stop, false),
            (3, None, &[], false),
            (8, None, &[], true),
            (8, None, &stop, false),
            (10, None, &[], true),
            (10, None, &stop, true),
        ] {
            let (found, _) = too_late(&seen(secs, status), stops);
            assert_eq!(!found.is_empty(), late, "{secs} s, {status:?}: {found:?}");
        }
    }
}
