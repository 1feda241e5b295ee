//! Modules: how they are described, injected and kept running.

#[cfg(feature = "data")]
pub(crate) mod databases;
#[cfg(not(feature = "data"))]
#[path = "no_databases.rs"]
pub(crate) mod databases;
mod facts;
mod inject;
mod lifecycle;
mod resources;
#[cfg(feature = "http")]
mod routes;
#[cfg(not(feature = "http"))]
#[path = "no_routes.rs"]
mod routes;
mod tasks;

pub(crate) use facts::OpenModule;
pub use facts::{
    FieldNeed, Module, ModuleEntry, ModuleFacts, RunningModule, is_declared, is_same, may_hear,
    modules,
};
pub use inject::{Shared, State};
pub(crate) use inject::{Wanted, missing_shared};
pub use lifecycle::Lifecycle;
pub use monolift_call::{
    StartError, StartErrors,
    inject::{Inject, Injector, Need},
};
pub use resources::Resources;
pub use routes::Router;
#[cfg(feature = "http")]
pub use routes::Routes;
pub use tasks::Tasks;
