//! Doc comments as texts for readers of the API, who know no Rust.

/// Sections that speak to a caller in Rust. The errors of a method are among its responses.
const OF_RUST: [&str; 4] = ["errors", "examples", "panics", "safety"];

/// A doc comment without the sections for callers in Rust, and without the lines of examples that rustdoc hides. Other
/// headings become bold text: the page has headings of its own.
pub(super) fn shown(docs: &str) -> String {
    let mut in_code = false;
    // The level of the heading whose section is left out.
    let mut of_rust: Option<usize> = None;
    let mut shown: Vec<String> = Vec::new();
    for line in docs.trim().lines() {
        let start = line.trim_start();
        let is_fence = start.starts_with("```");
        in_code ^= is_fence;
        match heading(start).filter(|_| !in_code && !is_fence) {
            Some((level, _)) if of_rust.is_some_and(|above| level > above) => {}
            Some((level, title)) => {
                of_rust = OF_RUST.contains(&title.to_lowercase().as_str()).then_some(level);
                if of_rust.is_none() {
                    shown.push(format!("**{title}**"));
                }
            }
            None if of_rust.is_some() => {}
            None if in_code && (start == "#" || start.starts_with("# ")) => {}
            None => shown.push(line.to_owned()),
        }
    }
    shown.join("\n").trim().to_owned()
}

/// The level and the title: 1 and `Errors` of `# Errors`.
fn heading(line: &str) -> Option<(usize, &str)> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    let title = title.strip_prefix(' ')?;
    (1..=6).contains(&level).then_some((level, title.trim().trim_end_matches('#').trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_for_callers_in_rust_are_left_out() {
        let docs = "Takes units.\n\n# Errors\n\nReturns `SoldOut`.\n\n## When\n\nAt night.\n\n# Note\n\nOf it.\n\n# Examples\n```\n\
                    # use a::B;\n```\n";
        assert_eq!(shown(docs), "Takes units.\n\n**Note**\n\nOf it.");
        assert_eq!(shown("# Errors\nNone."), "");
        assert_eq!(shown("#hash and #1"), "#hash and #1");
    }

    #[test]
    fn lines_that_rustdoc_hides_are_hidden_here() {
        let text = "A title\n```\n# use a::B;\n#\nlet b = B;\n#[test]\n```\n# Another";
        assert_eq!(shown(text), "A title\n```\nlet b = B;\n#[test]\n```\n**Another**");
    }
}
