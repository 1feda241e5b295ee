//! Two customers to try the shop with. Their password is known to everyone.

use crate::password::{Effort, Hashing};
use monolift::Db;
use shop_types::now_ms;
use std::error::Error;

/// The password of both.
const PASSWORD: &str = "demo-password";
/// Their numbers, names, addresses and roles.
const CUSTOMERS: [(&str, &str, &str, &str); 2] = [
    ("demo", "Demo customer", "demo@example.org", ""),
    ("demo-staff", "Demo staff", "staff@example.org", "staff"),
];

/// Adds those that are missing. The releases before had the customer `demo` without a password.
pub(crate) async fn fill(
    db: &Db,
    hashing: &Hashing,
    effort: Effort,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let known: (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM users WHERE id IN ($1, $2) AND password <> ''")
            .bind(CUSTOMERS[0].0)
            .bind(CUSTOMERS[1].0)
            .fetch_one(&mut *db.connection().await?)
            .await?;
    if known.0 == 2 {
        return Ok(());
    }
    let hash = effort.hash(hashing, PASSWORD.to_owned()).await?;
    let mut tx = db.write().await?;
    for (id, name, email, roles) in CUSTOMERS {
        sqlx::query(
            "INSERT INTO users (id, name, email, password, since_ms, roles) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(name)
        .bind(email)
        .bind(&hash)
        .bind(now_ms())
        .bind(roles)
        .execute(&mut *tx)
        .await?;
        sqlx::query("UPDATE users SET password = $1, roles = $2 WHERE id = $3 AND password = ''")
            .bind(&hash)
            .bind(roles)
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}
