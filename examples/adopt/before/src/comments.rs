//! Comments on articles.

use crate::{
    AppState,
    articles::{self, Author},
    auth::{self, SignedIn},
    error::AppError,
    extract::{Checks, Json, Page, Path, Query},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
pub struct Comment {
    id: i64,
    body: String,
    created: String,
    author: Author,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    body: String,
    created: String,
    username: String,
    bio: String,
    image: Option<String>,
    following: bool,
}

/// A query for comments with their authors. `$1` is the user who looks at them.
macro_rules! comments {
    ($rest:literal) => {
        concat!(
            "SELECT comments.id, comments.body, iso(comments.created) AS created, \
               username, bio, image, \
               EXISTS (SELECT FROM follows \
                       WHERE follower_id = $1 AND followed_id = author_id) AS following \
             FROM comments JOIN users ON users.id = author_id \
               JOIN profiles ON profiles.user_id = author_id ",
            $rest
        )
    };
}

/// The comments of an article, the first ones first.
pub async fn list(
    State(state): State<AppState>,
    viewer: Option<SignedIn>,
    Path(slug): Path<String>,
    Query(page): Query<Page>,
) -> Result<axum::Json<Vec<Comment>>, AppError> {
    let article = articles::id_of(&state, &slug).await?;
    let rows: Vec<Row> =
        sqlx::query_as(comments!("WHERE article_id = $2 ORDER BY comments.id LIMIT $3 OFFSET $4"))
            .bind(auth::id(viewer))
            .bind(article)
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(&state.pool)
            .await?;
    Ok(axum::Json(rows.into_iter().map(Comment::from).collect()))
}

impl From<Row> for Comment {
    fn from(row: Row) -> Self {
        let Row { username, bio, image, following, .. } = row;
        let author = Author { username, bio, image, following };
        Self { id: row.id, body: row.body, created: row.created, author }
    }
}

#[derive(Deserialize)]
pub struct New {
    body: String,
}

pub async fn add(
    State(state): State<AppState>,
    SignedIn(author): SignedIn,
    Path(slug): Path<String>,
    Json(new): Json<New>,
) -> Result<(StatusCode, axum::Json<Comment>), AppError> {
    Checks::default().text(&new.body, "body", 5000).done()?;
    let article = articles::id_of(&state, &slug).await?;
    let (id,): (i64,) = sqlx::query_as(
        "INSERT INTO comments (article_id, author_id, body) VALUES ($1, $2, $3) RETURNING id",
    )
    .bind(article)
    .bind(author)
    .bind(new.body)
    .fetch_one(&state.pool)
    .await?;
    let row: Row = sqlx::query_as(comments!("WHERE comments.id = $2"))
        .bind(author)
        .bind(id)
        .fetch_one(&state.pool)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(row.into())))
}

/// Removes a comment: by its author, or by the author of the article.
pub async fn remove(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Path((slug, id)): Path<(String, i64)>,
) -> Result<StatusCode, AppError> {
    let found: Option<(i64, i64)> = sqlx::query_as(
        "SELECT comments.author_id, articles.author_id FROM comments \
         JOIN articles ON articles.id = article_id WHERE comments.id = $1 AND slug = $2",
    )
    .bind(id)
    .bind(slug)
    .fetch_optional(&state.pool)
    .await?;
    let (author, of_article) = found.ok_or(AppError::NotFound("comment"))?;
    if user != author && user != of_article {
        return Err(AppError::Forbidden);
    }
    sqlx::query("DELETE FROM comments WHERE id = $1").bind(id).execute(&state.pool).await?;
    Ok(StatusCode::NO_CONTENT)
}
