//! All that happens in one run, in its order; and whether it may happen so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A client calls.
    Asked { operation: u64, idempotent: bool, within: Duration },
    /// The client knows how that ended, so long after its deadline, or before it.
    Told { operation: u64, outcome: Outcome, late: Duration },
    /// A replica of the ledger begins, with so much time.
    Begun { operation: u64, left: Duration },
    /// It has stopped, done or not, so long after the deadline that it knew.
    Stopped { operation: u64, late: Duration },
    /// A line is in the book.
    Written { operation: u64 },
    /// The network or a process fails, or is put right.
    Fault(String),
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is done.
    Done,
    /// It was not begun.
    NotBegun(String),
    /// It may be done or not.
    Unknown(String),
}

/// All that has happened, and the book.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    events: Vec<(Duration, Event)>,
    book: BTreeMap<u64, u32>,
    /// Whether what ends now ends because its host crashes.
    crashing: bool,
}

/// What a call of one of its own may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of one operation in the end.
#[derive(Debug, Default)]
struct Known {
    idempotent: bool,
    told: Option<Outcome>,
    late: Duration,
    within: Duration,
    begun: u32,
    most_left: Duration,
    stopped_late: Duration,
    written: u32,
}

/// How many attempts the desk may make at a call, and clients too: but what is part of a second
/// attempt is not attempted twice.
const ATTEMPTS: u32 = 3;

impl History {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with it")
    }

    /// Something happens, now.
    pub(crate) fn note(&self, event: Event) {
        let at = turmoil::sim_elapsed().unwrap_or_default();
        self.inner().events.push((at, event));
    }

    /// Lets a host crash: what ends with it is not noted.
    pub(crate) fn while_crashing(&self, crash: impl FnOnce()) {
        self.inner().crashing = true;
        crash();
        self.inner().crashing = false;
    }

    pub(crate) fn is_crashing(&self) -> bool {
        self.inner().crashing
    }

    /// The same, as whoever has the simulation in hand sees it.
    pub(crate) fn note_at(&self, at: Duration, event: Event) {
        self.inner().events.push((at, event));
    }

    /// Writes a line; `once` if there is to be one only.
    pub(crate) fn write(&self, operation: u64, once: bool) {
        {
            let mut inner = self.inner();
            let lines = inner.book.entry(operation).or_insert(0);
            if once && *lines > 0 {
                return;
            }
            *lines += 1;
        }
        self.note(Event::Written { operation });
    }

    /// Shows all that happened, and when.
    pub(crate) fn look(&self, mut look: impl FnMut(Duration, &Event)) {
        self.inner().events.iter().for_each(|(at, event)| look(*at, event));
    }

    /// How many operations there were, and how many of them were done for all that the client knows.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.inner();
        let told = |done: bool| {
            let events = inner.events.iter();
            let told = events.filter(|(_, event)| match event {
                Event::Told { outcome, .. } => !done || *outcome == Outcome::Done,
                _ => false,
            });
            told.count()
        };
        (told(false), told(true))
    }

    /// What happened that may not happen. From `healed` on all has to go well.
    pub(crate) fn violations(&self, healed: Duration) -> Vec<Violation> {
        let inner = self.inner();
        let mut known: BTreeMap<u64, Known> = BTreeMap::new();
        let mut violations = Vec::new();
        let mut asked_after = BTreeSet::new();
        for (at, event) in &inner.events {
            match event {
                Event::Asked { operation, idempotent, within } => {
                    let known = known.entry(*operation).or_default();
                    (known.idempotent, known.within) = (*idempotent, *within);
                    if *at >= healed {
                        asked_after.insert(*operation);
                    }
                }
                Event::Told { operation, outcome, late } => {
                    let known = known.entry(*operation).or_default();
                    if known.told.replace(outcome.clone()).is_some() {
                        violations.push(Violation(format!("{operation} has two ends")));
                    }
                    known.late = *late;
                }
                Event::Begun { operation, left } => {
                    let known = known.entry(*operation).or_default();
                    known.begun += 1;
                    known.most_left = known.most_left.max(*left);
                }
                Event::Stopped { operation, late } => {
                    let known = known.entry(*operation).or_default();
                    known.stopped_late = known.stopped_late.max(*late);
                }
                Event::Written { operation } => known.entry(*operation).or_default().written += 1,
                Event::Fault(_) => {}
            }
        }
        for (operation, known) in &known {
            violations.extend(
                known
                    .violations(asked_after.contains(operation))
                    .into_iter()
                    .map(|what| Violation(format!("operation {operation} {what}: {known:?}"))),
            );
        }
        violations
    }
}

impl Known {
    fn violations(&self, in_peace: bool) -> Vec<&'static str> {
        let mut found = Vec::new();
        // Safety: whatever fails.
        match &self.told {
            None => found.push("has no end"),
            Some(Outcome::Done) if self.written == 0 => found.push("was acknowledged and is lost"),
            Some(Outcome::NotBegun(_)) if !self.idempotent && self.begun > 0 => {
                found.push("was begun, and its client was told that it was not");
            }
            _ => {}
        }
        if !self.idempotent && self.begun > 1 {
            found.push("was begun twice");
        }
        if self.written > 1 {
            found.push("is there twice");
        }
        // The client's attempts, of which the first may be made again further down.
        if self.begun > 2 * ATTEMPTS - 1 {
            found.push("was begun too often");
        }
        if self.most_left > self.within {
            found.push("was given more time on the way");
        }
        if self.late > Duration::ZERO {
            found.push("ended after its deadline");
        }
        if self.stopped_late > Duration::ZERO {
            found.push("was worked on after its deadline");
        }
        // Liveness: when nothing fails any more.
        if in_peace && self.told != Some(Outcome::Done) {
            found.push("failed although nothing was wrong any more");
        }
        found
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, event) in &self.inner().events {
            let at = at.as_secs_f64() * 1e3;
            match event {
                Event::Fault(fault) => writeln!(f, "{at:>10.3} ms  {fault}")?,
                event => writeln!(f, "{at:>10.3} ms  {event:?}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(events: impl IntoIterator<Item = Event>) -> Vec<String> {
        let history = History::default();
        for event in events {
            history.note_at(Duration::from_secs(1), event);
        }
        let found = history.violations(Duration::from_secs(10));
        found.into_iter().map(|Violation(text)| text).collect()
    }

    fn asked(idempotent: bool) -> Event {
        Event::Asked { operation: 1, idempotent, within: Duration::from_secs(1) }
    }

    fn told(outcome: Outcome, late: u64) -> Event {
        Event::Told { operation: 1, outcome, late: Duration::from_micros(late) }
    }

    /// The checks see what they are there for.
    #[test]
    fn each_violation_is_seen() {
        let begun = Event::Begun { operation: 1, left: Duration::from_millis(1) };
        let written = Event::Written { operation: 1 };
        let unknown = || Outcome::Unknown("?".to_owned());
        let well = [asked(false), begun.clone(), written.clone(), told(Outcome::Done, 0)];
        assert_eq!(of(well), [""; 0]);
        for (events, expected) in [
            (vec![asked(false)], "has no end"),
            (vec![asked(false), told(unknown(), 0), told(unknown(), 0)], "has two ends"),
            (vec![asked(true), told(Outcome::Done, 0)], "was acknowledged and is lost"),
            (
                vec![asked(false), begun.clone(), told(Outcome::NotBegun("?".to_owned()), 0)],
                "was told that it was not",
            ),
            (
                vec![asked(false), begun.clone(), begun.clone(), told(unknown(), 0)],
                "was begun twice",
            ),
            (
                vec![asked(true), written.clone(), written.clone(), told(unknown(), 0)],
                "is there twice",
            ),
            (vec![asked(true), told(unknown(), 1)], "ended after its deadline"),
            (
                vec![
                    asked(true),
                    Event::Begun { operation: 1, left: Duration::from_secs(2) },
                    told(unknown(), 0),
                ],
                "was given more time on the way",
            ),
            (
                vec![
                    asked(true),
                    Event::Stopped { operation: 1, late: Duration::from_micros(1) },
                    told(unknown(), 0),
                ],
                "was worked on after its deadline",
            ),
            (
                [vec![asked(true)], vec![begun.clone(); 6], vec![told(unknown(), 0)]].concat(),
                "was begun too often",
            ),
        ] {
            let found = of(events);
            assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn what_fails_in_peace_is_seen() {
        let history = History::default();
        history.note_at(Duration::from_secs(11), asked(true));
        let outcome = Outcome::Unknown("?".to_owned());
        history.note_at(Duration::from_secs(12), told(outcome, 0));
        assert_eq!(history.violations(Duration::from_secs(10)).len(), 1);
        assert_eq!(history.violations(Duration::from_secs(12)).len(), 0);
    }
}
