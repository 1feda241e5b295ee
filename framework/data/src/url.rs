//! What a database's URL must look like. What is wrong with one is said without any part of it: where a mistake is,
//! any part may be the password.

use super::Backend;
use monolift_manifest::nearest;

const POSTGRES: &str = "a URL such as `postgres://user:password@host:5432/database`";
const ENCODED: &str =
    "a URL whose user and password have `%2F`, `%3F`, `%23` and `%40` for `/`, `?`, `#` and `@`";

/// What a parameter takes.
enum Takes {
    Anything,
    Number,
    Word(&'static [&'static str]),
}

use Takes::{Anything, Number, Word};

const SSL_MODES: Takes =
    Word(&["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]);

const OF_POSTGRES: [(&str, Takes); 17] = [
    ("sslmode", SSL_MODES),
    ("ssl-mode", SSL_MODES),
    ("sslrootcert", Anything),
    ("ssl-root-cert", Anything),
    ("ssl-ca", Anything),
    ("sslcert", Anything),
    ("ssl-cert", Anything),
    ("sslkey", Anything),
    ("ssl-key", Anything),
    ("statement-cache-capacity", Number),
    ("host", Anything),
    ("port", Number),
    ("dbname", Anything),
    ("user", Anything),
    ("password", Anything),
    ("application_name", Anything),
    ("options", Anything),
];

const OF_SQLITE: [(&str, Takes); 4] = [
    ("mode", Word(&["ro", "rw", "rwc", "memory"])),
    ("cache", Word(&["private", "shared"])),
    ("immutable", Word(&["true", "false", "1", "0"])),
    ("vfs", Anything),
];

/// Says what was expected of a database's URL that is none.
pub fn check_url(url: &str) -> Result<(), String> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a URL without spaces and line breaks".to_owned());
    }
    let backend = Backend::of_url(url);
    if let Some(feature) = backend.and_then(Backend::lacks) {
        return Err(format!(
            "a URL of a database that this program is built for: this one needs the feature `{feature}` of `monolift`"
        ));
    }
    match backend {
        Some(Backend::Postgres) => postgres(url),
        Some(Backend::Sqlite) => sqlite(url),
        None => Err(format!("{POSTGRES} or `sqlite:path/to/file.db`")),
    }
}

fn postgres(url: &str) -> Result<(), String> {
    let (_, rest) = url.split_once("://").ok_or(POSTGRES)?;
    let (authority, behind) = match rest.find(['/', '?', '#']) {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    // Without an `@` behind it, the password ends where it seems to.
    if behind.contains(['@', '#']) {
        return Err(ENCODED.to_owned());
    }
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').or(port.is_empty().then_some(""))),
        None => match host.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (host, Some("")),
        },
    };
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    if !port.is_some_and(is_port) {
        return Err(format!("{POSTGRES}, with a number as its port"));
    }
    let fits = |c: char| c.is_alphanumeric() || "-._%:".contains(c);
    if !host.chars().all(fits) {
        return Err(ENCODED.to_owned());
    }
    let parameters = behind.split_once('?').map_or("", |(_, parameters)| parameters);
    check_parameters(parameters, &OF_POSTGRES)
}

fn sqlite(url: &str) -> Result<(), String> {
    let (_, rest) = url.split_once(':').unwrap_or_default();
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err("a file's path behind `sqlite:`, which has no user: `@` in it is `%40`".into());
    }
    check_parameters(parameters, &OF_SQLITE)
}

fn check_parameters(parameters: &str, known: &[(&str, Takes)]) -> Result<(), String> {
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name.starts_with("options[") && name.ends_with(']') {
            continue;
        }
        let Some((name, takes)) = known.iter().find(|(known, _)| *known == name) else {
            let names = || known.iter().map(|(known, _)| *known);
            let expected = "a URL whose parameters the driver knows";
            return Err(match nearest(name, names()) {
                Some(near) => format!("{expected}: is one of them meant to be `{near}`?"),
                None => format!("{expected}: {}", names().collect::<Vec<_>>().join(", ")),
            });
        };
        match takes {
            Anything => {}
            Number if value.parse::<u32>().is_ok() => {}
            Number => return Err(format!("a URL whose `{name}` is a number")),
            Word(words) if words.contains(&value) => {}
            Word(words) => {
                return Err(format!("a URL whose `{name}` is one of {}", words.join(", ")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[cfg(not(feature = "sqlite"))]
mod without_sqlite {
    use super::*;

    #[test]
    fn a_url_of_a_missing_driver_is_refused_with_the_name_of_its_feature() {
        let told = check_url("sqlite:canary.db").unwrap_err();
        assert!(told.contains("the feature `sqlite` of `monolift`"), "{told}");
        assert!(!told.contains("canary"), "{told}");
        assert_eq!(check_url("postgres://db/shop"), Ok(()));
    }

    #[tokio::test]
    async fn a_file_is_refused_too() {
        let location = crate::Location::File("notes.db".into());
        let settings = crate::DbSettings::default();
        let opened = crate::Db::<sqlx::Any>::open(&location, &settings, &[]).await;
        let told = opened.unwrap_err().to_string();
        assert!(told.contains("the feature `sqlite` of `monolift`"), "{told}");
    }
}

#[cfg(test)]
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_right() {
        for url in [
            "postgres://shop:s3cr%40t@db:5432/shop",
            "postgres://shop:s3cr@t@db/shop",
            "postgresql://db/shop?sslmode=require&application_name=a%40b",
            "postgres://shop@[::1]:5432/shop",
            "postgres://postgres@%2Frun%2Fpostgresql/shop?options[search_path]=a",
            "postgres:///shop?host=/run/postgresql&port=5433&user=shop&password=x",
            "sqlite://data/orders.db?mode=rwc",
            "sqlite::memory:",
            "sqlite:orders.db",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn urls_that_are_wrong_are_not_quoted() {
        for (url, expected) in [
            ("postgres:shop:canary@db/shop", POSTGRES),
            ("postgres:/shop:canary@db/shop", POSTGRES),
            ("shop:canary@db/shop", POSTGRES),
            ("mysql://shop:canary@db/shop", POSTGRES),
            ("canary", POSTGRES),
            ("postgres://shop:can?ary@db/shop", "`%3F`"),
            ("postgres://shop:can/ary@db/shop", "`%2F`"),
            ("postgres://shop:5/canary@db/shop", "`%2F`"),
            ("postgres://shop:can#ary@db/shop", "`%23`"),
            ("postgres://shop:can ary@db/shop", "without spaces"),
            ("postgres://shop:canary@db\n/shop", "without spaces"),
            ("postgres://shop:canary/shop", "a number as its port"),
            ("postgres://shop:canary@db:54321x/shop", "a number as its port"),
            ("postgres://shop:canary@[::1/shop", "a number as its port"),
            ("postgres://shop:x@canary!/shop", "`%40`"),
            ("postgres://db/shop?pasword=canary", "meant to be `password`"),
            ("postgres://db/shop?canary=1", "the driver knows: sslmode, "),
            ("postgres://db/shop?sslmode=canary", "`sslmode` is one of disable"),
            ("postgres://db/shop?port=canary", "`port` is a number"),
            ("sqlite://shop:canary@db/shop", "`%40`"),
            ("sqlite:shop.db?mode=canary", "`mode` is one of ro"),
            ("sqlite:shop.db?canary", "the driver knows: mode, "),
        ] {
            let told = check_url(url).unwrap_err();
            assert!(told.contains(expected), "{url}: {told}");
            assert!(!told.contains("can") && !told.contains("ary"), "{url}: {told}");
        }
    }
}
