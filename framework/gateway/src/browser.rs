//! What browsers are told: to take an answer for nothing but what it says it is, and which pages may ask.

use axum::{
    Router,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::map_response,
    response::Response,
};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// An answer that is data: nothing in it is run or loaded, and no page may frame it.
const DATA: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (RESOURCE_POLICY, "same-origin"),
];

/// Pages of other origins that may call a gateway.
#[derive(Debug, Clone)]
pub struct Cors {
    /// `https://app.example.com`, or `*` alone.
    pub origins: Vec<String>,
    /// The methods that they may use.
    pub methods: Vec<String>,
    /// The headers that they may send.
    pub headers: Vec<String>,
    /// How long a browser may remember that.
    pub max_age: Duration,
}

/// Says that no browser is to guess what an answer is.
pub(crate) fn no_guessing(headers: &mut HeaderMap) {
    let entry = headers.entry(header::X_CONTENT_TYPE_OPTIONS);
    entry.or_insert(HeaderValue::from_static("nosniff"));
}

/// `router`, whose answers are not guessed at.
pub(crate) fn not_guessed(router: Router) -> Router {
    router.layer(map_response(async |mut response: Response| {
        no_guessing(response.headers_mut());
        response
    }))
}

/// `router`, whose answers are data. What an answer says itself stays.
pub fn secured(router: Router) -> Router {
    router.layer(map_response(async |mut response: Response| {
        let headers = response.headers_mut();
        no_guessing(headers);
        for (name, value) in DATA {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        response
    }))
}

/// `router`, which pages of these origins may call. Credentials that a browser adds by itself, such as cookies, are not
/// let through: a token is stated by the page.
pub fn with_cors(router: Router, cors: &Cors) -> Router {
    let origins = match cors.origins.as_slice() {
        [all] if all == "*" => AllowOrigin::any(),
        some => AllowOrigin::list(some.iter().filter_map(|text| HeaderValue::from_str(text).ok())),
    };
    let methods: Vec<Method> = cors.methods.iter().filter_map(|text| text.parse().ok()).collect();
    let sent: Vec<HeaderName> = cors.headers.iter().filter_map(|text| text.parse().ok()).collect();
    let shown = [
        super::REQUEST_ID,
        header::LOCATION,
        header::RETRY_AFTER,
        HeaderName::from_static("ratelimit"),
        HeaderName::from_static("ratelimit-policy"),
    ];
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(methods)
        .allow_headers(sent)
        .expose_headers(shown)
        .max_age(cors.max_age);
    router.layer(layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{get, send};
    use axum::{body::Body, http::Request, routing};

    #[tokio::test]
    async fn an_answer_says_how_it_is_to_be_taken_unless_it_does_itself() {
        let own = (header::CONTENT_SECURITY_POLICY, "default-src 'self'");
        let routes = Router::new()
            .route("/data", routing::get(async || "{}"))
            .route("/page", routing::get(async move || ([own], "page")));
        let routes = secured(routes);
        let data = get(&routes, "/data").await;
        for (name, value) in DATA {
            assert_eq!(data.headers()[&name], value);
        }
        assert_eq!(data.headers()["x-content-type-options"], "nosniff");
        let page = get(&routes, "/page").await;
        assert_eq!(page.headers()["content-security-policy"], "default-src 'self'");
    }

    #[tokio::test]
    async fn only_pages_of_the_stated_origins_may_ask() {
        let routes = Router::new().route("/", routing::put(async || "done"));
        let cors = |origins: &str| Cors {
            origins: vec![origins.to_owned()],
            methods: vec!["PUT".to_owned()],
            headers: vec!["authorization".to_owned()],
            max_age: Duration::from_secs(60),
        };
        let app = with_cors(routes.clone(), &cors("https://app.example.com"));
        let asked = async |router: &Router, method: &str, origin: &str| {
            let request = Request::builder().method(method).uri("/").header("origin", origin);
            let request = request.header("access-control-request-method", "PUT");
            let response = send(router, request.body(Body::empty()).unwrap()).await;
            let header = |name: &str| {
                let value = response.headers().get(name);
                value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
            };
            ["origin", "methods", "max-age", "credentials"]
                .map(|part| match part {
                    "max-age" => header("access-control-max-age"),
                    part => header(&format!("access-control-allow-{part}")),
                })
                .join("|")
        };
        let good = "https://app.example.com";
        assert_eq!(asked(&app, "OPTIONS", good).await, format!("{good}|PUT|60|"));
        assert_eq!(asked(&app, "PUT", good).await, format!("{good}|||"));
        assert!(asked(&app, "PUT", "https://evil.example.com").await.starts_with('|'));
        let any = with_cors(routes.clone(), &cors("*"));
        assert_eq!(asked(&any, "PUT", "https://a.example.com").await, "*|||");
        assert_eq!(asked(&routes, "OPTIONS", good).await, "|||");
    }
}
