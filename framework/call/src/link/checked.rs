//! Calls between modules held to the bounds of their types, in tests.
//!
//! In process nothing is encoded, and so nothing is checked there. See
//! [`CallSettings::checked`](crate::call::CallSettings::checked).

use crate::{
    call::{CallError, CallErrorKind},
    carry::{Answer, Bounds, Outcome, Outgoing, codec},
    interface::{Checks, InterfaceDescriptor, Part, Walk},
};
use std::sync::OnceLock;

/// The checks of an interface's methods, made at the first call that needs them.
#[derive(Debug, Default)]
pub(super) struct Checked(OnceLock<Vec<Result<Checks, String>>>);

impl Checked {
    /// Checks what a call passes.
    pub(super) fn arguments(&self, call: &Outgoing<'_>, bounds: Bounds) -> Result<(), CallError> {
        let kind = CallErrorKind::BadArguments;
        let checks = self.of(call.interface, call.method, kind)?;
        if !checks.bound(Part::Arguments) {
            return Ok(());
        }
        let payload = call.payload(bounds)?;
        let read = |walk: Walk<'_>| codec::decode_with(walk, &payload, bounds);
        checks
            .check(Part::Arguments, read)
            .map_err(|violation| CallError::new(kind, violation.to_string()))
    }

    /// Checks what came back.
    pub(super) fn answer(
        &self,
        interface: &InterfaceDescriptor,
        method: usize,
        answer: &Answer,
        bounds: Bounds,
    ) -> Result<(), CallError> {
        if answer.outcome != Outcome::Answer {
            return Ok(());
        }
        let kind = CallErrorKind::BadAnswer;
        let read = |walk: Walk<'_>| codec::decode_with(walk, &answer.payload, bounds);
        self.of(interface, method, kind)?
            .check(Part::Answer, read)
            .map_err(|violation| CallError::new(kind, violation.to_string()))
    }

    fn of(
        &self,
        interface: &InterfaceDescriptor,
        method: usize,
        kind: CallErrorKind,
    ) -> Result<&Checks, CallError> {
        let all = self.0.get_or_init(|| {
            let checks = interface.methods.iter().map(Checks::of);
            checks.map(|checks| checks.map_err(|error| error.to_string())).collect()
        });
        all[method].as_ref().map_err(|error| CallError::new(kind, error.as_str()))
    }
}
