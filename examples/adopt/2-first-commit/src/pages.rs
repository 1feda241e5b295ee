//! The routes of profiles: paths and bodies as they were, and the module behind them.

use crate::{
    AppState,
    error::AppError,
    profiles::{Profile, ProfilesError},
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;

#[derive(Deserialize)]
pub struct Change {
    bio: String,
}

pub async fn show(
    State(state): State<AppState>,
    Path(id): Path<i64>,
) -> Result<Json<Profile>, AppError> {
    Ok(Json(state.profiles.show(id).await?))
}

pub async fn change(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    Json(change): Json<Change>,
) -> Result<(), AppError> {
    Ok(state.profiles.change(id, change.bio).await?)
}

impl From<ProfilesError> for AppError {
    fn from(error: ProfilesError) -> Self {
        match error {
            ProfilesError::NoProfile => Self::NoProfile,
            ProfilesError::NotYours => Self::NotYours,
            ProfilesError::Call(error) => Self::Call(error),
        }
    }
}
