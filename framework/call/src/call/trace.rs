//! The trace that a call belongs to, and how it is written in headers: the W3C's *Trace Context*, level 1.
//!
//! Where a request comes in, [`Traced::read`] takes what can be used of its headers and starts a new trace where nothing
//! can. [`trace_headers`] writes what a module's own HTTP clients send on.

use super::{Context, TraceState, chance};
use std::fmt;

/// The header that says which trace a request is part of.
pub const TRACEPARENT: &str = "traceparent";
/// The header that takes along what tracing systems have to say of it.
pub const TRACESTATE: &str = "tracestate";

/// The trace that a call belongs to, as in W3C's `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The whole trace.
    pub trace_id: u128,
    /// The caller's part of it.
    pub span_id: u64,
    /// Whether the edge decided to record this trace.
    pub sampled: bool,
}

impl Trace {
    /// A new trace, not sampled.
    pub fn start() -> Self {
        Self { trace_id: random_128(), span_id: chance::number().max(1), sampled: false }
    }

    /// Reads a `traceparent` header; `None` when it is not one.
    ///
    /// Of a version that is not known yet the first four fields are read, as its text promises to keep them. Flags other
    /// than `sampled` are unknown and not passed on.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim_matches([' ', '\t']).split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // `from_str_radix` alone would take signs and capitals, which are not allowed here.
        let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if ![version, trace, span, flags].into_iter().all(hex) {
            return None;
        }
        let sizes = (version.len(), trace.len(), span.len(), flags.len());
        let known = version != "ff" && (version != "00" || parts.next().is_none());
        if sizes != (2, 32, 16, 2) || !known {
            return None;
        }
        let trace = Self {
            trace_id: u128::from_str_radix(trace, 16).ok()?,
            span_id: u64::from_str_radix(span, 16).ok()?,
            sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        (trace.trace_id != 0 && trace.span_id != 0).then_some(trace)
    }
}

fn random_128() -> u128 {
    (u128::from(chance::number()) << 64 | u128::from(chance::number())).max(1)
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

/// Which trace a request belongs to, as its headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// Its own, or a new one.
    pub trace: Trace,
    /// What other tracing systems said of it. A new trace has none.
    pub state: Option<TraceState>,
    /// Whether it is a new one.
    pub begins: bool,
}

impl Traced {
    /// Reads the values of all headers `traceparent` and of all headers `tracestate`, in their order. `None` stands for one
    /// that is not text.
    ///
    /// With no `traceparent`, more than one, or one that is not valid, a new trace starts, and `tracestate` is not looked at.
    pub fn read<'a>(
        mut parents: impl Iterator<Item = Option<&'a str>>,
        states: impl Iterator<Item = Option<&'a str>>,
        sampling: Sampling,
    ) -> Self {
        let parent = parents.next().flatten().filter(|_| parents.next().is_none());
        match parent.and_then(Trace::parse) {
            Some(trace) => Self { trace, state: TraceState::combined(states), begins: false },
            None => Self { trace: sampling.start(), state: None, begins: true },
        }
    }
}

/// How many of the new traces are sampled. Which ones is told by their ids, as other tracing systems do it, so that those
/// with the same share agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sampling {
    /// A trace is sampled if the lowest 63 bits of its id are below this.
    below: u64,
}

impl Sampling {
    /// A share from 0 to 1.
    pub fn of(share: f64) -> Self {
        // A share of 1 is 2^63, which no 63 bits reach.
        Self { below: (share.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64 }
    }

    /// A new trace.
    pub fn start(self) -> Trace {
        let trace = Trace::start();
        Trace { sampled: self.takes(trace.trace_id), ..trace }
    }

    fn takes(self, trace_id: u128) -> bool {
        (trace_id as u64) >> 1 < self.below
    }
}

/// What an HTTP client of a module's own sends along, so that the service it asks continues the trace of the call that is
/// running: the names and values of the headers `traceparent` and, if there is one, `tracestate`. Outside of a call there
/// are none.
///
/// ```
/// # struct Request; impl Request { fn header(self, _: &str, _: &str) -> Self { self } }
/// # fn request() -> Request { Request }
/// let mut request = request();
/// for (name, value) in monolift_call::trace_headers() {
///     request = request.header(name, &value);
/// }
/// ```
pub fn trace_headers() -> impl Iterator<Item = (&'static str, String)> {
    let context = Context::current().map(Context::outgoing);
    let state = context.as_ref().and_then(|context| context.trace_state());
    let state = state.map(|state| (TRACESTATE, state.to_string()));
    let parent = context.map(|context| (TRACEPARENT, context.trace().to_string()));
    parent.into_iter().chain(state)
}

#[cfg(test)]
mod tests;
