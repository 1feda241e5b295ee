//! An event as its listener gets it, and the transaction of its effect.

use super::{
    batch::{Batches, Entered, Habit, NotCommitted, Seat, enter},
    heard::{Failure, Parked, Start},
    inbox::Slip,
};
use crate::{Db, ModuleDatabase, Tx, work::Retry};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use monolift_call::Event;
use sqlx::{Any, Database};
use std::{
    any::Any as AnyType,
    fmt,
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::Duration,
};

/// How events of a type are handled: implemented by the module that listens, which lists the type as
/// `#[module(…, on = [OrderPlaced])]`.
#[async_trait]
pub trait On<E: Event>: Send + Sync + 'static {
    /// Where the module begins when it is added as a listener.
    const START: Start = Start::First;
    /// How an event is tried again.
    const RETRY: Retry = Retry::DEFAULT;
    /// What becomes of later events of a key while one is parked.
    const PARKED: Parked = Parked::KeyWaits;
    /// How long one attempt may take.
    const DEADLINE: Duration = Duration::from_secs(60);

    /// Handles an event. It may be delivered more than once: [`Delivery::begin`] tells. An error has it tried again.
    async fn on(&self, event: Delivery<E>) -> Result<(), Failure>;
}

/// An event, as its listener gets it. It derefs to the event.
///
/// ```
/// # use monolift_data::{Db, events::{Delivery, Event}}; use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct OrderPlaced { user: String }
/// # impl Event for OrderPlaced { const MODULE: &'static str = "orders"; const NAME: &'static str = "order-placed"; }
/// # async fn on(db: &Db, event: Delivery<OrderPlaced>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// // Calls of other modules come first, while no transaction is open.
/// let Some(mut tx) = event.begin(db).await? else { return Ok(()) }; // it was handled before
/// sqlx::query("INSERT INTO mails (recipient) VALUES ($1)").bind(&event.user).execute(&mut **tx).await?;
/// Ok(tx.commit().await?)
/// # }
/// ```
pub struct Delivery<E> {
    event: E,
    slip: Slip,
    state: Arc<State>,
    attempt: u32,
}

impl<E: fmt::Debug> fmt::Debug for Delivery<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("event", &self.event).finish_non_exhaustive()
    }
}

impl<E> Deref for Delivery<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.event
    }
}

/// The event was delivered before an earlier event of its key was handled. It is delivered again after that one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an earlier event of the same key has to be handled first")]
pub(super) struct TooEarly;

impl<E> Delivery<E> {
    pub(super) fn new(event: E, slip: Slip, state: Arc<State>, attempt: u32) -> Self {
        Self { event, slip, state, attempt }
    }

    /// The number of the event, the same in each delivery of it.
    pub fn id(&self) -> &str {
        &self.slip.event
    }

    /// The build of the read model that the effect belongs to, for a module with a
    /// [`ReadModel`](super::ReadModel). It stands in the column `monolift_build` of each row.
    pub fn build(&self) -> i64 {
        self.slip.build
    }

    /// The number of the attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Begins the transaction of the effect, in the module's own database, and notes the event there as handled. `None` if
    /// it was handled before: then nothing is left to do.
    ///
    /// If the module handles an event without this, the event is noted when [`On::on`] has ended. What it did can then
    /// happen again after a crash.
    ///
    /// Events that wait here at one moment share a transaction. Each has it for itself until [`EventTx::commit`], which
    /// returns when all of it is committed. If an event fails, the others can be delivered a second time.
    pub async fn begin<'a, D: ModuleDatabase>(
        &self,
        db: &'a Db<D>,
    ) -> Result<Option<EventTx<'a, D>>, sqlx::Error> {
        let entered = self.state.enter(db, &self.slip, self.attempt).await?;
        if entered.is_none() && self.state.get() == Stage::TooEarly {
            return Err(sqlx::Error::Configuration(TooEarly.into()));
        }
        Ok(entered)
    }
}

/// How far the handling of an event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its transaction has not begun.
    Waiting,
    /// Its transaction has begun and is not committed.
    Begun,
    /// It is noted as handled.
    Done,
    /// An earlier event of its key has to be handled first.
    TooEarly,
    /// Its undivided batch was rolled back, perhaps because of another member. This attempt does not count.
    Broken,
}

/// The stage that a delivery has reached, and with whom it may share a transaction.
#[derive(Debug)]
pub(super) struct State {
    stage: AtomicU8,
    /// [`Batches`] of the listener's database.
    batches: Arc<dyn AnyType + Send + Sync>,
    habit: Arc<Habit>,
}

impl State {
    const STAGES: [Stage; 5] =
        [Stage::Waiting, Stage::Begun, Stage::Done, Stage::TooEarly, Stage::Broken];

    pub(super) fn new<D: ModuleDatabase>(batches: Arc<Batches<D>>, habit: Arc<Habit>) -> Self {
        Self { stage: AtomicU8::default(), batches, habit }
    }

    fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, SeqCst);
    }

    pub(super) fn get(&self) -> Stage {
        Self::STAGES[usize::from(self.stage.load(SeqCst))]
    }

    /// Begins the transaction of an event. `None` if the event was handled before, or comes too early.
    pub(super) async fn enter<'a, D: ModuleDatabase>(
        self: &Arc<Self>,
        db: &'a Db<D>,
        slip: &Slip,
        attempt: u32,
    ) -> Result<Option<EventTx<'a, D>>, sqlx::Error> {
        // An event that failed may fail again, even at the commit (a deferred constraint), which would fail its whole batch.
        let shares = attempt <= 1 && self.habit.shares();
        let batches = self.batches.downcast_ref::<Batches<D>>().filter(|_| shares);
        let batch = batches.map(|batches| (batches, &self.habit));
        match enter(db, slip, batch).await? {
            Entered::New(tx, seat) => {
                self.set(Stage::Begun);
                let state = Arc::clone(self);
                Ok(Some(EventTx { open: Some((tx, seat)), state }))
            }
            Entered::Seen => {
                self.set(Stage::Done);
                Ok(None)
            }
            Entered::TooEarly => {
                self.set(Stage::TooEarly);
                Ok(None)
            }
        }
    }
}

/// The transaction of an event's effect: a [`Tx`], which `&mut **tx` reaches as a connection and `&mut tx` passes on.
///
/// One that is dropped before its commit is rolled back, and the event is delivered again.
pub struct EventTx<'a, D: Database = Any> {
    /// Until it ends.
    open: Option<(Tx<'a, D>, Seat<D>)>,
    state: Arc<State>,
}

const OPEN: &str = "it is taken out only by what ends it";

impl<D: Database> EventTx<'_, D> {
    /// Makes the effect last, together with the note that the event was handled.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        let (tx, seat) = self.open.take().expect(OPEN);
        let committed = seat.owner.commit(tx).await;
        match committed {
            Ok(()) => self.state.set(Stage::Done),
            Err(NotCommitted::Broken) => self.state.set(Stage::Broken),
            Err(_) => {}
        }
        Ok(committed?)
    }

    /// Undoes the effect. The event is delivered again.
    pub async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.undo().expect(OPEN).await
    }

    fn undo(&mut self) -> Option<BoxFuture<'static, Result<(), sqlx::Error>>> {
        let (tx, seat) = self.open.take()?;
        if seat.undivided {
            self.state.set(Stage::Broken);
        }
        Some(seat.owner.undo(tx))
    }
}

impl<D: Database> Drop for EventTx<'_, D> {
    fn drop(&mut self) {
        drop(self.undo());
    }
}

impl<'a, D: Database> Deref for EventTx<'a, D> {
    type Target = Tx<'a, D>;

    fn deref(&self) -> &Tx<'a, D> {
        &self.open.as_ref().expect(OPEN).0
    }
}

impl<D: Database> DerefMut for EventTx<'_, D> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.open.as_mut().expect(OPEN).0
    }
}

impl<D: Database> fmt::Debug for EventTx<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventTx")
    }
}
