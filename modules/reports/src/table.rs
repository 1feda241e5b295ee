//! The read model as it is kept: every statement is about one build of it.

use crate::day;
use monolift::Tx;
use orders_api::OrderChanged;
use reports_api::{Bought, Purchase, Sale};
use shop_types::{Cents, OrderId, Sku, UserId};

/// Adds an order that was placed.
pub(crate) async fn add(
    tx: &mut Tx<'_>,
    build: i64,
    placed: &OrderChanged,
    bought: &[Bought],
) -> Result<(), sqlx::Error> {
    let day = day::of(placed.made_at_ms);
    let lines = serde_json::to_string(bought).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "INSERT INTO purchases (monolift_build, order_id, user_id, day, total_cents, cancelled, lines) \
         VALUES ($1, $2, $3, $4, $5, 0, $6)",
    )
    .bind(build)
    .bind(&placed.order.0)
    .bind(&placed.user.0)
    .bind(&day)
    .bind(placed.total.0)
    .bind(lines)
    .execute(&mut **tx)
    .await?;
    // In one order, so that transactions which lock the same rows do not wait for each other.
    let mut bought: Vec<&Bought> = bought.iter().collect();
    bought.sort_by(|a, b| a.sku.cmp(&b.sku));
    for Bought { sku, name, quantity } in bought {
        sqlx::query(
            "INSERT INTO sales (monolift_build, day, sku, name, units) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (monolift_build, day, sku) \
             DO UPDATE SET units = sales.units + $5, name = excluded.name",
        )
        .bind(build)
        .bind(&day)
        .bind(&sku.0)
        .bind(name)
        .bind(i64::from(*quantity))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Takes back an order that was placed.
pub(crate) async fn take_back(
    tx: &mut Tx<'_>,
    build: i64,
    cancelled: &OrderChanged,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE purchases SET cancelled = 1 WHERE monolift_build = $1 AND order_id = $2")
        .bind(build)
        .bind(&cancelled.order.0)
        .execute(&mut **tx)
        .await?;
    let day = day::of(cancelled.made_at_ms);
    let mut lines = cancelled.lines.clone();
    lines.sort_by(|a, b| a.sku.cmp(&b.sku));
    for line in lines {
        sqlx::query(
            "UPDATE sales SET units = units - $1 \
             WHERE monolift_build = $2 AND day = $3 AND sku = $4",
        )
        .bind(i64::from(line.quantity))
        .bind(build)
        .bind(&day)
        .bind(line.sku.0)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// The sales of a day, by the numbers of the products.
pub(crate) async fn sales(
    tx: &mut Tx<'_>,
    build: i64,
    day: &str,
    after: &str,
    most: u32,
) -> Result<Vec<Sale>, sqlx::Error> {
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT sku, name, units FROM sales \
         WHERE monolift_build = $1 AND day = $2 AND sku > $3 AND units > 0 ORDER BY sku LIMIT $4",
    )
    .bind(build)
    .bind(day)
    .bind(after)
    .bind(i64::from(most))
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|(sku, name, units)| Sale { sku: Sku(sku), name, units }).collect())
}

/// What a customer bought, by the numbers of the orders.
pub(crate) async fn purchases(
    tx: &mut Tx<'_>,
    build: i64,
    user: &UserId,
    after: &str,
    most: u32,
) -> Result<Vec<Purchase>, sqlx::Error> {
    let rows: Vec<(String, String, i64, i64, String)> = sqlx::query_as(
        "SELECT order_id, day, total_cents, cancelled, lines FROM purchases \
         WHERE monolift_build = $1 AND user_id = $2 AND order_id > $3 ORDER BY order_id LIMIT $4",
    )
    .bind(build)
    .bind(&user.0)
    .bind(after)
    .bind(i64::from(most))
    .fetch_all(&mut **tx)
    .await?;
    let purchase = |(order, day, total, cancelled, lines): (String, String, i64, i64, String)| {
        Ok(Purchase {
            order: OrderId(order),
            day,
            total: Cents(total),
            cancelled: cancelled == 1,
            lines: serde_json::from_str(&lines)
                .map_err(|error| sqlx::Error::Decode(error.into()))?,
        })
    };
    rows.into_iter().map(purchase).collect()
}
