//! Passwords: hashed slowly, off the threads that serve calls.

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{self, SaltString},
};
use std::io;

/// How hard a hash is to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
}

impl Effort {
    fn argon2(self) -> Result<Argon2<'static>, argon2::Error> {
        let params = Params::new(self.memory_kib, self.passes, 1, None)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    /// The hash of a password, with its salt and its effort, as one text.
    pub(crate) async fn hash(self, password: String) -> io::Result<String> {
        blocking(move || {
            let argon2 = self.argon2().map_err(io::Error::other)?;
            let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>());
            let salt = salt.map_err(io::Error::other)?;
            let hash = argon2.hash_password(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(io::Error::other)
        })
        .await
    }

    /// Whether a password has this hash. Without a hash it never has, after as long a time.
    pub(crate) async fn verify(self, password: String, hash: Option<String>) -> io::Result<bool> {
        let Some(hash) = hash.filter(|hash| !hash.is_empty()) else {
            self.hash(password).await?;
            return Ok(false);
        };
        blocking(move || {
            let hash = PasswordHash::new(&hash).map_err(io::Error::other)?;
            match Argon2::default().verify_password(password.as_bytes(), &hash) {
                Ok(()) => Ok(true),
                Err(password_hash::Error::Password) => Ok(false),
                Err(error) => Err(io::Error::other(error)),
            }
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
