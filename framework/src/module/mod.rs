//! Modules: how they are described, injected and kept running.

mod databases;
mod facts;
mod inject;
mod lifecycle;
mod resources;
mod routes;
mod start_error;
mod tasks;

pub use facts::{
    FieldNeed, Module, ModuleEntry, ModuleFacts, Running, is_declared, is_same, modules,
};
pub(crate) use inject::missing_shared;
pub use inject::{Inject, Need, SettingsNeed, Shared, State};
pub use lifecycle::Lifecycle;
pub use resources::{Injector, Resources};
pub use routes::{Router, Routes};
pub use start_error::{StartError, StartErrors};
pub use tasks::Tasks;
