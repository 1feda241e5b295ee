//! Events on the map: who listens to whom, and where that goes in a circle.

use super::{BOX_HEIGHT, Place, curve, escaped};
use crate::state::ProcessState;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// The events that go from one module to another, by publisher and listener.
pub(super) type Flows<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<&'a str>>;

/// Who listens to whom.
pub(super) fn flows(states: &[ProcessState]) -> Flows<'_> {
    let mut flows = Flows::new();
    for one in states.iter().flat_map(|state| &state.listens) {
        let flow = flows.entry((&one.publisher, &one.listener)).or_default();
        flow.insert(&one.event);
    }
    flows
}

/// From a publisher to a listener, above the arrows of calls.
pub(super) fn arrow(
    svg: &mut String,
    (publisher, listener): (&str, &str),
    from: Place,
    to: Place,
    names: &BTreeSet<&str>,
) {
    let (path, _) = curve(from, to, BOX_HEIGHT / 4);
    let names: Vec<&str> = names.iter().copied().collect();
    let title = format!("{listener} listens to {publisher}: {}", names.join(", "));
    // Writing to a string cannot fail.
    let _ = write!(
        svg,
        "<g class=\"way events\"><path d=\"{path}\" marker-end=\"url(#tip)\"><title>{}</title></path></g>",
        escaped(&title)
    );
}

/// The modules whose events can come back to them, each group of them in order. That is allowed, and an event that causes
/// the next one must end at some point.
pub(crate) fn circles(states: &[ProcessState]) -> Vec<Vec<String>> {
    let flows = flows(states);
    let reached = |from: &str| {
        let (mut reached, mut left) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(publisher) = left.pop() {
            let next = flows.keys().filter(|(of, _)| *of == publisher);
            left.extend(
                next.filter(|(_, to)| reached.insert((*to).to_owned()))
                    .map(|(_, to)| (*to).to_owned()),
            );
        }
        reached
    };
    let all: BTreeMap<&str, BTreeSet<String>> =
        flows.keys().map(|(publisher, _)| (*publisher, reached(publisher))).collect();
    let mut circles = BTreeSet::new();
    for (module, reached) in &all {
        let comes_back =
            |other: &&String| all.get(other.as_str()).is_some_and(|of| of.contains(*module));
        let circle: Vec<String> = reached.iter().filter(comes_back).cloned().collect();
        if circle.iter().any(|other| other == module) {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}
