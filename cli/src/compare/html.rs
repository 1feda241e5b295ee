//! The comparison as an HTML page without external resources.

use super::{
    figures::{Comparison, SideFigures},
    terminal::short,
};
use load::Spread;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The colours of the two sides.
const COLOURS: [&str; 2] = ["#2563eb", "#d97706"];

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--dim:#777}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}
small,.dim{color:var(--dim)}
svg{width:100%;height:auto;font:12px system-ui,sans-serif}
.noise{border-left:4px solid #dc2626;padding-left:1rem}
@media(max-width:40rem){table{font-size:.85rem}th,td{padding:.3rem .2rem;white-space:normal;overflow-wrap:anywhere}
td:not(:first-child){overflow-wrap:normal}td small{display:block}}
";

pub(super) fn page(comparison: &Comparison) -> String {
    let Comparison { load, seconds, rounds, machine, sides, noise, .. } = comparison;
    let names: Vec<&str> = sides.iter().map(|side| side.name.as_str()).collect();
    let title = names.join(" and ");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p.dim {
                    (load) "; " (rounds_in_words(*rounds)) " of " (seconds)
                    " s a side, in turns; " (machine)
                }
                @if !noise.is_empty() {
                    div.noise {
                        p { "The machine was too noisy, or too busy, to tell:" }
                        ul { @for why in noise { li { (why) } } }
                    }
                }
                (figures(comparison))
                h2 { "Share of requests that took at most a given time" }
                (curves(sides))
                (requests(sides))
                @for side in sides.iter().filter(|side| side.calls.count >= 0.005) {
                    (calls(side))
                }
                @for side in sides {
                    @if let Some(failure) = &side.failure {
                        p { (side.name) " failed " (side.failed) " requests; the first: " (failure) }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// A number and its unit, which are not separated at the end of a line.
fn figure(value: f64, unit: &str) -> String {
    format!("{}\u{a0}{unit}", short(value))
}

/// The range of the rounds, or one number if its ends look the same.
pub(super) fn range(low: f64, high: f64) -> String {
    let (low, high) = (short(low), short(high));
    if low == high { low } else { format!("{low}…{high}") }
}

pub(super) fn rounds_in_words(rounds: usize) -> String {
    if rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") }
}

fn figures(comparison: &Comparison) -> Markup {
    let ([one, other], Some(ratios)) = (&comparison.sides[..], &comparison.ratios) else {
        return Markup::default();
    };
    let row = |name: &str, unit: &str, spread: fn(&SideFigures) -> Spread, ratio: f64| {
        html! {
            tr {
                td { (name) }
                @for Spread { median, low, high } in [spread(one), spread(other)] {
                    td { (figure(median, unit)) " " small { (range(low, high)) } }
                }
                td { (format!("{ratio:.2}")) }
            }
        }
    };
    html! {
        div.wide {
            table {
                tr {
                    th {}
                    @for (side, colour) in [one, other].into_iter().zip(COLOURS) {
                        th style={ "color:" (colour) } { (side.name) }
                    }
                    th { "ratio" }
                }
                tr { td { "processes" } td { (one.processes) } td { (other.processes) } td {} }
                tr { td { "encryption" } td { (one.encryption()) } td { (other.encryption()) } td {} }
                (row("p50", "ms", |side| side.p50, ratios.p50))
                (row("p90", "ms", |side| side.p90, ratios.p90))
                (row("p99", "ms", |side| side.p99, ratios.p99))
                (row("p99.9", "ms", |side| side.p999, ratios.p999))
                (row("answered", "/s", |side| side.throughput, ratios.throughput))
                (row("CPU a request", "ms", |side| side.cpu, ratios.cpu))
                (row("memory", "MiB", |side| side.memory, ratios.memory))
            }
        }
        p.dim { "Medians of the rounds, and how far apart they lay." }
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 30.0;

/// A coordinate in a drawing.
fn at(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

/// Latency curves. The horizontal axis is 1/(1 - part), logarithmic, so that each further nine has
/// the same width. The vertical axis is logarithmic too.
fn curves(sides: &[SideFigures]) -> Markup {
    let all = || sides.iter().flat_map(|side| &side.curve);
    let nines = |percent: f64| -(1.0 - percent / 100.0).max(1e-9).log10();
    let most_nines = all().map(|(percent, _)| nines(*percent)).fold(1.0, f64::max);
    let times = || all().map(|(_, time)| time.max(0.01));
    let low = times().fold(f64::INFINITY, f64::min).log10().floor();
    let high = times().fold(0.01, f64::max).log10().ceil().max(low + 1.0);
    let x = |percent: f64| LEFT + nines(percent) / most_nines * (WIDTH - LEFT - 10.0);
    let y = |time: f64| {
        let part = (time.max(0.01).log10() - low) / (high - low);
        HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - 10.0)
    };
    let percents = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label="percentiles" {
            @for time in (low as i32..=high as i32).map(|power| 10f64.powi(power)) {
                line x1=(LEFT) x2=(WIDTH) y1=(at(y(time))) y2=(at(y(time))) stroke="#8884" {}
                text x=(at(LEFT - 6.0)) y=(at(y(time) + 4.0)) text-anchor="end"
                    fill="currentColor" { (time) " ms" }
            }
            @for percent in percents.into_iter().filter(|percent| nines(*percent) <= most_nines) {
                line x1=(at(x(percent))) x2=(at(x(percent))) y1="10" y2=(at(HEIGHT - BOTTOM))
                    stroke="#8884" {}
                text x=(at(x(percent))) y=(at(HEIGHT - BOTTOM + 18.0)) text-anchor="middle"
                    fill="currentColor" { (percent) " %" }
            }
            @for (number, (side, colour)) in sides.iter().zip(COLOURS).enumerate() {
                @let points: Vec<String> = side
                    .curve
                    .iter()
                    .map(|(percent, time)| format!("{:.1},{:.1}", x(*percent), y(*time)))
                    .collect();
                polyline points=(points.join(" ")) fill="none" stroke=(colour) stroke-width="2" {}
                text x=(at(LEFT + 12.0)) y=(at(28.0 + 16.0 * number as f64)) fill=(colour) {
                    (side.name)
                }
            }
        }
    }
}

fn requests(sides: &[SideFigures]) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for request in sides.iter().flat_map(|side| &side.requests) {
        if !names.contains(&request.name.as_str()) {
            names.push(&request.name);
        }
    }
    html! {
        h2 { "Each request" }
        div.wide {
            table {
                tr {
                    th {}
                    @for side in sides { th { (side.name) ": p50" } th { "p99" } }
                }
                @for name in names {
                    tr {
                        td { (name) }
                        @for side in sides {
                            @match side.requests.iter().find(|request| request.name == name) {
                                Some(one) => {
                                    td { (figure(one.p50, "ms")) } td { (figure(one.p99, "ms")) }
                                }
                                None => { td {} td {} }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A bar with the cost of a request's calls, split into parts.
fn calls(side: &SideFigures) -> Markup {
    const SHADES: [&str; 5] = ["#93c5fd", "#60a5fa", "#f59e0b", "#a78bfa", "#34d399"];
    const WHAT: [&str; 5] = [
        "the caller writes what it passes as bytes",
        "until the connection's task sends it",
        "the kernel, the network and the wake-ups, both ways",
        "the other process reads it, finds the method, and writes the answer as bytes",
        "the caller reads the answer",
    ];
    let extra = side.calls.extra();
    let sum: f64 = extra.iter().map(|(_, micros)| micros).sum::<f64>().max(f64::MIN_POSITIVE);
    let widths: Vec<f64> = extra.iter().map(|(_, micros)| micros / sum * WIDTH).collect();
    let starts = widths.iter().scan(0.0, |end, width| {
        let start = *end;
        *end += width;
        Some(start)
    });
    html! {
        h2 { "Where the extra time of " (side.name) " goes" }
        p {
            (short(side.calls.count)) " calls between processes for each request, which cost "
            (short(sum)) " µs beside the " (short(side.calls.module))
            " µs of the modules that were called (and what those in turn waited for). Calls of \
             durable work in the background are counted too."
        }
        svg viewBox={ "0 0 " (WIDTH) " 40" } role="img" aria-label="parts of a call" {
            @for ((start, width), shade) in starts.zip(&widths).zip(SHADES) {
                rect x=(at(start)) width=(at(*width)) height="40" fill=(shade) {}
            }
        }
        div.wide {
            table {
                @for (((name, micros), shade), what) in extra.iter().zip(SHADES).zip(WHAT) {
                    tr {
                        td {
                            span style={ "color:" (shade) } { "■" }
                            " " (name) " " small { (what) }
                        }
                        td { (figure(*micros, "µs")) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::figures::RequestFigures;

    #[test]
    fn a_range_of_equal_ends_is_one_number() {
        assert_eq!(range(0.701, 0.704), "0.70");
        assert_eq!(range(0.7, 0.8), "0.70…0.80");
    }

    #[test]
    fn one_round_is_singular() {
        assert_eq!(rounds_in_words(1), "1 round");
        assert_eq!(rounds_in_words(3), "3 rounds");
    }

    #[test]
    fn what_others_have_named_is_text_and_not_html() {
        let sample = Comparison::sample("<a>", "\"b\"");
        let mut comparison = Comparison {
            load: "<load>".to_owned(),
            machine: "<machine>".to_owned(),
            noise: vec!["<noise>".to_owned()],
            ..sample
        };
        for side in &mut comparison.sides {
            (side.failed, side.failure) = (1, Some("<i>".to_owned()));
            side.curve = vec![(0.0, 1.0), (99.0, 12.5)];
            let (name, count, p50, p99) = ("<get>".to_owned(), 1, 1.0, 1.0);
            side.requests.push(RequestFigures { name, count, p50, p99 });
        }
        let html = page(&comparison);
        for name in ["<i>", "<get>", "<load>", "<machine>", "<a>", "<noise>"] {
            let escaped = name.replace('<', "&lt;").replace('>', "&gt;");
            assert!(
                !html.contains(&format!(">{name}")) && html.contains(&escaped),
                "{name} {html}"
            );
        }
        assert!(html.contains("&quot;b&quot;") && html.contains("1.00\u{a0}ms"), "{html}");
        assert!(html.contains("<td>1.00\u{a0}/s <small>1.00</small></td>"), "{html}");
        assert!(
            html.contains("points=\"60.0,330.0 710.0,") && html.contains("0 0 720 40"),
            "{html}"
        );
    }
}
