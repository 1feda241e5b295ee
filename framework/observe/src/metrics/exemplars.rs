//! Exemplars: of each bucket of a histogram a trace to look at. OpenMetrics has them, Prometheus's older format has not.
//!
//! They are of traces that are kept, so that what they point at can be found. A process that is asked for its parts of a
//! trace knows by that.

use super::BOUNDS;
use crate::call::{
    Side,
    record::{CallRecord, Entry, Part},
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// Histograms that have exemplars.
const MOST: usize = 2_048;
/// The buckets of a histogram, with the one for what is beyond all bounds.
const BUCKETS: usize = BOUNDS.len() + 1;

/// A call whose duration is in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exemplar {
    /// Its trace.
    pub trace_id: u128,
    /// How long it took.
    pub nanos: u64,
    /// When it ended.
    pub at: SystemTime,
}

/// The exemplars of one histogram, by bucket.
pub type Buckets = [Option<Exemplar>; BUCKETS];

/// The labels of a histogram of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallLabels {
    pub(super) caller: &'static str,
    pub(super) placement: &'static str,
    pub(super) module: &'static str,
    pub(super) interface: &'static str,
    pub(super) method: &'static str,
}

/// The latest exemplars of the calls of this process.
#[derive(Debug, Default)]
pub struct Exemplars(Mutex<HashMap<CallLabels, Buckets>>);

impl Exemplars {
    /// Takes the calls of a trace that is kept.
    pub(crate) fn learn(&self, part: &Part) {
        let modules: HashMap<u64, &'static str> =
            part.recorded.calls.iter().map(|call| (call.span, call.callee.module)).collect();
        let outside = match part.entry {
            Entry::Call { .. } => "(process)",
            Entry::Request { .. } | Entry::Work { .. } => "(edge)",
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for call in &part.recorded.calls {
            // A call that was not timed is in no bucket.
            let Some(nanos) = call.nanos else { continue };
            let caller = modules.get(&call.parent).copied().unwrap_or(outside);
            let labels = labels_of(call, caller);
            if all.len() >= MOST && !all.contains_key(&labels) {
                continue;
            }
            let bucket = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
            let at = part.began_at + Duration::from_nanos(call.began.saturating_add(nanos));
            all.entry(labels).or_insert([None; BUCKETS])[bucket] =
                Some(Exemplar { trace_id: part.trace_id, nanos, at });
        }
    }

    /// Those of one histogram.
    pub(super) fn of(&self, labels: &CallLabels) -> Option<Buckets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(labels).copied()
    }
}

fn labels_of(call: &CallRecord, caller: &'static str) -> CallLabels {
    let callee = call.callee;
    let placement = match (caller, call.side) {
        ("(process)", _) => "served",
        (_, Side::Module) => "local",
        (_, Side::Caller) => "remote",
    };
    let (module, interface, method) = (callee.module, callee.interface, callee.method);
    CallLabels { caller, placement, module, interface, method }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{
        Callee, Meter,
        record::{Ended, Outcome, Recorded},
    };

    static STOCK: Callee = Callee {
        module: "stock",
        interface: "Stock",
        method: "level",
        deadline: None,
        rule: None,
        meter: Meter::new(),
    };
    static ORDERS: Callee = Callee {
        module: "orders",
        interface: "Orders",
        method: "place",
        deadline: None,
        rule: None,
        meter: Meter::new(),
    };

    fn call(callee: &'static Callee, span: u64, parent: u64, side: Side, nanos: u64) -> CallRecord {
        CallRecord {
            callee,
            span,
            parent,
            side,
            began: 0,
            nanos: Some(nanos),
            outcome: Outcome::Answered,
        }
    }

    #[test]
    fn a_call_is_an_exemplar_of_its_histogram_s_bucket() {
        let exemplars = Exemplars::default();
        let calls = vec![
            call(&ORDERS, 2, 1, Side::Module, 20_000_000_000),
            call(&STOCK, 3, 2, Side::Caller, 1_000),
        ];
        exemplars.learn(&Part {
            trace_id: 7,
            parent: 0,
            root: 1,
            sampled: false,
            entry: Entry::Request { route: "POST /orders".into() },
            began_at: SystemTime::UNIX_EPOCH,
            nanos: 0,
            ended: Ended::Status(500),
            recorded: Recorded { calls, ..Recorded::default() },
        });
        let found = |caller, placement, callee: &Callee| {
            let (module, interface, method) = (callee.module, callee.interface, callee.method);
            let labels = CallLabels { caller, placement, module, interface, method };
            let buckets = exemplars.of(&labels)?;
            let at = buckets.iter().position(Option::is_some)?;
            Some((at, buckets[at]?.trace_id))
        };
        assert_eq!(found("(edge)", "local", &ORDERS), Some((BOUNDS.len(), 7)));
        assert_eq!(found("orders", "remote", &STOCK), Some((0, 7)));
        assert_eq!(found("orders", "local", &STOCK), None);
    }
}
