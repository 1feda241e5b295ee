//! Requests to a gateway: their path, query and body.

use crate::{
    desk::{Clerk, Desk},
    runtime::block_on,
};
use axum::{
    Router,
    body::Body,
    http::{Request, Uri, header},
};
use monolift_call::{call::CallSettings, link::Links};
use monolift_seam::wire::{Bounds, Memory};
use std::sync::Arc;
use tower::ServiceExt;

/// The longest body that the gateway takes here.
const FRAME: Bounds = Bounds { bytes: 256 * 1024, nesting: 32 };

thread_local! {
    static GATEWAY: (Router, Arc<Memory>) = gateway();
}

fn gateway() -> (Router, Arc<Memory>) {
    let settings = Arc::new(CallSettings::default());
    let links = Links::new(Arc::clone(&settings));
    links.link::<dyn Desk>().bind(Arc::new(Clerk));
    let memory = Arc::default();
    let ours = |interface: &_| is_ours(interface);
    let routes = monolift_gateway::routes(&links, &settings, FRAME, &memory, &Arc::default(), ours);
    (routes.expect("the routes fit each other"), memory)
}

fn is_ours(interface: &monolift_call::interface::InterfaceDescriptor) -> bool {
    interface.module == "desk"
}

/// Sends a request. No request may end in an internal error, or leave bytes charged.
fn send(request: Request<Body>) {
    let (router, memory) = GATEWAY.with(Clone::clone);
    block_on(async {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
        assert_ne!(answer.status().as_u16(), 500, "{what}");
        let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await;
        drop(body.expect("an answer of a method is whole"));
    });
    assert_eq!(memory.in_use().others, 0, "a request has left bytes charged");
}

/// The bytes are a path below `/things/` with its query.
pub(crate) fn query(data: &[u8]) {
    let target = [b"/things/", data].concat();
    let Ok(uri) = Uri::try_from(target) else { return };
    if uri.path_and_query().is_none() || uri.scheme().is_some() {
        return;
    }
    if let Ok(request) = Request::get(uri).body(Body::empty()) {
        send(request);
    }
}

/// The bytes are a body: of a method whose argument it is, or whose arguments are its members.
pub(crate) fn body(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let request = match first % 2 {
        0 => Request::post("/things?dry=true"),
        _ => Request::put("/things/7"),
    };
    let request = request.header(header::CONTENT_TYPE, "application/json");
    if let Ok(request) = request.body(Body::from(body.to_vec())) {
        send(request);
    }
}
