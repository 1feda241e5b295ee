//! Who makes requests: the issuers of the manifest, whose tokens the gateway takes.
//!
//! An issuer may be a module of this application. Its keys are then the answer of a routed method, which this process asks
//! as a client of its gateway would, without a socket: the call goes wherever the module runs.

use super::linked::ThisProcess;
use crate::{
    Principal,
    gateway::{self, Authenticate, Front, Unproven, authenticated},
    interface::{HttpMethod, Route},
    link::interfaces,
    module::StartError,
    remote::Readiness,
};
use axum::{Router, body::Bytes};
use futures_util::future::BoxFuture;
use monolift_identity::{
    Fetch, FetchError, Https, Identity, IssuerConfig, LONGEST_DOCUMENT, Mapping, Pace, Refused,
};
use monolift_manifest::IssuerKeys;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::watch;

/// The least time between two fetches from a module of this application, as long as none went well: it may be starting.
const FIRST: Duration = Duration::from_millis(250);
/// How long a token waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// The users that requests are made by. None where the manifest names no issuer.
#[derive(Clone, Default)]
pub(super) struct Users(Option<Arc<Known>>);

struct Known {
    tokens: Arc<dyn Authenticate>,
    /// Where issuers of this application are asked. Nothing but this holds the sender: a fetch that waits for the routes
    /// ends with the process.
    here: watch::Sender<Option<Here>>,
}

/// This process, once it can be asked.
#[derive(Clone)]
struct Here {
    routes: Router,
    readiness: watch::Receiver<Readiness>,
}

struct Tokens(Identity);

impl Authenticate for Tokens {
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Principal, Unproven>> {
        Box::pin(async move {
            self.0.verify(token).await.map_err(|refused| match refused {
                Refused::Invalid(why) => Unproven::Invalid(why.to_string()),
                Refused::Unavailable => Unproven::Unavailable(refused.to_string()),
            })
        })
    }
}

impl Users {
    /// Begins to fetch the keys of the issuers, where requests come in.
    pub(super) fn start(place: &ThisProcess) -> Result<Self, StartError> {
        let identity = &place.manifest.identity;
        if identity.issuers.is_empty() || !place.takes_requests() {
            return Ok(Self::default());
        }
        let mut answering = BTreeMap::new();
        let issuers = identity.issuers.iter().map(|(name, keys)| {
            if let Some(path) = keys.jwks.as_ref().filter(|keys| keys.starts_with('/')) {
                answering.insert(path.clone(), module_at(place, name, path)?);
            }
            issuer(keys).ok_or_else(|| {
                StartError::new(format!(
                    "`identity.issuers.{name}` does not say `issuer` and `audience`"
                ))
            })
        });
        let issuers = issuers.collect::<Result<_, _>>()?;
        let (here, waiting) = watch::channel(None);
        let fetch = Anywhere { here: waiting, answering, network: Https::default() };
        let started = Identity::start(issuers, identity.keys.leeway, Arc::new(fetch));
        let identity = started.map_err(|error| {
            StartError::new("the issuers of `[identity]` cannot be trusted").because(error)
        })?;
        let tokens = Arc::new(Tokens(identity));
        Ok(Self(Some(Arc::new(Known { tokens, here }))))
    }

    /// Says where issuers of this application can be asked, and which modules cannot be called yet.
    pub(super) fn found_in(&self, routes: &Router, readiness: watch::Receiver<Readiness>) {
        if let Some(known) = &self.0 {
            known.here.send_replace(Some(Here { routes: routes.clone(), readiness }));
        }
    }

    /// `router`, with the user of each request's token.
    pub(super) fn known_in(&self, router: Router, front: &Arc<Front>) -> Router {
        match &self.0 {
            Some(known) => authenticated(router, Arc::clone(&known.tokens), Arc::clone(front)),
            None => router,
        }
    }
}

/// Gets documents from routes of this application, and from elsewhere over the network.
struct Anywhere {
    here: watch::Receiver<Option<Here>>,
    /// The modules that answer at the paths of this application.
    answering: BTreeMap<String, &'static str>,
    network: Https,
}

impl Anywhere {
    /// The routes, once the module that answers at this path can be called. `None` if the process stops before.
    async fn routes(&self, path: &str) -> Option<Router> {
        let mut here = self.here.clone();
        let Here { routes, mut readiness } = here.wait_for(Option::is_some).await.ok()?.clone()?;
        let module = self.answering.get(path).copied().unwrap_or_default();
        let is_there = |readiness: &Readiness| !readiness.missing.iter().any(|one| one == module);
        readiness.wait_for(is_there).await.ok()?;
        Some(routes)
    }
}

impl Fetch for Anywhere {
    fn get<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Bytes, FetchError>> {
        if !url.starts_with('/') {
            return self.network.get(url);
        }
        Box::pin(async move {
            let routes = self.routes(url).await.ok_or(FetchError::Stopped)?;
            let answer = gateway::ask(routes, url, LONGEST_DOCUMENT).await;
            answer.map_err(|why| FetchError::new(url, why))
        })
    }
}

/// The module whose public method answers at a path.
fn module_at(place: &ThisProcess, name: &str, path: &str) -> Result<&'static str, StartError> {
    let ours = interfaces().into_iter().map(|entry| (entry.descriptor)());
    let ours = ours.filter(|interface| place.manifest.process_of(interface.module).is_some());
    let found = ours.flat_map(|interface| interface.methods).find(|method| {
        let is_there = |route: Route| route.method == HttpMethod::Get && route.path == path;
        let is_public = method.callee.rule.is_none_or(|rule| rule.is_public());
        is_public && method.route.is_some_and(is_there)
    });
    found.map(|method| method.callee.module).ok_or_else(|| {
        StartError::new(format!(
            "`identity.issuers.{name}.jwks` is the path `{path}` of this application: no method with \
             `#[http(GET, \"{path}\")]` and `#[auth(public)]` is linked into this program"
        ))
    })
}

fn issuer(keys: &IssuerKeys) -> Option<IssuerConfig> {
    let claims = keys.claims.iter().flat_map(|claims| claims.split_whitespace());
    let (refresh, overlap) = (keys.refresh, keys.overlap);
    let pace = Pace { refresh, overlap, ..Pace::default() };
    let least = pace.least.min(refresh);
    let is_here = keys.jwks.as_ref().is_some_and(|keys| keys.starts_with('/'));
    let (first, patience) = if is_here { (FIRST, PATIENCE) } else { (least, pace.patience) };
    Some(IssuerConfig {
        issuer: keys.issuer.clone()?,
        audience: keys.audience.clone()?,
        jwks: keys.jwks.clone(),
        mapping: Mapping {
            roles: keys.roles.clone(),
            scopes: keys.scopes.clone(),
            tenant: keys.tenant.clone(),
            claims: claims.map(str::to_owned).collect(),
        },
        pace: Pace { least, first, patience, ..pace },
    })
}
