//! Settings, from environment variables.

use std::{env, fmt::Display, str::FromStr, time::Duration};

pub struct Config {
    pub database_url: String,
    pub connections: u32,
    pub listen: String,
    pub token_secret: String,
    pub token_lifetime: Duration,
}

impl Config {
    pub fn from_env() -> Result<Self, String> {
        let config = Self {
            database_url: required("DATABASE_URL")?,
            connections: parsed("DATABASE_CONNECTIONS", 10)?,
            listen: env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned()),
            token_secret: required("TOKEN_SECRET")?,
            token_lifetime: Duration::from_secs(parsed("TOKEN_HOURS", 24 * 7)? * 3600),
        };
        if config.token_secret.len() < 16 {
            return Err("TOKEN_SECRET is shorter than 16 characters".to_owned());
        }
        Ok(config)
    }
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}

fn parsed<T: FromStr<Err: Display>>(name: &str, default: T) -> Result<T, String> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|error| format!("{name}: {error}")),
        Err(_) => Ok(default),
    }
}
