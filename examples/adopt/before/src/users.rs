//! Accounts: registration, sessions, changes and removal.

use crate::{
    AppState,
    auth::SignedIn,
    error::AppError,
    extract::{Checks, Json},
    passwords,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::PgPool;

#[derive(Serialize, sqlx::FromRow)]
pub struct User {
    id: i64,
    username: String,
    email: String,
    joined: String,
    bio: String,
    image: Option<String>,
}

#[derive(Serialize)]
pub struct Session {
    token: String,
    user: User,
}

#[derive(Deserialize)]
pub struct Registration {
    username: String,
    email: String,
    password: String,
}

pub async fn register(
    State(state): State<AppState>,
    Json(new): Json<Registration>,
) -> Result<(StatusCode, axum::Json<Session>), AppError> {
    let checks = check_username(Checks::default(), &new.username);
    check_password(check_email(checks, &new.email), &new.password).done()?;
    let hash = passwords::hash(new.password).await?;
    let mut tx = state.pool.begin().await?;
    let (id,): (i64,) = sqlx::query_as(
        "INSERT INTO users (username, email, password) VALUES ($1, $2, $3) RETURNING id",
    )
    .bind(&new.username)
    .bind(new.email.to_lowercase())
    .bind(hash)
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query("INSERT INTO profiles (user_id) VALUES ($1)").bind(id).execute(&mut *tx).await?;
    tx.commit().await?;
    log::info!("user {id} has registered");
    Ok((StatusCode::CREATED, axum::Json(session(&state, id).await?)))
}

#[derive(Deserialize)]
pub struct Credentials {
    email: String,
    password: String,
}

pub async fn sign_in(
    State(state): State<AppState>,
    Json(credentials): Json<Credentials>,
) -> Result<axum::Json<Session>, AppError> {
    let checks = Checks::default().text(&credentials.email, "email", 200);
    checks.text(&credentials.password, "password", 200).done()?;
    let found: Option<(i64, String)> =
        sqlx::query_as("SELECT id, password FROM users WHERE email = $1")
            .bind(credentials.email.to_lowercase())
            .fetch_optional(&state.pool)
            .await?;
    let (id, hash) = found.unzip();
    let is_right = passwords::is_right(credentials.password, hash).await?;
    let id = id.filter(|_| is_right).ok_or(AppError::Unauthorized)?;
    Ok(axum::Json(session(&state, id).await?))
}

async fn session(state: &AppState, id: i64) -> Result<Session, AppError> {
    Ok(Session { token: state.tokens.issue(id), user: load(state, id).await? })
}

pub async fn show(
    State(state): State<AppState>,
    SignedIn(id): SignedIn,
) -> Result<axum::Json<User>, AppError> {
    Ok(axum::Json(load(&state, id).await?))
}

async fn load(state: &AppState, id: i64) -> Result<User, AppError> {
    let user = sqlx::query_as(
        "SELECT id, username, email, iso(joined) AS joined, bio, image \
         FROM users JOIN profiles ON user_id = id WHERE id = $1",
    )
    .bind(id)
    .fetch_one(&state.pool)
    .await?;
    Ok(user)
}

/// A field that is left out stays as it is. An image of `null` removes the image.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    username: Option<String>,
    email: Option<String>,
    password: Option<String>,
    bio: Option<String>,
    #[serde(default, deserialize_with = "present")]
    image: Option<Option<String>>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

pub async fn change(
    State(state): State<AppState>,
    SignedIn(id): SignedIn,
    Json(change): Json<Change>,
) -> Result<axum::Json<User>, AppError> {
    let mut checks = Checks::default();
    if let Some(username) = &change.username {
        checks = check_username(checks, username);
    }
    if let Some(email) = &change.email {
        checks = check_email(checks, email);
    }
    if let Some(password) = &change.password {
        checks = check_password(checks, password);
    }
    let short_enough = |text: &str| text.chars().count() <= 1000 && !text.contains('\0');
    let bio = change.bio.as_deref().unwrap_or_default();
    let image = change.image.as_ref().and_then(Option::as_deref);
    checks
        .that(short_enough(bio), "bio", "is longer than 1000 characters")
        .that(image.is_none_or(is_link), "image", "is not an http address")
        .done()?;
    let hash = match change.password {
        Some(password) => Some(passwords::hash(password).await?),
        None => None,
    };
    let mut tx = state.pool.begin().await?;
    sqlx::query(
        "UPDATE users SET username = coalesce($2, username), email = coalesce($3, email), \
         password = coalesce($4, password) WHERE id = $1",
    )
    .bind(id)
    .bind(&change.username)
    .bind(change.email.map(|email| email.to_lowercase()))
    .bind(hash)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE profiles SET bio = coalesce($2, bio), \
         image = CASE WHEN $3 THEN $4 ELSE image END WHERE user_id = $1",
    )
    .bind(id)
    .bind(change.bio)
    .bind(change.image.is_some())
    .bind(change.image.flatten())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(axum::Json(load(&state, id).await?))
}

/// Removes the account, with its profile, follows, articles and comments.
pub async fn remove(
    State(state): State<AppState>,
    SignedIn(id): SignedIn,
) -> Result<StatusCode, AppError> {
    sqlx::query("DELETE FROM users WHERE id = $1").bind(id).execute(&state.pool).await?;
    log::info!("user {id} is gone");
    Ok(StatusCode::NO_CONTENT)
}

/// A user's number.
pub async fn id_of(pool: &PgPool, username: &str) -> Result<Option<i64>, sqlx::Error> {
    let found: Option<(i64,)> = sqlx::query_as("SELECT id FROM users WHERE username = $1")
        .bind(username)
        .fetch_optional(pool)
        .await?;
    Ok(found.map(|(id,)| id))
}

fn check_username(checks: Checks, username: &str) -> Checks {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    checks.text(username, "username", 40).that(
        username.chars().all(allowed),
        "username",
        "has characters other than letters, digits, - and _",
    )
}

fn check_email(checks: Checks, email: &str) -> Checks {
    let parts = email.split_once('@');
    let has_both = parts.is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    checks.text(email, "email", 200).that(has_both, "email", "is not an address")
}

fn check_password(checks: Checks, password: &str) -> Checks {
    let long_enough = password.chars().count() >= 8;
    checks
        .that(long_enough, "password", "is shorter than 8 characters")
        .text(password, "password", 200)
}

fn is_link(text: &str) -> bool {
    let is_http = text.starts_with("https://") || text.starts_with("http://");
    is_http && text.len() <= 500 && !text.contains(['\0', ' '])
}
