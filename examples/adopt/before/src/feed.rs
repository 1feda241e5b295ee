//! Articles of the authors that a user follows.

use crate::{
    AppState,
    articles::{Articles, all, articles},
    auth::SignedIn,
    error::AppError,
    extract::{Page, Query},
};
use axum::{Json, extract::State};

pub async fn show(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Query(page): Query<Page>,
) -> Result<Json<Articles>, AppError> {
    let rows = sqlx::query_as(articles!(
        "WHERE author_id IN (SELECT followed_id FROM follows WHERE follower_id = $1) \
         ORDER BY articles.created DESC, articles.id DESC LIMIT $2 OFFSET $3"
    ))
    .bind(user)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(&state.pool)
    .await?;
    Ok(Json(all(rows)))
}
