//! SQL as text: where the statements of a file begin and end, and which words they have.
//!
//! This knows strings, quoted names, comments, dollar quotes and the bodies of triggers. It knows no grammar.

/// A statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Its text, without the semicolon.
    pub text: &'a str,
    /// The line of its first word, from 1.
    pub line: usize,
    /// Its words, in order.
    pub words: Vec<Word<'a>>,
    /// The comments of one line (`--`) before it, in it and behind it on its last line, each without its mark.
    pub comments: Vec<&'a str>,
}

/// A word of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word<'a> {
    /// A keyword, a name or a number, as it is written.
    Plain(&'a str),
    /// A name in quotes, without them.
    Quoted(&'a str),
    /// A string.
    Text,
    /// Anything else.
    Sign(char),
}

impl<'a> Word<'a> {
    /// Whether this is the keyword.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Plain(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// The name that it is, when it can be one.
    pub fn name(&self) -> Option<&'a str> {
        match self {
            Self::Plain(name) | Self::Quoted(name) => Some(name),
            Self::Text | Self::Sign(_) => None,
        }
    }
}

/// What can stand at a place of a file.
enum Piece<'a> {
    Space,
    Comment(&'a str),
    Word(Word<'a>),
}

/// The statements of a file, in order.
pub fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut all: Vec<Statement<'_>> = Vec::new();
    let (mut words, mut comments) = (Vec::new(), Vec::new());
    let (mut begin, mut end, mut at) = (0, 0, 0);
    // Where the last statement ended: a comment behind it on that line is its own.
    let mut ended_at: Option<usize> = None;
    while at < text.len() {
        let (piece, length) = piece(&text[at..]);
        match piece {
            Piece::Space => {}
            Piece::Comment(comment) => match (ended_at, all.last_mut()) {
                (Some(ended), Some(last))
                    if words.is_empty() && !text[ended..at].contains('\n') =>
                {
                    last.comments.push(comment);
                }
                _ => comments.push(comment),
            },
            Piece::Word(Word::Sign(';')) if !is_in_a_body(&words) => {
                if !words.is_empty() {
                    let (words, comments) =
                        (std::mem::take(&mut words), std::mem::take(&mut comments));
                    all.push(Statement {
                        text: &text[begin..end],
                        line: line(text, begin),
                        words,
                        comments,
                    });
                    ended_at = Some(at);
                }
            }
            Piece::Word(word) => {
                if words.is_empty() {
                    begin = at;
                }
                words.push(word);
                end = at + length;
            }
        }
        at += length;
    }
    if !words.is_empty() {
        all.push(Statement { text: &text[begin..end], line: line(text, begin), words, comments });
    }
    all
}

fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Whether a statement is within the body of a trigger or a function, which has semicolons of its own.
fn is_in_a_body(words: &[Word<'_>]) -> bool {
    let Some((first, rest)) = words.split_first() else { return false };
    let is_any = |word: &Word<'_>, keywords: &[&str]| keywords.iter().any(|one| word.is(one));
    let modifiers = ["OR", "REPLACE", "TEMP", "TEMPORARY", "CONSTRAINT", "EVENT"];
    let kind = rest.iter().position(|word| !is_any(word, &modifiers));
    let Some(kind) = kind.filter(|_| first.is("CREATE")) else { return false };
    if !is_any(&rest[kind], &["TRIGGER", "FUNCTION", "PROCEDURE"]) {
        return false;
    }
    let (mut depth, mut parentheses) = (0_usize, 0_usize);
    for pair in rest[kind..].windows(2) {
        let [before, word] = pair else { continue };
        // A column: `NEW.end`.
        if *before == Word::Sign('.') {
            continue;
        }
        match word {
            Word::Sign('(') => parentheses += 1,
            Word::Sign(')') => parentheses = parentheses.saturating_sub(1),
            _ if parentheses == 0 && word.is("BEGIN") || depth > 0 && word.is("CASE") => depth += 1,
            _ if word.is("END") => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth > 0
}

/// The first piece of `text`, which is not empty, and its length in bytes.
fn piece(text: &str) -> (Piece<'_>, usize) {
    let first = text.chars().next().unwrap_or(' ');
    match first {
        _ if first.is_whitespace() => (Piece::Space, first.len_utf8()),
        '-' if text.starts_with("--") => {
            let end = text.find('\n').unwrap_or(text.len());
            (Piece::Comment(text[2..end].trim()), end)
        }
        '/' if text.starts_with("/*") => (Piece::Space, block_comment(text)),
        '\'' => (Piece::Word(Word::Text), quoted(text, '\'', false)),
        'e' | 'E' if text[1..].starts_with('\'') => {
            (Piece::Word(Word::Text), 1 + quoted(&text[1..], '\'', true))
        }
        '"' | '`' => {
            let end = quoted(text, first, false);
            let name = text[1..end].strip_suffix(first).unwrap_or(&text[1..end]);
            (Piece::Word(Word::Quoted(name)), end)
        }
        '$' => match dollar_quoted(text) {
            Some(end) => (Piece::Word(Word::Text), end),
            None => (Piece::Word(Word::Sign('$')), 1),
        },
        _ if is_of_a_word(first) => {
            let end = text.find(|c| !is_of_a_word(c) && c != '$').unwrap_or(text.len());
            (Piece::Word(Word::Plain(&text[..end])), end)
        }
        _ => (Piece::Word(Word::Sign(first)), first.len_utf8()),
    }
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of `/* … */`. PostgreSQL has comments within comments.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of what is between two `mark`s, with them. A doubled mark is one of the text.
fn quoted(text: &str, mark: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if escapes && character == '\\' {
            characters.next();
        } else if character == mark && characters.next_if(|(_, next)| *next == mark).is_none() {
            return at + mark.len_utf8();
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`. `$1` is none.
fn dollar_quoted(text: &str) -> Option<usize> {
    let end = text[1..].find(|c| !is_of_a_word(c))? + 1;
    let is_tag =
        text[end..].starts_with('$') && !text[1..].starts_with(|c: char| c.is_ascii_digit());
    let tag = is_tag.then(|| &text[..=end])?;
    Some(text[tag.len()..].find(tag).map_or(text.len(), |at| tag.len() + at + tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        statements(text).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn a_semicolon_that_ends_nothing() {
        assert_eq!(
            texts("SELECT 'a;''b;'; SELECT \"c;\";;\n"),
            ["SELECT 'a;''b;'", "SELECT \"c;\""]
        );
        assert_eq!(
            texts("SELECT E'a\\';b', 'c\\'; SELECT 2"),
            ["SELECT E'a\\';b', 'c\\'", "SELECT 2"]
        );
        assert_eq!(texts("-- a; b\nSELECT 1 /* ; /* ; */ ; */; SELECT 2").len(), 2);
        assert_eq!(
            texts("DO $x$ BEGIN; $y$; $$; END $x$; SELECT $1; SELECT $$;$$").len(),
            3,
            "dollar quotes with and without a tag, and a parameter"
        );
        assert_eq!(texts("SELECT 'ü;' , ü;"), ["SELECT 'ü;' , ü"]);
        assert_eq!(texts("SELECT 'open; SELECT 2"), ["SELECT 'open; SELECT 2"]);
        assert_eq!(texts(" -- nothing\n"), [""; 0]);
    }

    #[test]
    fn the_body_of_a_trigger_is_within_its_statement() {
        let trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN \
                       UPDATE a SET b = CASE WHEN c THEN 1 ELSE 2 END; DELETE FROM d; END";
        assert_eq!(texts(&format!("{trigger}; SELECT 1")), [trigger, "SELECT 1"]);
        assert_eq!(texts("BEGIN; SELECT 1; END;").len(), 3);
        let columns = "CREATE TRIGGER t AFTER UPDATE ON a BEGIN \
                       UPDATE b SET c = NEW.end; DELETE FROM d WHERE e = OLD.begin; END";
        assert_eq!(texts(&format!("{columns}; SELECT 1")), [columns, "SELECT 1"]);
    }

    #[test]
    fn a_name_that_is_a_keyword_elsewhere_begins_no_body() {
        assert_eq!(texts("CREATE TABLE t (function TEXT, begin BIGINT); SELECT 1;").len(), 2);
        assert_eq!(texts("CREATE TABLE function (begin BIGINT); SELECT 1;").len(), 2);
        let function =
            "CREATE FUNCTION f(begin BIGINT) RETURNS BIGINT LANGUAGE SQL AS $$ SELECT 1; $$";
        assert_eq!(texts(&format!("{function}; SELECT 1")), [function, "SELECT 1"]);
    }

    #[test]
    fn a_statement_has_its_line_and_its_comments() {
        let found =
            statements("-- one\n\nSELECT 1 /* in */; -- behind\n-- two\nDROP TABLE a;\n-- end\n");
        assert_eq!((found[0].line, &found[0].comments[..]), (3, &["one", "behind"][..]));
        assert_eq!((found[1].line, &found[1].comments[..]), (5, &["two"][..]));
        assert!(found[1].words[0].is("drop") && found[1].words[2].name() == Some("a"));
    }
}
