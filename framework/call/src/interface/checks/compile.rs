//! From a JSON schema to the nodes that a walk follows.

use super::{
    UnknownPattern,
    held::Number,
    node::{Count, JsonType, Node, Range},
    pattern::Pattern,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where the schemas that have a name are.
const DEFINITIONS: &str = "#/$defs/";

pub(super) struct Compiler<'a> {
    definitions: &'a Map<String, Value>,
    named: BTreeMap<&'a str, usize>,
    nodes: Vec<Node>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(definitions: &'a Map<String, Value>) -> Self {
        Self { definitions, named: BTreeMap::new(), nodes: Vec::new() }
    }

    pub(super) fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The node of a schema.
    pub(super) fn node(&mut self, schema: &Value) -> Result<usize, UnknownPattern> {
        let node = self.read(schema)?;
        Ok(self.add(node))
    }

    /// All nodes, each knowing whether a bound can be reached from it.
    pub(super) fn finish(mut self) -> Vec<Node> {
        for node in &mut self.nodes {
            node.bounded = node.states_bounds();
        }
        loop {
            let found: Vec<usize> = (0..self.nodes.len())
                .filter(|at| !self.nodes[*at].bounded)
                .filter(|at| self.nodes[*at].neighbours().any(|other| self.nodes[other].bounded))
                .collect();
            if found.is_empty() {
                return self.nodes;
            }
            found.into_iter().for_each(|at| self.nodes[at].bounded = true);
        }
    }

    fn read(&mut self, schema: &Value) -> Result<Node, UnknownPattern> {
        let mut node = Node::default();
        let Value::Object(says) = schema else { return Ok(node) };
        let count = |least: &str, most: &str| Count {
            least: says.get(least).and_then(Value::as_u64),
            most: says.get(most).and_then(Value::as_u64),
        };
        node.kinds = match says.get("type") {
            Some(Value::String(name)) => JsonType::named(name).into_iter().collect(),
            Some(Value::Array(names)) => {
                names.iter().filter_map(|name| JsonType::named(name.as_str()?)).collect()
            }
            _ => Vec::new(),
        };
        node.length = count("minLength", "maxLength");
        node.count = count("minItems", "maxItems");
        node.members = count("minProperties", "maxProperties");
        node.pattern = match says.get("pattern") {
            Some(Value::String(pattern)) => Some(Pattern::new(pattern)?),
            _ => None,
        };
        node.range = range(says);
        node.values = match (says.get("const"), says.get("enum")) {
            (Some(one), _) => Some(vec![one.clone()]),
            (None, Some(Value::Array(all))) => Some(all.clone()),
            _ => None,
        };
        if let Some(Value::Array(names)) = says.get("required") {
            node.required =
                names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        }
        node.items = self.one(says.get("items"))?;
        node.first_items = self.several(says.get("prefixItems"))?;
        if let Some(Value::Object(properties)) = says.get("properties") {
            for (name, schema) in properties {
                node.properties.insert(name.clone(), self.node(schema)?);
            }
        }
        node.closed = says.get("additionalProperties") == Some(&Value::Bool(false));
        node.other_properties = self.one(says.get("additionalProperties"))?;
        node.also = self.several(says.get("allOf"))?;
        if let Some(Value::String(reference)) = says.get("$ref") {
            node.also.extend(self.referred(reference)?);
        }
        for key in ["anyOf", "oneOf"] {
            let alternatives = self.several(says.get(key))?;
            if node.one_of.is_empty() {
                node.one_of = alternatives;
            } else if !alternatives.is_empty() {
                // Both at once: each of the two has to hold.
                let second = Node { one_of: alternatives, ..Node::default() };
                node.also.push(self.add(second));
            }
        }
        let is_null = |at: &usize| self.nodes[*at].kinds == [JsonType::Null];
        let mut others = node.one_of.iter().copied().filter(|at| !is_null(at));
        if let (Some(only), None) = (others.next(), others.next()) {
            node.option_of = Some(only);
        }
        Ok(node)
    }

    fn one(&mut self, schema: Option<&Value>) -> Result<Option<usize>, UnknownPattern> {
        schema.filter(|schema| schema.is_object()).map(|schema| self.node(schema)).transpose()
    }

    fn several(&mut self, schemas: Option<&Value>) -> Result<Vec<usize>, UnknownPattern> {
        let all = schemas.and_then(Value::as_array).into_iter().flatten();
        all.map(|schema| self.node(schema)).collect()
    }

    /// The node of a schema that has a name, which may hold itself.
    fn referred(&mut self, reference: &str) -> Result<Option<usize>, UnknownPattern> {
        let definitions = self.definitions;
        let found = reference.strip_prefix(DEFINITIONS).and_then(|name| {
            // JSON pointer's own escapes.
            let name = name.replace("~1", "/").replace("~0", "~");
            definitions.get_key_value(&name)
        });
        let Some((name, schema)) = found else { return Ok(None) };
        if let Some(known) = self.named.get(name.as_str()) {
            return Ok(Some(*known));
        }
        let at = self.add(Node::default());
        self.named.insert(name, at);
        self.nodes[at] = self.read(schema)?;
        Ok(Some(at))
    }
}

/// What a schema says of a number, without what its Rust type says already.
fn range(says: &Map<String, Value>) -> Range {
    let number = |key: &str| says.get(key).and_then(Number::of);
    let (mut least, mut most) = (number("minimum"), number("maximum"));
    let format = says.get("format").and_then(Value::as_str);
    let bits = |prefix| format?.strip_prefix(prefix)?.parse::<u32>().ok();
    let own = match (bits("uint"), bits("int")) {
        (Some(bits), _) => Some((0, (bits < 127).then(|| (1_i128 << bits) - 1))),
        (None, Some(bits)) if bits < 127 => {
            Some((-(1_i128 << (bits - 1)), Some((1_i128 << (bits - 1)) - 1)))
        }
        _ if format == Some("uint") => Some((0, None)),
        _ => None,
    };
    if let Some((own_least, own_most)) = own {
        least = least.filter(|least| *least != Number::Whole(own_least));
        most = most.filter(|most| Some(*most) != own_most.map(Number::Whole));
    }
    Range {
        least,
        most,
        above: number("exclusiveMinimum"),
        below: number("exclusiveMaximum"),
        multiple_of: number("multipleOf"),
    }
}
