//! Errors of encoding and decoding.

use std::fmt::{self, Display, Write as _};

#[cfg(doc)]
use super::Bounds;

/// How many bytes of a message are kept. serde's messages quote the refused value, which a peer can
/// make very long.
const MESSAGE_MAX_BYTES: usize = 400;

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The encoded value is longer than [`Bounds::bytes`].
    #[error("the value is longer than {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The value nests deeper than [`Bounds::nesting`].
    #[error("the value nests deeper than {limit} levels")]
    TooDeep {
        /// The bound, in levels.
        limit: usize,
    },
    /// The input ends inside a value.
    #[error("the input ends inside a value")]
    Truncated,
    /// Bytes follow the value.
    #[error("{bytes} bytes follow the value")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A string is not UTF-8.
    #[error("a string is not valid UTF-8")]
    Utf8,
    /// The mark of a nested `Some` stands before a value that does not need it.
    #[error("the mark of a nested option stands before a plain value")]
    StrayMark,
    /// An extension type that this codec does not use, or one with the wrong length.
    #[error("extension type {kind} is not known, or not of this length")]
    UnknownExtension {
        /// The type number that was found.
        kind: u8,
    },
    /// A `Serialize` implementation announced a number of items and wrote a different one.
    #[error("{announced} items were announced, but {given} were given")]
    Length {
        /// The number that was announced.
        announced: usize,
        /// The number that was written.
        given: usize,
    },
    /// A map key without a value, or a value without a key.
    #[error("a map has a key without a value, or a value without a key")]
    Unpaired,
    /// A `Deserialize` implementation left part of its value unread.
    #[error("part of the value was left unread")]
    Unread,
    /// An argument with a value is not among those of the method.
    #[error("no argument is called `{name}` in this version of the interface: {takes}")]
    UnknownArgument {
        /// What the caller calls it. A long name is cut.
        name: String,
        /// What the method takes, in words.
        takes: String,
    },
    /// An error of serde, or of a `Serialize` or `Deserialize` implementation: a wrong type, a
    /// missing field, an unknown variant. Long messages are cut.
    #[error("{0}")]
    Custom(String),
}

impl Error {
    #[cold]
    pub(super) fn unknown_argument(name: &str, known: &[&str]) -> Self {
        let takes = match known {
            [] => "the method takes none".to_owned(),
            known => format!("the method takes `{}`", known.join("`, `")),
        };
        Self::UnknownArgument { name: shortened(name), takes }
    }
}

impl serde::ser::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(shortened(message))
    }
}

impl serde::de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(shortened(message))
    }
}

/// Formats a message and keeps only its first bytes, so that a long one takes no memory.
#[cold]
fn shortened(message: impl Display) -> String {
    struct Short(String);

    impl fmt::Write for Short {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = MESSAGE_MAX_BYTES - self.0.len();
            if text.len() <= room {
                self.0.push_str(text);
                return Ok(());
            }
            self.0.push_str(&text[..text.floor_char_boundary(room)]);
            // The error stops the formatting. The rest of the message is not needed.
            Err(fmt::Error)
        }
    }

    let mut short = Short(String::new());
    if write!(short, "{message}").is_err() {
        short.0.push('…');
    }
    short.0
}
