//! A few products, so that the first request has something to show.

use monolift::Db;

const PRODUCTS: [(&str, &str, i64, i64); 3] =
    [("cup", "Cup", 900, 40), ("pot", "Tea pot", 2_900, 5), ("tea", "Green tea", 450, 20)];

/// Fills a shop that has no products.
pub(crate) async fn fill(db: &Db) -> Result<(), sqlx::Error> {
    let mut tx = db.write().await?;
    let (products,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM products").fetch_one(&mut *tx).await?;
    if products == 0 {
        for (sku, name, price, on_hand) in PRODUCTS {
            // Another process may be doing the same.
            sqlx::query(
                "INSERT INTO products (sku, name, price_cents, on_hand) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (sku) DO NOTHING",
            )
            .bind(sku)
            .bind(name)
            .bind(price)
            .bind(on_hand)
            .execute(&mut *tx)
            .await?;
        }
    }
    tx.commit().await
}
