//! What can go wrong, on either side.

use std::fmt::{self, Display, Write as _};

#[cfg(doc)]
use super::Bounds;

/// How much of a message is kept: serde quotes the value that it refuses, however long a peer made it.
const MESSAGE_MAX_BYTES: usize = 400;

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The encoded value is longer than [`Bounds::bytes`].
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The value nests deeper than [`Bounds::nesting`].
    TooDeep {
        /// The bound, in levels.
        limit: usize,
    },
    /// The input ends inside a value.
    Truncated,
    /// Bytes follow the value.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A string is not UTF-8.
    Utf8,
    /// The mark of a nested `Some` stands before a value that needs none.
    StrayMark,
    /// An extension type that is not ours, or not of its length.
    UnknownExtension {
        /// The type number that was found.
        kind: u8,
    },
    /// A `Serialize` implementation announced another number of items than it gave.
    Length {
        /// How many it announced.
        announced: usize,
        /// How many it gave.
        given: usize,
    },
    /// A map key without its value, or a value without its key.
    Unpaired,
    /// A `Deserialize` implementation left part of its value unread.
    Unread,
    /// What serde, or a `Serialize` or `Deserialize` implementation, has to say: a type that does
    /// not match, a missing field, an unknown variant. Cut if it is long.
    Custom(String),
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "the value is longer than {limit} bytes"),
            Self::TooDeep { limit } => write!(f, "the value nests deeper than {limit} levels"),
            Self::Truncated => f.write_str("the input ends inside a value"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes follow the value"),
            Self::Utf8 => f.write_str("a string is not valid UTF-8"),
            Self::StrayMark => {
                f.write_str("the mark of a nested option stands before a plain value")
            }
            Self::UnknownExtension { kind } => {
                write!(f, "extension type {kind} is not known, or not of this length")
            }
            Self::Length { announced, given } => {
                write!(f, "{announced} items were announced, but {given} were given")
            }
            Self::Unpaired => {
                f.write_str("a map has a key without a value, or a value without a key")
            }
            Self::Unread => f.write_str("part of the value was left unread"),
            Self::Custom(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

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

/// Writes a message down without ever holding more of it than is kept.
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
            // An error ends the formatting: the rest is not wanted.
            Err(fmt::Error)
        }
    }

    let mut short = Short(String::new());
    if write!(short, "{message}").is_err() {
        short.0.push('…');
    }
    short.0
}
