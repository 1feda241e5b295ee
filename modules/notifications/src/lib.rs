//! What was sent to whom.

#[cfg(test)]
mod tests;

use mailer::Mailer;
use monolift::{Db, Delivery, Failure, On, Page, Principal, Retry, Shared, async_trait};
use notifications_api::{Notifications, NotificationsError, Sent};
use orders_api::{OrderChanged, OrderState};
use shop_types::{UserId, now_ms};
use std::time::Duration;
use users_api::UsersClient;

/// The module.
#[monolift::module(provides = Notifications, on = [OrderChanged])]
pub struct NotificationsModule {
    db: Db,
    mailer: Shared<Mailer>,
    users: UsersClient,
}

/// Tells the customer.
#[async_trait]
impl On<OrderChanged> for NotificationsModule {
    // The customers' addresses are waited for: tried often, and for hours before a mail is parked.
    const RETRY: Retry =
        Retry { first: Duration::from_millis(500), most: Duration::from_secs(5), attempts: 5_000 };

    async fn on(&self, event: Delivery<OrderChanged>) -> Result<(), Failure> {
        let what = match event.state {
            OrderState::Placed => "placed",
            OrderState::Cancelled => "cancelled",
            OrderState::Refused => "refused",
            OrderState::Placing => return Ok(()),
        };
        let (order, user) = (&event.order, &event.user);
        let email = self.users.email(user.clone()).await?;
        let (id, subject) = (format!("{order}-{what}"), format!("your order {order} is {what}"));
        let Some(mut tx) = event.begin(&self.db).await? else { return Ok(()) };
        // An earlier release of orders may have had it sent without an event.
        let recorded = sqlx::query(
            "INSERT INTO notifications (id, recipient, subject, sent_at_ms) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&id)
        .bind(&user.0)
        .bind(&subject)
        .bind(now_ms())
        .execute(&mut **tx)
        .await?;
        // Before the commit: rather sent twice, should the process end here, than not at all.
        if recorded.rows_affected() > 0 {
            self.mailer.send(&email, &subject);
        }
        Ok(tx.commit().await?)
    }
}

#[async_trait]
impl Notifications for NotificationsModule {
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
