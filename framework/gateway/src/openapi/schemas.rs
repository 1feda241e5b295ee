//! The schemas that have a name, and the names.
//!
//! A name says what a type is, and does not depend on which other modules there are: each interface has a generator of
//! its own. If types of two interfaces have one name and differ, each is qualified by its interface: `Stock.Line`. If
//! these have one name too, each is qualified by its module as well: `stock.Api.Line`.

use super::prose;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// Where schemas that have a name are.
const SCHEMAS: &str = "#/components/schemas/";
/// How operations refer to the schema of every error. A module may have a `Problem` too.
pub(super) const PROBLEM: &str = "#problem";

/// The schemas of each interface, under the names that it alone would have.
#[derive(Default)]
pub(super) struct Schemas(Vec<OfInterface>);

struct OfInterface {
    module: &'static str,
    name: &'static str,
    schemas: Map<String, Value>,
    /// Its operations, among all.
    operations: Range<usize>,
}

impl Schemas {
    /// For one interface.
    pub(super) fn generator() -> SchemaGenerator {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        SchemaGenerator::new(settings)
    }

    pub(super) fn add(
        &mut self,
        (module, name): (&'static str, &'static str),
        schemas: Map<String, Value>,
        operations: Range<usize>,
    ) {
        self.0.push(OfInterface { module, name, schemas, operations });
    }

    /// All schemas, and the references of the operations to them.
    pub(super) fn named(
        mut self,
        operations: &mut [(String, String, Value)],
    ) -> Map<String, Value> {
        let ambiguous = self.ambiguous();
        let mut interfaces: BTreeMap<&str, usize> = BTreeMap::new();
        for interface in &self.0 {
            *interfaces.entry(interface.name).or_default() += 1;
        }
        let mut all = Map::from_iter([("Problem".to_owned(), problem())]);
        for OfInterface { module, name, schemas, operations: own } in &mut self.0 {
            let qualified = |known: &str| match (ambiguous.contains(known), interfaces[*name]) {
                (false, _) => known.to_owned(),
                (true, 1) => format!("{name}.{known}"),
                (true, _) => format!("{module}.{name}.{known}"),
            };
            for (_, _, operation) in &mut operations[own.clone()] {
                rename(operation, &qualified);
            }
            for (known, mut schema) in std::mem::take(schemas) {
                rename(&mut schema, &qualified);
                shown_descriptions(&mut schema);
                all.insert(qualified(&known), schema);
            }
        }
        all
    }

    /// The names that are of different types, or of types that are made of such.
    fn ambiguous(&self) -> BTreeSet<String> {
        let mut by_name: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for (name, schema) in self.0.iter().flat_map(|interface| &interface.schemas) {
            by_name.entry(name).or_default().push(schema);
        }
        let differ = |schemas: &[&Value]| schemas.windows(2).any(|two| two[0] != two[1]);
        let mut found: BTreeSet<String> = BTreeSet::from(["Problem".to_owned()]);
        found.extend(
            by_name.iter().filter(|(_, all)| differ(all)).map(|(name, _)| (*name).to_owned()),
        );
        loop {
            let before = found.len();
            for (name, schemas) in &by_name {
                if schemas.len() > 1 && refers_to(schemas[0], &found) {
                    found.insert((*name).to_owned());
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }
}

fn refers_to(schema: &Value, names: &BTreeSet<String>) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(key, value)| match reference(key, value) {
            Some(name) => names.contains(name),
            None => refers_to(value, names),
        }),
        Value::Array(items) => items.iter().any(|item| refers_to(item, names)),
        _ => false,
    }
}

fn reference<'a>(key: &str, value: &'a Value) -> Option<&'a str> {
    value.as_str().filter(|_| key == "$ref")?.strip_prefix(SCHEMAS)
}

/// Renames what a schema or an operation refers to.
fn rename(value: &mut Value, name_of: &impl Fn(&str) -> String) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = reference(key, value).map(name_of);
                let is_problem = key == "$ref" && value.as_str() == Some(PROBLEM);
                match name.or_else(|| is_problem.then(|| "Problem".to_owned())) {
                    Some(name) => *value = format!("{SCHEMAS}{name}").into(),
                    None => rename(value, name_of),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, name_of)),
        _ => {}
    }
}

fn shown_descriptions(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "description" => *text = prose::shown(text),
                    value => shown_descriptions(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shown_descriptions),
        _ => {}
    }
}

/// What every error is, as in RFC 9457.
fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong, as in RFC 9457.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "description": "`urn:monolift:<interface>:<code>` for an error of a module, else `about:blank`." },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "For a person." },
            "code": { "type": "string", "description": "For a program." },
            "reference": { "type": "string", "description": "Under which an internal error is in the log." },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Sku(String);

    mod stock {
        use super::*;

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        pub(super) struct Line {
            sku: Sku,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        pub(super) struct Held {
            lines: Vec<Line>,
        }
    }

    mod orders {
        use super::*;

        /// A line.
        #[derive(JsonSchema)]
        #[allow(dead_code)]
        pub(super) struct Line {
            sku: Sku,
            price: u32,
        }

        #[derive(JsonSchema)]
        #[allow(dead_code)]
        pub(super) struct Problem {
            lines: Vec<Line>,
        }
    }

    /// The name of an interface, and the type that its one operation has.
    type Named = (&'static str, fn(&mut SchemaGenerator) -> schemars::Schema);

    /// The names, and what each operation refers to, of interfaces with one operation each.
    fn named(all: &[Named]) -> (Vec<String>, Vec<Value>) {
        let (mut schemas, mut operations) = (Schemas::default(), Vec::new());
        for (at, (name, schema)) in all.iter().enumerate() {
            let mut generator = Schemas::generator();
            operations.push((String::new(), String::new(), schema(&mut generator).into()));
            schemas.add(("shop", name), generator.take_definitions(true), at..at + 1);
        }
        let named = schemas.named(&mut operations);
        let operations = operations.into_iter().map(|(_, _, schema)| schema["$ref"].clone());
        (named.keys().cloned().collect(), operations.collect())
    }

    #[test]
    fn types_of_one_name_that_differ_are_qualified_and_others_keep_theirs() {
        let (names, _) = named(&[("Stock", |to| to.subschema_for::<stock::Held>())]);
        assert_eq!(names, ["Held", "Line", "Problem", "Sku"]);
        let (names, operations) = named(&[
            ("Stock", |to| to.subschema_for::<stock::Held>()),
            ("Orders", |to| to.subschema_for::<orders::Line>()),
            ("Basket", |to| to.subschema_for::<Sku>()),
        ]);
        // `Sku` is one type, and `Held` is of one interface.
        assert_eq!(names, ["Held", "Orders.Line", "Problem", "Sku", "Stock.Line"]);
        let expected = ["Held", "Orders.Line", "Sku"].map(|name| format!("{SCHEMAS}{name}"));
        assert_eq!(operations, expected);
    }

    #[test]
    fn a_type_named_as_the_schema_of_errors_does_not_replace_it() {
        let (names, operations) = named(&[("Orders", |to| to.subschema_for::<orders::Problem>())]);
        assert_eq!(names, ["Line", "Orders.Problem", "Problem", "Sku"]);
        assert_eq!(operations, [format!("{SCHEMAS}Orders.Problem")]);
    }
}
