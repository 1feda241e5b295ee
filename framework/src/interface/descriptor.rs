//! Descriptors of interfaces and methods, as the macro emits them.

use super::{Fingerprint, Schema};
use crate::call::{Callee, ErrorResponse};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use std::sync::OnceLock;

/// An interface, as its trait declares it.
#[derive(Debug)]
pub struct InterfaceDescriptor {
    /// The module that owns it, such as `stock`.
    pub module: &'static str,
    /// Its trait's name, such as `Stock`.
    pub name: &'static str,
    /// Its trait's docs.
    pub docs: &'static str,
    /// Its methods, in the order in which they were written.
    pub methods: &'static [Method],
    /// Where the module's own routes are, when it has some: `/pictures`.
    pub routes: Option<&'static str>,
    /// Its fingerprint, once it has been asked for: it takes all schemas to make one.
    pub hash: OnceLock<Fingerprint>,
}

/// A method of an interface.
#[derive(Debug)]
pub struct Method {
    /// Its names, its deadline and its counts.
    pub callee: Callee,
    /// Its docs.
    pub docs: &'static str,
    /// Whether repeating it changes nothing. Only then is it ever sent again.
    pub idempotent: bool,
    /// How it is reached over HTTP, when it is.
    pub route: Option<Route>,
    /// Its arguments, in the order in which they were written.
    pub arguments: &'static [Argument],
    /// What it answers.
    pub answer: Schema,
    /// The error that it answers.
    pub error: Schema,
    /// What each error says over HTTP.
    pub responses: &'static [ErrorResponse],
}

/// An argument of a method.
#[derive(Debug)]
pub struct Argument {
    /// Its name, which is what peers and clients know it by.
    pub name: &'static str,
    /// Its type.
    pub schema: Schema,
    /// Whether it has a value of its own when it is not given: `#[serde(default)]`.
    pub default: bool,
}

/// A method's place in HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The verb.
    pub method: HttpMethod,
    /// The path, with `{name}` for the arguments in it.
    pub path: &'static str,
    /// The argument that is the whole body. Without one, the body is an object of the arguments
    /// that the path does not name.
    pub body: Option<&'static str>,
}

/// The verbs of HTTP that a method can be bound to.
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
    /// As it stands in a request.
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
    /// A hash of the interface's schema. Equal means surely the same; different means look closer.
    pub fn fingerprint(&self) -> Fingerprint {
        self.hash.get_or_init(|| Fingerprint::of(self)).clone()
    }
}

impl Method {
    /// The method's name.
    pub fn name(&self) -> &'static str {
        self.callee.method
    }

    /// The schema of its arguments, answer and error, in one document.
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
