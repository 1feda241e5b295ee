//! What a key of the manifest or of settings is: its name, its doc line, its range, its default. Each is defined once,
//! in `sections`, and read from either source by that definition.
//!
//! No error says what was found, only what was expected: a value may be a secret in the wrong place.

use std::fmt;
use std::time::Duration;

use crate::quantity::{self, show_duration, show_size};

/// A value as its source gives it.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    /// A text of a file.
    Text(&'a str),
    /// A whole number of a file.
    Whole(i128),
    /// `true` or `false` of a file.
    Truth(bool),
    /// An environment variable. It has no type of its own: digits are a number where one is expected.
    Variable(&'a str),
    /// Anything else: what it is, with its article.
    Other(&'static str),
}

impl Given<'_> {
    /// What it is, with its article, for "…, found an integer".
    pub fn kind(&self) -> &'static str {
        match self {
            Given::Text(_) => "a string",
            Given::Whole(_) => "an integer",
            Given::Truth(_) => "a boolean",
            Given::Variable(_) => "another text",
            Given::Other(kind) => kind,
        }
    }
}

/// Without the value itself.
impl fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// A key of the section `S`.
pub struct Key<S> {
    /// Its name within the section.
    pub name: &'static str,
    /// Its doc line.
    pub doc: &'static str,
    pub(crate) set: fn(&mut S, Given<'_>) -> Result<(), String>,
    pub(crate) show: fn(&S) -> Option<String>,
}

impl<S> Key<S> {
    /// Reads `given` into `section`, or says what was expected.
    pub fn set(&self, section: &mut S, given: Given<'_>) -> Result<(), String> {
        (self.set)(section, given)
    }

    /// The value in `section`, as it would be written, without quotes. `None` where there is none.
    pub fn show(&self, section: &S) -> Option<String> {
        (self.show)(section)
    }
}

impl<S> fmt::Debug for Key<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.name)
    }
}

/// A table of the manifest and of settings.
pub trait Section: Sized + 'static {
    /// All its keys.
    const KEYS: &'static [Key<Self>];

    /// The first key whose value contradicts another's, and what is wrong.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        None
    }

    /// The key of this name.
    fn key(name: &str) -> Option<&'static Key<Self>> {
        Self::KEYS.iter().find(|key| key.name == name)
    }

    /// The names of all its keys.
    fn names() -> Vec<&'static str> {
        Self::KEYS.iter().map(|key| key.name).collect()
    }
}

/// What values a key takes.
pub(crate) trait ValueType {
    type Value;

    /// Reads a value, or says what was expected.
    fn read(&self, given: Given<'_>) -> Result<Self::Value, String>;

    /// A value as it would be written.
    fn show(&self, value: &Self::Value) -> Option<String>;
}

/// Defines a struct that is a section: each line is a key with its doc line, type, default and kind.
macro_rules! section {
    (
        $(#[$about:meta])*
        $name:ident $(, contradiction: $contradiction:expr)?;
        $($(#[doc = $doc:literal])+ $key:ident: $value:ty = $default:expr, $kind:expr;)+
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $key: $value,)+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl crate::keys::Section for $name {
            const KEYS: &'static [crate::keys::Key<Self>] =
                &[$(crate::keys::key!($key, concat!($($doc),+), $kind),)+];

            $(
                fn contradiction(&self) -> Option<(&'static str, String)> {
                    ($contradiction)(self)
                }
            )?
        }
    };
}

/// One key of a struct.
macro_rules! key {
    ($key:ident, $doc:expr, $kind:expr) => {
        crate::keys::Key {
            name: stringify!($key),
            doc: $doc,
            set: |section, given| {
                section.$key = crate::keys::ValueType::read(&$kind, given)?;
                Ok(())
            },
            show: |section| crate::keys::ValueType::show(&$kind, &section.$key),
        }
    };
}

pub(crate) use {key, section};

/// A whole number from the first to the second.
pub(crate) struct Count<N>(pub(crate) N, pub(crate) N);

impl<N: TryFrom<i128> + PartialOrd + fmt::Display> ValueType for Count<N> {
    type Value = N;

    fn read(&self, given: Given<'_>) -> Result<N, String> {
        let Count(least, most) = self;
        let number = match given {
            Given::Whole(number) => Some(number),
            Given::Variable(text) if is_number(text) => Some(text.parse().unwrap_or(i128::MAX)),
            Given::Text(_) | Given::Truth(_) | Given::Variable(_) | Given::Other(_) => None,
        };
        let Some(number) = number else {
            let found = given.kind();
            return Err(format!("must be a whole number from {least} to {most}, found {found}"));
        };
        let fits = N::try_from(number).ok().filter(|number| (least..=most).contains(&number));
        fits.ok_or_else(|| format!("must be from {least} to {most}"))
    }

    fn show(&self, value: &N) -> Option<String> {
        Some(value.to_string())
    }
}

/// A size in bytes from the first to the second.
pub(crate) struct Size(pub(crate) u64, pub(crate) u64);

impl ValueType for Size {
    type Value = usize;

    fn read(&self, given: Given<'_>) -> Result<usize, String> {
        let Size(least, most) = *self;
        let bytes = match given {
            Given::Text(text) | Given::Variable(text) => {
                quantity::size(text).map_err(|error| error.to_string())?
            }
            Given::Whole(bytes) => u64::try_from(bytes).unwrap_or(0),
            Given::Truth(_) | Given::Other(_) => {
                return Err(format!(
                    "{}, found {}",
                    quantity::QuantityError::NotASize,
                    given.kind()
                ));
            }
        };
        let fits = (least..=most).contains(&bytes).then(|| usize::try_from(bytes).ok()).flatten();
        fits.ok_or_else(|| format!("must be from {} to {}", show_size(least), show_size(most)))
    }

    fn show(&self, value: &usize) -> Option<String> {
        u64::try_from(*value).ok().map(show_size)
    }
}

/// A duration from the first to the second.
pub(crate) struct Span(pub(crate) Duration, pub(crate) Duration);

impl ValueType for Span {
    type Value = Duration;

    fn read(&self, given: Given<'_>) -> Result<Duration, String> {
        let Span(least, most) = *self;
        let (Given::Text(text) | Given::Variable(text)) = given else {
            let expected = quantity::QuantityError::NotADuration;
            return Err(format!("{expected}, found {}", given.kind()));
        };
        let duration = quantity::duration(text).map_err(|error| error.to_string())?;
        if (least..=most).contains(&duration) {
            return Ok(duration);
        }
        Err(format!("must be from {} to {}", show_duration(least), show_duration(most)))
    }

    fn show(&self, value: &Duration) -> Option<String> {
        Some(show_duration(*value))
    }
}

/// `true` or `false`.
pub(crate) struct Flag;

impl ValueType for Flag {
    type Value = bool;

    fn read(&self, given: Given<'_>) -> Result<bool, String> {
        match given {
            Given::Truth(truth) => Ok(truth),
            Given::Variable("true") => Ok(true),
            Given::Variable("false") => Ok(false),
            other => Err(format!("must be `true` or `false`, found {}", other.kind())),
        }
    }

    fn show(&self, value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

/// A text that `read` takes.
pub(crate) struct Text<T>(pub(crate) fn(&str) -> Result<T, String>, pub(crate) fn(&T) -> String);

impl<T> ValueType for Text<T> {
    type Value = T;

    fn read(&self, given: Given<'_>) -> Result<T, String> {
        match given {
            Given::Text(text) | Given::Variable(text) => (self.0)(text),
            Given::Whole(_) | Given::Truth(_) | Given::Other(_) => {
                Err(format!("must be a string, found {}", given.kind()))
            }
        }
    }

    fn show(&self, value: &T) -> Option<String> {
        Some((self.1)(value))
    }
}

/// What may be left out.
pub(crate) struct Optional<K>(pub(crate) K);

impl<K: ValueType> ValueType for Optional<K> {
    type Value = Option<K::Value>;

    fn read(&self, given: Given<'_>) -> Result<Self::Value, String> {
        self.0.read(given).map(Some)
    }

    fn show(&self, value: &Self::Value) -> Option<String> {
        self.0.show(value.as_ref()?)
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
