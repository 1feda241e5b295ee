//! Members, and the tokens that they show.

use crate::{AppState, error::AppError};
use axum::{
    Json,
    extract::{Request, State},
    http::header::AUTHORIZATION,
    middleware::Next,
    response::Response,
};
use serde::Serialize;

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: i64,
}

#[derive(Serialize, sqlx::FromRow)]
pub struct Listed {
    id: i64,
    name: String,
}

pub async fn list(State(state): State<AppState>) -> Result<Json<Vec<Listed>>, AppError> {
    let all = sqlx::query_as("SELECT id, name FROM members ORDER BY id").fetch_all(&state.pool);
    Ok(Json(all.await?))
}

/// Lets in who shows a member's token.
pub async fn authenticate(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, AppError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let token =
        header.and_then(|header| header.strip_prefix("Bearer ")).ok_or(AppError::NoToken)?;
    let found: Option<(i64,)> = sqlx::query_as("SELECT id FROM members WHERE token = $1")
        .bind(token)
        .fetch_optional(&state.pool)
        .await?;
    let (id,) = found.ok_or(AppError::NoToken)?;
    request.extensions_mut().insert(Member { id });
    Ok(next.run(request).await)
}
