//! An event now and then, while nothing else happens: from its commit to the commit of its effect, in one process and
//! between two.

use super::{EFFECTS, Server, by_hand::effect, text_of};
use async_trait::async_trait;
use monolift::{
    Db, Delivery, Events, Failure, On, StartError,
    data::events::{Event, Heard},
    link::Links,
    module::{Inject, Injector, Module, ModuleFacts},
    testing::{Mode, RunningSystem, System},
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::timeout};

/// How long an effect may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something that happens now and then.
#[derive(Serialize, Deserialize)]
struct Ticked {
    item: i64,
    text: String,
}

impl Event for Ticked {
    const MODULE: &'static str = "clock";
    const NAME: &'static str = "ticked";

    fn key(&self) -> Option<String> {
        Some((self.item % 10).to_string())
    }
}

/// Who is told of effects: there is one measurement at a time.
static TOLD: Mutex<Option<mpsc::UnboundedSender<Instant>>> = Mutex::new(None);
/// What the clock publishes with.
static CLOCK: Mutex<Option<(Db, Events)>> = Mutex::new(None);

struct Clock;

impl Module for Clock {
    fn facts() -> &'static ModuleFacts {
        static FACTS: ModuleFacts = ModuleFacts {
            name: "clock",
            package: "bench",
            calls: &[],
            provides: &[],
            needs: &[("db", <Db as Inject>::need), ("events", <Events as Inject>::need)],
            migrations: &[],
            work: &[],
            on: &[],
            routes: false,
        };
        &FACTS
    }

    async fn inject(injector: Injector) -> Result<Self, StartError> {
        let own = (injector.field("db").await?, injector.field("events").await?);
        *CLOCK.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        Ok(Self)
    }

    fn publish(_: &Arc<Self>, _: &Links) {}
}

struct Listening {
    db: Db,
}

impl Module for Listening {
    fn facts() -> &'static ModuleFacts {
        static FACTS: ModuleFacts = ModuleFacts {
            name: "listening",
            package: "bench",
            calls: &["clock"],
            provides: &[],
            needs: &[("db", <Db as Inject>::need)],
            migrations: &[("0001_effects.sql", EFFECTS)],
            work: &[],
            on: &[("clock", "ticked")],
            routes: false,
        };
        &FACTS
    }

    async fn inject(injector: Injector) -> Result<Self, StartError> {
        Ok(Self { db: injector.field("db").await? })
    }

    fn publish(_: &Arc<Self>, _: &Links) {}

    fn on(this: &Arc<Self>) -> Vec<Heard> {
        vec![Heard::of::<Ticked, Self>(this)]
    }
}

#[async_trait]
impl On<Ticked> for Listening {
    async fn on(&self, event: Delivery<Ticked>) -> Result<(), Failure> {
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        effect(&mut tx, event.item, 0, &event.text).await?;
        tx.commit().await?;
        let at = Instant::now();
        if let Some(told) = &*TOLD.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = told.send(at);
        }
        Ok(())
    }
}

/// Two modules that are at rest.
pub struct Idle {
    system: RunningSystem,
    db: Db,
    events: Events,
    effects: mpsc::UnboundedReceiver<Instant>,
}

impl Idle {
    /// In one process or, over a connection, in two.
    pub async fn start(server: &Server<'_>, name: &str, mode: Mode) -> anyhow::Result<Self> {
        let (url, listener) =
            (server.url(&format!("{name}_clock"))?, server.url(&format!("{name}_listening"))?);
        let system = System::new(mode)
            .module::<Clock>()
            .module::<Listening>()
            .settings("clock", [("db", std::collections::BTreeMap::from([("url", url)]))])
            .settings("listening", [("db", std::collections::BTreeMap::from([("url", listener)]))])
            .start()
            .await;
        let own = CLOCK.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (db, events) = own.ok_or_else(|| anyhow::anyhow!("the clock has not started"))?;
        let (told, effects) = mpsc::unbounded_channel();
        *TOLD.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        Ok(Self { system, db, events, effects })
    }

    /// Publishes one event, and says how long after its commit its effect is committed.
    pub async fn tick(&mut self, item: i64) -> anyhow::Result<Duration> {
        let mut tx = self.db.write().await?;
        let text = text_of(0);
        self.events.publish(&mut tx, &Ticked { item, text }).await?;
        tx.commit().await?;
        let committed = Instant::now();
        let effect = timeout(PATIENCE, self.effects.recv()).await?;
        let effect = effect.ok_or_else(|| anyhow::anyhow!("nothing tells of effects"))?;
        Ok(effect.saturating_duration_since(committed))
    }

    /// Ends it.
    pub async fn stop(self) {
        self.system.stop().await;
    }
}
