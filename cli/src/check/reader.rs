//! The words of a statement, from left to right.

use monolift_data::sql::Word;

/// What is left of a statement.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) words: &'a [Word<'a>],
}

impl Reader<'_> {
    /// What commas separate, outside of parentheses, until one closes that was not opened here.
    pub(super) fn split(&self) -> Vec<Self> {
        let (mut parts, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
        for (at, word) in self.words.iter().enumerate() {
            match word {
                Word::Sign('(') => depth += 1,
                Word::Sign(')') if depth == 0 => {
                    parts.push(Self { words: &self.words[begin..at] });
                    return parts;
                }
                Word::Sign(')') => depth -= 1,
                Word::Sign(',') if depth == 0 => {
                    parts.push(Self { words: &self.words[begin..at] });
                    begin = at + 1;
                }
                _ => {}
            }
        }
        parts.push(Self { words: &self.words[begin..] });
        parts
    }

    pub(super) fn take(&mut self, keyword: &str) -> bool {
        self.take_all(&[keyword])
    }

    pub(super) fn take_all(&mut self, keywords: &[&str]) -> bool {
        let are = self.words.len() >= keywords.len()
            && self.words.iter().zip(keywords).all(|(word, keyword)| word.is(keyword));
        if are {
            self.words = &self.words[keywords.len()..];
        }
        are
    }

    pub(super) fn take_sign(&mut self, sign: char) -> bool {
        let is = self.words.first() == Some(&Word::Sign(sign));
        if is {
            self.words = &self.words[1..];
        }
        is
    }

    pub(super) fn has(&self, keywords: &[&str]) -> bool {
        self.words
            .windows(keywords.len())
            .any(|words| words.iter().zip(keywords).all(|(word, keyword)| word.is(keyword)))
    }

    /// A name, the last part of it: `orders` of `shop.orders`.
    pub(super) fn name(&mut self) -> Option<String> {
        loop {
            let (first, rest) = self.words.split_first()?;
            self.words = rest;
            let name = folded(*first)?;
            if !self.take_sign('.') {
                return Some(name);
            }
        }
    }

    /// Whether this creates the view, the function or the unique index `name` again.
    pub(super) fn creates_again(mut self, kind: &str, name: &str) -> bool {
        if !self.take("CREATE") {
            return false;
        }
        self.take_all(&["OR", "REPLACE"]);
        let _ = self.take("MATERIALIZED") || self.take("UNIQUE");
        if !self.take(kind) {
            return false;
        }
        self.take("CONCURRENTLY");
        self.take_all(&["IF", "NOT", "EXISTS"]);
        self.name().as_deref() == Some(name)
    }

    /// The table that this renames to `name`.
    pub(super) fn renames_to(mut self, name: &str) -> Option<String> {
        let is = self.take_all(&["ALTER", "TABLE"]);
        let table = self.name().filter(|_| is && self.take_all(&["RENAME", "TO"]))?;
        (self.name().as_deref() == Some(name)).then_some(table)
    }
}

/// A name as the database compares it.
fn folded(name: Word<'_>) -> Option<String> {
    match name {
        Word::Plain(name) => Some(name.to_lowercase()),
        Word::Quoted(name) => Some(name.to_owned()),
        Word::Text | Word::Sign(_) => None,
    }
}
