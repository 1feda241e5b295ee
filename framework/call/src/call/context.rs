//! The context of a call: it travels by itself, down every call that a call makes.
//!
//! Inside a process it is a task-local; between processes it is in the envelope. Work that is
//! spawned takes it along with [`spawn`] or [`Context::scope`].

use super::{
    Origin, Principal, Statement, Trace, TraceState,
    access::Acting,
    baggage::{Baggage, Stated},
    clock::{self, CallSettings, clamp},
    polled,
    principal::Known,
    record::{self, Recording},
    rule::Rule,
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// The longest context that is carried to another process, in bytes; and what an entry takes beside its text,
/// and all that has a fixed length.
const LONGEST: usize = 8 * 1024;
const ENTRY: usize = 5;
const FIXED: usize = 64;

tokio::task_local! {
    static CURRENT: Context;
}

/// Who asks, until when, and as part of what.
#[derive(Debug, Clone)]
pub struct Context {
    pub(crate) deadline: Instant,
    pub(crate) trace: Trace,
    again: bool,
    /// Whether no request has caused it, and no module said whose work it is.
    own: bool,
    pub(crate) origin: Origin,
    /// What few calls carry, behind one pointer, so that the rest copy nothing.
    baggage: Option<Arc<Baggage>>,
    /// Where what this process does for the request is recorded.
    recording: Option<Arc<Recording>>,
    /// Whether the process that called records the request.
    recorded: bool,
    /// Whether the trace begins here: then its span is that of what is done here, and has no parent.
    begins: bool,
}

impl Context {
    /// The context of the call that is running, or `None` outside of any.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// A context for work that starts here, at the edge: a request that came in, a job.
    pub fn edge(settings: &CallSettings) -> Self {
        let deadline = settings.starting(clock::now(), None).deadline;
        Self::until(deadline).beginning(settings.sampling.start())
    }

    /// A new context that ends at `deadline`, clamped to [`super::MAX_DEADLINE`] from now.
    pub fn until(deadline: Instant) -> Self {
        let now = clock::now();
        let left = clamp(deadline.saturating_duration_since(now));
        Self { deadline: now + left, ..Self::starting(now) }
    }

    pub(crate) fn starting(deadline: Instant) -> Self {
        Self::received(deadline, Trace::start(), Origin::OWN)
    }

    /// The context of a call that came from another process.
    #[doc(hidden)]
    pub fn received(deadline: Instant, trace: Trace, origin: Origin) -> Self {
        Self {
            deadline,
            trace,
            again: false,
            own: false,
            origin,
            baggage: None,
            recording: None,
            recorded: false,
            begins: false,
        }
    }

    /// Whether this call, or a call that led to it, is a retry. Its own calls are not retried, so that
    /// retries do not multiply on the way down.
    pub fn is_again(&self) -> bool {
        self.again
    }

    /// The same, as a retry.
    #[doc(hidden)]
    #[must_use]
    pub fn made_again(mut self) -> Self {
        self.again = true;
        self
    }

    /// The instant by which the call ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(clock::now())
    }

    /// The trace that the call belongs to.
    pub fn trace(&self) -> Trace {
        self.trace
    }

    /// On whose behalf the call is made, when the edge said so.
    pub fn principal(&self) -> Option<&Principal> {
        Some(&self.known()?.principal)
    }

    #[inline]
    fn known(&self) -> Option<&Known> {
        self.baggage.as_ref()?.principal.get()
    }

    /// The same, to be kept.
    #[doc(hidden)]
    pub fn shared_principal(&self) -> Option<Arc<Principal>> {
        self.known().map(|known| Arc::clone(&known.principal))
    }

    /// Whether a rule lets this call through.
    #[inline]
    pub(super) fn satisfies(&self, rule: &'static Rule) -> bool {
        match self.known() {
            Some(known) => known.satisfies(rule),
            None if self.own => rule.lets_services(),
            None => rule.is_public(),
        }
    }

    /// Whether it is work of a program's own that no request has caused.
    #[doc(hidden)]
    pub fn is_own_work(&self) -> bool {
        self.own
    }

    /// The same, as work of a program's own.
    #[doc(hidden)]
    #[must_use]
    pub fn of_own_work(mut self) -> Self {
        self.own = true;
        self
    }

    /// The same, on behalf of the one that a client without a call around it acts for.
    pub(super) fn acting(self, acting: &Acting) -> Self {
        match acting {
            Acting::Own => self.of_own_work(),
            Acting::Anonymous => self,
            Acting::For(principal) => self.with_principal(principal.clone()),
        }
    }

    /// The key under which the edge's client may repeat its request.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.baggage.as_ref()?.idempotency_key.as_deref()
    }

    /// The same, with less time: a deadline never grows on the way down.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = self.deadline.min(deadline);
        self
    }

    /// The same, as part of `trace`.
    #[must_use]
    pub fn with_trace(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self.begins = false;
        self
    }

    /// The same, as the beginning of `trace`.
    #[doc(hidden)]
    #[must_use]
    pub fn beginning(self, trace: Trace) -> Self {
        Self { begins: true, ..self.with_trace(trace) }
    }

    /// Whether its trace begins here.
    #[doc(hidden)]
    pub fn begins_trace(&self) -> bool {
        self.begins
    }

    /// What other tracing systems said of the trace.
    #[doc(hidden)]
    pub fn trace_state(&self) -> Option<&TraceState> {
        self.baggage.as_ref()?.trace_state.as_ref()
    }

    /// The same, with what other tracing systems said of the trace.
    #[doc(hidden)]
    #[must_use]
    pub fn with_trace_state(mut self, state: Option<TraceState>) -> Self {
        if state.is_some() {
            self.baggage_mut().trace_state = state;
        }
        self
    }

    /// Where the call comes from.
    #[doc(hidden)]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The same, on behalf of this origin.
    #[doc(hidden)]
    #[must_use]
    pub fn of(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The origin of the call that is running.
    #[doc(hidden)]
    pub fn current_origin() -> Origin {
        Self::look(|context| context.origin).unwrap_or(Origin::OWN)
    }

    /// The same, on behalf of `principal`.
    #[must_use]
    pub fn with_principal(mut self, principal: Principal) -> Self {
        self.baggage_mut().principal = OnceLock::from(Known::new(principal));
        self
    }

    /// The same, on behalf of no one.
    #[doc(hidden)]
    #[must_use]
    pub fn without_principal(mut self) -> Self {
        if self.known().is_some() {
            self.baggage_mut().principal = OnceLock::new();
        }
        self
    }

    /// The principal as other processes are told of it, if that is known yet.
    #[doc(hidden)]
    pub fn statement(&self) -> Option<&Arc<Statement>> {
        self.known()?.statement.get()
    }

    /// The same, on behalf of this user of another process.
    #[doc(hidden)]
    #[must_use]
    pub fn with_stated(mut self, user: Stated) -> Self {
        let stated = user.into_baggage();
        match &mut self.baggage {
            None => self.baggage = Some(stated),
            Some(baggage) => Arc::make_mut(baggage).principal = stated.principal.clone(),
        }
        self
    }

    /// Whether the statement about its principal was known when the call was read.
    #[doc(hidden)]
    pub fn is_proven(&self) -> bool {
        self.known().is_some_and(|known| known.proven)
    }

    /// Keeps what other processes are told of the principal, for all calls of the request. The first one stays.
    #[doc(hidden)]
    pub fn keep_statement(&self, statement: Arc<Statement>) {
        if let Some(known) = self.known() {
            // It is there already if two calls were made at once.
            let _ = known.statement.set(statement);
        }
    }

    /// The same, with another statement about its principal. Without a principal it is as it was.
    #[doc(hidden)]
    #[must_use]
    pub fn with_statement(mut self, statement: Arc<Statement>) -> Self {
        if self.known().is_some()
            && let Some(known) = self.baggage_mut().principal.get_mut()
        {
            known.statement = OnceLock::from(statement);
        }
        self
    }

    /// The same, so that [`set_principal`](Self::set_principal) can set its principal later.
    #[must_use]
    pub fn with_room_for_a_principal(mut self) -> Self {
        self.baggage_mut();
        self
    }

    /// Says on whose behalf the current request is made. For code of an existing program that runs below the layer of
    /// `RunningApp::layer`, such as an extractor: the calls that the request makes from then on have this principal.
    ///
    /// Returns false, and changes nothing, if the request has a principal already, if a method of a module is running, or
    /// outside of that layer.
    pub fn set_principal(principal: Principal) -> bool {
        // A module's method could set it in this process only, so not even there.
        if polled::is_in_a_call() {
            return false;
        }
        let set = |baggage: &Arc<Baggage>| baggage.principal.set(Known::new(principal)).is_ok();
        Self::look(|context| context.baggage.as_ref().is_some_and(set)).unwrap_or(false)
    }

    /// The same, under an idempotency key.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.baggage_mut().idempotency_key = Some(key.into());
        self
    }

    /// Whether a frame can take what the context carries beside the payload of a call.
    #[doc(hidden)]
    pub fn is_carried(&self) -> bool {
        // Only baggage is of any length, and few calls have some.
        let Some(baggage) = &self.baggage else { return true };
        let principal = match self.statement() {
            Some(statement) => statement.entries.len(),
            None => self.principal().map_or(0, |principal| principal.size(ENTRY)),
        };
        let key = baggage.idempotency_key.as_ref().map_or(0, |key| key.len() + ENTRY);
        let state = baggage.trace_state.as_ref().map_or(0, |state| state.as_str().len() + ENTRY);
        FIXED + principal + key + state <= LONGEST
    }

    fn baggage_mut(&mut self) -> &mut Baggage {
        Arc::make_mut(self.baggage.get_or_insert_default())
    }

    /// The same, with what is done in this process recorded.
    #[doc(hidden)]
    #[must_use]
    pub fn with_recording(mut self, recording: Arc<Recording>) -> Self {
        self.recorded = true;
        self.recording = Some(recording);
        self
    }

    /// Where what this process does is recorded.
    #[doc(hidden)]
    pub fn recording(&self) -> Option<&Arc<Recording>> {
        self.recording.as_ref()
    }

    /// Whether the request is recorded, here or by the process that called.
    #[doc(hidden)]
    pub fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// The same, where the process that called records the request.
    #[doc(hidden)]
    #[must_use]
    pub fn recorded_by_caller(mut self) -> Self {
        self.recorded = true;
        self
    }

    /// The same, as a call that is about to leave the process carries it: its own span is its callee's parent. Outside of
    /// calls it is that of the request. What is not recorded has none, and leaves its caller's.
    #[doc(hidden)]
    #[must_use]
    pub fn outgoing(mut self) -> Self {
        if let Some(recording) = &self.recording {
            self.trace.span_id = polled::current_span().unwrap_or(recording.root());
        }
        self
    }

    /// Runs `work` as part of this call: the calls that it makes get what is left of the time.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        let recording = self.recording.clone();
        let scoped = CURRENT.scope(self, work);
        async move {
            let mut scoped = pin!(scoped);
            poll_fn(|cx| {
                let _recorded = recording.as_ref().map(record::Within::enter);
                scoped.as_mut().poll(cx)
            })
            .await
        }
    }

    /// Runs a function, such as one poll, as part of this call.
    #[doc(hidden)]
    pub fn enter<R>(self, work: impl FnOnce() -> R) -> R {
        let recording = self.recording.clone();
        let _recorded = recording.as_ref().map(record::Within::enter);
        CURRENT.sync_scope(self, work)
    }

    /// Reads the current context without a copy of it.
    #[doc(hidden)]
    pub fn look<R>(look: impl FnOnce(&Self) -> R) -> Option<R> {
        CURRENT.try_with(look).ok()
    }
}

/// Spawns `work` on tokio with the context of the call that is running, if there is one.
///
/// `tokio::spawn` starts work outside of every call; this carries the deadline, the trace, the
/// principal and the idempotency key on.
pub fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let Some(context) = Context::current() else { return tokio::spawn(work) };
    let mut polled = polled::Polled::branch();
    tokio::spawn(context.scope(async move { polled.follow(work).await }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn spawned_work_keeps_the_context() {
        let context = Context::edge(&CallSettings::default()).with_idempotency_key("k");
        let key = context
            .scope(async { spawn(async { Context::current() }).await.unwrap() })
            .await
            .unwrap();
        assert_eq!(key.idempotency_key(), Some("k"));
        assert!(tokio::spawn(async { Context::current() }).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_deadline_only_shrinks() {
        let context = Context::edge(&CallSettings::default());
        let at = context.deadline();
        assert_eq!(context.clone().with_deadline(at + Duration::from_secs(1)).deadline(), at);
        let sooner = at - Duration::from_secs(1);
        assert_eq!(context.with_deadline(sooner).deadline(), sooner);
    }
}
