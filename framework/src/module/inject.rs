//! What can be a field of a module, beside clients and databases; and what fields need of the process.

use super::{Tasks, databases, resources::ForModule};
use crate::config::{Config, Setting, Settings, SettingsErrors};
use monolift_call::{Inject, Injector, StartError, inject::Need, link::InterfaceEntry};
use serde::de::DeserializeOwned;
use std::{
    any::{TypeId, type_name},
    ops::Deref,
    sync::Arc,
};

/// How a module's section is looked at before the module is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SettingsNeed {
    /// What is wrong with it.
    pub(crate) check: fn(&Settings, &str) -> Result<(), SettingsErrors>,
    /// What can be in it, and what is.
    pub(crate) keys: fn(&Settings, &str) -> Vec<Setting>,
}

/// A value that `main` hands in.
#[derive(Debug, Clone, Copy)]
struct SharedNeed(TypeId, &'static str);

/// What a field needs, as the process looks at it.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// Nothing that could be missing.
    Nothing,
    /// A provider of this interface.
    Interface(InterfaceEntry),
    /// A section of settings that reads as the field's type.
    Settings(SettingsNeed),
    /// A value that `main` hands in.
    Shared(TypeId, &'static str),
    /// A database, also for durable work.
    Database(databases::Need),
}

impl From<Need> for Wanted {
    fn from(need: Need) -> Self {
        let other = match need {
            Need::Interface(entry) => return Self::Interface(entry),
            Need::Other(other) => other,
            _ => return Self::Nothing,
        };
        if let Some(need) = other.downcast_ref::<SettingsNeed>() {
            Self::Settings(*need)
        } else if let Some(SharedNeed(id, name)) = other.downcast_ref() {
            Self::Shared(*id, name)
        } else if let Some(need) = other.downcast_ref::<databases::Need>() {
            Self::Database(*need)
        } else {
            Self::Nothing
        }
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Inject for Config<T> {
    fn need() -> Need {
        Need::other(SettingsNeed {
            check: |settings, module| settings.module::<T>(module).map(drop),
            keys: |settings, module| settings.keys::<T>(module),
        })
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        let settings = &ForModule::of(injector).resources.settings;
        settings
            .module(injector.module())
            .map(Config::new)
            .map_err(|error| injector.error(error.to_string()))
    }
}

impl Inject for Tasks {
    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        Ok(ForModule::of(injector).tasks.clone())
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
        Need::other(SharedNeed(TypeId::of::<T>(), type_name::<T>()))
    }

    async fn inject(injector: &Injector) -> Result<Self, StartError> {
        let shared = ForModule::of(injector).resources.shared::<T>(injector.module());
        shared.map(Self).ok_or_else(|| injector.error(missing_shared(type_name::<T>())))
    }
}

pub(crate) fn missing_shared(type_name: &str) -> String {
    format!("main hands in no {type_name}: write `|app| app.share(\"module\", …)` where it starts")
}
