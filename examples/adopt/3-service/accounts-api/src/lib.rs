//! What the club's own code offers to its modules.

use monolift_call::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The club's members.
#[monolift_call::interface]
pub trait Accounts {
    /// A member's name.
    #[idempotent]
    async fn name(&self, member: i64) -> Result<Option<String>, AccountsError>;
}

#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum AccountsError {
    #[error(transparent)]
    Call(CallError),
}
