//! The workload file, and the client that sends its requests.

use anyhow::Context as _;
use bytes::Bytes;
use load::{Caller, http::Pool};
use monolift_manifest::Address;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// The requests of a workload and their shares.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Workload {
    /// Requests per second.
    pub(super) rate: Option<u32>,
    /// Requests that are sent once, in this order, before the measurement.
    #[serde(default)]
    before: Vec<Request>,
    /// Requests that are measured.
    pub(super) request: Vec<Request>,
}

/// A request.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The name in reports.
    #[serde(default)]
    pub(super) name: String,
    /// The share of this request, relative to the other weights.
    #[serde(default = "one")]
    weight: u32,
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// What later requests need of the answer, such as the token of a log-in: `token = "session.token"` keeps the text at
    /// this path of a JSON answer, and `{token}` stands for it in the requests below. For `[[before]]` only.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// The body. It is JSON unless a header says otherwise. `{number}` is replaced by a different
    /// number in each request, in the path and the headers too.
    body: Option<String>,
    /// The statuses that count as success. If empty, every status below 400 does.
    #[serde(default)]
    status: Vec<u16>,
}

fn one() -> u32 {
    1
}

fn get() -> String {
    "GET".to_owned()
}

/// What stands for a number of each request's own, in `{}`.
const NUMBER: &str = "number";

const EXAMPLE: &str = r#"rate = 100           # requests a second

[[before]]           # asked once, before anything is measured
method = "POST"
path = "/sessions"
body = '{"email": "demo@example.org", "password": "demo-password"}'
keep = { token = "token" } # a member of the answer: {token} in what follows

[[before]]
method = "POST"
path = "/products"
body = '{"sku": "tea", "name": "Tea", "price": 450, "on_hand": 1000}'
status = [201, 409]  # these are answers; without it, all below 400 are

[[request]]
name = "browse"
weight = 9           # nine of ten
path = "/products"

[[request]]
name = "order"
method = "POST"
path = "/orders"
headers = { authorization = "Bearer {token}", idempotency-key = "{number}" } # another number in each request
body = '{"user": "demo", "lines": [{"sku": "tea", "quantity": 1}]}'
"#;

/// The length of the sequence of requests, after which it repeats.
const PLACES: u64 = 1_009;

impl Workload {
    pub(super) fn read(file: &Path) -> Result<Self, Box<dyn Error>> {
        let text = fs::read_to_string(file).map_err(|error| {
            format!(
                "{} cannot be read: {error}. It says what is asked:\n\n{EXAMPLE}",
                file.display()
            )
        })?;
        let workload = Self::parse(&text).map_err(|why| format!("{}: {why}", file.display()))?;
        Ok(workload)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut workload: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if workload.request.iter().all(|request| request.weight == 0) {
            return Err("it has no [[request]] that is ever asked".to_owned());
        }
        for request in workload.request.iter_mut().chain(&mut workload.before) {
            if !request.path.starts_with('/') {
                return Err(format!("the path `{}` does not begin with `/`", request.path));
            }
            for name in request.keep.keys() {
                if name == NUMBER || !name.chars().all(|letter| letter.is_ascii_alphanumeric()) {
                    return Err(format!(
                        "nothing can be kept as `{name}`: write letters and digits, and not `{NUMBER}`"
                    ));
                }
            }
            if request.name.is_empty() {
                request.name = format!("{} {}", request.method, request.path);
            }
        }
        if let Some(request) = workload.request.iter().find(|request| !request.keep.is_empty()) {
            return Err(format!("`{}` keeps something: only [[before]] can", request.name));
        }
        Ok(workload)
    }

    /// The request at position `at`. Requests are spread evenly, and in the same order in every
    /// run.
    fn at(&self, at: u64) -> usize {
        let all: u64 = self.request.iter().map(|request| u64::from(request.weight)).sum();
        // The factor has no common divisor with the number of places, so all of them are visited.
        let place = (at % PLACES) * 617 % PLACES;
        let mut left = place * all / PLACES;
        self.request
            .iter()
            .position(|request| {
                let weight = u64::from(request.weight);
                let here = left < weight;
                left = left.saturating_sub(weight);
                here
            })
            .unwrap_or(0)
    }
}

/// Sends the requests to one side.
#[derive(Clone)]
pub(super) struct Requests {
    workload: Arc<Workload>,
    pool: Arc<Pool>,
    host: Arc<str>,
    number: Arc<AtomicU64>,
}

/// The maximum number of connections to one side.
const CONNECTIONS: usize = 256;

/// The number of requests that are timed separately. Further ones are counted as the last.
pub(super) const KINDS: usize = 16;

impl Requests {
    pub(super) fn new(workload: Arc<Workload>, address: Address) -> Self {
        let host = address.to_string().into();
        // A second run uses other numbers than the first one.
        let first = u64::from(std::process::id()) << 32;
        Self {
            workload,
            pool: Arc::new(Pool::new(address, CONNECTIONS)),
            host,
            number: Arc::new(AtomicU64::new(first)),
        }
    }

    /// Sends the requests of `before`. The measured requests then have what was kept of the answers.
    pub(super) async fn prepared(mut self) -> anyhow::Result<Self> {
        let mut workload = Workload::clone(&self.workload);
        let mut kept = BTreeMap::new();
        for request in &workload.before {
            let answer = self.ask(&request.with(&kept)).await?;
            for (name, path) in &request.keep {
                let text = text_at(&answer, path).with_context(|| {
                    format!("the answer to `{}` has no text at `{path}`", request.name)
                })?;
                kept.insert(format!("{{{name}}}"), text);
            }
        }
        for request in &mut workload.request {
            *request = request.with(&kept);
        }
        self.workload = Arc::new(workload);
        Ok(self)
    }

    async fn ask(&self, request: &Request) -> anyhow::Result<Bytes> {
        let number = self.number.fetch_add(1, Relaxed).to_string();
        let filled = |text: &str| text.replace("{number}", &number);
        let mut asked = hyper::Request::builder()
            .method(&*request.method)
            .uri(filled(&request.path))
            .header("host", &*self.host);
        if request.body.is_some() && !request.headers.contains_key("content-type") {
            asked = asked.header("content-type", "application/json");
        }
        for (name, value) in &request.headers {
            asked = asked.header(name, filled(value));
        }
        let body = request.body.as_deref().map(filled).unwrap_or_default();
        let asked = asked.body(Bytes::from(body)).with_context(|| request.name.clone())?;
        let answer = self.pool.send(asked).await.with_context(|| request.name.clone())?;
        let status = answer.status().as_u16();
        let answers = match &request.status[..] {
            [] => status < 400,
            known => known.contains(&status),
        };
        if !answers {
            let text: String = String::from_utf8_lossy(answer.body()).chars().take(300).collect();
            anyhow::bail!("`{}` was answered {status}: {text}", request.name);
        }
        Ok(answer.into_body())
    }
}

impl Request {
    /// The same, with these texts for their names.
    fn with(&self, kept: &BTreeMap<String, String>) -> Self {
        let filled = |text: &String| {
            kept.iter().fold(text.clone(), |text, (name, value)| text.replace(name, value))
        };
        Self {
            path: filled(&self.path),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), filled(value)))
                .collect(),
            body: self.body.as_ref().map(filled),
            ..self.clone()
        }
    }
}

/// The text at a path of names in a JSON document.
fn text_at(document: &[u8], path: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(document).ok()?;
    let found = path.split('.').try_fold(&document, |value, name| value.get(name))?;
    found.as_str().map(str::to_owned)
}

impl Caller for Requests {
    const KINDS: usize = KINDS;

    async fn call(&self, at: u64) -> anyhow::Result<Option<usize>> {
        let which = self.workload.at(at);
        self.ask(&self.workload.request[which]).await?;
        Ok(Some(which.min(KINDS - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_by_their_weights_and_not_in_heaps() {
        let workload = Workload::parse(EXAMPLE).unwrap();
        let which: Vec<usize> = (0..10_090).map(|at| workload.at(at)).collect();
        let orders = which.iter().filter(|&&which| which == 1).count();
        assert!((950..1_070).contains(&orders), "{orders}");
        let longest = which.chunk_by(|one, other| one == other).map(<[usize]>::len).max();
        assert!(longest < Some(40), "{longest:?}");
    }

    #[test]
    fn what_is_kept_stands_in_later_requests() {
        let workload = Workload::parse(EXAMPLE).unwrap();
        let answer = br#"{"user": {"name": "demo"}, "token": "abc"}"#;
        assert_eq!(text_at(answer, "user.name").as_deref(), Some("demo"));
        assert_eq!((text_at(answer, "user"), text_at(b"[]", "token")), (None, None));
        let kept = BTreeMap::from([("{token}".to_owned(), text_at(answer, "token").unwrap())]);
        let filled = workload.request[1].with(&kept);
        assert_eq!(filled.headers["authorization"], "Bearer abc");
        assert_eq!(filled.headers["idempotency-key"], "{number}");
    }

    #[test]
    fn mistakes_are_told() {
        let told = |text: &str| Workload::parse(text).unwrap_err();
        assert!(told("request = []").contains("no [[request]]"));
        assert!(told("[[request]]\npath = \"products\"").contains("does not begin with `/`"));
        assert!(told("[[request]]\npath = \"/\"\nverb = \"GET\"").contains("verb"));
        let keep = "[[request]]\npath = \"/\"\nkeep = { token = \"token\" }";
        assert!(told(keep).contains("only [[before]] can"));
        let number =
            "[[before]]\npath = \"/\"\nkeep = { number = \"token\" }\n[[request]]\npath = \"/\"";
        assert!(told(number).contains("nothing can be kept as `number`"));
    }
}
