//! What the shop's modules have stored, with names for what is random.

use super::processes::{Run, eventually};
use sqlx::{Any, AnyConnection, Connection, Row};
use std::collections::BTreeMap;

pub const MODULES: [&str; 6] = ["users", "stock", "orders", "payments", "notifications", "reports"];

/// The variable of a run with the URL by which tests read the tables of all modules, if they share a pool.
pub const ADMIN: &str = "TESTS_ADMIN_URL";

/// The databases of one run, as its environment has them.
pub struct Tables {
    urls: BTreeMap<String, String>,
    runtime: tokio::runtime::Runtime,
}

type Texts = Vec<Vec<String>>;

impl Tables {
    pub fn of(run: &Run) -> Self {
        sqlx::any::install_default_drivers();
        let url = |module: &str| {
            let key = format!("SHOP_{}__DB__URL", module.to_uppercase());
            let set = run.env.iter().find(|(name, _)| *name == key).map(|(_, url)| url.clone());
            // Where modules share a pool, they have no logins: see `ADMIN`.
            let admin = run.env.iter().find(|(name, _)| name == ADMIN);
            let admin = admin.map(|(_, url)| format!("{url}?options[search_path]={module}"));
            let file = || format!("sqlite://{}/{module}.db", run.data.display());
            (module.to_owned(), set.or(admin).unwrap_or_else(file))
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { urls: MODULES.into_iter().map(url).collect(), runtime }
    }

    /// The rows of a query, each column as text.
    pub fn rows(&self, module: &str, sql: &'static str) -> Texts {
        self.runtime.block_on(async {
            let mut connection = AnyConnection::connect(&self.urls[module]).await.unwrap();
            let rows = sqlx::query::<Any>(sql).fetch_all(&mut connection).await.unwrap();
            let cell = |row: &sqlx::any::AnyRow, at: usize| {
                let number = row.try_get::<i64, _>(at).map(|number| number.to_string());
                let text = || row.try_get::<Option<String>, _>(at).unwrap().unwrap_or_default();
                number.unwrap_or_else(|_| text())
            };
            let texts = rows.iter().map(|row| (0..row.len()).map(|at| cell(row, at)).collect());
            let texts = texts.collect();
            connection.close().await.unwrap();
            texts
        })
    }

    /// Waits until no durable work is left but what recurs, no event, and no order is undecided.
    pub fn settle(&self) {
        eventually("all work is done", || {
            let left = "SELECT name FROM monolift_work WHERE key IS NULL OR key <> 'recurring' \
                UNION ALL SELECT name FROM monolift_event_offers";
            let placing = "SELECT id FROM orders WHERE state = 'placing'";
            self.rows("orders", left).is_empty() && self.rows("orders", placing).is_empty()
        });
    }
}
