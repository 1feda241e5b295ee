//! The values of `[identity]`: who vouches for users, and what becomes of calls that a method's `#[auth(…)]` refuses.

use std::collections::BTreeMap;
use std::fmt;

use crate::sections::{IdentityKeys, IssuerKeys};

/// More modules than any application has.
const MOST_MODULES: usize = 256;

/// `[identity]`. A manifest that has it is of an application in which every routed method says who may call it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Whether the manifest has this table.
    pub stated: bool,
    /// Its own keys.
    pub keys: IdentityKeys,
    /// `[identity.issuers.*]`, by name.
    pub issuers: BTreeMap<String, IssuerKeys>,
}

/// Whether calls that a rule refuses fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleMode {
    /// They fail.
    Enforce,
    /// They are logged and counted, and go on.
    Observe,
}

impl RuleMode {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "observe" => Ok(Self::Observe),
            _ => Err("expected `enforce` or `observe`, and for single modules behind it \
                      `enforce,stock=observe`"
                .to_owned()),
        }
    }
}

impl fmt::Display for RuleMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        })
    }
}

/// Whether processes prove to each other on whose behalf they call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementMode {
    /// They do not: what a process says of a call's user is believed.
    Off,
    /// They do, and what is not proven is logged, counted and believed.
    Observe,
    /// They do, and what is not proven is not believed.
    Require,
}

impl StatementMode {
    /// Reads it as it is written.
    pub fn read(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "observe" => Ok(Self::Observe),
            "require" => Ok(Self::Require),
            _ => Err("expected `off`, `observe` or `require`".to_owned()),
        }
    }
}

impl fmt::Display for StatementMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Require => "require",
        })
    }
}

/// Whether rules are enforced: for all modules, and for single ones: `enforce,stock=observe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Where nothing else is said of a module.
    pub all: RuleMode,
    /// What is said of single modules.
    pub modules: BTreeMap<String, RuleMode>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { all: RuleMode::Enforce, modules: BTreeMap::new() }
    }
}

impl Rules {
    /// Reads them as they are written.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut words = text.split(',').map(str::trim);
        let all = RuleMode::read(words.next().unwrap_or_default())?;
        let mut modules = BTreeMap::new();
        for word in words {
            let (module, mode) = word.split_once('=').unwrap_or(("", word));
            let is_module = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
            if module.is_empty() || !module.chars().all(is_module) {
                return Err("expected a module before `=`: `enforce,stock=observe`".to_owned());
            }
            if modules.len() == MOST_MODULES {
                return Err(format!("there are {MOST_MODULES} modules already"));
            }
            if modules.insert(module.to_owned(), RuleMode::read(mode)?).is_some() {
                return Err("a module stands here twice".to_owned());
            }
        }
        Ok(Self { all, modules })
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all.fmt(f)?;
        self.modules.iter().try_for_each(|(module, mode)| write!(f, ",{module}={mode}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_shown() {
        for text in ["enforce", "observe", "enforce,orders=enforce,stock=observe"] {
            assert_eq!(Rules::read(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "Enforce",
            "stock=observe",
            "enforce,stock",
            "enforce,=observe",
            "enforce,a=b",
            "enforce,a=observe,a=enforce",
        ] {
            assert!(Rules::read(bad).is_err(), "{bad}");
        }
    }
}
