//! What a process does over HTTP: its gateway, and its modules' own routes.

use super::{App, RunningApp, linked::ThisProcess, listen::first_free};
use crate::{
    call::Reference,
    config::Settings,
    gateway::{
        self, CallLayer, Cors, Forward, Front, HttpLimits, HttpServer, OnInternalError,
        OwnRoutesHere, Proxies, Rates, RouteError, RoutesAt,
    },
    interface::{InterfaceDescriptor, OwnRoutes},
    link::interfaces,
    module::{Router, StartError},
    serve::Directory,
};
use axum::response::Response;
use monolift_manifest::{Address, Manifest, Process};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, time::Instant};

/// The gateway of a process, which is listening.
#[derive(Debug)]
pub(super) struct Gateway {
    server: HttpServer,
    address: SocketAddr,
}

impl Gateway {
    pub(super) async fn listen(
        address: &str,
        app: &RunningApp,
        settings: &Settings,
    ) -> Result<Self, StartError> {
        let address = Address::Tcp(address.to_owned());
        let all = app.place.replicas(settings, "http", address, Process::https);
        let (listener, address) =
            first_free(all, async |address| TcpListener::bind(address.to_string()).await)
                .await
                .map_err(|refusal| refusal.of("the gateway cannot listen", "http", &app.place))?;
        let unknown =
            |error| StartError::new(format!("the address of {address} is unknown")).because(error);
        let address = listener.local_addr().map_err(unknown)?;
        let router = app.routes_unlogged().map_err(|clash| StartError::new(clash.to_string()))?;
        let router = gateway::with_start_page(router, &app.manifest().app, app.docs);
        let router = app.logged_and_shared(router);
        let stated = &app.manifest().limits;
        let limits = HttpLimits {
            clients: stated.clients,
            clients_per_address: stated.clients_per_address,
            requests: stated.requests,
            head: stated.head,
            target: stated.target,
            headers: stated.headers,
            head_time: stated.head_time,
            ..HttpLimits::default()
        };
        let front = Arc::clone(&app.front.0);
        Ok(Self { server: HttpServer::start_with(listener, router, limits, front), address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn drain(self, by: Instant) {
        self.server.drain(by).await;
    }
}

/// What a gateway holds every request to.
#[derive(Debug, Clone)]
pub(super) struct Held(pub(super) Arc<Front>);

impl Held {
    /// As the manifest says.
    pub(super) fn to(manifest: &Manifest) -> Self {
        let (limits, http) = (&manifest.limits, &manifest.http);
        let named = limits.rates.iter().flat_map(|rates| rates.0.clone());
        Self(Arc::new(Front {
            rates: Rates::new(limits.rate, named),
            proxies: Proxies::new(
                http.trusted_proxies.clone().unwrap_or_default(),
                http.proxy_header,
            ),
            body_time: limits.body_time,
            ..Front::default()
        }))
    }
}

/// A program's own response to internal errors, if it has one.
pub(super) type InternalErrors = Option<OnInternalError>;

/// What a process asks for that this program is built without.
pub(super) fn missing(_: &ThisProcess) -> Option<StartError> {
    None
}

/// Lets gateways in other processes forward to the routes that modules of this process have.
pub(super) fn serve_own_routes(
    directory: Directory,
    own_routes: Vec<(&'static str, Router)>,
    manifest: Manifest,
) -> Directory {
    let web = OwnRoutesHere::new(own_routes.into_iter());
    let is_gateway = move |caller: &str| {
        let host = manifest.host.as_deref() == Some(caller);
        let stated = manifest.processes.get(caller);
        host || stated.is_some_and(|process| process.http.is_some())
    };
    directory.with_web(Arc::new(web), Box::new(is_gateway))
}

impl App {
    /// Has the routes of the gateway answer an internal error with `response`, in place of a problem of Monolift's.
    /// The number is the one under which the error was logged.
    ///
    /// The response keeps `x-request-id`. `/openapi.json` still describes Monolift's problem.
    #[must_use]
    pub fn on_internal_error(
        mut self,
        response: impl Fn(Reference) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.internal_errors = Some(Arc::new(response));
        self
    }
}

impl RunningApp {
    /// The routes of every interface that has some, with `/livez` and `/readyz`, `/openapi.json` and
    /// `/docs`: to be merged into a host's own router, or served by itself. It needs
    /// the feature `http`.
    pub fn routes(&self) -> Result<axum::Router, RouteError> {
        self.routes_unlogged().map(|routes| self.logged_and_shared(routes))
    }

    /// `router` with the access log and for pages of other origins, as far as settings say so.
    fn logged_and_shared(&self, router: axum::Router) -> axum::Router {
        let http = &self.place.manifest.http;
        let router = match &http.cors_origins {
            Some(origins) => {
                let cors = Cors {
                    origins: origins.clone(),
                    methods: http.cors_methods.clone(),
                    headers: http.cors_headers.clone(),
                    max_age: http.cors_max_age,
                };
                gateway::with_cors(router, &cors)
            }
            None => router,
        };
        match http.access_log {
            true => gateway::access_logged(router),
            false => router,
        }
    }

    /// The routes without the access log and for pages of this origin only, for a router that has more.
    fn routes_unlogged(&self) -> Result<axum::Router, RouteError> {
        let manifest = &self.place.manifest;
        // Other applications of the workspace may be linked, and are none of this one's business.
        let ours =
            |interface: &InterfaceDescriptor| manifest.process_of(interface.module).is_some();
        let (settings, bounds) = (self.links.settings(), self.place.bounds());
        let front = &self.front.0;
        let whole = gateway::routes(&self.links, settings, bounds, &self.memory, front, ours)?;
        self.users.found_in(&whole, self.readiness.subscribe());
        let mut whole = self.users.known_in(whole, front);
        if let Some(respond) = &self.internal_errors {
            whole = gateway::with_internal_errors(whole, Arc::clone(respond));
        }
        if self.docs {
            whole = whole.merge(gateway::described(&manifest.app, ours));
        }
        let known = |router| self.users.known_in(router, front);
        let own = self.own_routes();
        let own = gateway::own_routes(own, &gateway::paths(ours), front, settings, &known)?;
        let health = gateway::health(self.readiness.subscribe());
        let whole = gateway::secured(gateway::compressed(whole).merge(health));
        Ok(whole.merge(own))
    }

    /// The routes of modules' own: of those that run here, and the ways to the others.
    fn own_routes(&self) -> Vec<(&'static OwnRoutes, RoutesAt)> {
        let all = interfaces().into_iter().filter_map(|entry| (entry.descriptor)().routes.as_ref());
        let ways = all.filter_map(|routes| {
            let module = routes.callee.module;
            let here = self.modules.iter().find(|running| running.facts.name == module);
            let at = match here.and_then(|running| running.routes.clone()) {
                Some((_, router)) => RoutesAt::Here(router),
                None => {
                    let process = self.place.manifest.process_of(module)?;
                    let remote = Arc::clone(self.remotes.get(process)?);
                    RoutesAt::Elsewhere(Arc::new(Forward::to(remote)))
                }
            };
            Some((routes, at))
        });
        ways.collect()
    }

    /// Gives a host's own routes what a call has: a deadline, a trace, a principal. It needs the feature `http`.
    pub fn layer(&self) -> CallLayer {
        CallLayer::new(Arc::clone(self.links.settings()))
    }
}
