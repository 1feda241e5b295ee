//! Asks an admin address. It blocks: a command has nothing else to do, and a running process is not slowed by a runtime.

use serde_json::Value;
use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long an answer may take: a question that goes through several processes has 5 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// An admin address, and what requests bring to it.
#[derive(Debug, Clone)]
pub struct AdminClient {
    /// A host and a port.
    pub address: String,
    /// What the address asks for, if other machines reach it.
    pub token: Option<String>,
    /// The name in the log of what is changed.
    pub user: String,
    /// How long an answer may take.
    pub patience: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nothing listens there.
    Refused(String),
    /// The token is missing or wrong.
    Token(String),
    /// It says no: the status, and why.
    Says(u16, String),
    /// The connection or its answer is broken.
    Broken(String, String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(address) => {
                write!(
                    f,
                    "nothing listens at {address}: is the process running? `--admin ADDR` names another address"
                )
            }
            Self::Token(address) => write!(
                f,
                "{address} wants the setting `admin_token` of its process: pass `--token`, or set MONOLIFT_ADMIN_TOKEN"
            ),
            Self::Says(_, detail) => f.write_str(detail),
            Self::Broken(address, error) => write!(f, "{address} gave no answer: {error}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

impl AdminClient {
    /// What a path answers.
    pub fn get(&self, path: &str) -> Result<Value, NoAnswer> {
        self.ask("GET", path, None)
    }

    /// What a path answers to a body of JSON.
    pub fn send(&self, verb: &str, path: &str, body: &Value) -> Result<Value, NoAnswer> {
        self.ask(verb, path, Some(body.to_string()))
    }

    fn ask(&self, verb: &str, path: &str, body: Option<String>) -> Result<Value, NoAnswer> {
        let broken =
            |error: &dyn fmt::Display| NoAnswer::Broken(self.address.clone(), error.to_string());
        let mut socket = self.connect()?;
        let request = self.request(verb, path, body.as_deref());
        socket.write_all(request.as_bytes()).map_err(|error| broken(&error))?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).map_err(|error| broken(&error))?;
        let answer = String::from_utf8_lossy(&answer);
        let (status, body) = taken_apart(&answer).ok_or_else(|| {
            broken(&"what it said is no answer of HTTP: is this an admin address?")
        })?;
        let value: Result<Value, _> = serde_json::from_str(body);
        match (status, value) {
            (200..300, Ok(value)) => Ok(value),
            (401, _) => Err(NoAnswer::Token(self.address.clone())),
            (_, Ok(value)) if value["detail"].is_string() => {
                Err(NoAnswer::Says(status, value["detail"].as_str().unwrap_or_default().to_owned()))
            }
            (404, _) => Err(broken(&format!(
                "it has nothing at {path}: is this an admin address of this release?"
            ))),
            (200..300, Err(error)) => Err(broken(&error)),
            _ => Err(NoAnswer::Says(status, format!("{}: {}", self.address, body.trim()))),
        }
    }

    fn connect(&self) -> Result<TcpStream, NoAnswer> {
        let broken = |error: io::Error| NoAnswer::Broken(self.address.clone(), error.to_string());
        let mut last = None;
        for address in self.address.to_socket_addrs().map_err(broken)? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(socket) => {
                    socket.set_read_timeout(Some(self.patience)).map_err(broken)?;
                    return Ok(socket);
                }
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) if error.kind() != io::ErrorKind::ConnectionRefused => Err(broken(error)),
            _ => Err(NoAnswer::Refused(self.address.clone())),
        }
    }

    fn request(&self, verb: &str, path: &str, body: Option<&str>) -> String {
        // Where no token is asked for, the address is on loopback, and its requests name this machine.
        let mut request = format!(
            "{verb} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: application/json\r\n\
             x-monolift-user: {}\r\n",
            on_one_line(&self.user)
        );
        if let Some(token) = &self.token {
            request.push_str(&format!("authorization: Bearer {}\r\n", on_one_line(token)));
        }
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            request.push_str("content-type: application/json\r\n");
        }
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        request
    }
}

/// The text as the value of a header: other characters would end it.
fn on_one_line(text: &str) -> String {
    text.chars().filter(|one| one.is_ascii_graphic() || *one == ' ').collect()
}

/// The status and the body.
fn taken_apart(answer: &str) -> Option<(u16, &str)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

/// A text as a part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn client(address: &str) -> AdminClient {
        let token = Some("a\r\nb".to_owned());
        AdminClient {
            address: address.to_owned(),
            token,
            user: "ann".to_owned(),
            patience: PATIENCE,
        }
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let error = client(&closed).get("/api/process").unwrap_err().to_string();
        assert!(error.starts_with(&format!("nothing listens at {closed}: ")), "{error}");
        for (answer, expected) in [
            (
                "HTTP/1.1 401 Unauthorized\r\n\r\n{\"detail\": \"no\"}",
                "wants the setting `admin_token`",
            ),
            ("HTTP/1.1 404 Not Found\r\n\r\n{\"detail\": \"no such thing\"}", "no such thing"),
            ("SSH-2.0\r\n\r\n", "is this an admin address?"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let serving = std::thread::spawn(move || {
                let (mut socket, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let length = socket.read(&mut request).unwrap();
                socket.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..length]).into_owned()
            });
            let error = client(&address).get("/x").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(serving.join().unwrap().contains("authorization: Bearer ab\r\n"));
        }
    }

    #[test]
    fn a_part_of_a_path_is_encoded() {
        assert_eq!(encoded("stock=debug,a/b é"), "stock%3Ddebug%2Ca%2Fb%20%C3%A9");
    }
}
