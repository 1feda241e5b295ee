//! A hash of an interface's schema. It shows whether two programs have the same version of the
//! interface.

use super::{InterfaceDescriptor, Method};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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
        let mut hash = Hash::START;
        for method in methods {
            hash.add(method.name().as_bytes());
            hash.add(&[0, u8::from(method.idempotent)]);
            // serde_json's maps are sorted, so equal schemas are equal text.
            hash.add(without_docs(method.schema()).to_string().as_bytes());
        }
        Self(format!("{:032x}", hash.0))
    }
}

/// FNV-1a of 128 bits. It need not be cryptographic: a fingerprint tells honest versions of an interface apart, and a
/// peer that sends a false one could as well send false answers.
pub(super) struct Hash(u128);

impl Hash {
    pub(super) const START: Self = Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(Self::PRIME);
        }
    }

    /// A half of it, for what is compared only with its like.
    pub(super) fn short(&self) -> u64 {
        self.0 as u64
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

    /// Published values of FNV-1a.
    #[test]
    fn the_hash_is_fnv_1a() {
        for (text, hash) in [
            ("", 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d),
            ("a", 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964),
            ("foobar", 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18_u128),
        ] {
            let mut found = Hash::START;
            found.add(text.as_bytes());
            assert_eq!(found.0, hash, "{text}");
        }
    }

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
