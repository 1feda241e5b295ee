//! A map of the application as SVG: modules as boxes, grouped by process, with the calls and the events between them.
//!
//! Processes stand in columns, callers to the left of those that they call, so arrows run to the right. The layout depends on
//! the application alone and not on its figures, so the picture does not jump while it is watched.

use super::state::{CallFigures, ProcessState};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Sizes, in pixels.
const BOX_WIDTH: usize = 150;
const BOX_HEIGHT: usize = 44;
const GAP: usize = 14;
const PADDING: usize = 16;
const TITLE: usize = 40;
const COLUMN_GAP: usize = 110;
/// The most modules in one column of a process: a process with more has several columns.
const MOST_IN_COLUMN: usize = 10;

/// The edge of the application, as a caller.
const EDGE: &str = "(edge)";

/// What happened on a way since the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) calls_per_second: f64,
    pub(crate) failed_per_second: f64,
    pub(crate) p99_us: f64,
    /// Whether the calls cross a network.
    pub(crate) remote: bool,
}

/// The ways between modules: caller and callee.
pub(crate) type Ways = BTreeMap<(String, String), Traffic>;

/// Sums up the calls between modules. `before` is an earlier look, `seconds` ago.
pub(crate) fn ways(before: &[ProcessState], now: &[ProcessState], seconds: f64) -> Ways {
    let mut ways = Ways::new();
    for process in now {
        let earlier = before
            .iter()
            .find(|earlier| (&earlier.process, earlier.pid) == (&process.process, process.pid));
        // What is served for another process is counted there, where the caller's module is known.
        for call in process.calls.iter().filter(|call| call.placement != "served") {
            let same = |other: &&CallFigures| {
                (&other.caller, &other.module, &other.interface, &other.method, &other.placement)
                    == (&call.caller, &call.module, &call.interface, &call.method, &call.placement)
            };
            let earlier = earlier.and_then(|earlier| earlier.calls.iter().find(same));
            let since = |count: fn(&CallFigures) -> u64| {
                count(call).saturating_sub(earlier.map_or(0, count)) as f64 / seconds.max(0.001)
            };
            let way = ways.entry((call.caller.clone(), call.module.clone())).or_default();
            way.calls_per_second += since(CallFigures::calls);
            way.failed_per_second += since(|call| call.failed);
            way.p99_us = way.p99_us.max(call.p99_us);
            way.remote |= call.placement == "remote";
        }
    }
    ways.retain(|(_, module), _| module != "monolift");
    ways
}

/// A process on the map.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    name: String,
    modules: Vec<String>,
    /// How many replicas answered, and how many are known.
    up: usize,
    known: usize,
    ready: bool,
    column: usize,
}

/// A place on the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    x: usize,
    y: usize,
}

/// Draws the processes that are known, and the ways between their modules.
pub(crate) fn draw(states: &[ProcessState], ways: &Ways) -> String {
    let groups = groups(states, ways);
    let mut svg = String::new();
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    let mut boxes = String::new();
    let (mut height, mut x) = (0, PADDING);
    let columns = groups.iter().map(|group| group.column).max().unwrap_or_default();
    for column in 0..=columns {
        let (mut y, mut widest) = (PADDING, 0);
        for group in groups.iter().filter(|group| group.column == column) {
            let inner = group.modules.len().div_ceil(MOST_IN_COLUMN).max(1);
            let rows = group.modules.len().div_ceil(inner).max(1);
            let width = 2 * PADDING + inner * BOX_WIDTH + (inner - 1) * GAP;
            let tall = TITLE + rows * (BOX_HEIGHT + GAP) + PADDING - GAP;
            frame(&mut boxes, group, Place { x, y }, width, tall);
            for (at, module) in group.modules.iter().enumerate() {
                let place = Place {
                    x: x + PADDING + (at / rows) * (BOX_WIDTH + GAP),
                    y: y + TITLE + (at % rows) * (BOX_HEIGHT + GAP),
                };
                places.insert(module, place);
                module_box(&mut boxes, module, place, ways);
            }
            y += tall + GAP;
            widest = widest.max(width);
        }
        height = height.max(y);
        x += widest + COLUMN_GAP;
    }
    let width = (x - COLUMN_GAP + PADDING).max(BOX_WIDTH);
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"processes, their modules, and the calls and events between them\">\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto-start-reverse\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>"
    );
    svg.push_str(&boxes);
    for ((caller, module), traffic) in ways {
        if let (Some(from), Some(to)) = (places.get(caller.as_str()), places.get(module.as_str())) {
            arrow(&mut svg, caller, module, *from, *to, *traffic);
        }
    }
    for ((publisher, listener), names) in events::flows(states) {
        if let (Some(from), Some(to)) = (places.get(publisher), places.get(listener)) {
            events::arrow(&mut svg, (publisher, listener), *from, *to, &names);
        }
    }
    svg.push_str("</svg>");
    svg
}

/// The processes that are known: those that answered, and those that others call.
fn groups(states: &[ProcessState], ways: &Ways) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    let empty = |name: &str| Group {
        name: name.to_owned(),
        modules: Vec::new(),
        up: 0,
        known: 0,
        ready: true,
        column: 0,
    };
    for state in states {
        let group = groups.entry(&state.process).or_insert_with(|| empty(&state.process));
        group.modules.clone_from(&state.modules);
        group.up += 1;
        group.ready &= state.ready;
    }
    for other in states.iter().flat_map(|state| &state.others) {
        let group = groups.entry(&other.process).or_insert_with(|| empty(&other.process));
        if group.modules.is_empty() {
            group.modules.clone_from(&other.modules);
        }
        group.known = group.known.max(other.replicas.len());
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    for group in &mut groups {
        group.modules.sort();
        group.known = group.known.max(group.up);
    }
    set_columns(&mut groups, ways);
    groups
}

/// Puts each process to the right of those that call it. Processes that call each other in a circle share a column.
fn set_columns(groups: &mut [Group], ways: &Ways) {
    let process_of: BTreeMap<String, usize> = groups
        .iter()
        .enumerate()
        .flat_map(|(at, group)| group.modules.iter().map(move |module| (module.clone(), at)))
        .collect();
    let edges: BTreeSet<(usize, usize)> = ways
        .keys()
        .filter_map(|(caller, module)| Some((*process_of.get(caller)?, *process_of.get(module)?)))
        .filter(|(from, to)| from != to)
        .collect();
    let has_gateway: Vec<bool> = groups.iter().map(|group| group.modules.is_empty()).collect();
    for (group, gateway) in groups.iter_mut().zip(&has_gateway) {
        group.column = usize::from(!gateway && has_gateway.contains(&true));
    }
    // As often as there are processes is enough without circles; with one, it ends all the same.
    for _ in 0..groups.len() {
        for (from, to) in &edges {
            let circle = edges.contains(&(*to, *from));
            let least = groups[*from].column + usize::from(!circle);
            if groups[*to].column < least && least < groups.len() {
                groups[*to].column = least;
            }
        }
    }
}

fn frame(svg: &mut String, group: &Group, at: Place, width: usize, height: usize) {
    let Group { name, up, known, ready, .. } = group;
    let state = match (up, ready) {
        (0, _) => "down",
        (up, _) if up < known => "partly",
        (_, false) => "partly",
        _ => "up",
    };
    let (x, y) = (at.x, at.y);
    let said = match state {
        "down" => "not reached".to_owned(),
        _ => format!("{up}/{known}"),
    };
    let _ = write!(
        svg,
        "<g class=\"process {state}\" data-process=\"{name}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" \
         height=\"{height}\" rx=\"8\"/><circle cx=\"{}\" cy=\"{}\" r=\"5\"/>\
         <text class=\"name\" x=\"{}\" y=\"{}\">{name}</text><text class=\"said\" x=\"{}\" y=\"{}\">{said}</text></g>",
        x + PADDING,
        y + 18,
        x + PADDING + 12,
        y + 23,
        x + width - PADDING,
        y + 23,
        name = escaped(name),
    );
}

fn module_box(svg: &mut String, module: &str, at: Place, ways: &Ways) {
    let from_edge = ways.get(&(EDGE.to_owned(), module.to_owned()));
    let (x, y) = (at.x, at.y);
    let rate = match from_edge {
        Some(traffic) if traffic.calls_per_second > 0.0 => {
            format!("requests {}/s", rounded(traffic.calls_per_second))
        }
        _ => String::new(),
    };
    let _ = write!(
        svg,
        "<g class=\"module\" data-module=\"{name}\" tabindex=\"0\" role=\"button\"><rect x=\"{x}\" y=\"{y}\" \
         width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"5\"/><text class=\"name\" x=\"{}\" y=\"{}\">{name}</text>\
         <text class=\"said\" x=\"{}\" y=\"{}\">{rate}</text></g>",
        x + 10,
        y + 18,
        x + 10,
        y + 35,
        name = escaped(module),
    );
}

/// A curve from one box to another one, which leaves and meets them this far below their tops, and its ends.
fn curve(from: Place, to: Place, below: usize) -> (String, [usize; 4]) {
    let right = from.x < to.x;
    let (x1, x2) = match right {
        true => (from.x + BOX_WIDTH, to.x),
        // Within a column, and back, along the right side.
        false => (from.x + BOX_WIDTH, to.x + BOX_WIDTH),
    };
    let (y1, y2) = (from.y + below, to.y + below);
    let bend = if right { (x2 - x1) / 2 } else { 46 };
    let (c1, c2) = match right {
        true => (x1 + bend, x2 - bend),
        false => (x1 + bend, x2 + bend),
    };
    (format!("M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}"), [x1, y1, x2, y2])
}

fn arrow(svg: &mut String, caller: &str, module: &str, from: Place, to: Place, traffic: Traffic) {
    let (path, [x1, y1, x2, y2]) = curve(from, to, BOX_HEIGHT / 2);
    let right = from.x < to.x;
    let kind = if traffic.remote { "remote" } else { "local" };
    let failing = if traffic.failed_per_second > 0.0 { " failing" } else { "" };
    let idle = if traffic.calls_per_second > 0.0 { "" } else { " idle" };
    let title = format!(
        "{caller} calls {module}: {} calls/s, {} failed/s, p99 {}",
        rounded(traffic.calls_per_second),
        rounded(traffic.failed_per_second),
        duration(traffic.p99_us)
    );
    let _ = write!(
        svg,
        "<g class=\"way {kind}{failing}{idle}\"><path d=\"{path}\" marker-end=\"url(#tip)\">\
         <title>{}</title></path>",
        escaped(&title)
    );
    if traffic.calls_per_second > 0.0 {
        let (x, y) = ((x1 + x2) / 2 + if right { 0 } else { 36 }, (y1 + y2) / 2);
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"{}\">{}/s</text><text x=\"{x}\" y=\"{}\">{}</text>",
            y - 2,
            rounded(traffic.calls_per_second),
            y + 11,
            duration(traffic.p99_us)
        );
    }
    svg.push_str("</g>");
}

/// A rate with as many digits as say something.
fn rounded(rate: f64) -> String {
    if rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

fn duration(micros: f64) -> String {
    match micros {
        micros if micros >= 1e6 => format!("{:.1} s", micros / 1e6),
        micros if micros >= 1e3 => format!("{:.1} ms", micros / 1e3),
        micros => format!("{micros:.0} µs"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(crate) mod events;
#[cfg(test)]
mod tests;
