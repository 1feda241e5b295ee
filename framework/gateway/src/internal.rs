//! A program's own response to an internal error, in place of the gateway's problem.

use super::REQUEST_ID;
use crate::call::Reference;
use axum::{Router, middleware::map_response, response::Response};
use std::sync::Arc;

/// Makes the response to an internal error that was logged under this number.
pub type OnInternalError = Arc<dyn Fn(Reference) -> Response + Send + Sync>;

/// The routes of `router`, with `respond` for what fails internally.
///
/// Only the response's `x-request-id` stays: its status, its headers and its body are those of `respond`.
pub fn with_internal_errors(router: Router, respond: OnInternalError) -> Router {
    router.layer(map_response(move |response: Response| {
        let respond = Arc::clone(&respond);
        async move {
            let Some(&reference) = response.extensions().get::<Reference>() else {
                return response;
            };
            let mut own = respond(reference);
            if let Some(id) = response.headers().get(REQUEST_ID) {
                own.headers_mut().insert(REQUEST_ID, id.clone());
            }
            own
        }
    }))
}
