//! An interface written out by hand, as the macro would write it, and requests to a router.

use crate::{
    call::{CallError, Callee, Context, ErrorResponse, InterfaceError, Meter},
    interface::{Argument, HttpMethod, InterfaceDescriptor, Method, Protocol, Route, Schema},
    link::{Client, Interface, Link},
};
use axum::{Router, body::Body, http::Request, response::Response};
use futures_util::future::{BoxFuture, pending, ready};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fmt, time::Duration};
use tower::Service;

pub(super) trait Shelf: Send + Sync + 'static {
    /// GET /books/{title}
    fn find(&self, title: String, limit: Option<u32>) -> BoxFuture<'_, Result<Value, ShelfError>>;
    /// POST /books/{name}
    fn add(&self, name: String, copies: u32) -> BoxFuture<'_, Result<(), ShelfError>>;
    /// GET /patient, with a deadline of its own: a minute
    fn patient(&self) -> BoxFuture<'_, Result<(), ShelfError>>;
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) enum ShelfError {
    UnknownBook(String),
    Call(CallError),
}

impl fmt::Display for ShelfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownBook(title) => write!(f, "no book {title}"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShelfError {}

impl From<CallError> for ShelfError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl InterfaceError for ShelfError {
    const RESPONSES: &'static [ErrorResponse] =
        &[ErrorResponse { status: 404, code: "unknown-book", docs: "" }];

    fn call_error(&self) -> Option<&CallError> {
        match self {
            Self::Call(error) => Some(error),
            Self::UnknownBook(_) => None,
        }
    }

    fn response(&self) -> ErrorResponse {
        self.call_error().map_or(Self::RESPONSES[0], ErrorResponse::of)
    }
}

const fn method(
    name: &'static str,
    deadline: Option<Duration>,
    method: HttpMethod,
    path: &'static str,
    arguments: &'static [Argument],
) -> Method {
    Method {
        callee: Callee {
            module: "library",
            interface: "Shelf",
            method: name,
            deadline,
            rule: None,
            meter: Meter::new(),
        },
        docs: "",
        idempotent: true,
        limit: None,
        route: Some(Route { method, path, body: None, created: None, idempotency_key: false }),
        arguments,
        answer: Schema::of::<Value>(),
        error: Schema::of::<ShelfError>(),
        responses: ShelfError::RESPONSES,
        gives: None,
    }
}

static METHODS: [Method; 3] = [
    method(
        "find",
        None,
        HttpMethod::Get,
        "/books/{title}",
        &[
            Argument {
                name: "title",
                schema: Schema::of::<String>(),
                default: None,
                may_be_ignored: false,
            },
            Argument {
                name: "limit",
                schema: Schema::of::<Option<u32>>(),
                default: None,
                may_be_ignored: false,
            },
        ],
    ),
    method(
        "add",
        None,
        HttpMethod::Post,
        "/books/{name}",
        &[
            Argument {
                name: "name",
                schema: Schema::of::<String>(),
                default: None,
                may_be_ignored: false,
            },
            Argument {
                name: "copies",
                schema: Schema::of::<u32>(),
                default: None,
                may_be_ignored: false,
            },
        ],
    ),
    method("patient", Some(Duration::from_secs(60)), HttpMethod::Get, "/patient", &[]),
];

static DESCRIPTOR: InterfaceDescriptor = InterfaceDescriptor {
    module: "library",
    name: "Shelf",
    docs: "",
    local: &[],
    methods: &METHODS,
    routes: None,
    hash: std::sync::OnceLock::new(),
};

#[derive(Clone)]
pub(super) struct ShelfClient(Link<dyn Shelf>);

impl Client for ShelfClient {
    type Interface = dyn Shelf;
}

impl Interface for dyn Shelf {
    type Client = ShelfClient;

    const MODULE: &'static str = "library";

    fn descriptor() -> &'static InterfaceDescriptor {
        &DESCRIPTOR
    }

    fn client(link: Link<Self>) -> ShelfClient {
        ShelfClient(link)
    }

    fn invoke<P: Protocol>(
        ShelfClient(link): ShelfClient,
        method: usize,
        input: P::Input,
    ) -> BoxFuture<'static, P::Output> {
        #[derive(Deserialize)]
        struct Find {
            title: String,
            limit: Option<u32>,
        }
        #[derive(Deserialize)]
        struct Add {
            name: Exploding,
            copies: u32,
        }
        #[derive(Deserialize)]
        struct Patient {}
        let here = {
            let link = link.clone();
            move || link.local().expect("the tests bind it").clone()
        };
        match method {
            0 => Box::pin(P::run(input, move |Find { title, limit }: Find| async move {
                link.call(0, here().find(title, limit)).await
            })),
            1 => Box::pin(P::run(input, move |Add { name, copies }: Add| async move {
                link.call(1, here().add(name.0, copies)).await
            })),
            2 => Box::pin(P::run(input, move |Patient {}: Patient| async move {
                link.call(2, here().patient()).await
            })),
            _ => Box::pin(ready(P::unknown_method(input))),
        }
    }
}

/// A type whose own reading panics.
struct Exploding(String);

impl<'de> Deserialize<'de> for Exploding {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        assert_ne!(text, "bomb", "a secret of the library");
        Ok(Self(text))
    }
}

/// Does what the title says.
pub(super) struct Library;

impl Shelf for Library {
    fn find(&self, title: String, limit: Option<u32>) -> BoxFuture<'_, Result<Value, ShelfError>> {
        Box::pin(async move {
            let context = Context::current().expect("a method runs in a context");
            match &*title {
                "missing" => Err(ShelfError::UnknownBook(title)),
                "panic" => panic!("a secret of the library"),
                "slow" => pending().await,
                "context" => Ok(serde_json::json!({
                    "trace": context.trace().to_string(),
                    "principal": context.principal().map(|principal| &principal.subject),
                    "key": context.idempotency_key(),
                    "remaining": context.remaining().as_secs_f64(),
                })),
                _ => Ok(serde_json::json!({ "title": title, "limit": limit })),
            }
        })
    }

    fn add(&self, _: String, _: u32) -> BoxFuture<'_, Result<(), ShelfError>> {
        Box::pin(ready(Ok(())))
    }

    fn patient(&self) -> BoxFuture<'_, Result<(), ShelfError>> {
        Box::pin(pending())
    }
}

pub(super) async fn send(router: &Router, request: Request<Body>) -> Response {
    let Ok(response) = router.clone().call(request).await;
    response
}

pub(super) async fn get(router: &Router, path: &str) -> Response {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

pub(super) async fn text(response: Response) -> String {
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(body.into()).unwrap()
}

pub(super) async fn json(response: Response) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}
