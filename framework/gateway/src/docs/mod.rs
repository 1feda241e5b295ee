//! The routes described for people: one page, made of the document for machines.

mod schema;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::fmt::Write as _;

const CSS: &str = include_str!("page.css");

/// The page of a document.
pub(super) fn page(document: &Value) -> String {
    let title = escaped(text(&document["info"]["title"]));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p>The same for programs: <a href=\"openapi.json\">openapi.json</a>.</p>\n"
    );
    for tag in array(&document["tags"]) {
        let name = text(&tag["name"]);
        let _ = writeln!(html, "<h2 id=\"{0}\">{0}</h2>", escaped(name));
        html.push_str(&paragraphs(text(&tag["description"])));
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            for (verb, operation) in operations.as_object().into_iter().flatten() {
                if array(&operation["tags"]).any(|tag| text(tag) == name) {
                    html.push_str(&operation_html(document, path, verb, operation));
                }
            }
        }
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn operation_html(document: &Value, path: &str, verb: &str, operation: &Value) -> String {
    let id = escaped(text(&operation["operationId"]));
    let mut html = format!(
        "<details id=\"{id}\">\n<summary><span class=\"verb\">{}</span> <code>{}</code>\
         <p>{}</p></summary>\n<div>\n",
        verb.to_uppercase(),
        escaped(path),
        coded(text(&operation["summary"])),
    );
    let description = text(&operation["description"]);
    if let Some((_, rest)) = description.split_once("\n\n") {
        html.push_str(&paragraphs(rest));
    }
    let parameters: Vec<&Value> = array(&operation["parameters"]).collect();
    if !parameters.is_empty() {
        html.push_str("<h3>Parameters</h3>\n<div class=\"table\"><table>\n");
        for parameter in &parameters {
            let needed = if parameter["required"] == true { "" } else { ", optional" };
            let _ = writeln!(
                html,
                "<tr><td><code>{}</code></td><td>{}{needed}</td><td><code>{}</code></td></tr>",
                escaped(text(&parameter["name"])),
                escaped(text(&parameter["in"])),
                escaped(&schema::shown(document, &parameter["schema"])),
            );
        }
        html.push_str("</table></div>\n");
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if !body.is_null() {
        let _ =
            write!(html, "<h3>Body</h3>\n<pre>{}</pre>\n", escaped(&schema::shown(document, body)));
    }
    html.push_str("<h3>Answers</h3>\n<div class=\"table\"><table>\n");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let schema = &response["content"]["application/json"]["schema"];
        let _ = writeln!(
            html,
            "<tr><td><code>{}</code></td><td>{}{}</td></tr>",
            escaped(status),
            paragraphs(text(&response["description"])),
            if schema.is_null() {
                String::new()
            } else {
                format!("<pre>{}</pre>", escaped(&schema::shown(document, schema)))
            },
        );
    }
    html.push_str("</table></div>\n<h3>Try</h3>\n");
    let _ = write!(
        html,
        "<pre>{}</pre>\n</div>\n</details>\n",
        escaped(&curl(document, path, verb, &parameters, body))
    );
    html
}

/// A line to paste, where `$HOST` is this server. It has everything that has to be given.
fn curl(document: &Value, path: &str, verb: &str, parameters: &[&Value], body: &Value) -> String {
    let needed = parameters
        .iter()
        .filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    let query: Vec<String> = needed
        .map(|parameter| {
            let example = schema::example(document, &parameter["schema"]);
            let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            format!("{}={}", encode(text(&parameter["name"])), encode(&example))
        })
        .collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let mut line = match verb {
        "get" => format!("curl \"$HOST{path}{query}\""),
        verb => format!("curl -X {} \"$HOST{path}{query}\"", verb.to_uppercase()),
    };
    if !body.is_null() {
        let example = schema::example(document, body).to_string().replace('\'', "'\\''");
        let _ = write!(line, " \\\n  -H 'content-type: application/json' \\\n  -d '{example}'");
    }
    line
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn paragraphs(text: &str) -> String {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs.map(|paragraph| format!("<p>{}</p>\n", coded(paragraph))).collect()
}

/// Escaped, with what stands between backticks as code.
fn coded(text: &str) -> String {
    let mut html = String::new();
    for (number, part) in text.split('`').enumerate() {
        let part = escaped(part);
        html.push_str(&if number % 2 == 1 { format!("<code>{part}</code>") } else { part });
    }
    html
}

/// Safe between tags and within quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_author_writes_is_text_and_not_html() {
        let document = json!({
            "info": { "title": "<shop>" },
            "tags": [{ "name": "stock", "description": "A & `B<C>`" }],
            "paths": { "/a/{b}": { "post": {
                "operationId": "stock_a", "tags": ["stock"], "summary": "Does <b>it</b>.",
                "parameters": [
                    { "name": "of", "in": "query", "required": true, "schema": { "type": "string" } },
                    { "name": "most", "in": "query", "required": true,
                        "schema": { "type": "integer", "minimum": 5, "maximum": 9 } },
                    { "name": "after", "in": "query", "required": false, "schema": { "type": "string" } },
                ],
                "responses": { "204": { "description": "Done." } },
            } } },
        });
        let html = page(&document);
        assert!(
            html.contains("&lt;shop&gt;") && html.contains("<code>B&lt;C&gt;</code>"),
            "{html}"
        );
        assert!(html.contains("Does &lt;b&gt;it&lt;/b&gt;."), "{html}");
        assert!(html.contains("curl -X POST &quot;$HOST/a/{b}?of=text&amp;most=5&quot;"), "{html}");
        assert!(html.contains("integer, 5 to 9"), "{html}");
    }
}
