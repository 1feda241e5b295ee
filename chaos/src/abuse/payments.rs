//! Payments that fail at once for a minute, while orders are placed; and then are well again.
//!
//! *Failing*: the pretend provider's table has another name, so that each call of `payments` ends with an
//! internal error at once, in both shapes. Each writes one line to the log, and these are counted. *Gone*: the
//! process is not there, and connections to it are refused; no call reaches the bottom then. What reaches it
//! while it is well is counted by triggers on the provider's table.
//!
//! *Calls at the top* are the orders, each of which makes one call of `payments` before its caller is
//! answered. Afterwards each takes what an order takes that is placed while all is well, which is measured
//! first. The two are bounded one by one: an order that waited for payments takes both.

use super::{
    memory::Watch,
    place::{AbusedShop, PRODUCT, Programs, Shape},
    table::Row,
};
use crate::{check::Stored, client::STAFF};
use anyhow::Context as _;
use bytes::Bytes;
use hyper::{Request, header};
use load::http::Pool;
use monolift_manifest::Address;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

const PER_SECOND: u32 = 30;
const MINUTE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(5);
/// How long orders are placed at first, while all is well.
const WELL: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(8);
const CONNECTIONS: usize = 512;
/// Calls at the bottom for each at the top.
const TIMES: f64 = 1.5;
/// All orders are decided within this once payments are well.
const DECIDED: Duration = Duration::from_secs(30);
/// How long what is left of the work is watched after that.
const DRAINED: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

const COUNTING: [&str; 4] = [
    "CREATE TABLE counted_calls (calls INTEGER NOT NULL)",
    "INSERT INTO counted_calls VALUES (0)",
    "CREATE TRIGGER counted_insert BEFORE INSERT ON pretend_provider \
     BEGIN UPDATE counted_calls SET calls = calls + 1; END",
    "CREATE TRIGGER counted_capture BEFORE UPDATE OF taken_cents ON pretend_provider \
     BEGIN UPDATE counted_calls SET calls = calls + 1; END",
];

/// How payments fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    Internal,
    Gone,
}

impl Failing {
    pub(super) const ALL: [Self; 2] = [Self::Internal, Self::Gone];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Internal => "payments-failing",
            Self::Gone => "payments-gone",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Internal => "payments failing at once",
            Self::Gone => "payments refusing connections",
        }
    }

    pub(super) fn shapes(self) -> &'static [Shape] {
        match self {
            Self::Internal => &[Shape::Monolith, Shape::Split],
            Self::Gone => &[Shape::Split],
        }
    }

    async fn begin(self, place: &mut AbusedShop) -> anyhow::Result<()> {
        match self {
            Self::Internal => {
                Database::of(place).run("ALTER TABLE pretend_provider RENAME TO gone").await
            }
            Self::Gone => place.serves("payments")?.kill(),
        }
    }

    async fn end(self, place: &mut AbusedShop) -> anyhow::Result<()> {
        match self {
            Self::Internal => {
                Database::of(place).run("ALTER TABLE gone RENAME TO pretend_provider").await
            }
            Self::Gone => place.serves("payments")?.up(),
        }
    }

    /// Calls at the bottom that have failed so far.
    fn failed_calls(self, place: &mut AbusedShop) -> anyhow::Result<u64> {
        let log = std::fs::read(place.serves("payments")?.log())?;
        let log = String::from_utf8_lossy(&log);
        let failed = log
            .lines()
            .filter(|line| line.contains("internal error") && line.contains("no such table"));
        Ok(failed.count() as u64)
    }
}

pub(super) async fn measure(
    failing: Failing,
    programs: &Programs,
    quick: bool,
) -> anyhow::Result<Row> {
    let lasts = if quick { SHORT } else { MINUTE };
    let mut place = AbusedShop::start(programs).await?;
    let stored = place.stored();
    let counted = Database::of(&place);
    for statement in COUNTING {
        counted.run(statement).await?;
    }
    let (well, _) = orders(place.gateway, Arc::clone(&place.token), WELL).await?;
    settled(&stored, Instant::now() + DECIDED).await?;
    let calls_when_well = counted.calls().await?;
    let each = calls_when_well as f64 / well as f64;

    let mut watch = Watch::begin(&place);
    failing.begin(&mut place).await?;
    let (gateway, token) = (place.gateway, Arc::clone(&place.token));
    let (top, statuses) = watch.during(&mut place, orders(gateway, token, lasts)).await?;
    failing.end(&mut place).await?;
    let returned = Instant::now();
    let (decided, settled) = watch
        .during(&mut place, async {
            let decided = decided(&stored, returned + DECIDED + DRAINED).await?;
            let settled = settled(&stored, returned + DECIDED + DRAINED).await?;
            anyhow::Ok((decided, settled))
        })
        .await?;
    let during = failing.failed_calls(&mut place)?;
    let after = counted.calls().await? - calls_when_well;
    let during_times = during as f64 / top as f64;
    let after_times = after as f64 / (top as f64 * each);
    let took = |at: Option<Instant>| match at {
        Some(at) => format!("{:.1} s", (at - returned).as_secs_f64()),
        None => "not within 60 s".to_owned(),
    };
    let counted_as = match failing {
        Failing::Internal => format!("{during} calls failed at the bottom ({during_times:.2} ×)"),
        Failing::Gone => "no call reached the bottom".to_owned(),
    };
    let statuses: Vec<String> =
        statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
    let requests = format!(
        "{top} orders in {lasts:.0?} ({}); {counted_as}, then {after} went well: {after_times:.2} \
         × the {each:.1} of an order that is placed; all decided after {}, work done after {}",
        statuses.join(", "),
        took(decided),
        took(settled),
    );
    let in_time = decided.is_some_and(|at| at - returned <= DECIDED);
    let memory = watch.end(&mut place, Duration::ZERO).await;
    let memory = memory.first().map(|(process, memory)| format!("{process} {memory}"));
    Ok(Row {
        under: format!("{}, {PER_SECOND} orders a second", failing.title()),
        shape: place.shape.name(),
        requests,
        memory: memory.unwrap_or_default(),
        holds: during_times <= TIMES && after_times <= TIMES && in_time,
    })
}

/// Places orders for so long, whatever becomes of them. The result is how many, and how they ended.
async fn orders(
    gateway: SocketAddr,
    token: Arc<str>,
    lasts: Duration,
) -> anyhow::Result<(u64, BTreeMap<String, u64>)> {
    let pool = Arc::new(Pool::new(Address::Tcp(gateway.to_string()), CONNECTIONS));
    let order = serde_json::json!({
        "user": STAFF,
        "lines": [{ "sku": PRODUCT, "quantity": 1 }],
        "card": "card",
    });
    let order = Bytes::from(order.to_string());
    let mut ticks = interval(Duration::from_secs(1) / PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = JoinSet::new();
    for _ in 0..(lasts.as_secs_f64() * f64::from(PER_SECOND)) as u64 {
        ticks.tick().await;
        let request = Request::post("/orders")
            .header(header::HOST, gateway.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(order.clone())?;
        let pool = Arc::clone(&pool);
        asked.spawn(async move {
            match timeout(PATIENCE, pool.send(request)).await {
                Ok(Ok(answer)) => answer.status().as_u16().to_string(),
                Ok(Err(_)) => "closed".to_owned(),
                Err(_) => "unanswered".to_owned(),
            }
        });
    }
    let count = asked.len() as u64;
    let mut statuses = BTreeMap::new();
    while let Some(status) = asked.join_next().await {
        *statuses.entry(status?).or_default() += 1;
    }
    Ok((count, statuses))
}

/// When all orders were decided, if that is soon enough.
async fn decided(stored: &Stored, by: Instant) -> anyhow::Result<Option<Instant>> {
    while Instant::now() < by {
        if stored.is_decided().await? {
            return Ok(Some(Instant::now()));
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

/// When no work was left, if that is soon enough.
async fn settled(stored: &Stored, by: Instant) -> anyhow::Result<Option<Instant>> {
    while Instant::now() < by {
        if stored.is_settled().await? {
            return Ok(Some(Instant::now()));
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

/// The database of `payments`.
struct Database(PathBuf);

impl Database {
    fn of(place: &AbusedShop) -> Self {
        Self(place.database("payments"))
    }

    async fn connect(&self) -> anyhow::Result<SqliteConnection> {
        let options = SqliteConnectOptions::new().filename(&self.0).busy_timeout(PATIENCE);
        let connected = SqliteConnection::connect_with(&options).await;
        connected.with_context(|| self.0.display().to_string())
    }

    async fn run(&self, sql: &'static str) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Calls that it has counted.
    async fn calls(&self) -> anyhow::Result<u64> {
        let mut connection = self.connect().await?;
        let (calls,): (i64,) =
            sqlx::query_as("SELECT calls FROM counted_calls").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(u64::try_from(calls)?)
    }
}
