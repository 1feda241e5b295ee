//! Types that can be sent between processes, checked where they are written.
//!
//! The code that the macro emits requires [`Carried`] and nothing else. So a type that cannot be
//! sent gives one error with advice, instead of one for each trait of serde.

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// An argument, an answer or an error of a method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be carried to another process",
    label = "this cannot be encoded and decoded",
    note = "add `#[derive(Serialize, Deserialize, JsonSchema)]` to it, or pass something that has them; it must also be `Send + Sync + 'static`",
    note = "for a type of a library, enable its feature of schemars, and serde's of the library: `cargo add schemars --features uuid1` and `cargo add uuid --features serde`; likewise `chrono04`, `jiff02`, `rust_decimal1`, `bigdecimal04`, `url2`, `bytes1`"
)]
pub trait Carried: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static> Carried for T {}

/// An argument that is sent, by reference.
#[derive(Debug)]
pub struct Sent<'a, T>(pub &'a T);

impl<T: Carried> Serialize for Sent<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// An argument that was received.
#[derive(Debug)]
pub struct Received<T>(pub T);

impl<'de, T: Carried> Deserialize<'de> for Received<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self)
    }
}

impl<T: Default> Default for Received<T> {
    /// Used for an argument with `#[serde(default)]` that was not sent.
    fn default() -> Self {
        Self(T::default())
    }
}

/// Makes a type's JSON schema on demand.
#[derive(Clone, Copy)]
pub struct Schema(pub fn(&mut SchemaGenerator) -> schemars::Schema);

impl Schema {
    /// The schema of `T`.
    pub const fn of<T: Carried>() -> Self {
        Self(|generator| generator.subschema_for::<T>())
    }
}

impl Schema {
    /// That of `T` with the bounds that an argument adds to it: `B` is `T` with its own attributes.
    pub const fn bounded<T: Carried, B: JsonSchema>() -> Self {
        Self(|generator| generator.subschema_for::<B>())
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

/// The two types in a method's `Result`. It also works for an alias of `Result`.
pub trait Returned {
    /// The answer.
    type Answer;
    /// The error.
    type Error;
}

impl<T, E> Returned for Result<T, E> {
    type Answer = T;
    type Error = E;
}
