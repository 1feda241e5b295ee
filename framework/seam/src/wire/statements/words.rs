//! What a statement says beside the principal, as bytes.

use crate::{call::SignerId, wire::frame::STATEMENT};
use bytes::{Buf, BufMut, BytesMut};

/// Before all that is signed. No other protocol has a key sign something that begins so.
const CONTEXT: &[u8] = b"monolift: on whose behalf a call is made, 1\0";
/// More than any signature takes.
const LONGEST_SIGNATURE: usize = 1024;

/// By whom a statement is signed, and when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) signer: SignerId,
    pub(super) made_ms: u64,
    pub(super) expires_ms: u64,
}

impl Words {
    /// What is signed: all that the statement says, for one application.
    pub(super) fn message(&self, app: &str, principal: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(CONTEXT.len() + app.len() + principal.len() + 40);
        out.put_slice(CONTEXT);
        out.put_u32_le(u32::try_from(app.len()).expect("a name is short"));
        out.put_slice(app.as_bytes());
        out.put_slice(&self.signer);
        out.put_u64_le(self.made_ms);
        out.put_u64_le(self.expires_ms);
        out.put_slice(principal);
        out
    }

    /// Writes the entry.
    pub(super) fn write(&self, scheme: u16, signature: &[u8], out: &mut BytesMut) {
        out.put_u8(STATEMENT);
        let length = self.signer.len() + 8 + 8 + 2 + signature.len();
        out.put_u32_le(u32::try_from(length).expect("a signature is short"));
        out.put_slice(&self.signer);
        out.put_u64_le(self.made_ms);
        out.put_u64_le(self.expires_ms);
        out.put_u16_le(scheme);
        out.put_slice(signature);
    }

    /// Reads it: the words, the scheme and the signature.
    pub(super) fn read(entry: &[u8]) -> Option<(Self, u16, &[u8])> {
        let (head, mut rest) = entry.split_first_chunk::<5>()?;
        let [tag, length @ ..] = *head;
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        if tag != STATEMENT || length != rest.len() {
            return None;
        }
        let (signer, left) = rest.split_first_chunk()?;
        rest = left;
        let made_ms = rest.try_get_u64_le().ok()?;
        let expires_ms = rest.try_get_u64_le().ok()?;
        let scheme = rest.try_get_u16_le().ok()?;
        let words = Self { signer: *signer, made_ms, expires_ms };
        (rest.len() <= LONGEST_SIGNATURE).then_some((words, scheme, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_read_as_they_were_written() {
        let words = Words { signer: [7; 16], made_ms: 3, expires_ms: u64::MAX };
        let mut entry = BytesMut::new();
        words.write(0x0403, b"signature", &mut entry);
        assert_eq!(Words::read(&entry), Some((words, 0x0403, &b"signature"[..])));
        for cut in 0..entry.len() {
            assert_eq!(Words::read(&entry[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn each_part_is_signed() {
        let words = Words { signer: [7; 16], made_ms: 3, expires_ms: 9 };
        let message = words.message("shop", b"ada");
        for other in [
            Words { signer: [8; 16], ..words }.message("shop", b"ada"),
            Words { made_ms: 4, ..words }.message("shop", b"ada"),
            Words { expires_ms: 10, ..words }.message("shop", b"ada"),
            words.message("shop2", b"ada"),
            words.message("shop", b"eve"),
        ] {
            assert_ne!(other, message);
        }
    }
}
