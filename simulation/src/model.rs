//! What runs in the simulation: a ledger of which there are three replicas over one book, and a desk
//! of which there are two, which passes on what its clients want. A call of a client is two hops.

use crate::history::{Event, History};
use load::Random;
use monolift_call::{CallError, CallErrorKind, Context, InterfaceError, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{sync::Mutex, time::Duration};
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// Lines of a book.
#[monolift_call::interface(module = "ledger")]
pub trait Ledger {
    /// Adds a line. Doing it twice adds two.
    async fn append(&self, operation: u64) -> Result<(), LedgerError>;

    /// Sees to it that there is a line.
    #[idempotent]
    async fn put(&self, operation: u64) -> Result<(), LedgerError>;
}

/// Where clients have lines written.
#[monolift_call::interface(module = "desk")]
pub trait Desk {
    /// Adds a line. Doing it twice adds two.
    async fn append(&self, operation: u64) -> Result<(), LedgerError>;

    /// Sees to it that there is a line.
    #[idempotent]
    async fn put(&self, operation: u64) -> Result<(), LedgerError>;
}

#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum LedgerError {
    #[error(transparent)]
    Call(CallError),
}

/// What a ledger is like.
#[derive(Debug, Clone)]
pub(crate) struct Temper {
    /// How long a call takes, at most, nearly always.
    pub(crate) usual: Duration,
    /// How long one in twenty takes, at most.
    pub(crate) rare: Duration,
    /// One in so many fails, before or after its line was written; none if 0.
    pub(crate) fails: u64,
}

/// One replica of the ledger.
pub(crate) struct Clerk {
    pub(crate) history: History,
    pub(crate) temper: Temper,
    pub(crate) random: Mutex<Random>,
}

impl Clerk {
    async fn write(&self, operation: u64, once: bool) -> Result<(), LedgerError> {
        let deadline = Context::current().expect("a call has a context").deadline();
        let _work = Work { history: self.history.clone(), operation, deadline };
        let left = deadline.saturating_duration_since(Instant::now());
        self.history.note(Event::Begun { operation, left });
        let (before, after, fails) = {
            let mut random = self.random.lock().expect("nobody panics with it");
            let most = if random.one_in(20) { self.temper.rare } else { self.temper.usual };
            let fails = self.temper.fails > 0 && random.one_in(self.temper.fails);
            (random.up_to(most), random.up_to(most), fails.then(|| random.one_in(2)))
        };
        if planted("acknowledges-first") {
            let history = self.history.clone();
            tokio::spawn(async move {
                sleep(before).await;
                history.write(operation, once);
            });
            return Ok(());
        }
        let once = once && !planted("puts-twice");
        sleep(before).await;
        if fails == Some(true) {
            return Err(failure());
        }
        self.history.write(operation, once);
        sleep(after).await;
        if fails == Some(false) { Err(failure()) } else { Ok(()) }
    }
}

/// Whether the ledger is to make this mistake.
fn planted(mistake: &str) -> bool {
    std::env::var("MONOLIFT_PLANTED").is_ok_and(|chosen| chosen == mistake)
}

fn failure() -> LedgerError {
    LedgerError::Call(CallError::new(CallErrorKind::Internal, "the clerk has slipped"))
}

#[async_trait]
impl Ledger for Clerk {
    async fn append(&self, operation: u64) -> Result<(), LedgerError> {
        self.write(operation, false).await
    }

    async fn put(&self, operation: u64) -> Result<(), LedgerError> {
        self.write(operation, true).await
    }
}

/// Work under way. It says when it has stopped after its time was over.
struct Work {
    history: History,
    operation: u64,
    deadline: Instant,
}

impl Drop for Work {
    fn drop(&mut self) {
        // A host that crashes has no time.
        if !self.history.is_crashing() {
            let late = Instant::now().saturating_duration_since(self.deadline);
            self.history.note(Event::Stopped { operation: self.operation, late });
        }
    }
}

/// One replica of the desk.
pub(crate) struct Front {
    pub(crate) ledger: LedgerClient,
}

#[async_trait]
impl Desk for Front {
    async fn append(&self, operation: u64) -> Result<(), LedgerError> {
        self.ledger.append(operation).await
    }

    async fn put(&self, operation: u64) -> Result<(), LedgerError> {
        self.ledger.put(operation).await
    }
}

/// Puts a process of the simulation together.
pub(crate) mod process {
    use super::{Desk, Ledger};
    use crate::network::{Listening, PORT, Simulated};
    use monolift_call::link::{Interface, Link};
    use monolift_manifest::{Address, Connect, Retries};
    use monolift_seam::{
        remote::{Remote, Whereabouts},
        serve::{Directory, Limits, Server},
        wire::{Bounds, Listener, Peer},
    };
    use std::{sync::Arc, time::Duration};

    pub(crate) const APP: &str = "simulation";

    /// A client of an interface, which is served on these hosts.
    pub(crate) fn client<I: Interface + ?Sized>(us: &str, hosts: &[&str]) -> I::Client {
        let address = |host: &&str| Address::Tcp(format!("{}:{PORT}", turmoil::lookup(*host)));
        let whereabouts = Whereabouts {
            process: I::MODULE.to_owned(),
            connect: Connect::Addresses(hosts.iter().map(address).collect()),
            network: Arc::new(Simulated),
            us: Peer::new(APP, us, Bounds::default()),
            interfaces: vec![<dyn Ledger>::descriptor(), <dyn Desk>::descriptor()],
            tls: None,
            bounds: Bounds::default(),
            hello: Duration::from_secs(5),
            in_flight: 256,
            memory: Arc::default(),
            retries: Retries::default(),
            thresholds: Default::default(),
        };
        let link = Link::<I>::unbound(Arc::default());
        // Which of several lanes a thread takes depends on the thread.
        link.bind_carrier(Arc::new(Remote::new(whereabouts, 1)));
        I::client(link)
    }

    /// Serves an interface on the host that this runs on.
    pub(crate) async fn serve<I: Interface + ?Sized>(
        module: Arc<I>,
        limits: Limits,
    ) -> std::io::Result<Server> {
        let listener = Listener::Other(Box::new(Listening::here().await?));
        let directory = Directory::new(vec![Arc::new(Link::to(module))], Box::new(|_, _, _| true));
        let us = Peer::new(APP, I::MODULE, Bounds::default());
        Ok(Server::start(listener, us, directory, limits, Arc::default(), None))
    }
}
