//! `work`: durable work, and what is done with parked pieces.

use super::{AdminClient, Failed, Place, admin::encoded, arguments::Arguments, list, short, text};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The longest error in a list.
pub(super) const LONGEST_ERROR: usize = 120;

pub(super) fn run(
    place: &Place,
    client: &AdminClient,
    arguments: &Arguments,
) -> Result<String, Failed> {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["list"] => all(client, arguments),
        ["list", module] => of_module(place, client, arguments, module),
        ["show", module, id] => {
            let path = format!("/api/work/{}/{}", encoded(module), encoded(id));
            Ok(format!("{:#}\n", client.get(&path)?))
        }
        ["retry", module] if arguments.has("--all") => change(client, "retry", module, None),
        ["retry", module, id] => change(client, "retry", module, Some(id)),
        ["discard", module, id] => change(client, "discard", module, Some(id)),
        ["retry", _] => {
            Err("name the piece, or pass `--all` for all parked pieces of the module".into())
        }
        ["show" | "discard", ..] | ["retry"] => {
            Err(format!("name a module and a piece: work {} MODULE ID", words[0]).into())
        }
        [other, ..] => {
            let known = ["list", "show", "retry", "discard"];
            let near = monolift_manifest::nearest(other, known);
            let near = near.map_or_else(
                || "`work` takes list, show, retry or discard".to_owned(),
                |near| format!("did you mean `work {near}`?"),
            );
            Err(format!("there is no `work {other}`: {near}").into())
        }
    }
}

fn all(client: &AdminClient, arguments: &Arguments) -> Result<String, Failed> {
    let answer = client.get("/api/work")?;
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    let mut page = format!(
        "{:<16}{:<20}{:>9}{:>9}{:>9}{:>9}\n",
        "module", "kind", "waiting", "running", "failing", "parked"
    );
    for module in list(&answer, "modules") {
        rows(&mut page, module);
    }
    for missing in list(&answer, "missing") {
        let _ =
            writeln!(page, "no answer from the process {}", missing.as_str().unwrap_or_default());
    }
    Ok(page)
}

/// A line for each kind.
fn rows(page: &mut String, module: &Value) {
    let name = text(module, "module");
    // Writing to a string cannot fail.
    if let Some(error) = module["error"].as_str() {
        let _ = writeln!(page, "{name:<16}{}", short(error, LONGEST_ERROR));
    }
    for kind in list(module, "kinds") {
        let of = |key: &str| kind[key].as_i64().unwrap_or_default();
        let _ = writeln!(
            page,
            "{name:<16}{:<20}{:>9}{:>9}{:>9}{:>9}",
            text(kind, "kind"),
            of("waiting"),
            of("running"),
            of("failing"),
            of("parked")
        );
    }
    if list(module, "kinds").is_empty() && module["error"].is_null() {
        let _ = writeln!(page, "{name:<16}(nothing)");
    }
}

fn of_module(
    place: &Place,
    client: &AdminClient,
    arguments: &Arguments,
    module: &str,
) -> Result<String, Failed> {
    let query = arguments.query(&["--kind", "--state", "--limit"]);
    let answer = client.get(&format!("/api/work/{}?{query}", encoded(module)))?;
    if arguments.json {
        return Ok(format!("{answer:#}\n"));
    }
    let pieces = list(&answer, "pieces");
    let mut page = String::new();
    for piece in pieces {
        let state = match text(piece, "state") {
            "parked" => format!("parked for {}", age(piece["parked_for_ms"].as_i64())),
            "running" => "running".to_owned(),
            _ => match piece["next_attempt_in_ms"].as_i64() {
                Some(later @ 1..) => format!("waiting, next in {}", age(Some(later))),
                _ => "waiting, due".to_owned(),
            },
        };
        let _ = writeln!(
            page,
            "{}  {}  {state}  {} attempts  {} bytes {}",
            text(piece, "id"),
            text(piece, "kind"),
            piece["attempts"],
            piece["payload_bytes"],
            text(piece, "payload_outline")
        );
        if let Some(error) = piece["error"].as_str() {
            let _ = writeln!(page, "    {}", short(error, LONGEST_ERROR));
        }
    }
    if pieces.is_empty() {
        let _ = writeln!(page, "{module} has no such work");
    }
    if let Some(parked) = pieces.iter().find(|piece| text(piece, "state") == "parked") {
        let _ = writeln!(
            page,
            "run one again: {} work retry {module} {}",
            place.program,
            text(parked, "id")
        );
    }
    Ok(page)
}

fn change(
    client: &AdminClient,
    what: &str,
    module: &str,
    id: Option<&str>,
) -> Result<String, Failed> {
    let body = match id {
        Some(id) => json!({ "id": id }),
        None => json!({ "all": true }),
    };
    let answer = client.send("POST", &format!("/api/work/{}/{what}", encoded(module)), &body)?;
    let changed = answer["changed"].as_u64().unwrap_or_default();
    Ok(match what {
        "retry" => format!("{module}: {changed} run again\n"),
        _ => format!("{module}: {changed} given up\n"),
    })
}

/// A span of time in its largest unit.
pub(super) fn age(millis: Option<i64>) -> String {
    match millis.unwrap_or_default() {
        millis if millis >= 172_800_000 => format!("{} d", millis / 86_400_000),
        millis if millis >= 7_200_000 => format!("{} h", millis / 3_600_000),
        millis if millis >= 120_000 => format!("{} min", millis / 60_000),
        millis => format!("{} s", millis / 1_000),
    }
}
