//! The listener's side of delivery: takes offers, handles their events, and settles them.

use super::{
    Feeds, Heard,
    batch::Batches,
    builds::Hearer,
    feed::LEASE,
    heard::NOT_YET,
    inbox::{self, Slip},
    offer::{Ask, BYTES, Ending, Feed, FeedError, Offer, Settled, Subscription},
    rebuild, retention,
    statements::LIST,
};
use crate::{
    Db, ModuleDatabase,
    call::{Backoff, CallSettings, planted},
};
use futures_util::future::{BoxFuture, join, join_all};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Events of one publisher that one process handles at once. Those of them that are ready to write share a transaction.
const AT_ONCE: usize = 64;
/// Offers of one publisher that one process holds.
const ROOM: usize = 2 * LIST;
/// How long a publisher keeps a question without an answer.
const WAIT: Duration = Duration::from_secs(1);
/// How long an answer is waited for beyond that.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a publisher that does not answer is asked again.
const AGAIN: Backoff = Backoff::fifth(Duration::from_millis(20), Duration::from_secs(2));
/// How long a publisher may be out of reach before the log warns of it.
const GRACE: Duration = Duration::from_secs(5);
/// How long what is being handled may take to end when the process stops.
const ENDING: Duration = Duration::from_secs(3);
/// How long a note of an event without a key is kept. A delivery of it that is still under way has ended by then.
const NOTES: Duration = Duration::from_secs(24 * 60 * 60);
/// How often notes and events that are too old are deleted.
const TIDY: Duration = Duration::from_secs(60);

/// Handles the events that one module listens to, in this process, and deletes what need not be kept longer.
pub struct Listener<D: ModuleDatabase> {
    pub(super) db: Db<D>,
    pub(super) module: Arc<str>,
    heard: BTreeMap<&'static str, Arc<HashMap<String, Heard>>>,
    feeds: Arc<Feeds>,
    calls: Arc<CallSettings>,
    /// For how long rows of old builds are kept, if the module has a read model.
    builds: Option<Duration>,
    /// The most bytes of payloads that the module keeps of its own events, once all have handled them.
    kept: Option<u64>,
}

impl<D: ModuleDatabase> fmt::Debug for Listener<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({}: {:?})", self.module, self.heard)
    }
}

impl<D: ModuleDatabase> Listener<D> {
    /// That of a module. `feeds` has those of the publishers when it runs.
    pub fn new(db: Db<D>, module: &str, heard: Vec<Heard>, feeds: Arc<Feeds>) -> Self {
        let mut by_publisher: BTreeMap<_, HashMap<_, _>> = BTreeMap::new();
        for one in heard {
            let names = by_publisher.entry(one.publisher).or_default();
            names.insert(one.subscription.name.clone(), one);
        }
        let (calls, heard) = (Arc::default(), by_publisher.into_iter());
        let heard = heard.map(|(publisher, heard)| (publisher, Arc::new(heard))).collect();
        Self { db, module: module.into(), heard, feeds, calls, builds: None, kept: None }
    }

    /// Its attempts are recorded and sampled by these settings.
    pub(crate) fn with(self, calls: Arc<CallSettings>) -> Self {
        Self { calls, ..self }
    }

    /// The module keeps this many bytes of payloads at most, once all have handled them.
    pub(crate) fn keeping(self, most: Option<u64>) -> Self {
        Self { kept: most, ..self }
    }

    /// It keeps a read model, and the rows of an old build for this long.
    pub(crate) fn with_read_model(self, kept: Duration) -> Self {
        Self { builds: Some(kept), ..self }
    }

    /// Listens until `stopping` is ready. Then what is being handled has a few seconds to end, and is given back after
    /// that.
    pub async fn run(self, stopping: impl Future<Output = ()> + Send) {
        Arc::new(self).run_shared(stopping).await;
    }

    /// The same, for a listener that others know.
    pub(crate) async fn run_shared(self: Arc<Self>, stopping: impl Future<Output = ()> + Send) {
        let stop = watch::Sender::new(false);
        let told = async {
            tokio::select! {
                () = stopping => {}
                () = self.tidy() => {}
            }
            stop.send_replace(true);
        };
        match self.builds {
            Some(kept) => drop(join(told, rebuild::run(&self, kept, stop.subscribe())).await),
            None => drop(join(told, self.listen(&Hearer::first(&self.module), &stop)).await),
        }
    }

    /// The publishers, the names of the events of each that are listened to, and where they are taken from.
    pub(super) fn publishers(&self) -> rebuild::Heard {
        let names = |heard: &HashMap<String, Heard>| heard.keys().cloned().collect();
        let publishers = self.heard.iter();
        publishers.map(|(of, heard)| (*of, names(heard), self.feeds.of(of))).collect()
    }

    /// What a publisher is asked for.
    pub(super) fn ask(&self, publisher: &str, hearer: &Hearer) -> Ask {
        let heard = self.heard.get(publisher).into_iter().flat_map(|heard| heard.values());
        let subscriptions = heard.map(|one| Subscription {
            from_first: one.subscription.from_first || hearer.is_rebuild(),
            ..one.subscription.clone()
        });
        Ask {
            listener: hearer.listener.to_string(),
            subscriptions: subscriptions.collect(),
            most: 0,
            wait_ms: WAIT.as_millis() as u64,
            bytes: BYTES,
        }
    }

    /// Listens to all publishers until `stop`.
    pub(super) fn listen(
        &self,
        hearer: &Hearer,
        stop: &watch::Sender<bool>,
    ) -> impl Future<Output = ()> + Send + use<D> {
        let mut each = Vec::new();
        for (publisher, heard) in &self.heard {
            let Some(feed) = self.feeds.of(publisher) else {
                let module = &*self.module;
                tracing::error!(
                    module,
                    publisher,
                    "no events can be taken from that module: it publishes none, or is placed in no process"
                );
                continue;
            };
            let (batches, sharing) = Batches::of(&self.db);
            let listening = Listening {
                db: self.db.clone(),
                hearer: hearer.clone(),
                publisher: (*publisher).into(),
                heard: Arc::clone(heard),
                feed,
                ask: self.ask(publisher, hearer),
                at_once: Arc::new(Semaphore::new(AT_ONCE)),
                calls: Arc::clone(&self.calls),
                batches: Arc::new(batches),
            };
            each.push(listening.run(sharing, stop.subscribe()));
        }
        async move { drop(join_all(each).await) }
    }
}

impl<D: ModuleDatabase> Listener<D> {
    /// Deletes, now and then, notes and events that need not be kept longer.
    async fn tidy(&self) {
        let Self { db, module, kept, .. } = self;
        loop {
            sleep(TIDY).await;
            let tidied = async {
                while retention::prune(db, module, *kept).await? > 0 {}
                self.forget_notes(NOTES).await
            };
            if let Err(error) = tidied.await {
                tracing::warn!(module = &**module, %error, "old events were not deleted");
            }
        }
    }

    /// Deletes notes that are this old, of events that are not offered again. While a publisher does not answer, those of its
    /// events are kept.
    pub(super) async fn forget_notes(&self, old: Duration) -> Result<(), FeedError> {
        let publishers = self.publishers();
        for (listener, publisher) in inbox::who_has_notes(&self.db, &self.module, old).await? {
            let heard = publishers.iter().find(|(of, ..)| *of == publisher);
            let first = match heard {
                Some((_, names, Some(feed))) => {
                    match feed.progress(listener.clone(), names.clone()).await {
                        Ok(progress) => progress.first,
                        Err(_) => continue,
                    }
                }
                // It listens to that module no more.
                _ => None,
            };
            inbox::forget_notes(&self.db, &listener, &publisher, old, first).await?;
        }
        Ok(())
    }
}

/// One module that listens to another one.
struct Listening<D: ModuleDatabase> {
    db: Db<D>,
    hearer: Hearer,
    publisher: Arc<str>,
    heard: Arc<HashMap<String, Heard>>,
    feed: Arc<dyn Feed>,
    ask: Ask,
    at_once: Arc<Semaphore>,
    calls: Arc<CallSettings>,
    batches: Arc<Batches<D>>,
}

/// What a publisher was told, and whether it has answered.
type Told = (Vec<Settled>, Result<(), FeedError>);

/// What a loop of [`Listening`] has in hand.
#[derive(Default)]
struct Hand {
    /// Offers that were taken and are not settled, with their claims.
    held: HashMap<String, String>,
    handling: JoinSet<Vec<Settled>>,
    /// How it went with offers whose publisher has not been told.
    ended: VecDeque<Settled>,
    taking: Option<BoxFuture<'static, Result<Vec<Offer>, FeedError>>>,
    settling: Option<BoxFuture<'static, Told>>,
    renewing: Option<BoxFuture<'static, Result<(), FeedError>>>,
    /// Failures in a row to reach the publisher, since when, and whether the log says so.
    failures: u32,
    failing_since: Option<Instant>,
    warned: bool,
}

impl<D: ModuleDatabase> Listening<D> {
    async fn run(
        self,
        sharing: impl Future<Output = ()> + Send + 'static,
        mut stop: watch::Receiver<bool>,
    ) {
        // It ends with this.
        let mut shared = JoinSet::new();
        shared.spawn(sharing);
        let mut hand = Hand::default();
        let mut renewal = Instant::now() + LEASE / 3;
        loop {
            self.begin_to_take(&mut hand);
            self.begin_to_settle(&mut hand);
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                (settled, result) = some(&mut hand.settling) => {
                    hand.settling = None;
                    self.reached(&mut hand, result.as_ref().err());
                    hand.settled(settled, result.is_ok());
                }
                Some(ended) = hand.handling.join_next(), if !hand.handling.is_empty() => {
                    // A task that was cut has nothing to say: its lease runs out.
                    hand.ended.extend(ended.unwrap_or_default());
                }
                taken = some(&mut hand.taking) => {
                    hand.taking = None;
                    self.reached(&mut hand, taken.as_ref().err());
                    self.handle(&mut hand, taken.unwrap_or_default());
                }
                _ = some(&mut hand.renewing) => hand.renewing = None,
                () = sleep_until(renewal) => {
                    renewal = Instant::now() + LEASE / 3;
                    self.begin_to_renew(&mut hand);
                }
            }
        }
        self.end(hand).await;
    }

    fn begin_to_take(&self, hand: &mut Hand) {
        let room = ROOM.saturating_sub(hand.held.len());
        if hand.taking.is_some() || room < ROOM / 2 {
            return;
        }
        let most = u32::try_from(room.min(LIST)).unwrap_or(u32::MAX);
        let (feed, ask) = (Arc::clone(&self.feed), Ask { most, ..self.ask.clone() });
        let pause = pause(hand.failures);
        hand.taking = Some(Box::pin(async move {
            sleep_if(pause).await;
            let answer = timeout(WAIT + PATIENCE, feed.take(ask)).await;
            answer.unwrap_or_else(|_| Err(FeedError::new("it did not answer")))
        }));
    }

    fn begin_to_settle(&self, hand: &mut Hand) {
        if hand.settling.is_some() || hand.ended.is_empty() {
            return;
        }
        let few = hand.ended.len().min(LIST);
        let settled: Vec<Settled> = hand.ended.drain(..few).collect();
        let (feed, listener) = (Arc::clone(&self.feed), self.hearer.listener.to_string());
        let pause = pause(hand.failures);
        hand.settling = Some(Box::pin(async move {
            sleep_if(pause).await;
            let told = timeout(PATIENCE, feed.settle(listener, settled.clone())).await;
            (settled, told.unwrap_or_else(|_| Err(FeedError::new("it did not answer"))))
        }));
    }

    fn begin_to_renew(&self, hand: &mut Hand) {
        if hand.held.is_empty() || hand.renewing.is_some() {
            return;
        }
        let (feed, listener) = (Arc::clone(&self.feed), self.hearer.listener.to_string());
        let events = hand.held.keys().cloned().collect();
        let mut holders: Vec<String> = hand.held.values().cloned().collect();
        holders.sort_unstable();
        holders.dedup();
        hand.renewing = Some(Box::pin(async move {
            let renewed = timeout(LEASE / 3, feed.renew(listener, events, holders)).await;
            renewed.unwrap_or_else(|_| Err(FeedError::new("it did not answer")))
        }));
    }

    /// Notes whether the publisher has answered, and logs once that it does not.
    fn reached(&self, hand: &mut Hand, error: Option<&FeedError>) {
        let Some(error) = error else {
            (hand.failures, hand.failing_since, hand.warned) = (0, None, false);
            return;
        };
        hand.failures = hand.failures.saturating_add(1);
        let since = *hand.failing_since.get_or_insert_with(Instant::now);
        // Processes start one after another, so a publisher may be missing for a while.
        if !hand.warned && since.elapsed() >= GRACE {
            hand.warned = true;
            let (module, publisher) = (&*self.hearer.listener, &*self.publisher);
            tracing::warn!(module, publisher, %error, "its events cannot be taken");
        }
    }

    /// Begins to handle what was taken: events of one key one after another, the others at once.
    fn handle(&self, hand: &mut Hand, taken: Vec<Offer>) {
        let mut groups: BTreeMap<_, Vec<Offer>> = BTreeMap::new();
        for offer in taken {
            hand.held.insert(offer.event.clone(), offer.holder.clone());
            if planted!("event-acknowledged-first") {
                hand.ended.push_back(offer.settled(Ending::Handled));
            }
            let alone = || offer.event.clone();
            let name = if offer.key.is_some() { offer.name.clone() } else { alone() };
            let is_replay = offer.replay > 0;
            groups.entry((name, offer.key.clone(), is_replay)).or_default().push(offer);
        }
        for offers in groups.into_values() {
            let (db, heard) = (self.db.clone(), Arc::clone(&self.heard));
            let (hearer, publisher) = (self.hearer.clone(), Arc::clone(&self.publisher));
            let (at_once, calls) = (Arc::clone(&self.at_once), Arc::clone(&self.calls));
            let batches = Arc::clone(&self.batches);
            hand.handling.spawn(async move {
                let mut ended = Vec::with_capacity(offers.len());
                let mut goes_on = true;
                for offer in offers {
                    let ending = match heard.get(&offer.name) {
                        Some(heard) if goes_on => match at_once.acquire().await {
                            Ok(_place) => {
                                let slip = Slip::of(&offer, &hearer, &publisher);
                                heard.handle(&db, &calls, &offer, slip, &batches).await
                            }
                            // The process stops.
                            Err(_) => Ending::Returned { pause_ms: 0 },
                        },
                        _ => Ending::Returned { pause_ms: NOT_YET.as_millis() as u64 },
                    };
                    // Those after it of its key wait for it, unless it was passed over.
                    goes_on &=
                        matches!(ending, Ending::Handled | Ending::Parked { passed: true, .. });
                    ended.push(offer.settled(ending));
                }
                ended
            });
        }
    }

    /// Waits for what is being handled, and gives back what is not.
    async fn end(self, mut hand: Hand) {
        let by = Instant::now() + ENDING;
        // What is taken now would not be handled.
        hand.taking = None;
        self.at_once.close();
        while let Ok(Some(ended)) = tokio::time::timeout_at(by, hand.handling.join_next()).await {
            hand.ended.extend(ended.unwrap_or_default());
        }
        hand.handling.shutdown().await;
        if let Some(settling) = hand.settling.take()
            && let Ok((settled, result)) = timeout(ENDING, settling).await
        {
            hand.settled(settled, result.is_ok());
        }
        let mut last: Vec<Settled> = hand.ended.drain(..).collect();
        for one in &last {
            hand.held.remove(&one.event);
        }
        let back = hand.held.into_iter().map(|(event, holder)| {
            let ending = Ending::Returned { pause_ms: 0 };
            Settled { event, holder, ending, replay: 0 }
        });
        last.extend(back);
        if last.is_empty() {
            return;
        }
        let told = timeout(ENDING, self.feed.settle(self.hearer.listener.to_string(), last)).await;
        if !matches!(told, Ok(Ok(()))) {
            let (module, publisher) = (&*self.hearer.listener, &*self.publisher);
            tracing::warn!(module, publisher, "events were not given back: their lease runs out");
        }
    }
}

impl Hand {
    /// The publisher was told, or is to be told again.
    fn settled(&mut self, settled: Vec<Settled>, told: bool) {
        for one in settled {
            if told {
                self.held.remove(&one.event);
            } else {
                self.ended.push_back(one);
            }
        }
    }
}

/// The pause before a publisher is asked that has failed to answer so often.
fn pause(failures: u32) -> Option<Duration> {
    failures.checked_sub(1).map(|failures| AGAIN.pause(failures))
}

async fn sleep_if(pause: Option<Duration>) {
    if let Some(pause) = pause {
        sleep(pause).await;
    }
}

/// What a future gives, if there is one.
async fn some<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
