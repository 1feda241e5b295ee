use super::*;
use crate::call::{Context as CallContext, Principal};
use crate::fixtures::{get, json, send, text};
use axum::response::IntoResponse;
use axum::{
    Extension, Router,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    routing,
};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

fn settings(observe: bool) -> Arc<CallSettings> {
    Arc::new(CallSettings { observe, ..CallSettings::default() })
}

async fn slow() -> &'static str {
    sleep(Duration::from_secs(20)).await;
    "done"
}

#[tokio::test(start_paused = true)]
async fn an_enforced_deadline_ends_a_request_and_its_work() {
    static DROPPED: AtomicBool = AtomicBool::new(false);
    struct Work;
    impl Drop for Work {
        fn drop(&mut self) {
            DROPPED.store(true, Ordering::SeqCst);
        }
    }
    let handler = async || {
        let _work = Work;
        slow().await
    };
    let router =
        Router::new().route("/", routing::get(handler)).layer(CallLayer::new(settings(false)));
    let began = Instant::now();
    let response = get(&router, "/").await;
    assert_eq!((response.status().as_u16(), began.elapsed().as_secs()), (504, 5));
    assert_eq!(json(response).await["code"], "deadline-exceeded");
    assert!(DROPPED.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_program_may_answer_in_its_own_words() {
    let layer = CallLayer::new(settings(false))
        .on_deadline(|| (StatusCode::SERVICE_UNAVAILABLE, "too slow").into_response());
    let router = Router::new().route("/", routing::get(slow)).layer(layer);
    let response = get(&router, "/").await;
    assert_eq!(response.status(), 503);
    assert_eq!(text(response).await, "too slow");
}

#[tokio::test(start_paused = true)]
async fn an_observed_deadline_ends_nothing() {
    let router = Router::new().route("/", routing::get(slow)).layer(CallLayer::new(settings(true)));
    let response = get(&router, "/").await;
    assert_eq!(text(response).await, "done");
}

#[tokio::test(start_paused = true)]
async fn handlers_run_in_a_context_and_layers_inside_keep_it() {
    let handler = async || {
        let context = CallContext::current().unwrap();
        let principal = context.principal().map_or("nobody", |principal| &principal.subject);
        format!("{:?} {principal}", context.remaining())
    };
    let ada = Principal::user("ada");
    let shorter = CallSettings { deadline: Duration::from_secs(9), ..CallSettings::default() };
    let router = Router::new()
        .route("/", routing::get(handler))
        .layer(CallLayer::new(Arc::new(shorter)))
        .layer(CallLayer::new(settings(false)))
        .layer(Extension(ada));
    assert_eq!(text(get(&router, "/").await).await, "5s ada");
}

#[tokio::test]
async fn a_key_that_we_could_not_keep_is_the_programs_own_matter() {
    let handler = async || CallContext::current().unwrap().idempotency_key().map(str::to_owned);
    let handler = async move || handler().await.unwrap_or_else(|| "none".to_owned());
    let mut service =
        Router::new().route("/", routing::get(handler)).layer(CallLayer::new(settings(false)));
    for (key, seen) in [("k".repeat(255), "k".repeat(255)), ("k".repeat(256), "none".to_owned())] {
        let request = Request::get("/").header("idempotency-key", key);
        let Ok(response) = service.call(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(text(response).await, seen);
    }
}

/// As a program's own extractor reads a session.
struct Session;

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let subject = parts.headers["session"].to_str().unwrap().to_owned();
        let set = CallContext::set_principal(Principal::user(subject));
        if set { Ok(Self) } else { Err(StatusCode::CONFLICT) }
    }
}

#[tokio::test]
async fn an_extractor_below_the_layer_sets_the_principal_once() {
    let handler = async |_: Session| {
        let context = CallContext::current().unwrap();
        // What is spawned has it too.
        let spawned = crate::call::spawn(async { CallContext::current().unwrap() }).await.unwrap();
        assert_eq!(spawned.principal(), context.principal());
        context.principal().unwrap().subject.clone()
    };
    let router = Router::new().route("/", routing::get(handler));
    let layered = router.clone().layer(CallLayer::new(settings(false)));
    let ask = async |router: Router| {
        let request = Request::get("/").header("session", "ada");
        send(&router, request.body(axum::body::Body::empty()).unwrap()).await
    };
    assert_eq!(text(ask(layered.clone()).await).await, "ada");
    // Outside of the layer, and over another principal, it is refused.
    assert_eq!(ask(router).await.status(), 409);
    let eve = Principal::user("eve");
    assert_eq!(ask(layered.layer(Extension(eve))).await.status(), 409);
}
