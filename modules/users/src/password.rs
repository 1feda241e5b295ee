//! Passwords: hashed slowly, off the threads that serve calls, and few at once.

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version,
    password_hash::{self, SaltString},
};
use std::{io, sync::Arc};
use tokio::sync::Semaphore;

/// Hashes that run at once at most, each over [`Effort::memory_kib`] of its own. A call that is given up leaves its hash
/// running, which keeps its place until it ends: the limits of the methods count calls, this counts hashes.
pub(crate) const MOST: usize = 4;

/// Hashes that run at once on this machine: they leave one processor to all other calls, if there are several.
fn at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors - 1).clamp(1, MOST)
}

/// The places in which passwords are hashed.
#[derive(Debug)]
pub(crate) struct Hashing {
    places: Arc<Semaphore>,
    #[cfg(test)]
    pub(crate) watch: Arc<Watch>,
}

impl Default for Hashing {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once())),
            #[cfg(test)]
            watch: Arc::default(),
        }
    }
}

/// How hard a hash is to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
}

impl Hashing {
    /// Runs `work` where it may block, once a place is free.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(io::Error::other)?;
        #[cfg(test)]
        let watch = Arc::clone(&self.watch);
        let work = move || {
            let _place = place;
            #[cfg(test)]
            let _running = watch.begin();
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
    }
}

impl Effort {
    fn argon2(self) -> Result<Argon2<'static>, argon2::Error> {
        let params = Params::new(self.memory_kib, self.passes, 1, None)?;
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
    }

    /// The hash of a password, with its salt and its effort, as one text.
    pub(crate) async fn hash(self, hashing: &Hashing, password: String) -> io::Result<String> {
        hashing
            .run(move || {
                let argon2 = self.argon2().map_err(io::Error::other)?;
                let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>());
                let salt = salt.map_err(io::Error::other)?;
                let hash = argon2.hash_password(password.as_bytes(), &salt);
                hash.map(|hash| hash.to_string()).map_err(io::Error::other)
            })
            .await
    }

    /// Whether a password has this hash. Without a hash it never has, after as long a time.
    pub(crate) async fn verify(
        self,
        hashing: &Hashing,
        password: String,
        hash: Option<String>,
    ) -> io::Result<bool> {
        let Some(hash) = hash.filter(|hash| !hash.is_empty()) else {
            self.hash(hashing, password).await?;
            return Ok(false);
        };
        hashing
            .run(move || {
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

/// What a test sees of the hashes that run.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Watch {
    running: std::sync::atomic::AtomicUsize,
    most: std::sync::atomic::AtomicUsize,
}

#[cfg(test)]
mod watch {
    use super::Watch;
    use std::sync::{Arc, atomic::Ordering::SeqCst};

    pub(crate) struct Running(Arc<Watch>);

    impl Watch {
        pub(super) fn begin(self: &Arc<Self>) -> Running {
            let running = self.running.fetch_add(1, SeqCst) + 1;
            self.most.fetch_max(running, SeqCst);
            Running(Arc::clone(self))
        }

        /// The most that ran at once.
        pub(crate) fn most(&self) -> usize {
            self.most.load(SeqCst)
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.running.fetch_sub(1, SeqCst);
        }
    }
}
