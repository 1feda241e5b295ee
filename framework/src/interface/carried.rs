//! What can cross between processes, checked where it is written.
//!
//! Everything that the macro emits asks for [`Carried`] and nothing else, so that a type that cannot
//! be carried gives one kind of error, with advice, and not one for each trait of serde.

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// An argument, an answer or an error of a method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be carried to another process",
    label = "this cannot be encoded and decoded",
    note = "add `#[derive(Serialize, Deserialize, JsonSchema)]` to it, or pass something that has them; it must also be `Send + Sync + 'static`"
)]
pub trait Carried: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static> Carried for T {}

/// An argument on its way out, borrowed.
#[derive(Debug)]
pub struct Sent<'a, T>(pub &'a T);

impl<T: Carried> Serialize for Sent<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// An argument that has arrived.
#[derive(Debug)]
pub struct Received<T>(pub T);

impl<'de, T: Carried> Deserialize<'de> for Received<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self)
    }
}

impl<T: Default> Default for Received<T> {
    /// For an argument with `#[serde(default)]` that did not come.
    fn default() -> Self {
        Self(T::default())
    }
}

/// A type's JSON schema, made when it is asked for.
#[derive(Clone, Copy)]
pub struct Schema(pub(crate) fn(&mut SchemaGenerator) -> schemars::Schema);

impl Schema {
    /// That of `T`.
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

/// What a method returns, taken apart, so that an alias of `Result` serves as well.
pub trait Returned {
    /// Its answer.
    type Answer;
    /// Its error.
    type Error;
}

impl<T, E> Returned for Result<T, E> {
    type Answer = T;
    type Error = E;
}
