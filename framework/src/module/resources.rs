//! What a process has for its modules, and one module's view of it.

use super::{
    ModuleFacts, Tasks,
    databases::{self, Databases},
};
use crate::config::Settings;
use monolift_call::{Injector, inject::Provide, link::Links};
use std::{
    any::{Any, TypeId},
    collections::{BTreeSet, HashMap},
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
    /// What holds for the databases of all modules.
    pub(crate) databases: Arc<databases::Common>,
    /// Where the events of modules are taken from, by module.
    pub(crate) feeds: Arc<databases::Feeds>,
    /// Whether a call fails that holds a transaction while it asks for another connection or calls
    /// another module.
    pub(crate) strict: bool,
    /// The modules that lend transactions to others, or join those of others.
    pub(crate) shares: BTreeSet<String>,
}

impl Resources {
    pub(crate) fn shared<T: Send + Sync + 'static>(&self, module: &str) -> Option<Arc<T>> {
        let found = self.shared.get(&(module.to_owned(), TypeId::of::<T>()))?;
        Arc::clone(found).downcast().ok()
    }
}

/// What a process has for one of its modules.
pub(super) struct ForModule {
    pub(super) resources: Arc<Resources>,
    pub(super) tasks: Tasks,
    pub(super) databases: Databases,
}

impl ForModule {
    pub(super) fn new(facts: &ModuleFacts, resources: Arc<Resources>, tasks: Tasks) -> Self {
        let databases = databases::of(facts, &resources);
        Self { resources, tasks, databases }
    }

    /// What `injector` stands for.
    pub(super) fn of(injector: &Injector) -> &Self {
        injector.provided().expect("an injector is made by a process")
    }
}

impl Provide for ForModule {
    fn links(&self) -> &Links {
        &self.resources.links
    }

    fn get(&self, kind: TypeId) -> Option<&(dyn Any + Send + Sync)> {
        if kind == TypeId::of::<Self>() {
            Some(self)
        } else if kind == TypeId::of::<Databases>() {
            Some(&self.databases)
        } else {
            None
        }
    }
}
