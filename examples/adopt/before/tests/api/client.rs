//! The least of an HTTP client, whose answers are checked as a chain: `api.get("/tags").is(200).has("/0/name", "tea")`.

use serde_json::Value;
use std::{
    fmt::Debug,
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// The assertions that have held so far.
pub static HELD: AtomicU32 = AtomicU32::new(0);

#[track_caller]
pub fn equal<T: PartialEq + Debug>(found: T, expected: T, what: &str) {
    assert_eq!(found, expected, "{what}");
    HELD.fetch_add(1, Ordering::Relaxed);
}

/// The program, as one of its clients sees it.
#[derive(Clone)]
pub struct Api {
    pub address: String,
    pub token: Option<String>,
}

pub struct Answer {
    request: String,
    pub status: u16,
    pub body: Value,
}

impl Api {
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None)
    }

    pub fn put(&self, path: &str) -> Answer {
        self.send("PUT", path, None)
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Some(body.to_string()))
    }

    pub fn patch(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, Some(body.to_string()))
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { address: self.address.clone(), token: Some(token.to_owned()) }
    }

    pub fn send(&self, method: &str, path: &str, body: Option<String>) -> Answer {
        let mut head = format!("{method} /api{path} HTTP/1.1\r\nhost: gazette\r\n");
        if let Some(token) = &self.token {
            head.push_str(&format!("authorization: Token {token}\r\n"));
        }
        if body.is_some() {
            head.push_str("content-type: application/json\r\n");
        }
        self.send_raw(&head, &body.unwrap_or_default())
    }

    pub fn send_raw(&self, head: &str, body: &str) -> Answer {
        let request = format!("{head}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        let mut socket = TcpStream::connect(&self.address).expect("the program listens");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout can be set");
        // The program may refuse a long body before it has read it.
        let _ =
            socket.write_all(request.as_bytes()).and_then(|()| socket.write_all(body.as_bytes()));
        let mut text = String::new();
        let read = socket.read_to_string(&mut text);
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{read:?}: {text}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = serde_json::from_str(body).unwrap_or_else(|_| body.into());
        let request = request.lines().next().unwrap_or_default().to_owned();
        Answer { request, status: status.expect("a status"), body }
    }
}

impl Answer {
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        equal(self.status, status, &format!("{}: {}", self.request, self.body));
        self
    }

    /// The value at a JSON pointer.
    #[track_caller]
    pub fn has(self, pointer: &str, value: impl Into<Value>) -> Self {
        let found = self.body.pointer(pointer).cloned();
        equal(found, Some(value.into()), &format!("{} {pointer}: {}", self.request, self.body));
        self
    }

    #[track_caller]
    pub fn lacks(self, pointer: &str) -> Self {
        equal(self.body.pointer(pointer), None, &format!("{} {pointer}", self.request));
        self
    }

    /// It is an error body, and nothing else.
    #[track_caller]
    pub fn fails(self, status: u16, code: &str) -> Self {
        let answer = self.is(status).has("/error/code", code);
        let members = answer.body.as_object().map(|all| all.keys().cloned().collect());
        equal(members, Some(vec!["error".to_owned()]), &answer.request);
        answer
    }

    /// The request was refused for these fields.
    #[track_caller]
    pub fn blames(self, fields: &[&str]) -> Self {
        let answer = self.fails(422, "invalid");
        let found = answer.body["error"]["fields"].as_object();
        let found: Vec<&str> = found.into_iter().flatten().map(|(field, _)| &**field).collect();
        equal(found, fields.to_vec(), &answer.request);
        answer
    }

    /// One text of each element of a list.
    pub fn each(&self, list: &str, pointer: &str) -> Vec<String> {
        let elements = self.body.pointer(list).and_then(Value::as_array).into_iter().flatten();
        let text = |element: &Value| Some(element.pointer(pointer)?.as_str()?.to_owned());
        elements.filter_map(text).collect()
    }

    pub fn text(&self, pointer: &str) -> String {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("{} {pointer}: {}", self.request, self.body)).to_owned()
    }

    pub fn number(&self, pointer: &str) -> i64 {
        let found = self.body.pointer(pointer).and_then(Value::as_i64);
        found.unwrap_or_else(|| panic!("{} {pointer}: {}", self.request, self.body))
    }
}
