//! The comparison as an HTML page without external resources.

use super::{
    figures::{Comparison, SideFigures},
    terminal::short,
};
use load::Spread;
use std::fmt::Write as _;

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
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, comparison);
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number and its unit, which are not separated at the end of a line.
fn figure(value: f64, unit: &str) -> String {
    format!("{}&nbsp;{unit}", short(value))
}

/// The range of the rounds, or one number if its ends look the same.
fn range(low: f64, high: f64) -> String {
    let (low, high) = (short(low), short(high));
    if low == high { low } else { format!("{low}…{high}") }
}

fn rounds_in_words(rounds: usize) -> String {
    if rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") }
}

fn write(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let Comparison { load, seconds, rounds, machine, sides, noise, .. } = comparison;
    let title: Vec<String> = sides.iter().map(|side| escaped(&side.name)).collect();
    let title = title.join(" and ");
    write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>\
         <p class=\"dim\">{}; {} of {seconds} s a side, in turns; {}</p>",
        escaped(load),
        rounds_in_words(*rounds),
        escaped(machine)
    )?;
    if !noise.is_empty() {
        out.push_str(
            "<div class=\"noise\"><p>The machine was too noisy, or too busy, to tell:<ul>",
        );
        noise.iter().try_for_each(|why| write!(out, "<li>{}", escaped(why)))?;
        out.push_str("</ul></div>");
    }
    figures(out, comparison)?;
    out.push_str("<h2>Of all requests, so many took no longer</h2>");
    curves(out, sides)?;
    requests(out, sides)?;
    for side in sides.iter().filter(|side| side.calls.count >= 0.005) {
        calls(out, side)?;
    }
    for side in sides {
        if let Some(failure) = &side.failure {
            let (name, failure) = (escaped(&side.name), escaped(failure));
            write!(out, "<p>{name} failed {} requests; the first: {failure}</p>", side.failed)?;
        }
    }
    Ok(())
}

fn figures(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let ([one, other], Some(ratios)) = (&comparison.sides[..], &comparison.ratios) else {
        return Ok(());
    };
    let names = [escaped(&one.name), escaped(&other.name)];
    write!(
        out,
        "<div class=\"wide\"><table><tr><th><th style=\"color:{}\">{}<th style=\"color:{}\">{}\
         <th>ratio<tr><td>processes<td>{}<td>{}<td>",
        COLOURS[0], names[0], COLOURS[1], names[1], one.processes, other.processes
    )?;
    let mut row = |name: &str, unit: &str, spread: fn(&SideFigures) -> Spread, ratio: f64| {
        let cell = |side: &SideFigures| {
            let Spread { median, low, high } = spread(side);
            format!("{} <small>{}</small>", figure(median, unit), range(low, high))
        };
        write!(out, "<tr><td>{name}<td>{}<td>{}<td>{ratio:.2}", cell(one), cell(other))
    };
    row("p50", "ms", |side| side.p50, ratios.p50)?;
    row("p90", "ms", |side| side.p90, ratios.p90)?;
    row("p99", "ms", |side| side.p99, ratios.p99)?;
    row("p99.9", "ms", |side| side.p999, ratios.p999)?;
    row("answered", "/s", |side| side.throughput, ratios.throughput)?;
    row("CPU a request", "ms", |side| side.cpu, ratios.cpu)?;
    row("memory", "MiB", |side| side.memory, ratios.memory)?;
    out.push_str(
        "</table></div><p class=\"dim\">Medians of the rounds, and how far apart they lay.</p>",
    );
    Ok(())
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 30.0;

/// Latency curves. The horizontal axis is 1/(1 - part), logarithmic, so that each further nine has
/// the same width. The vertical axis is logarithmic too.
fn curves(out: &mut String, sides: &[SideFigures]) -> std::fmt::Result {
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
    write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"percentiles\">")?;
    for power in low as i32..=high as i32 {
        let time = 10f64.powi(power);
        let at = y(time);
        write!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#8884\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"currentColor\">{time} ms</text>",
            LEFT - 6.0,
            at + 4.0
        )?;
    }
    for percent in [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999] {
        if nines(percent) > most_nines {
            break;
        }
        let at = x(percent);
        write!(
            out,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"10\" y2=\"{:.1}\" stroke=\"#8884\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"currentColor\">{percent} \
             %</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0
        )?;
    }
    for (number, (side, colour)) in sides.iter().zip(COLOURS).enumerate() {
        let points: Vec<String> = side
            .curve
            .iter()
            .map(|(percent, time)| format!("{:.1},{:.1}", x(*percent), y(*time)))
            .collect();
        let (points, name) = (points.join(" "), escaped(&side.name));
        write!(
            out,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            LEFT + 12.0,
            28.0 + 16.0 * number as f64
        )?;
    }
    out.push_str("</svg>");
    Ok(())
}

fn requests(out: &mut String, sides: &[SideFigures]) -> std::fmt::Result {
    out.push_str("<h2>Each request</h2><div class=\"wide\"><table><tr><th>");
    for side in sides {
        write!(out, "<th>{}: p50<th>p99", escaped(&side.name))?;
    }
    let names: Vec<&str> = sides.iter().flat_map(|side| &side.requests).map(|one| &*one.name).fold(
        Vec::new(),
        |mut names, name| {
            if !names.contains(&name) {
                names.push(name);
            }
            names
        },
    );
    for name in names {
        write!(out, "<tr><td>{}", escaped(name))?;
        for side in sides {
            match side.requests.iter().find(|request| request.name == name) {
                Some(one) => {
                    let (p50, p99) = (figure(one.p50, "ms"), figure(one.p99, "ms"));
                    write!(out, "<td>{p50}<td>{p99}")?;
                }
                None => out.push_str("<td><td>"),
            }
        }
    }
    out.push_str("</table></div>");
    Ok(())
}

/// A bar with the cost of a request's calls, split into parts.
fn calls(out: &mut String, side: &SideFigures) -> std::fmt::Result {
    const SHADES: [&str; 5] = ["#93c5fd", "#60a5fa", "#f59e0b", "#a78bfa", "#34d399"];
    let (name, calls) = (escaped(&side.name), &side.calls);
    let extra = calls.extra();
    let sum: f64 = extra.iter().map(|(_, micros)| micros).sum::<f64>().max(f64::MIN_POSITIVE);
    write!(
        out,
        "<h2>Where the extra time of {name} goes</h2><p>{} calls between processes for each request, \
         which cost {} µs beside the {} µs of the modules that were called (and what those in turn \
         waited for). Calls of durable work in the background are counted too.</p>\
         <svg viewBox=\"0 0 {WIDTH} 40\" role=\"img\" aria-label=\"parts of a call\">",
        short(calls.count),
        short(sum),
        short(calls.module)
    )?;
    let mut at = 0.0;
    for ((_, micros), shade) in extra.iter().zip(SHADES) {
        let width = micros / sum * WIDTH;
        write!(out, "<rect x=\"{at:.1}\" width=\"{width:.1}\" height=\"40\" fill=\"{shade}\"/>")?;
        at += width;
    }
    out.push_str("</svg><div class=\"wide\"><table>");
    const WHAT: [&str; 5] = [
        "the caller writes what it passes as bytes",
        "until the connection's task sends it",
        "the kernel, the network and the wake-ups, both ways",
        "the other process reads it, finds the method, and writes the answer as bytes",
        "the caller reads the answer",
    ];
    for (((name, micros), shade), what) in extra.iter().zip(SHADES).zip(WHAT) {
        write!(
            out,
            "<tr><td><span style=\"color:{shade}\">■</span> {name} <small>{what}</small><td>{}",
            figure(*micros, "µs")
        )?;
    }
    out.push_str("</table></div>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
