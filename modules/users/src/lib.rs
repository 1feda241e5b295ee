//! Customers, how they log in, and the tokens that say who they are.

mod demo;
mod keys;
mod password;
#[cfg(test)]
mod tests;
mod token;

use self::{
    keys::{Keys, Times},
    password::{Effort, Hashing},
    token::Claims,
};
use monolift::{Config, Db, Lifecycle, Principal, State, async_trait};
use serde::Deserialize;
use shop_types::{UserId, now_ms};
use std::error::Error;
use users_api::{Issuer, Jwk, KeySet, NewUser, Profile, Session, Users, UsersError};

/// The module.
#[monolift::module(provides = Users, lifecycle)]
pub struct UsersModule {
    db: Db,
    config: Config<UsersConfig>,
    hashing: State<Hashing>,
}

/// Its settings.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsersConfig {
    /// Whether there are a customer `demo` and a customer `demo-staff`, whose password everyone knows.
    pub demo: bool,
    /// The URL of the shop, as it stands in tokens. `[identity.issuers.*]` of the manifest has the same.
    pub issuer: String,
    /// What tokens are issued for. `[identity.issuers.*]` of the manifest has the same.
    pub audience: String,
    /// How long a token counts.
    pub token_seconds: u32,
    /// How long a key signs tokens.
    pub key_seconds: u32,
    /// How much memory hashing a password takes, in KiB.
    pub password_memory_kib: u32,
    /// How often it goes over that memory.
    pub password_passes: u32,
}

impl Default for UsersConfig {
    fn default() -> Self {
        Self {
            demo: true,
            issuer: "http://127.0.0.1:8080".to_owned(),
            audience: "shop".to_owned(),
            token_seconds: 1_800,
            key_seconds: 86_400,
            // The least that OWASP recommends for argon2id.
            password_memory_kib: 19_456,
            password_passes: 2,
        }
    }
}

impl UsersModule {
    fn effort(&self) -> Effort {
        let config = &self.config;
        Effort { memory_kib: config.password_memory_kib, passes: config.password_passes }
    }

    async fn published(&self, now: i64) -> Result<Keys, UsersError> {
        let millis = |seconds: u32| i64::from(seconds.max(1)) * 1_000;
        let UsersConfig { key_seconds, token_seconds, .. } = *self.config;
        let times = Times { key_ms: millis(key_seconds), token_ms: millis(token_seconds) };
        Keys::at(now, times, &self.db).await
    }

    /// A token for a customer, and when it expires.
    async fn token(&self, user: &UserId, roles: &str) -> Result<(String, i64), UsersError> {
        let now = now_ms();
        let keys = self.published(now).await?;
        let key = keys.signing(now).ok_or_else(|| std::io::Error::other("no key signs"))?;
        let iat = now / 1_000;
        let exp = iat + i64::from(self.config.token_seconds.max(1));
        let claims = Claims {
            iss: &self.config.issuer,
            aud: &self.config.audience,
            sub: &user.0,
            iat,
            exp,
            roles: roles.split_whitespace().collect(),
        };
        Ok((claims.signed(key)?, exp * 1_000))
    }
}

#[async_trait]
impl Users for UsersModule {
    async fn register(&self, user: NewUser) -> Result<Profile, UsersError> {
        let NewUser { name, email, password } = user;
        if !(1..=100).contains(&name.chars().count()) {
            return Err(UsersError::WrongName);
        }
        let email = address(&email).ok_or(UsersError::WrongEmail)?;
        if !(8..=1000).contains(&password.chars().count()) {
            return Err(UsersError::WrongPassword);
        }
        let hash = self.effort().hash(&self.hashing, password).await?;
        // Nobody can guess it.
        let id = UserId(format!("{:032x}", rand::random::<u128>()));
        let profile = Profile { id, name, since_ms: now_ms() };
        let inserted = sqlx::query(
            "INSERT INTO users (id, name, email, password, since_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (email) DO NOTHING",
        )
        .bind(&profile.id.0)
        .bind(&profile.name)
        .bind(email)
        .bind(hash)
        .bind(profile.since_ms)
        .execute(&mut *self.db.connection().await?)
        .await?;
        if inserted.rows_affected() == 0 {
            return Err(UsersError::EmailTaken);
        }
        Ok(profile)
    }

    async fn log_in(&self, email: String, password: String) -> Result<Session, UsersError> {
        let email = address(&email).unwrap_or_default();
        let found: Option<(String, String, String)> =
            sqlx::query_as("SELECT id, password, roles FROM users WHERE email = $1")
                .bind(email)
                .fetch_optional(&mut *self.db.connection().await?)
                .await?;
        let hash = found.as_ref().map(|(_, hash, _)| hash.clone());
        let is_right = self.effort().verify(&self.hashing, password, hash).await?;
        let Some((id, _, roles)) = found.filter(|_| is_right) else {
            return Err(UsersError::NotLoggedIn);
        };
        let user = UserId(id);
        let (token, ends_at_ms) = self.token(&user, &roles).await?;
        Ok(Session { token, user, ends_at_ms })
    }

    async fn keys(&self) -> Result<KeySet, UsersError> {
        let keys = self.published(now_ms()).await?;
        let jwk = |key: &keys::Key| Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            r#use: "sig".to_owned(),
            alg: token::ALGORITHM.to_owned(),
            kid: key.name.clone(),
            x: token::base64url(key.public()),
        };
        Ok(KeySet { keys: keys.all().iter().map(jwk).collect() })
    }

    async fn issuer(&self) -> Result<Issuer, UsersError> {
        let issuer = self.config.issuer.clone();
        Ok(Issuer {
            jwks_uri: format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/')),
            issuer,
            id_token_signing_alg_values_supported: vec![token::ALGORITHM.to_owned()],
            subject_types_supported: vec!["public".to_owned()],
            response_types_supported: Vec::new(),
        })
    }

    async fn profile(&self, id: UserId) -> Result<Profile, UsersError> {
        if let Some(user) = Principal::current_user()? {
            user.is(&id).or(Err(UsersError::UnknownUser(id.clone())))?;
        }
        let found: Option<(String, i64)> =
            sqlx::query_as("SELECT name, since_ms FROM users WHERE id = $1")
                .bind(&id.0)
                .fetch_optional(&mut *self.db.connection().await?)
                .await?;
        match found {
            Some((name, since_ms)) => Ok(Profile { id, name, since_ms }),
            None => Err(UsersError::UnknownUser(id)),
        }
    }

    async fn email(&self, id: UserId) -> Result<String, UsersError> {
        let found: Option<(String,)> = sqlx::query_as("SELECT email FROM users WHERE id = $1")
            .bind(&id.0)
            .fetch_optional(&mut *self.db.connection().await?)
            .await?;
        found.map(|(email,)| email).ok_or(UsersError::UnknownUser(id))
    }
}

#[async_trait]
impl Lifecycle for UsersModule {
    async fn start(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.config.demo {
            demo::fill(&self.db, &self.hashing, self.effort()).await?;
        }
        Ok(())
    }
}

/// An address as it is kept, so that one mailbox has one customer; `None` when it is none.
fn address(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (name, domain) = email.split_once('@')?;
    let fits = !name.is_empty()
        && domain.split('.').count() > 1
        && domain.split('.').all(|part| !part.is_empty())
        && email.len() <= 254
        && !email.contains(|c: char| c.is_whitespace() || c.is_control());
    (fits && !domain.contains('@')).then_some(email)
}
