//! Modules: how they are described, injected and kept running.

mod facts;
mod inject;
mod lifecycle;
mod resources;
mod routes;
mod tasks;

pub use facts::{
    FieldNeed, Module, ModuleEntry, ModuleFacts, RunningModule, is_declared, is_same, modules,
};
pub use inject::{Shared, State};
pub(crate) use inject::{Wanted, missing_shared};
pub use lifecycle::Lifecycle;
pub use monolift_call::{
    StartError, StartErrors,
    inject::{Inject, Injector, Need},
};
pub use resources::Resources;
pub(crate) use resources::source;
pub use routes::{Router, Routes};
pub use tasks::Tasks;
