//! The patterns of JSON schema, as a regular expression of Rust.
//!
//! JSON schema means those of ECMAScript. `\d`, `\w` and `\b` know ASCII only there, and all of Unicode here, and `\s`
//! is another set of characters, so these are translated. What has no counterpart (look-around, references back) is
//! refused when the process starts.

use regex_automata::{Input, meta};
use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};
use std::fmt;

/// The most memory that one pattern may take.
const LARGEST: usize = 1 << 20;

/// The longest text that is made for a pattern.
const LONGEST: usize = 1 << 10;

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

/// A text in which `pattern` is found, with this many characters, if one is found.
pub(in crate::interface) fn matching(pattern: &str, least: usize, most: usize) -> Option<String> {
    let known = Pattern::new(pattern).ok()?;
    let parsed = regex_syntax::parse(&translated(pattern)).ok()?;
    // What can be repeated without an end is repeated until the text is long enough.
    (1..=least.clamp(1, LONGEST)).find_map(|times| {
        let mut text = String::new();
        write(&parsed, times, &mut text)?;
        let length = text.chars().count();
        (known.is_in(&text) && (least..=most).contains(&length)).then_some(text)
    })
}

/// Writes the first text that matches. `times` is how often an unlimited repetition is made.
fn write(part: &Hir, times: usize, text: &mut String) -> Option<()> {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(Class::Unicode(class)) => text.push(letter_of(class)?),
        HirKind::Class(Class::Bytes(class)) => text.push(class.ranges().first()?.start().into()),
        HirKind::Repetition(repetition) => {
            let least = repetition.min as usize;
            let most = repetition.max.map_or(usize::MAX, |most| most as usize);
            let times = if most == least { least } else { times.clamp(least, most) };
            if times > LONGEST {
                return None;
            }
            for _ in 0..times {
                write(&repetition.sub, times, text)?;
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, times, text)?,
        HirKind::Concat(parts) => {
            for part in parts {
                write(part, times, text)?;
            }
        }
        HirKind::Alternation(parts) => write(parts.first()?, times, text)?,
    }
    (text.len() <= LONGEST).then_some(())
}

/// A character of the class, which can be read if there is such a one.
fn letter_of(class: &ClassUnicode) -> Option<char> {
    let has = |letter: &char| {
        class.ranges().iter().any(|range| (range.start()..=range.end()).contains(letter))
    };
    let readable = "aA0".chars().chain('!'..='~').chain([' ']);
    readable.into_iter().find(has).or_else(|| Some(class.ranges().first()?.start()))
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
    fn a_text_is_made_for_a_pattern() {
        let made = |pattern| matching(pattern, 0, 100).unwrap();
        assert_eq!(made("^[a-z]+$"), "a");
        assert_eq!(made(r"^(cash|card)-\d{4}$"), "cash-0000");
        assert_eq!(made(r"^\+?[1-9]\d{1,3}$"), "+10");
        assert_eq!((made("^.+$"), made(r"^[^a]\S$")), ("a".to_owned(), "Aa".to_owned()));
        assert_eq!(matching("^[a-z]*$", 5, 5).unwrap(), "aaaaa");
        assert_eq!(matching("^[a-z]{3}$", 5, 9), None);
        assert_eq!(matching("^a{4000}$", 0, 9000), None);
    }

    #[test]
    fn what_cannot_be_enforced_is_said() {
        let error = Pattern::new("(?=a)").unwrap_err().to_string();
        assert!(error.starts_with("the pattern `(?=a)` cannot be enforced: "), "{error}");
        Pattern::new(r"^(\p{L}{1,500}){1,500}$").unwrap_err();
    }
}
