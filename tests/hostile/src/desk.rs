//! An interface with arguments of every kind, and a module that answers with what it was given.

use monolift_call::{CallError, InterfaceError, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Takes all kinds of arguments.
#[monolift_call::interface(module = "desk")]
pub(crate) trait Desk {
    /// Arguments in the path and the query.
    #[http(GET, "/things/{id}")]
    async fn find(
        &self,
        id: u32,
        tags: Vec<String>,
        colour: Option<Colour>,
        limit: Option<i8>,
        exact: Option<bool>,
        share: Option<f64>,
    ) -> Result<Thing, DeskError>;

    /// One argument is the body.
    #[http(POST, "/things", body = thing)]
    async fn add(&self, thing: Thing, dry: Option<bool>) -> Result<Thing, DeskError>;

    /// The arguments are members of the body.
    #[http(PUT, "/things/{id}")]
    async fn change(
        &self,
        id: u32,
        name: Option<Name>,
        lines: Vec<Line>,
        shape: Option<Shape>,
        any: Option<serde_json::Value>,
    ) -> Result<Thing, DeskError>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Colour {
    Red,
    DarkBlue,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Line {
    pub(crate) sku: Name,
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) quantity: u32,
}

/// 1 to 40 letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(extend("minLength" = 1, "maxLength" = 40))]
pub(crate) struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.chars().count() {
            1..=40 => Ok(Self(text)),
            _ => Err(format!("{text:?} is no name")),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Shape {
    Circle { radius: f64 },
    Box { sides: (u16, i8) },
    Group { parts: Vec<Shape> },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Thing {
    pub(crate) name: Option<Name>,
    #[serde(default)]
    pub(crate) lines: Vec<Line>,
    pub(crate) shape: Option<Shape>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, Either>,
    #[serde(flatten)]
    pub(crate) more: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Either {
    Number(i64),
    Text(String),
    Many(Vec<Option<u8>>),
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub(crate) enum DeskError {
    #[error("no thing {0}")]
    #[status(404)]
    Unknown(u32),
    #[error(transparent)]
    Call(CallError),
}

/// Answers with what it was given.
#[derive(Debug)]
pub(crate) struct Clerk;

#[async_trait]
impl Desk for Clerk {
    async fn find(
        &self,
        id: u32,
        tags: Vec<String>,
        _: Option<Colour>,
        _: Option<i8>,
        _: Option<bool>,
        _: Option<f64>,
    ) -> Result<Thing, DeskError> {
        if id == 404 {
            return Err(DeskError::Unknown(id));
        }
        let labels = tags.into_iter().map(|tag| (tag, Either::Number(i64::from(id))));
        Ok(Thing { labels: labels.collect(), ..Thing::default() })
    }

    async fn add(&self, thing: Thing, _: Option<bool>) -> Result<Thing, DeskError> {
        Ok(thing)
    }

    async fn change(
        &self,
        _: u32,
        name: Option<Name>,
        lines: Vec<Line>,
        shape: Option<Shape>,
        any: Option<serde_json::Value>,
    ) -> Result<Thing, DeskError> {
        let more = any.map(|any| ("any".to_owned(), any)).into_iter().collect();
        Ok(Thing { name, lines, shape, more, ..Thing::default() })
    }
}
