//! The order in which callers get the connections of a pool.

use super::tx::ask;
use crate::call::{
    Context, Origin,
    turns::{Place, Turns},
};
use sqlx::{Database, Pool};
use std::sync::Arc;

/// The order in which callers get the connections of a pool.
///
/// On a shared pool a caller waits for two places: first for one of its module's, where the origins of calls take
/// turns, then for one of the pool's, where the modules take turns. All callers take them in this order, so they do
/// not wait for each other in a circle.
#[derive(Debug, Clone)]
pub(super) struct Line {
    own: Arc<Turns>,
    shared: Option<(Arc<Turns>, Origin)>,
}

/// The right to one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Places {
    _shared: Option<Place>,
    _own: Place,
}

impl Line {
    /// For a pool of the module's own: as many places as it has connections.
    pub(super) fn of<D: Database>(pool: &Pool<D>) -> Self {
        Self { own: places(pool.options().get_max_connections()), shared: None }
    }

    /// For a module that uses at most `connections` of a pool at once, whose places are `shared`.
    pub(super) fn sharing(connections: u32, shared: Arc<Turns>, module: Origin) -> Self {
        Self { own: places(connections), shared: Some((shared, module)) }
    }

    /// Waits until it is the turn of the call that is running.
    pub(super) async fn wait(&self) -> Result<Places, sqlx::Error> {
        ask()?;
        let own = in_turn(&self.own, Context::current_origin()).await;
        let shared = match &self.shared {
            None => None,
            Some((turns, module)) => Some(in_turn(turns, *module).await),
        };
        Ok(Places { _shared: shared, _own: own })
    }
}

/// Places for connections. Calls beyond them wait, as many as run.
pub(super) fn places(connections: u32) -> Arc<Turns> {
    Turns::new(connections as usize, usize::MAX)
}

async fn in_turn(turns: &Arc<Turns>, origin: Origin) -> Place {
    turns.wait(origin).expect("there is room for any number of calls").await
}
