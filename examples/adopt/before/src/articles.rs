//! Articles: publishing, lists and favourites.

use crate::{
    AppState,
    auth::{self, SignedIn},
    error::AppError,
    extract::{Checks, Json, Page, Path, Query},
    tags,
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
pub struct Article {
    slug: String,
    title: String,
    summary: String,
    body: String,
    tags: Vec<String>,
    created: String,
    changed: String,
    favourite: bool,
    favourites: i64,
    author: Author,
}

/// An author, as articles and comments show one.
#[derive(Serialize)]
pub struct Author {
    pub username: String,
    pub bio: String,
    pub image: Option<String>,
    pub following: bool,
}

#[derive(Serialize)]
pub struct Articles {
    articles: Vec<Article>,
    total: i64,
}

#[derive(sqlx::FromRow)]
pub struct Row {
    slug: String,
    title: String,
    summary: String,
    body: String,
    tags: Vec<String>,
    created: String,
    changed: String,
    favourite: bool,
    favourites: i64,
    username: String,
    bio: String,
    image: Option<String>,
    following: bool,
    total: i64,
}

/// A query for articles with all that belongs to them. `$1` is the user who looks at them.
macro_rules! articles {
    ($rest:literal) => {
        concat!(
            "SELECT slug, title, summary, body, username, bio, image, \
               iso(articles.created) AS created, iso(changed) AS changed, \
               ARRAY (SELECT name FROM tags JOIN article_tags ON tag_id = tags.id \
                      WHERE article_id = articles.id ORDER BY name) AS tags, \
               EXISTS (SELECT FROM favourites \
                       WHERE article_id = articles.id AND favourites.user_id = $1) AS favourite, \
               (SELECT count(*) FROM favourites WHERE article_id = articles.id) AS favourites, \
               EXISTS (SELECT FROM follows \
                       WHERE follower_id = $1 AND followed_id = author_id) AS following, \
               count(*) OVER () AS total \
             FROM articles JOIN users ON users.id = author_id \
               JOIN profiles ON profiles.user_id = author_id ",
            $rest
        )
    };
}
pub(crate) use articles;

/// Selects articles. A part that is left out selects all.
#[derive(Deserialize)]
pub struct Filter {
    tag: Option<String>,
    author: Option<String>,
    favourite_of: Option<String>,
}

/// Articles, the latest first.
pub async fn list(
    State(state): State<AppState>,
    viewer: Option<SignedIn>,
    Query(filter): Query<Filter>,
    Query(page): Query<Page>,
) -> Result<axum::Json<Articles>, AppError> {
    let rows = sqlx::query_as(articles!(
        "WHERE ($2::text IS NULL OR EXISTS ( \
           SELECT FROM tags JOIN article_tags ON tag_id = tags.id \
           WHERE article_id = articles.id AND name = $2)) \
         AND ($3::text IS NULL OR username = $3) \
         AND ($4::text IS NULL OR EXISTS ( \
           SELECT FROM favourites JOIN users ON users.id = favourites.user_id \
           WHERE article_id = articles.id AND users.username = $4)) \
         ORDER BY articles.created DESC, articles.id DESC LIMIT $5 OFFSET $6"
    ))
    .bind(auth::id(viewer))
    .bind(filter.tag)
    .bind(filter.author)
    .bind(filter.favourite_of)
    .bind(page.limit())
    .bind(page.offset())
    .fetch_all(&state.pool)
    .await?;
    Ok(axum::Json(all(rows)))
}

/// The articles of a page. Beyond the last page, the total is 0.
pub fn all(rows: Vec<Row>) -> Articles {
    let total = rows.first().map_or(0, |row| row.total);
    Articles { articles: rows.into_iter().map(Article::from).collect(), total }
}

impl From<Row> for Article {
    fn from(row: Row) -> Self {
        let Row { username, bio, image, following, .. } = row;
        Self {
            slug: row.slug,
            title: row.title,
            summary: row.summary,
            body: row.body,
            tags: row.tags,
            created: row.created,
            changed: row.changed,
            favourite: row.favourite,
            favourites: row.favourites,
            author: Author { username, bio, image, following },
        }
    }
}

pub async fn show(
    State(state): State<AppState>,
    viewer: Option<SignedIn>,
    Path(slug): Path<String>,
) -> Result<axum::Json<Article>, AppError> {
    Ok(axum::Json(load(&state, auth::id(viewer), &slug).await?))
}

async fn load(state: &AppState, viewer: Option<i64>, slug: &str) -> Result<Article, AppError> {
    let row: Option<Row> = sqlx::query_as(articles!("WHERE slug = $2"))
        .bind(viewer)
        .bind(slug)
        .fetch_optional(&state.pool)
        .await?;
    row.map(Article::from).ok_or(AppError::NotFound("article"))
}

#[derive(Deserialize)]
pub struct Draft {
    title: String,
    summary: String,
    body: String,
    #[serde(default)]
    tags: Vec<String>,
}

pub async fn publish(
    State(state): State<AppState>,
    SignedIn(author): SignedIn,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, axum::Json<Article>), AppError> {
    let checks = check_text(&draft.title, &draft.summary, &draft.body);
    check_tags(checks, &draft.tags).done()?;
    let mut tx = state.pool.begin().await?;
    let title = slug_of(&draft.title);
    let mut created: Option<(i64, String)> = None;
    // A title may be used again: later articles get a number.
    for number in 1..=100 {
        let slug = if number == 1 { title.clone() } else { format!("{title}-{number}") };
        created = sqlx::query_as(
            "INSERT INTO articles (author_id, slug, title, summary, body) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (slug) DO NOTHING RETURNING id, slug",
        )
        .bind(author)
        .bind(slug)
        .bind(&draft.title)
        .bind(&draft.summary)
        .bind(&draft.body)
        .fetch_optional(&mut *tx)
        .await?;
        if created.is_some() {
            break;
        }
    }
    let (id, slug) = created.ok_or(AppError::Conflict("title", "is used too often"))?;
    tags::replace(&mut tx, id, &draft.tags).await?;
    tx.commit().await?;
    log::info!("user {author} has published {slug}");
    Ok((StatusCode::CREATED, axum::Json(load(&state, Some(author), &slug).await?)))
}

/// A field that is left out stays as it is. An article keeps its address when its title changes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    title: Option<String>,
    summary: Option<String>,
    body: Option<String>,
    tags: Option<Vec<String>>,
}

pub async fn change(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Path(slug): Path<String>,
    Json(change): Json<Change>,
) -> Result<axum::Json<Article>, AppError> {
    let id = own(&state, user, &slug).await?;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "as it is".to_owned());
    let checks = check_text(&text(&change.title), &text(&change.summary), &text(&change.body));
    check_tags(checks, change.tags.as_deref().unwrap_or_default()).done()?;
    let mut tx = state.pool.begin().await?;
    sqlx::query(
        "UPDATE articles SET title = coalesce($2, title), summary = coalesce($3, summary), \
         body = coalesce($4, body), changed = now() WHERE id = $1",
    )
    .bind(id)
    .bind(change.title)
    .bind(change.summary)
    .bind(change.body)
    .execute(&mut *tx)
    .await?;
    if let Some(tags) = change.tags {
        tags::replace(&mut tx, id, &tags).await?;
    }
    tx.commit().await?;
    Ok(axum::Json(load(&state, Some(user), &slug).await?))
}

pub async fn remove(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Path(slug): Path<String>,
) -> Result<StatusCode, AppError> {
    let id = own(&state, user, &slug).await?;
    sqlx::query("DELETE FROM articles WHERE id = $1").bind(id).execute(&state.pool).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The number of an article that the user has written.
async fn own(state: &AppState, user: i64, slug: &str) -> Result<i64, AppError> {
    let found: Option<(i64, i64)> =
        sqlx::query_as("SELECT id, author_id FROM articles WHERE slug = $1")
            .bind(slug)
            .fetch_optional(&state.pool)
            .await?;
    let (id, author) = found.ok_or(AppError::NotFound("article"))?;
    if author == user { Ok(id) } else { Err(AppError::Forbidden) }
}

/// The number of an article.
pub async fn id_of(state: &AppState, slug: &str) -> Result<i64, AppError> {
    let found: Option<(i64,)> = sqlx::query_as("SELECT id FROM articles WHERE slug = $1")
        .bind(slug)
        .fetch_optional(&state.pool)
        .await?;
    found.map(|(id,)| id).ok_or(AppError::NotFound("article"))
}

pub async fn add_favourite(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Path(slug): Path<String>,
) -> Result<axum::Json<Article>, AppError> {
    let article = id_of(&state, &slug).await?;
    sqlx::query(
        "INSERT INTO favourites (article_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(article)
    .bind(user)
    .execute(&state.pool)
    .await?;
    Ok(axum::Json(load(&state, Some(user), &slug).await?))
}

pub async fn remove_favourite(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Path(slug): Path<String>,
) -> Result<axum::Json<Article>, AppError> {
    let article = id_of(&state, &slug).await?;
    sqlx::query("DELETE FROM favourites WHERE article_id = $1 AND user_id = $2")
        .bind(article)
        .bind(user)
        .execute(&state.pool)
        .await?;
    Ok(axum::Json(load(&state, Some(user), &slug).await?))
}

fn check_text(title: &str, summary: &str, body: &str) -> Checks {
    Checks::default()
        .text(title, "title", 200)
        .that(!slug_of(title).is_empty(), "title", "has no letter and no digit")
        .text(summary, "summary", 500)
        .text(body, "body", 100_000)
}

fn check_tags(checks: Checks, tags: &[String]) -> Checks {
    let is_tag = |tag: &String| {
        let short = (1..=30).contains(&tag.chars().count());
        short && tag.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    checks.that(tags.len() <= 10, "tags", "are more than 10").that(
        tags.iter().all(is_tag),
        "tags",
        "are not all 1 to 30 letters, digits and -",
    )
}

/// The part of an article's address that comes from its title.
fn slug_of(title: &str) -> String {
    let lower = title.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_becomes_an_address() {
        assert_eq!(slug_of("  Hello, World: 2nd part! "), "hello-world-2nd-part");
        assert_eq!(slug_of("…"), "");
    }
}
