//! The comparison as text for a terminal.

use super::{
    figures::{Comparison, SideFigures},
    html::{range, rounds_in_words},
};
use load::Spread;
use std::fmt;

/// Formats a comparison.
pub(super) struct Shown<'a>(pub(super) &'a Comparison);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { load, seconds, rounds, machine, sides, ratios, noise } = self.0;
        writeln!(f, "{load}; {} of {seconds} s a side; {machine}\n", rounds_in_words(*rounds))?;
        let [one, other] = &sides[..] else { return Ok(()) };
        let Some(ratios) = ratios else { return Ok(()) };
        let over = format!("{}/{}", other.name, one.name);
        writeln!(f, "{:14} {:>24} {:>24} {over:>16}", "", one.name, other.name)?;
        writeln!(f, "{:14} {:>24} {:>24}", "processes", one.processes, other.processes)?;
        writeln!(f, "{:14} {:>24} {:>24}", "encryption", one.encryption(), other.encryption())?;
        let mut row = |name: &str, figure: fn(&SideFigures) -> Spread, unit: &str, ratio: f64| {
            let cell = |side: &SideFigures| {
                let Spread { median, low, high } = figure(side);
                format!("{} ({}) {unit}", short(median), range(low, high))
            };
            writeln!(f, "{name:14} {:>24} {:>24} {ratio:>16.2}", cell(one), cell(other))
        };
        row("p50", |side| side.p50, "ms", ratios.p50)?;
        row("p90", |side| side.p90, "ms", ratios.p90)?;
        row("p99", |side| side.p99, "ms", ratios.p99)?;
        row("p99.9", |side| side.p999, "ms", ratios.p999)?;
        row("answered", |side| side.throughput, "/s", ratios.throughput)?;
        row("CPU a request", |side| side.cpu, "ms", ratios.cpu)?;
        row("memory", |side| side.memory, "MiB", ratios.memory)?;
        requests(f, one, other)?;
        for side in sides {
            calls(f, side)?;
            if let Some(failure) = &side.failure {
                writeln!(
                    f,
                    "\n{} failed {} requests; the first: {failure}",
                    side.name, side.failed
                )?;
            }
        }
        if noise.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nthe machine was too noisy, or too busy, to tell:")?;
        noise.iter().try_for_each(|why| writeln!(f, "- {why}"))
    }
}

/// Formats a number with its significant digits.
pub(super) fn short(value: f64) -> String {
    match value {
        large if large >= 100.0 => format!("{large:.0}"),
        some if some >= 10.0 => format!("{some:.1}"),
        small => format!("{small:.2}"),
    }
}

fn requests(f: &mut fmt::Formatter<'_>, one: &SideFigures, other: &SideFigures) -> fmt::Result {
    writeln!(f, "\n{:14} {:>24} {:>24}", "", "p50, p99 in ms", "p50, p99 in ms")?;
    for (request, there) in one.requests.iter().zip(&other.requests) {
        let cell = |p50: f64, p99: f64| format!("{}, {}", short(p50), short(p99));
        let (here, there) = (cell(request.p50, request.p99), cell(there.p50, there.p99));
        writeln!(f, "{:14} {here:>24} {there:>24}", request.name)?;
    }
    Ok(())
}

fn calls(f: &mut fmt::Formatter<'_>, side: &SideFigures) -> fmt::Result {
    if side.calls.count < 0.005 {
        return Ok(());
    }
    let count = short(side.calls.count);
    writeln!(f, "\n{}: {count} calls between processes for each request, which cost", side.name)?;
    for (name, micros) in side.calls.extra() {
        writeln!(f, "  {name:10} {:>10} µs", short(micros))?;
    }
    let module = short(side.calls.module);
    writeln!(f, "  {:10} {module:>10} µs, and what the modules in turn wait for", "modules")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_round_is_said_in_the_singular_and_has_no_range() {
        let mut comparison = Comparison::sample("monolith", "split");
        for side in &mut comparison.sides {
            side.p50 = Spread { median: 0.7, low: 0.7, high: 0.7 };
            side.p999 = Spread { median: 2.0, low: 1.0, high: 3.0 };
        }
        let text = Shown(&comparison).to_string();
        assert!(text.contains("a load; 1 round of 1 s a side"), "{text}");
        assert!(text.contains("0.70 (0.70) ms") && !text.contains("0.70…0.70"), "{text}");
        assert!(text.contains("2.00 (1.00…3.00) ms"), "{text}");
        comparison.rounds = 3;
        let text = Shown(&comparison).to_string();
        assert!(text.contains("a load; 3 rounds of 1 s a side"), "{text}");
    }
}
