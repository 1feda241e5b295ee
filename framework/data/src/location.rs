//! Where a module's database is.

use super::{Backend, check_url};
use std::{fmt, path::PathBuf};

/// Where a module's database is. Shown without what is secret in it.
#[derive(Clone)]
pub enum Location {
    /// A SQLite file of the module's own.
    File(PathBuf),
    /// A URL, as the settings give it.
    Url(String),
    /// A URL whose pool modules share, and the role that this module's transactions take on.
    Shared {
        /// The URL.
        url: String,
        /// The role.
        role: String,
    },
}

impl Location {
    pub(super) fn url(&self) -> String {
        match self {
            Self::File(file) => format!("sqlite://{}?mode=rwc", file.display()),
            Self::Url(url) | Self::Shared { url, .. } => url.clone(),
        }
    }

    /// What is there; `None` when the URL is for neither.
    pub fn backend(&self) -> Option<Backend> {
        match self {
            Self::File(_) => Some(Backend::Sqlite),
            Self::Url(url) | Self::Shared { url, .. } => Backend::of_url(url),
        }
    }
}

impl Backend {
    /// The feature of `monolift` without which this program cannot open such a database.
    pub(super) fn lacks(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => (!cfg!(feature = "sqlite")).then_some("sqlite"),
            Self::Postgres => (!cfg!(feature = "postgres")).then_some("postgres"),
        }
    }

    /// What a URL is for.
    pub(super) fn of_url(url: &str) -> Option<Self> {
        match url.split_once(':')?.0 {
            "sqlite" => Some(Self::Sqlite),
            "postgres" | "postgresql" => Some(Self::Postgres),
            _ => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            // Who logs in is worth knowing; the password is nobody's business, and neither are
            // parameters, which may hold one.
            Self::Url(url) | Self::Shared { url, .. } if check_url(url).is_err() => {
                f.write_str("a database's URL")
            }
            Self::Url(url) | Self::Shared { url, .. } => {
                let shown = url.split('?').next().unwrap_or_default();
                match (shown.split_once("://"), shown.rsplit_once('@')) {
                    (Some((scheme, rest)), Some((_, host))) => {
                        let user = rest.split([':', '@']).next().unwrap_or_default();
                        write!(f, "{scheme}://{user}@{host}")
                    }
                    _ => f.write_str(shown),
                }
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let shown = |url: &str| {
            let (url, role) = (url.to_owned(), "shop_orders".to_owned());
            let shown = Location::Url(url.clone()).to_string();
            assert_eq!(Location::Shared { url, role }.to_string(), shown);
            shown
        };
        assert_eq!(shown("postgres://shop:s3cr@t@db:5432/shop"), "postgres://shop@db:5432/shop");
        assert_eq!(shown("postgres://shop@db/shop?password=s3cret"), "postgres://shop@db/shop");
        assert_eq!(shown("postgres://db/shop"), "postgres://db/shop");
        assert_eq!(shown("sqlite://data/orders.db?mode=rwc"), "sqlite://data/orders.db");
    }
}
