//! The interface of the module `notifications`.

use monolift_call::{CallError, InterfaceError, Page};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::UserId;
use thiserror::Error;

/// What was sent to whom.
#[monolift_call::interface]
pub trait Notifications {
    /// What was sent to a customer, by id. For themselves.
    #[http(GET, "/notifications")]
    #[idempotent]
    #[auth(user)]
    async fn sent_to(
        &self,
        user: UserId,
        #[serde(default)]
        #[schemars(length(max = 200))]
        after: Option<String>,
        #[serde(default)]
        #[schemars(range(min = 1, max = 100))]
        limit: Option<u32>,
    ) -> Result<Page<Sent>, NotificationsError>;
}

/// Something that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Which one it is.
    pub id: String,
    /// What it said.
    pub subject: String,
    /// When it was sent, in milliseconds since 1970.
    pub sent_at_ms: i64,
}

/// How a call of [`Notifications`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum NotificationsError {
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}
