//! A place to publish articles, follow their authors and comment.

mod articles;
mod auth;
mod comments;
mod config;
mod error;
mod extract;
mod feed;
mod passwords;
mod profiles;
mod tags;
mod users;

use crate::{auth::Tokens, config::Config, error::AppError};
use axum::{
    Router,
    routing::{delete, get, post, put},
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use std::{sync::Arc, time::Duration};

#[derive(Clone)]
pub struct AppState {
    pub pool: PgPool,
    pub tokens: Arc<Tokens>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let config = Config::from_env()?;
    let pool = PgPoolOptions::new()
        .max_connections(config.connections)
        .acquire_timeout(Duration::from_secs(5))
        .connect(&config.database_url)
        .await?;
    sqlx::migrate!().run(&pool).await?;
    let tokens = Arc::new(Tokens::new(&config.token_secret, config.token_lifetime));
    let state = AppState { pool, tokens };

    tokio::spawn(tags::remove_unused(state.pool.clone()));

    let router = Router::new().nest("/api", api()).fallback(nowhere).with_state(state);
    let listener = tokio::net::TcpListener::bind(&config.listen).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, router).with_graceful_shutdown(stopped()).await?;
    log::info!("stopped");
    Ok(())
}

fn api() -> Router<AppState> {
    Router::new()
        .route("/health", get(health))
        .route("/users", post(users::register))
        .route("/sessions", post(users::sign_in))
        .route("/me", get(users::show).patch(users::change).delete(users::remove))
        .route("/profiles/{username}", get(profiles::show))
        .route("/profiles/{username}/followers", get(profiles::followers))
        .route("/profiles/{username}/follow", put(profiles::follow).delete(profiles::unfollow))
        .route("/articles", get(articles::list).post(articles::publish))
        .route("/feed", get(feed::show))
        .route(
            "/articles/{slug}",
            get(articles::show).patch(articles::change).delete(articles::remove),
        )
        .route(
            "/articles/{slug}/favourite",
            put(articles::add_favourite).delete(articles::remove_favourite),
        )
        .route("/articles/{slug}/comments", get(comments::list).post(comments::add))
        .route("/articles/{slug}/comments/{id}", delete(comments::remove))
        .route("/tags", get(tags::list))
        .method_not_allowed_fallback(not_allowed)
}

async fn health(
    axum::extract::State(state): axum::extract::State<AppState>,
) -> Result<&'static str, AppError> {
    sqlx::query("SELECT 1").execute(&state.pool).await?;
    Ok("well")
}

async fn nowhere() -> AppError {
    AppError::NotFound("page")
}

async fn not_allowed() -> AppError {
    AppError::NotAllowed
}

async fn stopped() {
    let interrupt = tokio::signal::ctrl_c();
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a handler can be installed");
    tokio::select! {
        _ = interrupt => {}
        _ = terminate.recv() => {}
    }
}
