//! Another process, as this one calls it: attempts at a call, and the verdict on each.

use super::{
    Thresholds,
    budget::Budget,
    connection::Unanswered,
    replica::Replica,
    replicas::{Chosen, Replicas},
    retry::{self, Again, Verdict},
    versions::Told,
};
use crate::{
    call::{CallError, CallErrorKind, clock, overdue, planted},
    interface::InterfaceDescriptor,
    wire::{
        self, Answer, Bounds, Carrier, Memory, Network, Outgoing, Peer, Socket, Statements, Tls,
    },
};
use futures_util::future::BoxFuture;
use monolift_manifest::{Address, Connect, Retries};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout_at},
};

/// Another process of the application, as this one calls it.
#[derive(Debug)]
pub struct Remote {
    whereabouts: Arc<Whereabouts>,
    replicas: Arc<Replicas>,
    budget: Budget,
    statements: Option<Arc<Statements>>,
}

/// Who calls whom, where, and within what bounds.
#[derive(Debug)]
pub struct Whereabouts {
    /// The process that is called, as the manifest names it.
    pub process: String,
    /// Where its replicas are found.
    pub connect: Connect,
    /// What connections are made over.
    pub network: Arc<dyn Network>,
    /// This process.
    pub us: Peer,
    /// The interfaces that this process was built with: what it can call, if the other side serves
    /// it.
    pub interfaces: Vec<&'static InterfaceDescriptor>,
    /// TLS over TCP. Without it, the names in the hello are unverified.
    pub tls: Option<Tls>,
    /// The bounds of frames.
    pub bounds: Bounds,
    /// How long the hello may take.
    pub hello: Duration,
    /// The calls that may be in flight on one connection; more wait, each until its deadline.
    pub in_flight: usize,
    /// What the calls are charged to, with the room for their answers.
    pub memory: Arc<Memory>,
    /// How often failed calls are retried.
    pub retries: Retries,
    /// When a replica counts as failing.
    pub thresholds: Thresholds,
}

/// The target of a replica's lanes.
#[derive(Debug)]
pub(super) struct ReplicaAddress {
    pub(super) address: Address,
    pub(super) whereabouts: Arc<Whereabouts>,
    /// Notified whenever a connection is made or ends.
    pub(super) news: watch::Sender<()>,
    /// The versions of the process that the log has told of, over all its replicas.
    pub(super) told: Arc<Told>,
}

/// An attempt without an answer of the module, and its replica.
struct Failed {
    error: CallError,
    verdict: Verdict,
    replica: Option<Arc<Replica>>,
    /// Whether the module may have done its work, in this attempt or in an earlier one.
    may_be_done: bool,
}

impl Failed {
    /// This failure followed by `next`. If the module may have run in an earlier attempt, the outcome stays unknown, even
    /// if the last attempt was not sent.
    fn then(self, next: Self) -> Self {
        if self.may_be_done && !next.may_be_done {
            Self { error: self.error, may_be_done: true, ..next }
        } else {
            next
        }
    }
}

impl Remote {
    /// Another process, with at most `connections` to each replica, made when they are first needed.
    pub fn new(whereabouts: Whereabouts, connections: usize) -> Self {
        let whereabouts = Arc::new(whereabouts);
        let budget = Budget::new(whereabouts.retries);
        let replicas = Replicas::new(Arc::clone(&whereabouts), connections);
        Self { whereabouts, replicas, budget, statements: None }
    }

    /// The same, with a gateway's word for the users that calls are made for.
    #[must_use]
    pub fn vouching(mut self, statements: Option<Arc<Statements>>) -> Self {
        self.statements = statements;
        self
    }

    /// The process that is called, as the manifest names it.
    pub fn process(&self) -> &str {
        &self.whereabouts.process
    }

    pub(super) fn replicas(&self) -> &Arc<Replicas> {
        &self.replicas
    }

    /// Where it is found.
    pub fn connect(&self) -> &Connect {
        &self.whereabouts.connect
    }

    /// Connects if there is no connection. Returns why there is none.
    pub async fn reach(&self) -> Result<(), CallError> {
        self.replicas.wait(None).await.map(|_| ())
    }

    /// Opens a connection that switches to HTTP, for a module's own routes.
    pub async fn dial_http(&self) -> Result<Socket, CallError> {
        let Chosen { connection, turn } = self.replicas.wait(None).await?;
        match (self.dial_http_at(connection.address()).await, turn) {
            (Err(_), Some(turn)) => {
                let other = self.replicas.wait(Some(&turn.replica)).await?;
                self.dial_http_at(other.connection.address()).await
            }
            (dialled, _) => dialled,
        }
    }

    async fn dial_http_at(&self, address: &Address) -> Result<Socket, CallError> {
        let Whereabouts { process, us, hello, tls, network, .. } = &*self.whereabouts;
        let failed = |error: &dyn std::fmt::Display| {
            CallError::new(
                CallErrorKind::Unreachable,
                format!("the process `{process}` cannot be reached at {address}: {error}"),
            )
        };
        let connecting = network.connect(address, tls.as_ref(), process);
        let connecting = tokio::time::timeout(*hello, connecting);
        let mut socket = match connecting.await {
            Ok(connected) => connected.map_err(|error| failed(&error))?,
            Err(elapsed) => return Err(failed(&elapsed)),
        };
        let greeted = wire::greet(&mut socket, &us.for_http(), *hello).await;
        greeted.map_err(|error| failed(&error))?;
        Ok(socket)
    }

    /// Makes one attempt at a call, if possible to a replica other than `other_than`.
    async fn attempt(
        &self,
        call: &Outgoing<'_>,
        other_than: Option<&Arc<Replica>>,
    ) -> Result<Answer, Failed> {
        let chosen = match self.replicas.choose(other_than) {
            Some(chosen) => Ok(chosen),
            None => {
                let waiting = self.replicas.wait(other_than);
                timeout_at(call.context.deadline(), waiting)
                    .await
                    .unwrap_or_else(|_| Err(overdue()))
            }
        };
        // Without a replica, this call has waited until each was tried.
        let Chosen { connection, turn } = chosen.map_err(|error| Failed {
            may_be_done: false,
            error,
            verdict: Verdict::Impossible,
            replica: None,
        })?;
        let attempt = connection.call(call).await;
        let verdict = Verdict::of(&attempt, &call.interface.methods[call.method].callee);
        let replica = turn.map(|turn| {
            let replica = Arc::clone(&turn.replica);
            self.replicas.learn(turn, verdict);
            replica
        });
        let error = match attempt {
            Ok(answer) if verdict == Verdict::Answered => return Ok(answer),
            Ok(answer) => answer.call_error().unwrap_or_else(|| self.lost(connection.address())),
            Err(Unanswered::NotSent) => self.not_sent(connection.address()),
            Err(Unanswered::Lost) => self.lost(connection.address()),
            Err(Unanswered::Overdue) => overdue(),
            Err(Unanswered::NoRoom) => unread(),
            Err(Unanswered::Impossible(error)) => error,
        };
        Err(Failed { error, verdict, replica, may_be_done: verdict.may_be_done() })
    }

    /// Makes further attempts at a call, after one that failed, as far as that is allowed.
    #[cold]
    async fn again(&self, mut call: Outgoing<'_>, mut failed: Failed) -> Result<Answer, CallError> {
        let idempotent = call.interface.methods[call.method].idempotent;
        // Within a retry, calls are not retried: the outer call is, if need be.
        let may_retry = !call.context.is_again() || planted!("retries-multiply");
        for attempts in 1..self.whereabouts.retries.attempts {
            match failed.verdict.again(idempotent) {
                Some(Again::Freely) => {}
                Some(Again::WithinBudget(least)) if may_retry => {
                    let pause =
                        retry::pause(self.whereabouts.thresholds.retry_pauses, attempts, least);
                    if pause >= call.context.remaining() || !self.budget.take(clock::now()) {
                        return Err(failed.error.after_attempts(attempts));
                    }
                    sleep(pause).await;
                    call.context = call.context.made_again();
                }
                _ => return Err(failed.error.after_attempts(attempts)),
            }
            match self.attempt(&call, failed.replica.as_ref()).await {
                Ok(answer) => return Ok(answer),
                Err(next) => failed = failed.then(next),
            }
        }
        Err(failed.error.after_attempts(self.whereabouts.retries.attempts))
    }

    /// The connection ended before the call was sent.
    fn not_sent(&self, address: &Address) -> CallError {
        let process = &self.whereabouts.process;
        CallError::new(
            CallErrorKind::Unreachable,
            format!(
                "the connection to the process `{process}` at {address} ended before the call \
                 was sent"
            ),
        )
    }

    /// The connection ended after the call was sent: whether the module ran is unknown.
    fn lost(&self, address: &Address) -> CallError {
        if planted!("lost-is-undone") {
            return self.not_sent(address);
        }
        let process = &self.whereabouts.process;
        CallError::new(
            CallErrorKind::Interrupted,
            format!(
                "the connection to the process `{process}` at {address} ended during the call; \
                 whether it was done is unknown"
            ),
        )
    }
}

/// The answer came and was dropped for want of memory: the module ran.
fn unread() -> CallError {
    CallError::new(
        CallErrorKind::Interrupted,
        "the call was answered, but its answer found no room in this process (limits.memory)",
    )
}

impl Carrier for Remote {
    fn bounds(&self) -> Bounds {
        self.whereabouts.bounds
    }

    fn carry<'a>(&'a self, mut call: Outgoing<'a>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async move {
            if let Some(statements) = &self.statements {
                statements.vouch(&mut call.context);
            }
            self.budget.count(clock::now());
            match self.attempt(&call, None).await {
                Ok(answer) => Ok(answer),
                Err(failed) => Box::pin(self.again(call, failed)).await,
            }
        })
    }
}
