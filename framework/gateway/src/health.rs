//! Whether the process lives, and whether it can be sent work, for whoever runs it.

use crate::remote::Readiness;
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use serde::Serialize;
use tokio::sync::watch;

/// `/livez` and `/readyz`. A probe of the first restarts a process, of the second only keeps
/// requests away; so the first says nothing about others. Anyone may ask, so neither names a process or
/// an address: those are in the log.
pub fn health(readiness: watch::Receiver<Readiness>) -> Router {
    let ready = move || {
        let answer = answer(&readiness.borrow());
        async { answer }
    };
    Router::new().route("/livez", get(async || "ok")).route("/readyz", get(ready))
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    ready: bool,
    /// Modules.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    waiting_for: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopping: bool,
}

fn answer(readiness: &Readiness) -> impl IntoResponse + use<> {
    let ready = readiness.is_ready();
    let Readiness { missing, stopping, .. } = readiness;
    let report = Report { ready, waiting_for: missing, stopping: *stopping };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(serde_json::json!(report)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{get, json};
    use serde_json::json;

    #[tokio::test]
    async fn readiness_is_as_it_is_now() {
        let (now, readiness) = watch::channel(Readiness::default());
        let router = health(readiness);
        let ready = async || {
            let response = get(&router, "/readyz").await;
            (response.status().as_u16(), json(response).await)
        };
        assert_eq!(ready().await, (200, json!({ "ready": true })));
        let waits = "payments at 127.0.0.1:7104: connection refused".to_owned();
        now.send_modify(|readiness| {
            readiness.waiting_for.push(waits);
            readiness.missing.push("payments".to_owned());
        });
        // Where it is, is for the log.
        assert_eq!(ready().await, (503, json!({ "ready": false, "waiting_for": ["payments"] })));
        now.send_replace(Readiness { stopping: true, ..Readiness::default() });
        assert_eq!(ready().await, (503, json!({ "ready": false, "stopping": true })));
        assert_eq!(get(&router, "/livez").await.status(), 200);
    }
}
