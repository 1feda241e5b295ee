//! Every key of `[process.*]`, `[calls]`, `[http]`, `[identity]`, `[log]`, `[observe]`, `[observe.otlp]`, `[limits]`, `[db]`
//! and `[tls]`: the manifest and settings are both read by these tables. A new key is one line here, and one in
//! `settings.reference.toml`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::{Address, AddressError};
use crate::connect::{Connect, ConnectError};
use crate::identity::{Rules, StatementMode};
use crate::keys::{
    Count, Flag, Given, Key, Optional, Section, Size, Span, Text, ValueType, key, section,
};
use crate::log::{LogFormat, LogLevels};
use crate::manifest::{DeadlineMode, Process, Replicas, TlsFiles};
use crate::otlp::{OtlpProtocol, collector, headers};
use crate::outside::{Networks, ProxyHeader, header_names, joined, methods, origins, owned};
use crate::quantity::{LARGEST_BYTES, LONGEST, show_size};
use crate::rate::{Rate, Rates};
use crate::share::Share;

const AN_INSTANT: Duration = Duration::from_millis(1);
const AN_HOUR: Duration = Duration::from_secs(3600);

/// More than any machine has room for, and few enough for a counter to hold.
const A_MILLION: usize = 1 << 20;

/// The longest frames that fit into `limits.memory` at least. A peer may take a quarter of it: two calls that are read
/// and two that are answered.
const FRAMES_IN_MEMORY: usize = 16;

section! {
    /// `[limits]`: what a peer or a client may ask of a process.
    Limits, contradiction: little_memory;

    /// the longest call or answer between processes, and the longest body of a request
    frame: usize = 4 << 20, Size(1 << 10, 1 << 30);
    /// how deep values may be within values
    nesting: usize = 64, Count(1, 128);
    /// buffers for what peers and clients send, and for calls to other processes, before it is decoded
    memory: usize = 256 << 20, Size(16 << 20, LARGEST_BYTES);
    /// calls in flight on one connection
    in_flight: usize = 1024, Count(1, A_MILLION);
    /// calls that run at once, of all connections
    running: usize = 4096, Count(1, A_MILLION);
    /// calls that may wait for others to end; more are refused at once
    waiting: usize = 1024, Count(1, A_MILLION);
    /// the longest that one of them waits
    wait: Duration = Duration::from_millis(100), Span(AN_INSTANT, LONGEST);
    /// connections of other processes at once
    connections: usize = 1024, Count(1, A_MILLION);
    /// how long a new connection has to say who it is
    hello: Duration = Duration::from_secs(5), Span(AN_INSTANT, AN_HOUR);
    /// new connections that have not said who they are; the oldest is closed for one more
    handshakes: usize = 256, Count(1, A_MILLION);
    /// HTTP connections at once; an idle one is closed for a new one
    clients: usize = 4096, Count(1, A_MILLION);
    /// of these, from one address, unless it is that of a proxy in `http.trusted_proxies`
    clients_per_address: usize = 1024, Count(1, A_MILLION);
    /// HTTP requests that are answered at once; more are refused
    requests: usize = 2048, Count(1, A_MILLION);
    /// the longest head of an HTTP request: its first line and all its headers
    head: usize = 64 << 10, Size(8 << 10, 1 << 20);
    /// the longest path and query of an HTTP request
    target: usize = 16 << 10, Size(256, 1 << 20);
    /// the headers of an HTTP request
    headers: usize = 100, Count(16, 1000);
    /// how long the head of a request may take, and how long a connection stays open without one
    head_time: Duration = Duration::from_secs(10), Span(AN_INSTANT, AN_HOUR);
    /// how long the body of a request for a method's route may take
    body_time: Duration = Duration::from_secs(30), Span(AN_INSTANT, AN_HOUR);
    /// requests of one caller to one gateway, for the routes of modules: "100/s", "600/m" or "1000/h"
    rate: Option<Rate> = None, Optional(Text(Rate::read, Rate::to_string));
    /// the same for single methods and modules: "orders.place=10/m,users=5/s"
    rates: Option<Rates> = None, Optional(Text(Rates::read, Rates::to_string));
}

fn little_memory(limits: &Limits) -> Option<(&'static str, String)> {
    let least = limits.frame.saturating_mul(FRAMES_IN_MEMORY);
    (limits.memory < least).then(|| {
        let least = show_size(u64::try_from(least).unwrap_or(u64::MAX));
        let message = format!(
            "must be at least {FRAMES_IN_MEMORY} times `limits.frame`: raise it to {least} or lower `limits.frame`"
        );
        ("memory", message)
    })
}

section! {
    /// `[calls]`: how modules call each other.
    Calls;

    /// of a call whose method states none
    deadline: Duration = Duration::from_secs(5), Span(AN_INSTANT, LONGEST);
    /// or "observe": an overdue request of an old program is logged, and goes on
    deadline_mode: DeadlineMode = DeadlineMode::Enforce, Text(deadline_mode, show_mode);
    /// a stop waits this long for calls in flight
    drain: Duration = Duration::from_secs(20), Span(Duration::ZERO, LONGEST);
    /// to each other process, at most; as many as there are cores, and at least 8
    connections: Option<usize> = None, Optional(Count(1, 1024));
}

section! {
    /// `[http]`: what a gateway does with every request.
    Http;

    /// one line in the log for each request: its client's address, route, status, duration and id
    access_log: bool = false, Flag;
    /// proxies in front that say who their client is, as addresses and networks: "10.0.0.0/8 192.0.2.7"
    trusted_proxies: Option<Networks> = None, Optional(Text(Networks::read, Networks::to_string));
    /// the header in which they say it, or "forwarded"; the other one is not read
    proxy_header: ProxyHeader = ProxyHeader::default(), Text(ProxyHeader::read, ProxyHeader::to_string);
    /// web pages that may call the gateway from a browser, `https://app.example.com` and others, or `*`; without it none but its own
    cors_origins: Option<Vec<String>> = None, Optional(Text(origins, joined));
    /// the methods that they may use
    cors_methods: Vec<String> = owned(&["GET", "POST", "PUT", "PATCH", "DELETE"]), Text(methods, joined);
    /// the headers that they may send
    cors_headers: Vec<String> = owned(&["authorization", "content-type", "idempotency-key", "traceparent"]), Text(header_names, joined);
    /// how long a browser may remember that
    cors_max_age: Duration = Duration::from_secs(600), Span(Duration::ZERO, LONGEST);
}

section! {
    /// `[observe]`: what is recorded of requests.
    #[derive(Copy)]
    Observe;

    /// the calls of every request are recorded, and those of failed and slow ones are kept for the admin address
    record: bool = true, Flag;
    /// a request that takes longer is kept; without it, one that takes longer than 99 in 100 of its route
    slow: Option<Duration> = None, Optional(Span(AN_INSTANT, LONGEST));
    /// of the traces that begin here, the part that is kept whatever became of them: "1%"; who sends a trace along decides itself
    sample: Share = Share::NONE, Text(Share::read, |share| share.to_string());
    /// what recent requests may take, and as much again for those that are kept
    memory: usize = 8 << 20, Size(1 << 20, 1 << 30);
    /// what the latest lines of the log may take, which the admin address shows
    log_memory: usize = 1 << 20, Size(1 << 16, 1 << 30);
}

section! {
    /// `[observe.otlp]`: where kept traces go, in OpenTelemetry's protocol.
    Otlp;

    /// of a collector; without it nothing is sent. A program needs the feature `otlp` for it
    endpoint: Option<String> = None, Optional(Text(collector, String::clone));
    /// or "http": protobuf over HTTP, to `/v1/traces` below the endpoint
    protocol: OtlpProtocol = OtlpProtocol::Grpc, Text(OtlpProtocol::read, |protocol| protocol.to_string());
    /// what each request to it has: "name=value", several separated by commas
    headers: Option<Hidden> = None, Optional(Text(headers, |_| "…".to_owned()));
}

section! {
    /// `[identity]`: who makes requests.
    IdentityKeys, contradiction: no_public_key;

    /// or "observe": calls that a method's `#[auth(…)]` refuses are logged, counted and go on; "enforce,stock=observe" is for one module
    rules: Rules = Rules::default(), Text(Rules::read, Rules::to_string);
    /// how far the clocks of issuers may be off
    leeway: Duration = Duration::from_secs(30), Span(Duration::ZERO, Duration::from_secs(300));
    /// whether a call's user is proven between processes: "off", "observe" or "require"; without it "require" where there is a key for it, which `[tls]` has
    statements: Option<StatementMode> = None, Optional(Text(StatementMode::read, |mode| mode.to_string()));
    /// without `[tls]`: the public keys of gateways, in PEM
    statement_keys: Option<String> = None, Optional(Text(file, String::clone));
    /// and in a gateway its private key
    statement_key: Option<String> = None, Optional(Text(file, String::clone));
}

fn no_public_key(keys: &IdentityKeys) -> Option<(&'static str, String)> {
    let alone = keys.statement_key.is_some() && keys.statement_keys.is_none();
    let message =
        "also needs `statement_keys`, the file of the public keys that all processes have";
    alone.then(|| ("statement_key", message.to_owned()))
}

section! {
    /// `[identity.issuers.*]`: who vouches for users, with tokens that requests bring.
    IssuerKeys, contradiction: incomplete_issuer;

    /// its URL, as it stands in the claim `iss`; its keys are found below it
    issuer: Option<String> = None, Optional(Text(url, String::clone));
    /// what stands in the claim `aud`: this application
    audience: Option<String> = None, Optional(Text(claim, String::clone));
    /// where its keys are, if it does not say so itself; a path such as "/keys" is a route of this application
    jwks: Option<String> = None, Optional(Text(keys_at, String::clone));
    /// how often its keys are fetched
    refresh: Duration = Duration::from_secs(300), Span(Duration::from_secs(1), Duration::from_secs(86_400));
    /// how long a key stays valid that it no longer shows
    overlap: Duration = Duration::from_secs(900), Span(Duration::ZERO, Duration::from_secs(86_400));
    /// the claim that holds a user's roles, such as `realm_access.roles`
    roles: String = "roles".to_owned(), Text(claim, String::clone);
    /// the claim that holds a user's scopes
    scopes: String = "scope".to_owned(), Text(claim, String::clone);
    /// the claim that holds the customer that a user belongs to
    tenant: Option<String> = None, Optional(Text(claim, String::clone));
    /// further claims that modules read, with spaces between them
    claims: Option<String> = None, Optional(Text(claim, String::clone));
}

fn incomplete_issuer(issuer: &IssuerKeys) -> Option<(&'static str, String)> {
    let missing = |key: &'static str, value: &Option<String>, what: &str| {
        value.is_none().then(|| (key, format!("is missing: {what}")))
    };
    // Without any key there is no issuer.
    (*issuer != IssuerKeys::default()).then_some(())?;
    missing("issuer", &issuer.issuer, "write the URL of the issuer")
        .or_else(|| missing("audience", &issuer.audience, "write what its tokens are issued for"))
}

fn url(text: &str) -> Result<String, String> {
    if text.starts_with("https://") || text.starts_with("http://") {
        return Ok(text.to_owned());
    }
    Err("expected a URL such as `https://id.example.com`".to_owned())
}

fn keys_at(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && !text.starts_with("//") && !text.contains(['?', '#']);
    if is_path {
        return Ok(text.to_owned());
    }
    url(text).map_err(|_| {
        "expected a URL such as `https://id.example.com/keys`, or a path of this application"
            .to_owned()
    })
}

fn claim(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err("expected the name of a claim or an audience".to_owned());
    }
    Ok(text.to_owned())
}

section! {
    /// `[log]`: the log of a program that installs it, which a host does not.
    Log;

    /// "text" for people, "json" for machines; "auto" is text on a terminal and under `cargo monolift up`, else JSON
    format: LogFormat = LogFormat::Auto, Text(LogFormat::read, |format| format.to_string());
    /// what is logged where RUST_LOG is not set: a level, then those of modules, "info,stock=debug"
    level: LogLevels = LogLevels::default(), Text(LogLevels::read, |levels| levels.to_string());
}

section! {
    /// `[process.*.retries]`: how often others try when a call to a process fails. Only calls that were not
    /// begun there are made again, and calls of methods that are `#[idempotent]`.
    #[derive(Copy)]
    Retries;

    /// attempts at one call, the first one among them
    attempts: u32 = 3, Count(1, 10);
    /// of a hundred calls, this many may be made again
    percent: u32 = 20, Count(0, 100);
    /// and this many in each second, however few calls there are
    per_second: u32 = 10, Count(0, 10_000);
}

section! {
    /// `[tls]` as it is written. TLS takes all of its keys.
    TlsKeys;

    /// the certificate of the authority that signs those of the processes
    authority: Option<String> = None, Optional(Text(file, String::clone));
    /// a process's certificate, which is for its name; `{process}` stands for that name
    certificate: Option<String> = None, Optional(Text(file, String::clone));
    /// its key
    key: Option<String> = None, Optional(Text(file, String::clone));
}

impl TlsKeys {
    /// What to do where some keys are there and others are not.
    pub const HELP: &str = "TLS takes all of `authority`, `certificate` and `key`: each a file";

    /// The files, if any are stated; else the keys that are missing.
    pub fn files(self) -> Result<Option<TlsFiles>, Vec<&'static str>> {
        match self {
            Self { authority: None, certificate: None, key: None } => Ok(None),
            Self { authority: Some(authority), certificate: Some(certificate), key: Some(key) } => {
                Ok(Some(TlsFiles { authority: PathBuf::from(authority), certificate, key }))
            }
            some => {
                let missing = Self::KEYS.iter().filter(|key| key.show(&some).is_none());
                Err(missing.map(|key| key.name).collect())
            }
        }
    }
}

impl From<TlsFiles> for TlsKeys {
    fn from(files: TlsFiles) -> Self {
        let TlsFiles { authority, certificate, key } = files;
        let authority = Some(authority.display().to_string());
        Self { authority, certificate: Some(certificate), key: Some(key) }
    }
}

section! {
    /// `[db]`: what holds for the databases of all modules, unless `[<module>.db]` says otherwise.
    Databases;

    /// one pool for all modules that have no url of their own; each transaction takes on the role of its module
    url: Option<Hidden> = None, Optional(Text(postgres, |_| "…".to_owned()));
    /// the most that such a pool has in one process
    connections: u32 = 10, Count(1, 10_000);
    /// or "never": a start that finds a migration missing is refused, and a program's `migrate` applies them
    migrate: Migrate = Migrate::Start, Text(Migrate::read, |migrate| migrate.to_string());
    /// transactions on PostgreSQL have the user and the tenant of their call as `app.user` and `app.tenant`, for row-level security
    caller: bool = false, Flag;
}

/// A text that may hold a password or a key. It is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What else is wrong with it, its user says: this crate knows no drivers.
fn postgres(text: &str) -> Result<Hidden, String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(Hidden(text.to_owned()));
    }
    Err("expected a URL such as `postgres://user:password@host:5432/database`".to_owned())
}

/// When migrations are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migrate {
    /// When a process starts.
    Start,
    /// Never by a process that starts: a job does so before.
    Never,
}

impl Migrate {
    /// Reads it as it is written.
    pub fn read(text: &str) -> Result<Self, String> {
        match text {
            "start" => Ok(Self::Start),
            "never" => Ok(Self::Never),
            _ => Err("expected `start` or `never`".to_owned()),
        }
    }
}

impl fmt::Display for Migrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Never => "never",
        })
    }
}

/// The keys of `[process.*]` that settings may replace.
impl Section for Process {
    const KEYS: &'static [Key<Self>] = &[
        key!(http, "the gateway listens here", Optional(Text(http, String::clone))),
        key!(listen, "calls of other processes", Optional(Text(address, Address::to_string))),
        key!(
            connect,
            "where others reach it, when that is not `listen`: hosts, `srv:name` or `file:path`",
            Optional(Text(connect, Connect::to_string))
        ),
        key!(
            admin,
            "metrics, traces and a dashboard, here or `off`; without it on a free port of 127.0.0.1",
            Optional(Text(admin, String::clone))
        ),
        key!(
            replicas,
            "how many of it run on this machine: each further one listens a port higher",
            ReplicaCount
        ),
        key!(
            observe,
            "it asks all other processes what they record, and shows the whole application; a gateway always does",
            Optional(Flag)
        ),
    ];

    fn contradiction(&self) -> Option<(&'static str, String)> {
        let is_refused = self.observe == Some(false) && self.http.is_some();
        is_refused.then(|| {
            let message = "a gateway gathers what other processes record, and cannot do without: remove this line";
            ("observe", message.to_owned())
        })
    }
}

/// How many of a process run.
struct ReplicaCount;

impl ValueType for ReplicaCount {
    type Value = Replicas;

    fn read(&self, given: Given<'_>) -> Result<Replicas, String> {
        Count(1, Replicas::MOST).read(given).map(Replicas)
    }

    fn show(&self, replicas: &Replicas) -> Option<String> {
        Some(replicas.0.to_string())
    }
}

/// A path. What is in the file, or a URL, is no path, and may be a secret.
fn file(text: &str) -> Result<String, String> {
    if text.is_empty()
        || text.contains("://")
        || text.contains("-----")
        || text.contains(char::is_control)
    {
        return Err("expected the path of a file".to_owned());
    }
    Ok(text.to_owned())
}

/// As an admin address: there is none.
pub(crate) const OFF: &str = "off";

fn admin(text: &str) -> Result<String, String> {
    if text == OFF {
        return Ok(text.to_owned());
    }
    http(text).map_err(|error| format!("{error} or `{OFF}`"))
}

fn http(text: &str) -> Result<String, String> {
    match text.parse() {
        Ok(Address::Tcp(address)) => Ok(address),
        _ => Err("expected `host:port`".to_owned()),
    }
}

fn address(text: &str) -> Result<Address, String> {
    text.parse().map_err(|error: AddressError| error.to_string())
}

fn connect(text: &str) -> Result<Connect, String> {
    text.parse().map_err(|error: ConnectError| error.to_string())
}

fn deadline_mode(text: &str) -> Result<DeadlineMode, String> {
    match text {
        "enforce" => Ok(DeadlineMode::Enforce),
        "observe" => Ok(DeadlineMode::Observe),
        _ => Err("expected `enforce` or `observe`".to_owned()),
    }
}

fn show_mode(mode: &DeadlineMode) -> String {
    match mode {
        DeadlineMode::Enforce => "enforce".to_owned(),
        DeadlineMode::Observe => "observe".to_owned(),
    }
}
