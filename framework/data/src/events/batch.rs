//! A transaction that the effects of several events share.
//!
//! Handlers run at once. One that has come to `Delivery::begin` waits there for its turn, and no transaction is open for
//! it. All that wait when a transaction begins are a *batch* ([`sharing`]). The transaction goes from one handler to the
//! next, and each has it alone. One commit makes all of it last, and the `commit` of a handler returns after that.
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

/// A handler that has kept the transaction for longer keeps others waiting.
const SLOW: Duration = Duration::from_millis(50);
/// For how long the events of such a handler have transactions of their own.
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
    /// Where handlers wait, and what gives them their turns.
    pub(super) fn of(db: &Db<D>) -> (Self, impl Future<Output = ()> + Send + use<D>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { db: db.clone(), waiting: sender }, Sharing::new(db.clone(), receiver).run())
    }

    /// Whether they are of this database.
    fn are_of(&self, db: &Db<D>) -> bool {
        self.db.writer_line.is_same(&db.writer_line)
    }
}

/// How handlers of one type of event behave, as far as others are concerned.
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

    /// A handler has kept a shared transaction for this long.
    fn learn(&self, kept: Duration) {
        if kept > SLOW {
            *self.alone_until() = Some(Instant::now() + ALONE);
        }
    }
}

/// A handler that has come to `begin`.
struct Waiting<D: ModuleDatabase> {
    slip: Slip,
    habit: Arc<Habit>,
    answer: oneshot::Sender<Answer<D>>,
}

/// What a handler is told that waits.
enum Answer<D: ModuleDatabase> {
    /// The transaction is the handler's.
    Turn(Turn<D>),
    /// One before it of its key has to be handled first.
    TooEarly,
    /// It needs a transaction of its own.
    Alone,
    /// No transaction could be begun.
    Failed(Arc<sqlx::Error>),
}

/// The right to the transaction of a batch. One that is dropped unused goes to the next member.
struct Turn<D: ModuleDatabase> {
    kept: Option<Kept<D>>,
    /// Whether the failure of one member is that of all.
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

/// What a handler has made of its turn.
enum Effect {
    /// Nothing.
    None,
    /// What it has done is to be undone.
    Undone,
    /// It is to be told when its effect is committed.
    Done(oneshot::Sender<Result<(), NotCommitted>>),
}

impl<D: ModuleDatabase> Drop for Turn<D> {
    fn drop(&mut self) {
        if let Some(Kept { open, back }) = self.kept.take() {
            // Without the batch it is rolled back.
            drop(back.send((open, Effect::None)));
        }
    }
}

/// The effect of an event was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NotCommitted {
    /// Another event of an undivided batch may be the reason.
    #[error("an event failed that shared its transaction: it is delivered again at once")]
    Broken,
    /// The transaction was not begun, or not committed.
    #[error("the transaction that it shares with other events failed")]
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

/// Where the transaction of an event goes when the handler is done with it.
pub(super) struct Seat<D: Database> {
    pub(super) owner: Box<dyn Owner<D>>,
    /// Whether what is undone has others undone.
    pub(super) undivided: bool,
}

/// What ends the transaction of an event.
pub(super) trait Owner<D: Database>: Send + Sync {
    /// The handler is done with it.
    fn commit(self: Box<Self>, tx: Tx<'_, D>) -> BoxFuture<'static, Result<(), NotCommitted>>;

    /// What the handler has done is to be undone. That goes on if the future is dropped.
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
                // There are no batches any more while the process stops.
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
