//! The side that does work: claims what is due, does it under a lease, and writes down how it went.

use super::{
    Cron, WorkKind,
    circuit::{Ending, KindCircuit, Room},
    holders::Holders,
    kind::{Claimed, Outcome, Recurs, attempt_of},
    queue::{self, Row, Work, milliseconds},
};
use crate::{
    call::{CallSettings, Trace, planted},
    {Column, ModuleDatabase, Value},
};
use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

/// For how long a piece is claimed. It is renewed three times as often; when a process dies, another
/// one takes its pieces after so long.
const LEASE: Duration = Duration::from_secs(10);
/// How often the table is looked at when nothing else says that there is work.
const LOOK: Duration = Duration::from_secs(1);
/// After a piece was enqueued, its transaction still has to commit.
const SOON: [Duration; 4] = [
    Duration::from_millis(2),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
];
/// Pieces of one module that one process does at once.
const AT_ONCE: usize = 8;
/// How long what is being done may take to end when the process stops.
const ENDING: Duration = Duration::from_secs(3);

/// The key of a piece that recurs.
pub(super) const RECURRING: &str = "recurring";

/// Does one module's work in this process.
pub struct Worker<D: ModuleDatabase> {
    pub(super) work: Work<D>,
    kinds: HashMap<&'static str, WorkKind>,
    /// Those that are held back while a module that they call fails.
    pub(super) circuits: Mutex<HashMap<&'static str, KindCircuit>>,
    holders: Holders,
    /// How traces begin, and what is recorded of them.
    calls: Arc<CallSettings>,
    /// Set when what is still being done has to end now.
    cut: watch::Sender<bool>,
}

impl<D: ModuleDatabase> fmt::Debug for Worker<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({}: {:?})", self.work.module(), self.kinds.keys())
    }
}

const CLAIMED: &[Column] =
    &[Column::Text, Column::Text, Column::Text, Column::Text, Column::Number];

impl<D: ModuleDatabase> Worker<D> {
    /// A worker for the kinds of work that a module lists. An error is a schedule that is none.
    pub(crate) fn new(work: Work<D>, kinds: Vec<WorkKind>) -> Result<Self, String> {
        for kind in &kinds {
            if let Some(Recurs { schedule, .. }) = &kind.recurring {
                let cron: Result<Cron, _> = schedule.parse();
                cron.map_err(|error| format!("the schedule of `{}`: {error}", kind.name))?;
            }
        }
        let circuits =
            kinds.iter().map(|kind| (kind.name, KindCircuit::new(kind.circuit))).collect();
        let kinds = kinds.into_iter().map(|kind| (kind.name, kind)).collect();
        Ok(Self {
            work,
            kinds,
            circuits: Mutex::new(circuits),
            holders: Holders::new(),
            calls: Arc::default(),
            cut: watch::Sender::new(false),
        })
    }

    /// The same, whose runs begin as these settings say.
    pub(crate) fn with(self, calls: Arc<CallSettings>) -> Self {
        Self { calls, ..self }
    }

    /// Works until `stopping` is ready. Then what is being done has a few seconds to end, and is
    /// given back after that.
    pub(crate) async fn run(self, stopping: impl Future<Output = ()> + Send) {
        let worker = Arc::new(self);
        let mut at_work = JoinSet::new();
        let mut stopping = pin!(stopping);
        let mut complained = false;
        let mut soon = SOON.iter();
        let mut set_up = false;
        let mut likely = false;
        loop {
            while at_work.try_join_next().is_some() {}
            let looked = worker.look(&mut set_up, likely, &mut at_work).await;
            likely = false;
            let pause = match looked {
                Ok(pause) => {
                    complained = false;
                    soon.next().map_or(pause, |soon| pause.min(*soon))
                }
                Err(error) => {
                    // Once each time: it is looked at every second.
                    if !std::mem::replace(&mut complained, true) {
                        let module = worker.work.module();
                        tracing::warn!(module, %error, "its work cannot be looked at");
                    }
                    LOOK
                }
            };
            tokio::select! {
                biased;
                () = &mut stopping => break,
                Some(_) = at_work.join_next() => likely = true,
                () = worker.work.nudge().notified(), if at_work.len() < AT_ONCE => {
                    soon = SOON.iter();
                    likely = true;
                }
                () = sleep(pause), if at_work.len() < AT_ONCE => {}
            }
        }
        let all = async { while at_work.join_next().await.is_some() {} };
        if timeout(ENDING, all).await.is_err() {
            worker.cut.send_replace(true);
            while at_work.join_next().await.is_some() {}
        }
    }

    /// Takes what is due, as far as there is room, and says when to look again. Where it is `likely`
    /// that something is due, it is claimed unasked.
    async fn look(
        self: &Arc<Self>,
        set_up: &mut bool,
        likely: bool,
        at_work: &mut JoinSet<()>,
    ) -> Result<Duration, sqlx::Error> {
        if !*set_up {
            self.write_down_recurring().await?;
            *set_up = true;
        }
        let room = AT_ONCE.saturating_sub(at_work.len());
        if room == 0 {
            return Ok(LOOK);
        }
        let mut begun = 0;
        let rooms = self.rooms();
        let mut pause = LOOK;
        for &(name, kind_room) in &rooms {
            match kind_room {
                Room::All => {}
                Room::None(again) => pause = pause.min(again),
                Room::Few(few) => {
                    let few = few.min(room - begun);
                    if few > 0 {
                        begun += self.begin(self.claim_few(name, few).await?, at_work);
                    }
                    pause = pause.min(SOON[1]);
                }
            }
        }
        // A kind that is held back is as one that is not known.
        let free = |name| rooms.iter().all(|(held, room)| *held != name || *room == Room::All);
        let names = self.work.known().iter().map(|&name| if free(name) { name } else { "" });
        let names: Vec<&str> = names.collect();
        let left = room - begun;
        let mut more = if likely { self.claim(&names, left).await? } else { Vec::new() };
        if more.is_empty() && left > 0 {
            let wait = self.wait(&names).await?;
            if wait.is_zero() {
                more = self.claim(&names, left).await?;
                pause = pause.min(SOON[1]);
            } else {
                pause = pause.min(wait);
            }
        } else {
            pause = pause.min(SOON[1]);
        }
        begun += self.begin(more, at_work);
        Ok(if begun == room { Duration::ZERO } else { pause })
    }

    /// Begins with pieces that were claimed; says how many they are.
    fn begin(self: &Arc<Self>, claimed: Vec<Claimed>, at_work: &mut JoinSet<()>) -> usize {
        let count = claimed.len();
        for claimed in claimed {
            let worker = Arc::clone(self);
            at_work.spawn(async move { worker.perform(claimed).await });
        }
        count
    }

    /// How long it is until something is due, or until the table is to be looked at again.
    async fn wait(&self, names: &[&str]) -> Result<Duration, sqlx::Error> {
        let values = with_names(vec![self.work.module().into()], names);
        let sql = Arc::clone(&self.work.statements().wait);
        let rows = self.work.db().rows(sql, values, &[Column::Number]).await?;
        Ok(match rows.first().map(|row| &row[0]) {
            Some(Value::Number(Some(wait))) => {
                LOOK.min(Duration::from_millis(u64::try_from(*wait).unwrap_or(0)))
            }
            _ => LOOK,
        })
    }

    pub(super) async fn claim(
        &self,
        names: &[&str],
        room: usize,
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        if room == 0 {
            return Ok(Vec::new());
        }
        let since = Instant::now();
        let lease = if planted!("leases-never-end") { 1_000 * LEASE } else { LEASE };
        let most = i64::try_from(room).unwrap_or(i64::MAX);
        let holder = self.holders.of_a_claim();
        let values = vec![
            self.work.module().into(),
            holder.as_str().into(),
            milliseconds(lease).into(),
            most.into(),
        ];
        let values = with_names(values, names);
        // As a transaction, so that on SQLite it waits in turn with the module's own.
        let mut tx = self.work.db().write().await?;
        let sql = Arc::clone(&self.work.statements().claim);
        let rows = D::rows(&mut tx, sql, values, CLAIMED).await?;
        tx.commit().await?;
        let claimed = rows.iter().map(|row| {
            let text = |at: usize| row[at].text().unwrap_or_default();
            Claimed {
                id: text(0).to_owned(),
                name: text(1).to_owned(),
                payload: text(2).to_owned(),
                trace: row[3].text().and_then(Trace::parse),
                attempt: u32::try_from(row[4].number()).unwrap_or(u32::MAX),
                since,
                trial: false,
                holder: holder.clone(),
            }
        });
        Ok(claimed.collect())
    }

    /// Writes down each kind that recurs, unless it is there.
    async fn write_down_recurring(&self) -> Result<(), sqlx::Error> {
        let recurring = self.kinds.values().filter_map(|kind| {
            let recurs = kind.recurring.as_ref()?;
            Some((kind.name, recurs, kind.cron()?))
        });
        let (statements, module) = (self.work.statements(), self.work.module());
        for (name, recurs, cron) in recurring {
            let mut tx = self.work.db().write().await?;
            let now = self.clock(&mut tx).await?;
            let Some(next) = cron.after(now) else { continue };
            let delay = Duration::from_millis((next - now).unsigned_abs());
            let (key, payload) = (Some(RECURRING), recurs.payload.as_str());
            let row = Row { module, name, key, payload, subject: None, delay };
            if !queue::insert::<D>(statements, &mut *tx, row).await? {
                // Its schedule may have become a more frequent one.
                let values = vec![module.into(), name.into(), next.into()];
                D::execute(&mut *tx, Arc::clone(&statements.reschedule), values).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    async fn clock(&self, connection: &mut D::Connection) -> Result<i64, sqlx::Error> {
        let sql = Arc::clone(&self.work.statements().clock);
        let rows = D::rows(connection, sql, Vec::new(), &[Column::Number]).await?;
        Ok(rows.first().map_or(0, |row| row[0].number()))
    }

    async fn perform(&self, claimed: Claimed) {
        let Some(kind) = self.kinds.get(claimed.name.as_str()) else { return };
        let (module, name, attempt) = (self.work.module(), kind.name, claimed.attempt);
        if planted!("acknowledges-first") {
            let _ = self.write_down(kind, &claimed, &Outcome::Done).await;
        }
        let outcome =
            self.under_lease(&claimed, attempt_of(module, kind, &claimed, &self.calls)).await;
        let ending = match &outcome {
            Outcome::Done => Ending::Done,
            Outcome::Failed { at: Some(module), .. } => Ending::FailedAt(module),
            Outcome::Failed { at: None, .. } => Ending::Failed,
            Outcome::Lost | Outcome::Cut => Ending::Cut,
        };
        self.learn(name, ending, claimed.trial).await;
        if matches!(outcome, Outcome::Lost) {
            tracing::warn!(module, name, attempt, "its lease ran out: another worker takes it");
            return;
        }
        // A second try covers a connection that had gone stale. Else the lease runs out.
        for last in [false, true] {
            match self.write_down(kind, &claimed, &outcome).await {
                Ok(()) => return,
                Err(error) if last => {
                    tracing::warn!(module, name, %error, "how it went was not written down");
                }
                Err(_) => sleep(SOON[3]).await,
            }
        }
    }

    /// Polls `work` for as long as the piece is ours, and keeps it ours.
    async fn under_lease(&self, claimed: &Claimed, work: impl Future<Output = Outcome>) -> Outcome {
        let mut work = pin!(work);
        let mut cut = self.cut.subscribe();
        let mut since = claimed.since;
        let mut renewal = since + LEASE / 3;
        loop {
            tokio::select! {
                // First: after a pause of the whole process, nothing more may be done.
                biased;
                () = sleep_until(since + LEASE - LEASE / 10) => return Outcome::Lost,
                () = sleep_until(renewal) => {
                    let begun = Instant::now();
                    match timeout(LEASE / 10, self.renew(claimed)).await {
                        Ok(Ok(true)) => {
                            since = begun;
                            renewal = since + LEASE / 3;
                        }
                        Ok(Ok(false)) => return Outcome::Lost,
                        Ok(Err(_)) | Err(_) => renewal = Instant::now() + LEASE / 10,
                    }
                }
                outcome = &mut work => return outcome,
                () = async { drop(cut.wait_for(|cut| *cut).await) } => return Outcome::Cut,
            }
        }
    }

    async fn renew(&self, claimed: &Claimed) -> Result<bool, sqlx::Error> {
        let Claimed { id, holder, .. } = claimed;
        let values = vec![id.as_str().into(), holder.as_str().into(), milliseconds(LEASE).into()];
        self.change(&self.work.statements().renew, values).await
    }

    async fn change(&self, sql: &Arc<str>, values: Vec<Value>) -> Result<bool, sqlx::Error> {
        let mut tx = self.work.db().write().await?;
        let changed = D::execute(&mut *tx, Arc::clone(sql), values).await?;
        tx.commit().await?;
        Ok(changed > 0)
    }

    async fn write_down(
        &self,
        kind: &WorkKind,
        claimed: &Claimed,
        outcome: &Outcome,
    ) -> Result<(), sqlx::Error> {
        let (module, name, attempt) = (self.work.module(), kind.name, claimed.attempt);
        let statements = self.work.statements();
        let mut values = vec![claimed.id.as_str().into(), claimed.holder.as_str().into()];
        let error = match outcome {
            Outcome::Cut => return self.change(&statements.give_back, values).await.map(drop),
            Outcome::Failed { .. } if planted!("failed-is-done") => None,
            Outcome::Failed { error, .. } if attempt < kind.retry.attempts => {
                let pause = kind.retry.pause(attempt);
                tracing::warn!(module, name, attempt, error, again_in = ?pause, "work failed");
                values.extend([error.as_str().into(), milliseconds(pause).into()]);
                return self.change(&statements.again, values).await.map(drop);
            }
            Outcome::Failed { error, .. } => Some(error),
            Outcome::Done | Outcome::Lost => None,
        };
        if let Some(cron) = kind.cron() {
            if let Some(error) = error {
                tracing::error!(
                    module,
                    name,
                    attempt,
                    error,
                    "work failed: given up until it recurs"
                );
            }
            let mut tx = self.work.db().write().await?;
            let now = self.clock(&mut tx).await?;
            let next = cron.after(now).unwrap_or(i64::MAX / 2);
            values.extend([Value::Text(error.cloned()), next.into()]);
            D::execute(&mut *tx, Arc::clone(&statements.recur), values).await?;
            return tx.commit().await;
        }
        let sql = match error {
            None => &statements.done,
            Some(error) => {
                tracing::error!(module, name, attempt, error, id = claimed.id, "work is parked");
                values.push(error.as_str().into());
                &statements.park
            }
        };
        self.change(sql, values).await.map(drop)
    }
}

/// The values of a statement, with the names of kinds of work behind them.
fn with_names(mut values: Vec<Value>, names: &[&str]) -> Vec<Value> {
    values.extend(names.iter().map(|&name| name.into()));
    values
}
