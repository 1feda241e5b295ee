//! `/openapi.json` and `/docs`: what the gateway says of itself.

use super::{HttpEntry, docs, openapi};
use crate::interface::InterfaceDescriptor;
use axum::{
    Router,
    http::header,
    response::{Html, IntoResponse},
    routing::get,
};
use bytes::Bytes;

/// The paths that the gateway takes for itself.
pub(super) const PATHS: [&str; 4] = ["/openapi.json", "/docs", "/livez", "/readyz"];

/// The descriptions of the routed methods of all interfaces that are linked and that `serves` picks.
pub fn described(app: &str, serves: impl Fn(&'static InterfaceDescriptor) -> bool) -> Router {
    let linked = inventory::iter::<HttpEntry>.into_iter().map(HttpEntry::descriptor);
    let mut interfaces: Vec<&'static InterfaceDescriptor> =
        linked.filter(|descriptor| serves(descriptor)).collect();
    // What is linked comes in any order; the document is the same every time.
    interfaces.sort_by_key(|descriptor| (descriptor.module, descriptor.name));
    let document = openapi::document(app, &interfaces);
    let page = Bytes::from(docs::page(&document));
    let json = Bytes::from(document.to_string());
    let answer_json = move || {
        let json = json.clone();
        async { ([(header::CONTENT_TYPE, "application/json")], json).into_response() }
    };
    let answer_page = move || {
        let page = page.clone();
        async { Html(page) }
    };
    Router::new().route("/openapi.json", get(answer_json)).route("/docs", get(answer_page))
}
