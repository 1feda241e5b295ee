//! `#[limit(n)]`: how many calls of one method run at once, in every mode alike.

use crate::support::{soon, within};
use monolift::{
    CallError, CallErrorKind, InterfaceError, RetryAdvice, async_trait,
    testing::{Mode, RunningSystem, System, every_mode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    future::{Future, poll_fn},
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
};

#[monolift::interface(module = "desk")]
pub trait Desk {
    /// Two at once; each ends when the test says so.
    #[limit(2)]
    async fn serve(&self, number: u32) -> Result<u32, DeskError>;

    /// No limit of its own.
    async fn ask(&self) -> Result<u32, DeskError>;
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum DeskError {
    #[error(transparent)]
    Call(CallError),
}

/// Calls in the order in which they began, and how many run.
struct Clerk {
    begun: watch::Sender<Vec<u32>>,
    running: watch::Sender<usize>,
    most: Mutex<usize>,
    finish: Semaphore,
}

impl Default for Clerk {
    fn default() -> Self {
        Self {
            begun: watch::Sender::new(Vec::new()),
            running: watch::Sender::new(0),
            most: Mutex::new(0),
            finish: Semaphore::new(0),
        }
    }
}

struct Running<'a>(&'a Clerk);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.send_modify(|running| *running -= 1);
    }
}

impl Clerk {
    async fn has_begun(&self, count: usize) {
        soon(self.begun.subscribe().wait_for(|begun| begun.len() == count)).await.unwrap();
    }

    async fn runs(&self, count: usize) {
        soon(self.running.subscribe().wait_for(|running| *running == count)).await.unwrap();
    }
}

#[async_trait]
impl Desk for Clerk {
    async fn serve(&self, number: u32) -> Result<u32, DeskError> {
        self.running.send_modify(|running| {
            *running += 1;
            let mut most = self.most.lock().unwrap();
            *most = (*most).max(*running);
        });
        let _running = Running(self);
        self.begun.send_modify(|begun| begun.push(number));
        self.finish.acquire().await.unwrap().forget();
        Ok(number)
    }

    async fn ask(&self) -> Result<u32, DeskError> {
        Ok(7)
    }
}

async fn system(mode: Mode) -> (RunningSystem, DeskClient, Arc<Clerk>) {
    let clerk = Arc::new(Clerk::default());
    let desk: Arc<dyn Desk> = Arc::<Clerk>::clone(&clerk);
    let one_connection = |manifest: &mut monolift_manifest::Manifest| {
        // Calls over several connections may overtake each other.
        manifest.calls.connections = Some(1);
        // A refused call is not made again, so that the test sees it.
        for process in manifest.processes.values_mut() {
            process.retries.attempts = 1;
        }
    };
    let system = System::new(mode).fake(desk).manifest(one_connection).start().await;
    let client = system.client();
    (system, client, clerk)
}

type Call = JoinHandle<Result<u32, DeskError>>;

/// Calls number `from` to `to`, each polled before the next one is made.
async fn calls(client: &DeskClient, from: u32, to: u32) -> Vec<Call> {
    let mut calls = Vec::new();
    for number in from..to {
        let client = client.clone();
        let mut call = Box::pin(async move { client.serve(number).await });
        poll_fn(|cx| {
            assert!(call.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        calls.push(tokio::spawn(call));
    }
    calls
}

fn call_error(answer: Result<u32, DeskError>) -> CallError {
    let Err(DeskError::Call(error)) = answer else { panic!("no call error: {answer:?}") };
    error
}

#[every_mode]
async fn calls_run_a_few_at_once_in_the_order_in_which_they_came(mode: Mode) {
    let (system, client, clerk) = system(mode).await;
    let calls = calls(&client, 0, 20).await;
    clerk.runs(2).await;
    // Another method of the same module is not held back.
    assert_eq!(soon(client.ask()).await.unwrap(), 7);
    for begun in 2..=20 {
        clerk.has_begun(begun).await;
        assert!(*clerk.most.lock().unwrap() <= 2);
        clerk.finish.add_permits(1);
    }
    clerk.finish.add_permits(1);
    for (number, call) in (0..).zip(calls) {
        assert_eq!(soon(call).await.unwrap().unwrap(), number);
    }
    let mut begun = clerk.begun.borrow().clone();
    if mode == Mode::OverAConnection {
        // Calls that arrive together are polled by several threads, and come into the line as those do.
        begun.sort_unstable();
    }
    assert_eq!(begun, (0..20).collect::<Vec<_>>());
    assert_eq!(*clerk.most.lock().unwrap(), 2);
    system.stop().await;
}

#[every_mode]
async fn a_caller_that_goes_away_frees_its_place(mode: Mode) {
    let (system, client, clerk) = system(mode).await;
    let mut calls = calls(&client, 0, 5).await;
    clerk.has_begun(2).await;
    let begun = clerk.begun.borrow().clone();
    let waits = (0..5).find(|number| !begun.contains(number)).unwrap();
    // One that waits, and one that runs.
    let (waits, runs) = (waits as usize, begun[0] as usize);
    calls[waits].abort();
    assert!((&mut calls[waits]).await.is_err());
    // Between processes its end is sent: an answer to a later call says that it has arrived.
    soon(client.ask()).await.unwrap();
    calls[runs].abort();
    clerk.has_begun(3).await;
    clerk.finish.add_permits(3);
    for (number, call) in calls.into_iter().enumerate() {
        if number != waits && number != runs {
            soon(call).await.unwrap().unwrap();
        }
    }
    system.stop().await;
}

#[every_mode]
async fn a_call_waits_until_its_deadline(mode: Mode) {
    let (system, client, clerk) = system(mode).await;
    let calls = calls(&client, 0, 2).await;
    clerk.has_begun(2).await;
    let late = within(Duration::from_millis(50)).scope(client.serve(2)).await;
    let error = call_error(late);
    assert_eq!(error.kind(), CallErrorKind::DeadlineExceeded);
    assert_eq!(error.call(), "desk.serve");
    // Between processes its end is sent: an answer to a later call says that it has arrived.
    soon(client.ask()).await.unwrap();
    clerk.finish.add_permits(3);
    for call in calls {
        soon(call).await.unwrap().unwrap();
    }
    // It left the line: the next call finds a place.
    assert_eq!(soon(client.serve(3)).await.unwrap(), 3);
    assert_eq!(*clerk.begun.borrow(), [0, 1, 3]);
    system.stop().await;
}

#[every_mode]
async fn beyond_the_line_a_call_is_refused_at_once(mode: Mode) {
    let (system, client, clerk) = system(mode).await;
    let most = 2 + 2 * 32;
    let calls = calls(&client, 0, most).await;
    clerk.has_begun(2).await;
    let refused = loop {
        // Over a connection, those before may not have arrived yet.
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.serve(999).await }
        });
        match tokio::time::timeout(Duration::from_millis(200), call).await {
            Ok(answer) => break call_error(answer.unwrap()),
            Err(_) => continue,
        }
    };
    assert_eq!(refused.kind(), CallErrorKind::Overloaded);
    assert_eq!(refused.call(), "desk.serve");
    assert!(matches!(refused.retry_advice(), Some(RetryAdvice::After(_))), "{refused:?}");
    clerk.finish.add_permits(1_000);
    for call in calls {
        if let Err(DeskError::Call(error)) = soon(call).await.unwrap() {
            // Over a connection, one of the calls of the loop may have come before it.
            assert_eq!(mode, Mode::OverAConnection);
            assert_eq!(error.kind(), CallErrorKind::Overloaded);
        }
    }
    assert_eq!(*clerk.most.lock().unwrap(), 2);
    assert_eq!(soon(client.serve(0)).await.unwrap(), 0);
    system.stop().await;
}
