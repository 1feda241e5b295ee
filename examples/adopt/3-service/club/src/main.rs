//! A club's members and their profiles: a plain axum and sqlx program, whose profiles have become a service.

mod accounts;
mod error;
mod pages;

use accounts_api::Accounts;
use axum::{Router, middleware, routing::get};
use monolift::app::App;
use profiles_api::ProfilesClient;
use sqlx::PgPool;
use std::{env, sync::Arc, time::Duration};

#[derive(Clone)]
pub struct AppState {
    pool: PgPool,
    profiles: ProfilesClient,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let pool = PgPool::connect(&env::var("DATABASE_URL")?).await?;
    sqlx::migrate!().run(&pool).await?;
    let accounts: Arc<dyn Accounts> = Arc::new(accounts::Members { pool: pool.clone() });
    let app = App::new(monolift::host!("../deployment.toml"))?
        .pool("profiles", pool.clone())
        .provide(accounts);
    let modules = app.start().await?;
    let state = AppState { pool, profiles: modules.client() };

    tokio::spawn(report(state.clone()));

    let app = Router::new()
        .route("/members", get(accounts::list))
        .route("/members/{id}/profile", get(pages::show).put(pages::change))
        .layer(modules.layer())
        .layer(middleware::from_fn_with_state(state.clone(), accounts::authenticate))
        .with_state(state);

    let listener = tokio::net::TcpListener::bind(env::var("LISTEN")?).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(stopped()).await?;
    modules.stop().await;
    Ok(())
}

/// The program's background job.
async fn report(state: AppState) {
    let mut minutes = tokio::time::interval(Duration::from_secs(60));
    loop {
        minutes.tick().await;
        match state.profiles.show(1).await {
            Ok(profile) => tracing::info!(bio = profile.bio, "the first member's profile"),
            Err(error) => tracing::warn!(?error, "no report"),
        }
    }
}

async fn stopped() {
    let _ = tokio::signal::ctrl_c().await;
}
