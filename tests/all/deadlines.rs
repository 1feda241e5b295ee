//! Deadlines: there is always one, it shrinks on the way down, and every call ends by it.
//!
//! No subscriber is installed here: the time must travel without one.

use crate::support::{
    FirstClient, Obedient, SecondClient, ThirdClient, WorkerClient, WorkerError, call_error, chain,
    system_with, within,
};
use monolift::{
    CallErrorKind, Context, spawn,
    testing::{Mode, every_mode},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const SECOND: u64 = 1_000_000_000;

/// The time is that of the caller, less what the way has taken, and less on each hop.
fn shrinks(times: &[u64], hops: usize, from: Duration) {
    assert_eq!(times.len(), hops, "{times:?}");
    let from = from.as_nanos() as u64;
    assert!(times[0] < from && times[0] > from - 2 * SECOND, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] < pair[0]), "{times:?}");
}

#[every_mode]
async fn what_is_left_shrinks_from_hop_to_hop(mode: Mode) {
    let system = chain(mode, &Arc::default()).start().await;
    let (first, second, third, worker): (FirstClient, SecondClient, ThirdClient, WorkerClient) =
        (system.client(), system.client(), system.client(), system.client());
    let time = Duration::from_secs(4);
    shrinks(&within(time).scope(worker.times_left()).await.unwrap(), 1, time);
    shrinks(&within(time).scope(third.times_left()).await.unwrap(), 2, time);
    shrinks(&within(time).scope(second.times_left()).await.unwrap(), 3, time);
    shrinks(&within(time).scope(first.times_left()).await.unwrap(), 4, time);
    // At the edge, with no call around it: the manifest's default.
    shrinks(&first.times_left().await.unwrap(), 4, Duration::from_secs(5));
    // Every call below gets what is left of the one around it, and none begins anew.
    let both = async { [third.times_left().await.unwrap(), third.times_left().await.unwrap()] };
    let [earlier, later] = within(time).scope(both).await;
    assert!(later[0] < earlier[1], "{earlier:?} {later:?}");
    system.stop().await;
}

#[every_mode]
async fn an_overdue_call_is_the_callers_own_at_every_depth(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = chain(mode, &worker).start().await;
    let (first, third, bottom): (FirstClient, ThirdClient, WorkerClient) =
        (system.client(), system.client(), system.client());
    let time = Duration::from_millis(100);
    let ended = |answer: Result<(), WorkerError>, call: &str, start: Instant| {
        let error = call_error(answer);
        assert_eq!(error.kind(), CallErrorKind::DeadlineExceeded, "{error}");
        assert_eq!((error.call(), error.message()), (call, "the deadline passed"));
        // Less than the default of 5 s.
        assert!((time..Duration::from_secs(4)).contains(&start.elapsed()), "{:?}", start.elapsed());
    };
    let start = Instant::now();
    ended(within(time).scope(bottom.for_ever()).await, "worker.for_ever", start);
    let start = Instant::now();
    ended(within(time).scope(third.for_ever()).await, "third.for_ever", start);
    let start = Instant::now();
    ended(within(time).scope(first.for_ever()).await, "first.for_ever", start);
    // Nothing is left at work for a caller who has been told.
    worker.work.running(0).await;
    system.stop().await;
}

#[every_mode]
async fn a_call_from_nowhere_ends_by_the_default(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = chain(mode, &worker)
        .manifest(|manifest| manifest.calls.deadline = Duration::from_millis(50))
        .start()
        .await;
    let first: FirstClient = system.client();
    let error = call_error(first.for_ever().await);
    assert_eq!((error.kind(), error.call()), (CallErrorKind::DeadlineExceeded, "first.for_ever"));
    worker.work.running(0).await;
    system.stop().await;
}

#[every_mode]
async fn a_methods_own_deadline_counts_and_a_callers_shorter_one_wins(mode: Mode) {
    let system = system_with(mode, &Arc::default()).start().await;
    let worker: WorkerClient = system.client();
    assert!(worker.times_left_of_500_ms().await.unwrap()[0] <= SECOND / 2);
    let long = worker.times_left_of_60_s().await.unwrap()[0];
    assert!((50 * SECOND..=60 * SECOND).contains(&long), "{long}");

    let two = Duration::from_secs(2);
    let inner = within(two).scope(worker.times_left_of_60_s()).await.unwrap()[0];
    assert!(inner <= 2 * SECOND, "{inner}");
    let inner = within(two).scope(worker.times_left_of_500_ms()).await.unwrap()[0];
    assert!(inner <= SECOND / 2, "{inner}");
    system.stop().await;
}

#[every_mode]
async fn an_expired_call_is_not_started(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = system_with(mode, &worker).start().await;
    let client: WorkerClient = system.client();
    let late = call_error(within(Duration::ZERO).scope(client.echo("late".into())).await);
    assert_eq!((late.kind(), late.call()), (CallErrorKind::DeadlineExceeded, "worker.echo"));
    client.echo("in time".into()).await.unwrap();
    assert_eq!(*worker.echoed.lock().unwrap(), ["in time"]);
    system.stop().await;
}

#[every_mode]
async fn an_observed_deadline_ends_nothing_and_a_stated_one_does(mode: Mode) {
    let system = system_with(mode, &Arc::default())
        .manifest(|manifest| {
            manifest.calls.deadline = Duration::from_millis(20);
            manifest.calls.deadline_mode = monolift_manifest::DeadlineMode::Observe;
        })
        .start()
        .await;
    let worker: WorkerClient = system.client();
    assert_eq!(worker.echo_after("late".into(), 60).await.unwrap(), "late");
    assert!(worker.times_left_of_500_ms().await.unwrap()[0] <= SECOND / 2);
    let stated = within(Duration::from_millis(40)).scope(worker.for_ever()).await;
    assert_eq!(call_error(stated).kind(), CallErrorKind::DeadlineExceeded);
    system.stop().await;
}

#[every_mode]
async fn spawned_work_is_part_of_the_call_when_it_is_asked_to_be(mode: Mode) {
    let system = system_with(mode, &Arc::default()).start().await;
    let worker: WorkerClient = system.client();
    let other = worker.clone();
    let (part, apart) = within(Duration::from_secs(3))
        .with_idempotency_key("key")
        .scope(async move {
            let part = spawn(async move {
                let key = Context::current().unwrap().idempotency_key().map(str::to_owned);
                (worker.times_left().await.unwrap()[0], key)
            });
            let apart = tokio::spawn(async move {
                let key = Context::current().map(|_| "some".to_owned());
                (other.times_left().await.unwrap()[0], key)
            });
            (part.await.unwrap(), apart.await.unwrap())
        })
        .await;
    assert!(part.0 <= 3 * SECOND && apart.0 > 3 * SECOND, "{part:?} {apart:?}");
    assert_eq!((part.1.as_deref(), apart.1), (Some("key"), None));
    system.stop().await;
}
