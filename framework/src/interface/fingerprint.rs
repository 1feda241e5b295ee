//! A hash of an interface's schema. It shows whether two programs have the same version of the
//! interface.

use super::{InterfaceDescriptor, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;

/// A hash of a schema without its doc comments. Equal hashes mean equal schemas; different hashes
/// need not mean incompatible ones.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    pub(super) fn of(interface: &InterfaceDescriptor) -> Self {
        let mut methods: Vec<&Method> = interface.methods.iter().collect();
        methods.sort_by_key(|method| method.name());
        let mut hash = Sha256::new();
        for method in methods {
            hash.update(method.name());
            hash.update([0, u8::from(method.idempotent)]);
            // serde_json's maps are sorted, so equal schemas are equal text.
            hash.update(without_docs(method.schema()).to_string());
        }
        Self(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Removes titles and descriptions. The keys of `properties` and similar objects are the author's
/// names, so a field called `title` stays.
fn without_docs(schema: Value) -> Value {
    const DOCS: [&str; 4] = ["title", "description", "examples", "$comment"];
    const NAMES: [&str; 5] =
        ["properties", "patternProperties", "$defs", "definitions", "arguments"];
    const VALUES: [&str; 3] = ["const", "enum", "default"];
    match schema {
        Value::Object(entries) => entries
            .into_iter()
            .filter(|(key, _)| !DOCS.contains(&key.as_str()))
            .map(|(key, value)| {
                let value = match value {
                    value if VALUES.contains(&key.as_str()) => value,
                    Value::Object(named) if NAMES.contains(&key.as_str()) => named
                        .into_iter()
                        .map(|(name, schema)| (name, without_docs(schema)))
                        .collect(),
                    value => without_docs(value),
                };
                (key, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(without_docs).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn docs_go_and_names_stay() {
        let schema = json!({
            "title": "Book", "description": "A book.", "type": "object",
            "properties": { "title": { "type": "string", "description": "On its cover." } },
            "enum": [{ "title": "kept" }],
        });
        let expected = json!({
            "type": "object",
            "properties": { "title": { "type": "string" } },
            "enum": [{ "title": "kept" }],
        });
        assert_eq!(without_docs(schema), expected);
    }
}
