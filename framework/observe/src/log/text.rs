//! A line for people: time, level, where it was logged, message, fields, and the beginning of the trace.
//!
//! ```text
//! 2026-11-26T16:20:33.123Z  INFO orders.place: placed an order id=o-17 trace=4bf92f35
//! ```

use super::{
    fields::Field,
    line::{Line, Within},
    time::Rfc3339,
};
use std::fmt::{self, Display, Write};
use tracing::Level;

/// Digits of a trace that tell it from all others of a day.
const TRACE_DIGITS: usize = 8;

/// The numbers of the terminal's colours and styles.
const BOLD: u8 = 1;
const DIM: u8 = 2;
const ITALIC: u8 = 3;
const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;
const BLUE: u8 = 34;
const MAGENTA: u8 = 35;

/// Writes a line without its end.
pub(super) fn write(out: &mut String, line: &Line<'_>, colours: bool) {
    // Writing to a string cannot fail.
    let _ = Page { out, colours }.write(line);
}

struct Page<'a> {
    out: &'a mut String,
    colours: bool,
}

impl Page<'_> {
    fn write(&mut self, line: &Line<'_>) -> fmt::Result {
        self.styled(DIM, Rfc3339::millis(line.time))?;
        self.out.push(' ');
        self.styled(colour(line.level), format_args!("{:>5}", line.level.as_str()))?;
        self.out.push(' ');
        self.place(line)?;
        for (name, fields) in &line.spans {
            self.out.push(' ');
            self.styled(BOLD, name)?;
            self.span(fields)?;
        }
        self.styled(DIM, ':')?;
        if !line.message.is_empty() {
            self.out.push(' ');
            Clean { out: self.out, lines: true }.write_str(&line.message)?;
        }
        let trace = line.trace.map(|trace| format!("{:032x}", trace.trace_id));
        for field in &line.fields.others {
            // Its beginning stands at the end of the line.
            if field.name != "trace" || trace.is_none() {
                self.out.push(' ');
                self.field(field)?;
            }
        }
        if let Some(trace) = trace {
            self.out.push(' ');
            self.styled(DIM, format_args!("trace={}", &trace[..TRACE_DIGITS]))?;
        }
        Ok(())
    }

    /// The call, and the target where that is not the module's own crate.
    fn place(&mut self, line: &Line<'_>) -> fmt::Result {
        let within = line.within.as_ref().filter(|within| !matches!(within, Within::Module(_)));
        match within {
            Some(Within::Call { module, method }) => {
                self.styled(BOLD, format_args!("{module}.{method}"))?;
            }
            Some(Within::Duty { module, work: Some(work) }) => {
                self.styled(BOLD, format_args!("{module} (work {work})"))?;
            }
            Some(Within::Duty { module, work: None }) => {
                self.styled(BOLD, format_args!("{module} (start)"))?;
            }
            Some(Within::Module(_)) | None => {}
        }
        match within {
            Some(within) if line.is_of(within.module()) => Ok(()),
            Some(_) => {
                self.out.push(' ');
                self.styled(DIM, &line.target)
            }
            None => self.styled(DIM, &line.target),
        }
    }

    fn span(&mut self, fields: &[Field]) -> fmt::Result {
        for (at, field) in fields.iter().enumerate() {
            self.out.push(if at == 0 { '{' } else { ' ' });
            self.field(field)?;
        }
        if !fields.is_empty() {
            self.out.push('}');
        }
        Ok(())
    }

    fn field(&mut self, Field { name, value }: &Field) -> fmt::Result {
        self.styled(ITALIC, name)?;
        self.styled(DIM, '=')?;
        write!(Clean { out: self.out, lines: false }, "{value}")
    }

    fn styled(&mut self, style: u8, text: impl Display) -> fmt::Result {
        if self.colours {
            write!(self.out, "\x1b[{style}m{text}\x1b[0m")
        } else {
            write!(self.out, "{text}")
        }
    }
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => RED,
        Level::WARN => YELLOW,
        Level::INFO => GREEN,
        Level::DEBUG => BLUE,
        Level::TRACE => MAGENTA,
    }
}

/// Writes text without its control characters, since a client may have sent some: they could colour the terminal, or
/// look like another line.
struct Clean<'a> {
    out: &'a mut String,
    /// Whether the text may have several lines. Each further one is indented.
    lines: bool,
}

impl Write for Clean<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for one in text.chars() {
            match one {
                '\n' if self.lines => self.out.push_str("\n    "),
                '\t' if self.lines => self.out.push(one),
                _ if one.is_control() => write!(self.out, "{}", one.escape_default())?,
                _ => self.out.push(one),
            }
        }
        Ok(())
    }
}
