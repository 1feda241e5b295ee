//! Members' profiles. Names are the club's own: it is asked for them.

use accounts_api::{AccountsClient, AccountsError};
use monolift::{Context, Db, Principal, async_trait};
use profiles_api::{Profile, Profiles, ProfilesError};
use sqlx::Postgres;

#[monolift::module(provides = Profiles)]
pub struct ProfilesModule {
    db: Db<Postgres>,
    accounts: AccountsClient,
}

#[async_trait]
impl Profiles for ProfilesModule {
    async fn show(&self, member: i64) -> Result<Profile, ProfilesError> {
        let row: Option<(String,)> =
            sqlx::query_as("SELECT bio FROM profiles WHERE member_id = $1")
                .bind(member)
                .fetch_optional(&mut *self.db.connection().await?)
                .await?;
        let (bio,) = row.ok_or(ProfilesError::NoProfile)?;
        let name = self.accounts.name(member).await.map_err(|AccountsError::Call(error)| error)?;
        Ok(Profile { name: name.ok_or(ProfilesError::NoProfile)?, bio })
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
