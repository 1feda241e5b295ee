//! The routes described for people: Swagger UI, which reads the document for machines.
//!
//! Everything that the page loads is served here, and its policy lets the browser load nothing else.

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::str::FromStr;

/// The paths of the page and of what it loads. The version is in the names: what a browser keeps never changes.
pub(super) const PATHS: [&str; 4] = ["/docs", SCRIPT, STYLE, START];
const SCRIPT: &str = "/docs/swagger-ui-5.35.0.js";
const STYLE: &str = "/docs/swagger-ui-5.35.0.css";
const START: &str = "/docs/start.js";

const SCRIPT_GZIP: &[u8] = include_bytes!("../swagger-ui/swagger-ui-bundle.js.gz");
const STYLE_GZIP: &[u8] = include_bytes!("../swagger-ui/swagger-ui.css.gz");

/// Addresses are relative: a host may have put the routes below a prefix.
const START_JS: &str = r##"window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  validatorUrl: null,
});
"##;

/// The style sheet holds pictures. All else comes from this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// For what may change with the next release of the program.
const ASK_AGAIN: &str = "no-cache";
const A_YEAR: &str = "public, max-age=31536000, immutable";

/// The page and what it loads.
pub(super) fn router(app: &str) -> Router {
    let page = page(app);
    let html = async move || plain("text/html; charset=utf-8", page.clone());
    let start = async || plain("text/javascript; charset=utf-8", START_JS);
    let script =
        async |headers: HeaderMap| gzip(&headers, "text/javascript; charset=utf-8", SCRIPT_GZIP);
    let style = async |headers: HeaderMap| gzip(&headers, "text/css; charset=utf-8", STYLE_GZIP);
    Router::new()
        .route("/docs", get(html))
        .route(START, get(start))
        .route(SCRIPT, get(script))
        .route(STYLE, get(style))
}

/// An application's name has no letter that HTML knows.
fn page(app: &str) -> String {
    let [script, style, start] = [SCRIPT, STYLE, START].map(|path| &path[1..]);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{app}</title>\n<link rel=\"stylesheet\" href=\"{style}\">\n\
         <link rel=\"icon\" href=\"favicon.ico\">\n</head>\n<body>\n<div id=\"docs\"></div>\n\
         <script src=\"{script}\"></script>\n<script src=\"{start}\"></script>\n</body>\n</html>\n"
    )
}

fn plain(content_type: &'static str, text: impl IntoResponse) -> Response {
    answer(content_type, ASK_AGAIN, text)
}

/// What is stored compressed is sent as it is. Every browser takes it.
fn gzip(headers: &HeaderMap, content_type: &'static str, bytes: &'static [u8]) -> Response {
    if !takes_gzip(headers) {
        let said = "this file is served in gzip only: send `accept-encoding: gzip`\n";
        return (StatusCode::NOT_ACCEPTABLE, said).into_response();
    }
    let mut response = answer(content_type, A_YEAR, bytes);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

/// A client that does not say what it takes has to take anything (RFC 9110, 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut stated = headers.get_all(header::ACCEPT_ENCODING).iter().peekable();
    if stated.peek().is_none() {
        return true;
    }
    let codings: Vec<&str> =
        stated.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).collect();
    let weight = |wanted: &str| {
        codings.iter().find_map(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_wanted = parts.next()?.eq_ignore_ascii_case(wanted);
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map(f32::from_str);
            is_wanted.then(|| weight.and_then(Result::ok).unwrap_or(1.0))
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

fn answer(content_type: &'static str, kept: &'static str, body: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, kept),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        described, described_paths,
        fixtures::{get, send, text},
        with_start_page,
    };
    use axum::{body::Body, http::Request};

    /// The addresses that a page names.
    fn named(page: &str) -> Vec<&str> {
        let attributes = ["src=\"", "href=\"", "url: \""];
        let found = attributes.iter().flat_map(|attribute| page.split(attribute).skip(1));
        found.map(|rest| rest.split('"').next().unwrap()).collect()
    }

    #[tokio::test]
    async fn what_the_page_names_is_served_and_from_here_only() {
        let routes = with_start_page(described("shop", |_| true), "shop", true);
        let page = get(&routes, "/docs").await;
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers()["cache-control"], "no-cache");
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("http") && !policy.contains('*'), "{policy}");
        let page = text(page).await;
        let start = text(get(&routes, START).await).await;
        let all: Vec<&str> = named(&page).into_iter().chain(named(&start)).collect();
        assert_eq!(all.len(), 5, "{all:?}");
        for address in all {
            assert!(!address.contains(':') && !address.starts_with('/'), "{address}");
            let answer = get(&routes, &format!("/{address}")).await;
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            let expected = match address.rsplit('.').next().unwrap() {
                "js" => "text/javascript; charset=utf-8",
                "css" => "text/css; charset=utf-8",
                "json" => "application/json",
                _ => "image/svg+xml",
            };
            assert_eq!((answer.status().as_u16(), kind.as_str()), (200, expected), "{address}");
        }
        for path in PATHS {
            assert!(described_paths().any(|known| known == path), "{path}");
        }
    }

    #[tokio::test]
    async fn what_is_stored_compressed_is_sent_so() {
        let routes = router("shop");
        let asked = async |accepted: &str| {
            let request = Request::get(STYLE).header("accept-encoding", accepted);
            send(&routes, request.body(Body::empty()).unwrap()).await
        };
        for accepted in ["gzip, deflate, br", "br;q=1, GZIP;q=0.5", "*"] {
            let answer = asked(accepted).await;
            assert_eq!(answer.status(), 200, "{accepted}");
            assert_eq!(answer.headers()["content-encoding"], "gzip");
            assert_eq!(answer.headers()["cache-control"], A_YEAR);
            let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            assert_eq!(body, STYLE_GZIP);
        }
        for accepted in ["identity", "gzip;q=0, *", "br"] {
            assert_eq!(asked(accepted).await.status(), 406, "{accepted}");
        }
    }
}
