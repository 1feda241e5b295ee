//! The calls of all methods, by who makes them and where they go.

use super::{
    BOUNDS, Durations, Kind, Page,
    exemplars::{CallLabels, Exemplars},
};
use crate::{
    call::{Caller, Figures, Side},
    link::interfaces,
    state::CallFigures,
};

/// The calls of one method by one caller.
struct CallRow {
    caller: &'static str,
    placement: &'static str,
    module: &'static str,
    interface: &'static str,
    method: &'static str,
    figures: Figures,
}

impl CallRow {
    fn labels(&self) -> CallLabels {
        let Self { caller, placement, module, interface, method, .. } = *self;
        CallLabels { caller, placement, module, interface, method }
    }

    /// The row as the read API shows it.
    fn shown(&self) -> CallFigures {
        let Self { caller, placement, module, interface, method, figures } = self;
        let micros = |part| figures.quantile(part) as f64 / 1e3;
        CallFigures {
            caller: (*caller).to_owned(),
            module: (*module).to_owned(),
            interface: (*interface).to_owned(),
            method: (*method).to_owned(),
            placement: (*placement).to_owned(),
            answered: figures.answered,
            failed: figures.failed,
            dropped: figures.dropped,
            total_ms: figures.nanos as f64 / 1e6,
            p50_us: micros(0.5),
            p90_us: micros(0.9),
            p99_us: micros(0.99),
        }
    }
}

/// The calls that were made in this process so far.
pub fn call_figures() -> Vec<CallFigures> {
    call_rows().iter().map(CallRow::shown).collect()
}

/// Adds the calls that were made in this process.
pub fn calls(page: &mut Page, exemplars: &Exemplars) {
    let rows = call_rows();
    let labels = |row: &CallRow| {
        [
            ("caller", row.caller),
            ("module", row.module),
            ("interface", row.interface),
            ("method", row.method),
            ("placement", row.placement),
        ]
    };
    let help = "Calls, by the module that makes them, and by whether the method's module runs in this process.";
    let mut family = page.family("monolift_calls_total", Kind::Counter, help);
    for row in &rows {
        let Figures { answered, failed, dropped, .. } = &row.figures;
        for (outcome, count) in [("answered", answered), ("failed", failed), ("dropped", dropped)] {
            let [caller, module, interface, method, placement] = labels(row);
            let labels = [caller, module, interface, method, placement, ("outcome", outcome)];
            family.sample(&labels, count);
        }
    }
    let help = "How long calls took. Of fast calls within a process one in sixteen is timed and stands for the others.";
    let mut family = page.family("monolift_call_duration_seconds", Kind::Histogram, help);
    for row in &rows {
        let durations = Durations {
            at_most: row.figures.at_most(&BOUNDS),
            count: row.figures.timed(),
            nanos: row.figures.nanos,
            exemplars: exemplars.of(&row.labels()).unwrap_or_default(),
        };
        family.durations(&labels(row), &durations);
    }
}

/// One for each caller and method that was called.
fn call_rows() -> Vec<CallRow> {
    let methods = interfaces().into_iter().flat_map(|entry| (entry.descriptor)().methods);
    let rows = methods.flat_map(|method| {
        let callee = &method.callee;
        callee.meter.figures().into_iter().map(|(caller, side, figures)| CallRow {
            caller: name(caller),
            placement: match (caller, side) {
                (Caller::Process, _) => "served",
                (_, Side::Module) => "local",
                (_, Side::Caller) => "remote",
            },
            module: callee.module,
            interface: callee.interface,
            method: callee.method,
            figures,
        })
    });
    rows.collect()
}

/// A caller as a label.
fn name(caller: Caller) -> &'static str {
    match caller {
        Caller::Module(module) => module,
        Caller::Edge => "(edge)",
        Caller::Process => "(process)",
        Caller::Other => "(other)",
    }
}
