//! What a gateway answers that nothing else does: a page at `/` that says what is there, an icon for
//! browsers, and a problem at every other path.

use super::not_found;
use axum::{
    Router,
    http::{HeaderMap, Method, Uri, header},
    response::{Html, IntoResponse, Response},
};

const ICON: &str = concat!(
    r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">"#,
    r##"<path fill="#456" d="M1 1h6v14H1z"/><path fill="#9ab" d="M9 1h6v6H9zM9 9h6v6H9z"/></svg>"##
);

/// The page has links and an icon.
const POLICY: &str = "default-src 'none'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `router`, and this for what it does not serve. It must not be merged into another program's router,
/// whose own pages these may be.
pub fn with_start_page(router: Router, app: &str, docs: bool) -> Router {
    let page = page(app, docs);
    router.fallback(async move |method: Method, uri: Uri, headers: HeaderMap| -> Response {
        let reads = method == Method::GET || method == Method::HEAD;
        match uri.path() {
            "/" if reads => {
                ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page.clone())).into_response()
            }
            "/favicon.ico" if reads => {
                let headers = [
                    (header::CONTENT_TYPE, "image/svg+xml"),
                    (header::CONTENT_SECURITY_POLICY, POLICY),
                ];
                (headers, ICON).into_response()
            }
            _ => not_found(headers).await,
        }
    })
}

/// An application's name has no letter that HTML knows.
fn page(app: &str, docs: bool) -> String {
    let page =
        "<li><a href=\"/docs\">/docs</a>: what can be asked here, with a form to try it</li>\n";
    let page = if docs && cfg!(feature = "docs") { page } else { "" };
    let document = "<li><a href=\"/openapi.json\">/openapi.json</a>: the same for programs</li>\n";
    let document = if docs { document } else { "" };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{app}</title>\n</head>\n<body>\n<h1>{app}</h1>\n<ul>\n{page}{document}\
         <li><a href=\"/readyz\">/readyz</a>: whether it can be sent requests</li>\n\
         <li><a href=\"/livez\">/livez</a>: whether it lives</li>\n</ul>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{get, text};

    #[tokio::test]
    async fn what_is_there_is_said_at_the_start() {
        let router = with_start_page(Router::new(), "shop", true);
        let start = get(&router, "/").await;
        assert_eq!(
            (start.status(), &start.headers()["content-type"]),
            (axum::http::StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap(),)
        );
        assert!(text(start).await.contains("href=\"/docs\""));
        let icon = get(&router, "/favicon.ico").await;
        assert_eq!(icon.headers()["content-type"], "image/svg+xml");
        assert_eq!(get(&router, "/nowhere").await.status(), 404);
        let silent = with_start_page(Router::new(), "shop", false);
        assert!(!text(get(&silent, "/").await).await.contains("docs"));
    }

    #[tokio::test]
    async fn a_page_of_the_programs_own_stays() {
        let own = Router::new().route("/", axum::routing::get(async || "mine"));
        assert_eq!(text(get(&with_start_page(own, "shop", true), "/").await).await, "mine");
    }
}
