use super::*;
use crate::call::{CallSettings, Principal, Reference};
use crate::fixtures::{Library, Shelf, get, json, send, text};
use crate::{OnInternalError, with_internal_errors};
use axum::{body::Body, http::Request, response::IntoResponse};
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::{pin::pin, time::Duration};
use tokio::time::{Instant, advance};

const ENTRY: HttpEntry = HttpEntry::of::<dyn Shelf>();
const FRAME: Bounds = Bounds { bytes: 1000, nesting: 8 };

fn served_with(settings: CallSettings) -> Router {
    served_behind(settings, &Arc::default())
}

fn served_behind(settings: CallSettings, front: &Arc<Front>) -> Router {
    let settings = Arc::new(settings);
    let links = Links::new(Arc::clone(&settings));
    links.link::<dyn Shelf>().bind(Arc::new(Library));
    let routes = routes_of([ENTRY].into_iter(), &links, &settings, FRAME, &Arc::default(), front);
    routes.unwrap().fallback(not_found)
}

fn served() -> Router {
    served_with(CallSettings::default())
}

async fn problem(response: Response) -> (u16, String) {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers()[REQUEST_ID].len(), 32);
    let status = response.status().as_u16();
    let body = json(response).await;
    assert_eq!(body["status"], status);
    (status, body["code"].as_str().unwrap().to_owned())
}

fn post(path: &str, body: &str) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn a_request_becomes_a_call_and_its_answer_json() {
    let router = served();
    let response = get(&router, "/books/a%20b?limit=3&utm=x").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(json(response).await, json!({ "title": "a b", "limit": 3 }));
    // Another method at the same place, which gives the part of the path another name.
    let response = send(&router, post("/books/dune", r#"{"copies":2}"#)).await;
    assert_eq!(response.status(), 204);
    assert_eq!(text(response).await, "");
}

#[tokio::test]
async fn head_is_a_get_without_a_body() {
    let request = Request::head("/books/dune").body(Body::empty()).unwrap();
    let response = send(&served(), request).await;
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (200, ""));
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_problem() {
    let router = served();
    let bad = |status, code: &str| (status, code.to_owned());
    let of = async |path: &str| problem(get(&router, path).await).await;
    assert_eq!(of("/books/missing").await, bad(404, "unknown-book"));
    assert_eq!(of("/books/panic").await, bad(500, "internal"));
    assert_eq!(of("/books/dune?limit=x").await, bad(400, "bad-arguments"));
    assert_eq!(of("/books/%ff").await, bad(400, "bad-arguments"));
    assert_eq!(of("/nowhere").await, bad(404, "not-found"));
    let of = async |body: &str| problem(send(&router, post("/books/dune", body)).await).await;
    assert_eq!(of("{").await, bad(400, "bad-arguments"));
    assert_eq!(of(&format!("{{{}", " ".repeat(FRAME.bytes))).await, bad(413, "too-large"));
    let mut form = post("/books/dune", "copies=1");
    form.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    let answered = problem(send(&router, form).await).await;
    assert_eq!(answered, bad(415, "unsupported-media-type"));
}

#[tokio::test]
async fn a_program_answers_internal_errors_in_its_own_words() {
    let respond: OnInternalError = Arc::new(|reference: Reference| {
        let body = json!({ "error": "oops", "see": reference.to_string() }).to_string();
        (StatusCode::IM_A_TEAPOT, [("content-type", "application/json")], body).into_response()
    });
    let router = with_internal_errors(served(), respond);
    let response = get(&router, "/books/panic").await;
    assert_eq!(response.status(), 418);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()[REQUEST_ID].len(), 32);
    let body = json(response).await;
    assert_eq!(body["error"], "oops");
    assert_eq!(body["see"].as_str().unwrap().len(), 16, "{body}");
    // All else stays as it is.
    assert_eq!(problem(get(&router, "/books/missing").await).await.1, "unknown-book");
    assert_eq!(get(&router, "/books/dune").await.status(), 200);
}

#[tokio::test]
async fn the_wrong_verb_is_told_the_right_ones() {
    let request = Request::delete("/books/dune").body(Body::empty()).unwrap();
    let response = send(&served(), request).await;
    assert_eq!(response.headers()["allow"], "GET,HEAD,POST");
    assert_eq!(problem(response).await, (405, "method-not-allowed".to_owned()));
}

#[tokio::test]
async fn a_panic_while_arguments_are_read_is_an_internal_error() {
    let response = send(&served(), post("/books/bomb", r#"{"copies":1}"#)).await;
    assert_eq!(response.status(), 500);
    let shown = text(response).await;
    assert!(shown.contains("reference") && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn the_context_comes_from_the_request() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut request = Request::get("/books/context").body(Body::empty()).unwrap();
    request.headers_mut().insert("traceparent", trace.parse().unwrap());
    request.headers_mut().insert("idempotency-key", "again".parse().unwrap());
    request.extensions_mut().insert(Principal::user("ada"));
    let response = send(&served(), request).await;
    assert_eq!(response.headers()[REQUEST_ID], "4bf92f3577b34da6a3ce929d0e0e4736");
    let seen = json(response).await;
    assert_eq!(
        (&seen["trace"], &seen["principal"], &seen["key"]),
        (&json!(trace), &json!("ada"), &json!("again"),)
    );
    let seen = json(get(&served(), "/books/context").await).await;
    assert_eq!((&seen["principal"], &seen["key"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn an_idempotency_key_has_its_bounds() {
    for (length, status) in [(0, 400), (255, 200), (256, 400)] {
        let request = Request::get("/books/dune").header("idempotency-key", "k".repeat(length));
        let response = send(&served(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), status, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_ends_by_its_methods_deadline_or_the_default() {
    let router = served();
    for (path, seconds) in [("/books/slow", 5), ("/patient", 60)] {
        let began = Instant::now();
        let answered = problem(get(&router, path).await).await;
        assert_eq!(answered, (504, "deadline-exceeded".to_owned()), "{path}");
        assert_eq!(began.elapsed().as_secs(), seconds, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_observed_deadline_ends_nothing_but_a_methods_own_does() {
    let router = served_with(CallSettings { observe: true, ..CallSettings::default() });
    let mut slow = pin!(get(&router, "/books/slow"));
    assert!((&mut slow).now_or_never().is_none());
    advance(Duration::from_secs(3600)).await;
    assert!(slow.now_or_never().is_none());
    assert_eq!(get(&router, "/patient").await.status(), 504);
}

#[tokio::test]
async fn the_router_can_stand_inside_another() {
    let outer = Router::new().nest("/api/{tenant}", served());
    assert_eq!(json(get(&outer, "/api/acme/books/dune").await).await["title"], "dune");
}

#[test]
fn two_methods_with_one_route_are_both_named() {
    let settings = Arc::new(CallSettings::default());
    let links = Links::new(Arc::clone(&settings));
    let (memory, front) = (Arc::default(), Arc::default());
    let clash = routes_of([ENTRY, ENTRY].into_iter(), &links, &settings, FRAME, &memory, &front)
        .unwrap_err();
    assert_eq!(
        clash.to_string(),
        "`Shelf::find` of the module `library` and `Shelf::find` of the module `library` have \
         the same route, GET /books/{title}: change one of the two"
    );
}

#[test]
fn a_shape_is_a_path_without_names() {
    assert_eq!(shape("/products/{sku}/stock"), "/products/{}/stock");
    assert_eq!(Route::names("/a/{b}/c/{d}").collect::<Vec<_>>(), ["b", "d"]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_more_often_than_the_rate_is_told_when_to_ask_again() {
    let rate = |text| monolift_manifest::Rate::read(text).unwrap();
    let rates = crate::Rates::new(Some(rate("100/s")), [("library.find".to_owned(), rate("2/m"))]);
    let front = Arc::new(Front { rates, ..Front::default() });
    let router = served_behind(CallSettings::default(), &front);
    let by = async |principal: Option<&str>, path: &str| {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 7));
        request.extensions_mut().insert(axum::extract::ConnectInfo(address));
        if let Some(name) = principal {
            request.extensions_mut().insert(Principal::user(name));
        }
        send(&router, request).await
    };
    let first = by(None, "/books/dune").await;
    assert_eq!(first.status(), 200);
    let policy = "\"all\";q=100;w=1, \"library.find\";q=2;w=60";
    assert_eq!(first.headers()["ratelimit-policy"], policy);
    assert_eq!(first.headers()["ratelimit"], "\"library.find\";r=1;t=30");
    by(None, "/books/dune").await;
    let third = by(None, "/books/dune").await;
    assert_eq!(third.headers()["retry-after"], "30");
    assert_eq!(third.headers()["ratelimit"], "\"library.find\";r=0;t=60");
    assert_eq!(problem(third).await, (429, "too-many-requests".to_owned()));
    // A user is counted by name, and other methods count apart.
    assert_eq!(by(Some("ada"), "/books/dune").await.status(), 200);
    assert_eq!(by(None, "/patient").await.status(), 504);
    advance(Duration::from_secs(30)).await;
    assert_eq!(by(None, "/books/dune").await.status(), 200);
    let refused: Vec<_> = front.refused.all();
    assert_eq!(refused.len(), 1);
    let (one, count) = &refused[0];
    assert_eq!((one.limit, &*one.method, one.by, *count), ("rate", "library.find", "nobody", 1));
}

#[tokio::test]
async fn a_body_that_is_refused_is_counted() {
    let front = Arc::new(Front::default());
    let router = served_behind(CallSettings::default(), &front);
    let body = format!("{{{}", " ".repeat(FRAME.bytes));
    assert_eq!(send(&router, post("/books/dune", &body)).await.status(), 413);
    let refused = front.refused.all();
    assert_eq!((refused[0].0.limit, &*refused[0].0.method), ("frame", "library.add"));
}
