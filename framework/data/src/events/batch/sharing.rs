//! Forms batches of the handlers that wait.
//!
//! One statement asks the inbox about all members. Then each has its turn, one statement notes all events as handled, and
//! one commit ends the batch. While a batch is committed, the next one has its turns.
//!
//! A batch is *undivided* at first: nothing separates the effects of its members. If one fails, all are rolled back and
//! delivered again at once, and none uses up an attempt. On PostgreSQL a failed statement makes all later statements of
//! the transaction fail, so the batch cannot tell which member failed. For the next 60 s, each member gets
//! a savepoint, and a failure rolls back that member only. A savepoint costs a round trip for each event.

use super::{Answer, Effect, Kept, NotCommitted, Open, Turn, Waiting};
use crate::{
    Backend, Db, ModuleDatabase,
    events::{
        inbox::{self, Slip, Standing},
        statements::LIST,
    },
    tx::begin_in_turn,
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinSet, yield_now},
    time::Instant,
};

/// The most events of a batch. PostgreSQL keeps up to 64 subtransactions of a transaction at hand.
const MOST: usize = 64;
/// After this time a batch gives no further turns. The remaining members join the next batch.
const OPEN: Duration = Duration::from_millis(100);
/// How long batches are divided after an undivided batch has failed.
const DIVIDED: Duration = Duration::from_secs(60);

const _: () = assert!(MOST <= LIST, "the inbox is asked with one list");

/// After this time PostgreSQL ends the transaction of a process that is frozen in a batch, and releases its locks.
const FREED: &str = "SET LOCAL idle_in_transaction_session_timeout = '10s'";

const SAVEPOINT: &str = "SAVEPOINT monolift_event";
const RELEASE_AND_SAVEPOINT: &str = "RELEASE SAVEPOINT monolift_event; SAVEPOINT monolift_event";
const BACK: &str = "ROLLBACK TO SAVEPOINT monolift_event";

type Members<D> = VecDeque<Waiting<D>>;

/// Forms one batch after another from the waiting handlers.
pub(super) struct Sharing<D: ModuleDatabase> {
    db: Db<D>,
    receiver: mpsc::UnboundedReceiver<Waiting<D>>,
    waiting: Members<D>,
    divided_until: Option<Instant>,
}

/// A member whose effect is in the transaction, but not yet committed.
struct Done {
    slip: Slip,
    committed: oneshot::Sender<Result<(), NotCommitted>>,
}

impl<D: ModuleDatabase> Sharing<D> {
    pub(super) fn new(db: Db<D>, receiver: mpsc::UnboundedReceiver<Waiting<D>>) -> Self {
        Self { db, receiver, waiting: VecDeque::new(), divided_until: None }
    }

    pub(super) async fn run(mut self) {
        let mut committing: JoinSet<bool> = JoinSet::new();
        loop {
            if self.waiting.is_empty() {
                let Some(first) = self.receiver.recv().await else { return };
                self.waiting.push_back(first);
                // Handlers that are ready now join the same batch.
                yield_now().await;
            }
            while let Ok(more) = self.receiver.try_recv() {
                self.waiting.push_back(more);
            }
            // Drops handlers whose deadline passed while they waited.
            self.waiting.retain(|one| !one.answer.is_closed());
            let members = self.members();
            let Some(batch) = self.share(members).await else { continue };
            // This batch may wait for rows that the previous batch has locked. The previous batch never waits for this one.
            while let Some(is_broken) = committing.join_next().await {
                self.learn(is_broken.unwrap_or_default());
            }
            committing.spawn(batch.commit(self.db.backend));
        }
    }

    /// Learns whether an undivided batch has failed.
    fn learn(&mut self, is_broken: bool) {
        if is_broken {
            self.divided_until = Some(Instant::now() + DIVIDED);
        }
    }

    /// Takes the members of the next batch. No two of them have the same key.
    fn members(&mut self) -> Members<D> {
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

    /// Begins a transaction and gives all members their turns. Returns `None` if there is nothing to commit.
    async fn share(&mut self, members: Members<D>) -> Option<Batch<D>> {
        let (open, mut members) = self.begin(members).await?;
        let is_divided = self.divided_until.is_some_and(|until| until > Instant::now());
        let (has_others, mut done) = (members.len() > 1, Vec::new());
        let undivided = has_others && !is_divided;
        let turned = if has_others && is_divided {
            divided(open, &mut members, &mut done).await
        } else {
            in_a_row(open, &mut members, &mut done, undivided).await
        };
        // Members that got no turn come first in the next batch.
        for one in members.into_iter().rev() {
            self.waiting.push_front(one);
        }
        match turned {
            Ok(open) => Some(Batch { open, done, undivided }),
            Err(error) => {
                self.learn(undivided);
                tell(done, undivided, Err(error));
                None
            }
        }
    }

    /// Begins a transaction and asks the inbox about all members. Answers the members that get no turn.
    async fn begin(&self, mut members: Members<D>) -> Option<(Open<D>, Members<D>)> {
        let slips: Vec<&Slip> = members.iter().map(|one| &one.slip).collect();
        let (open, standings) = match self.ask(&slips).await {
            Ok(asked) => asked,
            Err(error) => {
                let error = Arc::new(error);
                for one in members {
                    drop(one.answer.send(Answer::Failed(Arc::clone(&error))));
                }
                return None;
            }
        };
        for standing in standings {
            let one = members.pop_front()?;
            match standing {
                Standing::New => members.push_back(one),
                Standing::TooEarly => drop(one.answer.send(Answer::TooEarly)),
                Standing::Known => drop(one.answer.send(Answer::Alone)),
            }
        }
        Some((open, members))
    }

    async fn ask(&self, slips: &[&Slip]) -> Result<(Open<D>, Vec<Standing>), sqlx::Error> {
        let db = &self.db;
        let begin = db.beginning(&db.begins.write)?;
        let (mut begun, places) =
            begin_in_turn(&db.writer, &db.writer_line, db.backend, &begin).await?;
        if db.backend == Backend::Postgres {
            D::run(begun.connection_mut(), FREED.into()).await?;
        }
        let standings = inbox::ask_for_all::<D>(db.backend, begun.connection_mut(), slips).await?;
        Ok((Open { begun, places }, standings))
    }
}

/// Gives each member its turn, until a member fails.
async fn in_a_row<D: ModuleDatabase>(
    mut open: Open<D>,
    members: &mut Members<D>,
    done: &mut Vec<Done>,
    undivided: bool,
) -> Result<Open<D>, NotCommitted> {
    let until = Instant::now() + OPEN;
    while let Some(one) = next(members, until) {
        let (returned, slip, effect) = one.take_turn(open, undivided).await?;
        open = returned;
        match effect {
            Effect::None => {}
            Effect::Done(committed) => done.push(Done { slip, committed }),
            Effect::Undone => {
                open.begun.rollback().await?;
                return Err(NotCommitted::Broken);
            }
        }
    }
    Ok(open)
}

/// Gives each member its turn behind a savepoint.
async fn divided<D: ModuleDatabase>(
    mut open: Open<D>,
    members: &mut Members<D>,
    done: &mut Vec<Done>,
) -> Result<Open<D>, NotCommitted> {
    let until = Instant::now() + OPEN;
    D::run(open.begun.connection_mut(), SAVEPOINT.into()).await?;
    while let Some(one) = next(members, until) {
        let (returned, slip, effect) = one.take_turn(open, false).await?;
        open = returned;
        let connection = open.begun.connection_mut();
        match effect {
            Effect::None => {}
            Effect::Done(committed) => match D::run(connection, RELEASE_AND_SAVEPOINT.into()).await
            {
                Ok(()) => done.push(Done { slip, committed }),
                Err(error) => {
                    // A statement of this handler failed, and the handler committed nevertheless.
                    drop(committed.send(Err(NotCommitted::own(error))));
                    go_back::<D>(connection).await?;
                }
            },
            Effect::Undone => go_back::<D>(connection).await?,
        }
    }
    Ok(open)
}

/// Undoes the effect of one member. If that fails, it has ended the transaction, and the others are not to blame.
async fn go_back<D: ModuleDatabase>(connection: &mut D::Connection) -> Result<(), NotCommitted> {
    D::run(connection, BACK.into()).await.map_err(|_| NotCommitted::Broken)
}

fn next<D: ModuleDatabase>(members: &mut Members<D>, until: Instant) -> Option<Waiting<D>> {
    members.pop_front_if(|_| Instant::now() < until)
}

impl<D: ModuleDatabase> Waiting<D> {
    /// Hands the transaction to the handler, and waits until it comes back.
    async fn take_turn(
        self,
        open: Open<D>,
        undivided: bool,
    ) -> Result<(Open<D>, Slip, Effect), sqlx::Error> {
        let (back, returned) = oneshot::channel();
        let kept = Some(Kept { open, back });
        let since = Instant::now();
        // If the handler is gone, its dropped turn returns the transaction at once.
        drop(self.answer.send(Answer::Turn(Turn { kept, undivided })));
        let (open, effect) = returned.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        self.habit.learn(since.elapsed());
        Ok((open, self.slip, effect))
    }
}

/// A batch whose members have had their turns.
struct Batch<D: ModuleDatabase> {
    open: Open<D>,
    done: Vec<Done>,
    undivided: bool,
}

impl<D: ModuleDatabase> Batch<D> {
    /// Notes the events in the inbox, commits, and tells the handlers. Returns whether an undivided batch failed.
    async fn commit(self, backend: Backend) -> bool {
        let Self { open: Open { mut begun, places }, done, undivided } = self;
        let slips: Vec<&Slip> = done.iter().map(|one| &one.slip).collect();
        let commit = async {
            if slips.is_empty() {
                return begun.rollback().await;
            }
            if !inbox::note_all::<D>(backend, begun.connection_mut(), &slips).await? {
                begun.rollback().await?;
                return Err(sqlx::Error::InvalidArgument(
                    "another replica has handled one of the events meanwhile".to_owned(),
                ));
            }
            begun.commit().await
        };
        let committed = commit.await;
        drop(places);
        let is_broken = undivided && committed.is_err();
        tell(done, undivided, committed.map_err(NotCommitted::from));
        is_broken
    }
}

/// Tells handlers whether their effects are committed.
fn tell(done: Vec<Done>, undivided: bool, committed: Result<(), NotCommitted>) {
    let committed = committed.map_err(|error| if undivided { NotCommitted::Broken } else { error });
    for one in done {
        drop(one.committed.send(committed.clone()));
    }
}
