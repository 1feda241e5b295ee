//! The bounds that the types of a method state, enforced on data.
//!
//! `#[schemars(length(max = 200))]` on a field stands in the method's JSON schema. [`Checks`] are made
//! of that schema once, and then walk arguments that arrive as data: a request's body at the gateway,
//! an encoded call in a test. A check only holds values to what the schema says of lengths, ranges,
//! patterns and counts. Whether a value is of the right type is for its own `Deserialize` to say,
//! except where that decides which variant of an enum a bound belongs to.
//!
//! A field that arrives under a serde `alias` is not in the schema, and is not checked.

mod compile;
mod held;
mod node;
mod pattern;
mod violation;
mod walk;

#[cfg(test)]
mod tests;

pub use pattern::UnknownPattern;
pub(super) use pattern::matching;
pub use violation::Violation;
pub use walk::Walk;

use self::{
    compile::Compiler,
    held::{Held, Number},
    node::{JsonType, Node},
    violation::Sink,
};
use super::Method;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;
use std::collections::BTreeMap;

/// The bounds on the arguments and the answer of one method.
#[derive(Debug)]
pub struct Checks {
    nodes: Vec<Node>,
    /// An object whose members are the arguments.
    arguments: usize,
    answer: usize,
}

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// All arguments, as members of one object.
    Arguments,
    /// The argument of this name.
    Argument(&'a str),
    /// The answer.
    Answer,
}

impl Checks {
    /// Those of `method`; an error when a type has a pattern that cannot be enforced.
    pub fn of(method: &Method) -> Result<Self, UnknownPattern> {
        let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
        let arguments: BTreeMap<&str, Value> = method
            .arguments
            .iter()
            .map(|argument| (argument.name, (argument.schema.0)(&mut generator).into()))
            .collect();
        let answer: Value = (method.answer.0)(&mut generator).into();
        let definitions = generator.take_definitions(true);
        let mut compiler = Compiler::new(&definitions);
        let properties = arguments
            .iter()
            .map(|(name, schema)| Ok(((*name).to_owned(), compiler.node(schema)?)))
            .collect::<Result<_, UnknownPattern>>()?;
        let arguments = compiler.add(Node { properties, ..Node::default() });
        let answer = compiler.node(&answer)?;
        Ok(Self { nodes: compiler.finish(), arguments, answer })
    }

    /// Whether anything is bounded there.
    pub fn bound(&self, part: Part<'_>) -> bool {
        self.root(part).is_some_and(|root| self.nodes[root].bounded)
    }

    /// Walks data. `read` drives the walk with a deserializer of its format; data that it cannot read
    /// is no violation, but a mistake that another reader will name.
    pub fn check<E>(
        &self,
        part: Part<'_>,
        read: impl FnOnce(Walk<'_>) -> Result<(), E>,
    ) -> Result<(), Violation> {
        let Some(root) = self.root(part).filter(|root| self.nodes[*root].bounded) else {
            return Ok(());
        };
        let sink = Sink::default();
        let read = read(Walk::new(&self.nodes, root, &sink));
        match (read, sink.into_inner()) {
            (Err(_), Some(violation)) => Err(violation.of(part)),
            _ => Ok(()),
        }
    }

    /// Checks an argument that is text: a part of a path, or what a query says under its name.
    pub fn text(&self, name: &str, texts: &[&str]) -> Result<(), Violation> {
        let part = Part::Argument(name);
        let Some(root) = self.root(part).filter(|root| self.nodes[*root].bounded) else {
            return Ok(());
        };
        let found = match self.is_list(root) {
            Some(item) => {
                let items = texts.iter().map(|text| self.read_text(item, text)).collect();
                self.holds(root, &Held::List(items))
            }
            None => match texts {
                [text] => self.holds(root, &self.read_text(Some(root), text)),
                // It can be one thing only, and its reader says so.
                _ => Ok(()),
            },
        };
        found.map_err(|violation| violation.of(part))
    }

    fn root(&self, part: Part<'_>) -> Option<usize> {
        match part {
            Part::Arguments => Some(self.arguments),
            Part::Argument(name) => self.nodes[self.arguments].properties.get(name).copied(),
            Part::Answer => Some(self.answer),
        }
    }

    /// `Some` where a list is expected, with the node of its items.
    fn is_list(&self, root: usize) -> Option<Option<usize>> {
        let all = node::gather(&self.nodes, root);
        all.into_iter().find(|node| node.is_of(JsonType::Array)).map(|node| node.items)
    }

    /// A text as the number that it stands for, where numbers are expected.
    fn read_text(&self, node: Option<usize>, text: &str) -> Held {
        let all = node.map_or_else(Vec::new, |node| node::gather(&self.nodes, node));
        let wants = |kind| all.iter().any(|node| node.is_of(kind));
        if (wants(JsonType::Integer) || wants(JsonType::Number)) && !wants(JsonType::String) {
            if let Ok(number) = text.parse::<i128>() {
                return Held::Number(Number::Whole(number));
            }
            if let Ok(number) = text.parse::<f64>() {
                return Held::Number(Number::Float(number));
            }
        }
        Held::Text(text.to_owned())
    }

    fn holds(&self, root: usize, held: &Held) -> Result<(), Violation> {
        match held::judge(&self.nodes, &self.nodes[root], held, held::Strict::No) {
            Err(held::Fault::Bound(violation)) => Err(violation),
            _ => Ok(()),
        }
    }
}
