//! Passwords are kept as argon2id hashes. Hashing takes a processor for a while, so it has a thread of its own.

use crate::error::AppError;
use argon2::{
    Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier,
    password_hash::{self, SaltString},
};

pub async fn hash(password: String) -> Result<String, AppError> {
    on_a_thread(move || {
        let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>())?;
        Ok(hasher()?.hash_password(password.as_bytes(), &salt)?.to_string())
    })
    .await
}

/// Whether it is the password. Without a user the work is done too, so that the time does not tell who has an account.
pub async fn is_right(password: String, hash: Option<String>) -> Result<bool, AppError> {
    on_a_thread(move || {
        let Some(hash) = hash else {
            hasher()?.hash_password(
                password.as_bytes(),
                &SaltString::encode_b64(b"a salt of no use")?,
            )?;
            return Ok(false);
        };
        match hasher()?.verify_password(password.as_bytes(), &PasswordHash::new(&hash)?) {
            Ok(()) => Ok(true),
            Err(password_hash::Error::Password) => Ok(false),
            Err(error) => Err(error),
        }
    })
    .await
}

/// The least that OWASP recommends for argon2id.
fn hasher() -> Result<Argon2<'static>, password_hash::Error> {
    let params = Params::new(7 * 1024, 5, 1, None).map_err(password_hash::Error::from)?;
    Ok(Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params))
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, password_hash::Error> + Send + 'static,
) -> Result<T, AppError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| AppError::Internal(error.into()))?
        .map_err(|error| AppError::Internal(error.to_string().into()))
}
