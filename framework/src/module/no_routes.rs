//! A program without the feature `http`: no module has routes of its own.

/// There is none.
#[derive(Debug, Clone)]
pub enum Router {}
