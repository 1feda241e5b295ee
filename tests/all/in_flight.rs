//! Many more callers than a connection takes calls at once. A caller that waits although there is room
//! would wait until its deadline, which ends the test.

use crate::support::{Obedient, WorkerClient, WorkerError, soon, system_with, within};
use futures_util::future::join_all;
use monolift::testing::Mode;
use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::timeout;

/// How many calls, unless `MONOLIFT_CALLS` says otherwise.
const CALLS: usize = 3_000;
/// Far more than any of them takes that is not forgotten.
const DEADLINE: Duration = Duration::from_secs(30);

fn calls() -> usize {
    std::env::var("MONOLIFT_CALLS").ok().and_then(|calls| calls.parse().ok()).unwrap_or(CALLS)
}

/// One client's calls, several at once, all polled whenever one of them is woken. Some are given up, at
/// once or while they wait.
async fn call_on(client: WorkerClient, begun: Arc<AtomicUsize>, all: usize) {
    loop {
        let number = begun.fetch_add(4, Relaxed);
        if number >= all {
            return;
        }
        let call = async |number: usize| {
            let text = number.to_string();
            let call = within(DEADLINE).scope(client.echo_after(text.clone(), (number % 3) as u64));
            let answered: Result<String, WorkerError> = match number % 8 {
                5 => match given_up_after(number as u64 % 16, call).await {
                    Some(answered) => answered,
                    None => return,
                },
                _ => call.await,
            };
            assert_eq!(answered.unwrap(), text);
        };
        join_all((number..number + 4).map(call)).await;
    }
}

async fn given_up_after<T>(millis: u64, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    match futures_util::poll!(&mut call) {
        std::task::Poll::Ready(answered) => Some(answered),
        std::task::Poll::Pending => timeout(Duration::from_millis(millis), call).await.ok(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_call_waits_while_there_is_room_for_it() {
    for in_flight in [1, 4, 64] {
        let worker = Arc::new(Obedient::default());
        let system = system_with(Mode::OverAConnection, &worker)
            .manifest(move |manifest| {
                manifest.limits.in_flight = in_flight;
                manifest.calls.connections = Some(1);
            })
            .start()
            .await;
        let client: WorkerClient = system.client();
        client.echo("is there".into()).await.unwrap();
        let begun = Arc::<AtomicUsize>::default();
        // One at a time takes a while.
        let all = if in_flight == 1 { calls() / 4 } else { calls() };
        let clients: Vec<_> = (0..in_flight * 10)
            .map(|_| tokio::spawn(call_on(client.clone(), Arc::clone(&begun), all)))
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(soon(client.echo("still there".into())).await.unwrap(), "still there");
        system.stop().await;
    }
}
