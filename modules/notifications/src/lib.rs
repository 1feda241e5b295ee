//! What was sent to whom.

#[cfg(test)]
mod tests;

use mailer::Mailer;
use monolift::{Db, Page, Principal, Shared, async_trait};
use notifications_api::{Notification, Notifications, NotificationsError, Sent};
use shop_types::{UserId, now_ms};

/// The module.
#[monolift::module(provides = Notifications)]
pub struct NotificationsModule {
    db: Db,
    mailer: Shared<Mailer>,
}

#[async_trait]
impl Notifications for NotificationsModule {
    async fn send(&self, notification: Notification) -> Result<(), NotificationsError> {
        let Notification { id, user, email, subject } = notification;
        let mut tx = self.db.write().await?;
        let recorded = sqlx::query(
            "INSERT INTO notifications (id, recipient, subject, sent_at_ms) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&id)
        .bind(&user.0)
        .bind(&subject)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        // Before the commit: rather sent twice, should the process end here, than not at all.
        if recorded.rows_affected() > 0 {
            self.mailer.send(&email, &subject);
        }
        tx.commit().await?;
        Ok(())
    }

    async fn sent_to(
        &self,
        user: UserId,
        after: Option<String>,
        limit: Option<u32>,
    ) -> Result<Page<Sent>, NotificationsError> {
        Principal::current()?.is(&user)?;
        let size = Page::<Sent>::size(limit);
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT id, subject, sent_at_ms FROM notifications \
             WHERE recipient = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(&user.0)
        .bind(after.unwrap_or_default())
        .bind(i64::from(size) + 1)
        .fetch_all(&mut *self.db.connection().await?)
        .await?;
        let sent =
            rows.into_iter().map(|(id, subject, sent_at_ms)| Sent { id, subject, sent_at_ms });
        Ok(Page::of(sent.collect(), size, |sent| sent.id.clone()))
    }
}
