//! Members' profiles: a module, inside the program's own crate, on the program's own pool.

use monolift::{CallError, Context, Db, InterfaceError, Principal, async_trait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Postgres;
use thiserror::Error;

/// Members' profiles.
#[monolift::interface(module = "profiles")]
pub trait Profiles {
    /// A member's profile.
    #[idempotent]
    async fn show(&self, member: i64) -> Result<Profile, ProfilesError>;

    /// Changes the profile of the member who asks.
    #[idempotent]
    async fn change(&self, member: i64, bio: String) -> Result<(), ProfilesError>;
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    pub name: String,
    pub bio: String,
}

#[derive(Debug, Error, Serialize, Deserialize, JsonSchema, InterfaceError)]
pub enum ProfilesError {
    #[error("no profile")]
    #[status(404)]
    NoProfile,
    #[error("this profile is not yours")]
    #[status(403)]
    NotYours,
    #[error(transparent)]
    Call(CallError),
}

#[monolift::module(name = "profiles", provides = Profiles)]
pub struct ProfilesModule {
    db: Db<Postgres>,
}

#[async_trait]
impl Profiles for ProfilesModule {
    async fn show(&self, member: i64) -> Result<Profile, ProfilesError> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT name, bio FROM profiles JOIN members ON members.id = member_id WHERE member_id = $1",
        )
        .bind(member)
        .fetch_optional(&mut *self.db.connection().await?)
        .await?;
        let (name, bio) = row.ok_or(ProfilesError::NoProfile)?;
        Ok(Profile { name, bio })
    }

    async fn change(&self, member: i64, bio: String) -> Result<(), ProfilesError> {
        let context = Context::current();
        let asks = context.as_ref().and_then(Context::principal).map(|p: &Principal| &p.subject);
        if asks != Some(&member.to_string()) {
            return Err(ProfilesError::NotYours);
        }
        sqlx::query(
            "INSERT INTO profiles (member_id, bio) VALUES ($1, $2) \
             ON CONFLICT (member_id) DO UPDATE SET bio = $2",
        )
        .bind(member)
        .bind(bio)
        .execute(&mut *self.db.connection().await?)
        .await?;
        Ok(())
    }
}
