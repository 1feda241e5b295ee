//! What a process serves, as its hello says it.

use super::{
    codec,
    hello::{BOUNDS, LIMIT},
};
use crate::interface::{Fingerprint, InterfaceDescriptor, Outline};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// The feature of a peer that compares outlines of interfaces: it gets them, and sends its own.
pub const OUTLINES: &str = "outlines";

/// What all outlines in a hello may hold together, in bytes. An application with a hundred modules takes a fifth of it.
const OUTLINES_LIMIT: usize = LIMIT / 2;
/// What an outline takes in a hello beside its own bytes.
const OUTLINE: usize = 16;
/// What a hello holds beside its interfaces.
const PEER: usize = 4 * 1024;

/// What a process serves: its interfaces, and in each the methods by their numbers' order. The
/// number of a method is its place among all the methods of the hello.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Interfaces(pub Vec<Served>);

/// An interface that a process serves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Served {
    /// The module that owns it.
    pub module: String,
    /// Its name.
    pub name: String,
    /// Its schema's hash.
    pub fingerprint: Fingerprint,
    /// Its methods' names.
    pub methods: Vec<String>,
    /// Its outline, for a peer with the feature [`OUTLINES`]. It is read only where fingerprints differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outline: Option<EncodedOutline>,
}

/// An outline as bytes, so that a peer with the same version of the interface does not decode it.
#[derive(Debug, Clone)]
pub struct EncodedOutline(Vec<u8>);

impl Interfaces {
    /// Those of these descriptors, with their outlines. Beyond the limit an outline has no types, and beyond that an
    /// interface has none.
    pub fn with_outlines<'a>(all: impl IntoIterator<Item = &'a InterfaceDescriptor>) -> Self {
        let descriptors: Vec<_> = all.into_iter().collect();
        let mut served: Vec<_> = descriptors.iter().map(|one| Served::of(one)).collect();
        let mut plain = Vec::new();
        let plain = codec::encode(&served, BOUNDS, &mut plain).map_or(LIMIT, |()| plain.len());
        let mut left = LIMIT.saturating_sub(plain + PEER).min(OUTLINES_LIMIT);
        for (served, descriptor) in served.iter_mut().zip(descriptors) {
            served.outline = EncodedOutline::within(&mut left, Outline::of(descriptor));
        }
        Self(served)
    }

    /// The same for a peer that does not compare outlines.
    #[must_use]
    pub fn without_outlines(&self) -> Self {
        let without = |served: &Served| Served { outline: None, ..served.clone() };
        Self(self.0.iter().map(without).collect())
    }
}

impl Served {
    /// What is said of an interface, without its outline.
    pub fn of(descriptor: &InterfaceDescriptor) -> Self {
        Self {
            module: descriptor.module.to_owned(),
            name: descriptor.name.to_owned(),
            fingerprint: descriptor.fingerprint(),
            methods: descriptor.methods.iter().map(|method| method.name().to_owned()).collect(),
            outline: None,
        }
    }
}

impl EncodedOutline {
    /// The outline if it fits into what is left, else what of it fits.
    fn within(left: &mut usize, outline: Outline) -> Option<Self> {
        let fits = |encoded: &Self| encoded.0.len() + OUTLINE <= *left;
        let whole = Self::of(&outline).filter(fits);
        let fitting = whole.or_else(|| Self::of(&outline.without_types()).filter(fits))?;
        *left -= fitting.0.len() + OUTLINE;
        Some(fitting)
    }

    fn of(outline: &Outline) -> Option<Self> {
        let mut bytes = Vec::new();
        codec::encode(outline, BOUNDS, &mut bytes).ok().map(|()| Self(bytes))
    }

    /// Decodes it. `None` if a peer sent something else.
    pub fn read(&self) -> Option<Outline> {
        codec::decode(&self.0, BOUNDS).ok()
    }
}

impl Serialize for EncodedOutline {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for EncodedOutline {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = EncodedOutline;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of an outline")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<EncodedOutline, E> {
                Ok(EncodedOutline(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Map<T> = BTreeMap<&'static str, T>;

    /// An outline as a peer may send it.
    #[derive(Serialize)]
    struct Sent {
        methods: Map<Map<Map<Map<usize>>>>,
        types: Vec<Map<u64>>,
    }

    #[test]
    fn an_outline_without_room_loses_its_types_first() {
        let takes = Map::from([("required", Map::from([("id", 0)]))]);
        let methods = Map::from([("find", Map::from([("takes", takes)]))]);
        let types = vec![Map::from([("own", 7)]), Map::from([("own", 8)])];
        let mut sent = Vec::new();
        codec::encode(&Sent { methods, types }, BOUNDS, &mut sent).unwrap();
        let outline = EncodedOutline(sent).read().unwrap();
        let whole = EncodedOutline::of(&outline).unwrap().0.len() + OUTLINE;
        let names = EncodedOutline::of(&outline.clone().without_types()).unwrap().0.len() + OUTLINE;
        assert!(names < whole);
        for (room, kept, left) in [
            (whole + 5, Some(outline.clone()), 5),
            (whole - 1, Some(outline.clone().without_types()), whole - 1 - names),
            (names, Some(outline.clone().without_types()), 0),
            (names - 1, None, names - 1),
        ] {
            let mut room = room;
            let within = EncodedOutline::within(&mut room, outline.clone());
            assert_eq!((within.and_then(|within| within.read()), room), (kept, left));
        }
    }
}
