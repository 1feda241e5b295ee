//! The four parts of the shop that orders call: customers, stock, payments, notifications.

use super::{
    book::{Book, broken, now_ms},
    messages::{Authorise, Mail, Reserve},
};
use std::{collections::BTreeMap, path::Path};
use tonic::Status;

/// The calls from orders to the other parts.
#[tonic::async_trait]
pub(super) trait Others: Send + Sync + 'static {
    async fn check_user(&self, id: &str) -> Result<(), Status>;
    async fn email(&self, id: &str) -> Result<String, Status>;
    async fn reserve(&self, reserve: Reserve) -> Result<i64, Status>;
    async fn sell(&self, order: &str) -> Result<(), Status>;
    async fn authorise(&self, authorise: Authorise) -> Result<(), Status>;
    async fn capture(&self, order: &str) -> Result<(), Status>;
    async fn send(&self, mail: Mail) -> Result<(), Status>;
}

/// Customers.
pub(super) struct Users(Book);

/// Products and their reservations.
pub(super) struct Stock(Book);

/// Payments, with a simulated provider.
pub(super) struct Payments(Book);

/// Sent notifications.
pub(super) struct Notifications(Book);

impl Users {
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let schema = include_str!("../../../../migrations/users/0001_users.sql");
        let book = Book::open(folder, "users", schema).await?;
        sqlx::query("INSERT INTO users VALUES ('demo', 'Demo', 'demo@example.org', '', $1)")
            .bind(now_ms())
            .execute(&book.reads)
            .await?;
        Ok(Self(book))
    }

    pub(super) async fn check(&self, id: &str) -> Result<(), Status> {
        let found: Option<(String, i64)> =
            sqlx::query_as("SELECT name, since_ms FROM users WHERE id = $1")
                .bind(id)
                .fetch_optional(&self.0.reads)
                .await
                .map_err(broken)?;
        found.map(drop).ok_or_else(|| Status::not_found("no such user"))
    }

    pub(super) async fn email(&self, id: &str) -> Result<String, Status> {
        let found: Option<(String,)> = sqlx::query_as("SELECT email FROM users WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.0.reads)
            .await
            .map_err(broken)?;
        found.map(|(email,)| email).ok_or_else(|| Status::not_found("no such user"))
    }
}

impl Stock {
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let schema = include_str!("../../../../migrations/stock/0001_products.sql");
        let book = Book::open(folder, "stock", schema).await?;
        sqlx::query("INSERT INTO products VALUES ('bench', 'Tea', 4000000000, 450)")
            .execute(&book.reads)
            .await?;
        Ok(Self(book))
    }

    pub(super) async fn reserve(&self, reserve: Reserve) -> Result<i64, Status> {
        let Reserve { order, lines } = reserve;
        let mut tx = self.0.write().await?;
        let opened = sqlx::query(
            "INSERT INTO reservations (order_id, state, total_cents, ends_at_ms) \
             VALUES ($1, 'held', 0, $2) ON CONFLICT (order_id) DO NOTHING",
        )
        .bind(&order)
        .bind(now_ms() + 900_000)
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
        if opened.rows_affected() == 0 {
            // A repeated request: return the result of the first one.
            let (total,): (i64,) = sqlx::query_as(
                "SELECT total_cents FROM reservations WHERE order_id = $1 AND state <> 'closed'",
            )
            .bind(&order)
            .fetch_one(&mut *tx)
            .await
            .map_err(broken)?;
            return Ok(total);
        }
        let mut units = BTreeMap::new();
        for line in lines {
            *units.entry(line.sku).or_insert(0) += i64::from(line.quantity);
        }
        let mut total = 0;
        for (sku, quantity) in units {
            let taken: Option<(i64,)> = sqlx::query_as(
                "UPDATE products SET on_hand = on_hand - $1 WHERE sku = $2 AND on_hand >= $1 \
                 RETURNING price_cents",
            )
            .bind(quantity)
            .bind(&sku)
            .fetch_optional(&mut *tx)
            .await
            .map_err(broken)?;
            let (price,) = taken.ok_or_else(|| Status::failed_precondition("sold out"))?;
            sqlx::query("INSERT INTO held (order_id, sku, quantity) VALUES ($1, $2, $3)")
                .bind(&order)
                .bind(&sku)
                .bind(quantity)
                .execute(&mut *tx)
                .await
                .map_err(broken)?;
            total += price * quantity;
        }
        sqlx::query("UPDATE reservations SET total_cents = $1 WHERE order_id = $2")
            .bind(total)
            .bind(&order)
            .execute(&mut *tx)
            .await
            .map_err(broken)?;
        tx.commit().await.map_err(broken)?;
        Ok(total)
    }

    pub(super) async fn sell(&self, order: &str) -> Result<(), Status> {
        let mut tx = self.0.write().await?;
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT state, total_cents FROM reservations WHERE order_id = $1")
                .bind(order)
                .fetch_optional(&mut *tx)
                .await
                .map_err(broken)?;
        match row.as_ref().map(|(state, _)| &**state) {
            Some("sold") => return Ok(()),
            Some("held") => {}
            _ => return Err(Status::failed_precondition("not held")),
        }
        sqlx::query(
            "UPDATE reservations SET state = 'sold' WHERE order_id = $1 AND state = 'held'",
        )
        .bind(order)
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
        tx.commit().await.map_err(broken)
    }
}

impl Payments {
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let schema = include_str!("../../../../migrations/payments/0001_payments.sql");
        Ok(Self(Book::open(folder, "payments", schema).await?))
    }

    async fn record(&self, order: &str, cents: i64, state: &str) -> Result<(), Status> {
        let recorded = sqlx::query(
            "INSERT INTO payments (order_id, amount_cents, state, changed_at_ms) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (order_id) DO UPDATE \
             SET state = excluded.state, changed_at_ms = excluded.changed_at_ms \
             WHERE payments.state < excluded.state",
        )
        .bind(order)
        .bind(cents)
        .bind(state)
        .bind(now_ms())
        .execute(&self.0.reads)
        .await;
        recorded.map(drop).map_err(broken)
    }

    pub(super) async fn authorise(&self, authorise: Authorise) -> Result<(), Status> {
        let Authorise { order, cents } = authorise;
        let mut tx = self.0.write().await?;
        sqlx::query(
            "INSERT INTO pretend_provider \
             (order_id, reserved_cents, taken_cents, returned_cents, is_closed) \
             VALUES ($1, $2, 0, 0, 0) ON CONFLICT (order_id) DO NOTHING",
        )
        .bind(&order)
        .bind(cents)
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
        let (reserved, closed): (i64, i64) = sqlx::query_as(
            "SELECT reserved_cents, is_closed FROM pretend_provider WHERE order_id = $1",
        )
        .bind(&order)
        .fetch_one(&mut *tx)
        .await
        .map_err(broken)?;
        tx.commit().await.map_err(broken)?;
        if (reserved, closed) != (cents, 0) {
            return Err(Status::failed_precondition("declined"));
        }
        self.record(&order, cents, "authorised").await
    }

    pub(super) async fn capture(&self, order: &str) -> Result<(), Status> {
        let mut tx = self.0.write().await?;
        sqlx::query(
            "UPDATE pretend_provider SET taken_cents = reserved_cents \
             WHERE order_id = $1 AND is_closed = 0",
        )
        .bind(order)
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
        let row: Option<(i64, i64)> = sqlx::query_as(
            "SELECT taken_cents, is_closed FROM pretend_provider WHERE order_id = $1",
        )
        .bind(order)
        .fetch_optional(&mut *tx)
        .await
        .map_err(broken)?;
        tx.commit().await.map_err(broken)?;
        match row {
            Some((cents, 0)) => self.record(order, cents, "captured").await,
            _ => Err(Status::failed_precondition("closed")),
        }
    }
}

impl Notifications {
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let schema = include_str!("../../../../migrations/notifications/0001_notifications.sql");
        Ok(Self(Book::open(folder, "notifications", schema).await?))
    }

    pub(super) async fn send(&self, mail: Mail) -> Result<(), Status> {
        let mut tx = self.0.write().await?;
        let recorded = sqlx::query(
            "INSERT INTO notifications (id, recipient, subject, sent_at_ms) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
        )
        .bind(&mail.id)
        .bind(&mail.user)
        .bind(&mail.subject)
        .bind(now_ms())
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
        if recorded.rows_affected() > 0 {
            // Does what the shop's mailer does when its log is disabled.
            std::hint::black_box((&mail.email, &mail.subject));
        }
        tx.commit().await.map_err(broken)
    }
}

/// All four parts in this process.
pub(super) struct Parts {
    users: Users,
    stock: Stock,
    payments: Payments,
    notifications: Notifications,
}

impl Parts {
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            users: Users::open(folder).await?,
            stock: Stock::open(folder).await?,
            payments: Payments::open(folder).await?,
            notifications: Notifications::open(folder).await?,
        })
    }
}

#[tonic::async_trait]
impl Others for Parts {
    async fn check_user(&self, id: &str) -> Result<(), Status> {
        self.users.check(id).await
    }

    async fn email(&self, id: &str) -> Result<String, Status> {
        self.users.email(id).await
    }

    async fn reserve(&self, reserve: Reserve) -> Result<i64, Status> {
        self.stock.reserve(reserve).await
    }

    async fn sell(&self, order: &str) -> Result<(), Status> {
        self.stock.sell(order).await
    }

    async fn authorise(&self, authorise: Authorise) -> Result<(), Status> {
        self.payments.authorise(authorise).await
    }

    async fn capture(&self, order: &str) -> Result<(), Status> {
        self.payments.capture(order).await
    }

    async fn send(&self, mail: Mail) -> Result<(), Status> {
        self.notifications.send(mail).await
    }
}
