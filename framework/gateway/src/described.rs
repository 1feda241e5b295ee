//! `/openapi.json` and `/docs`: what the gateway says of itself.

#[cfg(feature = "docs")]
use super::docs;
use super::{HttpEntry, openapi};
use crate::interface::InterfaceDescriptor;
use axum::{Router, http::header, response::IntoResponse, routing::get};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// The paths that the gateway takes for itself.
pub(super) fn described_paths() -> impl Iterator<Item = &'static str> {
    let paths = ["/openapi.json", "/livez", "/readyz"].into_iter();
    #[cfg(feature = "docs")]
    let paths = paths.chain(docs::PATHS);
    paths
}

/// The descriptions of the routed methods of all interfaces that are linked and that `serves` picks.
pub fn described(app: &str, serves: impl Fn(&'static InterfaceDescriptor) -> bool) -> Router {
    let linked = inventory::iter::<HttpEntry>.into_iter().map(HttpEntry::descriptor);
    let mut interfaces: Vec<&'static InterfaceDescriptor> =
        linked.filter(|descriptor| serves(descriptor)).collect();
    // What is linked comes in any order; the document is the same every time.
    interfaces.sort_by_key(|descriptor| (descriptor.module, descriptor.name));
    // It takes the schemas of all methods, and is asked for in few processes.
    let title = app.to_owned();
    let document = OnceLock::new();
    let make = move || Bytes::from(openapi::document(&title, &interfaces).to_string());
    let document = Arc::new(move || document.get_or_init(&make).clone());
    let answer_json = move || {
        let json = document();
        async { ([(header::CONTENT_TYPE, "application/json")], json).into_response() }
    };
    let router = Router::new().route("/openapi.json", get(answer_json));
    #[cfg(feature = "docs")]
    let router = router.merge(docs::router(app));
    router
}
