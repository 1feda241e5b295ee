//! The outline of an interface: a short form that two processes exchange to compare their versions of it.
//!
//! It holds the names of arguments, fields and variants, whether each is required, and a hash of each type. It leaves out
//! docs, and bounds such as the longest length of a text, which are not enforced between processes. Versions with the
//! same [`Fingerprint`](super::Fingerprint) are equal and are not compared.

mod compare;
mod compile;
#[cfg(test)]
mod tests;

pub use compare::{Difference, Differences};

use super::{Argument, InterfaceDescriptor, Method};
use compile::Compiler;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What of an interface two versions compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// The methods, by their names.
    methods: BTreeMap<String, MethodOutline>,
    /// Each type that is passed or answered, once. Others refer to it by its place in this list.
    #[serde(default)]
    types: Vec<Type>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct MethodOutline {
    /// The arguments.
    takes: Parts,
    /// The answer and the error, as parts of these names.
    #[serde(default)]
    gives: Parts,
}

/// The parts of a value that have names: fields, or arguments. Of each, the place of its type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Parts {
    /// Those that must be there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    required: Names,
    /// Those that may be missing, and then have a default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    optional: Names,
    /// Those that may be null: an `Option`. They may be missing, too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    nullable: Names,
}

type Names = BTreeMap<String, usize>;

/// A type without its name: two versions may call it differently.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Type {
    /// A hash of what is neither a part nor a variant.
    own: u64,
    #[serde(default)]
    parts: Parts,
    /// The variants of an enum, each with the type of its content.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    variants: Names,
    /// Whether a part that it does not know is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    closed: bool,
}

/// Whether a part must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
    Nullable,
}

impl Outline {
    /// That of an interface. It takes the schemas of all methods.
    pub fn of(interface: &InterfaceDescriptor) -> Self {
        let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
        let schemas: Vec<Schemas> =
            interface.methods.iter().map(|method| Schemas::of(method, &mut generator)).collect();
        let framework = compile::call_error(&mut generator);
        let definitions = generator.take_definitions(true);
        let mut compiler = Compiler::new(&definitions, framework);
        let methods = interface.methods.iter().zip(schemas).map(|(method, schemas)| {
            let mut takes = Parts::default();
            for (argument, schema) in method.arguments.iter().zip(&schemas.arguments) {
                let (of, nullable) = compiler.part(schema);
                takes.insert(argument.name, of, Presence::of(nullable, argument.default.is_none()));
            }
            let mut gives = Parts::default();
            for (name, schema) in [("answer", &schemas.answer), ("error", &schemas.error)] {
                let (of, nullable) = compiler.part(schema);
                gives.insert(name, of, Presence::of(nullable, true));
            }
            (method.name().to_owned(), MethodOutline { takes, gives })
        });
        let methods = methods.collect();
        Self { methods, types: compiler.finish() }
    }

    /// The same without the types, for a hello that has no room for them: methods and arguments can still be compared
    /// by their names.
    #[must_use]
    pub fn without_types(self) -> Self {
        Self { types: Vec::new(), ..self }
    }

    /// The arguments of `method` that this version of the interface does not have.
    pub fn unknown<'m>(&self, method: &'m Method) -> Vec<&'m Argument> {
        let Some(here) = self.methods.get(method.name()) else { return Vec::new() };
        let unknown = |argument: &&Argument| here.takes.get(argument.name).is_none();
        method.arguments.iter().filter(unknown).collect()
    }
}

/// The schemas of a method, all made by one generator.
struct Schemas {
    arguments: Vec<Value>,
    answer: Value,
    error: Value,
}

impl Schemas {
    fn of(method: &Method, generator: &mut SchemaGenerator) -> Self {
        let mut schema = |of: &super::Schema| Value::from((of.0)(generator));
        Self {
            arguments: method.arguments.iter().map(|argument| schema(&argument.schema)).collect(),
            answer: schema(&method.answer),
            error: schema(&method.error),
        }
    }
}

impl Presence {
    fn of(nullable: bool, required: bool) -> Self {
        match (nullable, required) {
            (true, _) => Self::Nullable,
            (false, true) => Self::Required,
            (false, false) => Self::Optional,
        }
    }
}

impl Parts {
    fn insert(&mut self, name: impl Into<String>, of: usize, presence: Presence) {
        let names = match presence {
            Presence::Required => &mut self.required,
            Presence::Optional => &mut self.optional,
            Presence::Nullable => &mut self.nullable,
        };
        names.insert(name.into(), of);
    }

    fn get(&self, name: &str) -> Option<(usize, Presence)> {
        self.by_presence().find_map(|(names, presence)| Some((*names.get(name)?, presence)))
    }

    fn all(&self) -> impl Iterator<Item = (&str, usize, Presence)> {
        self.by_presence().flat_map(|(names, presence)| {
            names.iter().map(move |(name, of)| (&**name, *of, presence))
        })
    }

    fn by_presence(&self) -> impl Iterator<Item = (&Names, Presence)> {
        [
            (&self.required, Presence::Required),
            (&self.optional, Presence::Optional),
            (&self.nullable, Presence::Nullable),
        ]
        .into_iter()
    }
}
