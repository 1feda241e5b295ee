//! PostgreSQL, with the feature `postgres`.

use crate::{
    Backend, ModuleDatabase,
    driver::{compiled_here, driver},
};
use sqlx::{Pool, Postgres};

impl ModuleDatabase for Postgres {
    fn backend(_: &Pool<Self>) -> Backend {
        Backend::Postgres
    }

    fn speaks(backend: Backend) -> bool {
        backend == Backend::Postgres
    }

    compiled_here!();
}

driver!(Postgres);
