//! Bytes as a list of steps, so that a small change of the bytes is a small change of what is done.

/// What is left of the bytes.
pub(crate) struct Steps<'a>(pub(crate) &'a [u8]);

impl<'a> Steps<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// As many bytes as the next one says.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(taken)
    }
}
