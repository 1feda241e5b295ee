//! Tests of one module or several, with fakes for the others, in every mode of calls.
//!
//! ```
//! use monolift::{CallError, InterfaceError, testing::{Mode, System, every_mode}};
//! # use std::sync::Arc;
//! # #[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize, schemars::JsonSchema, InterfaceError)]
//! # pub enum StockError { #[error(transparent)] Call(CallError) }
//! # #[monolift::interface(module = "stock")]
//! # pub trait Stock { async fn level(&self, sku: String) -> Result<u32, StockError>; }
//! struct Plenty;
//!
//! #[monolift::async_trait]
//! impl Stock for Plenty {
//!     async fn level(&self, _: String) -> Result<u32, StockError> {
//!         Ok(1000)
//!     }
//! }
//!
//! #[every_mode]
//! async fn there_is_plenty(mode: Mode) {
//!     let system = System::new(mode).fake::<dyn Stock>(Arc::new(Plenty)).start().await;
//!     let stock: StockClient = system.client();
//!     assert_eq!(stock.level("tea".into()).await.unwrap(), 1000);
//!     system.stop().await;
//! }
//! # monolift::testing::run(there_is_plenty(Mode::OverAConnection));
//! ```

use crate::Principal;

mod folder;
mod system;
#[cfg(test)]
#[cfg(not(feature = "http"))]
mod without_http;

pub use figment::value::Value as Setting;
pub use monolift_macros::every_mode;
pub use system::{Mode, RunningSystem, System};

/// A user of this name, for [`RunningSystem::client_as`]. Roles and scopes are added to it: `user("ada").with_role("staff")`.
pub fn user(name: &str) -> Principal {
    Principal::user(name)
}

/// Work of a module that no request has caused, for [`RunningSystem::client_as`].
pub fn service(module: &str) -> Principal {
    Principal::service(module)
}

/// Runs the body of a test on its own runtime.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a machine that runs tests has threads to spare");
    runtime.block_on(test);
}
