//! What a process has for its modules, and one module's view of it.

use super::{Inject, ModuleFacts, StartError, Tasks, databases::Databases};
use crate::{
    config::Settings,
    data::{Db, ModuleDatabase},
    link::{Client, Links},
};
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
};

/// What a process has for its modules.
#[derive(Debug)]
pub struct Resources {
    /// The settings of all modules; each is given its own section.
    pub(crate) settings: Settings,
    /// What clients call through.
    pub(crate) links: Arc<Links>,
    /// What modules are bound to: the same, unless every call is to be encoded.
    pub(crate) served: Arc<Links>,
    /// What `main` handed in, for which module.
    pub(crate) shared: HashMap<(String, TypeId), Arc<dyn Any + Send + Sync>>,
    /// Where the embedded databases are.
    pub(crate) data: PathBuf,
    /// Whether a call fails that holds a transaction while it asks for another connection or calls
    /// another module.
    pub(crate) strict: bool,
}

impl Resources {
    pub(crate) fn shared<T: Send + Sync + 'static>(&self, module: &str) -> Option<Arc<T>> {
        let found = self.shared.get(&(module.to_owned(), TypeId::of::<T>()))?;
        Arc::clone(found).downcast().ok()
    }
}

/// One module's view of the process, while it is made.
#[derive(Debug, Clone)]
pub struct Injector {
    facts: &'static ModuleFacts,
    pub(super) resources: Arc<Resources>,
    pub(super) tasks: Tasks,
    pub(super) databases: Arc<Databases>,
    field: &'static str,
}

impl Injector {
    pub(super) fn new(
        facts: &'static ModuleFacts,
        resources: Arc<Resources>,
        tasks: Tasks,
        databases: Arc<Databases>,
    ) -> Self {
        Self { facts, resources, tasks, databases, field: "" }
    }

    /// Makes the value of one field.
    pub async fn field<T: Inject>(&self, name: &'static str) -> Result<T, StartError> {
        T::inject(&Self { field: name, ..self.clone() }).await
    }

    /// The module that is being made.
    pub fn module(&self) -> &'static str {
        self.facts.name
    }

    /// What is known of it.
    pub fn facts(&self) -> &'static ModuleFacts {
        self.facts
    }

    /// A client, for an [`Inject`] of yours that wraps one.
    pub fn client<C: Client>(&self) -> C {
        self.resources.links.client()
    }

    /// The module's database, opened when it is first asked for.
    pub async fn database<D: ModuleDatabase>(&self) -> Result<Db<D>, StartError> {
        self.databases.get(self).await
    }

    /// An error that names the module and the field.
    pub fn error(&self, message: impl Into<String>) -> StartError {
        StartError::new(message).of(self.facts.name, self.field)
    }
}
