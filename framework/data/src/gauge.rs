//! What a module's database shows of itself: how its pools are used, its durable work, and the listeners of its events.

use super::{
    Db, ModuleDatabase,
    events::{EventLedger, Lag},
    line::Line,
    work::{Ledger, Standing},
};
use futures_util::future::BoxFuture;
use std::fmt;

/// How a module uses a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFigures {
    /// `own`, or `read` and `write` where they are apart, or `shared`.
    pub name: &'static str,
    /// The connections that the module uses now.
    pub in_use: usize,
    /// Those that wait for a use. `None` of a shared pool, whose idle connections belong to no module.
    pub idle: Option<usize>,
    /// The most that the module uses at once.
    pub most: usize,
    /// Calls that wait for one.
    pub waiting: usize,
}

/// A module's database, whatever its driver.
pub trait Gauge: Send + Sync + fmt::Debug {
    /// How its pools are used.
    fn pools(&self) -> Vec<PoolFigures>;

    /// Its durable work, by kind. `None` if it has none. This asks the database.
    fn standing(&self) -> BoxFuture<'_, Result<Option<Vec<Standing>>, sqlx::Error>>;

    /// How far the listeners of its events are. `None` if it has none. This asks the database.
    fn lag(&self) -> BoxFuture<'_, Result<Option<Vec<Lag>>, sqlx::Error>>;
}

/// The database of a module that has been opened.
#[derive(Debug)]
pub(super) struct Opened<D: ModuleDatabase> {
    pub(super) db: Db<D>,
    pub(super) module: &'static str,
    pub(super) has_work: bool,
    pub(super) has_events: bool,
}

impl<D: ModuleDatabase> Gauge for Opened<D> {
    fn pools(&self) -> Vec<PoolFigures> {
        let Db { pool, line, writer, writer_line, .. } = &self.db;
        let figures = |name, line: &Line, idle| {
            let (in_use, waiting) = line.in_use();
            PoolFigures { name, in_use, idle, most: line.most(), waiting }
        };
        if line.is_shared() {
            return vec![figures("shared", line, None)];
        }
        let own = figures("own", line, Some(pool.num_idle()));
        if line.is_same(writer_line) {
            return vec![own];
        }
        let write = figures("write", writer_line, Some(writer.num_idle()));
        vec![PoolFigures { name: "read", ..own }, write]
    }

    fn standing(&self) -> BoxFuture<'_, Result<Option<Vec<Standing>>, sqlx::Error>> {
        Box::pin(async {
            match self.has_work {
                true => Ledger::of(self.db.clone(), self.module).standing().await.map(Some),
                false => Ok(None),
            }
        })
    }

    fn lag(&self) -> BoxFuture<'_, Result<Option<Vec<Lag>>, sqlx::Error>> {
        Box::pin(async {
            match self.has_events {
                true => EventLedger::of(self.db.clone(), self.module).lag().await.map(Some),
                false => Ok(None),
            }
        })
    }
}
