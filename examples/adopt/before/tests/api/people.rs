//! Profiles, who follows whom, and users who leave.

use crate::{Run, client::equal};
use serde_json::{Value, json};

pub fn profiles(run: &Run) {
    let (ada, bob) = (run.register("seen-a"), run.register("seen-b"));
    ada.api.patch("/me", json!({ "bio": "Looms.", "image": "http://x.org/a" })).is(200);
    let path = format!("/profiles/{}", ada.name);
    for api in [&run.api, &bob.api, &ada.api] {
        let profile = api.get(&path).is(200).has("/username", ada.name.clone());
        let profile = profile.has("/bio", "Looms.").has("/image", "http://x.org/a");
        profile.has("/followers", 0).has("/following", false).lacks("/email");
    }
    let new = run.api.get(&format!("/profiles/{}", bob.name)).is(200);
    new.has("/bio", "").has("/image", Value::Null);
    run.api.get("/profiles/no-such-user-of-all").fails(404, "not_found");
}

pub fn follows(run: &Run) {
    let (ada, bob, eve) = (run.register("fa"), run.register("fb"), run.register("fe"));
    let follow = format!("/profiles/{}/follow", ada.name);
    let profile = format!("/profiles/{}", ada.name);
    run.api.put(&follow).fails(401, "unauthorized");
    run.api.delete(&follow).fails(401, "unauthorized");
    bob.api.put(&follow).is(200).has("/following", true).has("/followers", 1);
    bob.api.put(&follow).is(200).has("/following", true).has("/followers", 1);
    bob.api.get(&profile).is(200).has("/following", true);
    eve.api.get(&profile).is(200).has("/following", false).has("/followers", 1);
    run.api.get(&profile).is(200).has("/following", false);
    eve.api.put(&follow).is(200).has("/followers", 2);
    // It is not mutual.
    ada.api.get(&format!("/profiles/{}", bob.name)).has("/following", false).has("/followers", 0);
    bob.api.delete(&follow).is(200).has("/following", false).has("/followers", 1);
    bob.api.delete(&follow).is(200).has("/following", false).has("/followers", 1);
    ada.api.put(&follow).blames(&["username"]).has("/error/fields/username", "is your own");
    bob.api.put("/profiles/no-such-user-of-all/follow").fails(404, "not_found");
    bob.api.delete("/profiles/no-such-user-of-all/follow").fails(404, "not_found");

    // Ten at once count as one.
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| bob.api.put(&follow).is(200));
        }
    });
    bob.api.get(&profile).is(200).has("/following", true).has("/followers", 2);
}

pub fn followers(run: &Run) {
    let star = run.register("star");
    let path = format!("/profiles/{}/followers", star.name);
    run.api.get(&path).is(200).has("/total", 0).has("/followers", json!([]));
    let fans: Vec<_> = ["f1", "f2", "f3"].into_iter().map(|name| run.register(name)).collect();
    for fan in &fans {
        fan.api.put(&format!("/profiles/{}/follow", star.name)).is(200);
    }
    let names: Vec<String> = fans.iter().rev().map(|fan| fan.name.clone()).collect();
    run.api.get(&path).is(200).has("/total", 3).has("/followers", json!(names));
    let page = |query: &str| run.api.get(&format!("{path}?{query}")).is(200).has("/total", 3);
    page("limit=2").has("/followers", json!(names[..2]));
    page("limit=2&offset=2").has("/followers", json!(names[2..]));
    page("offset=3").has("/followers", json!([]));
    page("limit=0").has("/followers", json!(names[..1]));
    page("limit=1000&offset=-5").has("/followers", json!(names));
    run.api.get(&format!("{path}?offset=x")).fails(400, "bad_request");
    run.api.get("/profiles/no-such-user-of-all/followers").fails(404, "not_found");
}

pub fn removal(run: &Run) {
    let (gone, stays) = (run.register("gone"), run.register("stays"));
    let title = run.name("Last words");
    let article = json!({ "title": title, "summary": "S", "body": "B" });
    let slug = gone.api.post("/articles", article.clone()).is(201).text("/slug");
    let kept = stays.api.post("/articles", article).is(201).text("/slug");
    let comments = format!("/articles/{kept}/comments");
    gone.api.post(&comments, json!({ "body": "Bye." })).is(201);
    gone.api.put(&format!("/articles/{kept}/favourite")).is(200).has("/favourites", 1);
    gone.api.put(&format!("/profiles/{}/follow", stays.name)).is(200).has("/followers", 1);
    stays.api.put(&format!("/profiles/{}/follow", gone.name)).is(200);
    let followers = format!("/profiles/{}/followers", stays.name);
    run.api.get(&followers).is(200).has("/followers", json!([gone.name]));

    run.api.delete("/me").fails(401, "unauthorized");
    gone.api.delete("/me").is(204);
    gone.api.get("/me").fails(401, "unauthorized");
    gone.api.delete("/me").fails(401, "unauthorized");
    run.api.get(&format!("/profiles/{}", gone.name)).fails(404, "not_found");
    run.api.get(&format!("/articles/{slug}")).fails(404, "not_found");
    run.api.get(&comments).is(200).has("", json!([]));
    run.api.get(&format!("/articles/{kept}")).is(200).has("/favourites", 0);
    run.api.get(&followers).is(200).has("/total", 0).has("/followers", json!([]));
    run.api.get(&format!("/profiles/{}", stays.name)).is(200).has("/followers", 0);
    stays.api.get("/feed").is(200).has("/articles", json!([]));

    // Someone else may take the name, and inherits nothing.
    let again = run.register("gone");
    let profile = stays.api.get(&format!("/profiles/{}", again.name)).is(200);
    profile.has("/followers", 0).has("/following", false);
    equal(again.name, gone.name, "the name");
}
