//! A setting that is never shown.

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use std::{fmt, marker::PhantomData};

/// The name by which the reader of settings knows a secret.
pub const SECRET: &str = "monolift::Secret";

/// A setting that never prints: a password, a key. `api_key: Secret`.
///
/// ```
/// # use monolift_call::Secret;
/// let key = Secret::new("hunter2".to_owned());
/// assert_eq!(format!("{key} {key:?}"), "… …");
/// assert_eq!(key.expose(), "hunter2");
/// ```
///
/// It is set as any other value. An error about it does not say what it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T = String>(T);

impl<T> Secret<T> {
    /// Keeps `value` from being shown.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Default> Default for Secret<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_newtype_struct(SECRET, Hidden(PhantomData)).map(Self)
    }
}

/// Reads a secret as what it is, and says no more of it than its type.
struct Hidden<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Hidden<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
        write!(f, "a secret that is a {kind}")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        T::deserialize(from)
            .map_err(|_| D::Error::invalid_value(Unexpected::Other("another value"), &self))
    }
}
