//! Descriptors of interfaces and methods. The macro emits them.

use super::{Fingerprint, Schema};
use crate::call::{Callee, ErrorResponse};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use std::{fmt, sync::OnceLock};

/// An interface as its trait declares it.
#[derive(Debug)]
pub struct InterfaceDescriptor {
    /// The module that owns the interface, such as `stock`.
    pub module: &'static str,
    /// The trait's name, such as `Stock`.
    pub name: &'static str,
    /// The trait's doc comment.
    pub docs: &'static str,
    /// The methods, in the order of the source.
    pub methods: &'static [Method],
    /// The methods with `#[local]`, in the order of the source. They are in no list of `methods`, so no process serves
    /// them to others, and the fingerprint does not change with them.
    pub local: &'static [Callee],
    /// The module's own routes.
    pub routes: Option<OwnRoutes>,
    /// The fingerprint, computed at its first use because that takes the schemas of all methods.
    pub hash: OnceLock<Fingerprint>,
}

/// The routes that a module serves itself.
#[derive(Debug)]
pub struct OwnRoutes {
    /// What their paths begin with, such as `/pictures`.
    pub prefix: &'static str,
    /// A request for one of them, as far as its rule and its counts are concerned.
    pub callee: Callee,
}

/// A method of an interface.
#[derive(Debug)]
pub struct Method {
    /// The method's name, deadline and meter.
    pub callee: Callee,
    /// The doc comment.
    pub docs: &'static str,
    /// Whether calling the method twice has the same effect as calling it once. Only such a method
    /// is retried when the outcome of a call is unknown.
    pub idempotent: bool,
    /// How many of its calls run at once in a process, if that is limited.
    pub limit: Option<u32>,
    /// The HTTP route, if there is one.
    pub route: Option<Route>,
    /// The arguments, in the order of the source.
    pub arguments: &'static [Argument],
    /// The schema of the answer.
    pub answer: Schema,
    /// The schema of the error.
    pub error: Schema,
    /// The HTTP response of each error.
    pub responses: &'static [ErrorResponse],
    /// The codes of the errors that this method gives, as `#[errors(…)]` names them. If `None`, it may
    /// give all of `responses`.
    pub gives: Option<&'static [&'static str]>,
}

/// An argument of a method.
#[derive(Debug)]
pub struct Argument {
    /// The name. Peers and clients find the argument by it.
    pub name: &'static str,
    /// The schema of its type.
    pub schema: Schema,
    /// Encodes the default, if the argument has `#[serde(default)]` and may be missing.
    pub default: Option<fn() -> Vec<u8>>,
    /// Whether the argument has `#[may_be_ignored]`: a module that does not know it does without it.
    pub may_be_ignored: bool,
}

impl Argument {
    /// Whether `value`, as it is encoded, is what a module takes that does not get this argument.
    pub fn is_default(&self, value: &[u8]) -> bool {
        self.default.is_some_and(|default| default() == value)
    }
}

/// The HTTP route of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The verb.
    pub method: HttpMethod,
    /// The path, with `{name}` for the arguments in it.
    pub path: &'static str,
    /// The argument that is the whole body. If `None`, the body is an object of the arguments that
    /// the path does not name.
    pub body: Option<&'static str>,
    /// Where the thing is that the call made, such as `/orders/{id}`. Names are arguments in the path
    /// or fields of the answer. A success is then 201 with a `location`.
    pub created: Option<&'static str>,
    /// Whether the module reads the header `idempotency-key` of a request for this method.
    pub idempotency_key: bool,
}

impl Route {
    /// The names in a path: `id` of `/orders/{id}`.
    pub fn names(path: &'static str) -> impl Iterator<Item = &'static str> {
        path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// ```text
/// GET /products/{sku}/stock
/// ```
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.path)
    }
}

/// The HTTP verbs that a route can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are HTTP's")]
pub enum HttpMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl HttpMethod {
    /// The verb as a request writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl InterfaceDescriptor {
    /// A hash of the interface's schema. Equal hashes mean equal schemas; different hashes need not
    /// mean incompatible ones.
    pub fn fingerprint(&self) -> Fingerprint {
        self.hash.get_or_init(|| Fingerprint::of(self)).clone()
    }
}

impl Method {
    /// The method's name.
    pub fn name(&self) -> &'static str {
        self.callee.method
    }

    /// The arguments that another version of this method does not have.
    pub fn unknown_to(&self, other: &Self) -> Vec<&Argument> {
        if std::ptr::eq(self, other) {
            return Vec::new();
        }
        let has = |name| other.arguments.iter().any(|argument| argument.name == name);
        self.arguments.iter().filter(|argument| !has(argument.name)).collect()
    }

    /// The HTTP responses of the errors that this method gives.
    pub fn error_responses(&self) -> impl Iterator<Item = &'static ErrorResponse> {
        let gives = self.gives;
        let given =
            move |error: &&ErrorResponse| gives.is_none_or(|gives| gives.contains(&error.code));
        self.responses.iter().filter(given)
    }

    /// The schemas of the arguments, the answer and the error, in one document.
    pub fn schema(&self) -> serde_json::Value {
        let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
        let arguments: serde_json::Map<_, _> = self
            .arguments
            .iter()
            .map(|argument| (argument.name.to_owned(), (argument.schema.0)(&mut generator).into()))
            .collect();
        let answer: serde_json::Value = (self.answer.0)(&mut generator).into();
        let error: serde_json::Value = (self.error.0)(&mut generator).into();
        serde_json::json!({
            "arguments": arguments,
            "answer": answer,
            "error": error,
            "definitions": generator.take_definitions(true),
        })
    }
}
