//! `export` and `erase`: what events and durable work hold of a subject.

use super::{AdminClient, Failed, arguments::Arguments, list, text};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{self, Write as _},
};

fn subject(arguments: &Arguments) -> Result<&str, Failed> {
    let named = arguments.at_most(1)?.first().filter(|subject| !subject.is_empty());
    let missing = || format!("name the subject: {} SUBJECT", arguments.command);
    Ok(named.ok_or_else(missing)?)
}

/// Prints the events and the durable work that hold data of the subject, as JSON.
pub(super) fn export(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    let subject = subject(arguments)?;
    let answer = client.send("POST", "/api/export", &json!({ "subject": subject }))?;
    complete(&answer)?;
    let mut modules = Vec::new();
    for first in list(&answer, "modules") {
        let module = text(first, "module");
        let mut page = first.clone();
        let (mut events, mut work) = (Vec::new(), Vec::new());
        let (mut after_event, mut after_piece) = (String::new(), String::new());
        while !list(&page, "events").is_empty() || !list(&page, "work").is_empty() {
            for (kept, all, after) in
                [("events", &mut events, &mut after_event), ("work", &mut work, &mut after_piece)]
            {
                let shown = list(&page, kept);
                shown.iter().for_each(|one| text(one, "id").clone_into(after));
                all.extend(shown.iter().cloned().map(readable));
            }
            let next = json!({ "subject": subject, "module": module, "after_event": after_event,
                "after_piece": after_piece });
            let answer = client.send("POST", "/api/export", &next)?;
            let found = list(&answer, "modules").iter().find(|one| text(one, "module") == module);
            page = found.ok_or_else(|| format!("{module} no longer answers: ask again"))?.clone();
            complete(&json!({ "modules": [page] }))?;
        }
        if !events.is_empty() || !work.is_empty() {
            modules.push(json!({ "module": module, "events": events, "work": work }));
        }
    }
    Ok(format!("{:#}\n", json!({ "subject": subject, "modules": modules })))
}

/// Replaces a key or a payload that is JSON as text by the JSON value.
fn readable(mut kept: Value) -> Value {
    for member in ["key", "payload"] {
        let parsed = kept[member].as_str().and_then(|text| serde_json::from_str(text).ok());
        if let (Some(parsed), Some(object)) = (parsed, kept.as_object_mut()) {
            let _: Option<Value> = Map::insert(object, member.to_owned(), parsed);
        }
    }
    kept
}

/// Erases the subject's events and pieces, a batch of each module at a time, and prints how many.
pub(super) fn erase(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    let subject = subject(arguments)?;
    if !arguments.has("--yes") && !is_confirmed(subject)? {
        return Err("nothing is erased: answer with `yes`, or pass `--yes`".into());
    }
    let mut erased: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let failed = loop {
        let answer = match client.send("POST", "/api/erase", &json!({ "subject": subject })) {
            Ok(answer) => answer,
            Err(failed) => break Some(failed.into()),
        };
        let mut in_this_round = 0;
        for module in list(&answer, "modules") {
            let of = |member: &str| module[member].as_u64().unwrap_or_default();
            let (events, work) = (of("erased_events"), of("erased_work"));
            let sum = erased.entry(text(module, "module").to_owned()).or_default();
            *sum = (sum.0 + events, sum.1 + work);
            in_this_round += events + work;
        }
        if in_this_round == 0 {
            break complete(&answer).err();
        }
    };
    let mut page = String::new();
    for (module, (events, work)) in erased.iter().filter(|(_, sum)| **sum != (0, 0)) {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{module}: erased: events {events}, work {work}");
    }
    match failed {
        Some(failed) => Err(format!("{page}{failed}").into()),
        None if page.is_empty() => Ok("nothing is kept of this subject\n".to_owned()),
        None => Ok(page),
    }
}

fn is_confirmed(subject: &str) -> Result<bool, Failed> {
    eprint!("erase what events and durable work hold of `{subject}`, in all modules? [yes/no] ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

/// Fails if the answer is incomplete: a module that did not answer may hold data of the subject.
fn complete(answer: &Value) -> Result<(), Failed> {
    let modules = list(answer, "modules").iter();
    let failed = modules
        .filter_map(|one| Some(format!("{}: {}", text(one, "module"), one["error"].as_str()?)));
    let names = |member: &str| -> BTreeSet<&str> {
        list(answer, member).iter().filter_map(Value::as_str).collect()
    };
    let missing = names("missing").into_iter().map(|process| {
        format!("no answer from the process {process}: ask a process that observes the application")
    });
    let denied = names("denied").into_iter().map(|process| {
        format!("the process {process} answers only a process that observes the application")
    });
    let lacking: Vec<String> = failed.chain(missing).chain(denied).collect();
    if lacking.is_empty() { Ok(()) } else { Err(lacking.join("\n").into()) }
}
