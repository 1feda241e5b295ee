//! Who makes a request: the token that it brings, given to whoever can verify it.
//!
//! Nothing here knows what a token is. A request without one is made by no one, which a method may allow.

use super::REQUEST_ID;
use crate::{
    Problem,
    answer::response,
    call::{Context, Principal, Trace},
    edge,
    front::Front,
    rates::too_many,
};
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn},
    response::Response,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Makes principals of tokens.
pub trait Authenticate: Send + Sync + 'static {
    /// The principal that a token is for.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Principal, Unproven>>;
}

/// Why a token makes no principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unproven {
    /// It does not count. The reason is for the log: a client that forges tokens learns nothing.
    Invalid(String),
    /// Whether it counts cannot be known now.
    Unavailable(String),
}

/// `router`, with the principal of each request's token. A request whose token does not count is refused, also where no
/// token is asked for. An address that brings too many of those has to wait until one is verified again.
pub fn authenticated(router: Router, by: Arc<dyn Authenticate>, front: Arc<Front>) -> Router {
    router.layer(from_fn(move |mut request: Request, next: Next| {
        let (by, front) = (Arc::clone(&by), Arc::clone(&front));
        async move {
            let stated = request.headers().contains_key(header::AUTHORIZATION);
            if stated && let Err(again) = front.rates.takes_tokens(request.extensions()) {
                front.refused.count_unread("token");
                return refused(&request, Refusal { problem: too_many(again), challenge: None });
            }
            match principal(request.headers(), &*by).await {
                Ok(None) => next.run(request).await,
                Ok(Some(principal)) => {
                    request.extensions_mut().insert(principal);
                    next.run(request).await
                }
                Err(refusal) => {
                    if refusal.challenge.is_some() {
                        front.rates.count_token(request.extensions());
                    }
                    refused(&request, refusal)
                }
            }
        }
    }))
}

struct Refusal {
    problem: Problem,
    challenge: Option<&'static str>,
}

async fn principal(
    headers: &HeaderMap,
    by: &dyn Authenticate,
) -> Result<Option<Principal>, Refusal> {
    let mut stated = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = stated.next() else { return Ok(None) };
    let invalid = |status, challenge| Refusal {
        problem: Problem::new(status, "invalid-token", "the request's token is not valid here"),
        challenge: Some(challenge),
    };
    // Two readers of two headers may each believe another one.
    if stated.next().is_some() {
        return Err(invalid(StatusCode::BAD_REQUEST, "Bearer error=\"invalid_request\""));
    }
    let unauthorized = || invalid(StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\"");
    let text = first.to_str().map_err(|_| unauthorized())?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    match by.authenticate(token).await {
        Ok(principal) => Ok(Some(principal)),
        Err(Unproven::Invalid(why)) => {
            tracing::info!(why, "a request's token is refused");
            Err(unauthorized())
        }
        Err(Unproven::Unavailable(why)) => {
            tracing::warn!(why, "a request's token cannot be verified");
            let text = "the request's token cannot be verified now";
            let problem =
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "identity-unavailable", text);
            Err(Refusal { problem, challenge: None })
        }
    }
}

fn refused(request: &Request, refusal: Refusal) -> Response {
    let of_request = || edge::trace(request.headers());
    let trace: Trace = Context::look(Context::trace).unwrap_or_else(of_request);
    let mut response = response(refusal.problem);
    let headers = response.headers_mut();
    if let Some(challenge) = refusal.challenge {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Ok(id) = HeaderValue::try_from(format!("{:032x}", trace.trace_id)) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Extension, body::Body, routing::get};
    use tower::ServiceExt;

    /// Knows one token, and one that it cannot know of.
    struct Knows;

    impl Authenticate for Knows {
        fn authenticate<'a>(
            &'a self,
            token: &'a str,
        ) -> BoxFuture<'a, Result<Principal, Unproven>> {
            Box::pin(async move {
                match token {
                    "good" => Ok(Principal::user("ada")),
                    "later" => Err(Unproven::Unavailable("down".into())),
                    _ => Err(Unproven::Invalid("forged".into())),
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_brings_many_bad_tokens_has_to_wait() {
        let rates = crate::Rates::new(Some(monolift_manifest::Rate::read("2/s").unwrap()), []);
        let front = Arc::new(Front { rates, ..Front::default() });
        let router = Router::new().route("/", get(async || "done"));
        let router = authenticated(router, Arc::new(Knows), Arc::clone(&front));
        let ask = async |token: &str| {
            let mut request =
                Request::get("/").header("authorization", token).body(Body::empty()).unwrap();
            let address = std::net::SocketAddr::from(([192, 0, 2, 1], 7));
            request.extensions_mut().insert(axum::extract::ConnectInfo(address));
            router.clone().oneshot(request).await.unwrap()
        };
        let mut statuses = Vec::new();
        for token in ["Bearer good", "Bearer bad", "Bearer bad", "Bearer bad", "Bearer good"] {
            statuses.push(ask(token).await.status().as_u16());
        }
        assert_eq!(statuses, [200, 401, 401, 429, 429]);
        assert_eq!(front.refused.all()[0].0.limit, "token");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        assert_eq!(ask("Bearer good").await.status(), 200);
    }

    async fn ask(authorization: &[&str]) -> (u16, String) {
        let who = async |principal: Option<Extension<Principal>>| {
            principal.map_or_else(|| "no one".to_owned(), |Extension(principal)| principal.subject)
        };
        let router = Router::new().route("/", get(who));
        let router = authenticated(router, Arc::new(Knows), Arc::default());
        let mut request = Request::get("/");
        for value in authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (status, challenge.map_or(body, |challenge| challenge.to_str().unwrap().to_owned()))
    }

    #[tokio::test]
    async fn the_token_says_who_asks() {
        assert_eq!(ask(&[]).await, (200, "no one".into()));
        assert_eq!(ask(&["Bearer good"]).await, (200, "ada".into()));
        assert_eq!(ask(&["bearer good"]).await, (200, "ada".into()));
        assert_eq!(ask(&["Basic good"]).await, (200, "no one".into()));
        let invalid = (401, "Bearer error=\"invalid_token\"".to_owned());
        for bad in ["Bearer", "Bearer ", "Bearer bad", "Bearer good, Bearer good", "Bearer  good"] {
            assert_eq!(ask(&[bad]).await, invalid, "{bad}");
        }
        let twice = (400, "Bearer error=\"invalid_request\"".to_owned());
        assert_eq!(ask(&["Bearer good", "Bearer good"]).await, twice);
        let (status, body) = ask(&["Bearer later"]).await;
        assert!(status == 503 && body.contains("identity-unavailable"), "{status} {body}");
    }
}
