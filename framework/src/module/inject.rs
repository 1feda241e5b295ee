//! Injection: one implementation for each kind of thing that a module can ask for.

use super::{Injector, StartError, Tasks};
use crate::{
    config::{Config, Setting, Settings, SettingsErrors},
    data::{Db, DbSettings, ModuleDatabase, work::Work},
    link::InterfaceEntry,
};
use serde::de::DeserializeOwned;
use std::{
    any::{TypeId, type_name},
    future::Future,
    ops::Deref,
    sync::Arc,
};

/// What can be a field of a module.
///
/// The process looks at what every module needs before it makes the first one, so that what is
/// missing is said while nothing has been touched.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a module",
    label = "this cannot be injected",
    note = "a module's fields are clients of interfaces, `Db`, `Config<T>`, `State<T>`, `Shared<T>`, `Work`, `Tasks`, or a type of yours that implements `monolift::Inject`"
)]
pub trait Inject: Sized + Send {
    /// The module that this calls, when it is a client.
    const CALLS: Option<&'static str> = None;

    /// What must be there.
    fn need() -> Need {
        Need::Nothing
    }

    /// Makes it for the field and the module that `injector` stands for.
    fn inject(injector: &Injector) -> impl Future<Output = Result<Self, StartError>> + Send;
}

/// What a field needs to be there.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Need {
    /// Nothing that could be missing.
    Nothing,
    /// A provider of this interface.
    Interface(InterfaceEntry),
    /// A section of settings that reads as the field's type.
    Settings(SettingsNeed),
    /// A value that `main` hands in.
    Shared(TypeId, &'static str),
    /// A database.
    Database,
    /// A database with a table for durable work.
    Work,
}

/// How a module's section is looked at before the module is made.
#[derive(Debug, Clone, Copy)]
pub struct SettingsNeed {
    /// What is wrong with it.
    pub check: fn(&Settings, &str) -> Result<(), SettingsErrors>,
    /// What can be in it, and what is.
    pub keys: fn(&Settings, &str) -> Vec<Setting>,
}

impl Need {
    /// Whether the settings of `module` say rightly where its database is.
    pub(crate) fn database_settings(
        settings: &Settings,
        module: &str,
    ) -> Result<(), SettingsErrors> {
        settings.group::<DbSettings>(module, "db").map(drop)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Inject for Config<T> {
    fn need() -> Need {
        Need::Settings(SettingsNeed {
            check: |settings, module| settings.module::<T>(module).map(drop),
            keys: |settings, module| settings.keys::<T>(module),
        })
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        let settings = &injector.resources.settings;
        settings
            .module(injector.module())
            .map(Config::new)
            .map_err(|error| injector.error(error.to_string()))
    }
}

impl<D: ModuleDatabase> Inject for Db<D> {
    fn need() -> Need {
        Need::Database
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        injector.database::<D>().await
    }
}

impl<D: ModuleDatabase> Inject for Work<D> {
    fn need() -> Need {
        Need::Work
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        injector.databases.work::<D>(injector).await
    }
}

impl Inject for Tasks {
    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        Ok(injector.tasks.clone())
    }
}

/// State of a module's own, made by `Default`: one for each process that runs the module.
#[derive(Debug, Default)]
pub struct State<T>(Arc<T>);

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Default + Send + Sync + 'static> Inject for State<T> {
    async fn inject(_: &Injector) -> Result<Self, StartError> {
        Ok(Self::default())
    }
}

/// Something that `main` hands in, for this module alone: an SDK's client, a mailer.
#[derive(Debug)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// One made by hand, as for a test.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Inject for Shared<T> {
    fn need() -> Need {
        Need::Shared(TypeId::of::<T>(), type_name::<T>())
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        let shared = injector.resources.shared::<T>(injector.module());
        shared.map(Self).ok_or_else(|| injector.error(missing_shared(type_name::<T>())))
    }
}

pub(crate) fn missing_shared(type_name: &str) -> String {
    format!("main hands in no {type_name}: write `|app| app.share(\"module\", …)` where it starts")
}
