//! The order in which callers get the connections of a pool.

use super::tx::ask;
use crate::call::{
    Context, Origin,
    turns::{Place, Turns},
};
use sqlx::{Database, Pool};
use std::sync::Arc;
use tokio::sync::watch;

/// The order in which callers get the connections of a pool.
///
/// On a shared pool a caller waits for two places: first for one of its module's, where the origins of calls take
/// turns, then for one of the pool's, where the modules take turns. All callers take them in this order, so they do
/// not wait for each other in a circle.
#[derive(Debug, Clone)]
pub(super) struct Line {
    own: Arc<Turns>,
    most: usize,
    shared: Option<(Arc<Turns>, Origin)>,
    ended: watch::Sender<()>,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Places {
    _shared: Option<Place>,
    _own: Place,
    ended: watch::Sender<()>,
}

impl Drop for Places {
    fn drop(&mut self) {
        self.ended.send_replace(());
    }
}

impl Line {
    /// For a pool of the module's own: as many places as it has connections.
    pub(super) fn of<D: Database>(pool: &Pool<D>) -> Self {
        Self::with(pool.options().get_max_connections(), None)
    }

    /// For a module that uses at most `connections` of a pool at once, whose places are `shared`.
    pub(super) fn sharing(connections: u32, shared: Arc<Turns>, module: Origin) -> Self {
        Self::with(connections, Some((shared, module)))
    }

    fn with(connections: u32, shared: Option<(Arc<Turns>, Origin)>) -> Self {
        let (own, most) = (places(connections), connections as usize);
        Self { own, most, shared, ended: watch::Sender::new(()) }
    }

    /// Changes when a transaction has ended, or the use of a connection without one.
    pub(super) fn ended(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// How many places are taken, and how many callers wait.
    pub(super) fn in_use(&self) -> (usize, usize) {
        (self.most.saturating_sub(self.own.free()), self.own.waiting())
    }

    /// How many places there are.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether its pool is one that modules share.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Whether both are one line.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.own, &other.own)
    }

    /// Waits until it is the turn of the call that is running.
    pub(super) async fn wait(&self) -> Result<Places, sqlx::Error> {
        ask()?;
        let own = in_turn(&self.own, Context::current_origin()).await;
        let shared = match &self.shared {
            None => None,
            Some((turns, module)) => Some(in_turn(turns, *module).await),
        };
        Ok(Places { _shared: shared, _own: own, ended: self.ended.clone() })
    }
}

/// Places for connections. Calls beyond them wait, as many as run.
pub(super) fn places(connections: u32) -> Arc<Turns> {
    Turns::new(connections as usize, usize::MAX)
}

async fn in_turn(turns: &Arc<Turns>, origin: Origin) -> Place {
    turns.wait(origin).expect("there is room for any number of calls").await
}
