//! Registration, sessions, tokens, and changes of accounts.

use crate::{Run, client::equal};
use serde_json::{Value, json};

pub fn registration(run: &Run) {
    let (name, api) = (run.name("Ada"), &run.api);
    let email = format!("{name}@Example.org");
    let new = json!({ "username": name, "email": email, "password": "correct horse" });
    let session = api.post("/users", new.clone());
    let session = session.is(201).has("/user/username", name.clone()).has("/user/bio", "");
    let session = session.has("/user/email", email.to_lowercase()).has("/user/image", Value::Null);
    let session = session.lacks("/user/password");
    equal(session.text("/user/joined").len(), "2026-01-01T00:00:00.000Z".len(), "a time");
    let id = session.number("/user/id");
    api.with_token(&session.text("/token")).get("/me").is(200).has("/id", id);

    let other = json!({ "username": name, "email": "x@example.org", "password": "correct horse" });
    let taken = api.post("/users", other).fails(409, "conflict");
    taken.has("/error/fields/username", "is taken").lacks("/error/fields/email");
    let other = run.name("Other");
    let other = json!({ "username": other, "email": email, "password": "correct horse" });
    api.post("/users", other).fails(409, "conflict").has("/error/fields/email", "is taken");

    let bad = json!({ "username": "a b", "email": "nobody", "password": "short" });
    api.post("/users", bad).blames(&["email", "password", "username"]);
    let long = json!({ "username": "x".repeat(41), "email": "a@b.c", "password": "correct horse" });
    let long = api.post("/users", long).blames(&["username"]);
    long.has("/error/fields/username", "is longer than 40 characters");
    let empty = json!({ "username": "", "email": "a@b.c", "password": "correct horse" });
    api.post("/users", empty).blames(&["username"]).has("/error/fields/username", "is empty");
}

pub fn sessions(run: &Run) {
    let grace = run.register("Grace");
    let sign_in = |email: &str, password: &str| {
        run.api.post("/sessions", json!({ "email": email, "password": password }))
    };
    let session = sign_in(&grace.email, "correct horse").is(200);
    let session = session.has("/user/username", grace.name.clone());
    run.api.with_token(&session.text("/token")).get("/me").is(200).has("/username", &*grace.name);
    sign_in(&grace.email.to_uppercase(), "correct horse").is(200);
    sign_in(&grace.email, "battery staple").fails(401, "unauthorized");
    sign_in("nobody@example.org", "correct horse").fails(401, "unauthorized");
    sign_in("", "").blames(&["email", "password"]);
}

pub fn tokens(run: &Run) {
    let lin = run.register("Lin");
    lin.api.get("/me").is(200);
    run.api.get("/me").fails(401, "unauthorized");
    let token = lin.api.token.clone().unwrap_or_default();
    let with = |token: &str| run.api.with_token(token).get("/me");
    with("").fails(401, "unauthorized");
    with("1.2.3").fails(401, "unauthorized");
    with(&token[..token.len() - 2]).fails(401, "unauthorized");
    let (id, rest) = token.split_once('.').unwrap_or_default();
    let other: i64 = id.parse().unwrap_or_default();
    with(&format!("{}.{rest}", other - 1)).fails(401, "unauthorized");
    let bearer = format!("GET /api/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    run.api.send_raw(&bearer, "").fails(401, "unauthorized");
    // Where a token is not needed, a wrong one is still refused.
    run.api.with_token("wrong").get("/articles").fails(401, "unauthorized");
}

pub fn changes(run: &Run) {
    let (hedy, taken) = (run.register("Hedy"), run.register("Taken"));
    let me = |change: Value| hedy.api.patch("/me", change);
    let image = "https://example.org/hedy.png";
    me(json!({ "bio": "Hops.", "image": image })).is(200).has("/bio", "Hops.").has("/image", image);
    me(json!({})).is(200).has("/bio", "Hops.").has("/image", image);
    me(json!({ "image": null })).is(200).has("/bio", "Hops.").has("/image", Value::Null);
    hedy.api.get("/me").is(200).has("/bio", "Hops.").has("/image", Value::Null);

    // All of it, or nothing.
    let both = json!({ "bio": "Lost.", "username": taken.name });
    me(both).fails(409, "conflict").has("/error/fields/username", "is taken");
    hedy.api.get("/me").has("/bio", "Hops.").has("/username", hedy.name.clone());
    me(json!({ "email": taken.email })).fails(409, "conflict");
    me(json!({ "bio": "x".repeat(1001) })).blames(&["bio"]);
    me(json!({ "image": "ftp://x" })).blames(&["image"]);
    me(json!({ "email": "x", "password": "x", "username": "" }))
        .blames(&["email", "password", "username"]);
    me(json!({ "boi": "?" })).fails(400, "bad_request");
    run.api.patch("/me", json!({})).fails(401, "unauthorized");

    let name = run.name("Lamarr");
    let all = json!({ "username": name, "bio": "Film.", "password": "another horse" });
    me(all).is(200).has("/username", name.clone()).has("/bio", "Film.");
    let sign_in = |password: &str| {
        run.api.post("/sessions", json!({ "email": hedy.email, "password": password }))
    };
    sign_in("correct horse").fails(401, "unauthorized");
    sign_in("another horse").is(200).has("/user/username", name.clone());
    run.api.get(&format!("/profiles/{}", hedy.name)).fails(404, "not_found");
    run.api.get(&format!("/profiles/{name}")).is(200).has("/bio", "Film.");
}

pub fn nonsense(run: &Run) {
    let (api, zoe) = (&run.api, run.register("Zoe"));
    api.get("/health").is(200);
    api.get("/nowhere").fails(404, "not_found").has("/error/message", "no such page");
    api.delete("/tags").fails(405, "not_allowed");
    api.get("/articles?limit=many").fails(400, "bad_request");
    let send = |body: &str| zoe.api.send("POST", "/articles", Some(body.to_owned()));
    send("{").fails(400, "bad_request");
    send("[]").fails(400, "bad_request");
    send(r#"{"title": "T"}"#).fails(400, "bad_request");
    let head = "POST /api/sessions HTTP/1.1\r\nhost: x\r\n";
    api.send_raw(head, "{}").fails(400, "bad_request");
    let long = json!({ "title": "T", "summary": "S", "body": "x".repeat(3_000_000) });
    zoe.api.post("/articles", long).fails(413, "too_large");
    let nul = json!({ "title": "T", "summary": "S", "body": "a\u{0}b" });
    zoe.api.post("/articles", nul).blames(&["body"]);
}
