//! Members' profiles.

use crate::{AppState, accounts::Member, error::AppError};
use axum::{
    Extension, Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
pub struct Profile {
    name: String,
    bio: String,
}

#[derive(Deserialize)]
pub struct Change {
    bio: String,
}

pub async fn show(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<Json<Profile>, AppError> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT name, bio FROM profiles JOIN members ON members.id = member_id WHERE member_id = $1",
    )
    .bind(id)
    .fetch_optional(&state.pool)
    .await?;
    let (name, bio) = row.ok_or(AppError::NoProfile)?;
    Ok(Json(Profile { name, bio }))
}

pub async fn change(
    State(state): State<AppState>,
    Extension(member): Extension<Member>,
    Path(id): Path<i64>,
    Json(change): Json<Change>,
) -> Result<(), AppError> {
    if member.id != id {
        return Err(AppError::NotYours);
    }
    sqlx::query(
        "INSERT INTO profiles (member_id, bio) VALUES ($1, $2) \
         ON CONFLICT (member_id) DO UPDATE SET bio = $2",
    )
    .bind(id)
    .bind(change.bio)
    .execute(&state.pool)
    .await?;
    Ok(())
}

pub async fn bio(state: &AppState, id: i64) -> Result<Option<String>, AppError> {
    let row: Option<(String,)> = sqlx::query_as("SELECT bio FROM profiles WHERE member_id = $1")
        .bind(id)
        .fetch_optional(&state.pool)
        .await?;
    Ok(row.map(|(bio,)| bio))
}
