//! The interface of the module `profiles`.

use monolift_call::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Members' profiles.
#[monolift_call::interface]
pub trait Profiles {
    /// A member's profile.
    #[idempotent]
    async fn show(&self, member: i64) -> Result<Profile, ProfilesError>;

    /// Changes the profile of the member who asks.
    #[idempotent]
    async fn change(&self, member: i64, bio: String) -> Result<(), ProfilesError>;
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    pub name: String,
    pub bio: String,
}

#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ProfilesError {
    #[error("no profile")]
    #[status(404)]
    NoProfile,
    #[error("this profile is not yours")]
    #[status(403)]
    NotYours,
    #[error(transparent)]
    Call(CallError),
}
