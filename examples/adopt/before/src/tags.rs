//! Tags of articles.

use crate::{AppState, error::AppError};
use axum::{Json, extract::State};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;

#[derive(Serialize, sqlx::FromRow)]
pub struct Tag {
    name: String,
    articles: i64,
}

/// The tags in use, the most used first.
pub async fn list(State(state): State<AppState>) -> Result<Json<Vec<Tag>>, AppError> {
    let tags = sqlx::query_as(
        "SELECT name, count(*) AS articles FROM tags JOIN article_tags ON tag_id = id \
         GROUP BY name ORDER BY articles DESC, name LIMIT 200",
    );
    Ok(Json(tags.fetch_all(&state.pool).await?))
}

/// Gives an article these tags and no others.
pub async fn replace(
    connection: &mut PgConnection,
    article: i64,
    tags: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM article_tags WHERE article_id = $1")
        .bind(article)
        .execute(&mut *connection)
        .await?;
    // In one order, so that two articles with the same tags do not wait for each other. The update locks a tag, so that
    // it is not removed as unused.
    sqlx::query(
        "INSERT INTO tags (name) SELECT DISTINCT unnest($1::text[]) ORDER BY 1 \
         ON CONFLICT (name) DO UPDATE SET name = excluded.name",
    )
    .bind(tags)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO article_tags (article_id, tag_id) SELECT $1, id FROM tags WHERE name = ANY ($2)",
    )
    .bind(article)
    .bind(tags)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// A job: removes tags that no article has.
pub async fn remove_unused(pool: PgPool) {
    let mut hours = tokio::time::interval(Duration::from_secs(3600));
    loop {
        hours.tick().await;
        let removed = sqlx::query(
            "DELETE FROM tags WHERE NOT EXISTS (SELECT FROM article_tags WHERE tag_id = id)",
        );
        match removed.execute(&pool).await {
            Ok(done) => log::debug!("{} unused tags were removed", done.rows_affected()),
            Err(error) => log::warn!("unused tags stay: {error}"),
        }
    }
}
