//! Deadlines: there is always one, it shrinks on the way down, and every call ends by it.
//!
//! No subscriber is installed here: the time must travel without one.

use crate::support::{
    FirstClient, Obedient, SecondClient, ThirdClient, Worker, WorkerClient, WorkerError, chain,
};
use monolift::{
    CallErrorKind, Context, spawn,
    testing::{Mode, System, every_mode},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

fn within(time: Duration) -> Context {
    Context::until(Instant::now() + time)
}

fn shrinks(times: &[u64], from: u64) {
    assert!(times[0] <= from && times[0] + 2_000 > from, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] < pair[0]), "{times:?}");
}

#[every_mode]
async fn what_is_left_shrinks_from_hop_to_hop(mode: Mode) {
    let system = chain(mode, Arc::default()).start().await;
    let (first, second, third, worker): (FirstClient, SecondClient, ThirdClient, WorkerClient) =
        (system.client(), system.client(), system.client(), system.client());
    let one = within(Duration::from_secs(4)).scope(worker.time_left()).await.unwrap();
    shrinks(&[one], 4_000);
    let two = within(Duration::from_secs(4)).scope(third.times_left()).await.unwrap();
    assert_eq!(two.len(), 2);
    shrinks(&two, 4_000);
    let three = within(Duration::from_secs(4)).scope(second.times_left()).await.unwrap();
    shrinks(&three, 4_000);
    // At the edge, with no call around: the manifest's default.
    let four = first.times_left().await.unwrap();
    assert_eq!(four.len(), 4);
    shrinks(&four, 5_000);
    system.stop().await;
}

#[every_mode]
async fn an_overdue_call_is_the_callers_own_at_every_depth(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = chain(mode, Arc::clone(&worker)).start().await;
    let (first, third, bottom): (FirstClient, ThirdClient, WorkerClient) =
        (system.client(), system.client(), system.client());
    let time = Duration::from_millis(150);
    let ended = |answer: Result<(), WorkerError>, call: &str, start: Instant| {
        let Err(WorkerError::Call(error)) = answer else { panic!("no call error") };
        assert_eq!(error.kind(), CallErrorKind::DeadlineExceeded, "{error}");
        assert_eq!((error.call(), error.message()), (call, "the deadline passed"));
        assert!(start.elapsed() >= time, "{:?}", start.elapsed());
    };
    let start = Instant::now();
    ended(within(time).scope(bottom.for_ever()).await, "worker.for_ever", start);
    let start = Instant::now();
    ended(within(time).scope(third.for_ever()).await, "third.for_ever", start);
    let start = Instant::now();
    ended(within(time).scope(first.for_ever()).await, "first.for_ever", start);
    worker.work.stopped().await;
    system.stop().await;
}

#[every_mode]
async fn a_methods_own_deadline_counts_and_a_callers_shorter_one_wins(mode: Mode) {
    let system = System::new(mode).fake::<dyn Worker>(Arc::new(Obedient::default())).start().await;
    let worker: WorkerClient = system.client();
    assert!(worker.time_left_of_500().await.unwrap() <= 500);
    let long = worker.time_left_of_60_000().await.unwrap();
    assert!((50_000..=60_000).contains(&long), "{long}");
    let inner = within(Duration::from_secs(2)).scope(worker.time_left_of_60_000()).await.unwrap();
    assert!(inner <= 2_000, "{inner}");
    let inner = within(Duration::from_secs(2)).scope(worker.time_left_of_500()).await.unwrap();
    assert!(inner <= 500, "{inner}");
    system.stop().await;
}

#[every_mode]
async fn an_expired_call_is_not_started(mode: Mode) {
    let worker = Arc::new(Obedient::default());
    let system = System::new(mode).fake::<dyn Worker>(Arc::clone(&worker) as _).start().await;
    let client: WorkerClient = system.client();
    let late = within(Duration::ZERO).scope(client.echo("late".into())).await;
    assert!(matches!(late, Err(WorkerError::Call(error))
        if error.kind() == CallErrorKind::DeadlineExceeded));
    client.echo("in time".into()).await.unwrap();
    assert_eq!(*worker.calls.lock().unwrap(), ["in time"]);
    system.stop().await;
}

#[every_mode]
async fn an_observed_deadline_ends_nothing_and_a_stated_one_does(mode: Mode) {
    let system = System::new(mode)
        .fake::<dyn Worker>(Arc::new(Obedient::default()))
        .manifest(|manifest| {
            manifest.calls.deadline = Duration::from_millis(20);
            manifest.calls.deadline_mode = monolift_manifest::DeadlineMode::Observe;
        })
        .start()
        .await;
    let worker: WorkerClient = system.client();
    assert_eq!(worker.echo_after("late".into(), 80).await.unwrap(), "late");
    assert!(worker.time_left_of_500().await.unwrap() <= 500);
    system.stop().await;
}

#[every_mode]
async fn spawned_work_is_part_of_the_call_when_it_is_asked_to_be(mode: Mode) {
    let system = System::new(mode).fake::<dyn Worker>(Arc::new(Obedient::default())).start().await;
    let worker: WorkerClient = system.client();
    let other = worker.clone();
    let (part, apart) = within(Duration::from_secs(1))
        .scope(async move {
            let part = spawn(async move { worker.time_left().await });
            let apart = tokio::spawn(async move { other.time_left().await });
            (part.await.unwrap().unwrap(), apart.await.unwrap().unwrap())
        })
        .await;
    assert!(part <= 1_000 && apart > 1_000, "{part} {apart}");
    system.stop().await;
}
