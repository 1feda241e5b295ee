//! What is wrong, where, and what to do about it.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// One mistake in a file that a person wrote.
///
/// ```
/// # use monolift_manifest::Problem;
/// let problem = Problem {
///     file: "deployment.toml".into(),
///     line: 12,
///     column: 1,
///     message: "no module `paymnts` in this workspace".into(),
///     help: Some("did you mean `payments`?".into()),
/// };
/// assert_eq!(
///     problem.to_string(),
///     "deployment.toml:12:1: no module `paymnts` in this workspace\n  help: did you mean `payments`?",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file that holds the mistake.
    pub file: PathBuf,
    /// Its line, from 1; 0 when the mistake is the file itself (it is missing, or cannot be read).
    pub line: usize,
    /// Its column, from 1, in characters; 0 when `line` is 0.
    pub column: usize,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
}

/// What begins the message about a key that no table has.
pub(crate) const UNKNOWN_KEY: &str = "unknown key ";

impl Problem {
    /// Whether it is about a key that no table has.
    pub(crate) fn is_unknown_key(&self) -> bool {
        self.message.starts_with(UNKNOWN_KEY)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl Error for Problem {}

/// All the mistakes that were found, in the order in which they should be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mistakes, one after another.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// `value` if nothing is wrong, else the mistakes.
    pub fn unless_empty<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Problems(vec![problem])
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        self.0.extend(problems);
    }
}
