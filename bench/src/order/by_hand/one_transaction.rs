//! The shop's order as a team would write it that does not plan to split: one database, and one
//! transaction for all of an order.

use super::{
    Place,
    book::{Book, broken, now_ms},
    messages::{NewOrder, Order},
};
use std::path::Path;
use tonic::Status;

/// The whole shop.
pub(super) struct Shop(Book);

impl Shop {
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let schema = [
            include_str!("../../../../migrations/users/0001_users.sql"),
            include_str!("../../../../migrations/stock/0001_products.sql"),
            include_str!("../../../../migrations/payments/0001_payments.sql"),
            include_str!("../../../../migrations/notifications/0001_notifications.sql"),
            include_str!("../../../../migrations/orders/0001_orders.sql"),
            "INSERT INTO users VALUES ('demo', 'Demo', 'demo@example.org', '', 0);",
            "INSERT INTO products VALUES ('bench', 'Tea', 4000000000, 450);",
        ];
        Ok(Self(Book::open(folder, "shop", &schema.concat()).await?))
    }
}

#[tonic::async_trait]
impl Place for Shop {
    async fn place(&self, order: NewOrder) -> Result<Order, Status> {
        let NewOrder { user, lines } = order;
        let (id, made_at_ms) = (format!("{:032x}", rand::random::<u128>()), now_ms());
        let request = serde_json::to_string(&lines).map_err(|_| Status::internal("JSON"))?;
        let mut tx = self.0.write().await?;
        let known: Option<(String,)> = sqlx::query_as("SELECT email FROM users WHERE id = $1")
            .bind(&user)
            .fetch_optional(&mut *tx)
            .await
            .map_err(broken)?;
        known.ok_or_else(|| Status::not_found("no such user"))?;
        let mut total = 0;
        for line in &lines {
            let taken: Option<(i64,)> = sqlx::query_as(
                "UPDATE products SET on_hand = on_hand - $1 WHERE sku = $2 AND on_hand >= $1 \
                 RETURNING price_cents",
            )
            .bind(i64::from(line.quantity))
            .bind(&line.sku)
            .fetch_optional(&mut *tx)
            .await
            .map_err(broken)?;
            let (price,) = taken.ok_or_else(|| Status::failed_precondition("sold out"))?;
            total += price * i64::from(line.quantity);
        }
        sqlx::query(
            "INSERT INTO orders (id, user_id, request, state, total_cents, made_at_ms) \
             VALUES ($1, $2, $3, 'placed', $4, $5)",
        )
        .bind(&id)
        .bind(&user)
        .bind(request)
        .bind(total)
        .bind(made_at_ms)
        .execute(&mut *tx)
        .await
        .map_err(broken)?;
        sqlx::query("INSERT INTO payments VALUES ($1, $2, 'captured', $3)")
            .bind(&id)
            .bind(total)
            .bind(made_at_ms)
            .execute(&mut *tx)
            .await
            .map_err(broken)?;
        sqlx::query("INSERT INTO notifications VALUES ($1, $2, $3, $4)")
            .bind(format!("{id}-placed"))
            .bind(&user)
            .bind(format!("your order {id} is placed"))
            .bind(made_at_ms)
            .execute(&mut *tx)
            .await
            .map_err(broken)?;
        tx.commit().await.map_err(broken)?;
        Ok(Order { id, user, lines, state: "placed".to_owned(), total, made_at_ms })
    }
}
