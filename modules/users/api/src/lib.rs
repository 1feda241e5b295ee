//! The interface of the module `users`.

use monolift_call::{CallError, InterfaceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shop_types::UserId;
use thiserror::Error;

/// Customers, and how they log in.
#[monolift_call::interface]
pub trait Users {
    /// Registers a customer.
    #[http(POST, "/users", body = user, created = "/users/{id}")]
    #[limit(4)]
    #[auth(public)]
    async fn register(&self, user: NewUser) -> Result<Profile, UsersError>;

    /// Logs a customer in. The token of the answer goes with each further request, in the header
    /// `authorization: Bearer …`.
    ///
    /// Whether the address or the password was wrong is not said.
    #[http(POST, "/sessions")]
    #[limit(4)]
    #[auth(public)]
    async fn log_in(
        &self,
        #[schemars(length(max = 254))] email: String,
        #[schemars(length(max = 1000))] password: String,
    ) -> Result<Session, UsersError>;

    /// A customer, for themselves and for other modules.
    #[http(GET, "/users/{id}")]
    #[idempotent]
    #[auth(user)]
    #[auth(service)]
    async fn profile(&self, id: UserId) -> Result<Profile, UsersError>;

    /// The keys that tokens are signed with.
    #[http(GET, "/.well-known/jwks.json")]
    #[idempotent]
    #[errors()]
    #[auth(public)]
    async fn keys(&self) -> Result<KeySet, UsersError>;

    /// What a program needs to know that takes this shop's tokens, as OpenID Connect has it.
    #[http(GET, "/.well-known/openid-configuration")]
    #[idempotent]
    #[errors()]
    #[auth(public)]
    async fn issuer(&self) -> Result<Issuer, UsersError>;

    /// Where a customer's mail goes. For other modules only.
    #[idempotent]
    #[auth(service)]
    async fn email(&self, id: UserId) -> Result<String, UsersError>;
}

/// Who wants to be a customer.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct NewUser {
    /// What to call them.
    #[schemars(length(max = 100))]
    pub name: String,
    /// Where mail goes. Nobody else has it.
    #[schemars(length(max = 254))]
    pub email: String,
    /// At least eight characters.
    #[schemars(length(max = 1000))]
    pub password: String,
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// Their number.
    pub id: UserId,
    /// What to call them.
    pub name: String,
    /// Since when they are a customer, in milliseconds since 1970.
    pub since_ms: i64,
}

/// A customer who has logged in.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// What proves it: a JWT.
    pub token: String,
    /// Who has logged in.
    pub user: UserId,
    /// When the token expires, in milliseconds since 1970.
    pub ends_at_ms: i64,
}

/// A set of public keys, as RFC 7517 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeySet {
    /// The key that signs, those before it whose tokens may still count, and the one after it.
    pub keys: Vec<Jwk>,
}

/// A public key, as RFC 8037 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// `sig`.
    pub r#use: String,
    /// `EdDSA`.
    pub alg: String,
    /// Its name in tokens.
    pub kid: String,
    /// The key, in base64url.
    pub x: String,
}

/// What this shop says of its tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Issuer {
    /// What stands in their claim `iss`.
    pub issuer: String,
    /// Where their keys are.
    pub jwks_uri: String,
    /// The algorithms of the keys.
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// `public`.
    pub subject_types_supported: Vec<String>,
    /// None: nothing is redirected.
    pub response_types_supported: Vec<String>,
}

/// How a call of [`Users`] fails.
#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum UsersError {
    /// There is no such customer.
    #[error("no user {0}")]
    #[status(404)]
    UnknownUser(UserId),
    /// Somebody is registered with this address.
    #[error("this email address is registered already")]
    #[status(409)]
    EmailTaken,
    /// The address is none that mail could be sent to.
    #[error("this is no email address")]
    WrongEmail,
    /// A name has between 1 and 100 characters.
    #[error("a name has between 1 and 100 characters")]
    WrongName,
    /// A password has between 8 and 1000 characters.
    #[error("a password has between 8 and 1000 characters")]
    WrongPassword,
    /// The address or the password was wrong.
    #[error("the email address or the password is wrong")]
    #[status(401)]
    NotLoggedIn,
    /// What any call can end with.
    #[error(transparent)]
    Call(CallError),
}

impl std::fmt::Debug for NewUser {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewUser({}, {})", self.name, self.email)
    }
}

impl std::fmt::Debug for Session {
    /// Without the token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({}, until {})", self.user, self.ends_at_ms)
    }
}
