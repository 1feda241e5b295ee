//! The patterns of JSON schema, as a regular expression of Rust.
//!
//! JSON schema means those of ECMAScript. `\d`, `\w` and `\b` know ASCII only there, and all of Unicode
//! here, and `\s` is another set of characters, so these are translated. What has no counterpart (look-around, references back) is refused when
//! the process starts.

use regex_automata::{Input, meta};
use std::fmt;

/// The most memory that one pattern may take.
const LARGEST: usize = 1 << 20;

/// What `\s` is in ECMAScript.
const SPACES: &str = "\\t\\n\\x0B\\x0C\\r \\u{A0}\\u{1680}\\u{2000}-\\u{200A}\\u{2028}\\u{2029}\\u{202F}\\u{205F}\\u{3000}\\u{FEFF}";

/// A pattern that texts are held to.
pub(super) struct Pattern {
    text: String,
    regex: meta::Regex,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, UnknownPattern> {
        let config =
            meta::Config::new().nfa_size_limit(Some(LARGEST)).hybrid_cache_capacity(LARGEST);
        let built = meta::Builder::new().configure(config).build(&translated(text));
        built.map(|regex| Self { text: text.to_owned(), regex }).map_err(|error| UnknownPattern {
            pattern: text.to_owned(),
            why: error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string),
        })
    }

    /// Whether it is found anywhere in `text`, as JSON schema has it.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(Input::new(text))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn translated(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '[' if !in_class => {
                in_class = true;
                out.push('[');
            }
            // Rust reads more in a class than ECMAScript: classes in it, and operators.
            '[' => out.push_str("\\["),
            '&' | '~' if in_class => out.extend(['\\', letter]),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '\\' => match letters.next() {
                Some('d') => out.push_str("[0-9]"),
                Some('D') => out.push_str("[^0-9]"),
                Some('w') => out.push_str("[0-9A-Za-z_]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('s') => out.extend(["[", SPACES, "]"]),
                Some('S') => out.extend(["[^", SPACES, "]"]),
                Some('b') if !in_class => out.push_str("(?-u:\\b)"),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

/// A pattern of a type that cannot be enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownPattern {
    pattern: String,
    why: String,
}

impl fmt::Display for UnknownPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pattern, why } = self;
        write!(f, "the pattern `{pattern}` cannot be enforced: {why}")
    }
}

impl std::error::Error for UnknownPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_in_json_schema() {
        let found = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().is_in(text);
        assert!(found("b", "abc") && !found("^b", "abc"));
        assert!(found(r"^\d+$", "42") && !found(r"^\d+$", "٤٢"));
        assert!(found(r"^[\d.]+$", "4.2") && found(r"^[\w&&]+$", "a&b") && found("[[]", "["));
        assert!(!found("^[a&&b]$", "") && found("^[a&&b]$", "a"));
        assert!(found(r"^\/é.$", "/éü"));
        assert!(found(r"^\s[\s]\S$", "\u{a0}\u{feff}x") && !found(r"\s", "x"));
        assert!(found(r"\bb\b", "a b c") && !found(r"^\W$", "a"));
    }

    #[test]
    fn what_cannot_be_enforced_is_said() {
        let error = Pattern::new("(?=a)").unwrap_err().to_string();
        assert!(error.starts_with("the pattern `(?=a)` cannot be enforced: "), "{error}");
        Pattern::new(r"^(\p{L}{1,500}){1,500}$").unwrap_err();
    }
}
