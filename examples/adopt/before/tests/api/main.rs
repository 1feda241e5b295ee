//! The tests of the API, over HTTP only: `API=127.0.0.1:3000 cargo test --test api`.
//!
//! Each run has users of its own, so it may be repeated, and against a database with other users in it.

mod accounts;
mod articles;
mod client;
mod people;

use client::{Api, HELD};
use serde_json::json;
use std::{
    env,
    sync::atomic::Ordering,
    time::{SystemTime, UNIX_EPOCH},
};

fn main() {
    let address = env::var("API").expect("API is the address of the program, 127.0.0.1:3000");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let run = Run { api: Api { address, token: None }, number: now.as_micros() };
    let stories: [(&str, fn(&Run)); 14] = [
        ("registration", accounts::registration),
        ("sessions", accounts::sessions),
        ("tokens", accounts::tokens),
        ("changes", accounts::changes),
        ("profiles", people::profiles),
        ("follows", people::follows),
        ("followers", people::followers),
        ("removal", people::removal),
        ("publishing", articles::publishing),
        ("lists", articles::lists),
        ("the feed", articles::feed),
        ("favourites", articles::favourites),
        ("comments", articles::comments),
        ("requests that make no sense", accounts::nonsense),
    ];
    for (name, story) in stories {
        let before = HELD.load(Ordering::Relaxed);
        story(&run);
        println!("{name}: {} assertions", HELD.load(Ordering::Relaxed) - before);
    }
    println!("{} assertions held", HELD.load(Ordering::Relaxed));
}

/// One run, with names that no other run uses.
pub struct Run {
    api: Api,
    number: u128,
}

/// A user of this run.
pub struct Person {
    name: String,
    email: String,
    api: Api,
}

impl Run {
    fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.number)
    }

    fn register(&self, name: &str) -> Person {
        let name = self.name(name);
        let email = format!("{name}@example.org");
        let new = json!({ "username": name, "email": email, "password": "correct horse" });
        let token = self.api.post("/users", new).is(201).text("/token");
        Person { name, email, api: self.api.with_token(&token) }
    }
}
