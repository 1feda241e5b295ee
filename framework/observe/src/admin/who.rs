//! Who asks for a change. Nothing proves a name: it is as given, and is for the log.

use super::AdminState;
use axum::{
    extract::FromRequestParts,
    http::{HeaderName, request::Parts},
};
use std::{convert::Infallible, sync::Arc};

/// The header with the name of the person.
const USER: HeaderName = HeaderName::from_static("x-monolift-user");
/// The longest name that is logged.
const LONGEST: usize = 64;

/// The name as given, and what the request was let in for.
#[derive(Debug)]
pub(super) struct Who(pub(super) String);

impl FromRequestParts<Arc<AdminState>> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AdminState>,
    ) -> Result<Self, Infallible> {
        let given = parts.headers.get(USER).and_then(|name| name.to_str().ok()).unwrap_or_default();
        let name: String = given.chars().filter(|one| !one.is_control()).take(LONGEST).collect();
        let name = if name.is_empty() { "somebody" } else { &name };
        let by = if state.token.is_some() { "with the token" } else { "on this machine" };
        Ok(Self(format!("{name} {by}")))
    }
}
