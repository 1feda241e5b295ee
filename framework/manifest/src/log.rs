//! The values of `[log]`: the format of a program's lines, and what is logged.

use std::fmt;

use crate::suggest::nearest;

/// The format of a program's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal and under a launcher, else for machines.
    #[default]
    Auto,
    /// For people.
    Text,
    /// For machines: an object of JSON a line.
    Json,
}

impl LogFormat {
    /// Reads it as it is written.
    pub fn read(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("expected `auto`, `text` or `json`".to_owned()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// The levels, the one with the fewest lines first.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// More directives than any program has modules.
const MOST_DIRECTIVES: usize = 256;

/// What is logged: a level for everything, and levels of modules and crates, such as `info,stock=debug`. A later
/// directive replaces an earlier one for the same target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevels(Vec<Directive>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Directive {
    /// What a line's target begins with; `None` for everything.
    target: Option<String>,
    level: &'static str,
}

impl Default for LogLevels {
    fn default() -> Self {
        Self(vec![Directive { target: None, level: "info" }])
    }
}

impl LogLevels {
    /// Reads directives, or says what is wrong. A module's hyphens become underscores, as in the name of its crate.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut levels = Self(Vec::new());
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            levels.add(Directive::read(directive)?)?;
        }
        if levels.0.is_empty() {
            return Err("expected a level such as `info`, or a module's: `stock=debug`".to_owned());
        }
        Ok(levels)
    }

    /// Adds all directives of `more`.
    pub fn extend(&mut self, more: Self) -> Result<(), String> {
        more.0.into_iter().try_for_each(|directive| self.add(directive))
    }

    fn add(&mut self, directive: Directive) -> Result<(), String> {
        self.0.retain(|known| known.target != directive.target);
        if self.0.len() == MOST_DIRECTIVES {
            return Err(format!("there are {MOST_DIRECTIVES} directives already"));
        }
        self.0.push(directive);
        Ok(())
    }
}

impl Directive {
    fn read(text: &str) -> Result<Self, String> {
        let (target, level) = match text.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None => (None, text),
        };
        if text.contains(['[', '{', '"', '/']) {
            return Err(
                "expected `stock=debug`: only RUST_LOG takes spans, fields and expressions"
                    .to_owned(),
            );
        }
        if let Some(target) = target
            && !is_target(target)
        {
            return Err("expected a module or a crate before `=`, such as `stock=debug`".to_owned());
        }
        let known = LEVELS.iter().find(|known| known.eq_ignore_ascii_case(level));
        let Some(level) = known else {
            let levels = LEVELS.map(|level| format!("`{level}`")).join(", ");
            let help = match (nearest(level, LEVELS), target) {
                (Some(near), _) => format!(": did you mean `{near}`?"),
                (None, None) if is_target(level) => {
                    "; a module's level is `stock=debug`".to_owned()
                }
                (None, _) => String::new(),
            };
            return Err(format!("expected one of the levels {levels}{help}"));
        };
        Ok(Self { target: target.map(|target| target.replace('-', "_")), level })
    }
}

/// A module, a crate, or a path within it.
fn is_target(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(fits)
}

/// As it is written, and as tracing-subscriber reads it.
impl fmt::Display for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Directive { target, level }) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match target {
                Some(target) => write!(f, "{comma}{target}={level}")?,
                None => write!(f, "{comma}{level}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_and_shown() {
        for (text, shown) in [
            ("info", "info"),
            (" WARN , stock=Debug,", "warn,stock=debug"),
            ("stock=debug,stock=off", "stock=off"),
            ("user-profiles=trace", "user_profiles=trace"),
            ("info,monolift::access=off,warn", "monolift::access=off,warn"),
        ] {
            assert_eq!(LogLevels::read(text).unwrap().to_string(), shown, "{text}");
        }
        let mut levels = LogLevels::default();
        levels.extend(LogLevels::read("stock=debug,warn").unwrap()).unwrap();
        levels.extend(LogLevels::read("stock=info").unwrap()).unwrap();
        assert_eq!(levels.to_string(), "warn,stock=info");
    }

    #[test]
    fn a_mistake_is_told_without_the_value() {
        for (text, told) in [
            ("", "expected a level such as `info`"),
            ("debgu", "did you mean `debug`?"),
            ("stock", "a module's level is `stock=debug`"),
            ("hunter2-stock=loud", "expected one of the levels `off`, `error`"),
            ("=debug", "expected a module or a crate before `=`"),
            ("hunter2 one=debug", "expected a module or a crate before `=`"),
            ("stock[hunter2]=debug", "only RUST_LOG takes spans"),
        ] {
            let error = LogLevels::read(text).unwrap_err();
            assert!(error.contains(told) && !error.contains("hunter2"), "{text}: {error}");
        }
        let many: Vec<String> = (0..300).map(|number| format!("m{number}=info")).collect();
        assert!(LogLevels::read(&many.join(",")).unwrap_err().contains("256 directives"));
    }
}
