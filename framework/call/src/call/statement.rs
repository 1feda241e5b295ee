//! On whose behalf a call is made, as processes pass it on to each other: encoded, and signed by a gateway.
//!
//! Nothing here signs or verifies. A process that is called gets it with the call, and gives it to those that it calls, byte
//! for byte.

use bytes::Bytes;
use std::{fmt, sync::Arc};

/// A principal as frames hold it, with a gateway's word that it is who makes the request.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// The principal's entries, and behind them the one with the times and the signature.
    pub entries: Bytes,
    /// How many of these bytes are the principal's.
    pub signed: usize,
    /// By whose key it is signed. `None` if the caller named a key that it did not show.
    pub signer: Option<Arc<Signer>>,
    /// Until when it holds, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// Whose key statements are signed by.
#[derive(Clone, PartialEq, Eq)]
pub struct Signer {
    /// The hash of the certificates, or of the public key.
    pub id: SignerId,
    /// The certificates from the signer's own towards the authority, encoded. Empty if each process knows the key already.
    pub chain: Bytes,
}

/// A hash that stands for a signer.
pub type SignerId = [u8; 16];

impl Statement {
    /// The principal's entries.
    pub fn principal(&self) -> &[u8] {
        &self.entries[..self.signed]
    }

    /// The entry with the times and the signature.
    pub fn signature(&self) -> &[u8] {
        &self.entries[self.signed..]
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statement({} bytes, until {})", self.entries.len(), self.expires_ms)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(")?;
        self.id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
