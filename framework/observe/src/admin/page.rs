//! The dashboard: a page, its style and its scripts, in the program. Nothing is loaded from elsewhere.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
    routing::get,
};

const PAGE: &str = include_str!("../../dashboard/index.html");
const STYLE: &str = include_str!("../../dashboard/style.css");
const SCRIPT: &str = include_str!("../../dashboard/script.js");
const WORK: &str = include_str!("../../dashboard/work.js");
const LOGS: &str = include_str!("../../dashboard/logs.js");
const ICON: &str = include_str!("../../dashboard/icon.svg");

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// No script, style or request but our own, in no frame of another site.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the page.
pub(super) fn page<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(async || file(PAGE, "text/html; charset=utf-8")))
        .route("/style.css", get(async || file(STYLE, "text/css; charset=utf-8")))
        .route("/script.js", get(async || file(SCRIPT, JAVASCRIPT)))
        .route("/work.js", get(async || file(WORK, JAVASCRIPT)))
        .route("/logs.js", get(async || file(LOGS, JAVASCRIPT)))
        .route("/icon.svg", get(async || file(ICON, "image/svg+xml")))
}

fn file(text: &'static str, kind: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text)
}
