//! A program without the feature `data`: no module has a database, and none does durable work.

use super::{Injector, ModuleFacts, Resources, StartError};
use crate::config::{Setting, Settings, SettingsErrors};
use futures_util::future::BoxFuture;
use monolift_manifest::Manifest;
use std::{any::TypeId, path::Path, sync::Arc};

/// A file's name and its text, as the macros embed it. It is not applied.
pub type Migration = (&'static str, &'static str);

/// There is none.
#[derive(Debug)]
pub enum WorkKind {}

/// An event that a module listens to. There is none.
#[derive(Debug)]
pub enum Heard {}

/// Where events are taken from: nowhere.
#[derive(Debug, Default)]
pub(crate) struct Feeds;

/// What a database is. There is none.
#[derive(Debug, Clone)]
pub(crate) enum Identity {}

impl Identity {
    pub(crate) fn is_same(&self, _: &Self) -> bool {
        match *self {}
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

/// What a field needs of a database. No field has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// The type of the pool that `main` can hand in.
    pub(crate) pool: TypeId,
    /// Opens it.
    pub(crate) open:
        for<'a> fn(&'a Injector, &'static str) -> BoxFuture<'a, Result<(), StartError>>,
}

/// A worker that works until what it is given is ready. There is none.
pub(super) type Working =
    Box<dyn FnOnce(BoxFuture<'static, ()>) -> BoxFuture<'static, ()> + Send + Sync>;

/// What holds for the databases of all modules. There are none.
#[derive(Debug)]
pub(crate) struct Common;

pub(crate) fn common(_: &Manifest) -> Common {
    Common
}

/// No database.
pub(super) struct Databases;

pub(super) fn of(_: &ModuleFacts, _: &Arc<Resources>) -> Databases {
    Databases
}

impl Databases {
    pub(super) fn worker(&self, _: Vec<WorkKind>) -> Option<Result<Working, String>> {
        None
    }

    pub(super) fn publish(&self, _: &'static str, _: &Arc<Feeds>) {}

    pub(super) fn listener(&self, _: Vec<Heard>, _: &Arc<Feeds>) -> Option<Working> {
        None
    }

    pub(super) fn identities(&self) -> Vec<Identity> {
        Vec::new()
    }

    pub(super) fn system(&self) -> Option<&'static str> {
        None
    }

    pub(super) fn described(&self) -> Vec<String> {
        Vec::new()
    }
}

/// No value that `main` hands in is a pool of a module's database.
pub(crate) fn pool_of(_: TypeId) -> Option<&'static str> {
    None
}

pub(crate) fn check(_: &Settings, _: &str) -> Result<(), SettingsErrors> {
    Ok(())
}

pub(crate) fn check_common(_: &Settings, _: &Manifest) -> Result<(), SettingsErrors> {
    Ok(())
}

pub(crate) fn in_force(_: &Settings, _: &Path, _: &Manifest, _: &str) -> [Setting; 0] {
    []
}
