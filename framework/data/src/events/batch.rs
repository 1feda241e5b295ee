//! A transaction that the effects of several events share.
//!
//! Handlers run concurrently. A handler that calls `Delivery::begin` waits there for its turn, without a transaction. All
//! handlers that wait when a transaction begins form a *batch* ([`sharing`]). The transaction passes from handler to
//! handler, and one handler uses it at a time. One commit ends the batch. `EventTx::commit` returns after that commit.
//!
//! So no call to another module is made while the transaction is open: handlers make their calls before `begin`.

mod sharing;

use self::sharing::Sharing;
use super::inbox::{Entry, Slip};
use crate::{
    Backend, Db, ModuleDatabase,
    begun::Begun,
    call::{local::CUT, planted},
    line::Places,
    tx::{self, Tx},
};
use futures_util::future::{BoxFuture, ready};
use sqlx::Database;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// A handler that holds a shared transaction for longer is slow: it delays the rest of its batch.
const SLOW: Duration = Duration::from_millis(50);
/// How long the events of a slow handler have transactions of their own.
const ALONE: Duration = Duration::from_secs(60);

/// Where handlers wait for their turns.
pub(super) struct Batches<D: ModuleDatabase> {
    db: Db<D>,
    waiting: mpsc::UnboundedSender<Waiting<D>>,
}

impl<D: ModuleDatabase> fmt::Debug for Batches<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Batches")
    }
}

impl<D: ModuleDatabase> Batches<D> {
    /// The queue of waiting handlers, and the task that gives them their turns.
    pub(super) fn of(db: &Db<D>) -> (Self, impl Future<Output = ()> + Send + use<D>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { db: db.clone(), waiting: sender }, Sharing::new(db.clone(), receiver).run())
    }

    /// Whether these batches use the database `db`.
    fn are_of(&self, db: &Db<D>) -> bool {
        self.db.writer_line.is_same(&db.writer_line)
    }
}

/// Whether the handler of one type of event is slow, and so may not share transactions.
#[derive(Debug, Default)]
pub(super) struct Habit(Mutex<Option<Instant>>);

impl Habit {
    fn alone_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether events of this type share transactions.
    pub(super) fn shares(&self) -> bool {
        self.alone_until().is_none_or(|until| until <= Instant::now())
    }

    /// Records how long a handler held a shared transaction.
    fn learn(&self, kept: Duration) {
        if kept > SLOW {
            *self.alone_until() = Some(Instant::now() + ALONE);
        }
    }
}

/// A handler that waits in `Delivery::begin`.
struct Waiting<D: ModuleDatabase> {
    slip: Slip,
    habit: Arc<Habit>,
    answer: oneshot::Sender<Answer<D>>,
}

/// The answer to a handler that waits.
enum Answer<D: ModuleDatabase> {
    /// The transaction is the handler's.
    Turn(Turn<D>),
    /// An earlier event of the same key has to be handled first.
    TooEarly,
    /// The event needs a transaction of its own.
    Alone,
    /// No transaction could be begun.
    Failed(Arc<sqlx::Error>),
}

/// The right to use the transaction of a batch. If a turn is dropped unused, the next member gets the transaction.
struct Turn<D: ModuleDatabase> {
    kept: Option<Kept<D>>,
    /// Whether the failure of one member rolls back all members.
    undivided: bool,
}

struct Kept<D: ModuleDatabase> {
    open: Open<D>,
    back: oneshot::Sender<(Open<D>, Effect)>,
}

/// A transaction that is open.
struct Open<D: ModuleDatabase> {
    begun: Begun<D>,
    places: Places,
}

/// How a handler ended its turn.
enum Effect {
    /// It did not use the transaction.
    None,
    /// Its effect has to be rolled back.
    Undone,
    /// Its effect is ready to commit. The sender reports the result of the commit.
    Done(oneshot::Sender<Result<(), NotCommitted>>),
}

impl<D: ModuleDatabase> Drop for Turn<D> {
    fn drop(&mut self) {
        if let Some(Kept { open, back }) = self.kept.take() {
            // If the batch is gone, dropping the transaction rolls it back.
            drop(back.send((open, Effect::None)));
        }
    }
}

/// The effect of an event was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NotCommitted {
    /// Another event of an undivided batch may be the reason.
    #[error("another event of the same transaction failed: this event is delivered again at once")]
    Broken,
    /// The transaction was not begun, or not committed.
    #[error("the transaction shared with other events failed")]
    Shared(#[source] Arc<sqlx::Error>),
    /// The event's own transaction was not committed.
    #[error(transparent)]
    Own(Arc<sqlx::Error>),
}

impl NotCommitted {
    fn own(error: sqlx::Error) -> Self {
        Self::Own(Arc::new(error))
    }
}

impl From<sqlx::Error> for NotCommitted {
    fn from(error: sqlx::Error) -> Self {
        Self::Shared(Arc::new(error))
    }
}

impl From<NotCommitted> for sqlx::Error {
    fn from(error: NotCommitted) -> Self {
        match error {
            NotCommitted::Own(error) => Arc::try_unwrap(error)
                .unwrap_or_else(|error| Self::Configuration(NotCommitted::Own(error).into())),
            other => Self::Configuration(other.into()),
        }
    }
}

/// How an event enters its transaction.
pub(super) enum Entered<'a, D: ModuleDatabase> {
    New(Tx<'a, D>, Seat<D>),
    Seen,
    TooEarly,
}

/// Who ends the transaction of an event after its handler.
pub(super) struct Seat<D: Database> {
    pub(super) owner: Box<dyn Owner<D>>,
    /// Whether a rollback of this event rolls back the other members, too.
    pub(super) undivided: bool,
}

/// What ends the transaction of an event.
pub(super) trait Owner<D: Database>: Send + Sync {
    /// Commits the effect of the handler.
    fn commit(self: Box<Self>, tx: Tx<'_, D>) -> BoxFuture<'static, Result<(), NotCommitted>>;

    /// Rolls back the effect of the handler. The rollback happens even if the future is dropped.
    fn undo(self: Box<Self>, tx: Tx<'_, D>) -> BoxFuture<'static, Result<(), sqlx::Error>>;
}

/// The transaction is the event's own.
struct Own(Backend);

impl<D: ModuleDatabase> Owner<D> for Own {
    fn commit(self: Box<Self>, tx: Tx<'_, D>) -> BoxFuture<'static, Result<(), NotCommitted>> {
        let (mut begun, places, is_cut) = tx.handed_over();
        let commit = async move {
            if is_cut {
                begun.rollback().await?;
                return Err(sqlx::Error::InvalidArgument(CUT.to_owned()));
            }
            if self.0 == Backend::Postgres {
                // After a statement that failed, the server rolls back, and sqlx says that it has committed.
                D::run(begun.connection_mut(), "SELECT 1".into()).await?;
            }
            begun.commit().await?;
            drop(places);
            Ok(())
        };
        Box::pin(async move { commit.await.map_err(NotCommitted::own) })
    }

    fn undo(self: Box<Self>, tx: Tx<'_, D>) -> BoxFuture<'static, Result<(), sqlx::Error>> {
        let (begun, places, _) = tx.handed_over();
        Box::pin(async move {
            begun.rollback().await?;
            drop(places);
            Ok(())
        })
    }
}

/// The transaction is that of a batch.
struct Shared<D: ModuleDatabase>(oneshot::Sender<(Open<D>, Effect)>);

impl<D: ModuleDatabase> Owner<D> for Shared<D> {
    fn commit(self: Box<Self>, tx: Tx<'_, D>) -> BoxFuture<'static, Result<(), NotCommitted>> {
        let (begun, places, is_cut) = tx.handed_over();
        let (told, committed) = oneshot::channel();
        let effect = if is_cut { Effect::Undone } else { Effect::Done(told) };
        let sent = self.0.send((Open { begun, places }, effect)).is_ok();
        Box::pin(async move {
            if is_cut {
                return Err(NotCommitted::own(sqlx::Error::InvalidArgument(CUT.to_owned())));
            }
            match committed.await {
                Ok(committed) if sent => committed,
                // The process stops. Whether it was committed is not known.
                _ => Err(NotCommitted::own(sqlx::Error::WorkerCrashed)),
            }
        })
    }

    fn undo(self: Box<Self>, tx: Tx<'_, D>) -> BoxFuture<'static, Result<(), sqlx::Error>> {
        let (begun, places, _) = tx.handed_over();
        drop(self.0.send((Open { begun, places }, Effect::Undone)));
        Box::pin(ready(Ok(())))
    }
}

/// Begins the transaction of an event, alone or as a member of a batch, and asks the inbox about it.
pub(super) async fn enter<'a, D: ModuleDatabase>(
    db: &'a Db<D>,
    slip: &Slip,
    batch: Option<(&Batches<D>, &Arc<Habit>)>,
) -> Result<Entered<'a, D>, sqlx::Error> {
    let batch = batch.filter(|(batches, _)| batches.are_of(db) && !planted!("inbox-apart"));
    if let Some((batches, habit)) = batch {
        tx::ask()?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { slip: slip.clone(), habit: Arc::clone(habit), answer };
        if batches.waiting.send(waiting).is_ok() {
            match answered.await {
                Ok(Answer::Turn(turn)) => return turn.begin(db.strict),
                Ok(Answer::TooEarly) => return Ok(Entered::TooEarly),
                Ok(Answer::Failed(error)) => return Err(NotCommitted::Shared(error).into()),
                // While the process stops, batches end. The event uses a transaction of its own.
                Ok(Answer::Alone) | Err(_) => {}
            }
        }
    }
    let mut tx = db.write().await?;
    let entry = slip.enter::<D>(db.backend(), &mut tx).await?;
    if planted!("inbox-apart") {
        tx.commit().await?;
        tx = db.write().await?;
    }
    if entry == Entry::New {
        let seat = Seat { owner: Box::new(Own(db.backend())), undivided: false };
        return Ok(Entered::New(tx, seat));
    }
    tx.rollback().await?;
    Ok(if entry == Entry::Seen { Entered::Seen } else { Entered::TooEarly })
}

impl<D: ModuleDatabase> Turn<D> {
    fn begin<'a>(mut self, strict: bool) -> Result<Entered<'a, D>, sqlx::Error> {
        let Some(Kept { open: Open { begun, places }, back }) = self.kept.take() else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        let seat = Seat { owner: Box::new(Shared(back)), undivided: self.undivided };
        Ok(Entered::New(Tx::taken_over(begun, places, strict), seat))
    }
}
