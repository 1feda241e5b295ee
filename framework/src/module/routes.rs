//! A module's own routes, for what is no call: uploads, pages, events, WebSockets.

use std::sync::Arc;

pub use axum::Router;

/// Routes of a module's own: `#[module(…, routes)]`, under the prefix that one of its interfaces
/// says, `#[monolift::interface(routes = "/pictures")]`.
///
/// ```
/// # use monolift::Routes; use std::sync::Arc;
/// # struct StockModule;
/// # impl StockModule { async fn picture(&self, sku: String) -> String { sku } }
/// use axum::{Router, extract::{Path, State}, routing::get};
///
/// impl Routes for StockModule {
///     fn routes(self: Arc<Self>) -> Router {
///         // It answers GET /pictures/tea.
///         Router::new().route("/{sku}", get(picture)).with_state(self)
///     }
/// }
///
/// async fn picture(State(stock): State<Arc<StockModule>>, Path(sku): Path<String>) -> String {
///     stock.picture(sku).await
/// }
/// ```
///
/// They need the feature `http`. They are mounted in the process that the module lives in. Where the gateway is
/// another one, it forwards to them, streamed and upgraded, so that they move with their module. `axum` is the
/// version that this crate depends on.
///
/// Such a request is no call: it has no deadline, since an upload or a stream of events may take
/// long. It ends when its client goes. Each call that its handler makes has a deadline of its own.
pub trait Routes: Send + Sync + 'static {
    /// The router, without its prefix.
    fn routes(self: Arc<Self>) -> Router;
}
