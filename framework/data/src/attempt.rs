//! What a module does by itself: one attempt at a piece of durable work, or at handling an event.

use crate::call::{
    CallSettings, Context, Principal, Trace, chain, panic_text,
    polled::Polled,
    record::{Ended, Entry, Recording},
};
use futures_util::{FutureExt, future::BoxFuture};
use std::{error::Error, fmt::Display, panic::AssertUnwindSafe, time::Duration};
use tokio::time::{Instant, timeout};

/// What an attempt runs.
pub(crate) type Doing = BoxFuture<'static, Result<(), Box<dyn Error + Send + Sync>>>;

/// One attempt. It acts for the module itself, in a context of its own, until its deadline. A panic is a failure. It is
/// recorded as an entry of its own, in the trace that caused it.
pub(crate) struct Attempt<'a> {
    pub(crate) module: &'a str,
    /// The kind of work, or the event.
    pub(crate) kind: &'a str,
    pub(crate) deadline: Duration,
    /// The trace of the call that enqueued the work or published the event.
    pub(crate) trace: Option<Trace>,
    pub(crate) calls: &'a CallSettings,
}

/// Why an attempt failed.
pub(crate) struct Failed {
    pub(crate) error: String,
    /// The module whose call failed, when it was for that.
    pub(crate) at: Option<&'static str>,
}

/// The most bytes of an error that a row has.
const ERROR: usize = 16 * 1024;

/// An error as a row can have it. PostgreSQL refuses a NUL in a text.
pub(crate) fn storable(error: &str) -> String {
    let mut stored = error.replace('\0', "\u{fffd}");
    stored.truncate(stored.floor_char_boundary(ERROR));
    stored
}

impl Attempt<'_> {
    /// Makes it. `begin` reads what is to be done, and begins to do it.
    pub(crate) async fn make<E: Display>(
        &self,
        begin: impl FnOnce() -> Result<Doing, E>,
    ) -> Result<(), Failed> {
        let context = Context::until(Instant::now() + self.deadline)
            .with_principal(Principal::service(self.module));
        let context = match self.trace {
            Some(trace) => context.with_trace(trace),
            None => context.beginning(self.calls.sampling.start()),
        };
        let entry = || Entry::Work { module: self.module.to_owned(), kind: self.kind.to_owned() };
        let (context, recording) = match &self.calls.recorder {
            Some(recorder) => Recording::begin(recorder, context, entry),
            None => (context, None),
        };
        let ended = match begin() {
            Ok(doing) => self.make_in(context, doing).await,
            Err(error) => {
                let error = storable(&format!("it cannot be read: {error}"));
                Err(Failed { error, at: None })
            }
        };
        if let Some(recording) = recording {
            recording.end(if ended.is_ok() { Ended::Done } else { Ended::Failed });
        }
        ended
    }

    async fn make_in(&self, context: Context, doing: Doing) -> Result<(), Failed> {
        let span = context.recording().map_or(0, |recording| recording.root());
        let mut polled = Polled::work(self.module, self.kind);
        polled.record_as(span);
        let doing = polled.follow(AssertUnwindSafe(doing).catch_unwind());
        let error = match timeout(self.deadline, context.scope(doing)).await {
            Ok(Ok(Ok(()))) => polled.broken(),
            Ok(Ok(Err(error))) => Some(polled.broken().unwrap_or_else(|| chain(&*error))),
            Ok(Err(panic)) => Some(format!("it panicked: {}", panic_text(&*panic))),
            Err(_) => Some(format!("it took longer than {:?}", self.deadline)),
        };
        match error {
            None => Ok(()),
            Some(error) => Err(Failed { error: storable(&error), at: polled.failed_call() }),
        }
    }
}
