//! Customers, and how they log in.

mod password;
#[cfg(test)]
mod tests;

use self::password::{Effort, Hashing};
use monolift::{Config, Db, Lifecycle, State, async_trait};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use shop_types::{UserId, now_ms};
use users_api::{NewUser, Profile, Session, Users, UsersError};

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
    /// Whether there is a customer `demo` to try orders with. Nobody can log in as them.
    pub demo: bool,
    /// How long a session lasts.
    pub session_hours: u32,
    /// How much memory hashing a password takes, in KiB.
    pub password_memory_kib: u32,
    /// How often it goes over that memory.
    pub password_passes: u32,
}

impl Default for UsersConfig {
    fn default() -> Self {
        // The least that OWASP recommends for argon2id.
        Self { demo: true, session_hours: 24, password_memory_kib: 19_456, password_passes: 2 }
    }
}

impl UsersModule {
    fn effort(&self) -> Effort {
        let config = &self.config;
        Effort { memory_kib: config.password_memory_kib, passes: config.password_passes }
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
        let found: Option<(String, String)> =
            sqlx::query_as("SELECT id, password FROM users WHERE email = $1")
                .bind(email)
                .fetch_optional(&mut *self.db.connection().await?)
                .await?;
        let (id, hash) = found.unzip();
        let is_right = self.effort().verify(&self.hashing, password, hash).await?;
        let Some(user) = id.filter(|_| is_right).map(UserId) else {
            return Err(UsersError::NotLoggedIn);
        };
        let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let now = now_ms();
        let ends_at_ms = now + i64::from(self.config.session_hours) * 3_600_000;
        let mut tx = self.db.write().await?;
        sqlx::query("DELETE FROM sessions WHERE ends_at_ms <= $1")
            .bind(now)
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO sessions (token_hash, user_id, ends_at_ms) VALUES ($1, $2, $3)")
            .bind(hash_of(&token))
            .bind(&user.0)
            .bind(ends_at_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Session { token, user, ends_at_ms })
    }

    async fn profile(&self, id: UserId) -> Result<Profile, UsersError> {
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

    async fn whose(&self, token: String) -> Result<UserId, UsersError> {
        let found: Option<(String,)> = sqlx::query_as(
            "SELECT user_id FROM sessions WHERE token_hash = $1 AND ends_at_ms > $2",
        )
        .bind(hash_of(&token))
        .bind(now_ms())
        .fetch_optional(&mut *self.db.connection().await?)
        .await?;
        found.map(|(id,)| UserId(id)).ok_or(UsersError::NoSession)
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
    async fn start(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.config.demo {
            sqlx::query(
                "INSERT INTO users (id, name, email, password, since_ms) \
                 VALUES ('demo', 'Demo customer', 'demo@example.org', '', $1) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(now_ms())
            .execute(&mut *self.db.connection().await?)
            .await?;
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

/// A token is random and long: a fast hash is enough.
fn hash_of(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
