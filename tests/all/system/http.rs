//! The least of an HTTP client. To the shop it says who asks, without being told: a customer, or somebody of the staff.

use std::{
    collections::BTreeMap,
    io::{Error, ErrorKind, Read, Result, Write},
    net::TcpStream,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The password of the shop's demo customers.
const PASSWORD: &str = "demo-password";
/// A demo customer's address.
pub const CUSTOMER: &str = "demo@example.org";
/// The address of the one who may fill the shelves.
pub const STAFF: &str = "staff@example.org";

/// An answer, but for what is different each time: the date and the request's number.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    pub status: u16,
    /// `name: value`, by name.
    pub headers: Vec<String>,
    pub body: String,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| header.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Who asks for this in the shop. `None` for what is public, and for other applications.
fn asks(method: &str, path: &str) -> Option<&'static str> {
    let first = path.split(['/', '?']).nth(1)?;
    match (method, first) {
        ("POST", "products") => Some(STAFF),
        ("GET", "reports") if path.starts_with("/reports/sales") => Some(STAFF),
        ("GET", "reports") => Some(CUSTOMER),
        ("GET", "users") | (_, "orders" | "payments" | "notifications") => Some(CUSTOMER),
        _ => None,
    }
}

/// Sends one request; an error is a socket's, or an answer that is cut off. Where the shop asks who it is, and no header
/// `authorization` says so, it is the demo customer or the demo staff, who has logged in.
pub fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Response> {
    let is_stated = headers.iter().any(|(name, _)| *name == "authorization");
    let Some(email) = asks(method, path).filter(|_| !is_stated) else {
        return send(address, method, path, headers, body);
    };
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [headers, &[("authorization", &bearer)]].concat();
        send(address, method, path, &headers, body)
    };
    let answer = ask(&token(address, email)?)?;
    // An earlier shop had this address, and other keys. What is refused so has not begun.
    if answer.status == 401 && answer.body.contains("invalid-token") {
        forget(address);
        return ask(&token(address, email)?);
    }
    Ok(answer)
}

/// The tokens of those who have logged in, by the shop's address and their own.
static TOKENS: Mutex<BTreeMap<(String, String), String>> = Mutex::new(BTreeMap::new());

/// The token of a demo customer of the shop at this address.
pub fn token(address: &str, email: &str) -> Result<String> {
    let place = (address.to_owned(), email.to_owned());
    let mut tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(token) = tokens.get(&place) {
        return Ok(token.clone());
    }
    let token = log_in(address, email, PASSWORD)?;
    tokens.insert(place, token.clone());
    Ok(token)
}

fn forget(address: &str) {
    let mut tokens = TOKENS.lock().unwrap_or_else(PoisonError::into_inner);
    tokens.retain(|(of, _), _| of != address);
}

/// Logs a customer of the shop in.
pub fn log_in(address: &str, email: &str, password: &str) -> Result<String> {
    let body = serde_json::json!({ "email": email, "password": password }).to_string();
    let answer = send(address, "POST", "/sessions", &[], &body)?;
    let session: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let token = session["token"].as_str();
    token.map(str::to_owned).ok_or_else(|| Error::other(format!("nobody is logged in: {answer:?}")))
}

/// Sends one request as it is.
pub fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Response> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        text.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
        text.push_str("content-type: application/json\r\n");
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    // A server may answer, and close, before it has read a body that is too long for it.
    let written = socket.write_all(text.as_bytes());
    let mut answer = String::new();
    let read = socket.read_to_string(&mut answer);
    match parse(&answer) {
        Some(response) => Ok(response),
        None => Err(written.and(read).err().unwrap_or(ErrorKind::UnexpectedEof.into())),
    }
}

fn parse(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (line, headers) = head.split_once("\r\n")?;
    let mut headers: Vec<String> = headers.split("\r\n").map(str::to_owned).collect();
    headers.retain(|header| !header.starts_with("date: ") && !header.starts_with("x-request-id: "));
    headers.sort();
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let response = Response { status, headers, body: body.to_owned() };
    let length = response.header("content-length").map_or(body.len().to_string(), str::to_owned);
    (length == body.len().to_string()).then_some(response)
}

/// A GET, which has an answer.
pub fn get(address: &str, path: &str) -> Response {
    request(address, "GET", path, &[], "").unwrap()
}
