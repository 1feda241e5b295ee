//! How often one caller may ask: by principal, or by address where a request does not say who makes it.
//!
//! Callers are counted in this process only. With several gateways a caller has each gateway's rate.

mod table;

use self::table::{Table, Taken};
use crate::{
    Problem,
    call::{Callee, Context, Principal, network_of},
    edge,
    front::Front,
    routes::identified,
};
use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::{Extensions, HeaderName, HeaderValue, StatusCode},
    middleware::{Next, from_fn},
    response::Response,
};
use monolift_manifest::Rate;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroU16,
    sync::Arc,
    time::Duration,
};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The name of the rate for all routes together.
const ALL: &str = "all";

/// The rates of a gateway.
#[derive(Debug, Default)]
pub struct Rates {
    all: Option<Policy>,
    /// Of methods, as `module.method`, and of modules.
    named: BTreeMap<String, Policy>,
    /// Without any rate nothing is counted.
    table: Option<Table>,
}

/// One rate. Its callers are counted apart from those of others.
#[derive(Debug, Clone)]
struct Policy {
    name: String,
    rate: Rate,
}

/// The rates that hold for one method, or for a module's own routes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quota {
    policies: Vec<Policy>,
    /// All of them, as clients read them.
    stated: Option<HeaderValue>,
}

/// Who is counted.
#[derive(Debug, Clone, Copy)]
enum Caller<'a> {
    Principal(&'a Principal),
    Address(IpAddr),
    /// An address, for the tokens that came from it and do not count.
    Tokens(IpAddr),
}

/// A request that was counted, and what its client is told of that.
#[derive(Debug)]
pub(crate) struct Counted {
    headers: [(HeaderName, HeaderValue); 2],
    /// After how long the caller may ask again, if this was too often.
    over: Option<Duration>,
}

impl Rates {
    /// `all` holds for the routes of all modules together. `named` are rates of modules, and of methods as
    /// `module.method`.
    pub fn new(all: Option<Rate>, named: impl IntoIterator<Item = (String, Rate)>) -> Self {
        let policy = |name: String, rate| Policy { name, rate };
        let all = all.map(|rate| policy(ALL.to_owned(), rate));
        let named: BTreeMap<_, _> =
            named.into_iter().map(|(name, rate)| (name.clone(), policy(name, rate))).collect();
        let table = (all.is_some() || !named.is_empty()).then(Table::default);
        Self { all, named, table }
    }

    /// What holds for a method.
    pub(crate) fn of_method(&self, callee: &Callee) -> Quota {
        self.quota(&[callee.module, &callee.to_string()])
    }

    /// What holds for the routes of a module's own.
    pub(crate) fn of_module(&self, module: &str) -> Quota {
        self.quota(&[module])
    }

    fn quota(&self, names: &[&str]) -> Quota {
        let named = names.iter().filter_map(|name| self.named.get(*name));
        let policies: Vec<Policy> = self.all.iter().chain(named).cloned().collect();
        let stated: Vec<String> = policies.iter().map(Policy::stated).collect();
        let stated = HeaderValue::try_from(stated.join(", ")).ok();
        Quota { stated: stated.filter(|_| !policies.is_empty()), policies }
    }

    /// Counts a request. `None` if no rate holds for it, or nothing is known of who makes it.
    pub(crate) fn count(
        &self,
        quota: &Quota,
        principal: Option<&Principal>,
        extensions: &Extensions,
    ) -> Option<Counted> {
        let (table, stated) = (self.table.as_ref()?, quota.stated.clone()?);
        let caller = match principal {
            Some(principal) => Caller::Principal(principal),
            None => Caller::Address(address(extensions)?),
        };
        let mut tightest: Option<(&Policy, Taken)> = None;
        for policy in &quota.policies {
            let taken = table.take(table.key(&policy.name, caller), policy.rate);
            let is_over = taken.over.is_some();
            if tightest.as_ref().is_none_or(|(_, known)| is_over || taken.left < known.left) {
                tightest = Some((policy, taken));
            }
            if is_over {
                break;
            }
        }
        let (policy, Taken { left, again, over }) = tightest?;
        let text = format!("\"{}\";r={left};t={}", policy.name, whole_seconds(again));
        let headers =
            [(RATE_LIMIT, HeaderValue::try_from(text).ok()?), (RATE_LIMIT_POLICY, stated)];
        Some(Counted { headers, over })
    }

    /// Whether another token from this address is verified: the rate for all routes holds for tokens that do not count.
    pub(crate) fn takes_tokens(&self, extensions: &Extensions) -> Result<(), Duration> {
        match self.tokens(extensions) {
            Some((table, key, rate)) => table.peek(key, rate).over.map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    /// A token from this address did not count.
    pub(crate) fn count_token(&self, extensions: &Extensions) {
        if let Some((table, key, rate)) = self.tokens(extensions) {
            table.take(key, rate);
        }
    }

    fn tokens(&self, extensions: &Extensions) -> Option<(&Table, u64, Rate)> {
        let (table, all) = (self.table.as_ref()?, self.all.as_ref()?);
        let key = table.key(&all.name, Caller::Tokens(address(extensions)?));
        Some((table, key, all.rate))
    }
}

/// The address of the client, where the listener knows it.
fn address(extensions: &Extensions) -> Option<IpAddr> {
    let info = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(network_of(info.0.ip()))
}

impl Policy {
    /// As in `RateLimit-Policy`.
    fn stated(&self) -> String {
        let Self { name, rate } = self;
        format!("\"{name}\";q={};w={}", rate.requests, rate.window.as_secs())
    }
}

impl Counted {
    /// The refusal, if this was too often.
    pub(crate) fn refusal(&self) -> Option<Problem> {
        self.over.map(too_many)
    }

    /// Says in a response how much is left.
    pub(crate) fn state(self, response: &mut Response) {
        response.headers_mut().extend(self.headers);
    }
}

/// What a caller hears that asks too often.
pub(crate) fn too_many(again: Duration) -> Problem {
    let text = "this caller makes more requests than it may: ask again after a while";
    let seconds = u16::try_from(whole_seconds(again)).unwrap_or(u16::MAX);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", text)
        .with_retry_after(NonZeroU16::new(seconds).unwrap_or(NonZeroU16::MIN))
}

/// Rounded up, so that who asks again then is not too early.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// What a principal is, for the counts of refused requests.
pub(crate) fn kind_of(principal: Option<&Principal>) -> &'static str {
    match principal {
        Some(principal) if principal.is_service() => "service",
        Some(_) => "user",
        None => "nobody",
    }
}

/// The routes of a module's own, held to the rates of the module.
pub(crate) fn limited(router: Router, module: &'static str, front: &Arc<Front>) -> Router {
    let quota = front.rates.of_module(module);
    if quota.stated.is_none() {
        return router;
    }
    let front = Arc::clone(front);
    router.layer(from_fn(move |request: Request, next: Next| {
        let (front, quota) = (Arc::clone(&front), quota.clone());
        async move {
            let principal = request.extensions().get::<Principal>();
            let counted = front.rates.count(&quota, principal, request.extensions());
            let Some(counted) = counted else { return next.run(request).await };
            let mut response = match counted.refusal() {
                None => next.run(request).await,
                Some(problem) => {
                    front.refused.count("rate", module.to_owned(), kind_of(principal));
                    refused(problem, &request)
                }
            };
            counted.state(&mut response);
            response
        }
    }))
}

/// A request refused before it has a context.
pub(crate) fn refused(problem: Problem, request: &Request) -> Response {
    let trace = Context::look(Context::trace).unwrap_or_else(|| edge::trace(request.headers()));
    identified(problem, trace)
}

#[cfg(test)]
mod tests;
