//! A transaction that the effects of several events share.
//!
//! Handlers run at once. One that has come to `Delivery::begin` waits there for its turn, and no transaction is open for
//! it. All that wait when a transaction begins are a *batch*. The inbox is asked for all of them in one statement. Then the
//! transaction goes from one handler to the next. Each has it alone, behind a savepoint, so a handler that fails undoes its
//! own effect and no other one's. At the end one statement notes all events as handled, and one commit makes all of it last.
//!
//! So no call to another module is made while the transaction is open: handlers make their calls before `begin`. The
//! `commit` of a handler returns when the batch is committed.
//!
//! A batch of one needs no savepoint: it is what a transaction without batches would be.

use super::{
    inbox::{self, Entry, Slip, Standing},
    statements::LIST,
};
use crate::{
    Db, ModuleDatabase,
    begun::Begun,
    call::planted,
    line::Places,
    tx::{self, Tx, begin_in_turn},
};
use sqlx::Database;
use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::Instant,
};

/// The most events of a batch. PostgreSQL keeps up to 64 subtransactions of a transaction at hand.
const MOST: usize = 32;
/// A batch that has been open for longer does not go on to further members: they are in the next one.
const OPEN: Duration = Duration::from_millis(100);
/// A handler that has kept the transaction for longer keeps others waiting.
const SLOW: Duration = Duration::from_millis(50);
/// For how long the events of such a handler have transactions of their own.
const ALONE: Duration = Duration::from_secs(60);

const _: () = assert!(MOST <= LIST, "the inbox is asked with one list");

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

/// The right to the transaction of a batch. It is given back when it is dropped.
pub(super) struct Turn<D: ModuleDatabase> {
    kept: Option<Kept<D>>,
    /// Whether the inbox is still to be asked.
    asks: bool,
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
    /// What it has done is to be undone.
    Undone,
    /// It is to be told when its effect is committed.
    Done(oneshot::Sender<Result<(), Arc<sqlx::Error>>>),
}

impl<D: ModuleDatabase> Drop for Turn<D> {
    fn drop(&mut self) {
        if let Some(Kept { open, back }) = self.kept.take() {
            // Without the batch it is rolled back.
            drop(back.send((open, Effect::Undone)));
        }
    }
}

/// The transaction that an event shares was not committed, or not begun.
#[derive(Debug, thiserror::Error)]
#[error("the transaction that it shares with other events failed")]
struct SharedFailed(#[source] Arc<sqlx::Error>);

fn shared_failed(error: Arc<sqlx::Error>) -> sqlx::Error {
    sqlx::Error::Configuration(SharedFailed(error).into())
}

/// How an event enters its transaction.
pub(super) enum Entered<'a, D: ModuleDatabase> {
    New(Tx<'a, D>, Seat<D>),
    Seen,
    TooEarly,
}

/// Where the transaction of an event goes when it ends.
pub(super) enum Seat<D: Database> {
    /// It is the event's own.
    Own,
    /// To the next member of the batch.
    Shared(Box<dyn HandBack<D>>),
}

/// Takes the transaction of a batch back.
pub(super) trait HandBack<D: Database>: Send + Sync {
    /// The handler is done with it. Resolves when the batch is committed.
    fn commit(self: Box<Self>, tx: Tx<'_, D>) -> Committing;

    /// What the handler has done is to be undone.
    fn undo(self: Box<Self>, tx: Tx<'_, D>);
}

type Committing = futures_util::future::BoxFuture<'static, Result<(), sqlx::Error>>;

struct Returning<D: ModuleDatabase>(oneshot::Sender<(Open<D>, Effect)>);

impl<D: ModuleDatabase> HandBack<D> for Returning<D> {
    fn commit(self: Box<Self>, tx: Tx<'_, D>) -> Committing {
        let (begun, places, is_cut) = tx.handed_over();
        let (told, committed) = oneshot::channel();
        let effect = if is_cut { Effect::Undone } else { Effect::Done(told) };
        let sent = self.0.send((Open { begun, places }, effect)).is_ok();
        Box::pin(async move {
            if is_cut {
                return Err(sqlx::Error::InvalidArgument(crate::call::local::CUT.to_owned()));
            }
            match committed.await {
                Ok(Ok(())) if sent => Ok(()),
                Ok(Err(error)) => Err(shared_failed(error)),
                // The process stops. Whether it was committed is not known.
                _ => Err(sqlx::Error::WorkerCrashed),
            }
        })
    }

    fn undo(self: Box<Self>, tx: Tx<'_, D>) {
        let (begun, places, _) = tx.handed_over();
        drop(self.0.send((Open { begun, places }, Effect::Undone)));
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
                Ok(Answer::Turn(turn)) => return turn.begin(db, slip).await,
                Ok(Answer::TooEarly) => return Ok(Entered::TooEarly),
                Ok(Answer::Failed(error)) => return Err(shared_failed(error)),
                // There are no batches any more while the process stops.
                Ok(Answer::Alone) | Err(_) => {}
            }
        }
    }
    let mut tx = db.write().await?;
    if planted!("inbox-apart") {
        let entry = slip.enter::<D>(db.backend(), &mut tx).await?;
        tx.commit().await?;
        return Ok(match entry {
            Entry::New => Entered::New(db.write().await?, Seat::Own),
            Entry::Seen => Entered::Seen,
            Entry::TooEarly => Entered::TooEarly,
        });
    }
    match slip.enter::<D>(db.backend(), &mut tx).await? {
        Entry::New => Ok(Entered::New(tx, Seat::Own)),
        entry => {
            tx.rollback().await?;
            Ok(if entry == Entry::Seen { Entered::Seen } else { Entered::TooEarly })
        }
    }
}

impl<D: ModuleDatabase> Turn<D> {
    async fn begin<'a>(
        mut self,
        db: &'a Db<D>,
        slip: &Slip,
    ) -> Result<Entered<'a, D>, sqlx::Error> {
        if self.asks
            && let Some(kept) = &mut self.kept
        {
            match slip.enter::<D>(db.backend, kept.open.begun.connection_mut()).await? {
                Entry::New => {}
                Entry::Seen => return Ok(Entered::Seen),
                Entry::TooEarly => return Ok(Entered::TooEarly),
            }
        }
        let Some(Kept { open: Open { begun, places }, back }) = self.kept.take() else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        let seat = Seat::Shared(Box::new(Returning(back)));
        Ok(Entered::New(Tx::taken_over(begun, places, db.strict), seat))
    }
}

impl<D: ModuleDatabase> Batches<D> {
    /// Where handlers wait, and what gives them their turns.
    pub(super) fn of(db: &Db<D>) -> (Self, impl Future<Output = ()> + Send + use<D>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let sharing = Sharing { db: db.clone(), receiver, waiting: VecDeque::new() };
        (Self { db: db.clone(), waiting: sender }, sharing.run())
    }

    /// Whether they are of this database.
    fn are_of(&self, db: &Db<D>) -> bool {
        self.db.writer_line.is_same(&db.writer_line)
    }
}

/// Makes batches of those who wait, one after another.
struct Sharing<D: ModuleDatabase> {
    db: Db<D>,
    receiver: mpsc::UnboundedReceiver<Waiting<D>>,
    waiting: VecDeque<Waiting<D>>,
}

/// A member of a batch whose effect is there and not committed.
struct Done {
    slip: Slip,
    committed: oneshot::Sender<Result<(), Arc<sqlx::Error>>>,
}

const SAVEPOINT: &str = "SAVEPOINT monolift_event";
const RELEASE: &str = "RELEASE SAVEPOINT monolift_event";
const RELEASE_AND_SAVEPOINT: &str = "RELEASE SAVEPOINT monolift_event; SAVEPOINT monolift_event";
const BACK: &str = "ROLLBACK TO SAVEPOINT monolift_event";

impl<D: ModuleDatabase> Sharing<D> {
    async fn run(mut self) {
        loop {
            if self.waiting.is_empty() {
                let Some(first) = self.receiver.recv().await else { return };
                self.waiting.push_back(first);
                // Others that are ready come along.
                yield_now().await;
            }
            while let Ok(more) = self.receiver.try_recv() {
                self.waiting.push_back(more);
            }
            let members = self.members();
            self.share(members).await;
        }
    }

    /// The members of the next batch: each of another key.
    fn members(&mut self) -> VecDeque<Waiting<D>> {
        let (mut members, mut later) = (VecDeque::new(), VecDeque::new());
        let mut taken = BTreeSet::new();
        for one in self.waiting.drain(..) {
            if members.len() < MOST && taken.insert(one.slip.what_it_locks()) {
                members.push_back(one);
            } else {
                later.push_back(one);
            }
        }
        self.waiting = later;
        members
    }

    async fn share(&mut self, mut members: VecDeque<Waiting<D>>) {
        let (pool, line) = (&self.db.writer, &self.db.writer_line);
        let begun = match self.db.beginning(&self.db.begins.write) {
            Ok(begin) => begin_in_turn(pool, line, self.db.backend, &begin).await,
            Err(error) => Err(error),
        };
        let (begun, places) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let error = Arc::new(error);
                for one in members {
                    drop(one.answer.send(Answer::Failed(Arc::clone(&error))));
                }
                return;
            }
        };
        let open = Open { begun, places };
        let mut done = Vec::new();
        let ended = match members.pop_front() {
            Some(only) if members.is_empty() => alone(open, only, &mut done).await,
            Some(first) => {
                members.push_front(first);
                self.together(open, members, &mut done).await
            }
            None => open.begun.rollback().await,
        };
        let ended = ended.map_err(Arc::new);
        for one in done {
            drop(one.committed.send(ended.clone()));
        }
    }

    /// Gives all members their turns, notes what they have done, and commits it.
    async fn together(
        &mut self,
        mut open: Open<D>,
        mut members: VecDeque<Waiting<D>>,
        done: &mut Vec<Done>,
    ) -> Result<(), sqlx::Error> {
        let backend = self.db.backend;
        let slips: Vec<&Slip> = members.iter().map(|one| &one.slip).collect();
        let standing = inbox::ask_for_all::<D>(backend, open.begun.connection_mut(), &slips).await;
        let standing = match standing {
            Ok(standing) => standing,
            Err(error) => {
                let error = Arc::new(error);
                for one in members {
                    drop(one.answer.send(Answer::Failed(Arc::clone(&error))));
                }
                return open.begun.rollback().await;
            }
        };
        for standing in standing {
            let Some(one) = members.pop_front() else { break };
            match standing {
                Standing::New => members.push_back(one),
                Standing::TooEarly => drop(one.answer.send(Answer::TooEarly)),
                Standing::Known => drop(one.answer.send(Answer::Alone)),
            }
        }
        let until = Instant::now() + OPEN;
        let mut is_marked = false;
        while let Some(one) = members.pop_front() {
            if Instant::now() > until {
                members.push_front(one);
                break;
            }
            if !std::mem::replace(&mut is_marked, true) {
                D::run(open.begun.connection_mut(), SAVEPOINT.into()).await?;
            }
            let Waiting { slip, habit, answer } = one;
            let since = Instant::now();
            let (returned, effect) = take_turns(open, answer, false).await?;
            open = returned;
            habit.learn(since.elapsed());
            let Effect::Done(committed) = effect else {
                D::run(open.begun.connection_mut(), BACK.into()).await?;
                continue;
            };
            let next = if members.is_empty() { RELEASE } else { RELEASE_AND_SAVEPOINT };
            match D::run(open.begun.connection_mut(), next.into()).await {
                Ok(()) => done.push(Done { slip, committed }),
                Err(error) => {
                    // A statement of it has failed, and the handler went on. The others are not to suffer from that.
                    let back = D::run(open.begun.connection_mut(), BACK.into()).await;
                    drop(committed.send(Err(Arc::new(error))));
                    back?;
                }
            }
        }
        // Those whose turn did not come are the first of the next batch.
        for one in members.into_iter().rev() {
            self.waiting.push_front(one);
        }
        if done.is_empty() {
            return open.begun.rollback().await;
        }
        let slips: Vec<&Slip> = done.iter().map(|one| &one.slip).collect();
        if !inbox::note_all::<D>(backend, open.begun.connection_mut(), &slips).await? {
            open.begun.rollback().await?;
            return Err(sqlx::Error::InvalidArgument(
                "another replica has handled one of the events meanwhile".to_owned(),
            ));
        }
        open.begun.commit().await?;
        drop(open.places);
        Ok(())
    }
}

/// Gives the only member its turn, and commits what it has done and noted.
async fn alone<D: ModuleDatabase>(
    open: Open<D>,
    only: Waiting<D>,
    done: &mut Vec<Done>,
) -> Result<(), sqlx::Error> {
    let Waiting { slip, habit, answer } = only;
    let since = Instant::now();
    let (open, effect) = take_turns(open, answer, true).await?;
    habit.learn(since.elapsed());
    let Effect::Done(committed) = effect else { return open.begun.rollback().await };
    done.push(Done { slip, committed });
    open.begun.commit().await?;
    drop(open.places);
    Ok(())
}

/// Hands the transaction to a handler, and waits until it comes back.
async fn take_turns<D: ModuleDatabase>(
    open: Open<D>,
    answer: oneshot::Sender<Answer<D>>,
    asks: bool,
) -> Result<(Open<D>, Effect), sqlx::Error> {
    let (back, returned) = oneshot::channel();
    let kept = Some(Kept { open, back });
    // A handler that has gone away gives it back at once.
    drop(answer.send(Answer::Turn(Turn { kept, asks })));
    returned.await.map_err(|_| sqlx::Error::WorkerCrashed)
}
