//! An encoded call, and what comes back.

use bytes::Bytes;

/// A payload from this length on keeps the buffer that it was read into.
const LONG: usize = 32 * 1024;

/// What comes back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the payload is.
    pub outcome: Outcome,
    /// The answer or the error, encoded.
    pub payload: Payload,
}

/// Encoded bytes: those that were written here, or a part of what was read.
#[derive(Debug, Clone)]
pub enum Payload {
    /// On their way out.
    Written(Vec<u8>),
    /// On their way in, not copied.
    Read(Bytes),
}

impl Payload {
    /// Copies a short payload out of the buffer that it was read into, which it would keep in memory
    /// as a whole.
    pub fn detached(self) -> Self {
        match self {
            Self::Read(bytes) if bytes.len() < LONG => Self::Written(bytes.to_vec()),
            payload => payload,
        }
    }
}

impl std::ops::Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Written(bytes) => bytes,
            Self::Read(bytes) => bytes,
        }
    }
}

impl From<Payload> for Bytes {
    fn from(payload: Payload) -> Self {
        match payload {
            Payload::Written(bytes) => bytes.into(),
            Payload::Read(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Written(bytes)
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With the method's answer.
    Answer = 0,
    /// With an error of the interface.
    Error = 1,
    /// With a [`CallError`](crate::CallError).
    CallError = 2,
    /// With a [`CallError`](crate::CallError) too, and the module has not heard of the call.
    Refused = 3,
}
