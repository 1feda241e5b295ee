//! The routes of modules' own: here, or passed on, or served to a gateway elsewhere.

use super::{
    HttpLimits, RouteError,
    browser::not_guessed,
    edge,
    forward::{Forward, say_forwarded},
    front::Front,
    listen, log, rates,
};
use crate::{serve::Web, wire::Socket};
use axum::{Router, extract::Request, routing::any};
use futures_util::future::BoxFuture;
use std::{fmt, sync::Arc};
use tokio::sync::watch;

/// Where a module's own routes are.
pub enum OwnRoutes {
    /// In this process.
    Here(Router),
    /// In another one.
    Elsewhere(Arc<Forward>),
}

impl fmt::Debug for OwnRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::Elsewhere(_) => "Elsewhere",
        })
    }
}

/// One router of the routes of modules' own, each below its prefix. `taken` are paths that others
/// have, each with who. `front` holds requests to the rates of their modules.
pub fn own_routes(
    all: Vec<(&'static str, &'static str, OwnRoutes)>,
    taken: &[(String, String)],
    front: &Arc<Front>,
) -> Result<Router, RouteError> {
    let mut router = Router::new();
    let mut claimed: Vec<(&str, &str)> = Vec::new();
    for (module, prefix, routes) in all {
        let second = format!("the module `{module}`, which has all below `{prefix}`,");
        let inside = |path: &str, prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let clash = |first: String, route: &str| RouteError::clash(route, first, second.clone());
        if let Some((path, whose)) = taken.iter().find(|(path, _)| inside(path, prefix)) {
            return Err(clash(whose.clone(), path));
        }
        let overlap = |other: &&(&str, &str)| inside(other.1, prefix) || inside(prefix, other.1);
        if let Some((other, other_prefix)) = claimed.iter().find(overlap) {
            return Err(clash(format!("the module `{other}`"), other_prefix));
        }
        claimed.push((module, prefix));
        let own = match routes {
            OwnRoutes::Here(own) => Router::new().nest(prefix, own),
            OwnRoutes::Elsewhere(forward) => {
                let handler = any(move |request: Request| Arc::clone(&forward).pass(request));
                Router::new()
                    .route(prefix, handler.clone())
                    .route(&format!("{prefix}/"), handler.clone())
                    .route(&format!("{prefix}/{{*rest}}"), handler)
            }
        };
        router = router.merge(rates::limited(own, module, front));
    }
    let router = log::failures_logged(not_guessed(router));
    Ok(router.layer(axum::middleware::map_request(async |mut request: Request| {
        say_forwarded(&mut request);
        // As after a split, where the gateway passes it on.
        edge::state_trace(request.headers_mut());
        request
    })))
}

/// The routes of the modules here, for a gateway elsewhere.
pub struct OwnRoutesHere(Router);

impl OwnRoutesHere {
    /// Each below its prefix.
    pub fn new(all: impl Iterator<Item = (&'static str, Router)>) -> Self {
        Self(all.fold(Router::new(), |router, (prefix, own)| router.nest(prefix, own)))
    }
}

impl Web for OwnRoutesHere {
    fn serve(&self, socket: Socket, draining: watch::Receiver<bool>) -> BoxFuture<'static, ()> {
        // Between two requests, its gateway keeps the connection; what it says came from outside.
        Box::pin(listen::serve(socket, None, self.0.clone(), HttpLimits::default(), draining))
    }
}
