//! Articles, lists of them, the feed, favourites, tags and comments.

use crate::{Person, Run, client::equal};
use serde_json::{Value, json};

/// Publishes an article, and returns its slug.
fn publish(author: &Person, title: &str, tags: &[&str]) -> String {
    let article = json!({ "title": title, "summary": "S", "body": "B", "tags": tags });
    author.api.post("/articles", article).is(201).text("/slug")
}

pub fn publishing(run: &Run) {
    let (ada, bob) = (run.register("pa"), run.register("pb"));
    ada.api.patch("/me", json!({ "bio": "Writes." })).is(200);
    let title = run.name("On Looms, part 1!");
    let tag = run.name("t");
    let draft = json!({ "title": title, "summary": "S", "body": "B\n", "tags": [tag, "a", tag] });
    let article = ada.api.post("/articles", draft.clone()).is(201);
    let article = article.has("/title", title.clone()).has("/summary", "S").has("/body", "B\n");
    let article = article.has("/tags", json!(["a", tag])).has("/favourites", 0);
    let article = article.has("/favourite", false).has("/author/username", ada.name.clone());
    let article = article.has("/author/bio", "Writes.").has("/author/following", false);
    let article = article.has("/author/image", Value::Null).lacks("/total");
    let slug = article.text("/slug");
    equal(slug.clone(), format!("on-looms-part-1-{}", run.number), "the slug");
    equal(article.text("/created"), article.text("/changed"), "it is new");
    let second = ada.api.post("/articles", draft).is(201).text("/slug");
    equal(second, format!("{slug}-2"), "the slug of the second");

    let path = format!("/articles/{slug}");
    run.api.get(&path).is(200).has("", article.body.clone());
    let change = json!({ "title": "Renamed", "tags": ["b"] });
    let changed = ada.api.patch(&path, change.clone()).is(200).has("/title", "Renamed");
    let changed = changed.has("/slug", slug.clone()).has("/body", "B\n").has("/tags", json!(["b"]));
    equal(changed.text("/created"), article.text("/created"), "when it was created");
    assert!(changed.text("/changed") > article.text("/changed"));
    ada.api.patch(&path, json!({ "body": "C" })).is(200).has("/tags", json!(["b"]));
    ada.api.patch(&path, json!({ "tags": [] })).is(200).has("/tags", json!([])).has("/body", "C");

    bob.api.patch(&path, change.clone()).fails(403, "forbidden");
    run.api.patch(&path, change.clone()).fails(401, "unauthorized");
    bob.api.patch("/articles/no-such-article", change).fails(404, "not_found");
    ada.api.patch(&path, json!({ "slug": "mine" })).fails(400, "bad_request");
    ada.api.patch(&path, json!({ "title": "" })).blames(&["title"]);
    bob.api.delete(&path).fails(403, "forbidden");
    run.api.delete(&path).fails(401, "unauthorized");
    ada.api.delete(&path).is(204);
    ada.api.delete(&path).fails(404, "not_found");
    run.api.get(&path).fails(404, "not_found");

    run.api.post("/articles", json!({})).fails(401, "unauthorized");
    let bad = json!({ "title": "…", "summary": "", "body": " ", "tags": ["a b"] });
    ada.api.post("/articles", bad).blames(&["body", "summary", "tags", "title"]);
    let many: Vec<String> = (0..11).map(|tag| format!("t{tag}")).collect();
    let many = json!({ "title": "T", "summary": "S", "body": "B", "tags": many });
    ada.api.post("/articles", many).blames(&["tags"]).has("/error/fields/tags", "are more than 10");
}

pub fn lists(run: &Run) {
    let (ada, bob) = (run.register("la"), run.register("lb"));
    let (tea, pot) = (run.name("tea"), run.name("pot"));
    let first = publish(&ada, &run.name("first"), &[&tea]);
    let second = publish(&bob, &run.name("second"), &[&tea, &pot]);
    let third = publish(&ada, &run.name("third"), &[]);
    ada.api.patch("/me", json!({ "bio": "Lists." })).is(200);
    bob.api.put(&format!("/profiles/{}/follow", ada.name)).is(200);
    bob.api.put(&format!("/articles/{first}/favourite")).is(200);

    let list = |query: &str, slugs: &[&String]| {
        let found = bob.api.get(&format!("/articles?{query}")).is(200).has("/total", slugs.len());
        equal(found.each("/articles", "/slug").iter().collect(), slugs.to_vec(), query);
        found
    };
    let tagged = list(&format!("tag={tea}"), &[&second, &first]);
    let tagged = tagged.has("/articles/0/author/following", false);
    let tagged = tagged.has("/articles/1/author/following", true);
    let tagged = tagged.has("/articles/1/author/bio", "Lists.").has("/articles/1/favourite", true);
    tagged.has("/articles/0/tags", json!([pot, tea])).has("/articles/0/author/bio", "");
    list(&format!("tag={pot}"), &[&second]);
    list(&format!("author={}", ada.name), &[&third, &first]);
    list(&format!("author={}&tag={tea}", ada.name), &[&first]);
    list(&format!("favourite_of={}", bob.name), &[&first]);
    list(&format!("favourite_of={}", ada.name), &[]);
    list("author=no-such-user-of-all", &[]);

    let page = |query: &str| run.api.get(&format!("/articles?author={}&{query}", ada.name));
    let one = page("limit=1").is(200).has("/total", 2).has("/articles/0/slug", third.clone());
    one.lacks("/articles/1").has("/articles/0/author/following", false);
    page("limit=1&offset=1").is(200).has("/articles/0/slug", first.clone()).has("/total", 2);
    page("offset=2").is(200).has("/articles", json!([]));
    let latest = run.api.get("/articles").is(200);
    assert!(latest.number("/total") >= 3);
    equal(latest.each("/articles", "/slug").first() == Some(&third), true, "the latest is first");

    let tags = run.api.get("/tags").is(200);
    assert!(tags.each("", "/name").len() <= 200);
}

pub fn feed(run: &Run) {
    let (reader, ada, bob) = (run.register("reader"), run.register("fda"), run.register("fdb"));
    run.api.get("/feed").fails(401, "unauthorized");
    reader.api.get("/feed").is(200).has("/articles", json!([])).has("/total", 0);
    let first = publish(&ada, &run.name("feed one"), &[]);
    publish(&bob, &run.name("feed two"), &[]);
    let third = publish(&ada, &run.name("feed three"), &["x"]);
    publish(&reader, &run.name("feed own"), &[]);
    reader.api.get("/feed").is(200).has("/articles", json!([]));
    let follow = format!("/profiles/{}/follow", ada.name);
    reader.api.put(&follow).is(200);
    let feed = reader.api.get("/feed").is(200).has("/total", 2);
    let feed = feed.has("/articles/0/slug", third.clone()).has("/articles/1/slug", first.clone());
    feed.has("/articles/0/author/following", true).has("/articles/0/tags", json!(["x"]));
    let page = reader.api.get("/feed?limit=1&offset=1").is(200).has("/total", 2);
    page.has("/articles/0/slug", first).lacks("/articles/1");
    reader.api.put(&format!("/profiles/{}/follow", bob.name)).is(200);
    reader.api.get("/feed").is(200).has("/total", 3).has("/articles/0/slug", third);
    reader.api.delete(&follow).is(200);
    let feed = reader.api.get("/feed").is(200).has("/total", 1);
    feed.has("/articles/0/author/username", bob.name.clone());
    bob.api.get("/feed").is(200).has("/articles", json!([]));
}

pub fn favourites(run: &Run) {
    let (ada, bob) = (run.register("va"), run.register("vb"));
    let slug = publish(&ada, &run.name("favourite"), &[]);
    let (article, path) = (format!("/articles/{slug}"), format!("/articles/{slug}/favourite"));
    run.api.put(&path).fails(401, "unauthorized");
    run.api.delete(&path).fails(401, "unauthorized");
    bob.api.put(&path).is(200).has("/favourite", true).has("/favourites", 1);
    bob.api.put(&path).is(200).has("/favourite", true).has("/favourites", 1);
    ada.api.get(&article).is(200).has("/favourite", false).has("/favourites", 1);
    ada.api.put(&path).is(200).has("/favourite", true).has("/favourites", 2);
    bob.api.delete(&path).is(200).has("/favourite", false).has("/favourites", 1);
    bob.api.delete(&path).is(200).has("/favourites", 1);
    run.api.get(&article).is(200).has("/favourite", false);
    bob.api.put("/articles/no-such-article/favourite").fails(404, "not_found");
}

pub fn comments(run: &Run) {
    let (ada, bob, eve) = (run.register("ca"), run.register("cb"), run.register("ce"));
    let slug = publish(&ada, &run.name("commented"), &[]);
    let path = format!("/articles/{slug}/comments");
    run.api.get(&path).is(200).has("", json!([]));
    run.api.post(&path, json!({ "body": "?" })).fails(401, "unauthorized");
    bob.api.patch("/me", json!({ "bio": "Comments.", "image": "http://x.org/b" })).is(200);
    let first = bob.api.post(&path, json!({ "body": "First." })).is(201).has("/body", "First.");
    let first = first.has("/author/username", bob.name.clone()).has("/author/bio", "Comments.");
    let first = first.has("/author/following", false).has("/author/image", "http://x.org/b");
    let second = eve.api.post(&path, json!({ "body": "Second." })).is(201);
    eve.api.put(&format!("/profiles/{}/follow", bob.name)).is(200);
    let seen = eve.api.get(&path).is(200).has("/0/author/following", true);
    let seen = seen.has("/1/author/following", false).has("/1/author/username", eve.name.clone());
    equal(seen.each("", "/body"), vec!["First.".to_owned(), "Second.".to_owned()], "in order");
    run.api.get(&path).is(200).has("/0", first.body.clone()).has("/1", second.body.clone());
    run.api.get(&format!("{path}?limit=1&offset=1")).is(200).has("/0/body", "Second.").lacks("/1");

    let comment = |id: i64| format!("{path}/{id}");
    let (first, second) = (comment(first.number("/id")), comment(second.number("/id")));
    run.api.delete(&first).fails(401, "unauthorized");
    eve.api.delete(&first).fails(403, "forbidden");
    bob.api.delete(&first).is(204);
    bob.api.delete(&first).fails(404, "not_found");
    ada.api.delete(&second).is(204);
    run.api.get(&path).is(200).has("", json!([]));
    ada.api.delete(&format!("{path}/x")).fails(400, "bad_request");
    ada.api.post(&path, json!({ "body": "" })).blames(&["body"]);
    ada.api
        .post("/articles/no-such-article/comments", json!({ "body": "?" }))
        .fails(404, "not_found");
    run.api.get("/articles/no-such-article/comments").fails(404, "not_found");
}
