//! Builds of a read model beside each other: each listens by itself, and one that has caught up answers.

use super::{
    Listener,
    builds::{self, Build, Hearer, Stage},
    offer::{Ask, Feed, FeedError},
};
use crate::{Db, ModuleDatabase};
use futures_util::future::BoxFuture;
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinSet, time::sleep};

/// How often the table of builds is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A build answers when no event that waits for it is older than this, or was published before the build began.
const CAUGHT_UP: Duration = Duration::from_secs(1);
/// For how long the rows of an old build are kept: longer than any call that reads them.
pub(crate) const KEPT: Duration = Duration::from_secs(10 * 60);

/// Begins a new build of a module's read model.
pub(crate) trait Rebuild: Send + Sync + fmt::Debug {
    /// The number of the build. It is refused if events have been removed, unless it may be `partial`.
    fn begin(&self, partial: bool) -> BoxFuture<'_, Result<i64, FeedError>>;
}

/// Publishers have removed events, so a new build would be smaller than the one that answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{publisher}` has removed events that were older than it keeps them, so a new build would lack what they told: \
     fill the tables from another source, or pass `--partial` to build from the events that are kept"
)]
struct EventsRemoved {
    publisher: &'static str,
}

/// The events that a module listens to, by publisher.
pub(super) type Heard = Vec<(&'static str, Vec<String>, Option<Arc<dyn Feed>>)>;

struct Rebuilding<D: ModuleDatabase> {
    listener: Arc<Listener<D>>,
}

impl<D: ModuleDatabase> fmt::Debug for Rebuilding<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rebuilding({:?})", self.listener)
    }
}

impl<D: ModuleDatabase> Rebuild for Rebuilding<D> {
    fn begin(&self, partial: bool) -> BoxFuture<'_, Result<i64, FeedError>> {
        Box::pin(async move {
            let Listener { db, module, .. } = &*self.listener;
            self.check(&Hearer::first(module), partial).await?;
            let number = builds::begin(db, module).await?;
            let hearer = Hearer::of(module, number);
            // Once the build is known to the publishers, nothing more is removed that it has not handled.
            let begun = async {
                for (publisher, _, feed) in self.listener.publishers() {
                    let ask = self.listener.ask(publisher, &hearer);
                    feed_of(publisher, feed)?.take(Ask { most: 0, wait_ms: 0, ..ask }).await?;
                }
                self.check(&hearer, partial).await
            };
            if let Err(error) = begun.await {
                builds::give_up(db, &hearer).await?;
                return Err(error);
            }
            Ok(number)
        })
    }
}

impl<D: ModuleDatabase> Rebuilding<D> {
    /// Whether publishers have removed events.
    async fn check(&self, hearer: &Hearer, partial: bool) -> Result<(), FeedError> {
        for (publisher, names, feed) in self.listener.publishers() {
            let feed = feed_of(publisher, feed)?;
            if feed.progress(hearer.listener.to_string(), names).await?.removed && !partial {
                return Err(FeedError::new(EventsRemoved { publisher }));
            }
        }
        Ok(())
    }
}

fn feed_of(publisher: &str, feed: Option<Arc<dyn Feed>>) -> Result<Arc<dyn Feed>, FeedError> {
    feed.ok_or_else(|| {
        FeedError::new(format!("`{publisher}` publishes no events, or runs nowhere"))
    })
}

/// What begins builds of the listener's read model.
pub(crate) fn rebuilding<D: ModuleDatabase>(listener: &Arc<Listener<D>>) -> Arc<dyn Rebuild> {
    Arc::new(Rebuilding { listener: Arc::clone(listener) })
}

/// A build that listens in this process.
pub(super) struct Listens {
    stop: watch::Sender<bool>,
    task: JoinSet<()>,
}

impl Listens {
    async fn end(mut self) {
        self.stop.send_replace(true);
        while self.task.join_next().await.is_some() {}
    }
}

/// Listens for each build of the read model until `stop`.
pub(super) async fn run<D: ModuleDatabase>(
    listener: &Listener<D>,
    kept: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let (mut running, mut warned) = (BTreeMap::new(), false);
    loop {
        match attend(listener, kept, &mut running).await {
            Ok(()) => warned = false,
            Err(error) if !std::mem::replace(&mut warned, true) => {
                let module = &*listener.module;
                tracing::warn!(module, %error, "the builds of its read model cannot go on");
            }
            Err(_) => {}
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = sleep(LOOK) => {}
        }
    }
    for (_, one) in running {
        one.end().await;
    }
}

/// Looks once what builds there are, and has one answer that has caught up.
pub(super) async fn attend<D: ModuleDatabase>(
    listener: &Listener<D>,
    kept: Duration,
    running: &mut BTreeMap<i64, Listens>,
) -> Result<(), FeedError> {
    let Listener { db, module, .. } = listener;
    let all = builds::all(db, module).await?;
    for Build { number, stage, .. } in &all {
        match (stage, running.remove(number)) {
            (Stage::Retired, Some(old)) => old.end().await,
            (Stage::Retired, None) => {}
            (_, Some(known)) => drop(running.insert(*number, known)),
            (_, None) => drop(running.insert(*number, listen(listener, *number))),
        }
    }
    // Others have deleted it while this process was frozen.
    let gone: Vec<i64> = running
        .keys()
        .copied()
        .filter(|number| !all.iter().any(|one| one.number == *number))
        .collect();
    for number in gone {
        if let Some(old) = running.remove(&number) {
            old.end().await;
        }
        forget(listener, &Hearer::of(module, number)).await?;
    }
    for Build { number, stage, for_ms } in all {
        let hearer = Hearer::of(module, number);
        let is_old = for_ms >= i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        match stage {
            Stage::Building if has_caught_up(listener, &hearer, for_ms).await? => {
                switch(db, &hearer).await?;
            }
            Stage::Retired if is_old => forget(listener, &hearer).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Leaves the publishers, and deletes what is left of a build.
async fn forget<D: ModuleDatabase>(
    listener: &Listener<D>,
    hearer: &Hearer,
) -> Result<(), FeedError> {
    for (publisher, _, feed) in listener.publishers() {
        feed_of(publisher, feed)?.leave(hearer.listener.to_string()).await?;
    }
    Ok(builds::forget(&listener.db, hearer).await?)
}

fn listen<D: ModuleDatabase>(listener: &Listener<D>, number: i64) -> Listens {
    let stop = watch::Sender::new(false);
    let mut task = JoinSet::new();
    task.spawn(listener.listen(&Hearer::of(&listener.module, number), &stop));
    Listens { stop, task }
}

async fn has_caught_up<D: ModuleDatabase>(
    listener: &Listener<D>,
    hearer: &Hearer,
    age_ms: i64,
) -> Result<bool, FeedError> {
    let most = age_ms.min(CAUGHT_UP.as_millis() as i64);
    for (publisher, names, feed) in listener.publishers() {
        let feed = feed_of(publisher, feed)?;
        let behind = feed.progress(hearer.listener.to_string(), names).await?.behind_ms;
        if behind.is_none_or(|behind| behind > 0 && behind >= most) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn switch<D: ModuleDatabase>(db: &Db<D>, hearer: &Hearer) -> Result<(), FeedError> {
    if builds::switch(db, &hearer.module, hearer.build).await? {
        let (module, build) = (&*hearer.module, hearer.build);
        tracing::info!(module, build, "a new build of the read model answers");
    }
    Ok(())
}
