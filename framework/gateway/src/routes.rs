//! The routes of all interfaces, as one router.

mod endpoint;
#[cfg(test)]
mod tests;

use self::endpoint::Endpoint;
use super::{
    HttpAnswer, HttpEntry, Problem, REQUEST_ID, answer::response, edge, front::Front,
    log::RequestId,
};
use crate::{
    call::{CallSettings, Trace},
    interface::{Checks, HttpMethod, InterfaceDescriptor, Method, Part, Route, UnknownPattern},
    link::Links,
    wire::{Bounds, Memory},
};
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
    routing::{MethodFilter, MethodRouter},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Why the routes cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteError(Mistake);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mistake {
    /// Two methods with one verb and one shape of path.
    Clash { route: String, first: String, second: String },
    /// A bound of an argument that cannot be enforced.
    Pattern { method: String, error: UnknownPattern },
    /// A place of what is made names a field that the answer does not have.
    Created { method: String, place: &'static str, field: &'static str },
}

impl RouteError {
    pub(super) fn clash(route: &str, first: String, second: String) -> Self {
        Self(Mistake::Clash { route: route.to_owned(), first, second })
    }
}

/// The paths of the routed methods, each with whose it is.
pub fn paths(serves: impl Fn(&'static InterfaceDescriptor) -> bool) -> Vec<(String, String)> {
    let linked = inventory::iter::<HttpEntry>.into_iter().map(HttpEntry::descriptor);
    let methods = linked.filter(|entry| serves(entry)).flat_map(|entry| entry.methods);
    let own =
        super::described::described_paths().map(|path| (path, "the gateway itself".to_owned()));
    let routed = methods.filter_map(|method| Some((method.route?.path, named(method))));
    routed.chain(own).map(|(path, whose)| (path.to_owned(), whose)).collect()
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Mistake::Clash { route, first, second } => {
                write!(
                    f,
                    "{first} and {second} have the same route, {route}: change one of the two"
                )
            }
            Mistake::Pattern { method, error } => write!(f, "{method}: {error}"),
            Mistake::Created { method, place, field } => write!(
                f,
                "{method}: `created = \"{place}\"` names `{field}`, which is no argument in the path and \
                 no field that every answer has"
            ),
        }
    }
}

impl std::error::Error for RouteError {}

/// The routed methods of all interfaces that are linked into this program and that `serves` picks,
/// called through `links`. `frame` is what a call between processes may hold: a body may have as many
/// bytes, and an answer that would not fit into a frame is refused wherever its module runs. Bodies are
/// charged to `memory`. `front` is what all requests are held to.
///
/// The router answers the wrong verb on a known path. Paths that it does not know are left to the
/// router that it is merged into, which may be a program's own; [`not_found`] is for one that has
/// nothing to say.
pub fn routes(
    links: &Links,
    settings: &Arc<CallSettings>,
    frame: Bounds,
    memory: &Arc<Memory>,
    front: &Arc<Front>,
    serves: impl Fn(&'static InterfaceDescriptor) -> bool,
) -> Result<Router, RouteError> {
    let linked = inventory::iter::<HttpEntry>.into_iter().copied();
    let entries = linked.filter(|entry| serves(entry.descriptor()));
    routes_of(entries, links, settings, frame, memory, front)
}

fn routes_of(
    entries: impl Iterator<Item = HttpEntry>,
    links: &Links,
    settings: &Arc<CallSettings>,
    frame: Bounds,
    memory: &Arc<Memory>,
    front: &Arc<Front>,
) -> Result<Router, RouteError> {
    let mut entries: Vec<_> = entries.collect();
    // What is linked comes in any order; clashes should be told in the same one every time.
    entries.sort_by_key(|entry| (entry.descriptor().module, entry.descriptor().name));
    let mut places: BTreeMap<String, PathMethods> = BTreeMap::new();
    for entry in entries {
        let routed = |method: &'static Method| Some((method, method.route?));
        let methods = entry.descriptor().methods.iter().enumerate();
        let mut routed =
            methods.filter_map(|(number, method)| Some((number, routed(method)?))).peekable();
        if routed.peek().is_none() {
            // No link is asked for, so that nothing waits for a module that is not needed here.
            continue;
        }
        let calls = entry.calls(links);
        for (number, (method, route)) in routed {
            if super::described::described_paths().any(|path| path == route.path) {
                let first = "the gateway itself".to_owned();
                return Err(RouteError::clash(&route.to_string(), first, named(method)));
            }
            let place =
                places.entry(shape(route.path)).or_insert_with(|| PathMethods::at(route.path));
            place.claim(method, route)?;
            place_exists(method, route)?;
            let checks = Checks::of(method)
                .map_err(|error| RouteError(Mistake::Pattern { method: named(method), error }))?;
            let endpoint = Arc::new(Endpoint {
                method,
                checks: Some(checks).filter(|checks| checks.bound(Part::Arguments)),
                route,
                route_name: route.to_string().into(),
                path_names: Route::names(route.path).collect(),
                number,
                calls: Arc::clone(&calls),
                settings: Arc::clone(settings),
                frame,
                memory: Arc::clone(memory),
                quota: front.rates.of_method(&method.callee),
                front: Arc::clone(front),
            });
            place.router = std::mem::take(&mut place.router).on(filter(route.method), {
                move |request: Request| Arc::clone(&endpoint).answer(request)
            });
        }
    }
    let router = Router::new();
    Ok(places.into_values().fold(router, |router, place| router.route(place.path, place.router)))
}

/// One shape of path, with the methods that are there.
struct PathMethods {
    /// As the first of them writes it: a router takes one name for each part.
    path: &'static str,
    claims: Vec<(HttpMethod, &'static Method)>,
    router: MethodRouter,
}

impl PathMethods {
    fn at(path: &'static str) -> Self {
        Self { path, claims: Vec::new(), router: MethodRouter::new().fallback(wrong_verb) }
    }

    fn claim(&mut self, method: &'static Method, route: Route) -> Result<(), RouteError> {
        if let Some((_, first)) = self.claims.iter().find(|(verb, _)| *verb == route.method) {
            return Err(RouteError::clash(&route.to_string(), named(first), named(method)));
        }
        self.claims.push((route.method, method));
        Ok(())
    }
}

/// Refuses a place of what is made that names a field which the answer does not have.
fn place_exists(method: &Method, route: Route) -> Result<(), RouteError> {
    let Some(place) = route.created else { return Ok(()) };
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let answer = Value::from((method.answer.0)(&mut generator));
    let definitions = Value::from(generator.take_definitions(true));
    let named = answer["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let answer = named.map_or(&answer, |name| &definitions[name]);
    let required = |name: &str| {
        answer["required"].as_array().is_some_and(|all| all.iter().any(|field| field == name))
    };
    let in_path: Vec<&str> = Route::names(route.path).collect();
    match Route::names(place).find(|name| !in_path.contains(name) && !required(name)) {
        Some(field) => {
            Err(RouteError(Mistake::Created { method: self::named(method), place, field }))
        }
        None => Ok(()),
    }
}

/// ``` `Stock::level` of the module `stock` ```
fn named(method: &Method) -> String {
    let callee = &method.callee;
    format!("`{}::{}` of the module `{}`", callee.interface, callee.method, callee.module)
}

/// The path without its names: `/products/{sku}/stock` to `/products/{}/stock`.
pub(super) fn shape(path: &str) -> String {
    let segments = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    segments.collect::<Vec<_>>().join("/")
}

/// A GET answers HEAD too, as HTTP has it.
fn filter(method: HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Delete => MethodFilter::DELETE,
    }
}

/// Answers a path that nobody serves, as a router's fallback.
pub async fn not_found(headers: HeaderMap) -> Response {
    let problem =
        Problem::new(StatusCode::NOT_FOUND, "not-found", "nothing is served at this path");
    identified(problem, edge::trace(&headers))
}

/// axum adds the `allow` header, with the verbs that there are.
async fn wrong_verb(headers: HeaderMap) -> Response {
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this path is served under other verbs: see the header `allow`",
    );
    identified(problem, edge::trace(&headers))
}

/// Says in a response which trace it belongs to.
pub(super) fn identified(answer: impl Into<HttpAnswer>, trace: Trace) -> Response {
    let mut response = response(answer);
    let id = HeaderValue::try_from(RequestId(trace).to_string());
    response.headers_mut().insert(REQUEST_ID, id.expect("hexadecimal digits stand in any header"));
    response
}
