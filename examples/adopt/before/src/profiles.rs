//! Profiles of users, and who follows whom.

use crate::{
    AppState,
    auth::{self, SignedIn},
    error::AppError,
    extract::{Page, Path, Query},
    users,
};
use axum::{Json, extract::State};
use serde::Serialize;

#[derive(Serialize, sqlx::FromRow)]
pub struct Profile {
    username: String,
    bio: String,
    image: Option<String>,
    followers: i64,
    following: bool,
}

#[derive(Serialize)]
pub struct Followers {
    followers: Vec<String>,
    total: i64,
}

pub async fn show(
    State(state): State<AppState>,
    viewer: Option<SignedIn>,
    Path(username): Path<String>,
) -> Result<Json<Profile>, AppError> {
    Ok(Json(load(&state, auth::id(viewer), &username).await?))
}

async fn load(state: &AppState, viewer: Option<i64>, username: &str) -> Result<Profile, AppError> {
    let found = sqlx::query_as(
        "SELECT username, bio, image, \
           (SELECT count(*) FROM follows WHERE followed_id = id) AS followers, \
           EXISTS (SELECT FROM follows WHERE follower_id = $1 AND followed_id = id) AS following \
         FROM users JOIN profiles ON user_id = id WHERE username = $2",
    )
    .bind(viewer)
    .bind(username)
    .fetch_optional(&state.pool)
    .await?;
    found.ok_or(AppError::NotFound("user"))
}

pub async fn follow(
    State(state): State<AppState>,
    SignedIn(follower): SignedIn,
    Path(username): Path<String>,
) -> Result<Json<Profile>, AppError> {
    let followed = users::id_of(&state.pool, &username).await?;
    let followed = followed.ok_or(AppError::NotFound("user"))?;
    if followed == follower {
        return Err(AppError::invalid("username", "is your own"));
    }
    sqlx::query(
        "INSERT INTO follows (follower_id, followed_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(follower)
    .bind(followed)
    .execute(&state.pool)
    .await?;
    Ok(Json(load(&state, Some(follower), &username).await?))
}

pub async fn unfollow(
    State(state): State<AppState>,
    SignedIn(follower): SignedIn,
    Path(username): Path<String>,
) -> Result<Json<Profile>, AppError> {
    let followed = users::id_of(&state.pool, &username).await?;
    let followed = followed.ok_or(AppError::NotFound("user"))?;
    sqlx::query("DELETE FROM follows WHERE follower_id = $1 AND followed_id = $2")
        .bind(follower)
        .bind(followed)
        .execute(&state.pool)
        .await?;
    Ok(Json(load(&state, Some(follower), &username).await?))
}

/// A user's followers, the latest first.
pub async fn followers(
    State(state): State<AppState>,
    Path(username): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Followers>, AppError> {
    let followed = users::id_of(&state.pool, &username).await?;
    let followed = followed.ok_or(AppError::NotFound("user"))?;
    let names: Vec<(String,)> = sqlx::query_as(
        "SELECT username FROM follows JOIN users ON id = follower_id WHERE followed_id = $1 \
         ORDER BY since DESC, follower_id DESC LIMIT $2 OFFSET $3",
    )
    .bind(followed)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(&state.pool)
    .await?;
    let (total,) = sqlx::query_as("SELECT count(*) FROM follows WHERE followed_id = $1")
        .bind(followed)
        .fetch_one(&state.pool)
        .await?;
    Ok(Json(Followers { followers: names.into_iter().map(|(name,)| name).collect(), total }))
}
