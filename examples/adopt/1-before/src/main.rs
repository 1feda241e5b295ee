//! A club's members and their profiles: a plain axum and sqlx program.

mod accounts;
mod error;
mod profiles;

use axum::{Router, middleware, routing::get};
use sqlx::PgPool;
use std::{env, time::Duration};

#[derive(Clone)]
pub struct AppState {
    pool: PgPool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let pool = PgPool::connect(&env::var("DATABASE_URL")?).await?;
    sqlx::migrate!().run(&pool).await?;
    let state = AppState { pool };

    tokio::spawn(report(state.clone()));

    let app = Router::new()
        .route("/members", get(accounts::list))
        .route("/members/{id}/profile", get(profiles::show).put(profiles::change))
        .layer(middleware::from_fn_with_state(state.clone(), accounts::authenticate))
        .with_state(state);

    let listener = tokio::net::TcpListener::bind(env::var("LISTEN")?).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    Ok(())
}

/// The program's background job.
async fn report(state: AppState) {
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        match profiles::bio(&state, 1).await {
            Ok(bio) => tracing::info!(?bio, "the first member's profile"),
            Err(error) => tracing::warn!(?error, "no report"),
        }
    }
}

async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
