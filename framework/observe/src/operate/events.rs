//! `events`: how far the listeners of events are, and what is done for one of them.

use super::{
    AdminClient, Failed, Place,
    admin::encoded,
    arguments::Arguments,
    list, short, text,
    work::{LONGEST_ERROR, age},
};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(super) fn run(
    place: &Place,
    client: &AdminClient,
    arguments: &Arguments,
) -> Result<String, Failed> {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let change = |what, module, body| change(client, what, module, body);
    match words[..] {
        [] | ["lag"] => lag(client, arguments),
        ["list", module] => parked(place, client, arguments, module),
        ["retry", module, listener] if arguments.has("--all") => {
            change("retry", module, json!({ "listener": listener, "all": true }))
        }
        ["retry", module, listener, id] => {
            change("retry", module, json!({ "listener": listener, "id": id }))
        }
        ["discard", module, listener, id] => {
            change("discard", module, json!({ "listener": listener, "id": id }))
        }
        ["replay", module, listener] => {
            change("replay", module, json!({ "listener": listener }))
        }
        ["replay", module, listener, event] => {
            change("replay", module, json!({ "listener": listener, "event": event }))
        }
        ["remove", module, listener] => {
            change("remove", module, json!({ "listener": listener }))
        }
        ["remove", module, listener, event] => {
            change("remove", module, json!({ "listener": listener, "event": event }))
        }
        ["rebuild", module] => rebuild(client, module, arguments.has("--partial")),
        ["rebuild", ..] => {
            Err("name the module whose read model is built anew: events rebuild MODULE".into())
        }
        ["retry", _, _] => {
            Err("name the event, or pass `--all` for all that is parked for the listener".into())
        }
        ["list"] => Err("name the module that publishes: events list MODULE".into()),
        ["retry" | "discard", ..] => Err(format!(
            "name the module that publishes, the one that listens, and an event: events {} MODULE LISTENER ID",
            words[0]
        )
        .into()),
        ["replay" | "remove", ..] => Err(format!(
            "name the module that publishes and the one that listens: events {} MODULE LISTENER",
            words[0]
        )
        .into()),
        [other, ..] => {
            let known = ["lag", "list", "retry", "discard", "replay", "remove", "rebuild"];
            let near = monolift_manifest::nearest(other, known);
            let near = near.map_or_else(
                || "`events` takes lag, list, retry, discard, replay, remove or rebuild".to_owned(),
                |near| format!("did you mean `events {near}`?"),
            );
            Err(format!("there is no `events {other}`: {near}").into())
        }
    }
}

fn lag(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    let answer = client.get("/api/events")?;
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    let mut page = format!(
        "{:<16}{:<20}{:<16}{:>9}{:>9}{:>9}{:>9}\n",
        "module", "event", "listener", "waiting", "failing", "parked", "oldest"
    );
    for module in list(&answer, "modules") {
        rows(&mut page, module);
    }
    for missing in list(&answer, "missing") {
        // Writing to a string cannot fail.
        let _ =
            writeln!(page, "no answer from the process {}", missing.as_str().unwrap_or_default());
    }
    Ok(page)
}

/// A line for each listener.
fn rows(page: &mut String, module: &Value) {
    let name = text(module, "module");
    if let Some(error) = module["error"].as_str() {
        let _ = writeln!(page, "{name:<16}{}", short(error, LONGEST_ERROR));
    }
    for listener in list(module, "listeners") {
        let of = |key: &str| listener[key].as_i64().unwrap_or_default();
        let oldest = listener["oldest_ms"].as_i64();
        let _ = writeln!(
            page,
            "{name:<16}{:<20}{:<16}{:>9}{:>9}{:>9}{:>9}",
            text(listener, "event"),
            text(listener, "listener"),
            of("waiting"),
            of("failing"),
            of("parked"),
            oldest.map_or_else(|| "-".to_owned(), |oldest| age(Some(oldest))),
        );
    }
}

fn parked(
    place: &Place,
    client: &AdminClient,
    arguments: &Arguments,
    module: &str,
) -> Result<String, Failed> {
    let query = arguments.query(&["--listener", "--event", "--limit"]);
    let answer = client.get(&format!("/api/events/{}?{query}", encoded(module)))?;
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    let parked = list(&answer, "parked");
    let mut page = String::new();
    for event in parked {
        let _ = writeln!(
            page,
            "{}  {}  for {}  parked for {}  {} attempts  {} bytes {}",
            text(event, "id"),
            text(event, "event"),
            text(event, "listener"),
            age(event["parked_for_ms"].as_i64()),
            event["attempts"],
            event["payload_bytes"],
            text(event, "payload_outline")
        );
        let _ = writeln!(page, "    {}", short(text(event, "error"), LONGEST_ERROR));
    }
    match parked.first() {
        None => {
            let _ = writeln!(page, "no such event of {module} is parked");
        }
        Some(first) => {
            let _ = writeln!(
                page,
                "handle one again: {} events retry {module} {} {}",
                place.program,
                text(first, "listener"),
                text(first, "id")
            );
        }
    }
    Ok(page)
}

fn rebuild(client: &AdminClient, module: &str, partial: bool) -> Result<String, Failed> {
    let path = format!("/api/events/{}/rebuild", encoded(module));
    let answer = client.send("POST", &path, &json!({ "partial": partial }))?;
    let build = answer["build"].as_u64().unwrap_or_default();
    Ok(format!(
        "{module}: build {build} has begun, as the listener {module}.{build}; it answers once it has caught up\n"
    ))
}

fn change(client: &AdminClient, what: &str, module: &str, body: Value) -> Result<String, Failed> {
    let answer = client.send("POST", &format!("/api/events/{}/{what}", encoded(module)), &body)?;
    let changed = answer["changed"].as_u64().unwrap_or_default();
    let listener = text(&body, "listener");
    Ok(match what {
        "retry" => format!("{module}: {changed} handled again by {listener}\n"),
        "discard" => format!("{module}: {changed} given up for {listener}\n"),
        "replay" => format!("{module}: {changed} handled once more by {listener}\n"),
        _ => match body["event"].as_str() {
            Some(event) => format!("{module}: {listener} listens no more to {event}\n"),
            None => format!("{module}: {listener} is removed\n"),
        },
    })
}
