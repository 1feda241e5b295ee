//! An interface and a module of a program that calls the framework `lift`.

use lift::{CallError, Config, Db, InterfaceError, Perform, Piece, Work, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::error::Error;
use thiserror::Error;

/// Notes.
#[lift::interface(module = "notes")]
pub trait Notes {
    /// Writes one down.
    #[http(PUT, "/notes/{id}", body = text)]
    #[idempotent]
    #[deadline("1s")]
    #[limit(4)]
    async fn put(
        &self,
        id: &str,
        #[schemars(length(max = 100))] text: String,
        #[serde(default)] pinned: bool,
    ) -> Result<Option<String>, NotesError>;
}

/// How a call of [`Notes`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum NotesError {
    /// There is none.
    #[error("no note {0}")]
    #[status(404)]
    Unknown(String),
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}

/// The module.
#[lift::module(name = "notes", provides = Notes, work = [Tidy])]
pub struct NotesModule {
    db: Db,
    work: Work,
    config: Config<NotesConfig>,
}

/// Its settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NotesConfig {
    prefix: String,
}

/// Its work.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tidy;

impl Piece for Tidy {
    const NAME: &'static str = "tidy";
}

#[async_trait]
impl Perform<Tidy> for NotesModule {
    async fn perform(&self, _: Tidy) -> Result<(), Box<dyn Error + Send + Sync>> {
        sqlx::query("DELETE FROM notes").execute(&mut *self.db.connection().await?).await?;
        Ok(())
    }
}

#[async_trait]
impl Notes for NotesModule {
    async fn put(
        &self,
        id: &str,
        text: String,
        pinned: bool,
    ) -> Result<Option<String>, NotesError> {
        let mut tx = self.db.write().await?;
        self.work.enqueue(&mut tx, &Tidy).await?;
        tx.commit().await?;
        Ok(pinned.then(|| format!("{}{id}: {text}", self.config.prefix)))
    }
}

/// A client, as another module has one.
pub async fn put_by(notes: &NotesClient) -> Result<Option<String>, NotesError> {
    notes.put("one", "text".to_owned(), true).await
}
