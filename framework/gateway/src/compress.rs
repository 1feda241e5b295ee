//! Answers compressed, for clients that say they take it.

use axum::Router;
use tower_http::compression::{CompressionLayer, predicate::SizeAbove};

/// Shorter answers take longer to compress than to send.
const LEAST: u64 = 1024;

/// The routes, with answers in gzip where that saves something. For routes whose answers are whole
/// when they begin: a stream would wait for the compressor.
pub fn compressed(routes: Router) -> Router {
    routes.layer(CompressionLayer::new().gzip(true).compress_when(SizeAbove::new(LEAST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::send;
    use axum::{body::Body, http::Request, routing::get};

    #[tokio::test]
    async fn what_is_long_is_compressed_for_who_takes_it() {
        let routes = Router::new()
            .route("/long", get(async || "a".repeat(5000)))
            .route("/short", get(async || "a"));
        let routes = compressed(routes);
        let encoding = async |path: &str, accepted: &str| {
            let request = Request::get(path).header("accept-encoding", accepted);
            let response = send(&routes, request.body(Body::empty()).unwrap()).await;
            response
                .headers()
                .get("content-encoding")
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(encoding("/long", "gzip, br").await.as_deref(), Some("gzip"));
        assert_eq!(encoding("/long", "identity").await, None);
        assert_eq!(encoding("/short", "gzip").await, None);
    }
}
