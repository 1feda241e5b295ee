//! The commands of operation: what a program does for the person on call, beside running.
//!
//! `shop work list` asks the admin address of a running process and prints what it says. The program finds that address where
//! the process does, in the manifest and the settings. So a shell in the container of the process is enough.
//! `cargo monolift` runs the same commands in a workspace.
//!
//! | file | holds |
//! |---|---|
//! | `arguments` | what stands on the command line |
//! | `admin` | a request to an admin address |
//! | `find` | admin addresses on free ports of this machine |
//! | `work` | `work` |
//! | `events` | `events` |
//! | `subject` | `export`, `erase` |
//! | `traces` | `traces` |
//! | `logs` | `logs` |
//! | `top` | `top` |

mod admin;
mod arguments;
mod events;
mod find;
mod logs;
mod subject;
mod top;
mod traces;
mod work;

pub use admin::{AdminClient, NoAnswer};

use arguments::Arguments;
use monolift_manifest::nearest;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// The variable with the token of admin addresses.
const TOKEN: &str = "MONOLIFT_ADMIN_TOKEN";
/// The variable that is replaced by a name for the log, where that is not the name of the login.
const USER: &str = "MONOLIFT_USER";

/// What is known of the process that the commands are about.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// How the person calls this program: `shop`, `cargo monolift`.
    pub program: String,
    /// The application.
    pub app: String,
    /// The process of the manifest; `None` where any process that knows the whole application will do.
    pub process: Option<String>,
    /// The admin addresses that the manifest and the settings state, those of all replicas.
    pub admins: Vec<String>,
    /// Addresses that the process listens on for other purposes.
    pub others: BTreeSet<String>,
    /// The program that the process runs, or the folder of such programs.
    pub runs: PathBuf,
    /// The setting `admin_token`.
    pub token: Option<String>,
    /// The settings with which the process would start now.
    pub settings: Vec<Value>,
}

/// A command that did not do what was asked.
type Failed = Box<dyn std::error::Error>;

/// The names of the commands, with their arguments and what they do.
const COMMANDS: [(&str, &str, &str); 11] = [
    (
        "work",
        "[list [MODULE]] | show|retry|discard MODULE ID",
        "durable work: what waits and what is parked; runs parked work again, or gives it up",
    ),
    (
        "events",
        "[lag] | list MODULE | retry|discard MODULE LISTENER ID | replay MODULE LISTENER [EVENT] | remove MODULE LISTENER [EVENT] | rebuild MODULE [--partial]",
        "events: how far their listeners are, and what is parked; has a listener handle events again",
    ),
    ("export", "SUBJECT", "what events and durable work hold of a person, as JSON"),
    ("erase", "SUBJECT [--yes]", "erases what events and durable work hold of a person"),
    (
        "traces",
        "[--slow|--failed|--recurring] [ID]",
        "the latest requests, those that were kept, also recurring work, or one as a waterfall",
    ),
    ("log", "[LEVELS]", "shows the levels of the log, or changes them: stock=debug"),
    (
        "logs",
        "[--module M] [--level warn] [--trace ID] [--text T] [--follow]",
        "the latest lines of all processes",
    ),
    ("call", "MODULE.METHOD ['{…}']", "calls a method with these arguments"),
    ("config", "", "the settings in force, and where each value comes from"),
    ("top", "[--once]", "methods by rate, with p50, p99 and errors"),
    ("health", "", "whether the process is ready; if it is not, the command fails"),
];

/// Whether this is a command of operation.
pub fn is_command(name: &str) -> bool {
    COMMANDS.iter().any(|(known, ..)| *known == name)
}

/// The command that was probably meant.
pub fn nearest_command<'a>(
    name: &str,
    others: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    nearest(name, COMMANDS.iter().map(|(known, ..)| *known).chain(others))
}

/// What the commands of operation are, a line for each.
pub fn help() -> String {
    let mut text = String::new();
    for (name, arguments, does) in COMMANDS {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<10}{does}", name);
        if !arguments.is_empty() {
            let _ = writeln!(text, "            {name} {arguments}");
        }
    }
    text.push_str(
        "\nThese ask a process that runs, at its admin address. It is found from the manifest and the settings.\n\
         \x20 --admin ADDR   another admin address\n\
         \x20 --token TOKEN  its `admin_token`, which MONOLIFT_ADMIN_TOKEN or the settings state as well\n\
         \x20 --json         the answer as it is\n",
    );
    text
}

/// Runs a command of operation: `arguments` begin with its name.
pub fn run(place: &Place, arguments: &[String]) -> ExitCode {
    match Arguments::read(arguments).and_then(|arguments| answer(place, &arguments)) {
        Ok(text) => say(&text),
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the text. A reader that has gone, as `head` does, is no mistake.
pub fn say(text: &str) -> ExitCode {
    match print(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("the answer cannot be printed: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints the text, which may be one of several. An error is a reader that has gone, too.
fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn answer(place: &Place, arguments: &Arguments) -> Result<String, Failed> {
    if arguments.help {
        return Ok(help_of(place, &arguments.command));
    }
    if arguments.command == "config" {
        return config(place, arguments);
    }
    let client = place.client(arguments)?;
    match arguments.command.as_str() {
        "work" => work::run(place, &client, arguments),
        "events" => events::run(place, &client, arguments),
        "export" => subject::export(&client, arguments),
        "erase" => subject::erase(&client, arguments),
        "traces" => traces::run(&client, arguments),
        "log" => log(&client, arguments),
        "logs" => logs::run(&client, arguments),
        "call" => call(&client, arguments),
        "top" => top::run(&client, arguments),
        "health" => health(&client, arguments),
        other => Err(format!("there is no command `{other}`").into()),
    }
}

fn help_of(place: &Place, command: &str) -> String {
    let found = COMMANDS.iter().find(|(name, ..)| *name == command);
    found.map_or_else(help, |(name, arguments, does)| {
        format!(
            "{} {name} {arguments}\n\n{does}\n\n--admin ADDR, --token TOKEN, --json: see `{} help`\n",
            place.program, place.program
        )
    })
}

impl Place {
    /// The admin address to ask.
    fn client(&self, arguments: &Arguments) -> Result<AdminClient, Failed> {
        let stated =
            arguments.token.clone().or_else(|| env::var(TOKEN).ok()).or(self.token.clone());
        let login = || env::var("USER").or_else(|_| env::var("LOGNAME")).ok();
        let user = env::var(USER).ok().or_else(login).unwrap_or_else(|| "somebody".to_owned());
        let client = |address: &str| AdminClient {
            address: reachable(address),
            token: stated.clone(),
            user: user.clone(),
            patience: admin::PATIENCE,
        };
        if let Some(address) = &arguments.admin {
            let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
            if !address.contains(':') {
                return Err(format!("`--admin {address}` is no address: write HOST:PORT").into());
            }
            return Ok(client(address));
        }
        let stated_ports = self.admins.iter().filter(|address| !address.ends_with(":0"));
        let candidates: Vec<&String> = stated_ports.collect();
        // Of several replicas on this machine, the first one that runs.
        for address in &candidates {
            let client = client(address);
            match client.get("/api/process") {
                Err(NoAnswer::Refused(_)) if candidates.len() > 1 => {}
                _ => return Ok(client),
            }
        }
        if let Some(first) = candidates.first() {
            return Ok(client(first));
        }
        let is_ours = |path: &std::path::Path| path.starts_with(&self.runs);
        let found = find::listening(is_ours, &self.others);
        let found = find::admins_of(found, &self.app, stated.as_ref());
        let named = |name: &String| self.process.as_ref().is_none_or(|process| process == name);
        let mut found: Vec<_> = found.into_iter().filter(|(name, _)| named(name)).collect();
        match (found.pop(), found.is_empty()) {
            (Some((_, only)), true) => Ok(AdminClient { user, patience: admin::PATIENCE, ..only }),
            (Some(last), false) => {
                found.push(last);
                let all = found
                    .iter()
                    .map(|(name, one)| format!("\n  --admin {}  ({name})", one.address));
                Err(format!("several processes run: name one{}", all.collect::<String>()).into())
            }
            (None, _) => {
                let process = self.process.as_deref().unwrap_or(&self.app);
                Err(format!(
                    "no process `{process}` of this program runs on this machine, and the manifest states no admin \
                     address for it: start it, pass `--admin ADDR`, or state `admin` under [process.{process}]"
                )
                .into())
            }
        }
    }
}

/// Where a process is reached that listens on all addresses.
fn reachable(address: &str) -> String {
    address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
}

/// For what starts containers and cannot ask over HTTP itself.
fn health(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    arguments.at_most(0)?;
    client.get("/readyz")?;
    Ok("ready\n".to_owned())
}

fn log(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    let answer = match arguments.at_most(1)? {
        [] => client.get("/api/log")?,
        [levels, ..] => client.send("PUT", "/api/log", &json!({ "levels": levels }))?,
    };
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    let others = list(&answer, "processes").iter().skip(1).map(|one| {
        let (process, pid) = (text(one, "process"), one["pid"].as_u64().unwrap_or_default());
        format!("{process} ({pid}): {}\n", text(one, "levels"))
    });
    let others: String = others.collect();
    let mut page =
        format!("{}\n{others}", answer["levels"].as_str().unwrap_or("(a log of its own)"));
    for (which, why) in [
        ("missing", "no answer from the process"),
        (
            "unchanged",
            "this process does not observe the application: ask one that does, or the process",
        ),
    ] {
        for process in list(&answer, which).iter().filter_map(Value::as_str) {
            // Writing to a string cannot fail.
            let _ = writeln!(page, "{why} {process}");
        }
    }
    Ok(page)
}

fn call(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    let (method, given) = match arguments.at_most(2)? {
        [] => return Err("name the method: call orders.get '{\"id\": \"o-17\"}'".into()),
        [method] => (method, "{}"),
        [method, given, ..] => (method, given.as_str()),
    };
    let given: Value = serde_json::from_str(given).map_err(|error| {
        format!("the arguments are no JSON ({error}): write '{{\"name\": value}}'")
    })?;
    let answer =
        client.send("POST", "/api/call", &json!({ "method": method, "arguments": given }))?;
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    let status = answer["status"].as_u64().unwrap_or_default();
    let shown = format!("{:#}", answer["answer"]);
    let trace = text(&answer, "trace_id");
    match status {
        200..300 => Ok(format!("{shown}\n")),
        _ => Err(format!("{method} was answered with {status}, trace {trace}:\n{shown}").into()),
    }
}

fn config(place: &Place, arguments: &Arguments) -> Result<String, Failed> {
    arguments.at_most(0)?;
    let running = place.client(arguments).and_then(|client| Ok(client.get("/api/process")?));
    let settings = match running {
        Ok(facts) => facts["settings"].as_array().cloned().unwrap_or_default(),
        Err(error) if arguments.admin.is_some() || place.settings.is_empty() => return Err(error),
        Err(error) => {
            eprintln!("{error}\nThese are the settings with which it would start:");
            place.settings.clone()
        }
    };
    if arguments.json {
        return Ok(format!("{:#}\n", Value::Array(settings)));
    }
    let widest =
        settings.iter().map(|setting| text(setting, "key").len()).max().unwrap_or_default();
    let mut page = String::new();
    for setting in &settings {
        let origin = setting["origin"].as_str().unwrap_or("default");
        // Writing to a string cannot fail.
        let _ = match setting["value"].as_str() {
            Some(value) => writeln!(page, "{:widest$}  {value}  ({origin})", text(setting, "key")),
            None => writeln!(page, "{:widest$}  ({origin})", text(setting, "key")),
        };
    }
    Ok(page)
}

/// A text of an object, or nothing.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The objects of a list.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// A duration with as many digits as say something.
fn duration(nanos: f64) -> String {
    match nanos {
        nanos if nanos >= 1e9 => format!("{:.2} s", nanos / 1e9),
        nanos if nanos >= 1e6 => format!("{:.2} ms", nanos / 1e6),
        nanos => format!("{:.1} µs", nanos / 1e3),
    }
}

/// The beginning of a text, on one line and without what could colour a terminal.
fn short(text: &str, longest: usize) -> String {
    let clean = text.chars().map(|one| if one.is_control() { ' ' } else { one });
    let beginning: String = clean.take(longest).collect();
    if text.chars().count() > longest { format!("{beginning}…") } else { beginning }
}
