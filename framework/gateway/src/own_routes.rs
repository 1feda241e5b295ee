//! The routes of modules' own: here, or passed on, or served to a gateway elsewhere.

use super::{
    HttpLimits, Problem, RouteError,
    browser::not_guessed,
    challenge, edge,
    forward::{Forward, say_forwarded},
    front::Front,
    listen, log, rates,
    routes::identified,
};
use crate::{
    call::{CallSettings, Callee, Context, Principal, Rule, access},
    interface::OwnRoutes,
    serve::Web,
    wire::Socket,
};
use axum::{
    Router,
    extract::Request,
    http::header,
    middleware::{Next, from_fn},
    routing::any,
};
use futures_util::future::BoxFuture;
use std::{fmt, sync::Arc};
use tokio::sync::watch;

/// Where a module's own routes are.
pub enum RoutesAt {
    /// In this process.
    Here(Router),
    /// In another one.
    Elsewhere(Arc<Forward>),
}

impl fmt::Debug for RoutesAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here",
            Self::Elsewhere(_) => "Elsewhere",
        })
    }
}

/// One router of the routes of modules' own, each below its prefix. `taken` are paths that others
/// have, each with who. `front` holds requests to the rates of their modules, and `known` finds out who makes them, where
/// a rule asks for that.
pub fn own_routes(
    all: Vec<(&'static OwnRoutes, RoutesAt)>,
    taken: &[(String, String)],
    front: &Arc<Front>,
    settings: &Arc<CallSettings>,
    known: &dyn Fn(Router) -> Router,
) -> Result<Router, RouteError> {
    let mut router = Router::new();
    let mut claimed: Vec<(&str, &str)> = Vec::new();
    for (routes, at) in all {
        let OwnRoutes { prefix, callee } = routes;
        let module = callee.module;
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
        let own = match at {
            RoutesAt::Here(own) => Router::new().nest(prefix, own),
            RoutesAt::Elsewhere(forward) => {
                let handler = any(move |request: Request| Arc::clone(&forward).pass(request));
                Router::new()
                    .route(prefix, handler.clone())
                    .route(&format!("{prefix}/"), handler.clone())
                    .route(&format!("{prefix}/{{*rest}}"), handler)
            }
        };
        let own = match callee.rule {
            Some(rule) if !rule.is_public() => {
                let own = guarded(own, callee, rule, settings);
                known(rates::limited(own, module, front))
            }
            _ => rates::limited(own, module, front),
        };
        router = router.merge(own);
    }
    let router = log::failures_logged(not_guessed(router));
    Ok(router.layer(axum::middleware::map_request(async |mut request: Request| {
        say_forwarded(&mut request);
        // As after a split, where the gateway passes it on.
        edge::state_trace(request.headers_mut());
        request
    })))
}

/// The routes for those whom `rule` lets through.
fn guarded(
    router: Router,
    callee: &'static Callee,
    rule: &'static Rule,
    settings: &Arc<CallSettings>,
) -> Router {
    let settings = Arc::clone(settings);
    router.layer(from_fn(move |mut request: Request, next: Next| {
        // The module's handlers do not get it: in another process they would have to believe a header.
        let principal = request.extensions_mut().remove::<Principal>();
        let trace = Context::look(Context::trace).unwrap_or_else(|| edge::trace(request.headers()));
        let context = Context::edge(&settings);
        let context = match principal {
            Some(principal) => context.with_principal(principal),
            None => context,
        };
        let admitted = access::admit(callee, &settings, Some(&context));
        async move {
            let Err(refused) = admitted else { return next.run(request).await };
            let problem = Problem::of_call(&refused);
            let challenge = challenge::of(problem.status().as_u16(), Some(rule));
            let mut response = identified(problem, trace);
            if let Some(challenge) = challenge {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }))
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
