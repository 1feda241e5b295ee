//! A request of the process's own to its routes, without a socket.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use bytes::Bytes;
use tower::ServiceExt;

/// The body of the answer to a GET, if it is a 200 of at most `longest` bytes; otherwise what is wrong with it.
pub async fn ask(router: Router, path: &str, longest: usize) -> Result<Bytes, String> {
    let request = Request::get(path).header(header::ACCEPT, "application/json").body(Body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let Ok(answer) = router.oneshot(request).await;
    if answer.status() != StatusCode::OK {
        return Err(format!("answered with {}", answer.status()));
    }
    to_bytes(answer.into_body(), longest).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;

    #[tokio::test]
    async fn what_is_answered_is_bounded() {
        let router = Router::new().route("/keys", get(async || "12345"));
        assert_eq!(ask(router.clone(), "/keys", 5).await.unwrap(), "12345");
        assert!(ask(router.clone(), "/keys", 4).await.is_err());
        let missing = ask(router, "/nothing", 5).await.unwrap_err();
        assert_eq!(missing, "answered with 404 Not Found");
    }
}
